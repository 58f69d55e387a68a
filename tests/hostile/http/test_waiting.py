"""Requests that wait for their turn until their time is up, or are sent by halves: each is answered, none is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from mintwarden.web.admin.access import Showing
from mintwarden.web.admin.limit import Buckets
from mintwarden.web.admit import Gate
from mintwarden.web.authzen.endpoint import Endpoint
from mintwarden.web.doorway import Frame
from mintwarden.web.peer import PeerReader
from mintwarden.web.registration import Registrar, RegistrationEndpoint
from mintwarden.web.reply import Handler, Scope
from mintwarden.web.user_info import UserInfoEndpoint
from tests.unit.web.stand_ins import Monotonic, Recorder, speak

KIND = (b"content-type", b"application/json")


async def _never(*_args: Any, **_more: Any) -> Any:
    await asyncio.Event().wait()


class _Office:
    register = read = update = delete = staticmethod(_never)


def _user_info(gate: Gate, _clock: Callable[[], float]) -> Handler:
    return UserInfoEndpoint(
        _never, gate=gate, peer=PeerReader(proxies=()), observer=Recorder(), references=lambda: "ref"
    )


def _registration(gate: Gate, clock: Callable[[], float]) -> Handler:
    async def admit(_scope: Scope) -> Any:
        return await _never()

    buckets = Buckets(rate=100, burst=100, monotonic=clock)
    registrar = Registrar(office=_Office(), admit=admit, buckets=buckets)
    return RegistrationEndpoint(
        lambda: registrar,
        path="/token",
        endpoint="https://tokens.example.com/register",
        gate=gate,
        peer=PeerReader(proxies=()),
        observer=Recorder(),
        references=lambda: "ref",
    )


@pytest.mark.parametrize(("make", "method"), [(_user_info, "GET"), (_registration, "POST")])
async def test_exhaustion_by_requests_that_wait(make: Any, method: str) -> None:
    stopwatch = Monotonic()
    gate = Gate(in_flight=1, queued=3, timeout=10.0, monotonic=stopwatch)
    endpoint = make(gate, stopwatch)
    asked = [asyncio.create_task(speak(endpoint, method=method, headers=(KIND,))) for _ in range(4)]
    for _turn in range(10):
        await asyncio.sleep(0)
    stopwatch.seconds = 11.0
    gate.sweep()
    statuses = [(await task).status for task in asked]
    assert statuses[1:] == [503, 503, 503]
    assert statuses[0] in (408, 503)
    assert (gate.in_flight, gate.waiting, len(gate._expired)) == (0, 0, 0)


def _decision_point(gate: Gate, clock: Callable[[], float]) -> Handler:
    frame = Frame(
        doorway=_never,
        gate=gate,
        showing=Showing(origin="https://tokens.example.com"),
        peer=PeerReader(proxies=()),
        observer=Recorder(),
        references=lambda: "ref",
        monotonic=clock,
        max_body=4096,
    )
    return Endpoint(frame, _never, route="authzen.access_evaluation")


@pytest.mark.parametrize("make", [_registration, _decision_point])
async def test_whoever_sends_by_halves_takes_nobodys_place(make: Any) -> None:
    stopwatch = Monotonic()
    gate = Gate(in_flight=1, queued=1, timeout=10.0, monotonic=stopwatch)
    endpoint = make(gate, stopwatch)
    asked = [
        asyncio.create_task(speak(endpoint, b'{"client_name":', method="POST", headers=(KIND,), hang=True))
        for _ in range(5)
    ]
    for _turn in range(10):
        await asyncio.sleep(0)
    assert (gate.arriving, gate.in_flight, gate.waiting) == (5, 0, 0)
    stopwatch.seconds = 11.0
    gate.sweep()
    answers = [await task for task in asked]
    assert {(answer.status, answer.headers["connection"]) for answer in answers} == {(408, "close")}
    assert (gate.begun, len(gate._expired)) == (0, 0)
