from __future__ import annotations

import pytest

from mintwarden.model.address import block_of, organisation_of
from mintwarden.web.peer import PeerReader


def read(peer, forwarded=None, proxies=("10.0.0.0/8", "fd00::/8")):
    values = [forwarded] if isinstance(forwarded, str) else forwarded or []
    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in values]
    return PeerReader(proxies=proxies).read((peer, 1) if peer else None, headers)


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.1", None, "192.0.2.1"),
        ("192.0.2.1", "198.51.100.1", "192.0.2.1"),  # a stranger's word is not taken
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.1", "198.51.100.1"),  # what the client made up stays unread
        ("10.0.0.1", "198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1", "10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1, nonsense", ""),  # not the proxy's own: clients may be confined to its network
        ("10.0.0.1", "198.51.100.1, unknown, 10.0.0.2", ""),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.3", "10.0.0.3"),
        ("::ffff:10.0.0.1", "::ffff:198.51.100.1", "198.51.100.1"),
        ("fd00::1", "2001:DB8::1", "2001:db8::1"),
        ("10.0.0.1", "198.51.100.1:99", ""),
        ("fe80::1%eth0", None, "fe80::1"),
        ("", None, ""),
    ],
)
def test_addresses(peer, forwarded, address):
    assert read(peer, forwarded) == address


def test_without_proxies_the_header_is_never_read():
    assert read("10.0.0.1", "198.51.100.1", proxies=()) == "10.0.0.1"


@pytest.mark.parametrize(
    ("address", "block"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("", ""),
        ("not:an:address", "not:an:address"),
    ],
)
def test_what_limits_for_each_address_count_by(address: str, block: str) -> None:
    assert block_of(address) == block


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.7", "203.0.113.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
        ("", ""),
        ("not:an:address", "not:an:address"),
    ],
)
def test_what_limits_for_each_network_count_by(address: str, network: str) -> None:
    assert organisation_of(address) == network
