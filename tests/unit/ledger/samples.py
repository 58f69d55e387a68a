"""Decisions, facts and ledgers to test with; everything from counters, nothing random."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mintwarden.ledger.note import Ed25519NoteSigner
from mintwarden.ledger.record import Recorder
from mintwarden.ledger.seal import Sealer
from mintwarden.model.asked import Asked
from mintwarden.model.decision import ClaimDecision, Decision, Lifetime, ScopeDecision
from mintwarden.model.facts import Facts, Reading
from mintwarden.model.ids import decision_id, decision_text
from mintwarden.model.token import PreparedToken
from mintwarden.model.values import Datetime, Entity, EntityUid, Record
from tests.unit.ledger.memory import MemoryStore

NOW = 1_795_000_000_000
ISSUER = "https://tokens.example"
ORIGIN = "tokens.example/ledger"
ALICE = EntityUid("User", "alice@example.com")
SECRET = sha256(b"ledger secret").digest()


def counting_bytes() -> Callable[[int], bytes]:
    """Different bytes at each call, the same in every run."""
    numbers = itertools.count()
    return lambda size: sha256(b"random" + next(numbers).to_bytes(8, "big")).digest()[:size]


def ids(now: int = NOW) -> Iterator[bytes]:
    """Decision ids without end."""
    entropy = counting_bytes()
    while True:
        yield decision_id(now, entropy(10))


def asked(subject: EntityUid = ALICE, **changes: Any) -> Asked:
    return Asked(
        **{
            "grant": "client_credentials",
            "client_id": "payments-batch",
            "subject": subject,
            "audience": "payments",
            "scopes": ("payments:read", "payments:settle"),
            "environment": "production",
            "purpose": "settlement",
            "tenant": "tenant-seven",
            "address": "10.20.0.7",
            "method": "private_key_jwt",
            **changes,
        }
    )


def facts(subject: EntityUid = ALICE) -> Facts:
    return Facts(
        subject=Entity(
            subject,
            {"department": "treasury", "tenants": frozenset({"tenant-seven", "tenant-nine"}), "risk": 12},
            frozenset({EntityUid("Group", "settlement-jobs")}),
        ),
        context=Record({"request": Record({"time": Datetime(NOW), "grant": "client_credentials"})}),
        readings={"subject/directory": Reading("present", NOW - 5000, 86_400_000)},
        ends={"subject/tenants": {"tenant-seven": NOW + 60_000}},
        epoch=3,
    )


def decision(subject: EntityUid = ALICE, **changes: Any) -> Decision:
    return Decision(
        **{
            "bundle": "sha256:" + "5a" * 32,
            "decided_at": NOW,
            "audience": "payments",
            "subject": subject,
            "actors": (),
            "scopes": (
                ScopeDecision(scope="payments:read", granted=True, route="payments-read"),
                ScopeDecision(scope="payments:settle", granted=False, reason="no_route"),
            ),
            "granted": True,
            "claims": (ClaimDecision("department", "treasury", "subject.department", "directory"),),
            "lifetime": Lifetime(300, "entitlement:tenants/tenant-seven", (("audience:payments", 900),)),
            **changes,
        }
    )


def prepared(raw_id: bytes) -> PreparedToken:
    return PreparedToken(
        decision_id=decision_text(raw_id),
        kid="key",
        algorithm="ES256",
        header=b"{}",
        payload=b"{}",
        digest=sha256(raw_id).digest(),
        issued_at=NOW // 1000,
        expires_at=NOW // 1000 + 300,
    )


def sealer() -> Sealer:
    return Sealer(secret=SECRET, random_bytes=counting_bytes())


def recorder(store: MemoryStore, **changes: Any) -> Recorder:
    return Recorder(**{"appender": store, "sealer": sealer(), "issuer": ISSUER, **changes})


def signing_key(seed: int = 1) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)


def note_signer(seed: int = 1, name: str = ORIGIN) -> Ed25519NoteSigner:
    return Ed25519NoteSigner(name=name, private=signing_key(seed))


async def fill(store: MemoryStore, count: int, *, start: int = 0) -> list[bytes]:
    """Record `count` decisions about several people; their ids."""
    numbers = list(itertools.islice(ids(NOW + start), count))
    writer = recorder(store)
    for number, raw_id in enumerate(numbers):
        person = EntityUid("User", f"person-{(start + number) % 7}")
        key = await store.get(f"User:{person.id}")
        await writer.record(
            decision_id=raw_id,
            decision=decision(person),
            asked=asked(person),
            facts=facts(person),
            prepared=prepared(raw_id),
            key=_Salt(*key) if key else None,
        )
    return numbers


class _Salt:
    def __init__(self, key_id: int, salt: bytes) -> None:
        self.id = key_id
        self.salt = salt
