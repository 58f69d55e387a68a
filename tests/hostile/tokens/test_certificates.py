"""Certificates that are not what they are taken for: every way around RFC 8705 by its name."""

from __future__ import annotations

import base64
import datetime
import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID

from mintwarden.authn.certificates import (
    Authorities,
    CertificateError,
    check_dates,
    is_named,
    read_certificate,
    thumbprint,
)
from mintwarden.model.catalogue import CertificateName
from tests.flow.pki import Pair, certificate
from tests.hostile.tokens.forge import NOW_S

NOW = NOW_S * 1000
AT = datetime.datetime.fromtimestamp(NOW_S, datetime.UTC)
ROOT = certificate("CN=Root", authority=True, now=AT)
CA = certificate("CN=Clients", ROOT, authority=True, now=AT)
TRUSTED = Authorities([CA.certificate])


def issued(subject: str = "CN=app,O=Example", by: Pair | None = CA, **more: Any) -> Pair:
    return certificate(subject, by, now=AT, **more)


def test_what_a_trusted_authority_issued_is_taken() -> None:
    TRUSTED.check_issued(issued().certificate, NOW)
    TRUSTED.check_issued(issued(uses=[ExtendedKeyUsageOID.CLIENT_AUTH]).certificate, NOW)


LEAF = issued()
REFUSED: Mapping[str, Pair] = {
    "it signed itself": issued(by=None),
    "an authority of the same name signed it": issued(by=certificate("CN=Clients", authority=True, now=AT)),
    "the authority above signed it": issued(by=ROOT),
    "a client of the authority signed it": issued(by=LEAF),
    "an authority below signed it": issued(by=issued("CN=Below", authority=True)),
    "it has expired": issued(days=(-30, -1)),
    "it is of tomorrow": issued(days=(1, 30)),
    "it is for servers": issued(uses=[ExtendedKeyUsageOID.SERVER_AUTH]),
    "it is an authority's": issued(authority=True),
    "it is the trusted authority itself": CA,
}


@pytest.mark.parametrize("name", REFUSED)
def test_no_authority_stands_for_it(name: str) -> None:
    with pytest.raises(CertificateError):
        TRUSTED.check_issued(REFUSED[name].certificate, NOW)


def test_where_no_authority_is_named_none_is_trusted() -> None:
    with pytest.raises(CertificateError):
        Authorities(()).check_issued(issued().certificate, NOW)


@pytest.mark.parametrize("der", [b"", b"\x30\x00", LEAF.der + b"\x00", LEAF.der[:-1], LEAF.pem, b"\x30" * 20_000])
def test_what_is_no_certificate(der: bytes) -> None:
    with pytest.raises(CertificateError):
        read_certificate(der)


def test_the_dates_of_one_that_signed_itself() -> None:
    check_dates(issued(by=None).certificate, NOW)
    for days in ((-30, -1), (1, 30)):
        with pytest.raises(CertificateError):
            check_dates(issued(by=None, days=days).certificate, NOW)


def test_the_thumbprint_is_sha_256_over_der_without_padding() -> None:
    """Another library's hash of the whole certificate, not of its key."""
    digest = x509.load_der_x509_certificate(LEAF.der).fingerprint(hashes.SHA256())
    assert thumbprint(LEAF.der) == base64.urlsafe_b64encode(digest).decode().rstrip("=")


NAMES: Sequence[x509.GeneralName] = (
    x509.DNSName("app.example.com"),
    x509.DNSName("*.wild.example.com"),
    x509.UniformResourceIdentifier("spiffe://example.com/app"),
    x509.IPAddress(ipaddress.ip_address("2001:db8::1")),
    x509.RFC822Name("app@example.com"),
)


def names(kind: Any, value: str, subject: str = "CN=app,O=Example", of: Sequence[x509.GeneralName] = NAMES) -> bool:
    return is_named(issued(subject, names=of).certificate, CertificateName(kind=kind, value=value))


@pytest.mark.parametrize(
    ("subject", "wanted", "is_same"),
    [
        ("CN=app,O=Example", "CN=app,O=Example", True),
        ("CN=app+OU=one,O=Example", "OU=one+CN=app,O=Example", True),
        ("CN=app\\, inc,O=Example", "CN=app\\2C inc,O=Example", True),
        ("CN=app,O=Example", "2.5.4.3=app,O=Example", True),
        ("CN=app,O=Example", "O=Example,CN=app", False),
        ("CN=app,O=Example", "CN=app", False),
        ("CN=app,O=Example", "CN=app,O=Example,C=DE", False),
        ("CN=app,O=Example", "CN=app+O=Example", False),
        ("CN=app,O=Example", "CN=App,O=Example", False),
        ("CN=app\\,O=Example", "CN=app,O=Example", False),
        ("OU=app,O=Example", "CN=app,O=Example", False),
    ],
)
def test_distinguished_names_are_compared_part_by_part(subject: str, wanted: str, is_same: bool) -> None:
    assert names("subject_dn", wanted, subject) is is_same


@pytest.mark.parametrize(
    ("kind", "value", "is_named"),
    [
        ("san_dns", "app.example.com", True),
        ("san_dns", "x.wild.example.com", False),
        ("san_dns", "example.com", False),
        ("san_uri", "spiffe://example.com/app", True),
        ("san_uri", "spiffe://example.com/app/", False),
        ("san_ip", "2001:db8::1", True),
        ("san_ip", "2001:db8::2", False),
        ("san_email", "app@example.com", True),
        ("san_email", "APP@example.com", False),
        ("san_email", "app.example.com", False),
        ("san_dns", "app@example.com", False),
    ],
)
def test_an_alternative_name_counts_as_what_it_is(kind: str, value: str, is_named: bool) -> None:
    assert names(kind, value) is is_named


def test_a_common_name_is_no_alternative_name() -> None:
    assert not names("san_dns", "app.example.com", "CN=app.example.com", of=())
