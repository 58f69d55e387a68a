"""`tests/*.toml`: the shape of a scenario, and the facts that scenarios of a file share."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from mintwarden.model.catalogue import Catalogue
from mintwarden.model.decision import RefusalReason
from mintwarden.policy.bundle.clients import GRANTS, METHODS
from mintwarden.policy.bundle.draft import Draft
from mintwarden.policy.bundle.kinds import (
    boolean,
    choice,
    claim_name,
    duration,
    entity_id,
    identifier,
    integer,
    matching,
    moment,
    scope_name,
    text,
)
from mintwarden.policy.bundle.model import ScenarioDocument
from mintwarden.policy.bundle.positions import locate
from mintwarden.policy.bundle.problem import Place, Problems, quote
from mintwarden.policy.bundle.shape import BAD, Key, Kind, Table, each_named, list_of, read_table, table_of
from mintwarden.policy.details import DetailRefused, record_of

FOLDER = "tests"
MAX_SCENARIOS = 10_000

_UID = re.compile(r'(User|Workload|Agent)::"([^"\\]{1,256})"')
_KEY = re.compile(r"(User|Workload|Agent|client|session|device):(.{1,256})|world:", re.ASCII)


def principal(value: Any, place: Place, problems: Problems) -> Any:
    """`User::"alice"` as type and id."""
    found = _UID.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        problems.add(place, f"{quote(value)} is not a principal", "write `'User::\"alice\"'`")
        return BAD
    return (found[1], found[2])


def anything(value: Any, _place: Place, _problems: Problems) -> Any:
    """Any value: what a fact or claim may be is said elsewhere."""
    return value


_entity_key = matching(_KEY, "an entity key such as `User:alice`, `client:web`, `session:s1` or `world:`")
_moment_or_open = list_of(moment, least=2, most=2, unique=False)


def _bound(value: Any, place: Place, problems: Problems) -> Any:
    """A start or an end; empty text is open."""
    return None if value == "" else moment(value, place, problems)


def _document(title: str) -> Table:
    return Table(
        title,
        (
            Key("facts", each_named(text(most=64), anything), {}),
            Key("groups", list_of(entity_id), ()),
            Key(
                "spans",
                each_named(text(most=64), each_named(text(most=256), list_of(_bound, least=2, most=2, unique=False))),
                {},
            ),
            Key("age", duration(least=0), 0),
            Key("state", choice("present", "missing", "failing"), "present"),
        ),
    )


def _facts(document: Table) -> Kind:
    return each_named(_entity_key, each_named(identifier, table_of(document)))


DOCUMENT = _document('[scenario.given.facts."<entity key>".<source>]')
_FACTS = _facts(DOCUMENT)

GIVEN = Table(
    "[scenario.given]",
    (
        Key("client", entity_id, "", required=True),
        Key("grant", choice(*GRANTS), "client_credentials"),
        Key("subject", principal),
        Key("actors", list_of(principal, most=16), ()),
        Key("impersonate", boolean),
        Key("audience", identifier, "", required=True),
        Key("scopes", list_of(scope_name), ()),
        Key("now", moment, 0, required=True),
        Key("purpose", identifier, ""),
        Key("environment", identifier, ""),
        Key("tenant", text(most=256), ""),
        Key("workspace", text(most=256), ""),
        Key("project", text(most=256), ""),
        Key("lifetime", integer(1, 10**9)),
        Key("acr", text(most=256), ""),
        Key("amr", list_of(text(most=64)), ()),
        Key("auth_age", duration(least=0)),
        Key("method", choice(*METHODS), ""),
        Key("session", text(most=256), ""),
        Key("device", text(most=256), ""),
        Key("address", text(most=64), ""),
        Key("binding", choice("dpop", "mtls"), ""),
        Key("details", list_of(anything, most=16, unique=False), ()),
        Key("parent_scopes", list_of(scope_name)),
        Key("parent_details", list_of(anything, most=16, unique=False), ()),
        Key("parent_expires_in", duration()),
        Key("facts", _FACTS, {}),
    ),
)
EXPECT = Table(
    "[scenario.expect]",
    (
        Key("granted", list_of(scope_name)),
        Key("refused", each_named(scope_name, choice(*get_args(RefusalReason))), {}),
        Key("would", each_named(scope_name, choice("granted", *get_args(RefusalReason))), {}),
        Key("mode", choice("observe", "enforce"), ""),
        Key("claims", each_named(claim_name, anything), {}),
        Key("absent_claims", list_of(claim_name), ()),
        Key("lifetime", integer(1, 10**9)),
        Key("bounded_by", text(most=300), ""),
        Key("route", each_named(scope_name, text(most=128)), {}),
    ),
)
SCENARIO = Table(
    "[[scenario]]",
    (
        Key("id", identifier, "", required=True),
        Key("why", text(), "", required=True),
        Key("given", table_of(GIVEN), required=True),
        Key("expect", table_of(EXPECT), required=True),
    ),
)
DEFAULTS = Table("[defaults]", (Key("facts", _FACTS, {}),))
SUPPOSED = Table("suppositions", (Key("facts", _facts(_document('[facts."<entity key>".<source>]')), {}),))
"""What a question supposes, in the shape of a scenario's facts."""

SCENARIO_FILE = Table(
    "tests/*.toml",
    (
        Key("defaults", table_of(DEFAULTS), {"facts": {}}),
        Key("scenario", list_of(table_of(SCENARIO), most=5_000, unique=False), (), required=True),
    ),
)
TABLES = (SCENARIO, GIVEN, DOCUMENT, EXPECT, DEFAULTS)


def read_scenarios(draft: Draft, catalogue: Catalogue, texts: Mapping[str, str]) -> tuple[ScenarioDocument, ...]:
    """Every scenario, in order of file and place."""
    found: list[ScenarioDocument] = []
    count = 0
    for file, document in draft.under(FOLDER):
        values = read_table(SCENARIO_FILE, document, Place(file), draft.problems)
        count += len(values["scenario"])
        if count > MAX_SCENARIOS:
            draft.problems.put(file, 0, 0, f"there are more than {MAX_SCENARIOS} scenarios", "remove some", always=True)
            break
        shared = values["defaults"]["facts"]
        _known_facts(draft, catalogue, shared, Place(file, ("defaults", "facts")))
        lines = locate(texts[file])
        for index, entry in enumerate(values["scenario"]):
            place = Place(file, ("scenario", index))
            if not entry["id"] or entry["given"] is None or entry["expect"] is None:
                continue
            if draft.declare("scenario", entry["id"], place.at("id")):
                _known_words(draft, catalogue, entry, place)
                line = lines.get((place.path, True), (0, 0))[0]
                found.append(_scenario(entry, file, line, shared))
    return tuple(found)


def _scenario(entry: Mapping[str, Any], file: str, line: int, shared: Mapping[str, Any]) -> ScenarioDocument:
    own = entry["given"]["facts"]
    facts = {key: {**shared.get(key, {}), **own.get(key, {})} for key in (*shared, *own)}
    return ScenarioDocument(
        id=entry["id"],
        file=file,
        line=line,
        why=entry["why"],
        given={**entry["given"], "facts": facts},
        expect=entry["expect"],
    )


def _known_words(draft: Draft, catalogue: Catalogue, entry: Mapping[str, Any], place: Place) -> None:
    """Every name in a scenario must be the catalogue's, or the scenario shows nothing."""
    given, expect = entry["given"], entry["expect"]
    at, to = place.at("given"), place.at("expect")
    draft.known("client", given["client"], catalogue.clients, at.at("client"))
    for key in ("details", "parent_details"):
        for index, said in enumerate(given[key]):
            _well_formed(draft, catalogue, given["audience"], said, at.at(key, index), fits=key == "details")
    if given["purpose"]:
        draft.known("purpose", given["purpose"], catalogue.purposes, at.at("purpose"))
    if given["environment"]:
        draft.known("environment", given["environment"], frozenset(catalogue.environments), at.at("environment"))
    draft.known("audience", given["audience"], catalogue.audiences, at.at("audience"))
    for name in given["parent_scopes"] or ():
        draft.known("scope", name, catalogue.scopes, at.at("parent_scopes"))
    for name in (*(expect["granted"] or ()), *expect["route"], *expect["would"]):
        where = to.at("granted") if name in (expect["granted"] or ()) else place
        if name.partition("#")[0] not in catalogue.details:
            draft.known("scope", name, catalogue.scopes, where)
    for name in (*expect["claims"], *expect["absent_claims"]):
        draft.known("claim", name, catalogue.claims, to.at("claims", name), key=True)
    if expect["granted"] is None and not expect["refused"]:
        draft.problems.add(to, "the scenario expects nothing", "add `granted` or `refused`", key=True)
    if expect["granted"] == () and not expect["refused"] and (given["scopes"] or given["details"]):
        draft.problems.add(
            to, "a refusal is expected and no reason", 'add `refused = { "<scope>" = "<reason>" }`', key=True
        )
    _known_facts(draft, catalogue, given["facts"], at.at("facts"))


def _well_formed(draft: Draft, catalogue: Catalogue, audience: str, said: Any, place: Place, *, fits: bool) -> None:
    """An authorization detail of the audience; one that is asked for also as its type declares it."""
    if not isinstance(said, dict) or not isinstance(said.get("type"), str):
        draft.problems.add(place, "an authorization detail is a table with a `type`", 'write `{ type = "..." }`')
        return
    types = catalogue.audiences[audience].details if audience in catalogue.audiences else {}
    if not draft.known("type of authorization detail", said["type"], types, place.at("type")) or not fits:
        return
    try:
        fields = {name: value for name, value in said.items() if name != "type"}
        record_of(types[said["type"]], catalogue.audiences[audience], fields)
    except DetailRefused as error:
        draft.problems.add(place, str(error), error.hint)


def _known_facts(draft: Draft, catalogue: Catalogue, facts: Mapping[str, Any], place: Place) -> None:
    for key, source, name in _stated(facts):
        about = key.partition(":")[0]
        where = place.at(key, source)
        speaking = [s.id for s in catalogue.sources.values() if about in s.about]
        if source not in speaking:
            what = f"no source {quote(source)} is about `{about}`"
            draft.problems.add(where, what, draft.problems.near(source, speaking), key=True)
        elif name is not None and name not in catalogue.sources[source].facts:
            what = f"source `{source}` provides no fact {quote(name)}"
            draft.problems.add(
                where.at("facts", name), what, draft.problems.near(name, catalogue.sources[source].facts), key=True
            )


def _stated(facts: Mapping[str, Any]) -> Iterator[tuple[str, str, str | None]]:
    for key, documents in facts.items():
        for source, document in documents.items():
            yield key, source, None
            for name in document["facts"]:
                yield key, source, name
