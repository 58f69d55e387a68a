"""Finds where in a rule Cedar's parser stumbled: its errors say what, not where."""

from __future__ import annotations

import re

from cedarpy import PolicySet

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"|//[^\n]*+|::|&&|\|\||[=!<>]=|\w++|[^\s\w]', re.DOTALL)
_QUOTED = re.compile(r"`([^`]+)`")
_END = "unexpected end of input"


def locate(text: str, error: ValueError) -> tuple[int, str]:
    """Offset in `text` and message for an error that parsing `text` raised.

    A parser of this kind stops at the first token that nothing valid can follow, so the text up to before that
    token only lacks its end: the token is found by halving.
    """
    message = str(error).removeprefix("cedarpy: ") or "the rule cannot be parsed"
    message = message.splitlines()[0]
    if message.startswith("unexpected token"):
        return _first_bad_token(text), message
    quoted = _QUOTED.search(message)
    found = text.find(quoted[1]) if quoted else -1
    return max(found, 0), message


def _first_bad_token(text: str) -> int:
    tokens = [match for match in _TOKEN.finditer(text) if not match.group().startswith("//")]
    low, high = 0, len(tokens) - 1
    while low < high:
        middle = (low + high) // 2
        if _lacks_only_its_end(text[: tokens[middle].end()]):
            low = middle + 1
        else:
            high = middle
    return tokens[low].start() if tokens else 0


def _lacks_only_its_end(text: str) -> bool:
    try:
        PolicySet.from_str(text)
    except ValueError as error:
        return _END in str(error)
    return True
