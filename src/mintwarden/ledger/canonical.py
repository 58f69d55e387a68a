"""Canonical JSON (RFC 8785) for the values that ledger entries are made of, and refusal of every other value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from mintwarden.model.errors import ErrorKind, MintwardenError

MAX_INTEGER = 2**53 - 1
"""The largest integer that RFC 8785 section 3.2.2.3 writes exactly."""

MAX_DEPTH = 32

# INVARIANT: for null, booleans, integers up to `MAX_INTEGER`, strings, lists and objects with ASCII keys this
# encoder writes what RFC 8785 demands; a property test holds it against another implementation. Struct fields
# are written in the order of their definition, so every entry type defines them in alphabetical order.
_ENCODER = msgspec.json.Encoder(order="deterministic")
_DECODER = msgspec.json.Decoder()


def not_canonical(what: str) -> MintwardenError:
    """The refusal of a value that has no canonical form here."""
    return MintwardenError(
        ErrorKind.LEDGER,
        f"the entry holds {what}, which has no canonical form",
        hint="entries hold null, booleans, integers below 2^53, strings, lists, and objects with ASCII names",
    )


def canonical_json(value: object) -> bytes:
    """The RFC 8785 form of `value`. Raises `MintwardenError(LEDGER)` for a value outside the supported kinds."""
    _check(value, 0)
    return encode(value)


def encode(value: object) -> bytes:
    """The same for a value that is known to be of supported kinds; only its strings are still checked."""
    try:
        return _ENCODER.encode(value)
    except UnicodeEncodeError:
        raise not_canonical("text that is not Unicode") from None


def read_canonical(data: bytes) -> Any:
    """The value of canonical JSON. Raises `ValueError` when `data` is anything but the canonical form."""
    try:
        value = _DECODER.decode(data)
        again = canonical_json(value)
    except MintwardenError as error:
        raise ValueError(error.public) from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ValueError("it is not JSON") from None
    if again != data:
        raise ValueError("it is not in canonical form")
    return value


def _check(value: object, depth: int) -> None:
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return
    if kind is int:
        if not -MAX_INTEGER <= value <= MAX_INTEGER:  # type: ignore[operator]
            raise not_canonical("an integer beyond 2^53")
        return
    if depth >= MAX_DEPTH:
        raise not_canonical("a value nested too deeply")
    if isinstance(value, list | tuple):
        for element in value:
            _check(element, depth + 1)
        return
    if kind is dict:
        _check_members(value, depth)  # type: ignore[arg-type]
        return
    raise not_canonical(f"a value of kind `{kind.__name__}`")


def _check_members(members: Mapping[object, object], depth: int) -> None:
    for name, value in members.items():
        # msgspec sorts by code point and RFC 8785 by UTF-16 code unit: the same for ASCII, not beyond.
        if type(name) is not str or not name.isascii():
            raise not_canonical("a member name that is not ASCII")
        _check(value, depth + 1)
