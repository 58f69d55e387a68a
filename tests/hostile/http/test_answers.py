"""Answers of those whom we ask: what is small is not unpacked into what is large."""

from __future__ import annotations

import gzip
import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mintwarden.app.sequencing import MAX_ANSWER, _Poster
from mintwarden.consumer.keys import fetch_document
from mintwarden.model.errors import MintwardenError
from tests.unit.authn.loopback import Loopback, answer

KEYS = json.dumps({"keys": []}).encode()
BOMB = gzip.compress(bytes(40 << 20))


def poster() -> _Poster:
    return _Poster(cast("Any", SimpleNamespace(server=SimpleNamespace(dev=True))))


async def test_a_key_set_that_is_packed_is_not_unpacked() -> None:
    routes = {
        "/plain": answer(body=KEYS),
        "/packed": answer(body=gzip.compress(KEYS), content_encoding="gzip"),
        "/bomb": answer(body=BOMB, content_encoding="gzip"),
        "/long": answer(body=bytes(70_000)),
    }
    assert len(BOMB) < 64 * 1024
    async with Loopback(routes) as site:
        assert await fetch_document(f"{site.url}/plain") == KEYS
        for path, says in (("/packed", "compressed"), ("/bomb", "compressed"), ("/long", "too long")):
            with pytest.raises(ValueError, match=says):
                await fetch_document(site.url + path)
        assert all(b"accept-encoding: identity" in head.lower() for _, head, _ in site.seen)


async def test_what_a_witness_packs_is_not_unpacked() -> None:
    packed = gzip.compress(b"a signature")
    routes = {
        "/packed": answer(body=packed, content_encoding="gzip"),
        "/bomb": answer(body=BOMB, content_encoding="gzip"),
        "/long": answer(body=bytes(MAX_ANSWER + 1)),
    }
    async with Loopback(routes) as witness:
        assert (await poster().post(f"{witness.url}/packed", b"")).body == packed
        assert (await poster().post(f"{witness.url}/bomb", b"")).body == BOMB
        with pytest.raises(MintwardenError, match="too much"):
            await poster().post(f"{witness.url}/long", b"")
        assert all(b"accept-encoding: identity" in head.lower() for _, head, _ in witness.seen)
