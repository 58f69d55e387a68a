"""`sources.toml`: every place that facts come from, what it says, how old it may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mintwarden.model.catalogue import Source
from mintwarden.model.fact_type import Fact, FactType
from mintwarden.model.scim import ATTRIBUTES, ScimFeed
from mintwarden.model.terms import ApprovalKind
from mintwarden.policy.bundle.draft import Draft
from mintwarden.policy.bundle.facttypes import fact_type, spelled
from mintwarden.policy.bundle.kinds import boolean, choice, duration, entity_id, fact_name, identifier, text
from mintwarden.policy.bundle.problem import Place, Problems, quote
from mintwarden.policy.bundle.shape import BAD, Key, Table, each_named, list_of, read_table, table_of

FILE = "sources.toml"
PRINCIPALS = ("User", "Workload", "Agent")
NAMESPACES = ("client", "session", "device", "world")
SENSITIVITIES = ("public", "internal", "confidential", "restricted")

BUILT_IN: Mapping[str, FactType] = {name: FactType(kind="string") for name in ("id", "kind", "owner", "principal")}
"""What `context.client` always holds; no source may speak over it."""

DAY = 86_400
_ELEMENTS = FactType(kind="set", element=FactType(kind="string"))

RESERVED_SOURCES = ("request",)
"""The name of what a request itself states."""

FACT = Table(
    "{ type = ... }",
    (
        Key("type", fact_type, FactType(kind="string"), required=True),
        Key("optional", boolean, False),
        Key("sensitivity", choice(*SENSITIVITIES), "internal"),
    ),
)


def fact(value: Any, place: Place, problems: Problems) -> Any:
    """A fact: its type alone, or a table."""
    if isinstance(value, str):
        kind = fact_type(value, place, problems)
        return BAD if kind is BAD else {"type": kind, "optional": False, "sensitivity": "internal"}
    if not isinstance(value, dict):
        problems.add(place, f"`{place.path[-1]}` is neither a type nor a table", 'write `"string"`, for instance')
        return BAD
    return read_table(FACT, value, place, problems)


_STATE = choice("refuse", "absent")

APPROVALS = "approvals"
"""The kind of source whose facts people approve here, and the one fact that it has."""

APPROVER = Table(
    "[sources.<id>.approvers.<kind>]",
    (
        Key("meaning", text(most=500), "", required=True),
        Key("users", list_of(entity_id), ()),
        Key("groups", list_of(entity_id), ()),
        Key("lasts", duration(most=DAY), 900),
        Key("once", boolean, True),
        Key("waits", duration(most=7 * DAY), 3600),
        Key("acr", list_of(text(most=200)), ()),
    ),
)

SCIM = Table(
    "[sources.<id>.scim]",
    (
        Key("identifier", choice("userName", "externalId"), "userName"),
        Key("subject_prefix", text(most=200, least=0), ""),
        Key("administrators", boolean, False),
        Key("facts", each_named(fact_name, choice(*ATTRIBUTES), most=1_000), {}),
    ),
)

SOURCE = Table(
    "[sources.<id>]",
    (
        Key("kind", choice("store", "token", "sql", "http", APPROVALS), "store", required=True),
        Key("about", list_of(choice(*PRINCIPALS, *NAMESPACES), least=1), (), required=True),
        Key("max_age", duration(), 0),
        Key("missing", _STATE, "refuse"),
        Key("stale", _STATE, "refuse"),
        Key("failing", _STATE, "refuse"),
        Key("groups", boolean, False),
        Key("connection", identifier, ""),
        Key("query", text(most=8_000), ""),
        Key("owner", text(most=200), ""),
        Key("description", text(), ""),
        Key("facts", each_named(fact_name, fact, most=1_000), {}),
        Key("approvers", each_named(identifier, table_of(APPROVER), most=100), {}),
        Key("scim", table_of(SCIM), None),
    ),
)
SOURCES = Table(FILE, (Key("sources", each_named(identifier, table_of(SOURCE), most=200), {}, required=True),))
TABLES = (SOURCE, FACT, APPROVER, SCIM)


def read_sources(draft: Draft) -> Mapping[str, Source]:
    """Every source by id; a bundle whose rules need no facts may do without the file."""
    document = draft.documents.get(FILE)
    if document is None:
        return {}
    values = read_table(SOURCES, document, Place(FILE), draft.problems)["sources"]
    sources = {name: _source(draft, name, value) for name, value in values.items()}
    _distinct_facts(draft, sources)
    return sources


def _source(draft: Draft, name: str, values: Mapping[str, Any]) -> Source:
    place = Place(FILE, ("sources", name))
    draft.declare("source", name, place)
    if name in RESERVED_SOURCES:
        draft.problems.add(
            place, f"a source cannot be called `{name}`", "rename it: that is the request itself", key=True
        )
    _kind_fits(draft, place, values)
    _scim_fits(draft, place, values)
    if values["kind"] == APPROVALS:
        return _approvals(draft, name, values)
    for index, about in enumerate(values["about"]):
        for reserved in BUILT_IN if about == "client" else ():
            if reserved in values["facts"]:
                remedy = "rename it: the catalogue says that itself"
                draft.problems.add(place.at("facts", reserved), f"fact `{reserved}` is built in", remedy, key=True)
        if about in NAMESPACES and values["groups"]:
            what = f"`groups` says which groups a principal is in, and `{about}` is none"
            draft.problems.add(place.at("about", index), what, "split the source")
    return Source(
        id=name,
        kind=values["kind"],
        about=values["about"],
        facts={
            key: Fact(name=key, type=entry["type"], optional=entry["optional"], sensitivity=entry["sensitivity"])
            for key, entry in values["facts"].items()
        },
        max_age=values["max_age"] * 1000,
        missing=values["missing"],
        stale=values["stale"],
        failing=values["failing"],
        groups=values["groups"],
        connection=values["connection"],
        query=values["query"],
        owner=values["owner"],
        description=values["description"],
        scim=None if values["scim"] is None else ScimFeed(**values["scim"]),
    )


def _approvals(draft: Draft, name: str, values: Mapping[str, Any]) -> Source:
    """What people approve here: one fact, which is there when somebody approved something and absent otherwise."""
    place = Place(FILE, ("sources", name))
    for kind, value in values["approvers"].items():
        if not value["users"] and not value["groups"]:
            draft.problems.add(place.at("approvers", kind), "nobody may give this approval", "name `users` or `groups`")
    return Source(
        id=name,
        kind="approvals",
        about=values["about"],
        facts={APPROVALS: Fact(name=APPROVALS, type=_ELEMENTS, optional=True, sensitivity="confidential")},
        missing="absent",
        owner=values["owner"],
        description=values["description"],
        approvers={kind: ApprovalKind(id=kind, **value) for kind, value in values["approvers"].items()},
    )


def _approvals_fit(draft: Draft, place: Place, values: Mapping[str, Any]) -> None:
    approves = values["kind"] == APPROVALS
    if bool(values["approvers"]) is not approves:
        what = "a source of kind `approvals` says who approves, and no other does"
        draft.problems.add(place, what, "add `[sources.<id>.approvers.<kind>]`, or change `kind`", key=True)
    if not approves:
        return
    for member in ("facts", "groups", "max_age"):
        if values[member]:
            what = f"`{member}` has no meaning for kind `approvals`"
            draft.problems.add(place.at(member), what, "remove it: its one fact is `approvals`", key=True)
    for member in ("missing", "stale", "failing"):
        if values[member] != "refuse":
            what = f"`{member}` has no meaning for kind `approvals`"
            draft.problems.add(
                place.at(member), what, "remove it: where nobody approved, there is no approval", key=True
            )
    if any(about in NAMESPACES for about in values["about"]):
        what = "a source of kind `approvals` is about principals"
        draft.problems.add(place.at("about"), what, "name `User`, `Workload` or `Agent`")


def _kind_fits(draft: Draft, place: Place, values: Mapping[str, Any]) -> None:
    """What a kind of source needs, and what has no meaning for it."""
    kind = values["kind"]
    outside = kind in ("sql", "http")
    if outside and not values["connection"]:
        remedy = 'add `connection = "<name>"`: the configuration says what it is'
        draft.problems.add(place, f"a source of kind `{kind}` needs a `connection`", remedy, key=True)
    if kind == "sql" and not values["query"]:
        draft.problems.add(place, "a source of kind `sql` needs a `query`", "add one that takes `:keys`", key=True)
    if kind == "sql" and values["query"] and ":keys" not in values["query"]:
        draft.problems.add(
            place.at("query"), "the query does not take `:keys`", "ask for all entities of a batch at once"
        )
    if values["connection"] and not outside:
        draft.problems.add(
            place.at("connection"), f"`connection` has no meaning for kind `{kind}`", "remove it", key=True
        )
    if values["query"] and kind != "sql":
        draft.problems.add(place.at("query"), f"`query` has no meaning for kind `{kind}`", "remove it", key=True)
    if kind == "token" and any(about in NAMESPACES for about in values["about"]):
        what = "a source of kind `token` is about the token's principal"
        draft.problems.add(place.at("about"), what, "name `User`, `Workload` or `Agent`")
    _approvals_fit(draft, place, values)
    if not values["facts"] and not values["groups"] and kind != APPROVALS:
        draft.problems.add(place, "the source says nothing", "declare facts, or `groups = true`", key=True)


def _scim_fits(draft: Draft, place: Place, values: Mapping[str, Any]) -> None:
    """What SCIM feeds is kept here, is about people, and says of each of its facts which attribute it is."""
    scim = values["scim"]
    if scim is None:
        return
    at = place.at("scim")
    if values["kind"] != "store" or values["about"] != ("User",):
        what = "SCIM feeds a source of kind `store` that is about `User` alone"
        draft.problems.add(at, what, "give people a source of their own")
    if values["max_age"]:
        what = "SCIM tells what changes, and nothing while nothing does: its facts would all become too old"
        draft.problems.add(place.at("max_age"), what, "remove it", key=True)
    for name, attribute in scim["facts"].items():
        if name not in values["facts"]:
            what = f"`{name}` is not a fact of this source"
            draft.problems.add(at.at("facts", name), what, draft.problems.near(name, values["facts"]), key=True)
        elif not _holds(values["facts"][name]["type"], ATTRIBUTES[attribute].kind):
            what = f"`{attribute}` is not a `{spelled(values['facts'][name]['type'])}`"
            draft.problems.add(at.at("facts", name), what, "change the type of the fact, or name another attribute")
    for name, entry in values["facts"].items():
        if name not in scim["facts"] and not entry["optional"]:
            what = f"fact `{name}` is not optional, and SCIM says nothing of it"
            draft.problems.add(place.at("facts", name), what, "add it to `[sources.<id>.scim.facts]`", key=True)


def _holds(kind: FactType, attribute: str) -> bool:
    if attribute == "set":
        return kind == _ELEMENTS
    if attribute == "bool":
        return kind.kind == "bool"
    return kind.kind not in ("bool", "set", "record", "entity")


def _distinct_facts(draft: Draft, sources: Mapping[str, Source]) -> None:
    """A fact has one source; and one type wherever it is about a principal, for rules that ask about any."""
    approving = [source.id for source in sources.values() if source.kind == APPROVALS]
    for name in approving[1:]:
        what = f"source `{approving[0]}` is of kind `approvals` already"
        draft.problems.add(Place(FILE, ("sources", name)), what, "put its `approvers` there", key=True)
    fed = [source.id for source in sources.values() if source.scim is not None]
    for name in fed[1:]:
        what = f"SCIM feeds source `{fed[0]}` already"
        draft.problems.add(Place(FILE, ("sources", name, "scim")), what, "remove one", key=True)
    owners: dict[tuple[str, str], str] = {}
    types: dict[str, tuple[str, FactType]] = {}
    for source in sources.values():
        for entry in source.facts.values():
            place = Place(FILE, ("sources", source.id, "facts", entry.name))
            for about in source.about:
                owner = owners.setdefault((about, entry.name), source.id)
                if owner != source.id:
                    what = f"fact `{entry.name}` about `{about}` is also provided by source `{owner}`"
                    draft.problems.add(place, what, "one source is authoritative: rename or remove one", key=True)
            if any(about in PRINCIPALS for about in source.about):
                other, kind = types.setdefault(entry.name, (source.id, entry.type))
                if kind != entry.type:
                    what = f"fact {quote(entry.name)} is `{spelled(entry.type)}` here, `{spelled(kind)}` in `{other}`"
                    draft.problems.add(place, what, "give it one type for every kind of principal")
