"""Finds where in a rule Cedar's parser stumbled: its errors say what, not where."""

from __future__ import annotations

import re

from cedarpy import PolicySet

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"|//[^\n]*+|::|&&|\|\||[=!<>]=|\w++|[^\s\w]', re.DOTALL)
_CULPRIT = re.compile(r"`([^`]+)`|: (@?\w+)$")
_UNEXPECTED = re.compile(r"unexpected token `(.*)`$", re.DOTALL)
_END = "unexpected end of input"


def locate(text: str, error: ValueError) -> tuple[int, str]:
    """Offset in `text` and message for an error that parsing `text` raised.

    A parser of this kind stops at the first token that nothing valid can follow, so the text up to before that
    token only lacks its end: the place is found by halving, and the token that the message names at or before it.
    """
    if isinstance(error, UnicodeError):
        return 0, "the rule is not valid Unicode"
    message = str(error).removeprefix("cedarpy: ") or "the rule cannot be parsed"
    message = message.splitlines()[0]
    named = _UNEXPECTED.match(message)
    if named is not None:
        return _first_bad_token(text, named[1]), message
    culprit = _CULPRIT.search(message)
    word = (culprit[1] or culprit[2]) if culprit else ""
    found = re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) if word else None
    return found.start() if found else 0, message


def _first_bad_token(text: str, named: str) -> int:
    tokens = [match for match in _TOKEN.finditer(text) if not match.group().startswith("//")]
    low, high = 0, len(tokens) - 1
    while low < high:
        middle = (low + high) // 2
        if _lacks_only_its_end(text[: tokens[middle].end()]):
            low = middle + 1
        else:
            high = middle
    for token in reversed(tokens[: low + 1]):
        if token.group() == named:
            return token.start()
    return tokens[low].start() if tokens else 0


def _lacks_only_its_end(text: str) -> bool:
    try:
        PolicySet.from_str(text)
    except ValueError as error:
        return _END in str(error)
    return True
