from __future__ import annotations

import contextlib
from types import SimpleNamespace

import pytest

from mintwarden.app.config import Config, ConnectionConfig
from mintwarden.app.sources import external_sources
from mintwarden.model.catalogue import Source
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.fact_type import Fact, FactType

FACTS = {"level": Fact(name="level", type=FactType(kind="long"))}


def catalogue(kind):
    source = Source(id="posture", kind=kind, about=("User",), facts=FACTS, connection="c", query="select 1")
    return SimpleNamespace(sources={"posture": source})


@pytest.mark.parametrize("connections", [{}, {"c": ConnectionConfig(kind="sql", url="sqlite:///x")}])
async def test_a_source_without_its_connection_refuses_to_start(connections):
    async with contextlib.AsyncExitStack() as stack:
        with pytest.raises(MintwardenError) as caught:
            external_sources(Config(connections=connections), catalogue("http"), stack)
    assert caught.value.kind is ErrorKind.CONFIG
    assert "[connections.c]" in caught.value.hint


async def test_sources_are_bound_to_their_connections():
    config = Config(connections={"c": ConnectionConfig(kind="http", url="http://127.0.0.1:1/facts")})
    async with contextlib.AsyncExitStack() as stack:
        assert set(external_sources(config, catalogue("http"), stack)) == {"posture"}
        assert external_sources(config, catalogue("store"), stack) == {}
