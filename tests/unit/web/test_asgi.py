from __future__ import annotations

import asyncio

import pytest

from mintwarden.ledger.ports import Head
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.web.asgi import Surface
from mintwarden.web.documents import (
    MetricsReader,
    Readiness,
    checkpoint_reply,
    document_reply,
    tile_reply,
)
from mintwarden.web.peer import PeerReader
from mintwarden.web.reply import send_reply
from tests.unit.web.stand_ins import Monotonic, Recorder, bench, speak


class Tree:
    def __init__(self, checkpoint=b"origin\n1\nAAAA\n"):
        self.checkpoint = checkpoint

    async def head(self):
        return Head(1, b"", self.checkpoint)

    async def tile(self, path):
        return {"tile/0/000.p/1": b"x" * 32, "tile/entries/000.p/1": b"\x00\x01a"}.get(path)


def surface(tree=None, readiness=None):
    recorder = Recorder()
    tree = tree or Tree()

    async def jwks(asked):
        return document_reply(b'{"keys":[]}', etag_of=asked.none_match)

    async def fail(_asked):
        raise ValueError("hunter2")

    async def tile(asked):
        return await tile_reply(tree, asked.path)

    async def checkpoint(_asked):
        return await checkpoint_reply(tree)

    async def metrics(asked):
        return MetricsReader(render=lambda: ("text/plain", b"m 1\n"), networks=["10.0.0.0/8"]).reply(asked.address)

    async def ready(_asked):
        return await readiness.reply()

    async def admin(scope, _receive, send):
        await send_reply(send, document_reply(scope["path"].encode(), etag_of=None))

    made = Surface(
        posts={"/token": bench().endpoint},
        pages={
            "/jwks.json": ("jwks", jwks),
            "/fail": ("fail", fail),
            "/ledger/checkpoint": ("checkpoint", checkpoint),
            "/metrics": ("metrics", metrics),
            "/readyz": ("readyz", ready),
        },
        trees=[("/ledger/", "tile", tile)],
        mounts=[("/admin/", admin)],
        peer=PeerReader(proxies=()),
        observer=recorder,
        references=lambda: "ref",
        monotonic=Monotonic(),
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


async def test_a_document_has_an_entity_tag():
    first = await get("/jwks.json")
    again = await get("/jwks.json", headers=[(b"if-none-match", b'W/"x", ' + first.headers["etag"].encode())])
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
    assert (await get("/ledger/checkpoint", tree=Tree(b""))).status == 404


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/001",
        "tile/64/000",
        "tile/00/000",
        "tile/0/1",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/entries/",
        "tile/0/000/",
        "tile/0/x00/000\n",
    ],
)
async def test_a_tile_that_is_none_is_404(path):
    with pytest.raises(MintwardenError) as caught:
        await tile_reply(Tree(), path)
    assert caught.value.kind is ErrorKind.NOT_FOUND


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
