"""The small parts of the administration API: token buckets, cursors, problems."""

from __future__ import annotations

import base64
import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintwarden.model.caller import Binding, Evidence
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.values import EntityUid
from mintwarden.web.admin.access import Access, ScopeLacking, Shown, demand
from mintwarden.web.admin.cursor import CursorSeal
from mintwarden.web.admin.limit import MOST_CLIENTS, Buckets
from mintwarden.web.admin.problem import PROBLEMS, problem_of, problem_reply, problems_page
from tests.conftest import START, FrozenClock


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def seal() -> CursorSeal:
    numbers = itertools.count()
    return CursorSeal(b"k" * 32, random_bytes=lambda size: next(numbers).to_bytes(size, "big"))


def test_a_bucket_fills_up_again():
    time = Time()
    buckets = Buckets(rate=2.0, burst=3, monotonic=time)
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 1]
    assert buckets.take("b") == 0, "each client has its own"
    time.now += 0.5
    assert [buckets.take("a") for _ in range(2)] == [0, 1]
    time.now += 1000
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 1]


def test_who_is_told_to_wait_may_come_when_it_says():
    time = Time()
    buckets = Buckets(rate=0.1, burst=1, monotonic=time)
    assert buckets.take("a") == 0
    wait = buckets.take("a")
    time.now += wait
    assert (wait, buckets.take("a")) == (10, 0)


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(0, 3)), max_size=200))
def test_nobody_calls_more_often_than_the_rate_allows(steps):
    time = Time()
    buckets = Buckets(rate=1.0, burst=5, monotonic=time)
    made = dict.fromkeys("abcd", 0)
    for pause, who in steps:
        time.now += pause
        made["abcd"[who]] += buckets.take("abcd"[who]) == 0
    assert all(count <= 5 + (time.now - 100) * 1.0 + 1e-6 for count in made.values())


def test_the_memory_for_clients_is_bounded():
    buckets = Buckets(rate=1.0, burst=1, monotonic=Time())
    for number in range(MOST_CLIENTS + 5):
        buckets.take(f"c{number}")
    assert buckets.take(f"c{MOST_CLIENTS + 4}") > 0
    assert buckets.take("c0") == 0, "who was forgotten begins anew"


@given(st.binary(max_size=100), st.binary(max_size=40))
def test_a_cursor_gives_back_its_position_for_its_own_query(position, context):
    sealed = seal()
    cursor = sealed.seal(position, context)
    assert sealed.read(cursor, context) == position
    with pytest.raises(MintwardenError, match="not made for this query"):
        sealed.read(cursor, context + b"x")


@pytest.mark.parametrize("cursor", ["", "A", "AAAA", "=", "é", "a b", "A" * 40, "-_" * 30, "\ud800"])
def test_a_cursor_that_was_not_made_here_is_refused(cursor):
    with pytest.raises(MintwardenError, match="not made for this query") as caught:
        seal().read(cursor, b"c")
    assert caught.value.kind is ErrorKind.INVALID_REQUEST


@given(st.integers(0, 200), st.integers(1, 255))
def test_no_bit_of_a_cursor_can_be_turned(place, change):
    sealed = seal()
    cursor = bytearray(sealed.seal(b"position", b"c").encode())
    cursor[place % len(cursor)] ^= change & 0x1F or 1
    text = cursor.decode("latin-1")
    if text == sealed.seal(b"position", b"c"):
        return
    with pytest.raises(MintwardenError):
        sealed.read(text, b"c")


@pytest.mark.parametrize("kind", ErrorKind, ids=lambda kind: kind.value)
def test_every_kind_of_error_is_a_problem(kind):
    error = MintwardenError(kind, "what is wrong", hint="what to do", authenticate=True)
    reply = problem_reply(error, "ref-1", base="/tenant")
    kind_of_problem = PROBLEMS[problem_of(error)]
    assert reply.status == kind_of_problem.status
    assert b'"/tenant/admin/v1/problems#' in reply.body
    assert b'"urn:mintwarden:request:ref-1"' in reply.body
    if reply.status >= 500:
        assert b"what is wrong" not in reply.body
        assert b"what to do" not in reply.body


def test_every_type_of_problem_is_on_the_page():
    page = problems_page()
    assert [name for name in PROBLEMS if f"{name}  {PROBLEMS[name].status}  " not in page] == []


ADMIN = "https://tokens.example.com/admin"


class Own:
    """Verifies everything, and says what it is told to."""

    def __init__(self, **says: Any) -> None:
        self.says: dict[str, Any] = {"audiences": (ADMIN,), "scopes": ("mintwarden:keys.read",), **says}

    def verify(self, _token: object, _claims: object, _now: int) -> Evidence:
        members: dict[str, Any] = {
            "principal": EntityUid("User", "ann"),
            "issuer": "i",
            "own": True,
            "issued_at": 1,
            "expires_at": 2,
        }
        return Evidence(**(members | self.says))


def access(audience: str = ADMIN, **says: object) -> Access:
    return Access(own=Own(**says), audience=audience, clock=FrozenClock(START))  # type: ignore[arg-type]


def part(said: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(said).encode()).rstrip(b"=").decode()


TOKEN = ".".join((part({"alg": "ES256", "typ": "at+jwt", "kid": "k"}), part({}), "AAAA"))
BEARER = [f"Bearer {TOKEN}"]


def test_a_good_token_is_taken_for_what_it_proves():
    assert access().verify(Shown(authorizations=BEARER))[0].principal == EntityUid("User", "ann")


@pytest.mark.parametrize(
    ("says", "audience"),
    [
        ({"binding": Binding(kind="dpop", thumbprint="x")}, ADMIN),
        ({"binding": Binding(kind="mtls", thumbprint="x")}, ADMIN),
        ({"audiences": ("https://api.example.com",)}, ADMIN),
        ({"audiences": ()}, ADMIN),
        ({}, ""),
        ({"audiences": ("",)}, ""),
    ],
    ids=str,
)
def test_a_token_that_is_bound_or_for_somebody_else_opens_nothing(says, audience):
    with pytest.raises(MintwardenError) as caught:
        access(audience, **says).verify(Shown(authorizations=BEARER))
    assert caught.value.kind is ErrorKind.INVALID_TOKEN


@pytest.mark.parametrize(
    ("held", "asked", "lacking"),
    [
        (("a.read",), ("a.read",), ""),
        (("a.read", "b.read"), ("c.read", "b.read"), ""),
        (("a.write:x",), ("a.write", "a.write:*"), ""),
        (("a.write",), ("a.write", "a.write:*"), ""),
        (("a.writes",), ("a.write", "a.write:*"), "a.write"),
        (("a.write",), ("a.write:*",), "a.write:*"),
        (("a",), ("a.read",), "a.read"),
        (None, ("a.read",), "a.read"),
        ((), ("a.read", "b.read"), "a.read"),
    ],
)
def test_which_scope_opens_what(held, asked, lacking):
    who = Own(scopes=held).verify(None, None, 0)
    if not lacking:
        demand(who, *asked)
        return
    with pytest.raises(ScopeLacking) as caught:
        demand(who, *asked)
    assert caught.value.scope == lacking
