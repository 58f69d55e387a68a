"""`issuers/*.toml`: issuers whose tokens are taken as subject or actor tokens, as data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mintwarden.model.catalogue import TrustedIssuer
from mintwarden.policy.bundle.draft import Draft
from mintwarden.policy.bundle.jwk import public_jwk
from mintwarden.policy.bundle.kinds import choice, duration, fact_name, https_url, identifier, matching, text
from mintwarden.policy.bundle.problem import Place
from mintwarden.policy.bundle.shape import Key, Table, each_named, list_of, read_table, table_of

FOLDER = "issuers"
ALGORITHMS = ("ES256", "ES384", "PS256", "EdDSA", "RS256")
USES = ("token_exchange", "jwt_bearer", "id_jag", "login_hint")

PROFILES: Mapping[str, Mapping[str, Any]] = {
    "oidc": {},
    "kubernetes": {"principal": "Workload"},
    "github-actions": {"issuer": "https://token.actions.githubusercontent.com", "principal": "Workload"},
    "gitlab": {"principal": "Workload"},
    "google": {"issuer": "https://accounts.google.com", "principal": "Workload"},
    "aws": {"principal": "Workload"},
    "spiffe": {"principal": "Workload", "keys": "bundle", "roles": ("subject", "actor")},
}
"""What a shape of issuer fills in where the bundle does not say. What its tokens look like, `authn` knows."""

claim_path = matching(re.compile(r"[^\s.\"\\]{1,200}(?:\.[^\s.\"\\]{1,200}){0,7}|[^\s\"\\]{1,200}"), "a claim path")

ISSUER = Table(
    "[issuer]",
    (
        Key("id", identifier, "", required=True),
        Key("profile", choice(*PROFILES), "oidc"),
        Key("issuer", text(most=500), ""),
        Key("audiences", list_of(text(most=500), least=1), (), required=True),
        Key("principal", choice("User", "Workload", "Agent")),
        Key("subject", claim_path, "sub"),
        Key("subject_prefix", text(most=200, least=0), ""),
        Key("roles", list_of(choice("subject", "actor"), least=1)),
        Key("uses", list_of(choice(*USES), least=1), ("token_exchange",)),
        Key("algorithms", list_of(choice(*ALGORITHMS), least=1)),
        Key("typ", list_of(text(most=100)), ()),
        Key("keys", choice("discovery", "jwks_uri", "inline", "bundle")),
        Key("jwks_uri", https_url, ""),
        Key("jwks", list_of(public_jwk, most=64), ()),
        Key("conditions", list_of(text(most=1_000), most=32), ()),
        Key("session", claim_path, ""),
        Key("device", claim_path, ""),
        Key("acr", claim_path, ""),
        Key("max_age", duration(most=31 * 86400), 86400),
        Key("facts", each_named(fact_name, claim_path, most=200), {}),
    ),
)
ISSUER_FILE = Table("issuers/*.toml", (Key("issuer", table_of(ISSUER), required=True),))
TABLES = (ISSUER,)


def read_issuers(draft: Draft) -> Mapping[str, TrustedIssuer]:
    """Every trusted issuer by id, with its profile's defaults filled in."""
    found: dict[str, TrustedIssuer] = {}
    by_iss: dict[str, str] = {}
    for file, document in draft.under(FOLDER):
        values = read_table(ISSUER_FILE, document, Place(file), draft.problems)["issuer"]
        if values is None or not values["id"]:
            continue
        if not draft.declare("issuer", values["id"], Place(file, ("issuer", "id"))):
            continue
        issuer = _issuer(draft, Place(file, ("issuer",)), values)
        other = by_iss.setdefault(issuer.issuer, issuer.id)
        if other != issuer.id and issuer.issuer:
            what = f"`{issuer.issuer}` is also trusted as `{other}`"
            draft.problems.add(Place(file, ("issuer", "issuer")), what, "say everything about it in one file")
        found[issuer.id] = issuer
    return found


def _issuer(draft: Draft, place: Place, values: Mapping[str, Any]) -> TrustedIssuer:
    filled = PROFILES[values["profile"]]

    def value(name: str, otherwise: Any) -> Any:
        said = values[name]
        return filled.get(name, otherwise) if said in (None, "", ()) else said

    keys = value("keys", "discovery")
    issuer = value("issuer", "")
    _issuer_fits(draft, place, values, issuer, keys)
    return TrustedIssuer(
        id=values["id"],
        issuer=issuer,
        keys=keys,
        audiences=values["audiences"],
        principal=value("principal", "User"),
        subject=values["subject"],
        subject_prefix=values["subject_prefix"],
        roles=value("roles", ("subject",)),
        uses=values["uses"],
        algorithms=value("algorithms", ("ES256", "PS256", "EdDSA", "RS256")),
        typ=tuple(entry.lower().removeprefix("application/") for entry in values["typ"]),
        jwks_uri=values["jwks_uri"],
        jwks=values["jwks"],
        conditions=values["conditions"],
        facts=values["facts"],
        session=values["session"],
        device=values["device"],
        acr=values["acr"],
        max_age=values["max_age"],
        profile=values["profile"],
    )


def _issuer_fits(draft: Draft, place: Place, values: Mapping[str, Any], issuer: str, keys: str) -> None:
    if not issuer:
        draft.problems.add(place, "`issuer` is missing in `[issuer]`", "add `issuer = ...`: the exact `iss`", key=True)
    elif keys == "discovery":
        # Only an issuer that keys are discovered from has to be a URL (OpenID Connect Discovery section 4).
        https_url(issuer, place.at("issuer"), draft.problems)
    for name, wanted in (("jwks_uri", ("jwks_uri", "bundle")), ("jwks", ("inline",))):
        if values[name] and keys not in wanted:
            draft.problems.add(place.at(name), f'`{name}` has no meaning with `keys = "{keys}"`', "remove it", key=True)
        if not values[name] and keys in wanted:
            draft.problems.add(place, f'`keys = "{keys}"` needs `{name}`', f"add `{name} = ...`", key=True)
