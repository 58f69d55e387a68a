"""SPIFFE bundles: what stands in one, how new it is, and who its endpoint must prove to be.

SPIFFE Trust Domain and Bundle, SPIFFE Federation (`https_spiffe`, section 5.2.2), X.509-SVID section 6.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from cryptography.x509 import Certificate

from mintwarden.authn.certificates import CertificateError, read_certificate
from mintwarden.authn.ports import KeptBundle, Prove
from mintwarden.authn.shelf import Shelf
from mintwarden.authn.svid import FOR_SERVERS, SCHEME, SvidAuthorities, read_svid, trust_domain_of
from mintwarden.model.catalogue import TrustedIssuer
from mintwarden.model.errors import ErrorKind, MintwardenError

KIND: Final = "spiffe_bundle"
"""The kind of the shelf of bundles."""
LIFE: Final = 400 * 86_400_000
"""Milliseconds for which the latest bundle of an endpoint is remembered; each new one begins them anew."""
UNSAID: Final = 300_000
"""Age in milliseconds at which a bundle that does not say is fetched again (SPIFFE Federation section 4.1)."""


class ShelvedBundles:
    """Implements `KeptBundles` on a shelf."""

    def __init__(self, shelf: Shelf[KeptBundle]) -> None:
        self._shelf = shelf

    async def load(self, name: str, now: int) -> KeptBundle | None:
        """See `KeptBundles`."""
        held = await self._shelf.get(name, now)
        return None if held is None else held.value

    async def keep(self, name: str, bundle: KeptBundle) -> None:
        """See `KeptBundles`."""
        ends = bundle.at + LIFE
        held = await self._shelf.get(name, bundle.at)
        if held is None:
            await self._shelf.add(name, bundle, ends=ends)
        else:
            await self._shelf.replace(held, bundle, ends=ends)


def name_of(issuer: TrustedIssuer) -> str:
    """What the bundles of an endpoint are remembered by. Whoever is told of other authorities begins with those."""
    said = [issuer.issuer, issuer.jwks_uri, issuer.endpoint_spiffe_id, *issuer.endpoint_authorities]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def serves_itself(issuer: TrustedIssuer) -> bool:
    """Whether the endpoint is a workload of the trust domain whose bundle it serves."""
    return issuer.issuer == SCHEME + trust_domain_of(issuer.endpoint_spiffe_id)


def told_authorities(issuer: TrustedIssuer) -> SvidAuthorities:
    """Those of the issuer's file, by which the endpoint is first known. Raises `SOURCE` where one cannot be read."""
    try:
        return SvidAuthorities([read_certificate(_der(text)) for text in issuer.endpoint_authorities])
    except (CertificateError, binascii.Error, ValueError):
        raise MintwardenError(ErrorKind.SOURCE, "an authority of a bundle endpoint cannot be read") from None


def proven_by(issuer: TrustedIssuer, authorities: SvidAuthorities, now: int) -> Prove:
    """The demand that a server shows the X.509-SVID of the issuer's endpoint, and no other (section 5.2.2.4)."""

    def prove(leaf: bytes, chain: Sequence[bytes]) -> None:
        try:
            svid = read_svid(leaf, chain)
            if svid.spiffe_id != issuer.endpoint_spiffe_id:
                raise CertificateError("the endpoint is another workload")
            authorities.check(svid, now, use=FOR_SERVERS)
        except CertificateError as error:
            raise MintwardenError(
                ErrorKind.SOURCE, "the bundle endpoint does not prove who it is", hint=str(error)
            ) from None

    return prove


def sequence_of(document: Mapping[str, Any]) -> int | None:
    """`spiffe_sequence` (SPIFFE Trust Domain and Bundle, section 4.1.1); None where there is none."""
    said = document.get("spiffe_sequence")
    return said if isinstance(said, int) and not isinstance(said, bool) else None


def is_older(document: Mapping[str, Any], sequence: int | None) -> bool:
    """Whether a bundle comes before the one of that sequence number."""
    new = sequence_of(document)
    return new is not None and sequence is not None and new < sequence


def refresh_hint(document: Mapping[str, Any], *, least: int, most: int) -> int:
    """Milliseconds after which a bundle is fetched again (section 4.1.2), between those bounds.

    What it asks for: keys that it withdraws are to be believed no longer.
    """
    hint = document.get("spiffe_refresh_hint")
    if not isinstance(hint, int) or isinstance(hint, bool) or hint <= 0:
        return UNSAID
    return min(most, max(least, hint * 1000))


def x509_authorities(document: Mapping[str, Any]) -> SvidAuthorities:
    """The authorities for X.509-SVIDs in a bundle (X.509-SVID section 6.2); of an `x5c` only the first counts."""
    return SvidAuthorities(list(_found(document.get("keys"))))


def _found(keys: object) -> Iterable[Certificate]:
    for jwk in keys if isinstance(keys, list) else ():
        chain = jwk.get("x5c") if isinstance(jwk, dict) and jwk.get("use") == "x509-svid" else None
        if not (isinstance(chain, list) and chain and isinstance(chain[0], str)):
            continue
        try:
            yield read_certificate(_der(chain[0]))
        except (binascii.Error, ValueError, CertificateError):
            continue


def _der(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
