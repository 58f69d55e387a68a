"""What people answered is told until it was taken or the request is over; tokens are minted when they are sent."""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter, defaultdict
from types import SimpleNamespace
from typing import Any, Literal, cast

import pytest
from msgspec.structs import replace

from mintwarden.app.answer_notices import BEHIND, FRESH, KIND, LATE, PAUSES, AnswerNotices
from mintwarden.app.telling import TAKEN, WAITING
from mintwarden.authn.fetch import GuardedFetcher
from mintwarden.authn.ports import Posted, Revocation, State
from mintwarden.authn.sign_in import SignIn
from mintwarden.issue.confines import Confines
from mintwarden.issue.granted import Granted
from mintwarden.issue.memory import Memory
from mintwarden.issue.pending import Pending
from mintwarden.mint.master import LocalMasterKey
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.terms import Backchannel
from mintwarden.model.values import EntityUid
from mintwarden.store import Store
from tests.conftest import FrozenClock
from tests.flow.notified import client_server
from tests.unit.authn.loopback import Loopback, answer
from tests.unit.issue.catalogue import client

SEAL = LocalMasterKey(bytes(32), random_bytes=os.urandom)
TAKES, FAILS = Posted(204, b""), Posted(503, b"")
SILENT = MintwardenError(ErrorKind.SOURCE, "no answer")
LIFE = 300_000
ENDS = 90 * 24 * 3_600_000
"""Of the grant: it outlives the request."""


class Node:
    """A node on the store; what it minted, ended and sent, and the client's end as it sees it."""

    def __init__(self, store: Store, clock: FrozenClock, *answers: Posted | BaseException, name: str = "a") -> None:
        self.store = store
        self.clock = clock
        self.name = name
        self.answers = list(answers)
        self.posted: list[dict[str, Any]] = []
        self.acts: list[tuple[str, ...]] = []
        self.outcomes: Counter[str] = Counter()
        self.told: list[BaseException] = []
        self.trouble: list[BaseException | None] = []
        self.where: str | None = "https://till.example.com/cb"
        self.places: dict[str, str] = {}
        self.silent: set[str] = set()
        self.reached: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.memory = Memory(states=store.states, seal=SEAL, revocations=store.revocations)
        self.notices = AnswerNotices(
            cast("Any", SimpleNamespace(store=store, master=SEAL, holder=name)),
            way=cast("Any", lambda _client_id: self),
            memory=self.memory,
            endings=cast("Any", self),
            client=self.find,
            listed=self.listed,
            walk=cast("Any", self.walk),
            told=self,
            now=clock.now,
        )

    def listed(self, client_id: str) -> Any:
        where = self.places.get(client_id, self.where) or ""
        return client(client_id, backchannel=Backchannel(delivery="push", endpoint=where)), False

    async def find(self, client_id: str, _now: int) -> Any:
        where = self.places.get(client_id, self.where)
        return None if where is None else client(client_id, backchannel=Backchannel(delivery="push", endpoint=where))

    async def walk(self, pending: Pending, delivery: int) -> Any:
        trouble = self.trouble.pop(0) if self.trouble else None
        if trouble is not None:
            raise trouble
        self.acts.append(("minted", f"{self.name}{delivery}"))
        token = SimpleNamespace(
            compact=f"token-{self.name}{delivery}",
            token_type="Bearer",
            expires_in=300,
            decision_id=f"{self.name}{delivery}",
        )
        decision = SimpleNamespace(granted_scopes=("pay:read",), details=())
        asked = SimpleNamespace(grant="ciba", details=())
        return SimpleNamespace(token=token, id_token=None, refresh_token="", decision=decision, asked=asked)

    async def end(self, grant_id: str, _ends: int, *, reason: str) -> None:
        self.acts.append(("grant ended", grant_id, reason))

    async def end_token(self, token_id: str, _ends: int, *, reason: str) -> None:
        self.acts.append(("token ended", token_id, reason))

    async def post_json(self, url: str, content: bytes, *, authorization: str) -> Posted:
        assert authorization == "Bearer bearer-1"
        self.posted.append(json.loads(content))
        self.reached[url].set()
        if url in self.silent:
            await asyncio.Event().wait()
        said = self.answers.pop(0) if self.answers else SILENT
        if isinstance(said, BaseException):
            raise said
        return said

    def notice_became(self, about: str, outcome: str) -> None:
        assert about == "ciba"
        self.outcomes[outcome] += 1

    def notice_failed(self, _about: str, client_id: str, _error: MintwardenError) -> None:
        assert client_id == "till"

    def notices_waiting(self, _about: str, waiting: int) -> None:
        self.waiting = waiting

    def stumbled(self, _task: str, error: BaseException) -> None:
        self.told.append(error)

    async def asked(self, delivery: Literal["ping", "push"] = "push", client_id: str = "till") -> Pending:
        """A request that waits for alice, and whose client is to be told of her answer."""
        now = self.clock.now()
        _, pending = await self.memory.waiting.begin(
            os.urandom,
            Pending(
                name="", kind="auth_req_id", digest="", client_id=client_id, scopes={"payments": ("pay:read",)},
                identity=("openid",), confines=Confines("", "", "", "", "", None), began_at=now, ends=now + LIFE,
                delivery=delivery, notify_token="bearer-1", person="User:alice",
            ),
        )  # fmt: skip
        await self.notices.keep(pending)
        return pending

    async def answer(self, pending: Pending, *, allow: bool = True) -> None:
        """What alice says; due at once."""
        now = self.clock.now()
        sign_in = SignIn(subject=EntityUid("User", "alice"), provider="corp", authenticated_at=1, session="sid")
        granted = Granted(
            grant_id="g1", client_id="till", sign_in=sign_in, scopes=pending.scopes, granted_at=now, ends=now + ENDS
        )
        assert await self.memory.waiting.answer(pending.name, granted if allow else None, now) is not None
        held = await self.notices._shelf.get(pending.name, 0)
        assert held is not None
        await self.notices._shelf.replace(held, replace(held.value, due=now))

    async def allowed(self, delivery: Literal["ping", "push"] = "push", client_id: str = "till") -> Pending:
        pending = await self.asked(delivery, client_id)
        await self.answer(pending)
        return pending

    async def kept(self) -> list[State]:
        return list(await self.store.states.owned(KIND, WAITING, 10))

    @property
    def sent(self) -> list[str]:
        return [document.get("access_token") or document.get("error", "") for document in self.posted]


async def test_tokens_are_minted_when_they_are_sent_and_once(store: Store, clock: FrozenClock) -> None:
    node = Node(store, clock, TAKES)
    pending = await node.allowed()
    assert node.acts == [], "nobody was told yet"
    for _ in range(3):
        await node.notices.run()
    (document,) = node.posted
    assert document == {
        "auth_req_id": pending.handle, "access_token": "token-a1", "token_type": "Bearer", "expires_in": 300,
        "scope": "pay:read",
    }  # fmt: skip
    assert node.acts == [("minted", "a1")]
    assert (await node.kept(), node.outcomes, node.told) == ([], {"delivered": 1}, [])


@pytest.mark.parametrize("delivery", ["ping", "push"])
async def test_a_server_that_never_answers_delays_no_other(
    store: Store, clock: FrozenClock, delivery: Literal["ping", "push"]
) -> None:
    """Of many clients, with several answers each; one that comes up meanwhile is told at once."""
    node = Node(store, clock, TAKES, TAKES)
    down, first, late = (f"https://{name}.example/cb" for name in ("down", "first", "late"))
    node.silent.add(down)
    for number in range(40):
        node.places[f"c{number}"] = down
        await node.allowed(delivery, f"c{number}")
    node.places |= {"first": first, "late": late}
    await node.allowed(delivery, "first")
    running = asyncio.create_task(node.notices.run())
    await asyncio.wait_for(node.reached[first].wait(), 30)
    await node.allowed(delivery, "late")
    node.notices.tell()
    await asyncio.wait_for(node.reached[late].wait(), 30)
    assert len(node.posted) == 3, "the one that is down has one attempt at a time"
    assert not running.done()
    running.cancel()
    await node.notices.close()
    await asyncio.gather(running, return_exceptions=True)


async def test_it_is_sent_at_once_when_it_was_answered(store: Store, clock: FrozenClock) -> None:
    node = Node(store, clock, TAKES)
    pending = await node.asked()
    granted = Granted(
        grant_id="g1", client_id="till", scopes={}, granted_at=clock.now(), ends=clock.now() + ENDS,
        sign_in=SignIn(subject=EntityUid("User", "alice"), provider="corp", authenticated_at=1, session="sid"),
    )  # fmt: skip
    said = await node.memory.waiting.answer(pending.name, granted, clock.now())
    assert said is not None
    await node.notices.answered(said)
    assert node.notices._soon is not None
    await node.notices._soon
    assert node.sent == ["token-a1"]
    await node.notices.close()


async def test_what_is_to_be_told_is_kept_before_the_answer_and_told_after_it(store: Store, clock: FrozenClock) -> None:
    """A node that ends between the two: nothing is sent before the person has answered, and then it is."""
    node = Node(store, clock, TAKES, TAKES)
    pending = await node.asked()
    clock.advance(millis=TAKEN)
    await node.notices.run()
    assert (node.posted, node.acts, len(await node.kept())) == ([], [], 1)
    await node.notices.keep(pending)
    await node.answer(pending)
    await node.notices.run()
    assert node.sent == ["token-a2"]
    await node.notices.keep(pending)  # somebody answers in another window, too late
    clock.advance(millis=TAKEN)
    await node.notices.run()
    assert len(node.posted) == 1, "what was told is not told again"
    assert await node.kept() == []


async def test_a_server_that_fails_is_sent_the_same_tokens_again(store: Store, clock: FrozenClock) -> None:
    node = Node(store, clock, FAILS, SILENT, TAKES)
    await node.allowed()
    await node.notices.run()
    for pause in PAUSES[:2]:
        clock.advance(millis=pause * 1000 - 1)
        await node.notices.run()
        clock.advance(millis=1)
        await node.notices.run()
    assert node.sent == ["token-a1"] * 3
    assert [document["expires_in"] for document in node.posted] == [300, 299, 294]
    assert node.acts == [("minted", "a1")]
    assert node.outcomes == {"failed": 2, "delivered": 1}


async def test_tokens_that_became_old_are_ended_and_others_sent(store: Store, clock: FrozenClock) -> None:
    node = Node(store, clock, FAILS, FAILS, FAILS, FAILS, TAKES)
    await node.allowed()
    await node.notices.run()
    for pause in PAUSES:
        clock.advance(millis=pause * 1000)
        await node.notices.run()
    assert sum(PAUSES[:3]) * 1000 < FRESH < sum(PAUSES) * 1000
    assert node.sent == ["token-a1"] * 4 + ["token-a5"]
    assert node.acts == [
        ("minted", "a1"), ("token ended", "a1", "others are sent instead of it"), ("minted", "a5")
    ]  # fmt: skip


async def test_what_was_answered_before_a_restart_is_sent_after_it(store: Store, clock: FrozenClock) -> None:
    first = Node(store, clock)
    await first.allowed()
    await first.notices.close()
    second = Node(store, clock, TAKES, name="b")
    await second.notices.run()
    assert second.posted == [], "the other one may still be there"
    clock.advance(millis=BEHIND)
    await second.notices.run()
    assert second.sent == ["token-b1"]
    assert second.acts == [("minted", "b1")], "nothing was sent before, so nothing is to be ended"


async def test_a_node_that_dies_while_it_sends_leaves_it_to_the_others_which_say_so(
    store: Store, clock: FrozenClock
) -> None:
    """The first tokens may have arrived: they are revoked, with an entry, before others are minted."""
    dying, other = Node(store, clock, asyncio.CancelledError()), Node(store, clock, TAKES, name="b")
    await dying.allowed()
    with pytest.raises(asyncio.CancelledError):
        await dying.notices.run()
    clock.advance(millis=TAKEN + BEHIND - 1)
    await other.notices.run()
    assert other.posted == [], "it is the first one's for a while"
    clock.advance(millis=1)
    await other.notices.run()
    assert (dying.sent, other.sent) == (["token-a1"], ["token-b2"])
    assert other.acts == [("token ended", "a1", "others are sent instead of it"), ("minted", "b2")]
    assert await other.kept() == []


async def test_of_several_nodes_one_mints_and_sends(store: Store, clock: FrozenClock) -> None:
    nodes = [Node(store, clock, TAKES, name=name) for name in "abcd"]
    pending = await nodes[0].allowed()
    await nodes[1].notices.keep(pending)
    clock.advance(millis=BEHIND)
    await asyncio.gather(*(node.notices.run() for node in nodes for _ in range(2)))
    assert sum(len(node.posted) for node in nodes) == 1
    assert sum(len(node.acts) for node in nodes) == 1


async def test_a_node_that_was_too_slow_sends_nothing(store: Store, clock: FrozenClock) -> None:
    """It minted when another node had taken over: what it minted leaves it not."""
    slow, other = Node(store, clock, TAKES), Node(store, clock, TAKES, name="b")
    walk = slow.walk

    async def late(pending: Pending, delivery: int) -> Any:
        clock.advance(millis=TAKEN + BEHIND)
        await other.notices.run()
        return await walk(pending, delivery)

    slow.notices._walk = late
    await slow.allowed()
    await slow.notices.run()
    assert (slow.posted, other.sent) == ([], ["token-b2"])
    assert await slow.kept() == []


@pytest.mark.parametrize("status", [401, 403, 302, 400])
async def test_a_refusal_ends_the_grant_and_is_not_tried_again(store: Store, clock: FrozenClock, status: int) -> None:
    node = Node(store, clock, Posted(status, b""))
    await node.allowed()
    for _ in range(3):
        await node.notices.run()
        clock.advance(seconds=60)
    assert node.sent == ["token-a1"]
    assert node.acts == [("minted", "a1"), ("grant ended", "g1", "its tokens could not be delivered")]
    assert await node.kept() == []
    assert [str(error) for error in node.told] == [f"client `till` answered {status}"]


async def test_nothing_is_sent_after_the_end_of_the_request(store: Store, clock: FrozenClock) -> None:
    """Whoever is up then ends the grant, also where nobody remembers the request itself any more."""
    node = Node(store, clock)
    await node.allowed()
    await node.notices.run()
    for _ in range(10):
        clock.advance(seconds=60)
        await node.notices.run()
    attempts = len(node.posted)
    assert attempts == 4, "at the beginning, and after 60, 120 and 180 seconds of 300"
    assert node.acts[-1] == ("grant ended", "g1", "its tokens could not be delivered")
    assert str(node.told[-1]) == "client `till` was not told of an answer in time"
    assert await node.kept() == []
    assert node.outcomes == {"failed": attempts, "given_up": 1}

    await node.allowed()
    await node.notices.run()
    clock.advance(millis=LATE)
    other = Node(store, clock, TAKES, name="b")
    await other.notices.run()
    assert (other.posted, other.acts) == ([], [("grant ended", "g1", "its tokens could not be delivered")])


async def test_where_nothing_comes_of_it_the_client_hears_that_and_the_grant_ends(
    store: Store, clock: FrozenClock
) -> None:
    node = Node(store, clock, FAILS, TAKES)
    node.trouble = [MintwardenError(ErrorKind.INVALID_TARGET, "gone")]
    await node.allowed()
    await node.notices.run()
    clock.advance(seconds=1)
    await node.notices.run()
    assert node.sent == ["transaction_failed"] * 2
    assert {document["error_description"] for document in node.posted} == {
        "it was allowed, and something failed here: have the person asked anew"
    }
    assert node.acts == [("grant ended", "g1", "nothing came of it")], "once, however often it is told"
    assert [str(error) for error in node.told] == ["gone"]


@pytest.mark.parametrize("kind", [ErrorKind.OVERLOADED, ErrorKind.UNAVAILABLE, ErrorKind.STORE, ErrorKind.LEDGER])
async def test_what_is_wrong_with_us_for_a_while_ends_nothing(
    store: Store, clock: FrozenClock, kind: ErrorKind
) -> None:
    node = Node(store, clock, TAKES)
    node.trouble = [MintwardenError(kind, "not now")]
    await node.allowed()
    await node.notices.run()
    assert (node.posted, node.acts) == ([], [])
    clock.advance(seconds=PAUSES[0])
    await node.notices.run()
    assert node.sent == ["token-a2"]


async def test_what_nobody_foresaw_is_told_as_failed(store: Store, clock: FrozenClock) -> None:
    node = Node(store, clock, TAKES)
    node.trouble = [RuntimeError("unforeseen")]
    await node.allowed()
    await node.notices.run()
    assert node.sent == ["transaction_failed"]
    assert [str(error) for error in node.told] == ["unforeseen"]


async def test_a_grant_that_was_taken_back_meanwhile_is_not_sent_again(store: Store, clock: FrozenClock) -> None:
    node = Node(store, clock, FAILS, TAKES)
    node.trouble = [None, MintwardenError(ErrorKind.INVALID_GRANT, "the grant has ended")]
    await node.allowed()
    await node.notices.run()
    now = clock.advance(seconds=1)
    await store.revocations.revoke([Revocation(about="grant", value="g1", before=now, until=now + ENDS)])
    await node.notices.run()
    assert node.sent == ["token-a1", "transaction_failed"]


async def test_a_no_is_told_too_and_ends_nothing(store: Store, clock: FrozenClock) -> None:
    node = Node(store, clock, FAILS, TAKES)
    pending = await node.asked()
    await node.answer(pending, allow=False)
    await node.notices.run()
    clock.advance(seconds=1)
    await node.notices.run()
    assert node.sent == ["access_denied"] * 2
    assert node.acts == []


async def test_a_client_that_is_gone_is_told_nothing_and_has_nothing(store: Store, clock: FrozenClock) -> None:
    node = Node(store, clock, TAKES)
    await node.allowed()
    node.where = None
    await node.notices.run()
    assert (node.posted, node.acts) == ([], [("grant ended", "g1", "its tokens could not be delivered")])


async def test_somebody_who_is_forgotten_is_not_told_about(store: Store, clock: FrozenClock) -> None:
    node = Node(store, clock, TAKES)
    await node.allowed()
    await store.states.forget("User:alice")
    await node.notices.run()
    assert (node.posted, node.acts, await node.kept()) == ([], [], [])


@pytest.mark.parametrize("status", [204, 503, 401, 403, 302, 307])
async def test_a_ping_says_which_request_and_ends_nothing(store: Store, clock: FrozenClock, status: int) -> None:
    """A client that was not told can still ask."""
    node = Node(store, clock, *[Posted(status, b"")] * 9)
    pending = await node.allowed("ping")
    for _ in range(LIFE // 1000 // 10 + 1):
        await node.notices.run()
        clock.advance(seconds=10)
    assert node.posted == [{"auth_req_id": pending.handle}] * (6 if status == 503 else 1)
    assert (node.acts, await node.kept()) == ([], [])


async def test_over_http_nothing_is_followed_and_the_head_says_who_we_are(store: Store, clock: FrozenClock) -> None:
    node = Node(store, clock)
    fetcher = GuardedFetcher(development=True)
    node.notices._way = lambda _client_id: fetcher
    async with client_server(307) as there:
        node.where = there.url
        pending = await node.allowed("ping")
        await node.notices.run()
        (told,) = there.heard
    assert told.startswith(b"POST /cb HTTP/1.1\r\n")
    assert b"authorization: Bearer bearer-1\r\n" in told
    assert b"content-type: application/json\r\n" in told
    assert told.endswith(b'{"auth_req_id":"%s"}' % pending.handle.encode())
    assert "bearer-1" not in str(node.told)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "0x7f.1", "2130706433"])
async def test_the_services_own_network_is_not_sent_tokens(store: Store, clock: FrozenClock, host: str) -> None:
    node = Node(store, clock)
    fetcher = GuardedFetcher()
    node.notices._way = lambda _client_id: fetcher
    async with Loopback({"/cb": answer()}) as inside:
        node.where = f"http://{host}:{inside.port}/cb"
        await node.allowed()
        await node.notices.run()
        assert inside.seen == []
    assert node.outcomes == {"failed": 1}
