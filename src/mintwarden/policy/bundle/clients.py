"""`clients/*.toml`: clients kept as code: who they are, how they prove it, what they may ever have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mintwarden.model.catalogue import (
    Audience,
    Client,
    ClientDocuments,
    OpenRegistration,
    PrincipalType,
    Registration,
)
from mintwarden.model.profiles import PROFILES
from mintwarden.model.terms import Authorization, Backchannel, Refresh
from mintwarden.policy.bundle import profiles
from mintwarden.policy.bundle.certificates import (
    BOUND,
    PKI,
    SELF_SIGNED,
    certificate_name,
    check_certificate_names,
)
from mintwarden.policy.bundle.certificates import KEYS as CERTIFICATE_KEYS
from mintwarden.policy.bundle.details import detail_name
from mintwarden.policy.bundle.draft import Draft
from mintwarden.policy.bundle.jwk import public_jwk
from mintwarden.policy.bundle.kinds import (
    boolean,
    choice,
    duration,
    entity_id,
    https_url,
    identifier,
    matching,
    network,
    one_of,
    origin,
    redirect_uri,
    scope_name,
    text,
)
from mintwarden.policy.bundle.problem import Place, Problems, quote
from mintwarden.policy.bundle.protections import DPOP, check_protections, protections_of
from mintwarden.policy.bundle.protections import keys as protection_keys
from mintwarden.policy.bundle.shape import BAD, Key, Table, each_named, list_of, read_table, table_of

FOLDER = "clients"
KINDS: Mapping[str, PrincipalType] = {
    "web": "Workload",
    "native": "Workload",
    "service": "Workload",
    "batch": "Workload",
    "ci": "Workload",
    "tool": "Workload",
    "agent": "Agent",
    "mcp": "Workload",
    "third_party": "Workload",
}
"""Kind of client to the type of its own principal where the bundle does not say."""

REGISTRABLE_METHODS = ("client_secret_basic", "client_secret_post", "private_key_jwt", PKI, SELF_SIGNED)
"""Whoever registers itself proves who it is."""
SPIFFE_METHODS = ("spiffe_jwt", "spiffe_x509")
ATTESTED_METHODS = ("attest_jwt_client_auth", "attest_jwt_client_auth_dpop")
METHODS = (*REGISTRABLE_METHODS, *SPIFFE_METHODS, *ATTESTED_METHODS, "none")

SECRETLESS_METHODS = ("private_key_jwt", "none")
"""There is no secret to share with whom one never met."""

OPEN_METHODS = ("client_secret_basic", "client_secret_post", *SECRETLESS_METHODS)
"""All that the metadata of a client that registers itself can say: no names of certificates, workloads or attesters."""

KEY_METHODS = ("private_key_jwt", SELF_SIGNED)
"""Those that look at a client's own public keys."""

GRANTS = (
    "client_credentials",
    "authorization_code",
    "refresh_token",
    "device_code",
    "ciba",
    "token_exchange",
    "jwt_bearer",
)
ALGORITHMS = ("ES256", "ES384", "PS256", "EdDSA", "RS256")
DELIVERIES = ("poll", "ping", "push")
_RENEWABLE = frozenset({"authorization_code", "device_code", "ciba"})
ALL_SCOPES = ("*",)

_star = matching(re.compile(r"\*"), '`"*"` or an array of scopes')


def _ceiling(value: Any, place: Place, problems: Problems) -> Any:
    return ALL_SCOPES if value == "*" else _star(value, place, problems)


_spiffe_id = matching(
    re.compile(r"spiffe://[a-z0-9._-]{1,255}(?:/(?!\.\.?(?:/|\Z))[A-Za-z0-9._-]+)*(?:/\*)?", re.ASCII),
    "a SPIFFE ID such as `spiffe://example.org/pay/settler` or `spiffe://example.org/pay/*`",
)


def spiffe_id(value: Any, place: Place, problems: Problems) -> Any:
    """A workload's SPIFFE ID, or with `/*` at its end every one whose path begins so."""
    if isinstance(value, str) and value.count("/") == 2:
        problems.add(place, f"{quote(value)} is a trust domain, not a workload", "add the workload's path, or `/*`")
        return BAD
    return _spiffe_id(value, place, problems)


ceilings = each_named(identifier, one_of("ceilings", _ceiling, list_of(scope_name)))
"""Audience to its scopes, or `"*"`."""

REFRESH = Table(
    "[client.refresh]",
    (
        Key("rotate", boolean),
        Key("idle", duration(least=60), Refresh().idle),
        Key("absolute", duration(least=60), Refresh().absolute),
    ),
)
_SIGNED_WITH = ("ES256", "PS256", "EdDSA", "RS256")
AUTHORIZATION = Table(
    "[client.authorization]",
    (
        Key("consent", choice("explicit", "implicit"), "explicit"),
        Key("remember", duration(least=0), Authorization().remember),
        Key("pushed", boolean),
        Key("signed", boolean, False),
        Key("response_algorithm", choice(*_SIGNED_WITH), ""),
        Key("userinfo_algorithm", choice(*_SIGNED_WITH), ""),
    ),
)
CLIENT = Table(
    "[client]",
    (
        Key("id", entity_id, "", required=True),
        Key("name", text(most=200), "", required=True),
        Key("kind", choice(*KINDS), "service", required=True),
        Key("owner", text(most=200), "", required=True),
        Key("principal", choice("User", "Workload", "Agent"), ""),
        Key("environments", list_of(identifier, least=1), (), required=True),
        Key("authentication", list_of(choice(*METHODS), least=1), (), required=True),
        profiles.KEY,
        Key("algorithms", list_of(choice(*ALGORITHMS), least=1), ()),
        Key("grants", list_of(choice(*GRANTS)), (), required=True),
        Key("serves", list_of(identifier), ()),
        Key("addresses", list_of(network), ()),
        Key("single_use", boolean, False),
        Key("spiffe_id", spiffe_id, ""),
        *CERTIFICATE_KEYS,
        *protection_keys(ALGORITHMS),
        Key("description", text(), ""),
        Key("ceilings", ceilings, {}, required=True),
        Key("details", list_of(detail_name), ()),
        Key("keys", list_of(public_jwk, most=16), ()),
        Key("attester_keys", list_of(public_jwk, most=16), ()),
        Key("attestation_max_age", duration(least=60), 0),
        Key("attestation_challenge", boolean, False),
        Key("redirect_uris", list_of(redirect_uri, most=50), ()),
        Key("origins", list_of(origin, most=20), ()),
        Key("refresh", table_of(REFRESH), None),
        Key("post_logout_redirect_uris", list_of(redirect_uri, most=50), ()),
        Key("backchannel_logout_uri", https_url, ""),
        Key("backchannel_token_delivery_mode", choice(*DELIVERIES), "poll"),
        Key("backchannel_client_notification_endpoint", https_url, ""),
        Key("backchannel_authentication_request_signing_alg", choice(*ALGORITHMS), ""),
        Key("authorization", table_of(AUTHORIZATION), None),
    ),
)
AFTERWARDS = (
    Key("post_logout_redirects", boolean, False),
    Key("backchannel_logout", boolean, False),
    Key("backchannel_delivery", list_of(choice(*DELIVERIES)), ("poll",)),
    Key("origins", boolean, False),
    Key("details", list_of(detail_name), ()),
)
"""What a bundle may let clients say that nobody wrote down, beyond what they need to get tokens."""
CLIENT_FILE = Table("clients/*.toml", (Key("client", table_of(CLIENT), required=True),))
TABLES = (CLIENT, REFRESH, AUTHORIZATION)


def read_clients(draft: Draft, audiences: Mapping[str, Audience]) -> Mapping[str, Client]:
    """Every client by id, with `"*"` in its ceilings written out."""
    found: dict[str, Client] = {}
    for file, document in draft.under(FOLDER):
        values = read_table(CLIENT_FILE, document, Place(file), draft.problems)["client"]
        if values is None or not values["id"]:
            continue
        if draft.declare("client", values["id"], Place(file, ("client", "id"))):
            said = document["client"]
            _methods_fit(draft, Place(file, ("client",)), values, said)
            if said.get("grants") == [] and not values["serves"]:
                what = "a client without a grant gets nothing"
                draft.problems.add(Place(file, ("client", "grants")), what, "name one, or what it `serves`")
            profiles.check_client(draft, Place(file, ("client",)), values)
            found[values["id"]] = _client(values, audiences)
    return found


def read_registration(values: Mapping[str, Any] | None, audiences: Mapping[str, Audience]) -> Registration | None:
    """`[registration]` of `bundle.toml`, with `"*"` in its ceilings written out."""
    if values is None:
        return None
    return Registration(
        prefix=values["prefix"],
        ceilings=_written_out(values["ceilings"], audiences),
        methods=values["authentication"],
        grants=values["grants"],
        kinds=values["kinds"],
        environments=values["environments"],
        owners=values["owners"],
        details=values["details"],
        tier=values["max_tier"],
        profile=values["profile"],
    )


def read_documents(values: Mapping[str, Any] | None, audiences: Mapping[str, Audience]) -> ClientDocuments | None:
    """`[client_id_metadata]` of `bundle.toml`, with `"*"` in its ceilings written out."""
    if values is None:
        return None
    return ClientDocuments(
        hosts=values["hosts"],
        excluded=values["excluded"],
        **_of_strangers(values, audiences),
    )


def read_open(values: Mapping[str, Any] | None, audiences: Mapping[str, Audience]) -> OpenRegistration | None:
    """`[open_registration]` of `bundle.toml`, with `"*"` in its ceilings written out."""
    if values is None:
        return None
    return OpenRegistration(
        to=values["to"],
        prefix=values["prefix"],
        **_of_strangers(values, audiences),
        publishers={one["issuer"]: one["keys"] for one in values["publishers"]},
        statement_required=values["statement_required"],
        per_hour=values["per_hour"],
        most=values["most"],
    )


def _of_strangers(values: Mapping[str, Any], audiences: Mapping[str, Audience]) -> Mapping[str, Any]:
    """What a bundle says of clients that nobody wrote down, however they come."""
    return {
        "kind": values["kind"],
        "principal": KINDS[values["kind"]],
        "owner": values["owner"],
        "environments": values["environments"],
        "ceilings": _written_out(values["ceilings"], audiences),
        "methods": values["authentication"],
        "grants": values["grants"],
        "redirects": values["redirects"],
        **{key.name: values[key.name] for key in AFTERWARDS},
        "tier": values["max_tier"],
        "profile": values["profile"],
    }


def _written_out(
    ceilings: Mapping[str, tuple[str, ...]], audiences: Mapping[str, Audience]
) -> Mapping[str, tuple[str, ...]]:
    return {
        name: tuple(audiences[name].scopes) if scopes == ALL_SCOPES and name in audiences else scopes
        for name, scopes in ceilings.items()
    }


def _client(values: Mapping[str, Any], audiences: Mapping[str, Audience]) -> Client:
    return Client(
        id=values["id"],
        name=values["name"],
        kind=values["kind"],
        owner=values["owner"],
        principal=values["principal"] or KINDS[values["kind"]],
        methods=values["authentication"],
        grants=values["grants"],
        ceilings=_written_out(values["ceilings"], audiences),
        environments=values["environments"],
        algorithms=values["algorithms"] or PROFILES[values["profile"]].assumed,
        jwks=values["keys"],
        serves=values["serves"],
        addresses=values["addresses"],
        single_use=values["single_use"],
        certificate=certificate_name(values),
        spiffe_id=values["spiffe_id"],
        attester_keys=values["attester_keys"],
        attestation_max_age=values["attestation_max_age"],
        attestation_challenge=values["attestation_challenge"],
        certificate_bound=values[BOUND],
        protections=protections_of(values),
        description=values["description"],
        redirect_uris=values["redirect_uris"],
        origins=values["origins"],
        refresh=_refresh(values),
        post_logout_redirect_uris=values["post_logout_redirect_uris"],
        backchannel_logout_uri=values["backchannel_logout_uri"],
        authorization=_authorization(values),
        profile=values["profile"],
        details=values["details"],
        backchannel=Backchannel(
            delivery=values["backchannel_token_delivery_mode"],
            endpoint=values["backchannel_client_notification_endpoint"],
            signing=values["backchannel_authentication_request_signing_alg"],
        ),
    )


def _authorization(values: Mapping[str, Any]) -> Authorization:
    said = dict(values["authorization"] or {})
    if said.get("pushed") is None:
        # An instance proves itself where it pushes, and nowhere before its person comes by a browser.
        attested = not set(ATTESTED_METHODS).isdisjoint(values["authentication"])
        said["pushed"] = attested or PROFILES[values["profile"]].pushed
    return Authorization(**said)


def _refresh(values: Mapping[str, Any]) -> Refresh:
    said = dict(values["refresh"] or {})
    if said.get("rotate") is None:
        said["rotate"] = PROFILES[values["profile"]].rotates
    return Refresh(**said)


def _methods_fit(draft: Draft, place: Place, values: Mapping[str, Any], said: Mapping[str, Any]) -> None:
    """`said` is the table as it was written: what stands there and was refused is not missing as well."""
    methods = values["authentication"]
    if "none" in methods and len(methods) > 1:
        what = "`none` beside another method lets anyone in"
        draft.problems.add(place.at("authentication"), what, "choose one of them")
    if "none" in methods and "client_credentials" in values["grants"]:
        what = "a public client cannot use `client_credentials` (RFC 6749 section 4.4)"
        draft.problems.add(place.at("grants"), what, "remove the grant, or authenticate the client")
    if "none" in methods and "jwt_bearer" in values["grants"]:
        what = "a public client cannot use `jwt_bearer`: whoever finds an assertion could use it"
        draft.problems.add(place.at("grants"), what, "remove the grant, or authenticate the client")
    if "none" in methods and values["serves"]:
        what = "a public client cannot be a resource server: anybody could exchange what was sent to it"
        draft.problems.add(place.at("serves"), what, "remove it, or authenticate the client", key=True)
    if values["origins"] and not ("none" in methods and "authorization_code" in values["grants"]):
        what = "`origins` have no meaning but for a public client with `authorization_code`: no page keeps a secret"
        draft.problems.add(place.at("origins"), what, "remove them", key=True)
    by_key = [method for method in methods if method in KEY_METHODS]
    if by_key and not said.get("keys"):
        what = f"`{by_key[0]}` needs a key"
        draft.problems.add(place.at("authentication"), what, "add `[[client.keys]]` with the public JWK")
    if values["keys"] and not by_key and methods and "authorization_code" not in values["grants"]:
        what = " or ".join(f"`{method}`" for method in KEY_METHODS)
        draft.problems.add(place.at("keys"), f"`keys` have no meaning without {what}", "remove them", key=True)
    check_certificate_names(draft, place, values)
    check_protections(draft, place, values)
    _identities_fit(draft, place, values)
    if values["single_use"] and methods != ("private_key_jwt",):
        what = "`single_use` needs a key, and no other way in"
        draft.problems.add(place.at("single_use"), what, 'write `authentication = ["private_key_jwt"]`')
    if "authorization_code" in values["grants"] and not said.get("redirect_uris"):
        what = "`authorization_code` needs somewhere to send the code"
        draft.problems.add(place.at("grants"), what, "add `redirect_uris`")
    if values["redirect_uris"] and "authorization_code" not in values["grants"]:
        what = "`redirect_uris` have no meaning without `authorization_code`"
        draft.problems.add(place.at("redirect_uris"), what, "remove them, or add the grant", key=True)
    asking = values["authorization"]
    if asking is not None and "authorization_code" not in values["grants"]:
        what = "`authorization` has no meaning without `authorization_code`"
        draft.problems.add(place.at("authorization"), what, "remove it, or add the grant", key=True)
    if asking is not None and asking["signed"] and not values["keys"]:
        what = "signed requests need a key that they are signed with"
        draft.problems.add(place.at("authorization", "signed"), what, "add `[[client.keys]]` with the public JWK")
    _backchannel_fits(draft, place, values)
    if "refresh_token" in values["grants"] and not _RENEWABLE & set(values["grants"]):
        what = "`refresh_token` renews nothing without a grant that a person takes part in"
        draft.problems.add(place.at("grants"), what, "remove it, or add `authorization_code`")
    for name in ("keys", "attester_keys"):
        kids = [key.get("kid") for key in values[name]]
        if len(kids) > 1 and (None in kids or len(set(kids)) < len(kids)):
            draft.problems.add(place.at(name), "several keys need a `kid` each", "give each its own `kid`")


def _backchannel_fits(draft: Draft, place: Place, values: Mapping[str, Any]) -> None:
    """Who asks people out of band is known, and has somewhere to be told where it wants to be told."""
    told, mode = values["backchannel_client_notification_endpoint"], values["backchannel_token_delivery_mode"]
    if "ciba" in values["grants"] and "none" in values["authentication"]:
        what = "a public client cannot use `ciba`: anybody could send people questions in its name"
        draft.problems.add(place.at("grants"), what, "remove the grant, or authenticate the client")
    if mode != "poll" and not told:
        what = f"`{mode}` needs somewhere to be told"
        draft.problems.add(
            place.at("backchannel_token_delivery_mode"), what, "add `backchannel_client_notification_endpoint`"
        )
    signing = values["backchannel_authentication_request_signing_alg"]
    if signing and ("ciba" not in values["grants"] or not values["keys"]):
        name = "backchannel_authentication_request_signing_alg"
        what = f"`{name}` is for clients that have people asked, and have a key to sign with"
        draft.problems.add(place.at(name), what, "remove it, or add `ciba` and `[[client.keys]]`", key=True)
    if mode == "push" and (values[BOUND] or values[DPOP] or PROFILES[values["profile"]].bound):
        what = "a token that is pushed is bound to no key, and this client gets no others"
        draft.problems.add(place.at("backchannel_token_delivery_mode"), what, "write `ping` or `poll`")
    if (told and mode == "poll") or (mode != "poll" and "ciba" not in values["grants"]):
        name = "backchannel_client_notification_endpoint" if told else "backchannel_token_delivery_mode"
        what = f"`{name}` has no meaning without `ciba`, and `ping` or `push`"
        draft.problems.add(place.at(name), what, "remove it", key=True)


def _identities_fit(draft: Draft, place: Place, values: Mapping[str, Any]) -> None:
    """What names a client's workload or who attests it stands beside the methods that look at it, and nowhere else."""
    methods = values["authentication"]
    for name in ("attestation_max_age", "attestation_challenge"):
        if values[name] and not set(methods) & set(ATTESTED_METHODS):
            what = f"`{name}` has no meaning for a client whose instances are not attested"
            draft.problems.add(place.at(name), what, "remove it", key=True)
    for name, known, needed in (
        ("spiffe_id", SPIFFE_METHODS, "the workload that the client is"),
        ("attester_keys", ATTESTED_METHODS, "the keys of those who attest its instances"),
    ):
        used = [method for method in methods if method in known]
        if used and not values[name]:
            what = f"`{used[0]}` needs {needed}"
            draft.problems.add(place.at("authentication"), what, f"add `{name}`")
        if values[name] and not used and methods:
            what = f"`{name}` has no meaning without `{known[0]}` or `{known[1]}`"
            draft.problems.add(place.at(name), what, "remove it", key=True)
