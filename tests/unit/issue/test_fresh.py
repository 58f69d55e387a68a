"""What a fresh decision asks, and where it gives up before it asks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec.structs import replace

from mintwarden.issue.epoch import EpochMoved
from mintwarden.issue.fresh import Fresh, Still
from mintwarden.ledger.document import SealedDecision
from mintwarden.model.asked import Asked
from mintwarden.model.caller import Binding, Evidence
from mintwarden.model.catalogue import Client
from mintwarden.model.decision import ClaimDecision, Decision, Lifetime, ScopeDecision
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.facts import Facts
from mintwarden.model.values import Entity, EntityUid, Record
from tests.unit.issue.catalogue import CATALOGUE, client

NOW = 1_795_000_000_000
ALICE, BOT = EntityUid("User", "alice"), EntityUid("Agent", "bot")
KEY = Binding(kind="dpop", thumbprint="x")
ASKED = Asked(
    grant="token_exchange",
    client_id="web",
    subject=ALICE,
    actors=(BOT,),
    audience="payments",
    scopes=("pay:read", "pay:write"),
    environment="production",
    tenant="north",
    acr="phr",
    session="s1",
    device="d1",
    binding=KEY,
)
FACTS = Facts(subject=Entity(ALICE, {}, frozenset()), context=Record({}), epoch=7)


class Bench:
    """A `Fresh` over fakes, and what it did."""

    def __init__(self, *, clients: dict[str, Client] | None = None, epoch: int = 7) -> None:
        self.reads = 0
        self.questions: list[Asked] = []
        self.granted: tuple[str, ...] = ("pay:read",)
        self.actors: tuple[EntityUid, ...] = (BOT,)
        self.before: SealedDecision | None = SealedDecision(ASKED, FACTS, {})
        self.known = {"web": client("web")} if clients is None else clients
        self.fresh = Fresh(
            catalogue=CATALOGUE,
            clients=cast("Any", SimpleNamespace(epoch=epoch, find=self.find)),
            judge=cast("Any", SimpleNamespace(decide=self.decide)),
            assemble=cast("Any", self.assemble),
            recorded=self.recorded,
            entropy=bytes,
        )

    async def find(self, name: str, _now: int) -> Client | None:
        if name == "https://gone.example":
            raise MintwardenError(ErrorKind.INVALID_CLIENT, "its document is not to be had")
        return self.known.get(name)

    async def recorded(self, _shown: object) -> SealedDecision | None:
        return self.before

    async def assemble(self, asked: Asked, caller: object, _now: int) -> Any:
        assert caller is None
        self.reads += 1
        return SimpleNamespace(facts=FACTS, subject_keys={})

    def decide(self, asked: Asked, _facts: Facts, now: int, _decision_id: bytes) -> Decision:
        self.questions.append(asked)
        return Decision(
            bundle="b",
            decided_at=now,
            audience="payments",
            subject=ALICE,
            actors=self.actors,
            scopes=tuple(ScopeDecision(scope=name, granted=name in self.granted) for name in asked.scopes),
            granted=bool(self.granted),
            claims=(ClaimDecision("department", "finance", "subject.department", "directory"),),
            lifetime=Lifetime(60, "audience", ()) if self.granted else None,
        )

    async def ask(self, **token: Any) -> Still | None:
        said: dict[str, Any] = {
            "principal": ALICE, "issuer": "i", "own": True, "token_id": "t", "scopes": ("pay:read", "pay:write"),
            "actors": (BOT,), "expires_at": NOW + 300_000,
        }  # fmt: skip
        return await self.fresh.decide(cast("Any", SimpleNamespace(evidence=Evidence(**said | token))), NOW)


async def test_the_question_is_the_recorded_one_about_what_the_token_says():
    bench = Bench()
    still = await bench.ask(scopes=("pay:read",))
    assert still is not None
    assert (still.scopes, still.expires_at, still.claims[0].value) == (("pay:read",), NOW + 60_000, "finance")
    (asked,) = bench.questions
    assert asked.scopes == ("pay:read",), "and no scope that was refused then"
    for name in ("grant", "client_id", "subject", "actors", "tenant", "acr", "session", "device", "binding"):
        assert getattr(asked, name) == getattr(ASKED, name)
    assert bench.reads == 1


async def test_it_ends_no_later_than_the_token():
    still = await Bench().ask(expires_at=NOW + 5_000)
    assert still is not None
    assert still.expires_at == NOW + 5_000


async def test_a_registered_client_is_asked_about_as_it_is_now():
    bench = Bench(clients={"reg-1": client("reg-1", owner="new owner")})
    bench.before = SealedDecision(replace(ASKED, client_id="reg-1"), FACTS, {})
    assert await bench.ask() is not None
    registered = bench.questions[0].registered
    assert registered is not None
    assert registered.owner == "new owner"


@pytest.mark.parametrize(
    "clients",
    [
        {},
        {"web": client("web", grants=("client_credentials",))},
        {"web": client("web", environments=("staging",))},
    ],
    ids=["retired", "grant taken away", "environment taken away"],
)
async def test_where_the_line_would_not_get_to_a_decision_none_is_made(clients: dict[str, Client]):
    bench = Bench(clients=clients)
    assert await bench.ask() is None
    assert bench.reads == 0


async def test_a_purpose_that_is_no_more():
    bench = Bench()
    bench.before = SealedDecision(replace(ASKED, purpose="x"), FACTS, {})
    assert await bench.ask() is None


async def test_a_client_whose_description_is_not_to_be_had():
    bench = Bench()
    bench.before = SealedDecision(replace(ASKED, client_id="https://gone.example"), FACTS, {})
    assert await bench.ask() is None


async def test_nothing_recorded_nothing_told():
    bench = Bench()
    bench.before = None
    assert await bench.ask() is None


async def test_nothing_granted_nothing_told():
    bench = Bench()
    bench.granted = ()
    assert await bench.ask() is None


async def test_a_token_that_would_show_its_actor_now_is_not_the_one_that_hides_it():
    bench = Bench()
    assert await bench.ask(actors=()) is None


async def test_facts_newer_than_what_it_is_decided_under_begin_again():
    with pytest.raises(EpochMoved):
        await Bench(epoch=6).ask()
