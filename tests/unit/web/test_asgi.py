from __future__ import annotations

import asyncio

import pytest

from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.web.asgi import Surface
from mintwarden.web.documents import (
    MetricsReader,
    Readiness,
    document_reply,
    key_set_reply,
    log_reply,
)
from mintwarden.web.peer import PeerReader
from mintwarden.web.reply import send_reply
from tests.unit.web.stand_ins import Monotonic, Recorder, bench, speak


class Log:
    async def checkpoint(self):
        return b"origin\n1\nAAAA\n"

    async def tile(self, path):
        return {
            "tile/0/000.p/1": b"x" * 32,
            "tile/entries/000.p/1": b"\x00\x01a",
        }.get(path)


class Keys:
    body = b'{"keys":[]}'
    etag = '"abc"'
    cache_control = "public, max-age=60, must-revalidate"


def surface(readiness=None, **more):
    recorder = Recorder()

    async def jwks(asked):
        return key_set_reply(Keys(), asked.none_match)

    async def metadata(asked):
        return document_reply(b"{}", asked.none_match)

    async def fail(_asked):
        raise ValueError("hunter2")

    async def log(asked):
        return await log_reply(Log(), asked.path)

    async def metrics(asked):
        return MetricsReader(render=lambda: ("text/plain", b"m 1\n"), networks=["10.0.0.0/8"]).reply(asked.address)

    async def ready(_asked):
        return await readiness.reply()

    async def admin(scope, _receive, send):
        await send_reply(send, document_reply(scope["path"].encode(), None))

    made = Surface(
        posts={"/token": bench().endpoint},
        pages={
            "/jwks.json": ("jwks", jwks),
            "/fail": ("fail", fail),
            "/metadata": ("metadata", metadata),
            "/metrics": ("metrics", metrics),
            "/readyz": ("readyz", ready),
        },
        trees=[("/ledger/", "ledger", log)],
        mounts=[("/admin/", admin)],
        peer=PeerReader(proxies=()),
        observer=recorder,
        references=lambda: "ref",
        monotonic=Monotonic(),
        **more,
    )
    return made, recorder


async def get(path, method="GET", headers=(), client=("192.0.2.1", 1), **changes):
    return await speak(surface(**changes)[0], method=method, path=path, headers=headers, client=client)


async def test_routes():
    assert (await speak(surface()[0], b"a=b")).status == 200
    assert (await get("/jwks.json")).json() == {"keys": []}
    assert (await get("/admin/v1/x")).body == b"/admin/v1/x"


@pytest.mark.parametrize("path", ["/", "/nothing", "/tokens", "/ledger/tile/0/../x", "//token", "/token/"])
async def test_an_unknown_path_is_404(path):
    answer = await get(path)
    assert (answer.status, answer.json()["error"]) == (404, "not_found")


async def test_who_is_told_otherwise_is_counted_all_the_same():
    made, recorder = surface(lost=lambda asked: document_reply(b"lost", None) if asked.headers else None)
    assert (await speak(made, method="GET", path="/nothing", headers=[(b"accept", b"text/html")])).body == b"lost"
    assert recorder.lines[-1].outcome == "not_found"
    assert (await speak(made, method="GET", path="/fail", headers=[(b"accept", b"text/html")])).status == 500


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [("GET", "/token", "POST"), ("PUT", "/token", "POST"), ("POST", "/jwks.json", "GET, HEAD")],
)
async def test_a_wrong_method_is_405_with_allow(method, path, allow):
    answer = await get(path, method)
    assert (answer.status, answer.headers["allow"]) == (405, allow)


async def test_head_has_the_length_and_no_body():
    answer = await get("/jwks.json", "HEAD")
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "11")


@pytest.mark.parametrize("path", ["/jwks.json", "/metadata"])
async def test_a_document_has_an_entity_tag(path):
    first = await get(path)
    again = await get(path, headers=[(b"if-none-match", b'W/"x", ' + first.headers["etag"].encode())])
    assert (again.status, again.body) == (304, b"")
    assert "max-age" in again.headers["cache-control"]


async def test_a_failing_page_yields_a_reference_alone():
    made, recorder = surface()
    answer = await speak(made, method="GET", path="/fail")
    assert (answer.status, answer.json()["reference"]) == (500, "ref")
    assert "hunter2" not in answer.body.decode()
    assert len(recorder.errors) == 1


async def test_tiles_and_checkpoint():
    tile = await get("/ledger/tile/0/000.p/1")
    assert (tile.headers["content-type"], len(tile.body)) == ("application/octet-stream", 32)
    assert "immutable" in tile.headers["cache-control"]
    assert (await get("/ledger/tile/entries/000.p/1")).body == b"\x00\x01a"
    checkpoint = await get("/ledger/checkpoint")
    assert checkpoint.headers["content-type"] == "text/plain; charset=utf-8"
    assert checkpoint.headers["cache-control"] == "public, max-age=1"


@pytest.mark.parametrize("path", ["/ledger/tile/0/001", "/ledger/", "/ledger/" + "x" * 5000])
async def test_what_is_not_in_the_log_is_404(path):
    assert (await get(path)).status == 404


async def test_metrics_are_for_their_networks():
    assert (await get("/metrics", client=("10.1.2.3", 1))).body == b"m 1\n"
    assert (await get("/metrics")).status == 404
    assert (await get("/metrics", client=None)).status == 404


async def test_readiness_lists_each_part():
    async def good():
        return None

    async def bad():
        raise MintwardenError(ErrorKind.UNAVAILABLE, "host db.internal is gone")

    async def hangs():
        await asyncio.Event().wait()

    reported: dict[str, BaseException] = {}
    checks = {"bundle": good, "store": bad, "keys": hangs}
    readiness = Readiness(checks=checks, timeout=0.01, report=reported.__setitem__)
    answer = await get("/readyz", readiness=readiness)
    assert answer.status == 503
    assert answer.json()["parts"] == {"bundle": "ok", "store": "failing", "keys": "failing"}
    assert "internal" not in answer.body.decode()
    assert set(reported) == {"store", "keys"}
    fine = await get("/readyz", readiness=Readiness(checks={"bundle": good}, timeout=1, report=reported.__setitem__))
    assert (fine.status, fine.json()["status"]) == (200, "ready")
