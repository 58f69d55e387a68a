"""Each operator: what it means, on which types, and when it faults; the same compiled, walked and in Cedar."""

from __future__ import annotations

import pytest

from tests.unit.policy.cedar.asking import answers

TRUE = """
principal.active
principal.active && true
principal.blocked || principal.active
!principal.blocked
!(principal.active && principal.blocked)
true || 5
if principal.active then true else 5
(if principal.active then principal.level else "x") == 5
principal.level == 5
duration("0000000000000000000000001ms") == duration("1ms")
["finance", principal.department] == ["finance"]
User::"alice" == principal
principal.level != "5"
1 != true
principal.active != 1
[1] != [true]
[[1]] != [[true]]
{a: 1} != {a: true}
{a: 1, b: [2]} == {b: [2, 2], a: 1}
principal.flags.contains(true)
!principal.flags.contains(1)
!principal.numbers.contains(true)
[1, true].contains(true)
[1, true] == [true, 1]
[1, true] != [1]
!([1, true].containsAll([1, false]))
principal.department == "finance"
"finance" == principal.department
principal.department != "hr"
principal.department like "fin*"
principal.department like "*an*e"
principal.department like "*"
"a*b" like "a\\*b"
"" like ""
principal.level < 6
principal.level <= 5
5 >= principal.level
principal.level > -1
principal.level + 1 == 6
principal.level - 1 == 4
principal.level * 2 == 10
-principal.level == -5
principal.joined < context.request.time
principal.shift > duration("59m")
context.request.time >= datetime("2026-11-18")
principal.tenants.contains("t1")
["t1", "t9"].containsAny(principal.tenants)
principal.tenants.containsAll(["t1"])
principal.tenants.containsAll([])
!principal.tenants.containsAny([])
principal.tenants.containsAny(["t9", "t2"])
["finance", "hr"].contains(principal.department)
[principal.department, "x"].contains("x")
principal.numbers == [2, 1, 1]
[].isEmpty()
!principal.tenants.isEmpty()
principal == User::"alice"
principal != User::"bob"
principal.self == principal
principal.self.level == 5
principal in Group::"staff"
principal in [Group::"ops", Group::"staff"]
principal in User::"alice"
!(principal in [])
principal.self in Group::"staff"
!(principal.manager in Group::"staff")
resource in Audience::"payments"
resource == Scope::"payments:read"
resource.tier == "low"
action == Action::"issue"
action in [Action::"act", Action::"issue"]
!(action has anything)
principal is User
!(principal is Workload)
principal is User in Group::"staff"
!(principal is Workload in 5)
principal.self is User
principal has level
!(principal has nothing)
principal has home.city
!(principal has home.street)
!(principal has nothing.at.all)
context has session
context has nested.deep.value
context.nested.deep.value == "x"
context["session"]["risk"] == 10
!(principal.manager has level)
principal.self has level
{a: 1}.a == 1
{"odd name": principal.level}["odd name"] == 5
!principal.hasTag("x")
!principal.manager.hasTag("x")
principal.limit == decimal("1.5")
principal.limit.lessThan(decimal("1.5001"))
principal.limit.lessThanOrEqual(decimal("1.5"))
principal.limit.greaterThan(decimal("-1.5"))
principal.limit.greaterThanOrEqual(decimal("1.5000"))
decimal("-0.5").lessThan(decimal("0.0"))
principal.address.isIpv4()
!principal.address.isIpv6()
principal.address.isInRange(ip("10.0.0.0/8"))
!principal.address.isInRange(ip("::/0"))
context.request.address != ip("192.0.2.0/24")
context.request.address == ip("192.0.2.7/24")
ip("127.0.0.1").isLoopback()
ip("::1").isLoopback()
!ip("127.0.0.1/7").isLoopback()
!ip("::ffff:7f00:1").isLoopback()
ip("224.0.0.1").isMulticast()
ip("ff00::/8").isMulticast()
!ip("ff00::/7").isMulticast()
datetime("2026-11-24T02:30:00+0130") == datetime("2026-11-24T01:00:00Z")
datetime("1969-12-31T23:59:59.999Z").toDate() == datetime("1969-12-31")
datetime("1969-12-31T23:59:59.999Z").toTime() == duration("23h59m59s999ms")
datetime("0000-03-01").durationSince(datetime("0000-02-29")) == duration("1d")
datetime("2026-11-24").offset(duration("-1d")) == datetime("2026-11-23")
duration("-90m").toHours() == -1
duration("-1ms").toSeconds() == 0
duration("1d1ms").toMilliseconds() == 86400001
duration("2h").toMinutes() == 120
duration("49h").toDays() == 2
principal.joined != principal.shift
principal.units.contains(duration("1ms"))
!principal.units.contains(decimal("0.0001"))
principal.units != [decimal("0.0001")]
"""

FALSE = """
principal.blocked
false && 5
principal.level == true
principal.department == "hr"
principal.department like "f"
principal.department like "finance*e"
"a*b" like "ab"
principal.level < 5
principal.tenants.contains("t")
principal.tenants.contains(1)
principal in Group::"ops"
principal in [Group::"ops"]
Group::"staff" in Group::"ops"
principal.manager == principal
principal is Workload
context has missing
principal.limit == principal.level
[decimal("0.0001")].contains(datetime("1970-01-01"))
"""

FAULT = """
principal.missing
principal.missing == 1
principal.level
principal.level && true
true && 5
false || "x"
!principal.level
if 1 then true else true
principal.department < "x"
principal.level < principal.joined
principal.joined < principal.shift
principal.limit < decimal("2.0")
principal.active > 0
principal.level + true == 1
principal.level + "x" == 1
9223372036854775807 + 1 == 0
-9223372036854775808 - 1 == 0
9223372036854775807 * 2 == 0
-(-9223372036854775807 - 1) == 0
principal.department.contains("f")
principal.level.contains(1)
principal.tenants.containsAll("t1")
principal.tenants.containsAny(1)
principal.department.containsAll(["f"])
principal.department.isEmpty()
principal.level like "5"
principal.level is User
principal.level in Group::"staff"
principal in "staff"
principal in [Group::"staff", 1]
principal in 1
principal.manager.level == 1
Group::"staff".name == "x"
action.name == "x"
principal.level has x
principal.department has x
context.session.risk.deeper == 1
context.missing.x == 1
{a: 1}.b == 1
principal.getTag("x") == 1
principal.manager.getTag("x") == 1
principal.hasTag(1)
principal.level.hasTag("x")
decimal("1.") == decimal("1.0")
decimal("1.23456") == decimal("1.0")
decimal("922337203685477.5808") == decimal("1.0")
decimal(principal.level) == decimal("1.0")
principal.level.lessThan(decimal("1.0"))
decimal("1.0").lessThan(principal.level)
ip("1.2.3.4/33").isIpv4()
ip("01.2.3.4").isIpv4()
ip("::ffff:1.2.3.4").isIpv6()
ip(principal.level).isIpv4()
principal.level.isIpv4()
principal.address.isInRange("10.0.0.0/8")
datetime("2026-02-29") == principal.joined
datetime("2026-11-24T24:00:00Z") == principal.joined
datetime("2026-11-24T02:30Z") == principal.joined
datetime("2026-11-24T02:30:00+2400") == principal.joined
datetime("2026-11-24T02:30:00+0060") == principal.joined
duration("999999999999999999999999ms") == principal.shift
decimal("999999999999999999999999.0") == principal.limit
principal.joined.offset(1) == principal.joined
principal.joined.durationSince(principal.shift) == principal.shift
principal.shift.toDate() == principal.joined
principal.joined.toDays() == 1
duration("") == principal.shift
duration("1m1h") == principal.shift
duration("9223372036854775808ms") == principal.shift
datetime("1970-01-01").offset(duration("-9223372036854775808ms")).toDate() == principal.joined
datetime("2026-11-24").offset(duration("9223372036854775807ms")) == principal.joined
"""


def _lines(block: str) -> list[str]:
    return block.strip().splitlines()


@pytest.mark.parametrize("expression", _lines(TRUE))
def test_holds(expression: str) -> None:
    assert answers(expression) == {"compiled": "true", "walk": _walked(expression, "true"), "cedar": "true"}


@pytest.mark.parametrize("expression", _lines(FALSE))
def test_does_not_hold(expression: str) -> None:
    assert answers(expression) == dict.fromkeys(("compiled", "walk", "cedar"), "false")


@pytest.mark.parametrize("expression", _lines(FAULT))
def test_faults(expression: str) -> None:
    assert answers(expression) == dict.fromkeys(("compiled", "walk", "cedar"), "fault")


def _walked(expression: str, truth: str) -> str:
    """The walk leaves sets that Python cannot tell apart to Cedar, and says so."""
    return "fault" if "[1, true]" in expression else truth
