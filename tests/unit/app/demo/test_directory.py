"""The generated directory: big enough, nested enough, and the same every time."""

from __future__ import annotations

import msgspec
import pytest

from mintwarden.app.demo.cast import DAY, PEOPLE, PROGRAMS, cast_documents
from mintwarden.app.demo.directory import GROUP_COUNT, PEOPLE_COUNT, PROGRAM_COUNT, ancestors, generate_directory
from mintwarden.app.demo.stage import meridian
from mintwarden.context.directory import Grant, GroupTree, Layout
from mintwarden.context.ports import FactDocument
from mintwarden.context.push import Pushed, PushGate
from mintwarden.policy.bundle.load import load_bundle

NOW = 1_795_514_400_000


def count(prefix: str) -> int:
    return sum(entity.startswith(prefix) for entity in generate_directory(NOW).documents())


def test_as_many_as_the_documentation_says() -> None:
    directory = generate_directory(NOW)
    assert len(directory.groups) == GROUP_COUNT
    assert count("User:") == PEOPLE_COUNT
    assert count("Workload:") == PROGRAM_COUNT


def test_same_seed_and_day_same_bytes() -> None:
    first, second = (msgspec.json.encode(generate_directory(now).documents()) for now in (NOW, NOW + DAY // 10))
    assert first == second
    assert first != msgspec.json.encode(generate_directory(NOW, seed=1).documents())


def test_groups_are_nested_and_resolved() -> None:
    directory = generate_directory(NOW)
    assert set(ancestors("team-customer-care-1", directory.groups)) == {
        "team-customer-care-1",
        "dept-customer-care",
        "support-all",
    }
    for entity, sources in directory.documents().items():
        if entity.startswith("User:"):
            held = set(sources["directory"].groups)
            assert held == {name for group in held for name in ancestors(group, directory.groups)}


def test_circles_of_groups_end() -> None:
    assert set(ancestors("a", {"a": ("b",), "b": ("a",)})) == {"a", "b"}


def test_entitlements_have_starts_and_ends() -> None:
    spans = [
        span
        for sources in generate_directory(NOW).said.values()
        if "entitlements" in sources
        for span in sources["entitlements"].spans.get("entitlements", {}).values()
    ]
    assert len(spans) > 50
    assert any(end is not None and end < NOW for _, end in spans)
    assert all(start is not None and start < NOW for start, _ in spans)


@pytest.mark.parametrize("documents", [generate_directory(NOW).documents(), cast_documents(NOW)])
def test_every_document_is_what_the_bundle_declares(documents: dict[str, dict[str, object]]) -> None:
    gate = PushGate(load_bundle(meridian()).catalogue)
    pushed = [
        msgspec.convert({"entity": entity, "source": source, **msgspec.to_builtins(said)}, Pushed)
        for entity, sources in documents.items()
        for source, said in sources.items()
    ]
    for start in range(0, len(pushed), 500):
        part = pushed[start : start + 500]
        assert len(gate.rows(part, NOW)) == len(part)


def test_every_client_is_a_registered_program_or_agent() -> None:
    catalogue = load_bundle(meridian()).catalogue
    documents = generate_directory(NOW).documents()
    assert {f"{client.principal}:{client.id}" for client in catalogue.clients.values()} <= set(documents)
    assert len({person.name for person in PEOPLE}) == len(PEOPLE)
    assert len({program.name for program in PROGRAMS}) == len(PROGRAMS)


def test_records_are_what_the_import_takes() -> None:
    layout, tree, directory = Layout(load_bundle(meridian()).catalogue), GroupTree(), generate_directory(NOW)
    records = directory.records()
    for record in records["groups"]:
        tree.add(record)
    assert list(tree.close()) == []
    grants: dict[tuple[str, str], list[Grant]] = {}
    for record in records["entitlements"]:
        grant = layout.grant(record)
        grants.setdefault((grant.entity, grant.source), []).append(grant)
    taken: dict[str, dict[str, FactDocument]] = {}
    for plural, kind in (("people", "person"), ("workloads", "workload"), ("agents", "agent"), ("clients", "client")):
        for record in records[plural]:
            for part in layout.parts(kind, record):
                document = layout.document(part, grants.get((part.entity, part.source), ()), tree, NOW)
                taken.setdefault(part.entity, {})[part.source] = msgspec.json.decode(document, type=FactDocument)
    assert taken == {
        entity: {source: _in_order(document) for source, document in sources.items()}
        for entity, sources in directory.documents().items()
    }


def _in_order(document: FactDocument) -> FactDocument:
    facts = {name: sorted(value) if isinstance(value, list) else value for name, value in document.facts.items()}
    return FactDocument(facts=facts, groups=sorted(document.groups), spans=document.spans)
