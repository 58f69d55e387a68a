"""The header in which a proxy says its client's certificate, said by somebody else (RFC 9440 section 4)."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote

import pytest

from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.web.certificate import IN_SCOPE, CertificateReader
from mintwarden.web.peer import PeerReader
from tests.flow.pki import certificate

PAIR = certificate("CN=victim")
PROXY, STRANGER = "10.0.0.1", "203.0.113.9"
SAID = b":" + base64.b64encode(PAIR.der) + b":"


def read(*values: bytes, peer: str = PROXY, own: bytes = b"", name: bytes = b"client-cert", **more: Any) -> bytes:
    scope = {"client": (peer, 1), "headers": [(name, value) for value in values], **({IN_SCOPE: own} if own else {})}
    reader = CertificateReader(peer=PeerReader(proxies=["10.0.0.0/8"]), **{"header": "Client-Cert", **more})
    return reader.read(scope)


def test_a_trusted_proxy_is_believed() -> None:
    assert read(SAID) == PAIR.der
    assert read() == read(b"") == b""


def test_the_classic_bypass_a_stranger_says_a_certificate() -> None:
    assert read(SAID, peer=STRANGER) == b""
    assert read(SAID, SAID, peer=STRANGER) == b""
    assert read(SAID, peer=STRANGER, own=b"its own") == b"its own"


def test_a_stranger_who_says_to_come_from_a_proxy() -> None:
    scope = {"client": (STRANGER, 1), "headers": [(b"x-forwarded-for", PROXY.encode()), (b"client-cert", SAID)]}
    assert CertificateReader(peer=PeerReader(proxies=["10.0.0.0/8"]), header="client-cert").read(scope) == b""
    nobody = {"client": None, "headers": [(b"client-cert", SAID)]}
    assert CertificateReader(peer=PeerReader(proxies=["10.0.0.0/8"]), header="client-cert").read(nobody) == b""


def test_the_certificate_of_the_proxys_own_connection_is_nobodys() -> None:
    assert read(own=b"the proxy's") == b""
    assert read(own=b"the proxy's", header="") == b""
    assert read(SAID, own=b"the proxy's") == PAIR.der


def test_another_header_is_not_looked_at() -> None:
    assert read(SAID, name=b"client_cert") == b""
    assert read(SAID, header="") == b""


@pytest.mark.parametrize(
    "values",
    [
        (SAID, SAID),
        (SAID + b", " + SAID,),
        (b"", SAID),
        (SAID[:-1],),
        (SAID[1:-1],),
        (b"::",),
        (b":!!!!:",),
        (SAID + b";a=b",),
        (b"(null)",),
        (b":" + b"A" * 40_000 + b":",),
        (quote(PAIR.pem.decode(), safe="").encode(),),
    ],
)
def test_what_is_malformed_or_said_twice_is_refused(values: tuple[bytes, ...]) -> None:
    with pytest.raises(MintwardenError) as caught:
        read(*values)
    assert caught.value.kind is ErrorKind.INVALID_REQUEST


def test_escaped_pem() -> None:
    escaped = quote(PAIR.pem.decode(), safe="").encode()
    assert read(escaped, spelling="escaped-pem") == PAIR.der
    for value in (escaped + escaped, SAID, b"-----BEGIN CERTIFICATE-----%0A-----END CERTIFICATE-----", b"%00"):
        with pytest.raises(MintwardenError):
            read(value, spelling="escaped-pem")
