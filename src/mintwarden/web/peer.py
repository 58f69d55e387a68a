"""Whose address a request comes from, after trusted proxies are taken off."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from functools import lru_cache

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class PeerReader:
    """Reads the caller's address from the connection and, behind trusted proxies, from `X-Forwarded-For`."""

    def __init__(self, *, proxies: Sequence[str]) -> None:
        self._proxies: tuple[Network, ...] = tuple(ipaddress.ip_network(proxy) for proxy in proxies)
        self._normal = lru_cache(maxsize=4096)(_normal)
        self._trusted = lru_cache(maxsize=4096)(self._is_trusted)

    def read(self, client: Sequence[object] | None, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """The address as text; empty when there is none (a Unix socket) or nobody can tell.

        Only addresses that trusted proxies have appended are believed: the list is walked from its end.
        INVARIANT: what does not parse is nobody's address, and not that of the proxy that sent it: a client may be
        confined to the very network that the proxy is in.
        """
        address = self._normal(str(client[0])) if client else ""
        if not self._proxies or not self._trusted(address):
            return address
        chain = b",".join(value for name, value in headers if name == b"x-forwarded-for")
        for entry in reversed(chain.split(b",")):
            stated = entry.strip().decode("latin-1")
            found = self._normal(stated)
            if not found:
                return "" if stated else address
            address = found
            if not self._trusted(address):
                return address
        return address

    def is_proxy(self, client: Sequence[object] | None) -> bool:
        """True if the connection comes from a trusted proxy."""
        return bool(client and self._proxies) and self._trusted(self._normal(str(client[0])) if client else "")

    def _is_trusted(self, text: str) -> bool:
        if not text:
            return False
        address = ipaddress.ip_address(text)
        return any(address in network for network in self._proxies)


def _normal(text: str) -> str:
    """The usual spelling; an IPv4 address in IPv6 clothes as IPv4; empty for anything that is not an address."""
    try:
        address: Address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)
