"""`providers/*.toml`: the OpenID providers that people sign in at, as data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mintwarden.model.catalogue import Provider
from mintwarden.policy.bundle.draft import Draft
from mintwarden.policy.bundle.issuers import ALGORITHMS, claim_path
from mintwarden.policy.bundle.kinds import (
    choice,
    duration,
    fact_name,
    https_url,
    identifier,
    matching,
    scope_name,
    text,
)
from mintwarden.policy.bundle.problem import Place
from mintwarden.policy.bundle.shape import Key, Table, each_named, list_of, read_table, table_of

FOLDER = "providers"
AUTHENTICATION = ("client_secret_basic", "client_secret_post", "private_key_jwt", "none")
PASSKEY = "passkey"
"""What sign-ins with our own passkeys are called by; no provider can be."""

_domain = matching(re.compile(r"[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})+", re.ASCII), "a domain in lower case")
_values = each_named(text(most=200), text(most=200), most=200)

PROVIDER = Table(
    "[provider]",
    (
        Key("id", identifier, "", required=True),
        Key("name", text(most=100), "", required=True),
        Key("issuer", https_url, "", required=True),
        Key("client_id", text(most=500), "", required=True),
        Key("authentication", choice(*AUTHENTICATION), "none", required=True),
        Key("scopes", list_of(scope_name), ("openid",)),
        Key("domains", list_of(_domain), ()),
        Key("algorithms", list_of(choice(*ALGORITHMS), least=1), ("ES256", "PS256", "EdDSA", "RS256")),
        Key("conditions", list_of(text(most=1_000), most=32), ()),
        Key("subject", claim_path, "sub"),
        Key("subject_prefix", text(most=200, least=0), ""),
        Key("session", claim_path, "sid"),
        Key("device", claim_path, ""),
        Key("acr_claim", claim_path, "acr"),
        Key("amr_claim", claim_path, "amr"),
        Key("acr", _values, {}),
        Key("amr", _values, {}),
        Key("max_age", duration(), 0),
        Key("facts", each_named(fact_name, claim_path, most=200), {}),
    ),
)
PROVIDER_FILE = Table("providers/*.toml", (Key("provider", table_of(PROVIDER), required=True),))
TABLES = (PROVIDER,)


def read_providers(draft: Draft) -> Mapping[str, Provider]:
    """Every provider by id."""
    found: dict[str, Provider] = {}
    domains: dict[str, str] = {}
    for file, document in draft.under(FOLDER):
        values = read_table(PROVIDER_FILE, document, Place(file), draft.problems)["provider"]
        if values is None or not values["id"]:
            continue
        place = Place(file, ("provider",))
        if not draft.declare("provider", values["id"], place.at("id")):
            continue
        if values["id"] == PASSKEY:
            draft.problems.add(place.at("id"), "`passkey` is what our own passkeys are called", "choose another id")
        _told_apart(draft, place, values, domains)
        found[values["id"]] = _provider(values)
    return found


def _told_apart(draft: Draft, place: Place, values: Mapping[str, Any], domains: dict[str, str]) -> None:
    for index, domain in enumerate(values["domains"]):
        other = domains.setdefault(domain, values["id"])
        if other != values["id"]:
            what = f"people of `{domain}` already sign in at `{other}`"
            draft.problems.add(place.at("domains", index), what, "name each domain in one file")


def _provider(values: Mapping[str, Any]) -> Provider:
    scopes = values["scopes"]
    return Provider(**{**values, "scopes": scopes if "openid" in scopes else ("openid", *scopes)})
