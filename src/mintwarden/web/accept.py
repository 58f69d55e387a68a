"""Which form and language of an answer are wanted: `Accept`, `Accept-Language` (RFC 9110 sections 12.5.1, 12.5.4)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from mintwarden.web.reply import Header

LONGEST = 1000
"""Characters; whoever sends more gets the usual form."""

_QUALITY = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")


def accept_of(headers: Iterable[Header]) -> str:
    """The `Accept` header."""
    return _list_of(headers, b"accept")


def languages_of(headers: Iterable[Header]) -> str:
    """The `Accept-Language` header."""
    return _list_of(headers, b"accept-language")


def _list_of(headers: Iterable[Header], wanted: bytes) -> str:
    """Several lines of a header are one list, in their order (RFC 9110 section 5.3)."""
    return ",".join(value.decode("latin-1") for name, value in headers if name == wanted)


def asks_for(unverified_accept: str, special: str, usual: str) -> bool:
    """Does it name `special`, and want nothing else more than that: not by a wildcard, nor after `usual`.

    A part that is malformed counts as not said.
    """
    if special not in unverified_accept.lower() or len(unverified_accept) > LONGEST:
        return False
    wanted = dict(_parts(unverified_accept))
    return wanted.get(special, 0.0) > 0 and wanted[special] >= wanted.get(usual, 0.0)


def takes(unverified_accept: str, kind: str) -> bool:
    """Is `kind` acceptable: named, meant by a wildcard, or nothing is said. The closest part decides."""
    if not unverified_accept.strip() or len(unverified_accept) > LONGEST:
        return True
    wanted = dict(_parts(unverified_accept))
    for name in (kind, kind.partition("/")[0] + "/*", "*/*"):
        if name in wanted:
            return wanted[name] > 0
    return False


def _parts(unverified_accept: str) -> Iterable[tuple[str, float]]:
    for part in unverified_accept.lower().split(","):
        name, *parameters = [word.strip() for word in part.split(";")]
        quality = 1.0
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip() == "q":
                quality = float(value) if _QUALITY.fullmatch(value.strip()) else 0.0
        if name:
            yield name, quality
