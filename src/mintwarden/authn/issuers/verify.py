"""JWTs of trusted issuers as subject and actor tokens: checked by the issuer's data, turned into evidence."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal

from mintwarden.authn.claims import binding, lifetime, strings
from mintwarden.authn.issuers.conditions import Conditions
from mintwarden.authn.issuers.keys import KeyFinder
from mintwarden.authn.issuers.profile import shaped
from mintwarden.authn.jose import (
    JoseError,
    Unverified,
    VerificationKey,
    audiences,
    load_key,
    numeric_date,
    string,
    verify_signature,
)
from mintwarden.authn.svid import SCHEME, trust_domain_of
from mintwarden.model.caller import Evidence
from mintwarden.model.catalogue import TrustedIssuer
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.values import EntityUid

LEEWAY: Final = 60_000
"""Clock difference with an issuer that is forgiven, in milliseconds."""

ID_JAG_TYP: Final = "oauth-id-jag+jwt"
LOGIN_HINT_TYP: Final = "login-hint+jwt"
_TYPED: Mapping[str, str] = {"id_jag": ID_JAG_TYP, "login_hint": LOGIN_HINT_TYP}
"""By use. INVARIANT: what is of one of these types is good for that use alone, and nothing else for it."""

_LONGEST_ID = 512
_TENANTS = ("tenant", "aud_tenant")
"""Claims by which several tenants share an issuer, or share us (ID-JAG draft, section 6)."""
_PRINCIPALS = frozenset({"User", "Workload", "Agent"})


class _Issuer:
    """One issuer, its shape filled in and its parts made ready."""

    def __init__(self, issuer: TrustedIssuer) -> None:
        self.data = shaped(issuer)
        self.types: frozenset[str | None] = frozenset(typ or None for typ in self.data.typ or ("", "jwt"))
        self.algorithms = frozenset(self.data.algorithms)
        self.audiences = frozenset(self.data.audiences)
        self.conditions = Conditions(self.data.conditions)
        self.inline = _inline(issuer) if issuer.keys == "inline" else ()
        self.spiffe = issuer.profile == "spiffe"
        self.tenants = frozenset(
            name for name in _TENANTS if any(re.search(rf"\bclaims\.{name}\b", text) for text in self.data.conditions)
        )

    def require_tenants(self, claims: Mapping[str, Any]) -> None:
        """Refuse what speaks of a tenant where no condition says which one counts.

        INVARIANT: an issuer of several tenants may call two people the same (`iss`, `tenant` and `sub` name one), so
        what it says of the one is nothing about the other.
        """
        for name in _TENANTS:
            if name in claims and name not in self.tenants:
                raise JoseError(f"the assertion has a `{name}`, and no condition of its issuer says which one counts")


class TrustedIssuers:
    """Verifies tokens of the catalogue's trusted issuers. Raises `MintwardenError(BUNDLE)` for an unusable one."""

    def __init__(self, *, own_issuer: str, issuers: Mapping[str, TrustedIssuer], keys: KeyFinder) -> None:
        self._keys = keys
        self._by_name: dict[str, _Issuer] = {}
        for issuer in issuers.values():
            if issuer.issuer == own_issuer or issuer.issuer in self._by_name:
                raise MintwardenError(ErrorKind.BUNDLE, f"issuer `{issuer.id}` has another's identifier")
            if issuer.profile == "spiffe" and not re.fullmatch(r"spiffe://[a-z0-9._-]{1,255}", issuer.issuer, re.ASCII):
                raise MintwardenError(
                    ErrorKind.BUNDLE,
                    f"issuer `{issuer.id}` is no trust domain",
                    hint="name it `spiffe://<trust domain>`",
                )
            self._by_name[issuer.issuer] = _Issuer(issuer)

    async def verify(
        self,
        token: Unverified,
        claims: Mapping[str, Any],
        role: Literal["subject", "actor"],
        now: int,
        *,
        use: Literal["token_exchange", "jwt_bearer", "id_jag", "login_hint"] = "token_exchange",
    ) -> Evidence:
        """What the token proves in that role and for that use. `claims` are its payload, decoded.

        Raises `JoseError` for a token that is not accepted, `MintwardenError(UNAVAILABLE)` when the issuer's keys
        cannot be had.
        """
        issuer = self._issuer(claims)
        if use not in issuer.data.uses:
            raise JoseError("the issuer's tokens are not good for this")
        wanted = _TYPED.get(use)
        if token.typ != wanted if wanted else (token.typ not in issuer.types or token.typ in _TYPED.values()):
            raise JoseError("the token is of another kind")
        if use == "id_jag":
            issuer.require_tenants(claims)
        if token.algorithm not in issuer.algorithms:
            raise JoseError("the algorithm is not accepted from this issuer")
        if role not in issuer.data.roles:
            raise JoseError(f"the issuer may not speak for {role}s")
        # What costs nothing is checked before a key is fetched for it.
        if issuer.audiences.isdisjoint(audiences(claims)):
            raise JoseError("`aud` names no audience that is accepted from this issuer")
        issued_at, expires_at = lifetime(claims, now, late=LEEWAY, early=LEEWAY)
        if expires_at - (issued_at or now) > issuer.data.max_age * 1000:
            raise JoseError("the token lives longer than is accepted from this issuer")
        if issuer.spiffe and not token.kid:
            raise JoseError("`kid` is missing")
        keys = issuer.inline or await self._keys.find(issuer.data, token, now)
        verify_signature(token, keys, issuer.algorithms)
        unmet = issuer.conditions.unmet(claims)
        if unmet is not None:
            raise JoseError(f"the condition `{unmet}` does not hold")
        return _evidence(issuer.data, claims, issued_at, expires_at)

    def _issuer(self, claims: Mapping[str, Any]) -> _Issuer:
        name = claims.get("iss")
        if isinstance(name, str) and name in self._by_name and not self._by_name[name].spiffe:
            return self._by_name[name]
        subject = claims.get("sub")
        if isinstance(subject, str):
            domain = self._by_name.get(SCHEME + trust_domain_of(subject))
            if domain is not None and domain.spiffe:
                return domain
        raise JoseError("the issuer is not trusted")


def _inline(issuer: TrustedIssuer) -> tuple[VerificationKey, ...]:
    try:
        return tuple(load_key(jwk) for jwk in issuer.jwks)
    except JoseError as error:
        raise MintwardenError(
            ErrorKind.BUNDLE, f"issuer `{issuer.id}` has a key that cannot be used", hint=str(error)
        ) from None


def _evidence(issuer: TrustedIssuer, claims: Mapping[str, Any], issued_at: int, expires_at: int) -> Evidence:
    if "act" in claims:
        # INVARIANT: no hop of a chain is lost; one that we cannot name cannot be carried on.
        raise JoseError("the token carries an `act` chain of another issuer")
    return Evidence(
        principal=EntityUid(issuer.principal, _identifier(issuer, claim_at(claims, issuer.subject))),
        issuer=issuer.issuer,
        own=False,
        token_id=string(claims, "jti"),
        client_id=string(claims, "client_id") or string(claims, "azp"),
        audiences=audiences(claims),
        may_act=_may_act(issuer, claims),
        issued_at=issued_at,
        expires_at=expires_at,
        authenticated_at=numeric_date(claims, "auth_time"),
        acr=text_at(claims, issuer.acr),
        amr=strings(claims, "amr"),
        session=text_at(claims, issuer.session),
        device=text_at(claims, issuer.device),
        binding=binding(claims),
        facts={name: value for name, path in issuer.facts.items() if (value := claim_at(claims, path)) is not None},
    )


def claim_at(claims: Any, path: str) -> Any:
    """The value at a dotted path, or None. A member whose own name has dots is found under the longest name."""
    if not isinstance(claims, dict):
        return None
    if path in claims:
        return claims[path]
    cut = path.rfind(".")
    while cut > 0:
        name = path[:cut]
        if name in claims:
            return claim_at(claims[name], path[cut + 1 :])
        cut = path.rfind(".", 0, cut)
    return None


def _identifier(issuer: TrustedIssuer, value: Any) -> str:
    return principal_id(issuer.subject_prefix, value)


def principal_id(prefix: str, value: Any) -> str:
    """The id of the principal that an issuer calls `value`; raises `JoseError` for what is no name."""
    if isinstance(value, str) and 0 < len(value) <= _LONGEST_ID and value.isprintable():
        return prefix + value
    raise JoseError("the subject claim is missing or malformed")


def text_at(claims: Mapping[str, Any], path: str) -> str:
    """The short text at a dotted path, or empty; raises `JoseError` for anything else in its place."""
    value = claim_at(claims, path) if path else None
    if value is None:
        return ""
    if isinstance(value, str) and len(value) <= _LONGEST_ID and value.isprintable():
        return value
    raise JoseError(f"`{path}` is not a short string")


def _may_act(issuer: TrustedIssuer, claims: Mapping[str, Any]) -> tuple[EntityUid, ...] | None:
    """Whom `may_act` names (RFC 8693 section 4.4), in the issuer's own terms; an actor of elsewhere is nobody here."""
    if "may_act" not in claims:
        return None
    value = claims["may_act"]
    if not isinstance(value, dict) or not value.keys() <= {"sub", "sub_type", "iss"}:
        raise JoseError("`may_act` is malformed")
    if value.get("iss", issuer.issuer) != issuer.issuer:
        return ()
    kind = value.get("sub_type", issuer.principal)
    if not isinstance(kind, str) or kind not in _PRINCIPALS:
        raise JoseError("`may_act` is malformed")
    return (EntityUid(kind, _identifier(issuer, value.get("sub"))),)
