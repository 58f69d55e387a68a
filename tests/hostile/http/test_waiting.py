"""Requests that wait for their turn until their time is up: each is answered, and nothing of it is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from mintwarden.web.admin.limit import Buckets
from mintwarden.web.admit import Gate
from mintwarden.web.peer import PeerReader
from mintwarden.web.registration import Registrar, RegistrationEndpoint
from mintwarden.web.reply import Handler, Scope
from mintwarden.web.user_info import UserInfoEndpoint
from tests.unit.web.stand_ins import Monotonic, Recorder, speak


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
    asked = [asyncio.create_task(speak(endpoint, method=method, headers=())) for _ in range(4)]
    for _turn in range(10):
        await asyncio.sleep(0)
    stopwatch.seconds = 11.0
    gate.sweep()
    statuses = [(await task).status for task in asked]
    assert statuses[1:] == [503, 503, 503]
    assert statuses[0] in (408, 503)
    assert (gate.in_flight, gate.waiting, len(gate._expired)) == (0, 0, 0)
