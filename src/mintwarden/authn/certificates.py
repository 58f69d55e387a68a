"""A client's X.509 certificate (RFC 8705): read, looked up by its one name, and checked against who may issue it.

Whoever took the TLS connection has seen that its other end holds the certificate's key. INVARIANT: nothing else is
believed of that look: which certificates count, for whom and until when, is checked here, also where TLS has verified a
chain already; what TLS trusts to let a connection begin is wider than what a method trusts.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import Criticality, ExtensionPolicy, PolicyBuilder, Store, VerificationError

from mintwarden.model.catalogue import CertificateName
from mintwarden.model.errors import ErrorKind, MintwardenError

LONGEST: Final = 16 * 1024
"""Longest certificate that is looked at, in bytes of DER."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FOR_CLIENTS = frozenset({ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE})


class CertificateError(Exception):
    """A certificate was refused. The text is for operators."""


def thumbprint(der: bytes) -> str:
    """`x5t#S256`: SHA-256 over the whole certificate, base64url without padding (RFC 8705 section 3.1)."""
    return base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()


def read_certificate(der: bytes) -> x509.Certificate:
    """The certificate in `der`; raises `CertificateError` for anything else."""
    if not der:
        raise CertificateError("there is no client certificate")
    if len(der) > LONGEST:
        raise CertificateError("the client certificate is too long")
    try:
        return x509.load_der_x509_certificate(der)
    except (ValueError, UnsupportedAlgorithm):
        raise CertificateError("the client certificate cannot be read") from None


def chain_of(tls: Any) -> tuple[bytes, ...]:
    """What the other end of a TLS connection (`ssl.SSLObject`) sent beside its own certificate, as DER; unverified."""
    if hasattr(tls, "get_unverified_chain"):
        return tuple(tls.get_unverified_chain()[1:])
    # Before Python 3.13 only the object inside has it, and gives its own kind of certificates; 2 is DER.
    inner = tls._sslobj  # noqa: SLF001 - see above
    return tuple(each.public_bytes(2) for each in inner.get_unverified_chain()[1:])


def check_dates(certificate: x509.Certificate, now: int) -> None:
    """Raises `CertificateError` unless the certificate is valid at `now`."""
    if not certificate.not_valid_before_utc <= moment(now) <= certificate.not_valid_after_utc:
        raise CertificateError("the client certificate is not valid yet, or not any more")


def is_named(certificate: x509.Certificate, name: CertificateName) -> bool:
    """Whether `name` is the certificate's subject, or one of its subject alternative names of that kind.

    Distinguished names are compared part by part (RFC 4514, RFC 5280 section 7.1): the order inside a part does not
    matter, the order of the parts, and letters, do. Alternative names are compared whole; `*` stands for nothing.
    """
    try:
        if name.kind == "subject_dn":
            return _parts(certificate.subject) == _wanted(name.value)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return name.value in _alternatives(names, name.kind)
    except (ValueError, UnsupportedAlgorithm, x509.ExtensionNotFound, x509.DuplicateExtension):
        return False


def _alternatives(names: x509.SubjectAlternativeName, kind: str) -> Sequence[str]:
    match kind:
        case "san_dns":
            return [name.lower() for name in names.get_values_for_type(x509.DNSName)]
        case "san_uri":
            return names.get_values_for_type(x509.UniformResourceIdentifier)
        case "san_ip":
            return [str(ipaddress.ip_address(str(name))) for name in names.get_values_for_type(x509.IPAddress)]
        case _:
            return names.get_values_for_type(x509.RFC822Name)


def _parts(name: x509.Name) -> tuple[frozenset[tuple[str, str | bytes]], ...]:
    return tuple([frozenset((part.oid.dotted_string, part.value) for part in rdn) for rdn in name.rdns])


@functools.lru_cache(maxsize=1024)
def _wanted(text: str) -> tuple[frozenset[tuple[str, str | bytes]], ...]:
    return _parts(x509.Name.from_rfc4514_string(text))


class Authorities:
    """The CAs whose certificates identify clients (`tls_client_auth`).

    INVARIANT: only a certificate that one of them issued itself is taken: what a client sends beside its own is not
    looked at.
    """

    def __init__(self, certificates: Sequence[x509.Certificate]) -> None:
        self._store = Store(list(certificates)) if certificates else None
        anyhow = ExtensionPolicy.permit_all()
        self._client = anyhow.may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _for_clients).may_be_present(
            x509.BasicConstraints, Criticality.AGNOSTIC, _no_authority
        )
        self._authority = anyhow.require_present(x509.BasicConstraints, Criticality.AGNOSTIC, None)

    @classmethod
    def of(cls, pem: bytes) -> Authorities:
        """Those of a PEM file, none for an empty one; raises `MintwardenError(CONFIG)` when it cannot be read."""
        try:
            return cls(x509.load_pem_x509_certificates(pem) if pem else ())
        except (ValueError, UnsupportedAlgorithm):
            raise MintwardenError(
                ErrorKind.CONFIG, "the certificates of the CAs for clients cannot be read", hint="see `client_ca`"
            ) from None

    def check_issued(self, certificate: x509.Certificate, now: int) -> None:
        """Raises `CertificateError` unless one of the CAs issued the certificate, for clients, and both are valid."""
        if self._store is None:
            raise CertificateError("no CA is trusted for client certificates")
        policy = PolicyBuilder().store(self._store).time(moment(now))
        verifier = policy.extension_policies(ca_policy=self._authority, ee_policy=self._client).build_client_verifier()
        try:
            verifier.verify(certificate, [])
        except (VerificationError, ValueError) as error:
            raise CertificateError(f"no trusted CA stands for the client certificate: {first_line(error)}") from None


def _for_clients(_policy: Any, _certificate: x509.Certificate, usage: x509.ExtendedKeyUsage | None) -> None:
    if usage is not None and _FOR_CLIENTS.isdisjoint(usage):
        raise ValueError("it is not for clients")


def _no_authority(_policy: Any, _certificate: x509.Certificate, basic: x509.BasicConstraints | None) -> None:
    if basic is not None and basic.ca:
        raise ValueError("it is that of an authority")


def first_line(error: Exception) -> str:
    """What the library says of a chain, without the certificate that it was looking at."""
    return str(error).partition(" (encountered")[0][:200]


def moment(now: int) -> datetime:
    """`Millis` as the library takes them."""
    return _EPOCH + timedelta(milliseconds=now)
