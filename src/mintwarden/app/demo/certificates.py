"""Certificates for the demonstration: authorities of its own and what they issue, made for one run."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from msgspec import Struct

_USAGES = (
    "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only",
)  # fmt: skip
_SKEW = timedelta(minutes=5)
LEAF, LASTING = timedelta(days=1), timedelta(days=90)
"""How long what the manifest hands out is good, and what is there for as long as the demonstration serves."""


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

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """The certificate and its key as files, of which nobody else may read the latter."""
        certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
        certificate.write_text(self.pem, encoding="ascii")
        with os.fdopen(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(self.key_pem)
        return certificate, key

    def issue(
        self, name: str, *, also: x509.GeneralName, authority: bool = False, life: timedelta = LEAF
    ) -> Credential:
        """A certificate of a fresh key by this authority, for `life`; `also` is its one alternative name."""
        key = ec.generate_private_key(ec.SECP256R1())
        return _made(name, key, by=self, also=(also,), authority=authority, life=life)


def new_authority(name: str, *, also: Sequence[x509.GeneralName] = ()) -> Credential:
    """An authority that vouches for itself, for a quarter of a year."""
    return _made(name, ec.generate_private_key(ec.SECP256R1()), by=None, also=also, authority=True, life=LASTING)


def self_signed(name: str, key: ec.EllipticCurvePrivateKey) -> Credential:
    """A certificate of `key` by nobody but itself, for a quarter of a year."""
    return _made(name, key, by=None, also=(), authority=False, life=LASTING)


def _made(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    *,
    by: Credential | None,
    also: Sequence[x509.GeneralName],
    authority: bool,
    life: timedelta,
) -> Credential:
    """A certificate with what RFC 5280 and SPIFFE X.509-SVID ask of it: constraints, one usage, names."""
    called = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    usage: dict[str, Any] = dict.fromkeys(_USAGES, False)
    made = x509.CertificateBuilder().subject_name(called).public_key(key.public_key())
    made = made.issuer_name(called if by is None else by.certificate.subject)
    made = made.serial_number(x509.random_serial_number()).not_valid_before(now - _SKEW)
    made = made.not_valid_after(now + life)
    made = made.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    made = made.add_extension(
        x509.KeyUsage(digital_signature=not authority, key_cert_sign=authority, crl_sign=authority, **usage),
        critical=True,
    )
    # Strict verifiers, Python's own among them, want to be told which key is whose (RFC 5280 section 4.2.1.1).
    above = x509.SubjectKeyIdentifier.from_public_key((key if by is None else by.key).public_key())
    made = made.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    made = made.add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(above), critical=False)
    if also:
        made = made.add_extension(x509.SubjectAlternativeName(also), critical=False)
    signed = made.sign(key if by is None else by.key, hashes.SHA256())
    return Credential(certificate=signed, key=key)
