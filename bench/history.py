"""A long past, quickly: decisions about many people and services, made and recorded by the service's own parts."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from bench.company import SCOPES, SOURCES, document
from bench.inline import Inline, opened, together
from bench.plan import Plan
from mintwarden.context.assemble import Assembly, SourceAnswer
from mintwarden.ledger.record import Recorder
from mintwarden.ledger.seal import SealKey
from mintwarden.mint.prepare import prepare
from mintwarden.model.asked import Asked, Parent
from mintwarden.model.facts import Facts
from mintwarden.model.ids import decision_id, decision_text, entity_key
from mintwarden.model.values import EntityUid
from mintwarden.policy.decide import decide

GROUP = 4096
"""Entries of one commit."""

DAYS = 60
"""Over which the entries are spread, the last one now."""

PART = 50_000
_DAY = 86_400_000


class Case(NamedTuple):
    """What is asked, and the facts that are kept of it."""

    asked: Asked
    facts: Facts


async def fill_history(config: Path, *, entries: int, people: int, plan: Plan) -> None:
    """Record so many decisions about so many people and the clients that act for them.

    Facts, scopes, clients, lifetimes and times differ; seven in ten are exchanges with an actor; a tenth of the
    people are refused. Facts and questions of a person come again and again, each decision is made anew.
    """
    async with opened(config) as line:
        chance, now = random.Random(11), line.base.clock.now()
        assembly = Assembly(line.base.bundle.catalogue)
        cases = [_case(line, assembly, index, chance, now) for index in range(people)]
        recorder = Recorder(
            appender=line.base.store.entries, sealer=line.base.sealer, issuer=line.base.issuer, capacity=2 * GROUP,
            max_batch=GROUP,
        )  # fmt: skip
        known: dict[str, SealKey] = {}
        step, begun = DAYS * _DAY // entries, time.monotonic()
        for start in range(0, entries, PART):
            count = min(PART, entries - start)

            async def record(index: int, start: int = start) -> None:
                case = cases[(start + index) % people]
                await _record(line, recorder, case, now - (entries - start - index) * step, known)

            await together(count, GROUP, record)
            plan.tell(f"history: {start + count:,} of {entries:,} decisions after {time.monotonic() - begun:.0f} s")


async def _record(line: Inline, recorder: Recorder, case: Case, at: int, known: dict[str, SealKey]) -> None:
    asked, facts = case
    base = line.base
    raw_id = decision_id(at, secrets.token_bytes(10))
    decision = decide(base.bundle, asked, facts, at)
    prepared = None
    if decision.granted:
        client = base.bundle.catalogue.clients[asked.client_id]
        prepared = prepare(
            decision, asked, client, line.audience, issuer=base.issuer, key=line.signer, now=at,
            decision_id=decision_text(raw_id),
        )  # fmt: skip
    entity = entity_key(asked.subject)
    key = known.get(entity)
    await recorder.record(
        decision_id=raw_id, decision=decision, asked=asked, facts=facts, prepared=prepared, key=key
    )  # fmt: skip
    if key is None and (found := await base.store.subject_keys.get(entity)) is not None:
        known[entity] = SealKey(*found)


def _case(line: Inline, assembly: Assembly, index: int, chance: random.Random, now: int) -> Case:
    catalogue = line.base.bundle.catalogue
    client = catalogue.clients[f"c{chance.randrange(len(catalogue.clients))}"]
    own = EntityUid(client.principal, client.id)
    alone = chance.random() < 0.3
    subject = own if alone else EntityUid("User", f"u{index}")
    asked = Asked(
        grant="client_credentials" if alone else "token_exchange",
        client_id=client.id,
        subject=subject,
        actors=() if alone else (own,),
        audience="bench",
        scopes=tuple(chance.sample(SCOPES, chance.randrange(1, len(SCOPES) + 1))),
        environment="production",
        lifetime=chance.choice([None, None, 120, 600]),
        address=f"192.0.2.{chance.randrange(256)}",
        method="client_secret_basic",
        parent=None if alone else Parent(token_id=f"t{index}", scopes=None, expires_at=now + chance.randrange(_DAY)),
    )
    answers = {entity_key(uid): dict(_answers(uid, chance, now)) for uid in (own, subject)}
    return Case(asked, line.regime.kept(asked, assembly.build(asked, answers, {}, now)))


def _answers(uid: EntityUid, chance: random.Random, now: int) -> Iterator[tuple[str, SourceAnswer]]:
    for source in SOURCES:
        said = document(entity_key(uid), source, chance)
        if source == "directory" and chance.random() < 0.1:
            said["facts"]["level"] = 1  # too low for anything
        yield source, SourceAnswer(document=msgspec.json.encode(said), observed_at=now - chance.randrange(_DAY))
