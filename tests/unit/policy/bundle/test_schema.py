"""The schema follows from the sources, and Cedar takes it."""

from __future__ import annotations

from typing import Any

import cedarpy
import pytest

from mintwarden.model.catalogue import Source
from mintwarden.model.fact_type import Fact
from mintwarden.policy.bundle.facttypes import FACT_TYPES, cedar_type, spelled
from mintwarden.policy.bundle.schema import cedar_schema, is_optional, may_be_absent


def _source(
    name: str, about: str, *, fact: str = "f", kind: str = "string", optional: bool = False, **states: Any
) -> Source:
    facts = {fact: Fact(name=fact, type=FACT_TYPES[kind], optional=optional)}
    return Source(id=name, kind="store", about=(about,), facts=facts, **states)


def test_without_sources_it_is_still_one():
    cedarpy.Schema.from_str(cedar_schema({}))
    assert "entity User in [Group] {};" in cedar_schema({})


@pytest.mark.parametrize("kind", sorted(FACT_TYPES))
@pytest.mark.parametrize("about", ["User", "Workload", "Agent", "client", "session", "device", "world"])
def test_every_type_is_known_to_cedar_everywhere(kind, about):
    schema = cedar_schema({"s": _source("s", about, kind=kind)})
    cedarpy.Schema.from_str(schema)
    assert f"f: {cedar_type(FACT_TYPES[kind])}" in schema
    assert spelled(FACT_TYPES[kind]) == kind


@pytest.mark.parametrize("state", ["missing", "stale", "failing"])
def test_a_tolerant_source_has_optional_facts(state):
    source = _source("s", "User", **dict[str, Any]({state: "absent"}))
    assert is_optional(source.facts["f"], source)
    assert "f?: String" in cedar_schema({"s": source})


def test_an_optional_fact_is_optional():
    assert "f?: String" in cedar_schema({"s": _source("s", "User", optional=True)})


def test_a_namespace_is_there_only_if_a_source_speaks_of_it():
    assert "session" not in cedar_schema({})
    assert "session: { f: String }" in cedar_schema({"s": _source("s", "session")})


def test_a_namespace_of_tolerant_sources_is_optional():
    tolerant = _source("t", "session", missing="absent")
    assert "session?: { f?: String }" in cedar_schema({"t": tolerant})
    strict = _source("s", "session", fact="g")
    assert "session: { f?: String, g: String }" in cedar_schema({"t": tolerant, "s": strict})
    assert not may_be_absent({"t": tolerant, "s": strict}, "session")


def test_the_order_of_sources_does_not_matter():
    one, two = _source("a", "User", fact="x"), _source("b", "User", fact="y")
    assert cedar_schema({"a": one, "b": two}) == cedar_schema({"b": two, "a": one})


@pytest.mark.parametrize(
    ("condition", "passes"),
    [
        ('principal.f == "x"', True),
        ("principal.f == 1", False),
        ("principal.g == 1", False),
        ('context.client.kind == "web" && context.chain.depth == 0 && context.subject.id == "a"', True),
        ('context.request.purpose == "x"', False),
        ('context.request has purpose && context.request.purpose == "x"', True),
        ('context.request.address.isInRange(ip("10.0.0.0/8"))', False),
        ('context.request has address && context.request.address.isInRange(ip("10.0.0.0/8"))', True),
        ('context.chain.actors.contains("Agent:x") && resource.rank > 1 && resource.tier == "high"', True),
        ('principal in Group::"g" && resource in Audience::"a"', True),
        ("context.session.risk > 1", False),
    ],
)
def test_rules_are_held_against_it(condition, passes):
    rule = f'permit (principal is User, action == Action::"issue", resource == Scope::"s") when {{ {condition} }};'
    result = cedarpy.validate_policies(rule, cedar_schema({"s": _source("s", "User")}))
    assert bool(result) is passes
