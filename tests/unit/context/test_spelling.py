"""Cedar's spellings, with Cedar itself as the judge."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cedarpy
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mintwarden.context.spelling import (
    read_address,
    read_datetime,
    read_decimal,
    read_duration,
    read_entity,
    read_ip,
)
from mintwarden.model.values import EntityUid


def cedar_agrees(condition: str, text: str) -> bool:
    """True if Cedar evaluates the condition over `context.s` to true without an error."""
    request = {
        "principal": 'User::"a"',
        "action": 'Action::"b"',
        "resource": 'Thing::"c"',
        "context": {"s": text},
    }
    policies = f"permit(principal, action, resource) when {{ {condition} }};"
    return bool(cedarpy.is_authorized(request, policies, []).allowed)


def taken(read: Callable[[str], Any], text: str) -> Any:
    try:
        return read(text)
    except ValueError:
        return None


DIGITS = st.text("0123456789", min_size=1, max_size=6)
DECIMALS = st.from_regex(r"-?[0-9]{1,16}\.[0-9]{1,5}", fullmatch=True) | st.text("-+.0123456789 e", max_size=8)
DATETIMES = (
    st.from_regex(r"20[0-9]{2}-[01][0-9]-[0-3][0-9](T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]{3})?(Z|[+-][0-2][0-9][0-6][0-9]))?", fullmatch=True)
    | st.datetimes().map(lambda d: d.isoformat(timespec="milliseconds") + "Z")
    | st.text("0123456789-:TZ.+", max_size=24)
)  # fmt: skip
DURATIONS = st.from_regex(r"-?([0-9]{1,4}d)?([0-9]{1,3}h)?([0-9]{1,3}m)?([0-9]{1,3}s)?([0-9]{1,4}ms)?", fullmatch=True)
ADDRESSES = (
    st.ip_addresses().map(str)
    | st.builds("{}/{}".format, st.ip_addresses(), st.integers(0, 130))
    | st.text("0123456789abcf:./%", max_size=20)
)


@given(DECIMALS)
@example("1.0")
@example("-0.0001")
@example("922337203685477.5807")
@example("922337203685477.5808")
@example("-922337203685477.5808")
@example("1.")
@example(".1")
@example("+1.0")
def test_decimals(text: str):
    value = taken(read_decimal, text)
    if value is None:
        assert not cedar_agrees("decimal(context.s) == decimal(context.s)", text)
    else:
        sign, whole = "-" if value.units < 0 else "", abs(value.units)
        assert cedar_agrees(f'decimal(context.s) == decimal("{sign}{whole // 10_000}.{whole % 10_000:04d}")', text)


@given(DATETIMES)
@example("2024-02-29")
@example("2023-02-29")
@example("2024-10-15T11:35:00Z")
@example("2024-10-15T11:35:00.000+0100")
@example("2024-10-15T11:35:00-2359")
@example("2024-10-15T11:35:00+2400")
@example("2024-10-15T11:35:60Z")
@example("2024-10-15T11:35:00")
@example("2024-10-15T11:35Z")
def test_datetimes(text: str):
    value = taken(read_datetime, text)
    if value is None:
        assert not cedar_agrees("datetime(context.s) == datetime(context.s)", text)
    else:
        assert cedar_agrees(f'datetime(context.s) == datetime("1970-01-01").offset(duration("{value.millis}ms"))', text)


@given(DURATIONS | st.text("0123456789dhms-", max_size=8))
@example("1d2h3m4s5ms")
@example("5ms")
@example("3m")
@example("1h1h")
@example("4s3m")
@example("-")
@example("")
@example("9223372036854775807ms")
@example("9223372036854775808ms")
@example("-9223372036854775808ms")
@example("106751991168d")
def test_durations(text: str):
    value = taken(read_duration, text)
    if value is None:
        assert not cedar_agrees("duration(context.s) == duration(context.s)", text)
    else:
        assert cedar_agrees(f"duration(context.s).toMilliseconds() == {value.millis}", text)


@given(ADDRESSES)
@example("10.0.0.1/8")
@example("10.0.0.1/08")
@example("10.0.0.1/33")
@example("010.0.0.1")
@example("::1/128")
@example("::ffff:1.2.3.4")
@example("fe80::1%eth0")
@example("10.0.0.0/255.0.0.0")
@example("1.2.3.4/")
@example("٣.2.3.4")
def test_addresses(text: str):
    value = taken(read_ip, text)
    if value is None:
        assert not cedar_agrees("ip(context.s) == ip(context.s)", text)
    else:
        assert cedar_agrees(f'ip(context.s) == ip("{value.text}")', text)


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::FFFF:10.0.0.1", "10.0.0.1"),
        ("::1", "::1"),
        ("", None),
        ("testclient", None),
        ("10.0.0.1:443", None),
        ("fe80::1%eth0", None),
    ],
)
def test_the_address_of_a_request(text: str, spelled: str | None):
    value = read_address(text)
    assert (value.text if value else None) == spelled


ALICE = EntityUid("User", "alice")


@pytest.mark.parametrize(
    "value",
    ['User::"alice"', {"type": "User", "id": "alice"}, {"__entity": {"type": "User", "id": "alice"}}],
)
def test_entities(value: object):
    assert read_entity(value, "User") == ALICE


@pytest.mark.parametrize(
    "value",
    ["alice", 'User::"al"ice"', 'User::"al\\"ice"', 'Group::"alice"', {"type": "User"}, {"type": "User", "id": 1},
     {"type": "User", "id": "alice", "x": 1}, {"__entity": "User"}, 1, None, ["User", "alice"]],
)  # fmt: skip
def test_what_is_no_entity(value: object):
    with pytest.raises(ValueError, match="not a"):
        read_entity(value, "User")
