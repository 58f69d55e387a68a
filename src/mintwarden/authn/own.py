"""Our own access tokens as subject and actor tokens (RFC 9068 section 2, RFC 8693 section 4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, NoReturn, Protocol

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from mintwarden.authn.claims import binding, details, limit, strings, within
from mintwarden.authn.good_signatures import GoodSignatures
from mintwarden.authn.jose import (
    JoseError,
    Unverified,
    VerificationKey,
    decode_segment,
    load_key,
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


_Text = Annotated[str, Meta(min_length=1)]
_Date = Annotated[int, Meta(ge=0, lt=1 << 40)] | Annotated[float, Meta(ge=0, lt=1 << 40)] | UnsetType
"""A `NumericDate` (RFC 7519 section 2)."""


class _Said(Struct, frozen=True):
    """The claims of a token of ours that are plain values, empty where absent: all of them are read in one step.

    What has parts (`act`, `may_act`, `cnf`, `authorization_details`) is read where it means something.
    """

    iss: _Text = ""
    sub: _Text = ""
    sub_type: _Text = ""
    aud: str | Annotated[tuple[str, ...], Meta(min_length=1)] = ()
    exp: _Date = UNSET
    nbf: _Date = UNSET
    iat: _Date = UNSET
    auth_time: _Date = UNSET
    jti: _Text = ""
    client_id: _Text = ""
    scope: str = ""
    acr: _Text = ""
    amr: tuple[_Text, ...] = ()
    sid: _Text = ""
    device: _Text = ""
    tenant: _Text = ""
    workspace: _Text = ""
    project: _Text = ""
    purpose: _Text = ""
    environment: _Text = ""
    grant_id: _Text = ""
    txn: _Text = ""
    req_wl: _Text = ""
    ledger_leaf: _Text = ""

    @property
    def audiences(self) -> tuple[str, ...]:
        """`aud` as a tuple (RFC 7519 section 4.1.3); raises `JoseError` when absent."""
        if isinstance(self.aud, str):
            return (self.aud,)
        return self.aud or _missing("aud")

    @property
    def authenticated_at(self) -> int | None:
        """`auth_time` in `Millis`."""
        return _millis(self.auth_time)


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
        said, issued_at, expires_at = self._signed(token, claims, now)
        if not (said.jti and said.client_id and issued_at):
            raise JoseError("the token lacks a claim of ours")
        return Evidence(
            principal=_principal(said.sub_type, said.sub),
            issuer=self.issuer,
            own=True,
            token_id=said.jti,
            client_id=said.client_id,
            audiences=said.audiences,
            scopes=tuple(said.scope.split()),
            actors=_actors(claims),
            may_act=_may_act(claims),
            issued_at=issued_at,
            expires_at=expires_at,
            authenticated_at=said.authenticated_at,
            acr=said.acr,
            amr=said.amr,
            session=said.sid,
            device=said.device,
            tenant=said.tenant,
            workspace=said.workspace,
            project=said.project,
            purpose=said.purpose,
            environment=said.environment,
            binding=binding(claims),
            grant_id=said.grant_id,
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
        said, issued_at, expires_at = self._signed(token, claims, now)
        if "scope" in claims or "client_id" in claims:
            raise JoseError("the token is not an ID token of ours")
        if not (isinstance(said.aud, str) and said.aud):
            raise JoseError("`aud` is not one client")
        return Evidence(
            principal=EntityUid("User", said.sub or _missing("sub")),
            issuer=self.issuer,
            own=True,
            kind="id_token",
            token_id=said.jti or _missing("jti"),
            client_id=said.aud,
            audiences=said.audiences,
            issued_at=issued_at,
            expires_at=expires_at,
            authenticated_at=said.authenticated_at,
            acr=said.acr,
            amr=said.amr,
            session=said.sid,
            grant_id=said.grant_id,
            key=token.kid,
        )

    def verify_txn_token(self, token: Unverified, claims: Mapping[str, Any], now: int) -> Evidence:
        """What a transaction token of ours proves (draft-ietf-oauth-transaction-tokens)."""
        if token.typ != "txntoken+jwt":
            raise JoseError("the token is not a transaction token of ours")
        said, issued_at, expires_at = self._signed(token, claims, now)
        tctx, rctx = claims.get("tctx", {}), claims.get("rctx", {})
        if not isinstance(tctx, dict) or not isinstance(rctx, dict):
            raise JoseError("`tctx` or `rctx` is malformed")
        return Evidence(
            principal=_principal(said.sub_type, said.sub),
            issuer=self.issuer,
            own=True,
            kind="txn_token",
            token_id=said.jti or _missing("jti"),
            client_id=said.req_wl or _missing("req_wl"),
            audiences=said.audiences,
            scopes=tuple(said.scope.split()),
            actors=_actors(claims),
            issued_at=issued_at,
            expires_at=expires_at,
            tenant=said.tenant,
            workspace=said.workspace,
            project=said.project,
            purpose=said.purpose,
            environment=said.environment,
            session=said.sid,
            device=said.device,
            grant_id=said.grant_id,
            transaction=Transaction(id=said.txn or _missing("txn"), details=tctx, context=rctx),
            budget=limit(claims, "budget"),
            max_depth=limit(claims, "max_depth"),
            lineage=_lineage(claims),
            key=token.kid,
        )

    def _signed(self, token: Unverified, claims: Mapping[str, Any], now: int) -> tuple[_Said, int, int]:
        """What it says, when it was issued and when it ends, once we are found to have signed it."""
        self._signatures.verify(token, self._key(token.kid))
        try:
            said = msgspec.convert(claims, _Said)
        except msgspec.ValidationError as error:
            raise JoseError(f"a claim is malformed: {error}") from None
        if said.iss != self.issuer:
            raise JoseError("`iss` is not our issuer identifier")
        leaf = said.ledger_leaf
        if not leaf.isascii() or len(decode_segment(leaf.encode())) != 32:
            raise JoseError("`ledger_leaf` is not a leaf hash")
        issued, expires = _millis(said.iat), _millis(said.exp)
        if expires is None:
            _missing("exp")
        within(issued, _millis(said.nbf), expires, now, late=0, early=_EARLY)
        return said, issued or 0, expires

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


def _missing(name: str) -> NoReturn:
    raise JoseError(f"`{name}` is missing")


def _millis(date: float | UnsetType) -> int | None:
    return None if date is UNSET else int(date * 1000)


def _principal(kind: object, name: object) -> EntityUid:
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
        found.append(_principal(act.get("sub_type"), act.get("sub")))
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
    return tuple(_principal(item.get("sub_type"), item.get("sub")) for item in named)
