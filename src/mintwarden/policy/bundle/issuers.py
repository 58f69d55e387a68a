"""`issuers/*.toml`: issuers whose tokens are taken as subject or actor tokens, as data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mintwarden.model.catalogue import TrustedIssuer
from mintwarden.policy.bundle.certificates import authority
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

workload = matching(
    re.compile(r"spiffe://[a-z0-9._-]{1,255}(?:/(?!\.\.?(?:/|\Z))[A-Za-z0-9._-]+)+", re.ASCII),
    "a workload's SPIFFE ID such as `spiffe://example.org/spire/server`",
)

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
        Key("endpoint_spiffe_id", workload, ""),
        Key("endpoint_authorities", list_of(authority, most=16), ()),
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
    for issuer in found.values():
        _endpoint_is_known(draft, issuer, found)
    return found


def _endpoint_is_known(draft: Draft, issuer: TrustedIssuer, issuers: Mapping[str, TrustedIssuer]) -> None:
    """A bundle endpoint of another trust domain counts by the bundle of that one; somewhere it has to begin."""
    place = Place(draft.place("issuer", issuer.id).file, ("issuer", "endpoint_spiffe_id"))
    domains = {one.issuer: one for one in issuers.values() if one.keys == "bundle"}
    seen, present = {issuer.issuer}, issuer
    while present.endpoint_spiffe_id and not present.endpoint_authorities:
        domain = domain_of(present.endpoint_spiffe_id)
        if domain in seen:
            what = "nothing says which authorities the bundle endpoint is first known by"
            draft.problems.add(place, what, "add `endpoint_authorities`: those of its trust domain as they are now")
            return
        if not draft.known("trust domain with a bundle endpoint", domain, domains, place):
            return
        seen.add(domain)
        present = domains[domain]


def domain_of(spiffe_id: str) -> str:
    """The trust domain of a SPIFFE ID, as issuers are called by it."""
    return "/".join(spiffe_id.split("/", 3)[:3])


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
        endpoint_spiffe_id=values["endpoint_spiffe_id"],
        endpoint_authorities=values["endpoint_authorities"],
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
    for name in ("endpoint_spiffe_id", "endpoint_authorities"):
        if values[name] and keys != "bundle":
            draft.problems.add(place.at(name), f'`{name}` has no meaning with `keys = "{keys}"`', "remove it", key=True)
    if values["endpoint_authorities"] and not values["endpoint_spiffe_id"]:
        what = "`endpoint_authorities` vouch for nobody without `endpoint_spiffe_id`"
        draft.problems.add(place.at("endpoint_authorities"), what, "add it, or remove them", key=True)
    for name, wanted in (("jwks_uri", ("jwks_uri", "bundle")), ("jwks", ("inline",))):
        if values[name] and keys not in wanted:
            draft.problems.add(place.at(name), f'`{name}` has no meaning with `keys = "{keys}"`', "remove it", key=True)
        if not values[name] and keys in wanted:
            draft.problems.add(place, f'`keys = "{keys}"` needs `{name}`', f"add `{name} = ...`", key=True)
