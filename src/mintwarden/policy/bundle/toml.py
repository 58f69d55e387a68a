"""A TOML text as plain values, refused before parsing when it is built to be slow."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from mintwarden.policy.bundle.problem import Problems

MAX_DEPTH = 16
MAX_DOTS = 16
MAX_KEYS = 100_000

_TOKEN = re.compile(
    r'"""(?:[^\\"]|\\.|"(?!""))*(?:"{3,5}|\Z)'
    r"|'''(?:[^']|'(?!''))*(?:'{3,5}|\Z)"
    r'|"(?:[^"\\\n]|\\.)*(?:"|$)'
    r"|'[^'\n]*(?:'|$)"
    r"|#[^\n]*|[\[\]{}.,=\n]",
    re.DOTALL | re.MULTILINE,
)
_WHERE = re.compile(r"\s*\(at line (\d+), column (\d+)\)$")
_AT_END = re.compile(r"\s*\(at end of document\)$")

_REMEDIES = (
    ("cannot declare", "put all keys of a table below one header"),
    ("cannot overwrite", "write each key once"),
    ("invalid value", 'text stands between straight `"`, such as `max_ttl = "15m"`'),
    ("expected newline or end of document", 'text stands between straight `"`, such as `max_ttl = "15m"`'),
    ("expected '=' after a key", "write `key = value`, or `[table]`"),
)
"""What is usually meant, by what the parser says."""


def parse_toml(file: str, text: str, problems: Problems) -> dict[str, Any] | None:
    """The document, or None when it is refused. Positions of later findings are looked up in `text`."""
    problems.know(file, text)
    if not _is_shallow(file, text, problems):
        return None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message, line, column = _explain(str(error), text)
        remedy = next((do for told, do in _REMEDIES if told in message), "see https://toml.io for the notation")
        problems.put(file, line, column, f"is not TOML: {message}", remedy)
    except (ValueError, RecursionError, OverflowError):
        problems.put(file, 0, 0, "is not TOML: a number is too long or the nesting too deep", "simplify it")
    return None


def _is_shallow(file: str, text: str, problems: Problems) -> bool:
    """One linear pass: parsers recurse into brackets and take quadratic time over dotted keys."""
    depth = dots = keys = 0
    for match in _TOKEN.finditer(text):
        token = match.group()
        char = token[0]
        if char in "[{":
            depth += 1
        elif char in "]}":
            depth = max(0, depth - 1)
        elif char == ".":
            dots += 1
        elif char in "\n,=":
            dots = 0
            keys += char == "="
        if depth > MAX_DEPTH or dots > MAX_DOTS or keys > MAX_KEYS:
            line = text.count("\n", 0, match.start()) + 1
            column = match.start() - (text.rfind("\n", 0, match.start()) + 1) + 1
            what = f"has more than {MAX_KEYS} keys" if keys > MAX_KEYS else f"is nested deeper than {MAX_DEPTH}"
            problems.put(file, line, column, what, "flatten or split it")
            return False
    return True


def _explain(message: str, text: str) -> tuple[str, int, int]:
    where = _WHERE.search(message)
    if where is not None:
        plain, line, column = message[: where.start()], int(where[1]), int(where[2])
    elif _AT_END.search(message):
        plain, line, column = _AT_END.sub("", message) + " before the end", text.count("\n") + 1, 1
    else:
        plain, line, column = message, 0, 0
    plain = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in plain)[:200]
    return plain[:1].lower() + plain[1:], line, column
