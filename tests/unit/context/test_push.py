"""Pushed facts are checked against the catalogue, whole or not at all."""

from __future__ import annotations

import msgspec
import pytest

from mintwarden.context.push import LONGEST, MOST, Pushed, PushGate
from mintwarden.model.catalogue import Catalogue, Source
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.fact_type import Fact, FactType

NOW = 1_795_000_000_000
STRINGS = FactType(kind="set", element=FactType(kind="string"))


def source(name: str, about: tuple[str, ...], **more: object) -> Source:
    facts = {
        "score": Fact(name="score", type=FactType(kind="long")),
        "signals": Fact(name="signals", type=STRINGS, optional=True),
    }
    return Source(id=name, about=about, facts=facts, **{"kind": "store", **more})  # type: ignore[arg-type]


SOURCES = (
    source("risk", ("User",)),
    source("lax", ("User", "session", "world"), missing="absent", groups=True),
    source("hr", ("User",), kind="sql"),
)
GATE = PushGate(
    Catalogue(
        name="n",
        issuer="i",
        owner="o",
        owner_contact="c",
        environments=(),
        tiers={},
        purposes={},
        audiences={},
        scopes={},
        claims={},
        sources={s.id: s for s in SOURCES},
        clients={},
        issuers={},
    )
)


def pushed(**changes: object) -> Pushed:
    return Pushed(**{"entity": "User:alice", "source": "risk", "facts": {"score": 3}, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "one",
    [
        pushed(),
        pushed(observed_at=NOW + 60_000),
        pushed(observed_at=0),
        pushed(facts={"score": 3, "signals": ["a"]}, spans={"signals": {"a": (None, NOW)}}),
        pushed(source="lax", facts={}),
        pushed(source="lax", groups=["g"], spans={"groups": {"g": (NOW, NOW + 1)}}),
        pushed(source="lax", entity="session:s:1"),
        pushed(source="lax", entity="world:"),
    ],
)
def test_taken(one: Pushed):
    ((entity, row),) = GATE.rows([one], NOW)
    assert (entity, row.source) == (one.entity, one.source)
    assert row.observed_at == (NOW if one.observed_at is None else one.observed_at)
    document = msgspec.json.decode(row.document)
    assert document.get("facts", {}) == one.facts
    assert document.get("groups", []) == one.groups


@pytest.mark.parametrize(
    ("one", "says"),
    [
        (pushed(source="none"), "no source"),
        (pushed(source="hr"), "no source"),
        (pushed(entity="Agent:alice"), "not about"),
        (pushed(entity="alice"), "not about"),
        (pushed(entity="User:"), "not an entity key"),
        (pushed(entity="User:a\nb"), "not an entity key"),
        (pushed(entity="User:" + "x" * 513), "not an entity key"),
        (pushed(source="lax", entity="world:x"), "not an entity key"),
        (pushed(facts={"score": 3, "extra": 1}), "no fact `extra`"),
        (pushed(facts={}), "`score` is required"),
        (pushed(facts={"score": "3"}), "expected `int`"),
        (pushed(facts={"score": 1.5}), "expected `int`"),
        (pushed(groups=["g"]), "does not say groups"),
        (pushed(spans={"signals": {"a": (None, NOW)}}), "not in the document"),
        (pushed(spans={"groups": {"g": (None, NOW)}}), "not in the document"),
        (pushed(spans={"score": {"3": (None, NOW)}}), "not a set"),
        (pushed(facts={"score": 1, "signals": ["a"]}, spans={"signals": {"a": (NOW, NOW)}}), "ends before"),
        (pushed(observed_at=NOW + 60_001), "in the future"),
        (pushed(observed_at=-1), "not a time"),
    ],
)
def test_refused(one: Pushed, says: str):
    with pytest.raises(MintwardenError) as caught:
        GATE.rows([pushed(), one], NOW)
    assert caught.value.kind is ErrorKind.INVALID_REQUEST
    assert caught.value.public.startswith("document 1: ")
    assert says in caught.value.public
    assert "\n" not in caught.value.public


def test_too_much_is_refused():
    for many in ([pushed()] * (MOST + 1), [pushed(facts={"score": 1, "signals": ["x" * LONGEST]})]):
        with pytest.raises(MintwardenError) as caught:
            GATE.rows(many, NOW)
        assert caught.value.kind is ErrorKind.TOO_LARGE


def test_unknown_members_are_refused_when_it_is_read():
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"entity": "User:a", "source": "risk", "extra": 1}', type=Pushed)
