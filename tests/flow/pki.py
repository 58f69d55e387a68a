"""Certificates for tests: authorities, what they issue, and what signs itself."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from msgspec import Struct

DAY = datetime.timedelta(days=1)
USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)
FOR_SERVERS, FOR_CLIENTS = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH


class Pair(Struct, frozen=True):
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """The certificate and its key as files that only their owner reads."""
        certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
        certificate.write_bytes(self.pem)
        key.write_bytes(self.key_pem)
        key.chmod(0o600)
        return certificate, key


def certificate(
    subject: str,
    by: Pair | None = None,
    *,
    authority: bool = False,
    names: Sequence[x509.GeneralName] = (),
    uses: Sequence[x509.ObjectIdentifier] = (),
    signs: bool | None = None,
    constrained: bool = True,
    path_length: int | None = None,
    more: Sequence[tuple[x509.ExtensionType, bool]] = (),
    key: ec.EllipticCurvePrivateKey | None = None,
    now: datetime.datetime | None = None,
    days: tuple[int, int] = (-1, 30),
) -> Pair:
    """A certificate of `subject` (RFC 4514), issued by `by` or by itself; `signs` gives it a key usage and,
    unless it is not `constrained`, basic constraints. `more`: further extensions, and whether each is critical.
    """
    own = key or ec.generate_private_key(ec.SECP256R1())
    called = x509.Name.from_rfc4514_string(subject)
    now = now or datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(called)
        .issuer_name(called if by is None else by.certificate.subject)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + days[0] * DAY)
        .not_valid_after(now + days[1] * DAY)
    )
    if authority:
        made = made.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
    elif signs is not None and constrained:
        made = made.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    if names:
        made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if signs is not None:
        usage = dict.fromkeys(USAGES, False) | {"digital_signature": signs, "key_cert_sign": authority}
        made = made.add_extension(x509.KeyUsage(**usage), critical=True)
    if uses:
        made = made.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
    for extension, critical in more:
        made = made.add_extension(extension, critical=critical)
    return Pair(made.sign(own if by is None else by.key, hashes.SHA256()), own)


def served(*names: x509.GeneralName) -> Pair:
    """What a service on this machine shows."""
    here = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    return certificate("CN=127.0.0.1", names=[here, *names], uses=[FOR_SERVERS])


def shown(server: Pair, client: tuple[Path, Path] | None = None) -> ssl.SSLContext:
    """TLS that believes `server` and shows the certificate in the files of `client`."""
    context = ssl.create_default_context(cadata=server.pem.decode())
    if client is not None:
        context.load_cert_chain(*client)
    return context
