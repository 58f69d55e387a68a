"""X.509-SVIDs: what a certificate must be to say who a workload is, and which authorities may have issued it.

SPIFFE X.509-SVID, sections 2 to 5. Whoever took, or opened, the TLS connection has seen that its other end holds the
leaf's key. INVARIANT: an SVID counts by the authorities of its own trust domain alone, which are never put together
with those of another (SPIFFE Federation, section 4.2).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import Criticality, ExtensionPolicy, PolicyBuilder, Store, VerificationError
from msgspec import Struct

from mintwarden.authn.certificates import CertificateError, first_line, moment, read_certificate

SCHEME: Final = "spiffe://"
MOST: Final = 5
"""Certificates that may come beside a leaf, and steps from it to an authority of the trust domain."""

FOR_CLIENTS: Final = ExtendedKeyUsageOID.CLIENT_AUTH
FOR_SERVERS: Final = ExtendedKeyUsageOID.SERVER_AUTH

_LONGEST_ID = 512
_ID = re.compile(r"spiffe://([a-z0-9._-]{1,255})((?:/[A-Za-z0-9._-]+)+)", re.ASCII)
_DOTS = re.compile(r"/\.\.?(?:/|$)")


def trust_domain_of(spiffe_id: str) -> str:
    """The trust domain of a workload's SPIFFE ID, or nothing for what is none."""
    found = _ID.fullmatch(spiffe_id)
    return found[1] if found and len(spiffe_id) <= _LONGEST_ID and not _DOTS.search(found[2]) else ""


class Svid(Struct, frozen=True):
    """A leaf that says who it is, of which no authority has been looked for yet.

    Attributes:
        chain: what came beside it, in any order.
    """

    spiffe_id: str
    leaf: x509.Certificate
    chain: tuple[x509.Certificate, ...] = ()

    @property
    def trust_domain(self) -> str:
        """Whose authorities it counts by."""
        return trust_domain_of(self.spiffe_id)


def read_svid(leaf: bytes, chain: Sequence[bytes] = ()) -> Svid:
    """The X.509-SVID in `leaf`, with what came beside it, all of it DER.

    Raises `CertificateError` for what is no certificate, no leaf for signatures, or has not exactly one URI, a
    workload's SPIFFE ID (sections 2, 3.1, 4 and 5.2).
    """
    if len(chain) > MOST:
        raise CertificateError(f"more than {MOST} certificates come beside the client's")
    certificate = read_certificate(leaf)
    try:
        extensions = certificate.extensions
        usage = extensions.get_extension_for_class(x509.KeyUsage)
        basic = extensions.get_extension_for_class(x509.BasicConstraints).value
    except (ValueError, UnsupportedAlgorithm, x509.ExtensionNotFound, x509.DuplicateExtension):
        raise CertificateError("the certificate lacks key usage, basic constraints or SPIFFE ID") from None
    may = usage.value
    if basic.ca or not usage.critical or not may.digital_signature or may.key_cert_sign or may.crl_sign:
        raise CertificateError("the certificate is not for signatures alone")
    uris = _uris(certificate)
    if len(uris) != 1 or not trust_domain_of(uris[0]):
        raise CertificateError("the certificate has not exactly one SPIFFE ID")
    return Svid(uris[0], certificate, tuple(read_certificate(der) for der in chain))


class SvidAuthorities:
    """The authorities of one trust domain, as its bundle names them.

    An intermediate authority counts where an authority of the bundle stands for it (RFC 5280 section 6): it is an
    authority and may sign certificates, its `pathLenConstraint` and name constraints hold, and its own SPIFFE ID, if
    it has one, is the trust domain's. Constraints on URIs are not worked out here: who has some stands for nobody.
    """

    def __init__(self, certificates: Sequence[x509.Certificate] = ()) -> None:
        self._anchors = tuple(certificates)
        self._store = Store(list(certificates)) if certificates else None

    def __bool__(self) -> bool:
        return self._store is not None

    def stand_for(self, svid: Svid, now: int, *, use: x509.ObjectIdentifier = FOR_CLIENTS) -> bool:
        """Whether `check` has nothing against it."""
        try:
            self.check(svid, now, use=use)
        except CertificateError:
            return False
        return True

    def check(self, svid: Svid, now: int, *, use: x509.ObjectIdentifier = FOR_CLIENTS) -> None:
        """Raises `CertificateError` unless a path leads from the SVID to an authority, all of it valid at `now`.

        `use`: what the leaf is shown for, where it says what it may be shown for.
        """
        if self._store is None:
            raise CertificateError("the trust domain has no authority for X.509-SVIDs")

        def meant(_policy: Any, _certificate: x509.Certificate, uses: x509.ExtendedKeyUsage | None) -> None:
            if uses is not None and use not in uses:
                raise ValueError("it is for something else")

        def signing(_policy: Any, certificate: x509.Certificate, usage: x509.KeyUsage | None) -> None:
            if usage is None and certificate in self._anchors:
                return  # what stands in the bundle is trusted as it is
            if usage is None or not usage.key_cert_sign:
                raise ValueError("an authority may not sign certificates")
            if certificate not in self._anchors and not set(_uris(certificate)) <= {SCHEME + svid.trust_domain}:
                raise ValueError("an authority is of another trust domain")

        anyhow = ExtensionPolicy.permit_all()
        leaf = anyhow.may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, meant)
        above = anyhow.require_present(x509.BasicConstraints, Criticality.AGNOSTIC, None)
        above = above.may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, signing)
        policy = PolicyBuilder().store(self._store).time(moment(now)).max_chain_depth(MOST)
        verifier = policy.extension_policies(ca_policy=above, ee_policy=leaf).build_client_verifier()
        try:
            verifier.verify(svid.leaf, list(svid.chain))
        except (VerificationError, ValueError) as error:
            raise CertificateError(
                f"no authority of the trust domain stands for the SVID: {first_line(error)}"
            ) from None


def _uris(certificate: x509.Certificate) -> list[str]:
    """Raises `CertificateError` for names that cannot be read."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return names.get_values_for_type(x509.UniformResourceIdentifier)
    except x509.ExtensionNotFound:
        return []
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension):
        raise CertificateError("the names of a certificate cannot be read") from None
