"""SPIFFE identities of clients: which workload a JWT-SVID or an X.509-SVID speaks of, and whether it is the client.

Follows draft-ietf-oauth-spiffe-client-auth, as edited in August 2026, after revision 02: everything that the draft
decides is in this module and in the two methods that call it. The trust domains are the trusted issuers of the profile
`spiffe`: their keys come from the SPIFFE bundle endpoint that the issuer's entry names, kept by trust domain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from mintwarden.authn.certificates import CertificateError
from mintwarden.authn.claims import lifetime
from mintwarden.authn.issuers.conditions import Conditions
from mintwarden.authn.issuers.keys import KeyFinder
from mintwarden.authn.issuers.profile import shaped
from mintwarden.authn.jose import JoseError, VerificationKey, decode_json, load_key, parse, string, verify_signature
from mintwarden.authn.svid import Svid, trust_domain_of
from mintwarden.model.catalogue import TrustedIssuer

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe"
LEEWAY: Final = 60_000
"""Clock difference with a trust domain that is forgiven, in milliseconds."""

_LIMIT = 8 * 1024


def is_meant(registered: str, spiffe_id: str) -> bool:
    """Whether `registered` is that ID, or ends in `/*` and has whole leading segments of its path (section 5.1)."""
    if not registered:
        return False
    if registered.endswith("/*"):
        return spiffe_id.startswith(registered[:-1]) and len(spiffe_id) >= len(registered)
    return spiffe_id == registered


class _Domain:
    """A trust domain with its parts made ready."""

    def __init__(self, issuer: TrustedIssuer) -> None:
        self.issuer = shaped(issuer)
        self.types: frozenset[str | None] = frozenset(typ or None for typ in self.issuer.typ)
        self.algorithms = frozenset(self.issuer.algorithms)
        self.conditions = Conditions(self.issuer.conditions)
        inline = issuer.keys == "inline"
        self.inline: tuple[VerificationKey, ...] = tuple(load_key(jwk) for jwk in issuer.jwks) if inline else ()


class SpiffeDomains:
    """Verifies SVIDs that clients show us. `issuer` is our own issuer identifier; of `issuers`, trust domains count."""

    def __init__(self, *, issuer: str, issuers: Iterable[TrustedIssuer], keys: KeyFinder) -> None:
        self._own = issuer
        self._keys = keys
        self._domains: Mapping[str, _Domain] = {
            each.issuer.removeprefix("spiffe://"): _Domain(each) for each in issuers if each.profile == "spiffe"
        }

    async def of_jwt(self, unverified: str, now: int) -> str:
        """The SPIFFE ID of a JWT-SVID that is meant for us alone (section 3.1).

        A JWT-SVID is a bearer token: its holder may show it until it ends. Raises `JoseError`, and
        `MintwardenError(UNAVAILABLE)` when the trust domain's keys cannot be had.
        """
        token = parse(unverified, _LIMIT)
        claims = decode_json(token.payload)
        spiffe_id = string(claims, "sub")
        domain = self._domains.get(trust_domain_of(spiffe_id))
        if domain is None:
            raise JoseError("`sub` is not a SPIFFE ID of a trusted domain")
        if token.typ not in domain.types or token.algorithm not in domain.algorithms or not token.kid:
            raise JoseError("the token is not a JWT-SVID: `typ`, `alg` or `kid` is another")
        if claims.get("aud") not in (self._own, [self._own]):
            raise JoseError("`aud` is not our issuer identifier alone")
        issued_at, expires_at = lifetime(claims, now, late=LEEWAY, early=LEEWAY)
        if expires_at - (issued_at or now) > domain.issuer.max_age * 1000:
            raise JoseError("the token lives longer than is accepted from this trust domain")
        keys = domain.inline or await self._keys.find(domain.issuer, token, now)
        verify_signature(token, keys, domain.algorithms)
        _check_conditions(domain, claims)
        return spiffe_id

    async def of_certificate(self, svid: Svid, now: int) -> str:
        """The SPIFFE ID of an X.509-SVID that an authority of its own trust domain stands for (section 3.2).

        Raises `CertificateError`, and `MintwardenError(UNAVAILABLE)` when the authorities cannot be had.
        """
        domain = self._domains.get(svid.trust_domain)
        if domain is None or domain.issuer.keys != "bundle":
            raise CertificateError("the certificate is of no trust domain whose bundle is known here")
        authorities = await self._keys.find_authorities(domain.issuer, svid, now)
        authorities.check(svid, now)
        return svid.spiffe_id


def _check_conditions(domain: _Domain, claims: Mapping[str, Any]) -> None:
    unmet = domain.conditions.unmet(claims)
    if unmet is not None:
        raise JoseError(f"the condition `{unmet}` does not hold")
