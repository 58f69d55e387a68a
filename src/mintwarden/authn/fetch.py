"""The one guarded way out: fetches documents, posts forms, and nothing that an attacker could make of it.

Addresses are resolved once, all of them checked, and the connection goes to a checked one, so that a name that
changes its mind between check and connect (DNS rebinding) gains nothing. TLS is still checked against the name.
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar
from urllib.parse import SplitResult, urlencode, urlsplit

import httpcore2

from mintwarden.authn.certificates import chain_of
from mintwarden.authn.ports import Fetched, Posted, Prove
from mintwarden.model.errors import ErrorKind, MintwardenError

T = TypeVar("T")
SIZE_LIMIT: Final = 64 * 1024
"""Longest body that is taken, in bytes."""
LOOKUPS: Final = 4
"""Names that one fetcher looks up at once."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Host name and port to the addresses it has, as text."""

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")
# Reached by a global address, yet a cloud's own machinery.
_MACHINERY = tuple(
    ipaddress.ip_network(text)
    for text in (
        "168.63.129.16/32",  # a cloud's host agent
        "192.0.0.0/24",  # protocol assignments; with the following, not global in every release of Python
        "192.88.99.0/24",
        "64:ff9b:1::/48",
        "3fff::/20",
        "5f00::/16",
    )
)
"""Networks of machinery, special use (IANA special-purpose registries) or translation: no issuer lives there."""

_JSON = ("application/json", "application/jwk-set+json")
_FORM = "application/x-www-form-urlencoded"


@functools.cache
def _usual_trust() -> ssl.SSLContext:
    """The authorities that the machine trusts, read once: it takes as long as reading a bundle."""
    return httpcore2.default_ssl_context()


@functools.cache
def _proven_trust() -> ssl.SSLContext:
    """TLS whose server is known by no authority and no name of this machine's, but by what `Prove` says.

    INVARIANT: used together with `prove` alone. TLS still sees that the server holds the key of its certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context


class GuardedFetcher:
    """Fetches JSON over https from public addresses, without redirects, within limits of size and time.

    `development` also lets plain http and loopback addresses through, together with loopback only; `permitted`
    names networks of the operator's own that would otherwise be refused as not public, `remedy` where that is said.
    """

    def __init__(
        self,
        *,
        development: bool = False,
        permitted: Iterable[Network] = (),
        remedy: str = "",
        seconds: float = 5.0,
        resolve: Resolve | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._development = development
        self._permitted = tuple(permitted)
        self._remedy = remedy
        self._seconds = seconds
        self._resolve = resolve or SystemNames()
        self._tls = tls or _usual_trust()

    async def fetch(self, url: str) -> bytes:
        """The body of a 200 answer; see `DocumentFetcher`."""
        return (await self.get(url)).body

    async def fetch_proven(self, url: str, prove: Prove) -> bytes:
        """The body of a 200 answer of a server that `prove` let pass; see `ProvenFetcher`."""
        parts = _checked_url(url, development=False)
        return (await self._in_time(parts, self._get(url, parts, SIZE_LIMIT, prove))).body

    async def get(self, url: str, limit: int = SIZE_LIMIT) -> Fetched:
        """A 200 answer whole; see `CacheFiller`."""
        parts = _checked_url(url, development=self._development)
        return await self._in_time(parts, self._get(url, parts, limit))

    async def post(self, url: str, form: Mapping[str, str], *, authorization: str = "") -> Posted:
        """What came of posting `form`, whatever the status; see `FormPoster`."""
        parts = _checked_url(url, development=self._development)
        return await self._in_time(parts, self._post(url, parts, urlencode(form).encode("ascii"), authorization))

    async def post_json(self, url: str, content: bytes, *, authorization: str, limit: int = SIZE_LIMIT) -> Posted:
        """The same of posting a JSON document; the answer may have `limit` bytes."""
        parts = _checked_url(url, development=self._development)
        return await self._in_time(parts, self._post(url, parts, content, authorization, _JSON[0], limit))

    async def post_event(self, url: str, content: bytes, *, kind: str, authorization: str = "") -> Posted:
        """The same of posting a document of the media type `kind`."""
        parts = _checked_url(url, development=self._development)
        return await self._in_time(parts, self._post(url, parts, content, authorization, kind))

    async def _in_time(self, parts: SplitResult, work: Coroutine[Any, Any, T]) -> T:
        try:
            async with asyncio.timeout(self._seconds):
                return await work
        except MintwardenError:
            raise
        except TimeoutError:
            raise _failed(parts, "took too long") from None
        except UnicodeError:
            raise _failed(parts, "has a host name that is none") from None
        except (OSError, httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException) as error:
            why = f": {error}"[:200] if isinstance(error, httpcore2.ConnectError) else ""
            raise _failed(parts, "could not be fetched", hint=f"{type(error).__name__}{why}") from None

    async def _get(self, url: str, parts: SplitResult, limit: int, prove: Prove | None = None) -> Fetched:
        headers = (("host", parts.netloc), ("accept", ", ".join(_JSON)), ("user-agent", "mintwarden"))
        async with self._pool(parts, prove) as pool, pool.stream("GET", url, headers=headers) as response:
            if response.status != 200:
                raise _failed(parts, f"answered {response.status}")
            _check_headers(response.headers, parts, limit)
            return Fetched(await _body(response, parts, limit), tuple(response.headers))

    async def _post(
        self,
        url: str,
        parts: SplitResult,
        form: bytes,
        authorization: str,
        kind: str = _FORM,
        limit: int = SIZE_LIMIT,
    ) -> Posted:
        headers = [("host", parts.netloc), ("accept", "application/json"), ("user-agent", "mintwarden")]
        headers += [("content-type", kind), ("content-length", str(len(form)))]
        if authorization:
            headers.append(("authorization", authorization))
        async with self._pool(parts) as pool, pool.stream("POST", url, headers=headers, content=form) as response:
            return Posted(response.status, await _body(response, parts, limit))

    def _pool(self, parts: SplitResult, prove: Prove | None = None) -> httpcore2.AsyncConnectionPool:
        backend = _CheckedBackend(
            self._resolve,
            lambda address: self._may_reach(address, parts),
            self._seconds,
            secure=parts.scheme == "https",
            prove=prove,
            remedy=self._remedy,
        )
        tls = self._tls if prove is None else _proven_trust()
        return httpcore2.AsyncConnectionPool(ssl_context=tls, network_backend=backend, max_connections=1)

    def _may_reach(self, address: Address, parts: SplitResult) -> bool:
        if parts.scheme == "http" or address.is_loopback:
            return self._development and address.is_loopback
        return is_public(address) or any(address in network for network in self._permitted)


async def _body(response: httpcore2.Response, parts: SplitResult, limit: int) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_stream():
        body += chunk
        if len(body) > limit:
            raise _failed(parts, "is too long")
    return bytes(body)


def is_public(address: Address) -> bool:
    """False for every special-use address, also where IPv6 only wraps an IPv4 address (mapped, NAT64)."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner is not None:
            return is_public(inner)
        if address in _LOCAL_NAT64 or address.is_site_local or address.teredo or address.sixtofour:
            return False
    return (
        address.is_global
        and not (address.is_multicast or address.is_reserved or address.is_unspecified)
        and not any(address in network for network in _MACHINERY)
    )


class _CheckedBackend(httpcore2.AsyncNetworkBackend):
    """Resolves, checks every address, and connects to one that was checked; `prove` says who must be there."""

    def __init__(
        self,
        resolve: Resolve,
        may_reach: Callable[[Address], bool],
        seconds: float,
        *,
        secure: bool,
        prove: Prove | None = None,
        remedy: str = "",
    ) -> None:
        self._secure = secure
        self._remedy = f": {remedy}" if remedy else ""
        self._prove = prove
        self._resolve = resolve
        self._may_reach = may_reach
        self._seconds = seconds
        self._inner = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's interface
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        addresses = [_address(text) for text in await self._resolve(host, port)]
        # INVARIANT: one bad address refuses the name; picking a good one would leave the choice to its owner.
        if not addresses or not all(address is not None and self._may_reach(address) for address in addresses):
            raise MintwardenError(
                ErrorKind.SOURCE,
                "the document's address may not be reached",
                hint=f"`{host}` has no address, or one that is not public{self._remedy}",
            )
        last: Exception | None = None
        for address in addresses[:4]:
            try:
                found = await self._inner.connect_tcp(str(address), port, self._seconds, local_address, socket_options)
                return _BeforeTls(found, self._prove) if self._secure else found
            except (OSError, httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                last = error
        raise last or OSError("no address")


class SystemNames:
    """Looks names up as the system does; `lookup` is `socket.getaddrinfo`.

    INVARIANT: in threads of its own, a few. Nobody can end a lookup that has begun, and who chooses a name may see to
    it that none answers: what else is done in threads, and other fetchers' lookups, wait for none of it.
    """

    def __init__(self, lookup: Callable[..., Sequence[Any]] = socket.getaddrinfo) -> None:
        self._lookup = lookup
        self._threads = ThreadPoolExecutor(LOOKUPS, thread_name_prefix="names")

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """See `Resolve`."""
        work = functools.partial(self._lookup, host, port, type=socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, work)
        return [str(info[4][0]) for info in found]


class _BeforeTls(httpcore2.AsyncNetworkStream):
    """A connection over which nothing is said before TLS, and nothing after it to whom `prove` does not let pass.

    Whatever comes of TLS, a connection that is not used is closed: also where time runs out in the middle.
    """

    def __init__(self, inner: httpcore2.AsyncNetworkStream, prove: Prove | None) -> None:
        self._inner = inner
        self._prove = prove

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's interface
    ) -> httpcore2.AsyncNetworkStream:
        stream = self._inner
        try:
            stream = await stream.start_tls(ssl_context, server_hostname, timeout)
            tls = stream.get_extra_info("ssl_object")
            if self._prove is not None:
                self._prove(tls.getpeercert(binary_form=True) or b"", chain_of(tls))
        except BaseException:
            await stream.aclose()
            raise
        return stream

    async def aclose(self) -> None:
        await self._inner.aclose()

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def check_url(url: str, *, development: bool) -> None:
    """Raises `SOURCE` for an address that nothing is fetched from or posted to, wherever it leads."""
    _checked_url(url, development=development)


def _checked_url(url: str, *, development: bool) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = SplitResult("", "", "", "", ""), None
    schemes = ("https", "http") if development else ("https",)
    plain = url.isascii() and url.isprintable() and " " not in url and "\\" not in url
    if parts.scheme not in schemes or not parts.hostname or port == 0 or not plain:
        raise MintwardenError(ErrorKind.SOURCE, "the document's URL is not an https URL")
    if parts.username is not None or parts.password is not None or parts.fragment or "%" in parts.netloc:
        raise MintwardenError(ErrorKind.SOURCE, "the document's URL has user information or a fragment")
    return parts


def _check_headers(headers: Sequence[tuple[bytes, bytes]], parts: SplitResult, limit: int) -> None:
    given = [(name.lower(), value) for name, value in headers]
    types = [
        value.decode("latin-1").partition(";")[0].strip().lower() for name, value in given if name == b"content-type"
    ]
    if len(types) != 1 or not (
        types[0] in _JSON or (types[0].startswith("application/") and types[0].endswith("+json"))
    ):
        raise _failed(parts, "is not JSON by its content type")
    if any(name == b"content-encoding" and value.lower() != b"identity" for name, value in given):
        raise _failed(parts, "is compressed, which was not asked for")
    for name, value in given:
        if name == b"content-length" and value.isdigit() and int(value) > limit:
            raise _failed(parts, "is too long")


def _failed(parts: SplitResult, what: str, *, hint: str = "") -> MintwardenError:
    return MintwardenError(ErrorKind.SOURCE, f"the document at `{parts.hostname}` {what}", hint=hint)
