"""`audiences/*.toml`: each resource server, its scopes, the claims it takes, the limits it sets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mintwarden.model.catalogue import Audience, Scope, Tenancy
from mintwarden.model.profiles import PROFILES
from mintwarden.policy.bundle import details, introspection, modes, profiles
from mintwarden.policy.bundle.draft import Draft
from mintwarden.policy.bundle.kinds import (
    boolean,
    choice,
    claim_name,
    duration,
    entity_id,
    identifier,
    identifier_uri,
    matching,
    one_of,
    scope_name,
    text,
)
from mintwarden.policy.bundle.problem import Place, Problems
from mintwarden.policy.bundle.shape import Key, Table, each_named, list_of, read_table, table_of

FOLDER = "audiences"
ALGORITHMS = ("ES256", "PS256", "EdDSA", "RS256")
BINDINGS = ("", "dpop", "mtls", "any")


def _everything(value: Any, place: Place, problems: Problems) -> Any:
    return () if value == "*" else _star(value, place, problems)


_star = matching(re.compile(r"\*"), '`"*"` or an array of scopes')

AUDIENCE = Table(
    "[audience]",
    (
        Key("id", identifier, "", required=True),
        Key("identifier", identifier_uri, "", required=True),
        Key("also", list_of(identifier_uri, most=10), ()),
        Key("description", text(), "", required=True),
        Key("owner", text(most=200), "", required=True),
        Key("environments", list_of(identifier, least=1), (), required=True),
        Key("kind", choice("api", "identity", "domain", "transaction"), "api"),
        Key("client_ids", each_named(entity_id, text(most=256)), {}),
        Key("resources", list_of(identifier_uri, most=100), ()),
        Key("mode", choice("observe", "canary", "enforce"), "enforce"),
        Key("max_ttl", duration(), 3600, required=True),
        Key("default_ttl", duration(), 300),
        Key("max_age_of_decision", duration(), None),
        profiles.KEY,
        Key("algorithm", choice(*ALGORITHMS), ""),
        Key("binding", choice(*BINDINGS)),
        Key("disclose", choice("nothing", "challenge"), "nothing"),
        Key("status_list", boolean, False),
    ),
)
SCOPE = Table(
    '[scopes."<name>"]',
    (
        Key("meaning", text(), "", required=True),
        Key("tier", identifier, "", required=True),
        Key("default", boolean, False),
        Key("carries", list_of(scope_name), ()),
    ),
)
TENANCY = Table(
    "[[tenancy]]",
    (
        Key("parameter", choice("tenant", "workspace", "project"), "tenant", required=True),
        Key("member_of", text(most=100), "", required=True),
        Key("required", boolean, True),
    ),
)
AUDIENCE_FILE = Table(
    "audiences/*.toml",
    (
        Key("audience", table_of(AUDIENCE), required=True),
        Key(
            "claims", each_named(claim_name, one_of("claims", _everything, list_of(scope_name, least=1)), most=200), {}
        ),
        Key("tenancy", list_of(table_of(TENANCY), most=3, unique=False), ()),
        *modes.KEYS,
        *introspection.KEYS,
        Key("details", each_named(details.detail_name, table_of(details.DETAIL), most=200), {}),
        Key("scopes", each_named(scope_name, table_of(SCOPE), most=2_000), {}, required=True),
    ),
)
TABLES = (AUDIENCE, SCOPE, TENANCY, *modes.TABLES, *introspection.TABLES, *details.TABLES)


def read_audiences(draft: Draft) -> Mapping[str, Audience]:
    """Every audience by id."""
    found: dict[str, Audience] = {}
    identifiers: dict[str, str] = {}
    for file, document in draft.under(FOLDER):
        audience = _audience(draft, file, document)
        if audience is None:
            continue
        for key, name in (("identifier", audience.identifier), *(("also", name) for name in audience.also)):
            other = identifiers.setdefault(name, audience.id)
            if other != audience.id or (key == "also" and name == audience.identifier):
                what = f"`{name}` is also the identifier of audience `{other}`"
                draft.problems.add(Place(file, ("audience", key)), what, "give each resource server its own")
        found[audience.id] = audience
    details.check_names(draft, found)
    if not found and not draft.under(FOLDER):
        draft.problems.put(FOLDER, 0, 0, "there is no audience", "add `audiences/<id>.toml`")
    return found


def _audience(draft: Draft, file: str, document: Mapping[str, Any]) -> Audience | None:
    whole = read_table(AUDIENCE_FILE, document, Place(file), draft.problems)
    values = whole["audience"]
    if values is None or not values["id"]:
        return None
    name = values["id"]
    if not draft.declare("audience", name, Place(file, ("audience", "id"))):
        return None
    default = min(values["default_ttl"], values["max_ttl"])
    if values["default_ttl"] > values["max_ttl"] and "default_ttl" in document["audience"]:
        what = "`default_ttl` is longer than `max_ttl`"
        draft.problems.add(Place(file, ("audience", "default_ttl")), what, "shorten it")
    if values["status_list"] and values["kind"] not in ("api", "identity"):
        what = "`status_list` has no meaning: status lists are for access tokens"
        draft.problems.add(Place(file, ("audience", "status_list")), what, "leave it out")
    profiles.check_audience(draft, Place(file, ("audience",)), values)
    rules = PROFILES[values["profile"]]
    return Audience(
        id=name,
        identifier=values["identifier"],
        also=tuple(values["also"]),
        description=values["description"],
        owner=values["owner"],
        environments=values["environments"],
        scopes=_scopes(draft, file, name, whole["scopes"]),
        max_ttl=values["max_ttl"],
        default_ttl=default,
        max_age_of_decision=values["max_age_of_decision"],
        claims=whole["claims"],
        mode=values["mode"],
        kind=values["kind"],
        client_ids=values["client_ids"],
        resources=values["resources"],
        binding=("any" if rules.bound else "") if values["binding"] is None else values["binding"],
        algorithm=values["algorithm"] or rules.signed_with,
        profile=values["profile"],
        tenancy=_tenancy(draft, file, whole["tenancy"]),
        disclose=values["disclose"],
        status_list=values["status_list"],
        introspection=introspection.introspection_of(draft, file, whole),
        details=details.details_of(draft, file, name, whole["details"]),
        **modes.modes_of(draft, file, values["mode"], whole),
    )


def _scopes(draft: Draft, file: str, audience: str, values: Mapping[str, Any]) -> Mapping[str, Scope]:
    scopes = {}
    for name, entry in values.items():
        if draft.declare("scope", name, Place(file, ("scopes", name))):
            scopes[name] = Scope(
                name=name,
                audience=audience,
                meaning=entry["meaning"],
                tier=entry["tier"],
                default=entry["default"],
                carries=entry["carries"],
            )
    return scopes


def _tenancy(draft: Draft, file: str, values: tuple[Mapping[str, Any], ...]) -> tuple[Tenancy, ...]:
    seen: set[str] = set()
    for index, entry in enumerate(values):
        if entry["parameter"] in seen:
            what = f"`{entry['parameter']}` is confined twice"
            draft.problems.add(Place(file, ("tenancy", index, "parameter")), what, "remove one")
        seen.add(entry["parameter"])
    return tuple(
        Tenancy(parameter=entry["parameter"], member_of=entry["member_of"], required=entry["required"])
        for entry in values
    )
