"""Step 6: the token in all but its leaf hash and signature, so that what is recorded is what will be signed.

A pure function of its arguments: no clock, no randomness, no I/O. The claims stand in `docs/token.md`, each with its
source. RFC 9068 section 2.2 for the claims, RFC 8693 section 4.1 for `act`, RFC 7800 section 3.1 for `cnf`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import msgspec

from mintwarden.model.asked import Asked, RegisteredClient
from mintwarden.model.caller import Binding
from mintwarden.model.catalogue import Audience, Client
from mintwarden.model.clock import seconds
from mintwarden.model.decision import ClaimDecision, Decision
from mintwarden.model.detail import MEMBER, granted_details
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.token import ACCESS_TOKEN, ID_JAG, TXN_TOKEN, PreparedToken
from mintwarden.model.transaction import Transaction
from mintwarden.model.values import EntityUid

LEDGER_CLAIM = "ledger_leaf"
AUTH_REQ_ID = "urn:openid:params:jwt:claim:auth_req_id"
RT_HASH = "urn:openid:params:jwt:claim:rt_hash"
PROTOCOL_CLAIMS = frozenset(
    "iss sub aud exp nbf iat jti client_id scope auth_time acr amr act may_act cnf sub_type sid device azp nonce "
    f"events authorization_details status txn req_wl tctx rctx budget max_depth lineage grant_id {LEDGER_CLAIM} "
    f"resource at_hash {AUTH_REQ_ID} {RT_HASH}".split()
)
"""INVARIANT: no derived claim bears one of these names; the bundle's validation says so first, this says so last."""

CONFINES = ("tenant", "workspace", "project", "purpose", "environment")
"""Validated context of the request. It is always in the token, so that an exchange cannot leave it behind."""

OWN_CLAIMS = PROTOCOL_CLAIMS | frozenset(CONFINES)
"""What is in a token by itself; every other claim is derived."""

_encode = msgspec.json.Encoder().encode
_KINDS = {"dpop": "jkt", "mtls": "x5t#S256"}


class KeyName(Protocol):
    """The name of the key that will sign; every `Signer` has one."""

    @property
    def kid(self) -> str: ...

    @property
    def algorithm(self) -> str: ...


def prepare(
    decision: Decision,
    asked: Asked,
    client: Client | RegisteredClient,
    audience: Audience,
    *,
    issuer: str,
    key: KeyName,
    now: int,
    decision_id: str,
) -> PreparedToken:
    """A single-use token that says what `decision` granted, and nothing else.

    `now` is `Millis`, `decision_id` the usual spelling of the decision's id. Raises `INTERNAL` for what the
    line never hands in: a refusal, a derived claim with a protocol claim's name, a key of another algorithm.
    """
    if not decision.granted or decision.lifetime is None:
        raise MintwardenError(ErrorKind.INTERNAL, "a refusal cannot become a token")
    if key.algorithm != audience.algorithm:
        raise MintwardenError(ErrorKind.INTERNAL, "the signing key is not of the audience's algorithm")
    issued_at = seconds(now)
    expires_at = issued_at + decision.lifetime.seconds
    claims: dict[str, Any] = {
        "iss": issuer,
        "sub": decision.subject.id,
        "aud": audience.identifiers if audience.also else audience.identifier,
        "client_id": client.id,
        "exp": expires_at,
        "iat": issued_at,
        "jti": decision_id,
        "scope": " ".join(decision.granted_scopes),
    }
    profile = _PROFILES[audience.kind]
    profile.fill(claims, decision, asked, client, audience)
    if decision.claims:
        _add_derived(claims, decision.claims)
    token_type = _token_type(profile, decision.binding)
    return _prepared(claims, key, profile.typ, token_type=token_type, issued=profile.issued)


def _prepared(
    claims: Mapping[str, Any],
    key: KeyName,
    typ: str,
    *,
    token_type: str = "Bearer",  # noqa: S107 - a token type, RFC 6750
    issued: str = ACCESS_TOKEN,
    names_others: bool = False,
) -> PreparedToken:
    """The token of these claims, with a header of its kind."""
    header = f'{{"alg":"{key.algorithm}","typ":"{typ}","kid":"{key.kid}"}}'.encode()
    payload = _encode(claims)
    return PreparedToken(
        decision_id=claims["jti"],
        kid=key.kid,
        algorithm=key.algorithm,
        header=header,
        payload=payload,
        digest=hashlib.sha256(header + b"." + payload).digest(),
        issued_at=claims["iat"],
        expires_at=claims["exp"],
        token_type=token_type,
        issued=issued,
        names_others=names_others,
    )


class _Profile(NamedTuple):
    """What makes a token of one kind.

    `typ` in its header is of that kind alone (RFC 8725 section 3.11); `issued` is its RFC 8693 token type; `fill` adds
    what it says beside issuer, subject, audience, times and scopes.
    """

    typ: str
    issued: str
    fill: Callable[[dict[str, Any], Decision, Asked, Client | RegisteredClient, Audience], None]


def _token_type(profile: _Profile, binding: Binding | None) -> str:
    if profile.issued != ACCESS_TOKEN:
        return "N_A"
    return "DPoP" if binding is not None and binding.kind == "dpop" else "Bearer"


def _fill_access_token(
    claims: dict[str, Any], decision: Decision, asked: Asked, _client: Client | RegisteredClient, _audience: Audience
) -> None:
    """RFC 9068 section 2.2."""
    claims["sub_type"] = decision.subject.type
    if decision.actors:
        claims["act"] = _act(decision.actors)
    if asked.parent is not None and asked.parent.may_act is not None:
        claims["may_act"] = _may_act(asked.parent.may_act)
    _add_sign_in(claims, asked)
    for name in CONFINES:
        if value := getattr(asked, name):
            claims[name] = value
    if asked.grant_id:
        claims["grant_id"] = asked.grant_id
    if asked.lineage:
        claims["lineage"] = asked.lineage
    _add_limits(claims, asked)
    if asked.status is not None:
        claims["status"] = _status(asked.status, claims["iss"])
    if decision.binding is not None:
        claims["cnf"] = cnf(decision.binding)
    if decision.details:
        _add_details(claims, decision, asked)


def _fill_id_jag(
    claims: dict[str, Any], decision: Decision, asked: Asked, client: Client | RegisteredClient, audience: Audience
) -> None:
    """draft-ietf-oauth-identity-assertion-authz-grant section 3: for another domain's authorization server.

    The client is named as that server knows it; that it acts is said by its name there, who acts beyond it in `act`.
    """
    claims["client_id"] = audience.client_ids.get(client.id, client.id)
    further = tuple(actor for actor in decision.actors if actor.id != client.id)
    if further:
        claims["act"] = _act(further)
    _add_sign_in(claims, asked)
    claims.pop("sid", None)
    claims.pop("device", None)
    if asked.resources:
        claims["resource"] = asked.resources[0] if len(asked.resources) == 1 else asked.resources
    if decision.binding is not None:
        claims["cnf"] = cnf(decision.binding)
    if decision.details:
        _add_details(claims, decision, asked)


def _fill_txn_token(
    claims: dict[str, Any], decision: Decision, asked: Asked, client: Client | RegisteredClient, _audience: Audience
) -> None:
    """draft-ietf-oauth-transaction-tokens section 9: what a call chain in one trust domain carries along."""
    transaction = asked.transaction or Transaction()
    del claims["client_id"]
    claims["txn"] = transaction.id or claims["jti"]
    claims["sub_type"] = decision.subject.type
    claims["req_wl"] = client.id
    if decision.actors:
        claims["act"] = _act(decision.actors)
    if transaction.details:
        claims["tctx"] = transaction.details
    if transaction.context:
        claims["rctx"] = transaction.context
    # With the session, the grant or the device that it came of, it ends, or is refused, like an access token.
    came_of = {"sid": asked.session, "device": asked.device, "grant_id": asked.grant_id}
    claims |= {name: value for name, value in came_of.items() if value}
    if asked.lineage:
        claims["lineage"] = asked.lineage
    _add_limits(claims, asked)
    for name in CONFINES:
        if value := getattr(asked, name):
            claims[name] = value


_ACCESS = _Profile("at+jwt", ACCESS_TOKEN, _fill_access_token)
_PROFILES: Mapping[str, _Profile] = {
    "api": _ACCESS,
    "identity": _ACCESS,
    "domain": _Profile("oauth-id-jag+jwt", ID_JAG, _fill_id_jag),
    "transaction": _Profile("txntoken+jwt", TXN_TOKEN, _fill_txn_token),
}
"""By the kind of the audience."""


def prepare_id_token(
    decision: Decision,
    asked: Asked,
    client: Client | RegisteredClient,
    *,
    issuer: str,
    key: KeyName,
    now: int,
    decision_id: str,
    auth_req_id: str = "",
) -> PreparedToken | None:
    """The ID token that goes with a granted `decision`; None where nobody asked for one or `openid` was refused.

    OpenID Connect Core sections 2 and 5.4: who signed in, how and when, for the client alone; of the claims that the
    identity scopes give it carries those that it was asked to carry itself. The rest is told by `/userinfo`.
    One that is pushed names the request that it answers, `auth_req_id`, and the tokens beside it (CIBA section 10.3.1).
    """
    identity = decision.identity
    if identity is None or identity.lifetime is None or "openid" not in identity.granted_scopes:
        return None
    issued_at = seconds(now)
    claims: dict[str, Any] = {
        "iss": issuer,
        "sub": decision.subject.id,
        "aud": client.id,
        "exp": issued_at + identity.lifetime.seconds,
        "iat": issued_at,
        "jti": decision_id,
    }
    if asked.nonce:
        claims["nonce"] = asked.nonce
    _add_sign_in(claims, asked)
    claims.pop("device", None)
    if asked.grant_id:
        claims["grant_id"] = asked.grant_id
    if auth_req_id:
        claims[AUTH_REQ_ID] = auth_req_id
    wanted = tuple(claim for claim in identity.claims if claim.name in asked.id_token_claims)
    _add_derived(claims, wanted)
    return _prepared(claims, key, "JWT", names_others=bool(auth_req_id))


def _act(actors: tuple[EntityUid, ...]) -> dict[str, Any]:
    """The present actor outermost, each earlier one inside the next."""
    act: dict[str, Any] = {}
    for actor in reversed(actors):
        outer: dict[str, Any] = {"sub": actor.id, "sub_type": actor.type}
        if act:
            outer["act"] = act
        act = outer
    return act


def _may_act(named: tuple[EntityUid, ...]) -> object:
    """Whom the subject token named, so that the next hop cannot shake the limit off: one object, or several."""
    parties = [{"sub": party.id, "sub_type": party.type} for party in named]
    return parties[0] if len(parties) == 1 else parties


def _status(place: tuple[int, int], issuer: str) -> dict[str, Any]:
    """Where it is said whether the token was revoked (draft-ietf-oauth-status-list section 6.2)."""
    number, index = place
    return {"status_list": {"idx": index, "uri": status_uri(issuer, number)}}


def status_uri(issuer: str, number: int) -> str:
    """Where a status list is served."""
    return f"{issuer.rstrip('/')}/status/{number}"


def cnf(binding: Binding) -> dict[str, str]:
    """The confirmation of a key, as tokens carry it (RFC 7800 section 3.1). Raises `INTERNAL` for an unknown kind."""
    member = _KINDS.get(binding.kind)
    if member is None:
        raise MintwardenError(ErrorKind.INTERNAL, f"a token cannot be bound by `{binding.kind}`")
    return {member: binding.thumbprint}


def _add_sign_in(claims: dict[str, Any], asked: Asked) -> None:
    """How, when, in which session and from which device the subject signed in, as far as its own token said so.

    INVARIANT: what rules may look up by session or device stays known: no exchange shakes off what is held against it.
    """
    if asked.authenticated_at is not None:
        claims["auth_time"] = seconds(asked.authenticated_at)
    if asked.acr:
        claims["acr"] = asked.acr
    if asked.amr:
        claims["amr"] = asked.amr
    if asked.session:
        claims["sid"] = asked.session
    if asked.device:
        claims["device"] = asked.device


def _add_limits(claims: dict[str, Any], asked: Asked) -> None:
    if asked.budget is not None:
        claims["budget"] = asked.budget.amount
    if asked.max_depth is not None:
        claims["max_depth"] = asked.max_depth


def _add_details(claims: dict[str, Any], decision: Decision, asked: Asked) -> None:
    """What is granted (RFC 9396 section 9.1). Where it is all that is, there is no `scope`: an empty one is none."""
    granted = granted_details(asked.details, [detail.granted for detail in decision.details])
    if granted:
        claims[MEMBER] = granted
    if not claims["scope"]:
        del claims["scope"]


def _add_derived(claims: dict[str, Any], derived: tuple[ClaimDecision, ...]) -> None:
    for claim in derived:
        if claim.name in PROTOCOL_CLAIMS or claims.setdefault(claim.name, claim.value) != claim.value:
            raise MintwardenError(ErrorKind.INTERNAL, f"claim `{claim.name}` may not be derived")
