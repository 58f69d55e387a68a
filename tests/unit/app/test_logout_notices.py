"""Notices that a session has ended: kept until taken, by one node at a time, given up loudly, never in anybody's way."""

from __future__ import annotations

import asyncio
import os
from collections import Counter, defaultdict
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec.structs import replace

from mintwarden.app.lanes import APART, AT_ONCE
from mintwarden.app.logout_notices import KEPT, KIND, PAUSES, LogoutNotice, LogoutNotices
from mintwarden.app.telling import TAKEN, WAITING
from mintwarden.authn.jose import decode_json, parse
from mintwarden.authn.ports import Posted, State
from mintwarden.authn.sessions import Session
from mintwarden.authn.shelf import Shelf
from mintwarden.authn.sign_in import SignIn
from mintwarden.mint.master import LocalMasterKey
from mintwarden.mint.signers import LocalSigner
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.values import EntityUid
from mintwarden.store import Store
from tests.conftest import FrozenClock

SIGNER = LocalSigner(kid="k", algorithm="ES256", private_key=ec.generate_private_key(ec.SECP256R1()))
SEAL = LocalMasterKey(bytes(32), random_bytes=os.urandom)
SESSION = Session(
    sign_in=SignIn(subject=EntityUid("User", "alice"), provider="corp", authenticated_at=1, session="sid"),
    digest="",
    began_at=1,
    ends_at=2,
    clients=("web",),
)
FAILED = MintwardenError(ErrorKind.SOURCE, "no answer")
TAKES = Posted(200, b"")


class Node:
    """A node on the store, the client's end as it sees it, and what was told of notices."""

    def __init__(self, store: Store, clock: FrozenClock, *answers: Posted | BaseException) -> None:
        self.store = store
        self.clock = clock
        self.takes_all = False
        self.answers = list(answers)
        self.posted: list[tuple[str, str]] = []
        self.outcomes: Counter[str] = Counter()
        self.told: list[BaseException] = []
        self.warned: list[tuple[str, str, str]] = []
        self.waiting = -1
        self.where = {"web": "https://app.example.com/told"}
        self.silent: set[str] = set()
        self.enough = asyncio.Event()
        self.reached: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        base = SimpleNamespace(
            issuer="https://tokens.example.com",
            ring=SimpleNamespace(signer_for=lambda _algorithm: SIGNER),
            store=store,
            master=SEAL,
        )
        clients = {"silent": SimpleNamespace(backchannel_logout_uri="")}
        catalogue = SimpleNamespace(identity="", audiences={"a": SimpleNamespace(algorithm="ES256")}, clients=clients)
        current = SimpleNamespace(authenticator=self, bundle=SimpleNamespace(catalogue=catalogue))
        self.notices = LogoutNotices(
            cast("Any", base),
            governing=cast("Any", SimpleNamespace(current=current)),
            way=lambda _client_id: self,
            told=self,
            now=clock.now,
        )

    def client(self, client_id: str) -> Any:
        """Those of the bundle have no dot in their names, those that registered themselves have one."""
        if "://" in client_id:
            return None
        uri = self.where.get(client_id, "")
        return SimpleNamespace(id=client_id, backchannel_logout_uri=uri), "." in client_id

    async def find(self, client_id: str, _now: int) -> Any:
        if client_id == "broken":
            raise RuntimeError("unforeseen")
        uri = self.where.get(client_id)
        return None if uri is None else SimpleNamespace(id=client_id, backchannel_logout_uri=uri)

    async def post(self, url: str, form: Mapping[str, str], *, authorization: str = "") -> Posted:
        self.posted.append((url, form["logout_token"]))
        self.reached[url].set()
        if url in self.silent:
            await self.enough.wait()
            raise FAILED
        answer = TAKES if self.takes_all else self.answers.pop(0) if self.answers else FAILED
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def notice_became(self, _about: str, outcome: str) -> None:
        self.outcomes[outcome] += 1

    def notice_failed(self, about: str, client_id: str, error: MintwardenError) -> None:
        self.warned.append((about, client_id, error.hint))

    def notices_waiting(self, _about: str, waiting: int) -> None:
        self.waiting = waiting

    def stumbled(self, _task: str, error: BaseException) -> None:
        self.told.append(error)

    async def kept(self) -> list[State]:
        return list(await self.store.states.owned(KIND, WAITING, 10_000))


async def test_a_client_that_is_down_keeps_nobody_from_being_told(store: Store, clock: FrozenClock) -> None:
    """More than are read at once wait for it, and all of them come before the other's in the order of their keys."""
    node = Node(store, clock, TAKES)
    node.where["other"] = "https://other.example.com/told"
    now = clock.now()
    shelf = Shelf(KIND, LogoutNotice, states=store.states, seal=SEAL)

    def state(client_id: str, session: str, due: int) -> State:
        person = EntityUid("User", "alice")
        notice = LogoutNotice(client_id=client_id, subject=person, session=session, ends=now + KEPT, due=due)
        return shelf.state(notice.handle, notice, ends=now + 2 * KEPT, owner=WAITING)

    down = [state("web", str(number), now + 60_000) for number in range(1_100)]
    last = max((state("other", str(number), now) for number in range(2_000)), key=lambda one: one.key)
    assert sum(one.key < last.key for one in down) > 1_000
    await store.states.add([*down, last])
    await node.notices.run()
    assert [url for url, _ in node.posted] == ["https://other.example.com/told"]
    assert node.outcomes == {"delivered": 1}
    await node.notices.run()
    assert node.waiting == 1_100


async def test_the_first_failure_is_told_at_once_and_the_others_of_the_same_notice_are_not(
    store: Store, clock: FrozenClock
) -> None:
    node = Node(store, clock, *[Posted(502, b"")] * 3)
    await node.notices.keep(SESSION)
    for pause in PAUSES[:3]:
        await node.notices.run()
        clock.advance(seconds=pause)
    assert node.outcomes == {"failed": 3}
    assert node.warned == [("logout", "web", "its `backchannel_logout_uri` answered 502; 200 or 204 was expected")]
    assert node.told == []


@pytest.mark.parametrize("status", [200, 204])
async def test_a_client_is_told_once(store: Store, clock: FrozenClock, status: int) -> None:
    node = Node(store, clock, Posted(status, b""))
    await node.notices.keep(SESSION)
    assert len(await node.kept()) == 1
    for _ in range(3):
        await node.notices.run()
    ((where, token),) = node.posted
    assert where == "https://app.example.com/told"
    claims = decode_json(parse(token).payload)
    assert (claims["aud"], claims["sub"], claims["sid"]) == ("web", "alice", "sid")
    assert await node.kept() == []
    assert (node.outcomes, node.told, node.waiting) == ({"delivered": 1}, [], 0)


async def test_it_is_sent_at_once_when_it_was_kept(store: Store, clock: FrozenClock) -> None:
    node = Node(store, clock, TAKES)
    await node.notices.keep(SESSION)
    node.notices.tell()
    node.notices.tell()
    assert node.notices._soon is not None
    await node.notices._soon
    assert len(node.posted) == 1
    await node.notices.close()


async def test_a_client_that_fails_is_told_again_with_another_token(store: Store, clock: FrozenClock) -> None:
    node = Node(store, clock, FAILED, Posted(503, b""), TAKES)
    await node.notices.keep(SESSION)
    await node.notices.run()
    for pause, posted in ((PAUSES[0], 2), (PAUSES[1], 3)):
        clock.advance(millis=pause * 1000 - 1)
        await node.notices.run()
        assert len(node.posted) == posted - 1, "not yet"
        clock.advance(millis=1)
        await node.notices.run()
        assert len(node.posted) == posted
    assert len({token for _, token in node.posted}) == 3
    assert await node.kept() == []
    assert (node.outcomes, node.told) == ({"failed": 2, "delivered": 1}, [])


async def test_a_client_that_never_takes_it_is_given_up_loudly(store: Store, clock: FrozenClock) -> None:
    node = Node(store, clock, Posted(302, b""), Posted(400, b""))
    await node.notices.keep(SESSION)
    for pause in (0, *PAUSES, 7_200):
        clock.advance(millis=pause * 1000)
        await node.notices.run()
    assert len(node.posted) == len(PAUSES) + 1
    assert node.told == [FAILED]
    assert node.outcomes == {"failed": len(PAUSES) + 1, "given_up": 1}
    assert await node.kept() == []


async def test_a_notice_ends_by_time_and_that_is_told(store: Store, clock: FrozenClock) -> None:
    """Nobody was there to send it: what comes up so late does not begin with what is long over."""
    node = Node(store, clock, TAKES)
    await node.notices.keep(SESSION)
    clock.advance(millis=KEPT)
    await node.notices.run()
    assert node.posted == []
    assert [str(error) for error in node.told] == ["client `web` was not told of a logout in time"]
    assert await node.kept() == []


async def test_what_was_kept_before_a_restart_is_sent_after_it(store: Store, clock: FrozenClock) -> None:
    first = Node(store, clock)
    await first.notices.keep(SESSION)
    await first.notices.close()
    second = Node(store, clock, TAKES)
    await second.notices.run()
    assert len(second.posted) == 1


async def test_a_node_that_dies_over_it_leaves_it_to_the_others(store: Store, clock: FrozenClock) -> None:
    dying, other = Node(store, clock, asyncio.CancelledError()), Node(store, clock, TAKES)
    await dying.notices.keep(SESSION)
    with pytest.raises(asyncio.CancelledError):
        await dying.notices.run()
    await other.notices.run()
    assert other.posted == [], "it is the first one's for a while"
    clock.advance(millis=TAKEN)
    await other.notices.run()
    assert len(other.posted) == 1
    assert await other.kept() == []


async def test_of_several_nodes_one_sends_it(store: Store, clock: FrozenClock) -> None:
    nodes = [Node(store, clock, TAKES) for _ in range(4)]
    await nodes[0].notices.keep(SESSION)
    await nodes[1].notices.keep(SESSION)  # who signs out again after a failure
    await asyncio.gather(*(node.notices.run() for node in nodes for _ in range(2)))
    assert sum(len(node.posted) for node in nodes) == 1


async def test_a_late_failure_changes_nothing_for_who_has_it_by_then(store: Store, clock: FrozenClock) -> None:
    slow, other = Node(store, clock), Node(store, clock, Posted(503, b""))

    async def late(_url: str, _form: Mapping[str, str], *, authorization: str = "") -> Posted:
        clock.advance(millis=TAKEN)
        await other.notices.run()
        raise FAILED

    slow.post = late  # type: ignore[method-assign, assignment]
    await slow.notices.keep(SESSION)
    before = len(await slow.kept())
    await slow.notices.run()
    assert (before, len(await slow.kept())) == (1, 1)
    other.answers.append(TAKES)
    clock.advance(millis=PAUSES[1] * 1000)
    await other.notices.run()
    assert len(other.posted) == 2
    assert await slow.kept() == []


async def test_who_wants_to_hear_nothing_hears_nothing(store: Store, clock: FrozenClock) -> None:
    node = Node(store, clock)
    await node.notices.keep(replace(SESSION, clients=("silent", "gone", "broken")))
    assert len(await node.kept()) == 2, "of `silent` the bundle says so at once"
    await node.notices.run()
    assert node.posted == []
    assert [str(error) for error in node.told] == ["unforeseen"]
    assert await node.kept() == []


# -- hosts that never answer ---------------------------------------------------------------------------------------------


async def waits(node: Node, client_id: str, where: str, *, many: int = 1) -> None:
    """So many notices are due at a client that is told there."""
    node.where[client_id] = where
    shelf = Shelf(KIND, LogoutNotice, states=node.store.states, seal=SEAL)
    now, person = node.clock.now(), EntityUid("User", "alice")
    notices = [
        LogoutNotice(client_id=client_id, subject=person, session=f"{client_id}{n}", ends=now + KEPT, due=now)
        for n in range(many)
    ]
    await node.store.states.add([shelf.state(one.handle, one, ends=now + 2 * KEPT, owner=WAITING) for one in notices])


async def reached(node: Node, where: str) -> None:
    """Goes on once somebody was told there; the limit is for a test that fails."""
    await asyncio.wait_for(node.reached[where].wait(), 30)


def told_at(node: Node, where: str) -> int:
    return sum(url == where for url, _ in node.posted)


async def test_a_host_that_never_answers_holds_one_place_and_delays_nobody(store: Store, clock: FrozenClock) -> None:
    """However much there is for it, of however many clients: others are told meanwhile, and what comes up, too."""
    node = Node(store, clock)
    node.takes_all = True
    down = "https://down.example/told"
    node.silent.add(down)
    for number in range(40):
        await waits(node, f"c{number}", down, many=5)
    await waits(node, "web", "https://app.example.com/told", many=60)
    running = asyncio.create_task(node.notices.run())
    await reached(node, "https://app.example.com/told")
    await waits(node, "late", "https://late.example/told")
    node.notices.tell()
    await reached(node, "https://late.example/told")
    assert node.notices._soon is not None
    assert not running.done()
    assert told_at(node, down) == 1
    running.cancel()
    await node.notices.close()
    assert (await asyncio.gather(running, return_exceptions=True))[0].__class__ is asyncio.CancelledError
    assert len(await node.kept()) >= 200, "what was not told is kept"


async def test_strangers_with_many_hosts_that_never_answer_leave_places(store: Store, clock: FrozenClock) -> None:
    """More hosts than there are places: the bundle's clients are told, and strangers whose hosts have answered before."""
    node = Node(store, clock)
    node.takes_all = True
    await waits(node, "known.stranger", "https://known.example/told")
    await node.notices.run()
    assert told_at(node, "https://known.example/told") == 1
    for number in range(AT_ONCE * 2):
        where = f"https://n{number}.evil.example/told"
        node.silent.add(where)
        await waits(node, f"s{number}.stranger", where, many=3)
    node.reached.clear()
    await waits(node, "web", "https://app.example.com/told")
    await waits(node, "known.stranger.again", "https://known.example/told")
    running = asyncio.create_task(node.notices.run())
    await reached(node, "https://app.example.com/told")
    await reached(node, "https://known.example/told")
    assert sum(told_at(node, where) for where in node.silent) <= APART
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_the_bundles_own_hosts_that_fail_together_leave_places_from_then_on(
    store: Store, clock: FrozenClock
) -> None:
    node = Node(store, clock)
    node.takes_all = True
    for number in range(AT_ONCE + 8):
        where = f"https://n{number}.corp.example/told"
        node.silent.add(where)
        await waits(node, f"c{number}", where)
    node.enough.set()
    await node.notices.run()
    assert node.outcomes == {"failed": AT_ONCE + 8}
    await waits(node, "web", "https://app.example.com/told")
    await node.notices.run()
    node.enough.clear()
    clock.advance(millis=PAUSES[0] * 1000)
    node.posted.clear()
    node.reached.clear()
    await waits(node, "web", "https://app.example.com/told", many=2)
    running = asyncio.create_task(node.notices.run())
    await reached(node, "https://app.example.com/told")
    assert sum(told_at(node, where) for where in node.silent) <= APART
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_host_that_answers_again_is_told_all_that_waits(store: Store, clock: FrozenClock) -> None:
    node = Node(store, clock)
    await waits(node, "web", "https://app.example.com/told", many=30)
    await node.notices.run()
    assert told_at(node, "https://app.example.com/told") == 30
    node.takes_all = True
    clock.advance(millis=PAUSES[0] * 1000)
    await node.notices.run()
    assert await node.kept() == []
    assert node.outcomes == {"failed": 30, "delivered": 30}


async def test_a_client_that_describes_itself_is_known_by_where_it_is_told(store: Store, clock: FrozenClock) -> None:
    """Made-up clients at hosts of their own, all of them told at one that never answers: one attempt each, and no more."""
    node, down = Node(store, clock), "https://down.example/told"
    node.silent.add(down)
    node.enough.set()
    for number in range(4):
        await waits(node, f"https://n{number}.evil.example/c", down, many=3)
    await node.notices.run()
    clock.advance(millis=PAUSES[0] * 1000)
    node.posted.clear()
    node.enough.clear()
    running = asyncio.create_task(node.notices.run())
    node.reached.clear()
    await reached(node, down)
    node.takes_all = True
    await waits(node, "web", "https://app.example.com/told")
    node.notices.tell()
    await reached(node, "https://app.example.com/told")
    assert told_at(node, down) == 1
    running.cancel()
    await node.notices.close()
    await asyncio.gather(running, return_exceptions=True)
