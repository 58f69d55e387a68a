"""Addresses that requests come from, as far as something counts by them."""

from __future__ import annotations

import ipaddress

SITE = 64
"""Bits of an IPv6 address that one subscriber does not choose: all behind them are theirs (RFC 6177, RFC 4291)."""

ORGANISATION_4, ORGANISATION_6 = 24, 48
"""Bits of an address that whoever has a network of their own has been given (RFC 6177); nothing smaller is routed."""


def block_of(address: str) -> str:
    """What limits for each address count by: an IPv4 address itself, of IPv6 the network that one subscriber has whole.

    Otherwise whoever has one such network comes as a new address each time. Anything else stays what it is.
    """
    if ":" not in address:
        return address
    try:
        return str(ipaddress.IPv6Network((address, SITE), strict=False))
    except ValueError:
        return address


def organisation_of(address: str) -> str:
    """The network that whoever has many addresses has them in, as far as one can tell. Anything else stays as it is."""
    try:
        size = ORGANISATION_6 if ":" in address else ORGANISATION_4
        return str(ipaddress.ip_network((address, size), strict=False))
    except ValueError:
        return address
