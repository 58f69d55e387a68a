"""A company whose policy takes a quorum to change, a node that issues under it, and what anybody can do to it."""

from __future__ import annotations

import contextlib
import functools
import itertools
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
from msgspec.structs import replace

from mintwarden.app.excepting import Excepting
from mintwarden.app.governing import Governing, Government, Library
from mintwarden.authn.registry import Registry
from mintwarden.context.assemble import Assembler, Assembly, SourceAnswer
from mintwarden.context.ports import FactDocument, FactRow
from mintwarden.govern.exceptions import Wanted
from mintwarden.govern.versions import Versions
from mintwarden.issue.judge import Judge
from mintwarden.issue.line import Regime
from mintwarden.ledger.record import Recorder
from mintwarden.ledger.seal import Sealer
from mintwarden.model.asked import Asked
from mintwarden.model.decision import Decision
from mintwarden.model.errors import MintwardenError
from mintwarden.model.exception import ExceptionGrant
from mintwarden.model.ids import decision_id
from mintwarden.model.values import EntityUid
from mintwarden.policy.approve.refusal import SignatureRefused
from mintwarden.policy.approve.signed import Signed
from mintwarden.policy.approve.statement import Statement
from mintwarden.policy.bundle.load import build_bundle
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.decide import decide
from mintwarden.policy.exception_request import ExceptionRequest, statement
from mintwarden.store import Store
from tests.conftest import START, FrozenClock
from tests.unit.policy.approve.signing import ISSUER, Soft, soft
from tests.unit.policy.approve.small import texts

PEOPLE = ("Ann", "Bob", "Cem", "Fay", "Dan")
"""Approvers, the last of them as an author alone."""
HOUR = 3_600_000
REASON = "because it must be"
ALICE, BATCH, HELPER = EntityUid("User", "alice"), EntityUid("Workload", "batch"), EntityUid("Agent", "helper")
SELF = EntityUid("Workload", "mintwarden")

_HELPER = """
[client]
id = "helper"
name = "helper"
kind = "agent"
owner = "Payments"
environments = ["production"]
authentication = ["client_secret_basic"]
grants = ["token_exchange"]
[client.ceilings]
payments = ["payments:read", "payments:write"]
"""
_APPROVALS = """
[approvals]
required = 1
[approvals.higher_risk]
required = 2
tiers = ["high"]
[approvals.break_glass]
required = 1
max = "4h"
"""

CHANGES: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "as it is": (),
    "other words": (("rules/all.cedar", "the batch settles", "the batch settles at night"),),
    "the batch reads no more": (
        ("rules/all.cedar", 'principal == Workload::"batch"', 'principal == Workload::"other"'),
    ),
    "no second factor": (("rules/all.cedar", '@require_amr("mfa")\n', ""),),
    "everybody reads": (("rules/all.cedar", 'when { principal in Group::"finance" };', ";"),),
    "the guardrail is gone": (("rules/all.cedar", "principal.score >= 80", "principal.score >= 101"),),
    "one is enough": (("bundle.toml", "required = 9", "required = 1"),),
    "another owner": (("bundle.toml", 'name = "Token Governance"', 'name = "Eve and Friends"'),),
    "tokens live longer": (("audiences/payments.toml", 'default_ttl = "5m"', 'default_ttl = "15m"'),),
}
"""Versions that somebody may propose, by what they change."""

ASKED = tuple(
    Asked(
        grant="client_credentials" if subject == BATCH else "token_exchange",
        client_id="batch" if subject == BATCH else "helper",
        subject=subject,
        actors=() if subject == BATCH else (HELPER,),
        audience="payments",
        scopes=("payments:read", "payments:write"),
        environment="production",
        amr=amr,
        method="client_secret_basic",
    )
    for subject, amr in (
        (BATCH, ()),
        (ALICE, ("pwd",)),
        (ALICE, ("pwd", "mfa")),
        (EntityUid("User", "risky"), ("pwd", "mfa")),
        (EntityUid("User", "stranger"), ("pwd", "mfa")),
    )
)
"""What is asked for again and again."""

_SAID = {
    "User:alice": {"directory": FactDocument(facts={"department": "finance"}, groups=["finance"])},
    "User:risky": {
        "directory": FactDocument(facts={"department": "finance"}, groups=["finance"]),
        "risk": FactDocument(facts={"score": 90}),
    },
    "User:stranger": {"directory": FactDocument(facts={"department": "care"}, groups=["care"])},
}


@functools.cache
def key_of(name: str) -> Soft:
    """Somebody's key, the same all along."""
    return soft()


@functools.cache
def version(change: str, quorum: int) -> tuple[Mapping[str, str], Bundle]:
    """The texts and the bundle of a version; `quorum` people for whatever there is."""
    keys = {name: key_of(name) for name in PEOPLE}
    asks = f"""
[approvals]
required = {quorum}
[approvals.higher_risk]
required = {quorum}
tiers = ["high"]
[approvals.break_glass]
required = {quorum}
max = "4h"
[approvals.rollback]
required = {quorum}
"""
    excepted = f'exception_max = "2d"\nexception_approvals = {quorum}\n'
    users = tuple(
        ("bundle.toml", f'name = "{name}"\n', f'name = "{name}"\nuser = "{name.lower()}"\n') for name in PEOPLE[:-1]
    )
    made = [
        ("bundle.toml", _APPROVALS, asks),
        ("bundle.toml", "[tiers.low]\n", f"[tiers.low]\n{excepted}"),
        ("bundle.toml", "[tiers.high]\n", f"[tiers.high]\n{excepted}"),
        *users,
        *((file, old.replace("= 9", f"= {quorum}"), new) for file, old, new in CHANGES[change]),
    ]
    found = {**texts(keys), "clients/helper.toml": _HELPER}
    for file, old, new in made:
        assert old in found[file], (file, old)
        found[file] = found[file].replace(old, new, 1)
    return found, build_bundle(found)


@functools.cache
def change_of(digest: str, quorum: int) -> str:
    """Which version a digest is."""
    return next(change for change in CHANGES if version(change, quorum)[1].digest == digest)


class Node:
    """One node: it governs by what the store says, and decides with facts and exceptions of now."""

    def __init__(self, base: Any, clock: FrozenClock) -> None:
        self._base = base
        self._clock = clock
        self._excepting = Excepting(base, self._monotonic)
        self.governing = Governing(
            base, library=Library(base.store.versions), make=self._government, monotonic=self._monotonic
        )

    def _monotonic(self) -> float:
        return self._clock.now() / 1000

    async def _government(self, base: Any, bundle: Bundle, number: int) -> Government:
        base = SimpleNamespace(**{**vars(base), "bundle": bundle})
        excepted = self._excepting.under(base)
        registry: Any = Registry(
            clients=bundle.catalogue.clients, credentials=base.store.credentials, activation=number
        )
        assembler = Assembler(catalogue=bundle.catalogue, facts=base.store.facts, external={}, exceptions=excepted.held)
        regime: Any = Regime(
            bundle,
            judge=Judge(bundle, alarm=_Loud(), later=lambda _recheck: False),
            authenticate=registry.refresh,
            assemble=assembler.assemble,
        )
        unused = dict.fromkeys(Government.__struct_fields__)
        given = {"number": number, "base": base, "authenticator": registry, "regime": regime, "excepted": excepted}
        return Government(**{**unused, **given, "sources": contextlib.AsyncExitStack()})

    async def issued(self, asked: Asked) -> Decision:
        """What is decided now, by way of the epoch as on the straight line."""
        for _ in range(3):
            now = self._clock.now()
            regime, epoch = self.governing.regime(), self.governing.epoch
            nobody: Any = None
            facts = (await regime.assemble(asked, nobody, now)).facts
            if facts.epoch == epoch:
                return regime.judge.decide(asked, facts, now, bytes(16))
            await self.governing.refresh()
        raise AssertionError("the epoch keeps moving")


class _Loud:
    def disagreement(self, *what: Any) -> None:
        raise AssertionError(what)


class Stage:
    """A store, everything that acts upon it, and two nodes that issue from it."""

    def __init__(self, store: Store, quorum: int) -> None:
        self.store = store
        self.quorum = quorum
        self.clock = FrozenClock(START)
        self._numbers = itertools.count(1)
        recorder = Recorder(
            appender=store.entries, sealer=Sealer(secret=b"s" * 32, random_bytes=secrets.token_bytes), issuer=ISSUER
        )
        self.base: Any = SimpleNamespace(
            store=store, clock=self.clock, recorder=recorder, new_id=self._new_id, bundle=self.bundle("as it is")
        )
        self.versions = Versions(
            store=store.versions, recorder=recorder, keys=store.subject_keys, new_id=self._new_id, issuer=ISSUER,
            prover=lambda _bundle: (),
        )  # fmt: skip
        self.nodes = (Node(self.base, self.clock), Node(self.base, self.clock))

    def _new_id(self) -> bytes:
        return decision_id(self.clock.now(), next(self._numbers).to_bytes(10, "big"))

    @property
    def now(self) -> int:
        return self.clock.now()

    def bundle(self, change: str) -> Bundle:
        return version(change, self.quorum)[1]

    def digest(self, change: str) -> str:
        return self.bundle(change).digest

    async def begin(self) -> None:
        """The first version governs, by its own quorum, and the facts are there."""
        await self.push()
        await self.hand_in("as it is", PEOPLE[: self.quorum])
        await self.versions.activate(self.digest("as it is"), by="op", now=self.now)
        for node in self.nodes:
            await node.governing.refresh()

    async def push(self) -> None:
        """Everybody's facts, fresh."""
        rows = [
            (entity, FactRow(source, msgspec.json.encode(document), self.now))
            for entity, sources in _SAID.items()
            for source, document in sources.items()
        ]
        await self.store.facts.put(rows)

    async def word(self, change: str, act: Any, name: str, *, key: str = "", **values: Any) -> Signed:
        """What somebody signs on top of what governs now; `values` say otherwise."""
        state = await self.versions.state(self.now)
        members: dict[str, Any] = {
            "issuer": ISSUER, "bundle": "small", "digest": self.digest(change), "base": state.base,
            "after": state.after, "at": self.now // 1000,
        } | values  # fmt: skip
        return key_of(key or name).sign(Statement(act=act, name=name, **members))

    async def hand_in(self, change: str, approvers: Sequence[str], act: str = "approve") -> list[Signed]:
        """A version as it should come: signed by its author, and by `approvers`."""
        signed = [await self.word(change, "author", "Dan"), *[await self.word(change, act, name) for name in approvers]]
        await self.versions.submit(version(change, self.quorum)[0], signed, now=self.now)
        return signed

    async def exceptions(self) -> Any:
        """What can be done to exceptions now."""
        state = await self.versions.state(self.now)
        base: Any = SimpleNamespace(**{**vars(self.base), "bundle": state.bundle})
        return Excepting(base, lambda: self.now / 1000).under(base).acts

    def wanted(self, principal: EntityUid, scope: str, millis: int) -> Wanted:
        """An exception that somebody may ask for."""
        return Wanted(
            principal=principal, scope=scope, expires_at=self.now + millis, reason=REASON, ticket="OPS-7",
            control="it is watched",
        )  # fmt: skip

    def approval(self, request: ExceptionRequest, name: str, *, key: str = "") -> str:
        """Somebody's word about an exception."""
        text = statement(request, name, self.now // 1000)
        return f"{text}\n{key_of(key or name).armor(text.encode())}"

    def expected(self, bundle: Bundle, grants: Sequence[ExceptionGrant], asked: Asked) -> Decision:
        """What must be decided now under `bundle` and `grants`, worked out past everything that acts."""
        answers = {
            entity: {
                source: SourceAnswer(document=document, observed_at=self.observed) for source, document in said.items()
            }
            for entity, said in _SAID.items()
        }
        facts = Assembly(bundle.catalogue).build(asked, answers, {}, self.now)
        principals = (asked.subject, *asked.actors)
        held = [one for one in grants if one.principal in principals and one.scope in asked.scopes]
        facts = replace(facts, exceptions=tuple(sorted(held, key=lambda one: one.id)))
        return decide(bundle, asked, facts, self.now)

    observed: int = START
    """When the facts were pushed last."""


async def attempt(call: Any) -> Any:
    """What comes of a call, or the refusal; anything else is a fault of ours."""
    try:
        return await call
    except (MintwardenError, SignatureRefused) as error:
        return error


def store_of(folder: Path) -> str:
    """The URL of a new store."""
    return f"sqlite:///{folder / 'quorum.db'}"
