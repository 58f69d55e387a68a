"""Our own access tokens as subject and actor tokens (RFC 9068 section 2, RFC 8693 section 4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from mintwarden.authn.claims import binding, details, lifetime, limit, strings
from mintwarden.authn.good_signatures import GoodSignatures
from mintwarden.authn.jose import (
    JoseError,
    Unverified,
    VerificationKey,
    audiences,
    decode_segment,
    load_key,
    numeric_date,
    string,
    verify_signature,
)
from mintwarden.model.caller import Evidence
from mintwarden.model.token import MAX_LINEAGE
from mintwarden.model.transaction import Transaction
from mintwarden.model.values import EntityUid

_TYPES = frozenset({"User", "Workload", "Agent"})
_ALGORITHMS = frozenset({"ES256", "ES384", "PS256", "EdDSA", "RS256"})
_DEEPEST = 32
_EARLY = 60_000


class OwnKey(Protocol):
    """The public half of a signing key of ours."""

    @property
    def algorithm(self) -> str: ...

    @property
    def jwk(self) -> Mapping[str, Any]: ...


class OwnKeys(Protocol):
    """Our signing keys for access tokens, public halves."""

    def public_key(self, kid: str) -> OwnKey | None:
        """The key of that name; None for unknown ones and for those that are `gone`."""
        ...


class OwnTokens:
    """Verifies access tokens that we issued. No leeway at the end; another node's clock may be a minute ahead."""

    def __init__(self, *, issuer: str, keys: OwnKeys) -> None:
        self.issuer = issuer
        self._keys = keys
        self._ready: dict[str, tuple[OwnKey, VerificationKey]] = {}
        self._signatures = GoodSignatures(_ALGORITHMS)

    def verify(self, token: Unverified, claims: Mapping[str, Any], now: int) -> Evidence:
        """What the token proves; raises `JoseError` for anything that is not a live access token of ours.

        `claims` are the token's payload, decoded.
        """
        if token.typ != "at+jwt":
            raise JoseError("the token is not an access token of ours")
        issued_at, expires_at = self._signed(token, claims, now)
        token_id, client_id = string(claims, "jti"), string(claims, "client_id")
        scope = claims.get("scope", "")
        if not (token_id and client_id and issued_at and isinstance(scope, str)):
            raise JoseError("the token lacks a claim of ours")
        return Evidence(
            principal=_principal(claims),
            issuer=self.issuer,
            own=True,
            token_id=token_id,
            client_id=client_id,
            audiences=audiences(claims),
            scopes=tuple(scope.split()),
            actors=_actors(claims),
            may_act=_may_act(claims),
            issued_at=issued_at,
            expires_at=expires_at,
            authenticated_at=numeric_date(claims, "auth_time"),
            acr=string(claims, "acr"),
            amr=strings(claims, "amr"),
            session=string(claims, "sid"),
            device=string(claims, "device"),
            tenant=string(claims, "tenant"),
            workspace=string(claims, "workspace"),
            project=string(claims, "project"),
            purpose=string(claims, "purpose"),
            environment=string(claims, "environment"),
            binding=binding(claims),
            grant_id=string(claims, "grant_id"),
            budget=limit(claims, "budget"),
            max_depth=limit(claims, "max_depth"),
            lineage=_lineage(claims),
            key=token.kid,
            details=details(claims),
        )

    def is_of_another_kind(self, token: Unverified) -> bool:
        """It is signed by us, and no access token."""
        if token.typ == "at+jwt":
            return False
        try:
            verify_signature(token, (self._key(token.kid),), _ALGORITHMS)
        except JoseError:
            return False
        return True

    def verify_id_token(self, token: Unverified, claims: Mapping[str, Any], now: int) -> Evidence:
        """What an ID token of ours proves (OpenID Connect Core section 2): a person, to the client in its `aud`."""
        if token.typ != "jwt":
            raise JoseError("the token is not an ID token of ours")
        issued_at, expires_at = self._signed(token, claims, now)
        if "scope" in claims or "client_id" in claims:
            raise JoseError("the token is not an ID token of ours")
        return Evidence(
            principal=EntityUid("User", _named(claims, "sub")),
            issuer=self.issuer,
            own=True,
            kind="id_token",
            token_id=_named(claims, "jti"),
            client_id=_named(claims, "aud"),
            audiences=audiences(claims),
            issued_at=issued_at,
            expires_at=expires_at,
            authenticated_at=numeric_date(claims, "auth_time"),
            acr=string(claims, "acr"),
            amr=strings(claims, "amr"),
            session=string(claims, "sid"),
            grant_id=string(claims, "grant_id"),
            key=token.kid,
        )

    def verify_txn_token(self, token: Unverified, claims: Mapping[str, Any], now: int) -> Evidence:
        """What a transaction token of ours proves (draft-ietf-oauth-transaction-tokens)."""
        if token.typ != "txntoken+jwt":
            raise JoseError("the token is not a transaction token of ours")
        issued_at, expires_at = self._signed(token, claims, now)
        tctx, rctx = claims.get("tctx", {}), claims.get("rctx", {})
        if not isinstance(tctx, dict) or not isinstance(rctx, dict):
            raise JoseError("`tctx` or `rctx` is malformed")
        return Evidence(
            principal=_principal(claims),
            issuer=self.issuer,
            own=True,
            kind="txn_token",
            token_id=_named(claims, "jti"),
            client_id=_named(claims, "req_wl"),
            audiences=audiences(claims),
            scopes=tuple(string(claims, "scope").split()),
            actors=_actors(claims),
            issued_at=issued_at,
            expires_at=expires_at,
            tenant=string(claims, "tenant"),
            workspace=string(claims, "workspace"),
            project=string(claims, "project"),
            purpose=string(claims, "purpose"),
            environment=string(claims, "environment"),
            session=string(claims, "sid"),
            device=string(claims, "device"),
            grant_id=string(claims, "grant_id"),
            transaction=Transaction(id=_named(claims, "txn"), details=tctx, context=rctx),
            budget=limit(claims, "budget"),
            max_depth=limit(claims, "max_depth"),
            lineage=_lineage(claims),
            key=token.kid,
        )

    def _signed(self, token: Unverified, claims: Mapping[str, Any], now: int) -> tuple[int, int]:
        """When it was issued and when it ends, once we are found to have signed it for a recorded decision."""
        self._signatures.verify(token, self._key(token.kid))
        if claims.get("iss") != self.issuer:
            raise JoseError("`iss` is not our issuer identifier")
        leaf = string(claims, "ledger_leaf")
        if not leaf.isascii() or len(decode_segment(leaf.encode())) != 32:
            raise JoseError("`ledger_leaf` is not a leaf hash")
        return lifetime(claims, now, late=0, early=_EARLY)

    def _key(self, kid: str) -> VerificationKey:
        own = self._keys.public_key(kid) if kid else None
        if own is None:
            self._ready.pop(kid, None)
            raise JoseError("the token is signed by no key of ours")
        ready = self._ready.get(kid)
        if ready is None or (ready[0] is not own and ready[0] != own):
            key = load_key({**own.jwk, "kid": kid, "alg": own.algorithm})
            ready = self._ready[kid] = (own, key)
        return ready[1]


def _named(claims: Mapping[str, Any], name: str) -> str:
    value = string(claims, name)
    if not value:
        raise JoseError(f"`{name}` is missing")
    return value


def _principal(claims: Mapping[str, Any]) -> EntityUid:
    kind, name = claims.get("sub_type"), claims.get("sub")
    if isinstance(kind, str) and kind in _TYPES and isinstance(name, str) and name:
        return EntityUid(kind, name)
    raise JoseError("`sub` or `sub_type` is missing or malformed")


def _actors(claims: Mapping[str, Any]) -> tuple[EntityUid, ...]:
    """The `act` chain, the present actor first. INVARIANT: a chain with a hop that is not understood refuses."""
    found: list[EntityUid] = []
    while "act" in claims:
        act = claims["act"]
        if not isinstance(act, dict) or not act.keys() <= {"sub", "sub_type", "act"} or len(found) == _DEEPEST:
            raise JoseError("`act` is malformed")
        found.append(_principal(act))
        claims = act
    return tuple(found)


def _lineage(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """INVARIANT: whole or not at all: what a token came of may be what it was revoked by."""
    found = strings(claims, "lineage")
    if len(found) > MAX_LINEAGE:
        raise JoseError("`lineage` is too long")
    return found


def _may_act(claims: Mapping[str, Any]) -> tuple[EntityUid, ...] | None:
    if "may_act" not in claims:
        return None
    value = claims["may_act"]
    named = value if isinstance(value, list) else [value]
    if not all(isinstance(item, dict) and item.keys() <= {"sub", "sub_type"} for item in named):
        raise JoseError("`may_act` is malformed")
    return tuple(_principal(item) for item in named)
