"""The endpoints for receivers, apart from HTTP: what waits, and how long."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import msgspec

from mintwarden.web.ssf.endpoint import Call
from mintwarden.web.ssf.metadata import describe_transmitter, metadata_path
from mintwarden.web.ssf.operations import AT_ONCE, EACH, Operations


class Empty:
    """A stream that nothing comes to."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    async def poll(self, _who: Any, _stream_id: str, asked: Any) -> tuple[Any, tuple[()], bool]:
        self.asked.append(asked)
        return None, (), False


def call(**content: Any) -> Call:
    return Call(who=cast("Any", SimpleNamespace(client_id="shop")), below="s", query={}, content=content)


async def test_a_poll_that_waits_ends_with_nothing():
    empty = Empty()
    operations = Operations(lambda: cast("Any", empty), sign=cast("Any", None), refused=print, patience=0.05)
    answer = operations.polling()["POST"].answer
    reply = await cast("Any", await answer(call(ack=["x"])))()
    assert msgspec.json.decode(reply.body) == {"sets": {}}
    assert [one.taken for one in empty.asked] == [("x",), ()], "what was taken is acknowledged once"


async def test_no_more_than_so_many_wait():
    empty = Empty()
    operations = Operations(lambda: cast("Any", empty), sign=cast("Any", None), refused=print, patience=3_600.0)
    operations._places = 0
    reply = await cast("Any", await operations.polling()["POST"].answer(call()))()
    assert reply.status == 200
    assert len(empty.asked) == 1
    assert AT_ONCE >= 1


def test_the_document_is_where_its_issuer_says():
    assert metadata_path("https://a.example") == "/.well-known/ssf-configuration"
    assert metadata_path("https://a.example/one/") == "/.well-known/ssf-configuration/one"
    document = describe_transmitter("https://a.example/one")
    assert document["issuer"] == "https://a.example/one"
    assert document["status_endpoint"] == "https://a.example/one/ssf/status"


async def test_of_one_receiver_fewer_wait_than_there_are_places():
    empty = Empty()
    operations = Operations(lambda: cast("Any", empty), sign=cast("Any", None), refused=print, patience=3_600.0)
    answer = operations.polling()["POST"].answer
    waiting = [asyncio.ensure_future(cast("Any", await answer(call()))()) for _ in range(EACH)]
    try:
        await asyncio.sleep(0)
        reply = await asyncio.wait_for(cast("Any", await answer(call()))(), 5)
        assert msgspec.json.decode(reply.body) == {"sets": {}}
        assert not any(one.done() for one in waiting)
    finally:
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    assert operations._places == AT_ONCE
