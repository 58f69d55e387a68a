"""Events that are pushed: tried for some hours, over restarts, and held when nobody takes them."""

from __future__ import annotations

import os
from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec.structs import replace

from mintwarden.app.signal_notices import PAUSES, PushNotices, event_algorithm
from mintwarden.app.signals_out import HELD, TRIED, SignalsOut
from mintwarden.authn.fetch import GuardedFetcher
from mintwarden.authn.jose import decode_json, parse
from mintwarden.authn.ports import Posted
from mintwarden.feeds.security_events import ACCOUNT_DISABLED, ACCOUNT_ENABLED, SESSION_REVOKED, STREAM_UPDATED
from mintwarden.feeds.streams import PUSH, Stream
from mintwarden.feeds.transmitter import UNREACHED
from mintwarden.mint.master import LocalMasterKey
from mintwarden.mint.signers import LocalSigner
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.values import EntityUid
from mintwarden.store import Store
from tests.conftest import FrozenClock

SIGNER = LocalSigner(kid="k", algorithm="ES256", private_key=ec.generate_private_key(ec.SECP256R1()))
SEAL = LocalMasterKey(bytes(32), random_bytes=os.urandom)
URL = "https://shop.example.com/events"
STREAM = Stream(
    id="s", client_id="shop", method=PUSH, push_url=URL, authorization="Bearer x", requested=(SESSION_REVOKED,)
)
ALICE, BY = "User:alice", EntityUid("Workload", "operator")
FAILED = MintwardenError(ErrorKind.SOURCE, "no answer")
TAKES = Posted(202, b"")


class Node:
    """A node on the store, and the receiver's end as it sees it."""

    def __init__(
        self, store: Store, clock: FrozenClock, *answers: Posted | Exception, fetcher: GuardedFetcher | None = None
    ) -> None:
        self.clock = clock
        self.answers = list(answers)
        self.posted: list[tuple[str, dict[str, Any], str]] = []
        self.outcomes: Counter[str] = Counter()
        self.told: list[BaseException] = []
        self.warned: list[str] = []
        self.known = True
        self.written: list[Any] = []
        config = SimpleNamespace(server=SimpleNamespace(dev=False), notices=SimpleNamespace(networks=("10.1.0.0/16",)))
        base = SimpleNamespace(
            issuer="https://tokens.example.com",
            ring=SimpleNamespace(signer_for=lambda _algorithm: SIGNER),
            store=store,
            master=SEAL,
            clock=clock,
            config=config,
            scribe=lambda: self,
        )
        catalogue = SimpleNamespace(
            audiences={"shared-signals": SimpleNamespace(algorithm="ES256")},
            clients={"shop": SimpleNamespace(ceilings={"shared-signals": ()})},
        )
        current = SimpleNamespace(authenticator=self, bundle=SimpleNamespace(catalogue=catalogue))
        self.out = SignalsOut(cast("Any", base), lambda: cast("Any", catalogue))
        self.notices = PushNotices(
            cast("Any", base),
            signals=self.out,
            governing=cast("Any", SimpleNamespace(current=current)),
            way=lambda _client_id: fetcher or cast("Any", self),
            told=self,
        )

    async def find(self, _client_id: str, _now: int) -> Any:
        return SimpleNamespace(ceilings={"shared-signals": ()}) if self.known else None

    async def post_event(self, url: str, content: bytes, *, kind: str, authorization: str = "") -> Posted:
        assert kind == "application/secevent+jwt"
        self.posted.append((url, decode_json(parse(content.decode()).payload), authorization))
        found = self.answers.pop(0) if self.answers else FAILED
        if isinstance(found, Exception):
            raise found
        return found

    async def write(self, *entry: Any) -> None:
        """Into the ledger."""
        self.written.append(entry)

    def notice_became(self, _about: str, outcome: str) -> None:
        self.outcomes[outcome] += 1

    def notice_failed(self, _about: str, _client_id: str, error: MintwardenError) -> None:
        self.warned.append(error.public)

    def notices_waiting(self, _about: str, waiting: int) -> None:
        """Nobody asks here."""

    def stumbled(self, _task: str, error: BaseException) -> None:
        self.told.append(error)

    async def revoke(self, person: str = ALICE) -> None:
        await self.out.revoked("subject", person, BY)

    async def exhausted(self) -> None:
        """Every attempt, each when it is due."""
        await self.notices.run()
        for seconds in PAUSES:
            self.clock.advance(seconds=seconds)
            await self.notices.run()


async def stream(node: Node, of: Stream = STREAM) -> Stream:
    assert await node.out.streams.add(of)
    return of


async def test_a_push_that_nobody_takes_pauses_the_stream_and_is_held(store: Store, clock: FrozenClock) -> None:
    node = Node(store, clock)
    await stream(node)
    await node.revoke()
    await node.exhausted()
    events = [next(iter(one["events"])) for _, one, _ in node.posted]
    assert events == [SESSION_REVOKED] * (len(PAUSES) + 1) + [STREAM_UPDATED]
    kept = await node.out.streams.find("shop")
    assert kept is not None
    assert (kept.status, kept.reason) == ("paused", UNREACHED)
    assert node.outcomes["given_up"] == 1
    # Its receiver is told, as soon as it is there, whatever the status is.
    node.answers = [TAKES]
    clock.advance(seconds=1)
    await node.notices.run()
    assert list(node.posted[-1][1]["events"]) == [STREAM_UPDATED]
    # Nothing more is pushed meanwhile, and everything once it says so.
    await node.revoke("User:bob")
    await node.notices.run()
    assert len(node.posted) == len(events) + 1
    node.answers = [TAKES, TAKES]
    await node.out.transmitter.set_status(cast("Any", Who), {"stream_id": "s", "status": "enabled"})
    clock.advance(seconds=1)
    await node.notices.run()
    assert [one["sub_id"]["sub"] for _, one, _ in node.posted[-2:]] == ["alice", "bob"]
    assert await node.out.events.count("s") == 0


class Who:
    """The receiver, as its token says."""

    client_id = "shop"
    token_id = "t"
    principal = EntityUid("Workload", "shop")


async def test_another_node_goes_on_with_what_one_did_not_deliver(store: Store, clock: FrozenClock) -> None:
    first = Node(store, clock)
    await stream(first)
    await first.revoke()
    await first.notices.run()
    clock.advance(seconds=1)
    second = Node(store, clock, TAKES)
    await second.notices.run()
    assert first.posted[0][1]["jti"] == second.posted[0][1]["jti"]
    assert second.posted[0][2] == "Bearer x"
    assert await second.out.events.count("s") == 0


async def test_what_is_told_twice_of_one_cause_is_there_once(store: Store, clock: FrozenClock) -> None:
    node = Node(store, clock, TAKES)
    await stream(node)
    for _ in range(2):
        await node.out.transmitter.tell(
            SESSION_REVOKED, {"format": "opaque", "id": "x"}, {}, cause="one", hears=lambda _client: True
        )
    assert await node.out.events.count("s") == 1


async def test_a_stream_that_is_gone_or_polled_now_is_not_pushed(store: Store, clock: FrozenClock) -> None:
    node = Node(store, clock)
    await stream(node)
    await node.revoke()
    assert await node.out.streams.replace(STREAM, Stream(id="s", client_id="shop", requested=(SESSION_REVOKED,)))
    await node.notices.run()
    assert node.posted == []
    assert await node.out.events.count("s") == 1, "it can be polled"


async def test_a_client_that_is_gone_is_not_told(store: Store, clock: FrozenClock) -> None:
    node = Node(store, clock)
    node.known = False
    await stream(node)
    await node.revoke()
    await node.notices.run()
    assert node.posted == []


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "10.0.0.1", "::1", "fd00::1"])
async def test_a_name_that_leads_into_our_network_is_not_called(store: Store, clock: FrozenClock, address: str) -> None:
    """The name is fine when the stream is made, and leads elsewhere when we connect."""

    async def resolve(_host: str, _port: int) -> list[str]:
        return [address]

    node = Node(store, clock, fetcher=GuardedFetcher(resolve=resolve))
    await stream(node)
    await node.revoke()
    await node.notices.run()
    assert node.outcomes == {"failed": 1}
    assert await node.out.events.count("s") == 1


@pytest.mark.parametrize(
    "url",
    ["https://127.0.0.1/", "https://[::1]/", "http://shop.example.com/", "http://127.0.0.1/", "https://10.0.0.1/"],
)
async def test_outside_development_nothing_is_pushed_on_this_machine_or_in_the_open(
    store: Store, clock: FrozenClock, url: str
) -> None:
    node = Node(store, clock)
    delivery = {"method": PUSH, "endpoint_url": url}
    with pytest.raises(MintwardenError) as refused:
        await node.out.transmitter.create(cast("Any", Who), {"delivery": delivery})
    assert refused.value.kind is ErrorKind.INVALID_REQUEST
    assert await node.out.streams.find("shop") is None


@pytest.mark.parametrize(
    ("answer", "again"),
    [
        (Posted(202, b""), False),
        (Posted(200, b""), False),
        (Posted(400, b'{"err": "invalid_key"}'), False),
        (Posted(400, b'{"err": "invalid_state"}'), False),
        (Posted(400, b'{"err": "access_denied"}'), True),
        (Posted(400, b'{"err": ["x"]}'), True),
        (Posted(400, b"[]"), True),
        (Posted(400, b"not json"), True),
        (Posted(401, b'{"err": "invalid_key"}'), True),
        (Posted(302, b""), True),
        (Posted(503, b""), True),
    ],
)
async def test_what_an_answer_means(store: Store, clock: FrozenClock, answer: Posted, again: bool) -> None:
    node = Node(store, clock, answer)
    await stream(node)
    await node.revoke()
    await node.notices.run()
    assert (await node.out.events.count("s") == 1) is again
    assert (node.outcomes["failed"] == 1) is again


async def test_events_end_by_time(store: Store, clock: FrozenClock) -> None:
    assert HELD > 2 * TRIED
    node = Node(store, clock)
    polled = await stream(node, Stream(id="s", client_id="shop", requested=(SESSION_REVOKED,)))
    await node.revoke()
    assert len(await node.out.events.oldest(polled.id, 10)) == 1
    clock.advance(seconds=HELD // 1000)
    assert await node.out.events.oldest(polled.id, 10) == []


def test_events_are_signed_in_rs256_where_some_audience_is() -> None:
    def catalogue(**algorithms: str) -> Any:
        made = {name.replace("_", "-"): SimpleNamespace(algorithm=one) for name, one in algorithms.items()}
        return SimpleNamespace(audiences=made)

    assert event_algorithm(catalogue(shared_signals="ES256")) == "ES256"
    assert event_algorithm(catalogue(shared_signals="PS256", other="RS256")) == "RS256"


async def test_what_undoes_something_comes_after_it(store: Store, clock: FrozenClock) -> None:
    node = Node(store, clock, FAILED, TAKES)
    await stream(node, replace(STREAM, requested=(ACCOUNT_DISABLED, ACCOUNT_ENABLED)))
    alice, bob = EntityUid("User", "alice"), EntityUid("User", "bob")
    await node.out.account_became(alice, "disabled", cause="1")
    await node.notices.run()
    clock.advance(millis=1)
    await node.out.account_became(alice, "enabled", cause="2")
    await node.out.account_became(bob, "enabled", cause="3")
    await node.notices.run()
    assert [one["sub_id"]["sub"] for _, one, _ in node.posted] == ["alice", "bob"], "bob's has nothing before it"
    node.answers = [TAKES, TAKES]
    clock.advance(seconds=20)
    await node.notices.run()
    clock.advance(seconds=20)
    await node.notices.run()
    events = [next(iter(one["events"])) for _, one, _ in node.posted if one["sub_id"]["sub"] == "alice"]
    assert events == [ACCOUNT_DISABLED, ACCOUNT_DISABLED, ACCOUNT_ENABLED]


async def test_what_began_since_a_revocation_is_spared_by_its_time(store: Store, clock: FrozenClock) -> None:
    """A transmitter told of it late: what is passed on is dated as what it is about."""
    node = Node(store, clock, TAKES)
    await stream(node)
    await node.out.revoked("subject", ALICE, BY, before=clock.now() - 3_600_000)
    await node.notices.run()
    ((_, claims, _),) = node.posted
    assert claims["events"][SESSION_REVOKED]["event_timestamp"] == clock.now() // 1000 - 3_600
    assert claims["iat"] == clock.now() // 1000
