"""Files of older systems, read with care: their size, depth and keys are held to limits before anything is believed.

Nothing of what is read is repeated in an error but names of keys, since exports hold secrets.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.policy.bundle.problem import quote

LARGEST = 32 << 20
"""Bytes of a file, and of all files of a folder."""
DEEPEST = 64
"""Brackets inside brackets."""
MOST = 50_000
"""Entries of one list."""
LONGEST = 512
"""Characters of a name."""


# A string without an end reaches to the end: looking on from each quote in it would take its square.
_TOKENS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)


def read_bytes(file: Path) -> bytes:
    """A file's bytes; raises `INVALID_REQUEST`, `TOO_LARGE`."""
    try:
        if not file.is_file():
            raise invalid(f"`{file}` is not a file", "name the export")
        with file.open("rb") as source:
            content = source.read(LARGEST + 1)
    except OSError as error:
        raise invalid(f"`{file}` cannot be read: {(error.strerror or 'unknown reason').lower()}", "") from error
    if len(content) > LARGEST:
        raise MintwardenError(ErrorKind.TOO_LARGE, f"`{file}` is larger than {LARGEST >> 20} MiB")
    return content


def read_json(content: bytes, what: str) -> Any:
    """A JSON document; raises `INVALID_REQUEST` for what is no JSON, too deep, or names a key twice."""
    if _depth(content) > DEEPEST:
        raise invalid(f"{what} is nested deeper than {DEEPEST}", "it is no export of this kind")
    try:
        text = content.decode("utf-8-sig")
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise invalid(f"{what} is not UTF-8", "save it as UTF-8") from None
    except json.JSONDecodeError as error:
        raise invalid(f"{what} is not JSON: line {error.lineno}, column {error.colno}", "export it anew") from None
    except (ValueError, RecursionError) as error:
        raise invalid(f"{what} is not taken: {error}", "export it anew") from None


def table(value: Any, what: str) -> Mapping[str, Any]:
    """A JSON object; raises `INVALID_REQUEST` for anything else. Absent is empty."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise invalid(f"{what} is not an object", "is it an export of this kind?")
    return value


def entries(value: Any, what: str) -> Iterator[Mapping[str, Any]]:
    """The objects of a JSON array; raises `INVALID_REQUEST` for anything else. Absent is empty."""
    for index, item in enumerate(listed(value, what)):
        yield table(item, f"{what}[{index}]")


def listed(value: Any, what: str) -> list[Any]:
    """A JSON array of bounded length."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise invalid(f"{what} is not an array", "is it an export of this kind?")
    if len(value) > MOST:
        raise MintwardenError(ErrorKind.TOO_LARGE, f"{what} has more than {MOST} entries")
    return value


def names(value: Any, what: str) -> list[str]:
    """The texts of a JSON array, once each."""
    return list(dict.fromkeys(name(item, f"{what}[{index}]") for index, item in enumerate(listed(value, what))))


def name(value: Any, what: str) -> str:
    """A name: printable, not empty, of bounded length."""
    if not isinstance(value, str) or not value.strip():
        raise invalid(f"{what} is not a name", "is it an export of this kind?")
    if len(value) > LONGEST or not value.isprintable():
        raise invalid(f"{what} is a name that is too long or not printable", f"at most {LONGEST} printable characters")
    return value.strip()


def told(value: Any) -> str:
    """Text for people, on one line; empty for anything else."""
    if not isinstance(value, str):
        return ""
    return " ".join("".join(c if c.isprintable() else " " for c in value).split())[:500]


def seconds(value: Any) -> int:
    """A number of seconds; 0 for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**9 else 0


def invalid(public: str, hint: str) -> MintwardenError:
    """What is wrong with the file."""
    return MintwardenError(ErrorKind.INVALID_REQUEST, public, hint=hint)


def _depth(content: bytes) -> int:
    """How deep the brackets go outside of texts; found without recursion."""
    deepest = depth = 0
    for found in _TOKENS.finditer(content):
        first = found[0][:1]
        if first in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif first in b"]}":
            depth -= 1
    return deepest


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {quote(key)} is there twice in one object")
        found[key] = value
    return found


def _no_constant(_text: str) -> Any:
    raise ValueError("it holds a number that is none")
