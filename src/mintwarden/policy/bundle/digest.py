"""A bundle's name: one digest over what it says, whatever the order, dates and line ends of its files."""

from __future__ import annotations

import datetime
import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any


def bundle_digest(documents: Mapping[str, Mapping[str, Any]], rules: Mapping[str, str]) -> str:
    """`sha256:<hex>` over the canonical JSON (RFC 8785) of path to content.

    A TOML file counts by what it says, so that comments, layout and the order of its keys do not matter. A rules
    file counts by its text with line feeds as its line ends.

    INVARIANT: evolve by a new prefix, never by changing what a digest covers: recorded decisions name it.
    """
    content: dict[str, Any] = {path: {"toml": _ordered(path, document)} for path, document in documents.items()}
    content |= {path: {"cedar": text.replace("\r\n", "\n").replace("\r", "\n")} for path, text in rules.items()}
    return f"sha256:{hashlib.sha256(canonical_json(content).encode()).hexdigest()}"


def _ordered(path: str, document: Mapping[str, Any]) -> Any:
    """The one table whose order has a meaning, `[tiers]`, counts with it."""
    tiers = document.get("tiers")
    if path != "bundle.toml" or not isinstance(tiers, dict):
        return document
    return {**document, "tiers": [[name, tier] for name, tier in tiers.items()]}


def canonical_json(value: Any) -> str:
    """RFC 8785. Whole numbers stand as they are; a TOML date or time stands as `{"$time": "..."}`."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, list | tuple):
        return f"[{','.join(canonical_json(item) for item in value)}]"
    if isinstance(value, Mapping):
        names = sorted(value, key=lambda name: str(name).encode("utf-16-be", "surrogatepass"))
        return f"{{{','.join(f'{canonical_json(name)}:{canonical_json(value[name])}' for name in names)}}}"
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return canonical_json({"$time": value.isoformat()})
    raise TypeError(f"{type(value).__name__} is no TOML value")


def _number(value: float) -> str:
    """ECMAScript's spelling (RFC 8785 section 3.2.2.3); `nan` and `inf` as text, for they are no JSON."""
    if not math.isfinite(value):
        return json.dumps(str(value))
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = f"{abs(value)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0") or "0"
    return sign + _spell(digits, point)


def _spell(digits: str, point: int) -> str:
    """Digits with the decimal point after the first `point` of them."""
    count = len(digits)
    if count <= point <= 21:
        return digits + "0" * (point - count)
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"0.{'0' * -point}{digits}"
    exponent = f"e{'+' if point > 0 else '-'}{abs(point - 1)}"
    return f"{digits[0]}{f'.{digits[1:]}' if count > 1 else ''}{exponent}"
