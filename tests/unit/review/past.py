"""A ledger full of decisions: varied questions, decided, prepared and recorded by the service's own parts."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace

from mintwarden.context.project import Projection
from mintwarden.ledger.record import Recorder
from mintwarden.ledger.seal import Sealer, SealKey
from mintwarden.mint.prepare import prepare
from mintwarden.model.asked import Asked
from mintwarden.model.facts import Facts
from mintwarden.model.ids import decision_id, decision_text, entity_key
from mintwarden.model.values import Entity, EntityUid
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.decide import decide
from mintwarden.review.replay import SigningKey
from mintwarden.store import Store
from tests.property.replay_cases import NOW, asking_of, documents_of, walk

SECRET = b"s" * 32
KEYS = tuple(SigningKey(f"k{index}", algorithm) for index, algorithm in enumerate(["ES256", "EdDSA", "ES256"]))
ISSUER = "https://tokens.example"


def sealer() -> Sealer:
    return Sealer(secret=SECRET, random_bytes=random.Random(3).randbytes)


class Truth(NamedTuple):
    """What was decided, with all that was true."""

    asked: Asked
    facts: Facts


class Past:
    """Records into `store`; every decision has an id and a time of its own. `truths` are in the order of time."""

    def __init__(self, store: Store, seed: int = 1, by: Sealer | None = None) -> None:
        self.store = store
        self.chance = random.Random(seed)
        self.recorder = Recorder(
            appender=store.entries, sealer=by or sealer(), issuer=ISSUER, capacity=8192, max_batch=4096
        )
        self.truths: list[Truth] = []
        self.by_id: dict[bytes, Truth] = {}
        self._cases: dict[str, list[tuple[Truth, Facts]]] = {}
        self._subjects: dict[str, SealKey] = {}

    def cases(self, bundle: Bundle, count: int) -> list[tuple[Truth, Facts]]:
        """Questions with what is true, and with what is kept of that."""
        found = self._cases.setdefault(bundle.digest, [])
        while len(found) < count:
            walked = walk(bundle, asking_of(self.chance), documents_of(self.chance))
            if walked is None:
                continue
            asked, facts, _ = walked
            if asked.subject.type == "User":
                who = EntityUid("User", f"u{len(found)}")
                asked = replace(asked, subject=who)
                facts = replace(facts, subject=Entity(who, facts.subject.attrs, facts.subject.ancestors))
            types = tuple(actor.uid.type for actor in facts.actors)
            audience = bundle.catalogue.audiences[asked.audience]
            kept = Projection(bundle.plans.reads(audience, asked.scopes, asked.subject.type, types)).apply(facts)
            found.append((Truth(asked, facts), kept))
        return found

    async def record(self, bundle: Bundle, count: int, *, different: int = 1_000, evaluator: str = "compiled") -> None:
        """`count` decisions more, about `different` questions again and again, a second after each other."""
        cases = self.cases(bundle, min(count, different))
        judge = bundle.on_cedar() if evaluator == "cedar" else bundle
        for start in range(0, count, 4096):
            part = range(start, min(start + 4096, count))
            await asyncio.gather(*(self._one(judge, *cases[index % len(cases)]) for index in part))
            await self._learn_keys()

    async def _one(self, bundle: Bundle, truth: Truth, kept: Facts) -> None:
        at = NOW + len(self.truths) * 1000
        self.truths.append(truth)
        raw_id = decision_id(at, self.chance.randbytes(10))
        self.by_id[raw_id] = truth
        decision = decide(bundle, truth.asked, kept, at)
        await self.recorder.record(
            decision_id=raw_id,
            decision=decision,
            asked=truth.asked,
            facts=kept,
            prepared=prepared_token(bundle, truth.asked, decision, raw_id, at, self.chance)
            if decision.granted
            else None,
            key=self._subjects.get(entity_key(truth.asked.subject)),
        )

    async def _learn_keys(self) -> None:
        for entity in {entity_key(truth.asked.subject) for truth in self.truths[-4096:]} - self._subjects.keys():
            found = await self.store.subject_keys.get(entity)
            if found is not None:
                self._subjects[entity] = SealKey(*found)

    async def act(self) -> None:
        """An entry that is no decision."""
        at = NOW + len(self.truths) * 1000
        await self.recorder.record_act(
            entry_id=decision_id(at, self.chance.randbytes(10)), kind="configuration", at=at,
            actor=EntityUid("Workload", "mintwarden"), detail={},
        )  # fmt: skip


def prepared_token(bundle: Bundle, asked: Asked, decision: Any, raw_id: bytes, at: int, chance: random.Random) -> Any:
    audience = bundle.catalogue.audiences[asked.audience]
    keys: Sequence[SigningKey] = [key for key in KEYS if key.algorithm == audience.algorithm]
    return prepare(
        decision, asked, bundle.catalogue.clients[asked.client_id], audience, issuer=ISSUER, key=chance.choice(keys),
        now=at, decision_id=decision_text(raw_id),
    )  # fmt: skip
