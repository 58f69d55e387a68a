"""`assertions/*.toml`: what must never be granted, in words for reviewers and in a form that is proved."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import cedarpy
from cedarpy import pst
from msgspec import Struct

from mintwarden.model.catalogue import Catalogue, Scope
from mintwarden.model.detail import DetailType
from mintwarden.policy.bundle.draft import Draft
from mintwarden.policy.bundle.kinds import boolean, choice, entity_id, identifier, scope_name, text
from mintwarden.policy.bundle.positions import locate
from mintwarden.policy.bundle.problem import Place
from mintwarden.policy.bundle.shape import Key, Table, list_of, read_table, table_of
from mintwarden.policy.bundle.sources import PRINCIPALS
from mintwarden.policy.cedar.slips import slip_in

FOLDER = "assertions"
MAX_ASSERTIONS = 1_000
_FOR_POLICY = re.compile(r"for policy `[^`]*`, ")

NEVER = Table(
    "[assertion.never]",
    (
        Key("about", choice("subject", "actor"), "subject"),
        Key("types", list_of(choice(*PRINCIPALS), least=1), PRINCIPALS),
        Key("scopes", list_of(scope_name), ()),
        Key("tiers", list_of(identifier), ()),
        Key("audiences", list_of(identifier), ()),
        Key("together", boolean, False),
        Key("clients", list_of(entity_id), ()),
        Key("environments", list_of(identifier), ()),
        Key("when", text(), ""),
        Key("unless", text(), ""),
        Key("unless_approved", boolean, False),
    ),
)
ASSERTION = Table(
    "[[assertion]]",
    (
        Key("id", identifier, "", required=True),
        Key("says", text(), "", required=True),
        Key("never", table_of(NEVER), required=True),
    ),
)
ASSERTION_FILE = Table(
    "assertions/*.toml", (Key("assertion", list_of(table_of(ASSERTION), unique=False), (), required=True),)
)
TABLES = (ASSERTION, NEVER)


class Assertion(Struct, frozen=True, kw_only=True):
    """Something that must never be granted.

    Attributes:
        says: the assertion in words.
        about: whether `types`, `when` and `unless` are about the subject or about any one actor.
        scopes: the scopes and types of authorization details that it is about, selectors resolved.
        together: one subject must not be able to have them all; otherwise none of them.
        clients, environments: only these; empty for any.
        when, unless: the policy tree of a rule with the condition as its only clause, or None.
        unless_approved: the principal holds an approval of the scope, of any kind that a rule demands.
    """

    id: str
    file: str
    line: int
    says: str
    about: Literal["subject", "actor"] = "subject"
    types: tuple[str, ...] = PRINCIPALS
    scopes: tuple[str, ...]
    together: bool = False
    clients: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()
    when: pst.Template | None = None
    unless: pst.Template | None = None
    unless_approved: bool = False


def read_assertions(draft: Draft, catalogue: Catalogue, texts: Mapping[str, str], schema: str) -> tuple[Assertion, ...]:
    """Every assertion, in order of file and place."""
    found: list[Assertion] = []
    for file, document in draft.under(FOLDER):
        values = read_table(ASSERTION_FILE, document, Place(file), draft.problems)
        lines = locate(texts[file])
        for index, entry in enumerate(values["assertion"]):
            place = Place(file, ("assertion", index))
            if len(found) >= MAX_ASSERTIONS:
                draft.problems.put(file, 0, 0, f"there are more than {MAX_ASSERTIONS} assertions", "remove some")
                return tuple(found)
            if entry["id"] and entry["never"] is not None and draft.declare("assertion", entry["id"], place.at("id")):
                line = lines.get((place.path, True), (0, 0))[0]
                found.append(_assertion(draft, catalogue, entry, place, line, schema))
    return tuple(found)


def _assertion(
    draft: Draft, catalogue: Catalogue, entry: Mapping[str, Any], place: Place, line: int, schema: str
) -> Assertion:
    never, at = entry["never"], place.at("never")
    _check_names(draft, catalogue, never, at)
    scopes = _selected(catalogue, never)
    if not scopes:
        draft.problems.add(at, "the assertion is about no scope", "widen `scopes`, `tiers` or `audiences`", key=True)
    if never["together"] and len(scopes) < 2:
        draft.problems.add(at, "`together` needs two scopes", "name them in `scopes`", key=True)
    action = "issue" if never["about"] == "subject" else "act"
    return Assertion(
        id=entry["id"],
        file=place.file,
        line=line,
        says=entry["says"],
        about=never["about"],
        types=never["types"],
        scopes=scopes,
        together=bool(never["together"]),
        clients=never["clients"],
        environments=never["environments"],
        when=_condition(draft, never["when"], at.at("when"), action, never["types"], schema),
        unless=_condition(draft, never["unless"], at.at("unless"), action, never["types"], schema),
        unless_approved=bool(never["unless_approved"]),
    )


def _check_names(draft: Draft, catalogue: Catalogue, never: Mapping[str, Any], at: Place) -> None:
    for key, kind, known in (
        ("scopes", "scope", {**catalogue.scopes, **catalogue.details}),
        ("tiers", "tier", catalogue.tiers),
        ("audiences", "audience", catalogue.audiences),
        ("clients", "client", catalogue.clients),
        ("environments", "environment", frozenset(catalogue.environments)),
    ):
        for name in never[key]:
            draft.known(kind, name, known, at.at(key))


def _selected(catalogue: Catalogue, never: Mapping[str, Any]) -> tuple[str, ...]:
    """The scopes and types of details that every selector that is given lets through; all of them where none is."""
    issued: Mapping[str, Scope | DetailType] = {**catalogue.scopes, **catalogue.details}
    return tuple(
        name
        for name, scope in issued.items()
        if (not never["scopes"] or name in never["scopes"])
        and (not never["tiers"] or scope.tier in never["tiers"])
        and (not never["audiences"] or scope.audience in never["audiences"])
    )


def _condition(
    draft: Draft, condition: str, place: Place, action: str, types: tuple[str, ...], schema: str
) -> pst.Template | None:
    """The condition as the only clause of a rule; None, with a finding, for one that Cedar does not take."""
    if not condition:
        return None
    heads = [f'permit (principal is {kind}, action == Action::"{action}", resource)' for kind in types]
    texts = [f"{head} when {{ {condition}\n}};" for head in heads]
    try:
        rules = [cedarpy.PolicySet.from_str(rule).to_pst() for rule in texts]
        result = cedarpy.validate_policies("\n".join(texts), cedarpy.Schema.from_str(schema))
    except ValueError as error:
        slip = slip_in(condition)
        what = f"is no condition: {slip.message if slip else str(error).splitlines()[0]}"
        draft.problems.add(place, what, slip.remedy if slip else "write a Cedar expression")
        return None
    templates = [template for rule in rules for template in rule.static_policies.values()]
    if len(templates) != len(types) or any(len(template.clauses) != 1 for template in templates):
        draft.problems.add(place, "is more than one condition", "write one Cedar expression")
        return None
    for fault in result.errors:
        draft.problems.add(
            place, _FOR_POLICY.sub("", fault.error.splitlines()[0]), "narrow `types`, or ask with `has` first"
        )
        return None
    return replace(templates[0], principal=pst.ScopeAny())
