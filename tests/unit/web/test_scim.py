"""What stands around SCIM when something behind or before it goes wrong, or takes long."""

from __future__ import annotations

import asyncio
import itertools
from types import SimpleNamespace
from typing import Any

import pytest

from mintwarden.feeds.scim.messages import Asked, Told
from mintwarden.model.caller import Evidence
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.values import EntityUid
from mintwarden.web.admin.access import Showing
from mintwarden.web.admit import Gate
from mintwarden.web.doorway import Frame
from mintwarden.web.peer import PeerReader
from mintwarden.web.scim import AT_ONCE, MAX_BODY, ScimEndpoint, operation_of
from tests.unit.web.stand_ins import Monotonic, Recorder, speak

JSON = (b"content-type", b"application/scim+json")
WHO = Evidence(
    principal=EntityUid("Workload", "idp"), issuer="https://i", own=True, client_id="idp", token_id="t",
    scopes=("mintwarden:scim.write",),
)  # fmt: skip


class Desk:
    """The endpoint, and everything around it; `answer` is what comes of a request, awaited, or an error."""

    def __init__(self, answer: Any = None, *, record: Exception | None = None, in_flight: int = 64) -> None:
        self.recorder, self.monotonic = Recorder(), Monotonic()
        self.gate = Gate(in_flight=in_flight, queued=64, timeout=10.0, monotonic=self.monotonic)
        self.recorded: list[tuple[str, str]] = []
        self.answered: list[Asked] = []
        self.access = SimpleNamespace(verify=lambda _shown: (WHO, ()))
        self._answer, self._record = answer, record
        numbers = itertools.count(1)

        async def feeding() -> Any:
            return self

        self.endpoint = ScimEndpoint(
            Frame(
                doorway=feeding,
                gate=self.gate,
                showing=Showing(origin="https://i"),
                peer=PeerReader(proxies=()),
                observer=self.recorder,
                references=lambda: f"ref-{next(numbers)}",
                monotonic=self.monotonic,
                max_body=MAX_BODY,
            ),
            prefix="/scim/v2",
        )

    async def is_revoked(self, _who: Evidence) -> bool:
        return False

    def wait(self, _who: Evidence) -> int:
        return 0

    async def person(self, _user: str) -> str:
        return "User:ann"

    async def record(self, *, operation: str, outcome: str, who: Evidence, target: str, person: str) -> str:
        del who, target, person
        if self._record is not None:
            raise self._record
        self.recorded.append((operation, outcome))
        return "entry"

    async def answer(self, asked: Asked, _who: Evidence, _entry: str) -> Told:
        self.answered.append(asked)
        if isinstance(self._answer, Exception):
            raise self._answer
        if self._answer is not None:
            await self._answer
        return Told(status=200, headers={"ETag": 'W/"1"'}, body=b"{}")

    async def get(self, path: str = "/scim/v2/Users", method: str = "GET", body: bytes = b"") -> Any:
        return await speak(self.endpoint, body, method=method, path=path, headers=(JSON,))


async def test_nothing_comes_of_a_call_that_cannot_be_written_down() -> None:
    desk = Desk(record=MintwardenError(ErrorKind.LEDGER, "inner workings"))
    answer = await desk.get(method="DELETE", path="/scim/v2/Users/x")
    assert answer.status == 503
    assert desk.answered == []
    assert b"inner workings" not in answer.body


async def test_what_nobody_foresaw_is_a_reference_and_nothing_more() -> None:
    desk = Desk(RuntimeError("secret-detail"))
    answer = await desk.get()
    assert answer.status == 500
    assert answer.json()["detail"] == "something went wrong here (ref-1)"
    assert isinstance(desk.recorder.errors[0][1], RuntimeError)


async def test_calls_that_wait_keep_no_tokens_waiting() -> None:
    """More than so many are refused at once: what is left of the places for requests stays for tokens."""
    desk, tasks = Desk(), []
    slow = [asyncio.get_running_loop().create_future() for _ in range(AT_ONCE)]
    for one in slow:
        desk._answer = one
        tasks.append(asyncio.create_task(desk.get()))
        while len(desk.answered) < len(tasks):
            await asyncio.sleep(0)
    refused = await desk.get()
    assert (refused.status, refused.headers["retry-after"].isdigit()) == (503, True)
    assert desk.gate.in_flight == AT_ONCE
    for one in slow:
        one.set_result(None)
    assert {answer.status for answer in await asyncio.gather(*tasks)} == {200}
    desk._answer = None
    assert (await desk.get()).status == 200


async def test_a_request_that_takes_too_long_ends() -> None:
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    desk = Desk(never)
    task = asyncio.create_task(desk.get())
    while not desk.answered:
        await asyncio.sleep(0)
    desk.monotonic.seconds += 11.0
    desk.gate.sweep()
    answer = await task
    assert answer.status == 503
    assert answer.json()["status"] == "503"
    assert desk.gate.in_flight == 0


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("POST", "/Users", "scim.users.create"),
        ("GET", "/Users", "scim.users.list"),
        ("GET", "/Users/x", "scim.users.get"),
        ("POST", "/Groups/.search", "scim.groups.search"),
        ("PATCH", "/Groups/x", "scim.groups.patch"),
        ("DELETE", "/Groups/x", "scim.groups.delete"),
        ("PUT", "/Users/x", "scim.users.replace"),
        ("GET", "/Schemas", "scim.discovery"),
        ("GET", "/nothing", "scim.other"),
        ("GET", "", "scim.other"),
        ("TRACE", "/" + "x" * 99, "scim.other"),
    ],
)
def test_a_call_has_one_of_a_few_names(method: str, path: str, name: str) -> None:
    assert operation_of(method, path) == name
