from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintwarden.context.directory import GroupTree, Layout, Part, RecordError, compare
from mintwarden.model.catalogue import Catalogue, Source
from mintwarden.model.fact_type import Fact, FactType

STRING, SET = FactType(kind="string"), FactType(kind="set", element=FactType(kind="string"))


def source(id_: str, about: tuple[str, ...], facts: dict[str, FactType], **rest: Any) -> Source:
    optional = rest.pop("optional", ())
    return Source(
        id=id_, kind=rest.pop("kind", "store"), about=about,
        facts={n: Fact(name=n, type=t, optional=n in optional) for n, t in facts.items()}, **rest,
    )  # fmt: skip


SOURCES = [
    source("directory", ("User",), {"department": STRING, "tenants": SET}, groups=True),
    source("hr", ("User",), {"level": FactType(kind="long"), "leave": FactType(kind="bool")}, optional=("leave",)),
    source("entitlements", ("User", "Workload"), {"entitled": SET}),
    source("ci", ("Workload",), {"ref": STRING}, kind="token"),
]
LAYOUT = Layout(
    Catalogue(
        name="c", issuer="https://i", owner="o", owner_contact="o", environments=(), tiers={}, purposes={}, audiences={},
        scopes={}, claims={}, sources={s.id: s for s in SOURCES}, clients={}, issuers={},
    )
)  # fmt: skip


def tree(**parents: list[str]) -> GroupTree:
    made = GroupTree()
    for name, above in parents.items():
        made.add({"id": name, "member_of": above})
    return made


def test_each_field_goes_to_the_source_that_says_it():
    parts = LAYOUT.parts(
        "person",
        {"id": "a", "department": "x", "tenants": ["t2", "t1", "t1"], "level": "3", "leave": "true", "groups": ["g"]},
    )
    assert {p.source: (p.facts, p.groups) for p in parts} == {
        "directory": ({"department": "x", "tenants": ["t1", "t2"]}, {"g": (None, None)}),
        "hr": ({"level": 3, "leave": True}, None),
    }


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"id": "a", "departmint": "x"}, "no source says `departmint` of User"),
        ({"id": "a", "ci.ref": "x"}, "source `ci` is not imported"),
        ({"id": "a", "nope.ref": "x"}, "source `nope` is not in the bundle"),
        ({"id": "a", "level": "3x"}, "fact `level` is not a long"),
        ({"id": "a", "leave": "yes"}, "fact `leave` is not a bool"),
        ({"id": "a", "tenants": "t"}, "fact `tenants` is not a list"),
        ({"id": "a\n"}, "cannot be a name"),
        ({"id": ""}, "`id` is missing"),
        ({"id": "a"}, "has no fact"),
    ],
)
def test_records_that_are_refused(fields: dict[str, Any], problem: str):
    with pytest.raises(RecordError, match=problem):
        LAYOUT.parts("person", fields)


@pytest.mark.parametrize("facts", [{"department": "x"}, {"department": 5, "tenants": []}])
def test_a_document_is_held_against_the_catalogue(facts: dict[str, Any]):
    with pytest.raises(RecordError):
        LAYOUT.document(Part("User:a", "directory", facts, None), [], tree(), 0)


def test_entitlements_become_elements_with_spans():
    grant = LAYOUT.grant(
        {"entity": "User:a", "fact": "entitled", "element": "op", "start": "2026-01-01", "end": "2026-01-02T00:00:00Z"}
    )
    document = json.loads(
        LAYOUT.document(Part("User:a", "entitlements", {"entitled": ["z"]}, None), [grant], tree(), 0)
    )
    assert document["facts"] == {"entitled": ["op", "z"]}
    assert document["spans"] == {"entitled": {"op": [1767225600000, 1767312000000]}}


@pytest.mark.parametrize(
    "fields",
    [
        {"entity": "User:a", "fact": "department", "element": "x"},
        {"entity": "alice", "fact": "entitled", "element": "x"},
        {"entity": "User:a", "fact": "entitled"},
        {"entity": "User:a", "fact": "entitled", "element": "x", "until": "2026-01-01"},
        {"entity": "User:a", "fact": "entitled", "element": "x", "end": "soon"},
        {"entity": "User:a", "fact": "entitled", "element": "x", "start": "2026-01-02", "end": "2026-01-02"},
    ],
)
def test_entitlements_that_are_refused(fields: dict[str, Any]):
    with pytest.raises(RecordError):
        LAYOUT.grant(fields)


def test_groups_near_and_far_with_the_spans_of_the_ways():
    groups = tree(a=["b"], b=["c"], c=[], d=["c"])
    assert groups.above({"a": (None, None)}) == (["a", "b", "c"], {})
    assert groups.above({"a": (1, 5), "d": (5, 9)}) == (
        ["a", "b", "c", "d"],
        {"a": (1, 5), "b": (1, 5), "c": (1, 9), "d": (5, 9)},
    )
    assert groups.above({"a": (1, 5), "d": (None, None)})[1] == {"a": (1, 5), "b": (1, 5)}
    with pytest.raises(RecordError, match="leave a gap"):
        groups.above({"a": (1, 4), "d": (5, 9)})
    with pytest.raises(RecordError, match="not a group of this import"):
        groups.above({"x": (None, None)})


def test_circles_and_unknown_parents_are_found():
    assert [e.problem for _, e in tree(a=["b"], b=["a"]).close()] == ["group `a` is inside itself: a in b in a"]
    assert [e.problem for _, e in tree(a=["a"]).close()] == ["group `a` is inside itself: a in a"]
    assert [e.problem for _, e in tree(a=["x"]).close()] == ["`x` is not a group of this import"]
    deep = tree(**{f"g{n}": [f"g{n + 1}"] for n in range(5000)}, g5000=[])
    assert list(deep.close()) == []


@given(st.dictionaries(st.integers(0, 7), st.sets(st.integers(0, 7))))
def test_reach_is_the_transitive_closure_on_every_graph(edges: dict[int, set[int]]):
    everyone = {n: edges.get(n, set()) for n in range(8)}
    groups = tree(**{f"g{n}": [f"g{p}" for p in above] for n, above in everyone.items()})
    closure = {n: {n} for n in everyone}
    for _ in everyone:
        closure = {n: own | {q for p in own for q in everyone[p]} for n, own in closure.items()}
    for n, own in closure.items():
        assert set(groups.above({f"g{n}": (None, None)})[0]) == {f"g{m}" for m in own}
    circular = any(n in closure[p] for n, above in everyone.items() for p in above)
    assert bool(list(groups.close())) == circular


documents = st.binary(max_size=2) | st.sampled_from([b"{}", b"0", b'"\xff"', b'{"groups":["g"]}'])


@given(
    st.dictionaries(st.text("abä李", max_size=3), documents),
    st.dictionaries(st.text("abä李", max_size=3), documents),
)
def test_comparing_finds_exactly_the_differences(new: dict[str, bytes], old: dict[str, bytes]):
    changes = list(compare(sorted(new.items()), sorted(old.items())))
    assert [c.entity for c in changes] == sorted(new.keys() | old.keys())
    for change in changes:
        before, after = old.get(change.entity), new.get(change.entity)
        expected = (
            "added" if before is None else "removed" if after is None else "confirmed" if before == after else "changed"
        )
        assert (change.kind, change.document) == (expected, after)
