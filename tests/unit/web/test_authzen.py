"""What stands around the endpoints of the Authorization API when something behind or before them goes wrong."""

from __future__ import annotations

import asyncio
import itertools
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintwarden.issue.evaluate import Verdict
from mintwarden.issue.question import Evaluation
from mintwarden.model.caller import Evidence
from mintwarden.model.decision import Obligation
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.values import EntityUid
from mintwarden.web.admin.access import Showing
from mintwarden.web.admit import Gate
from mintwarden.web.authzen.answers import told
from mintwarden.web.authzen.endpoint import Endpoint
from mintwarden.web.authzen.metadata import describe_decision_point, metadata_path
from mintwarden.web.authzen.reading import Batch, Malformed, read_evaluation, read_evaluations, read_object
from mintwarden.web.doorway import Frame
from mintwarden.web.peer import PeerReader
from tests.unit.web.stand_ins import Monotonic, Recorder, speak

JSON = (b"content-type", b"application/json")
WHO = Evidence(
    principal=EntityUid("Workload", "gateway"), issuer="https://i", own=True, client_id="gateway", token_id="t"
)


class Desk:
    """An endpoint, and everything around it."""

    def __init__(self, answer: Any, *, in_flight: int = 8, queued: int = 8, door: Any = None) -> None:
        self.recorder, self.monotonic = Recorder(), Monotonic()
        self.gate = Gate(in_flight=in_flight, queued=queued, timeout=10.0, monotonic=self.monotonic)
        numbers = itertools.count(1)

        async def doorway() -> Any:
            if isinstance(door, Exception):
                raise door
            return SimpleNamespace(access=SimpleNamespace(verify=lambda _shown: (WHO, ())), is_revoked=self.revoked)

        async def answering(content: Any, _who: Evidence, _work: Any) -> Any:
            if isinstance(answer, Exception):
                raise answer
            return await answer(content) if callable(answer) else answer

        self.endpoint = Endpoint(
            Frame(
                doorway=doorway,
                gate=self.gate,
                showing=Showing(origin="https://i"),
                peer=PeerReader(proxies=()),
                observer=self.recorder,
                references=lambda: f"ref-{next(numbers)}",
                monotonic=self.monotonic,
                max_body=4096,
            ),
            answering,
            route="authzen.access_evaluation",
        )

    async def revoked(self, _who: Evidence) -> bool:
        return False


async def test_an_answer_is_json_and_is_not_kept():
    desk = Desk({"decision": True})
    answer = await speak(desk.endpoint, b"{}", headers=(JSON, (b"x-request-id", b"one"), (b"x-request-id", b"two")))
    assert (answer.status, answer.json()) == (200, {"decision": True})
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-request-id"] == "one"
    (line,) = desk.recorder.lines
    assert (line.client_id, line.token, line.route) == ("gateway", "t", "authzen.access_evaluation")


async def test_what_a_caller_calls_its_request_is_sent_by_a_way_that_looks_at_headers():
    """A server that takes responses whole keeps the heads of those that it sent, and looks at no byte of them."""

    class Whole:
        def __init__(self) -> None:
            self.taken: list[Any] = []
            self.sent: list[Any] = []

        def respond(self, *response: Any) -> bool:
            self.taken.append(response)
            return True

        async def send(self, message: Any) -> None:
            self.sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    for headers, ways in (((JSON,), (1, 0)), ((JSON, (b"x-request-id", b"one")), (0, 2))):
        server, desk = Whole(), Desk({"decision": True})
        scope = {"method": "POST", "headers": list(headers), "client": ("192.0.2.7", 1), "query_string": b""}
        await desk.endpoint(scope, receive, server.send)
        assert (len(server.taken), len(server.sent)) == ways


async def test_what_nobody_foresaw_is_a_reference_and_nothing_more():
    desk = Desk(RuntimeError("secret-detail"))
    answer = await speak(desk.endpoint, b"{}", headers=(JSON, (b"x-request-id", b"one")))
    assert answer.status == 500
    assert answer.body == b"something went wrong here (ref-1)\n"
    assert answer.headers["x-request-id"] == "one"
    assert isinstance(desk.recorder.errors[0][1], RuntimeError)


@pytest.mark.parametrize(
    ("kind", "status", "told_of"),
    [
        (ErrorKind.UNAVAILABLE, 503, True),
        (ErrorKind.LEDGER, 503, True),
        (ErrorKind.OVERLOADED, 503, False),
        (ErrorKind.BUNDLE, 500, True),
    ],
)
async def test_what_is_wrong_with_us_is_told_by_reference(kind, status, told_of):
    for desk in (Desk(MintwardenError(kind, "inner workings")), Desk({}, door=MintwardenError(kind, "inner workings"))):
        answer = await speak(desk.endpoint, b"{}", headers=(JSON,))
        assert answer.status == status
        assert b"inner workings" not in answer.body
        assert ("retry-after" in answer.headers) is (status == 503)
        assert bool(desk.recorder.errors) is told_of


async def test_a_request_that_takes_too_long_ends():
    async def never(_content: Any) -> Any:
        await asyncio.Event().wait()

    desk = Desk(never)
    task = asyncio.create_task(speak(desk.endpoint, b"{}", headers=(JSON,)))
    while not desk.gate.in_flight:
        await asyncio.sleep(0)
    desk.monotonic.seconds = 11
    desk.gate.sweep()
    answer = await task
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert desk.gate.in_flight == 0


async def test_a_request_that_waits_too_long_for_its_turn_ends():
    held = asyncio.Event()

    async def waits(_content: Any) -> Any:
        await held.wait()
        return {}

    desk = Desk(waits, in_flight=1)
    first = asyncio.create_task(speak(desk.endpoint, b"{}", headers=(JSON,)))
    while not desk.gate.in_flight:
        await asyncio.sleep(0)
    desk.monotonic.seconds = 5
    second = asyncio.create_task(speak(desk.endpoint, b"{}", headers=(JSON,)))
    while not desk.gate.waiting:
        await asyncio.sleep(0)
    held.set()
    assert (await first).status == 200
    assert (await second).status == 200


async def test_whoever_hangs_up_is_not_answered_for_by_somebody_else():
    desk = Desk({})
    task = asyncio.create_task(speak(desk.endpoint, b"{", headers=(JSON,), hang=True))
    while not desk.gate.arriving:
        await asyncio.sleep(0)
    assert desk.gate.in_flight == 0
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert desk.gate.begun == 0


async def test_a_body_that_ends_early_is_a_bad_request():
    assert (await speak(Desk({}).endpoint, [], headers=(JSON,))).status == 400


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
ENTITY = st.fixed_dictionaries({}, optional=dict.fromkeys(("type", "id", "name", "properties"), ANYTHING)) | ANYTHING
REQUEST = st.fixed_dictionaries(
    {},
    optional={
        "subject": ENTITY,
        "action": ENTITY,
        "resource": ENTITY,
        "context": ENTITY
        | st.fixed_dictionaries(
            {}, optional=dict.fromkeys(("client_id", "amr", "actors", "cnf", "auth_time"), ANYTHING)
        ),
        "evaluations": st.lists(
            st.fixed_dictionaries({}, optional={"subject": ENTITY, "action": ENTITY}) | ANYTHING, max_size=3
        )
        | ANYTHING,
        "options": st.fixed_dictionaries({}, optional={"evaluations_semantic": ANYTHING}) | ANYTHING,
    },
)


def attempted(read: Any, given_in: Any) -> Any:
    """What is read, or the kind of error that refuses it."""
    try:
        return read(given_in)
    except MintwardenError as error:
        return error.kind


@given(content=REQUEST)
def test_whatever_is_sent_is_read_or_refused_and_nothing_else(content):
    for read in (read_evaluation, read_evaluations):
        found = attempted(read, content)
        for one in found.evaluations if isinstance(found, Batch) else (found,):
            if isinstance(one, Evaluation):
                assert (type(one.subject.id), type(one.action)) == (str, str)
            else:
                assert isinstance(one, Malformed) or one is ErrorKind.INVALID_REQUEST


@given(body=st.binary(max_size=64))
def test_whatever_bytes_are_sent_are_an_object_or_refused(body):
    found = attempted(read_object, body)
    assert type(found) is dict or found is ErrorKind.INVALID_REQUEST


def test_several_levels_of_a_sign_in_are_told_together():
    unmet = (Obligation("require_amr", "mfa"), Obligation("require_amr", "hwk"), Obligation("require_acr", "phr"))
    said = told(Verdict(granted=False, reason="obligation_unmet", because="b", client="web", unmet=unmet, bundle="d"))
    assert said["context"]["amr_values"] == "mfa hwk"
    assert said["context"]["acr_values"] == "phr"


def test_what_is_decided_without_anything_to_say_says_nothing():
    assert told(Verdict(granted=False)) == {"decision": False}


@pytest.mark.parametrize(
    ("issuer", "path", "endpoint"),
    [
        ("https://t.example", "/.well-known/authzen-configuration", "https://t.example/access/v1/evaluation"),
        ("https://t.example/a", "/.well-known/authzen-configuration/a", "https://t.example/a/access/v1/evaluation"),
        ("https://t.example/a/", "/.well-known/authzen-configuration/a", "https://t.example/a/access/v1/evaluation"),
    ],
)
def test_the_document_is_where_its_identifier_says(issuer, path, endpoint):
    assert metadata_path(issuer) == path
    said = describe_decision_point(issuer)
    assert (said["policy_decision_point"], said["access_evaluation_endpoint"]) == (issuer, endpoint)
