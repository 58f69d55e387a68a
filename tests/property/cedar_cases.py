"""Random Cedar rules and random questions: mostly well typed, often not, always parseable."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from mintwarden.model.values import Datetime, Decimal4, Duration, Entity, EntityUid, Record
from mintwarden.policy.cedar.literals import read_ip
from mintwarden.policy.cedar.operators import World

SCOPES = {"a:read": "a", "a:write": "a", "b:read": "b"}
ACTIONS = ("issue", "act", "impersonate")

STRINGS = ("", "a", "b", "ab", "a*b", 'q"\\', "é", "😀", "1.5", "10.0.0.1", "2026-01-01", "1h")
LONGS = (0, 1, 2, -1, 5, 50, 2**63 - 1, -(2**63), 2**62)
DECIMALS = (
    "0.0", "1.5", "-0.5", "1.50", "12.3456", "-12.0001", "922337203685477.5807", "922337203685477.5808", "1.", ".5",
    "1", "1.23456", "+1.0", " 1.0", "00000000000000000000000001.0", "-922337203685477.5808", "1e3",
)  # fmt: skip
IPS = (
    "10.0.0.1", "10.0.0.0/8", "10.0.0.1/8", "127.0.0.1", "127.0.0.0/7", "127.1.2.3/8", "224.0.0.1", "224.0.0.0/3",
    "::1", "::1/127", "ff00::1", "ff00::/7", "::ffff:7f00:1", "fe80::/10",
    "2001:db8::1/64", "0.0.0.0/0", "::/0",
    "1.2.3.4/33",
    "1.2.3.4/08", "1.2.3", "01.2.3.4", "::ffff:1.2.3.4", "x", "", "1.2.3.4/", "/8", "::1 ", "1:2:3:4:5:6:7::",
)  # fmt: skip
DATETIMES = (
    "2026-11-24", "2026-11-24T02:30:00Z", "2026-11-24T02:30:00.123Z",
    "2026-11-24T02:30:00+0130", "1969-12-31T23:59:59Z",
    "2026-11-24T02:30:00.5Z", "2026-02-29", "2024-02-29", "0000-01-01", "9999-12-31T23:59:59.999-2359", "2026-13-01",
    "2026-11-24T24:00:00Z", "2026-11-24T23:59:60Z", "2026-11-24 ", "2026-11-24T02:30Z", "2026-11-24T02:30:00+2400", "",
)  # fmt: skip
DURATIONS = (
    "1h", "0ms", "-1d", "1d2h3m4s5ms", "90m", "1m1h", "", "-", "1", "9223372036854775807ms", "-9223372036854775808ms",
    "9223372036854775808ms", "106751991167d", "106751991168d", "1h1h", "-1d1ms", "00000000000000000000000001s",
)  # fmt: skip
PATTERNS = ("*", "", "a*", "*b", "a*b", "*a*b*", r"a\*b", "é*", "**")
GROUPS = ("g1", "g2", "g3")
UIDS = (
    'User::"alice"', 'User::"bob"', 'Workload::"job"', 'Group::"g1"', 'Group::"g2"', 'Scope::"a:read"',
    'Audience::"a"', 'Audience::"b"', 'Action::"issue"', 'Ns::User::"alice"',
)  # fmt: skip

ATTRIBUTES = {
    "flag": "bool", "level": "long", "name": "string", "tags": "set<string>", "ranks": "set<long>", "peer": "entity",
    "price": "decimal", "home": "ipaddr", "seen": "datetime", "left": "duration", "rec": "record",
}  # fmt: skip
TYPES = ("bool", "long", "string", "set<string>", "set<long>", "entity", "decimal", "ipaddr", "datetime", "duration")


class Rules:
    """Writes random rules."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def rule(self, number: int) -> str:
        """One whole rule."""
        pick = self._random.choice
        effect = pick(("permit", "forbid"))
        resources = ['resource == Scope::"a:read"', 'resource in Audience::"a"', 'resource in Scope::"a:read"',
                     'resource is Scope in Audience::"a"']  # fmt: skip
        if effect == "forbid":
            resources += ["resource", "resource is Scope"]
        principal = pick(
            ("principal", "principal", "principal is User", 'principal in Group::"g1"', 'principal == User::"alice"',
             'principal is User in Group::"g2"', 'principal in User::"alice"')
        )  # fmt: skip
        action = pick(
            ("action", 'action == Action::"issue"', 'action in [Action::"issue", Action::"act"]', "action in []")
        )
        clauses = " ".join(
            f"{pick(('when', 'unless'))} {{ {self.expression('bool', pick((1, 1, 2, 2, 3, 4)))} }}"
            for _ in range(self._random.randint(0, 2))
        )
        return f'@id("r{number:03}") {effect}({principal}, {action}, {pick(resources)}) {clauses};'

    def expression(self, of: str, depth: int) -> str:
        """An expression that should be of a type, and sometimes is not."""
        if self._random.random() < 0.03:
            of = self._random.choice(TYPES)
        if depth <= 0 or self._random.random() < 0.1:
            return self._leaf(of)
        return self._random.choice(self._makers(of))(depth - 1)

    def _leaf(self, of: str) -> str:
        if self._random.random() < 0.5:
            return self._access(of)
        return self._literal(of)

    def _access(self, of: str) -> str:
        pick = self._random.choice
        names = [name for name, kind in ATTRIBUTES.items() if kind == of] or ["rec"]
        name = pick(names)
        if self._random.random() < 0.7:
            return f"{pick(('principal', 'context'))}.{name}"
        base = pick(
            (
                "resource",
                "context.rec",
                "principal.peer",
                "context.rec.rec",
                "principal.rec",
                "action",
                'context["rec"]',
            )
        )
        return f"{base}.{name}"

    def _literal(self, of: str) -> str:
        pick = self._random.choice
        match of:
            case "bool":
                return pick(("true", "false"))
            case "long":
                number = pick(LONGS)
                return f"({number})" if number < 0 else str(number)
            case "string":
                return quote(pick(STRINGS))
            case "set<string>":
                return f"[{', '.join(quote(pick(STRINGS)) for _ in range(self._random.randint(0, 3)))}]"
            case "set<long>":
                return f"[{', '.join(self._literal('long') for _ in range(self._random.randint(0, 3)))}]"
            case "entity":
                return pick((*UIDS, "principal", "resource", "action"))
            case "decimal":
                return f"decimal({quote(self._spelling(DECIMALS))})"
            case "ipaddr":
                return f"ip({quote(self._spelling(IPS))})"
            case "datetime":
                return f"datetime({quote(self._spelling(DATETIMES))})"
            case "duration":
                return f"duration({quote(self._spelling(DURATIONS))})"
            case _:
                return pick(("{}", "{rec: {}}", "context", '{name: "a", level: 1}'))

    def _spelling(self, of: tuple[str, ...]) -> str:
        """Mostly one of the first five, which are right, and now and then an odd one."""
        return self._random.choice(of[:5] if self._random.random() < 0.7 else of)

    def _makers(self, of: str) -> list[Callable[[int], str]]:
        common: list[Callable[[int], str]] = [
            lambda d: f"(if {self.expression('bool', d)} then {self.expression(of, d)} else {self.expression(of, d)})",
            lambda d: f"{{x: {self.expression(of, d)}}}.x",
        ]
        return self._bool_makers() * 6 + common if of == "bool" else self._value_makers(of) + common

    def _value_makers(self, of: str) -> list[Callable[[int], str]]:
        e = self.expression
        match of:
            case "long":
                return [
                    lambda d: f"({e('long', d)} {self._random.choice('+-*')} {e('long', d)})",
                    lambda d: f"-({e('long', d)})",
                    lambda d: f"({e('duration', d)}).{self._random.choice(DURATION_UNITS)}()",
                ]
            case "set<string>" | "set<long>":
                inner = of[4:-1]
                return [lambda d: f"[{', '.join(e(inner, d) for _ in range(self._random.randint(0, 3)))}]"]
            case "datetime":
                return [
                    lambda d: f"({e('datetime', d)}).offset({e('duration', d)})",
                    lambda d: f"({e('datetime', d)}).toDate()",
                    lambda d: f"datetime({e('string', d)})",
                ]
            case "duration":
                return [
                    lambda d: f"({e('datetime', d)}).durationSince({e('datetime', d)})",
                    lambda d: f"({e('datetime', d)}).toTime()",
                    lambda d: f"duration({e('string', d)})",
                ]
            case "decimal":
                return [lambda d: f"decimal({e('string', d)})"]
            case "ipaddr":
                return [lambda d: f"ip({e('string', d)})"]
            case "entity":
                return [lambda d: f"({e('entity', d)}).peer"]
            case _:
                return [lambda d: f"({e('entity', d)}).name", lambda d: f"({e('entity', d)}).getTag({e('string', d)})"]

    def _bool_makers(self) -> list[Callable[[int], str]]:
        e, pick = self.expression, self._random.choice
        ordered = ("long", "datetime", "duration", "decimal")
        return [
            lambda d: f"({e('bool', d)} && {e('bool', d)})",
            lambda d: f"({e('bool', d)} || {e('bool', d)})",
            lambda d: f"!({e('bool', d)})",
            lambda d: self._comparison(pick(TYPES), pick(("==", "!=")), d),
            lambda d: self._comparison("string", pick(("==", "!=")), d),
            lambda d: self._comparison(pick(ordered), pick(("<", "<=", ">", ">=")), d),
            lambda d: f"({e('decimal', d)}).{pick(DECIMAL_METHODS)}({e('decimal', d)})",
            lambda d: f"({e('set<string>', d)}).contains({e('string', d)})",
            lambda d: f"({e('set<long>', d)}).contains({e('long', d)})",
            lambda d: f"({e('set<string>', d)}).{pick(('containsAll', 'containsAny'))}({e('set<string>', d)})",
            lambda d: f"({e('set<long>', d)}).{pick(('containsAll', 'containsAny'))}({e('set<long>', d)})",
            lambda d: f"({e(pick(('set<string>', 'set<long>')), d)}).isEmpty()",
            lambda d: f"({e('string', d)} like {quote_pattern(pick(PATTERNS))})",
            lambda d: f"({e('entity', d)} is {pick(('User', 'Scope', 'Group', 'Ns::User'))})",
            lambda d: f"({e('entity', d)} is User in {e('entity', d)})",
            lambda d: f"({e('entity', d)} in {e('entity', d)})",
            lambda d: f"(principal in {pick(UIDS)})",
            lambda d: f"({e('entity', d)} in [{', '.join(e('entity', d) for _ in range(self._random.randint(0, 3)))}])",
            lambda d: (
                f"({e(pick(('entity', 'record')), d)} has {pick((*ATTRIBUTES, 'rec.rec', 'rec.name', 'peer.rec.x'))})"
            ),
            lambda d: f"(context has {pick((*ATTRIBUTES, 'rec.rec', 'rec.rec.name', 'name.x'))})",
            lambda d: f"({e('entity', d)}).hasTag({e('string', d)})",
            lambda d: f"({e('ipaddr', d)}).{pick(('isIpv4', 'isIpv6', 'isLoopback', 'isMulticast'))}()",
            lambda d: f"({e('ipaddr', d)}).isInRange({e('ipaddr', d)})",
        ]

    def _comparison(self, of: str, operator: str, depth: int) -> str:
        return f"({self.expression(of, depth)} {operator} {self.expression(of, depth)})"


DURATION_UNITS = ("toMilliseconds", "toSeconds", "toMinutes", "toHours", "toDays")
DECIMAL_METHODS = ("lessThan", "lessThanOrEqual", "greaterThan", "greaterThanOrEqual")


def quote(text: str) -> str:
    """A Cedar string literal."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def quote_pattern(text: str) -> str:
    r"""A Cedar pattern; `\*` is already one."""
    return f'"{text}"'


def world(random: Random) -> World:
    """A question about `a:read`, with facts that may be missing or of another type than the rules think."""
    principal = random.choice((EntityUid("User", "alice"), EntityUid("User", "bob"), EntityUid("Workload", "job")))
    groups = frozenset(EntityUid("Group", group) for group in GROUPS if random.random() < 0.5)
    return World(
        Entity(principal, _attributes(random, 2), groups),
        EntityUid("Action", "issue"),
        Entity(EntityUid("Scope", "a:read"), _attributes(random, 1), frozenset({EntityUid("Audience", "a")})),
        Record(_attributes(random, 3)),
    )


def _attributes(random: Random, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, of in ATTRIBUTES.items():
        chance = random.random()
        if chance < 0.05:
            continue
        found[name] = value(random, of if chance < 0.96 else random.choice(TYPES), depth)
    return found


def value(random: Random, of: str, depth: int = 0) -> Any:
    """A value of a type."""
    match of:
        case "bool":
            return random.random() < 0.5
        case "long":
            return random.choice(LONGS)
        case "string":
            return random.choice(STRINGS)
        case "set<string>":
            return frozenset(random.sample(STRINGS, random.randint(0, 4)))
        case "set<long>":
            return frozenset(random.sample(LONGS, random.randint(0, 4)))
        case "entity":
            return random.choice((EntityUid("User", "alice"), EntityUid("User", "zoe"), EntityUid("Group", "g1")))
        case "decimal":
            return Decimal4(random.choice((0, 15_000, -5_000, 1, 2**63 - 1, -(2**63))))
        case "ipaddr":
            return read_ip(random.choice(IPS[:17]))
        case "datetime":
            return Datetime(random.choice((0, 1_795_000_000_000, -1, 2**63 - 1, -(2**63))))
        case "duration":
            return Duration(random.choice((0, 3_600_000, -86_400_001, 2**63 - 1, -(2**63))))
        case _:
            return Record(_attributes(random, depth - 1)) if depth > 0 else Record()
