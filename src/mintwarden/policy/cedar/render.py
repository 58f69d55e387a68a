"""Cedar source text of an expression, for people. What it writes parses back to the same tree."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from cedarpy import pst

from mintwarden.model.values import (
    Datetime,
    Decimal4,
    Duration,
    EntityUid,
    IpAddress,
    Value,
)

_SYMBOLS: Mapping[str, tuple[str, int]] = {
    "or": ("||", 1),
    "and": ("&&", 2),
    "eq": ("==", 3),
    "not_eq": ("!=", 3),
    "less": ("<", 3),
    "less_eq": ("<=", 3),
    "greater": (">", 3),
    "greater_eq": (">=", 3),
    "in": ("in", 3),
    "add": ("+", 4),
    "sub": ("-", 4),
    "mul": ("*", 5),
}
_METHODS: Mapping[str, str] = {
    "contains": "contains",
    "contains_all": "containsAll",
    "contains_any": "containsAny",
    "get_tag": "getTag",
    "has_tag": "hasTag",
    "is_in_range": "isInRange",
    "offset": "offset",
    "duration_since": "durationSince",
    "decimal_less_than": "lessThan",
    "decimal_less_eq": "lessThanOrEqual",
    "decimal_greater": "greaterThan",
    "decimal_greater_eq": "greaterThanOrEqual",
    "is_empty": "isEmpty",
    "is_ipv4": "isIpv4",
    "is_ipv6": "isIpv6",
    "is_loopback": "isLoopback",
    "is_multicast": "isMulticast",
    "to_date": "toDate",
    "to_time": "toTime",
    "to_milliseconds": "toMilliseconds",
    "to_seconds": "toSeconds",
    "to_minutes": "toMinutes",
    "to_hours": "toHours",
    "to_days": "toDays",
}
_RELATION, _SUM, _UNARY, _MEMBER = 3, 4, 6, 7
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_RESERVED = frozenset({"true", "false", "if", "then", "else", "in", "is", "like", "has", "__cedar"})
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0"}


def render(expr: pst.Expr) -> str:
    """The expression as Cedar source."""
    return _render(expr)[0]


def render_value(value: Value) -> str:
    """A value as Cedar would write it; set elements in order."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, EntityUid):
        return f"{value.type}::{quote(value.id)}"
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, frozenset):
        return f"[{', '.join(sorted(map(render_value, value)))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_key(name)}: {render_value(member)}' for name, member in sorted(value.items()))}}}"
    return _render_extension(value)


def _render_extension(value: int | Decimal4 | Datetime | Duration | IpAddress) -> str:
    if isinstance(value, Decimal4):
        sign, units = ("-" if value.units < 0 else ""), abs(value.units)
        return f'decimal("{sign}{units // 10_000}.{f"{units % 10_000:04d}".rstrip("0") or "0"}")'
    if isinstance(value, IpAddress):
        return f'ip("{value.text}")'
    if isinstance(value, Duration):
        return f'duration("{spell_duration(value.millis)}")'
    if isinstance(value, Datetime):
        spelled = spell_datetime(value.millis)
        if spelled:
            return f'datetime("{spelled}")'
        return f'datetime("1970-01-01").offset(duration("{value.millis}ms"))'
    return str(value)


def spell_duration(millis: int) -> str:
    """`1d2h3m4s5ms`, without the units that are none."""
    left, parts = abs(millis), ""
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)):
        count, left = divmod(left, size)
        parts += f"{count}{unit}" if count else ""
    return f"{'-' if millis < 0 else ''}{parts or '0ms'}"


def spell_datetime(millis: int) -> str:
    """RFC 3339 in UTC; empty where the year has not four digits."""
    days, of_day = divmod(millis, 86_400_000)
    # Howard Hinnant's `civil_from_days`: the calendar of `literals`, year 0 included.
    era, of_era = divmod(days + 719_468, 146_097)
    of_era_year = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * of_era_year + of_era_year // 4 - of_era_year // 100)
    shifted = (5 * of_year + 2) // 153
    day, month = of_year - (153 * shifted + 2) // 5 + 1, shifted + 3 if shifted < 10 else shifted - 9
    year = of_era_year + era * 400 + (month <= 2)
    if not 0 <= year <= 9999:
        return ""
    seconds, milli = divmod(of_day, 1000)
    fraction = f".{milli:03d}" if milli else ""
    clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{year:04d}-{month:02d}-{day:02d}T{clock}{fraction}Z"


def quote(text: str) -> str:
    """A Cedar string literal."""
    return f'"{"".join(_escape(character) for character in text)}"'


def _escape(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    return character if character.isprintable() else f"\\u{{{ord(character):x}}}"


def _key(name: str) -> str:
    return name if _IDENTIFIER.match(name) and name not in _RESERVED else quote(name)


def _render(expr: pst.Expr) -> tuple[str, int]:
    return _RENDERERS[type(expr)](expr)


def _within(expr: pst.Expr, level: int) -> str:
    text, own = _render(expr)
    return text if own >= level else f"({text})"


def _literal(expr: Any) -> tuple[str, int]:
    if isinstance(expr, pst.EntityLit):
        return f"{expr.value.type}::{quote(expr.value.id)}", _MEMBER
    text = render_value(expr.value)
    return text, _UNARY if text.startswith("-") else _MEMBER


def _get(expr: pst.GetAttr) -> tuple[str, int]:
    base = _within(expr.base, _MEMBER)
    return (f"{base}.{expr.attr}" if _key(expr.attr) == expr.attr else f"{base}[{quote(expr.attr)}]"), _MEMBER


def _has(expr: pst.HasAttr) -> tuple[str, int]:
    attrs = ".".join(expr.attrs) if len(expr.attrs) > 1 else _key(expr.attrs[0])
    return f"{_within(expr.base, _SUM)} has {attrs}", _RELATION


def _like(expr: pst.Like) -> tuple[str, int]:
    pattern = "".join(
        "*" if isinstance(e, pst.Wildcard) else "\\*" if e.value == "*" else _escape(e.value) for e in expr.pattern
    )
    return f'{_within(expr.base, _SUM)} like "{pattern}"', _RELATION


def _is(expr: pst.Is) -> tuple[str, int]:
    inside = f" in {_within(expr.in_expr, _SUM)}" if expr.in_expr is not None else ""
    return f"{_within(expr.base, _SUM)} is {expr.entity_type}{inside}", _RELATION


def _if(expr: pst.IfThenElse) -> tuple[str, int]:
    return f"if {render(expr.cond)} then {render(expr.then_expr)} else {render(expr.else_expr)}", 0


def _set(expr: pst.Set) -> tuple[str, int]:
    return f"[{', '.join(map(render, expr.elements))}]", _MEMBER


def _record(expr: pst.Record) -> tuple[str, int]:
    return f"{{{', '.join(f'{_key(name)}: {render(value)}' for name, value in expr.fields.items())}}}", _MEMBER


def _unary(expr: pst.UnaryOp) -> tuple[str, int]:
    if expr.op == "not":
        return f"!{_within(expr.arg, _MEMBER)}", _UNARY
    if expr.op == "neg":
        inner = _within(expr.arg, _MEMBER)
        # `-5` would be read back as a literal.
        return (f"-({inner})" if isinstance(expr.arg, pst.LongLit) else f"-{inner}"), _UNARY
    if expr.op in _METHODS:
        return f"{_within(expr.arg, _MEMBER)}.{_METHODS[expr.op]}()", _MEMBER
    return f"{expr.op}({render(expr.arg)})", _MEMBER


def _binary(expr: pst.BinaryOp) -> tuple[str, int]:
    if expr.op in _METHODS:
        return f"{_within(expr.left, _MEMBER)}.{_METHODS[expr.op]}({render(expr.right)})", _MEMBER
    symbol, level = _SYMBOLS[expr.op]
    # Chains lean to the left; relations do not chain.
    left = _within(expr.left, _SUM if level == _RELATION else level)
    return f"{left} {symbol} {_within(expr.right, level + 1)}", level


_RENDERERS: Mapping[type, Callable[[Any], tuple[str, int]]] = {
    pst.Var: lambda expr: (expr.name, _MEMBER),
    pst.BoolLit: _literal,
    pst.LongLit: _literal,
    pst.StringLit: _literal,
    pst.EntityLit: _literal,
    pst.GetAttr: _get,
    pst.HasAttr: _has,
    pst.Like: _like,
    pst.Is: _is,
    pst.IfThenElse: _if,
    pst.Set: _set,
    pst.Record: _record,
    pst.UnaryOp: _unary,
    pst.BinaryOp: _binary,
}
