"""The guarded fetcher, against a real server and a resolver that says what a test wants."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import ssl
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mintwarden.authn.fetch import SIZE_LIMIT, GuardedFetcher, is_public
from mintwarden.model.errors import ErrorKind, MintwardenError
from tests.flow.pki import certificate
from tests.unit.authn.loopback import Loopback, answer, never


def resolver(*answers: Sequence[str]) -> Callable[[str, int], Awaitable[Sequence[str]]]:
    """Each look-up gets the next answer; the last one stays."""
    left = list(answers)

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return left.pop(0) if len(left) > 1 else left[0]

    return resolve


async def refused(fetcher: GuardedFetcher, url: str) -> MintwardenError:
    with pytest.raises(MintwardenError) as caught:
        await fetcher.fetch(url)
    assert caught.value.kind is ErrorKind.SOURCE
    return caught.value


async def test_a_document_on_loopback_in_development():
    async with Loopback(
        {"/keys": answer(body=b'{"keys": []}', kind="application/jwk-set+json; charset=utf-8")}
    ) as server:
        fetcher = GuardedFetcher(development=True)
        assert await fetcher.fetch(server.url + "/keys") == b'{"keys": []}'
        ((_, head, _),) = server.seen
        assert f"host: 127.0.0.1:{server.port}".encode() in head.lower()


async def test_the_system_s_resolver_and_the_next_address_when_one_does_not_answer():
    async with Loopback({"/": answer()}) as server:
        url = f"http://localhost:{server.port}/"
        assert await GuardedFetcher(development=True).fetch(url) == b"{}"
        both = GuardedFetcher(development=True, resolve=resolver(["127.0.0.9", "127.0.0.1"]))
        assert await both.fetch(url) == b"{}"


async def test_loopback_is_out_of_reach_otherwise():
    async with Loopback({"/": answer()}) as server:
        await refused(GuardedFetcher(), server.url + "/")
        https = f"https://127.0.0.1:{server.port}/"
        await refused(GuardedFetcher(), https)
        await refused(GuardedFetcher(resolve=resolver(["127.0.0.1"])), f"https://innocent.example:{server.port}/")
        assert server.seen == []


async def test_plain_http_reaches_loopback_only():
    fetcher = GuardedFetcher(development=True, resolve=resolver(["203.0.113.7"]))
    assert "may not be reached" in (await refused(fetcher, "http://innocent.example/")).public


@pytest.mark.parametrize(
    "url",
    [
        "http://idp.example/",
        "ftp://idp.example/",
        "file:///etc/passwd",
        "https:///path",
        "https://user@idp.example/",
        "https://user:pass@idp.example/",
        "https://idp.example/#x",
        "https://idp.example:0/",
        "https://idp.example:99999/",
        "https://idp.exam ple/",
        "https://idp.example/\r\nx: y",
        "https://idp.example\\@127.0.0.1/",
        "https://idp%2eexample/",
        "https://ïdp.example/",
        "//idp.example",
        "",
    ],
)
async def test_urls_that_are_never_fetched(url: str):
    await refused(GuardedFetcher(resolve=resolver(["203.0.113.7"])), url)


SPECIAL = [
    "2002:808:808::1",
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.8.9.10",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "2001:0:1::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("address", SPECIAL)
async def test_special_use_addresses_are_refused(address: str):
    assert not is_public(ipaddress.ip_address(address))
    fetcher = GuardedFetcher(resolve=resolver([address]))
    assert "may not be reached" in (await refused(fetcher, "https://innocent.example/")).public
    mixed = GuardedFetcher(resolve=resolver(["8.8.8.8", address]))
    assert "may not be reached" in (await refused(mixed, "https://innocent.example/")).public


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "64:ff9b::808:808"])
def test_public_addresses(address: str):
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("answers", [[[]], [["not an address"]], [["fe80::1%eth0"]]])
async def test_odd_answers_of_the_resolver_are_refused(answers: list[list[str]]):
    await refused(GuardedFetcher(resolve=resolver(*answers)), "https://innocent.example/")


async def test_a_resolver_that_fails_is_a_failure():
    async def resolve(_host: str, _port: int) -> Sequence[str]:
        raise OSError("no such name")

    assert "could not be fetched" in (await refused(GuardedFetcher(resolve=resolve), "https://idp.example/")).public


@pytest.mark.parametrize(
    ("told", "says"),
    [
        (answer("404 Not Found"), "answered 404"),
        (answer("302 Found", location="http://127.0.0.1/"), "answered 302"),
        (answer("204 No Content", body=b""), "answered 204"),
        (answer(kind="text/html"), "not JSON"),
        (answer(kind="application/jsonp"), "not JSON"),
        (answer(content_encoding="gzip"), "compressed"),
        (answer(body=b" " * (SIZE_LIMIT + 1)), "too long"),
        (b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n" + b" " * (SIZE_LIMIT + 1), "too long"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000 + b"\r\n\r\n", "could not be fetched"),
        (b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{}", "could not be fetched"),
        (b"\x00\x01\x02", "could not be fetched"),
        (b"", "could not be fetched"),
    ],
)
async def test_answers_that_are_not_taken(told: bytes, says: str):
    async with Loopback({"/": told}) as server:
        assert says in (await refused(GuardedFetcher(development=True), server.url + "/")).public


async def test_a_server_that_says_nothing_is_given_up():
    async with Loopback({"/": never}) as server:
        fetcher = GuardedFetcher(development=True, seconds=0.2)
        assert "took too long" in (await refused(fetcher, server.url + "/")).public


def tls(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server context for `name`, and a client context that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=36_500))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "server.pem").write_bytes(secret + pem)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "server.pem")
    return server, ssl.create_default_context(cadata=pem.decode())


async def test_tls_is_checked_against_the_name_and_rebinding_gains_nothing(tmp_path: Path):
    for_server, for_client = tls(tmp_path, "idp.example")
    permitted = [ipaddress.ip_network("127.0.0.0/8")]
    async with Loopback({"/": answer(body=b'{"ok": true}')}, tls=for_server) as server:
        url = f"https://idp.example:{server.port}/"
        # The first answer is checked and used; a second one, which would lead elsewhere, is never asked for.
        lookups = resolver(["127.0.0.1"], ["203.0.113.9"])
        fetcher = GuardedFetcher(development=True, permitted=permitted, resolve=lookups, tls=for_client)
        assert await fetcher.fetch(url) == b'{"ok": true}'
        assert f"host: idp.example:{server.port}".encode() in server.seen[0][1].lower()
        assert "may not be reached" in (await refused(fetcher, url)).public
        other = GuardedFetcher(development=True, resolve=resolver(["127.0.0.1"]), tls=for_client)
        await refused(other, f"https://other.example:{server.port}/")
        assert len(server.seen) == 1


async def test_a_server_that_is_known_by_what_it_proves_is_asked_for_nothing_before(tmp_path: Path):
    root = certificate("CN=root", authority=True)
    inner = certificate("CN=inner", root, authority=True, signs=False)
    leaf = certificate("CN=anything", inner)
    file, key = leaf.write(tmp_path, "leaf")
    file.write_bytes(leaf.pem + inner.pem)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file, key)
    shown: list[tuple[bytes, Sequence[bytes]]] = []

    def prove(own: bytes, chain: Sequence[bytes]) -> None:
        shown.append((own, tuple(chain)))
        if len(shown) > 1:
            raise MintwardenError(ErrorKind.SOURCE, "somebody else")

    async with Loopback({"/": answer(body=b'{"ok": true}')}, tls=server) as there:
        # No name and no authority of the machine's is looked at: the two alone do not know this server.
        fetcher = GuardedFetcher(development=True)
        assert await fetcher.fetch_proven(there.url + "/", prove) == b'{"ok": true}'
        assert shown == [(leaf.der, (inner.der,))]
        with pytest.raises(MintwardenError, match="somebody else"):
            await fetcher.fetch_proven(there.url + "/", prove)
        assert len(there.seen) == 1, "nothing was said to it"
        await refused(fetcher, there.url + "/")
        hidden = GuardedFetcher(resolve=resolver(["127.0.0.1"]))
        with pytest.raises(MintwardenError, match="may not be reached"):
            await hidden.fetch_proven(f"https://bundles.example:{there.port}/", prove)
    async with Loopback({"/": answer(body=b'{"ok": true}')}) as plain:
        with pytest.raises(MintwardenError, match="not an https URL"):
            await GuardedFetcher(development=True).fetch_proven(plain.url + "/", prove)
        assert plain.seen == []


async def test_a_server_that_leaves_tls_unanswered_is_left_at_once():
    left = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1_000):
            pass
        left.set()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        fetcher = GuardedFetcher(development=True, seconds=0.1)
        assert "took too long" in (await refused(fetcher, f"https://127.0.0.1:{port}/")).public
        await asyncio.wait_for(left.wait(), 20)


async def test_a_network_of_the_operator_s_own_may_be_permitted():
    fetcher = GuardedFetcher(permitted=[ipaddress.ip_network("10.1.0.0/16")], resolve=resolver(["10.2.0.1"]))
    assert "may not be reached" in (await refused(fetcher, "https://idp.corp.example/")).public
    parts = urlsplit("https://idp.corp.example/")
    assert fetcher._may_reach(ipaddress.ip_address("10.1.255.1"), parts)
    assert not fetcher._may_reach(ipaddress.ip_address("169.254.169.254"), parts)
