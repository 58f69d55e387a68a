"""Certificates for the demonstration: authorities of its own and what they issue, made for one run."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from msgspec import Struct

_USAGES = (
    "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only",
)  # fmt: skip
_SKEW, _AUTHORITY, _LEAF = timedelta(minutes=5), timedelta(days=90), timedelta(days=1)


class Credential(Struct, frozen=True, kw_only=True):
    """A certificate and the key that it is about."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def base64(self) -> str:
        """The certificate as base64 of its DER, as in `x5c` and in `Client-Cert`."""
        return base64.b64encode(self.certificate.public_bytes(Encoding.DER)).decode("ascii")

    @property
    def pem(self) -> str:
        """The certificate as PEM."""
        return self.certificate.public_bytes(Encoding.PEM).decode("ascii")

    @property
    def key_pem(self) -> str:
        """The private key as PEM (PKCS #8), which nothing protects."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")

    def issue(self, name: str, *, also: x509.GeneralName, authority: bool = False) -> Credential:
        """A certificate of a fresh key by this authority, for a day; `also` is its one alternative name."""
        return _made(name, ec.generate_private_key(ec.SECP256R1()), by=self, also=(also,), authority=authority)


def new_authority(name: str, *, also: Sequence[x509.GeneralName] = ()) -> Credential:
    """An authority that vouches for itself, for a quarter of a year."""
    return _made(name, ec.generate_private_key(ec.SECP256R1()), by=None, also=also, authority=True)


def self_signed(name: str, key: ec.EllipticCurvePrivateKey) -> Credential:
    """A certificate of `key` by nobody but itself, for a day."""
    return _made(name, key, by=None, also=(), authority=False)


def _made(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    *,
    by: Credential | None,
    also: Sequence[x509.GeneralName],
    authority: bool,
) -> Credential:
    """A certificate with what RFC 5280 and SPIFFE X.509-SVID ask of it: constraints, one usage, names."""
    called = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    usage: dict[str, Any] = dict.fromkeys(_USAGES, False)
    made = x509.CertificateBuilder().subject_name(called).public_key(key.public_key())
    made = made.issuer_name(called if by is None else by.certificate.subject)
    made = made.serial_number(x509.random_serial_number()).not_valid_before(now - _SKEW)
    made = made.not_valid_after(now + (_AUTHORITY if authority else _LEAF))
    made = made.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    made = made.add_extension(
        x509.KeyUsage(digital_signature=not authority, key_cert_sign=authority, crl_sign=authority, **usage),
        critical=True,
    )
    if also:
        made = made.add_extension(x509.SubjectAlternativeName(also), critical=False)
    signed = made.sign(key if by is None else by.key, hashes.SHA256())
    return Credential(certificate=signed, key=key)
