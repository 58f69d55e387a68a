"""Step 1 in part: the bytes of a form to its parameters, strictly."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from mintwarden.model.errors import ErrorKind, MintwardenError

REPEATABLE = frozenset({"resource", "audience"})
"""RFC 8693 section 2.1, RFC 8707 section 2; anything else may occur once (RFC 6749 section 3.2)."""

MAX_PARAMETERS = 64
MAX_VALUE = 32 * 1024
MAX_KNOWN = 1024

PUBLIC = frozenset({"scope", "resource", "audience", "grant_type", "subject_token_type", "actor_token_type"})
"""Parameters that hold no secret and no proof, and the same few values all day: decoded once, then remembered."""

_PAIRS = {
    f"{first}{second}": chr(int(first + second, 16))
    for first in "0123456789abcdefABCDEF"
    for second in "0123456789abcdefABCDEF"
}


def parse_form(body: bytes) -> Mapping[str, tuple[str, ...]]:
    """The parameters of an `application/x-www-form-urlencoded` body; an empty value counts as absent.

    Raises `INVALID_REQUEST` for a repeated parameter, for bytes that are not ASCII, for percent-encoding that is
    malformed or not UTF-8, for characters that are not printable, and for too many or too long parameters.
    """
    if not body.isascii():
        raise _invalid("the body is not percent-encoded", "encode every byte beyond ASCII as `%XX`")
    form: dict[str, tuple[str, ...]] = {}
    seen: set[str] = set()
    pieces = body.decode("ascii").split("&")
    if len(pieces) > MAX_PARAMETERS:
        raise _invalid("too many parameters", f"at most {MAX_PARAMETERS}")
    for piece in pieces:
        if not piece:
            continue
        name, _, value = piece.partition("=")
        if "%" in name or "+" in name:
            name = _decode(name)
        if not name or not name.isprintable():
            raise _invalid("a parameter has no proper name", "name it with printable characters")
        if name in seen and name not in REPEATABLE:
            raise _invalid("a parameter is repeated", "send each parameter once")
        seen.add(name)
        if "%" in value or "+" in value:
            value = _decode_known(value) if name in PUBLIC and len(value) <= MAX_KNOWN else _decode(value)
        if not value:
            continue
        if len(value) > MAX_VALUE:
            raise _invalid("a parameter is too long", f"at most {MAX_VALUE} characters")
        if not value.isprintable():
            raise _invalid("a parameter holds characters that are not printable", "leave out control characters")
        form[name] = (*form[name], value) if name in form else (value,)
    return form


@functools.lru_cache(maxsize=1024)
def _decode_known(text: str) -> str:
    return _decode(text)


def _decode(text: str) -> str:
    text = text.replace("+", " ")
    if "%" not in text:
        return text
    head, *escapes = text.split("%")
    try:
        decoded = head + "".join([_PAIRS[escape[:2]] + escape[2:] for escape in escapes])
        return decoded if decoded.isascii() else decoded.encode("latin-1").decode("utf-8")
    except (KeyError, UnicodeDecodeError):
        raise _invalid("the body's percent-encoding is malformed", "encode UTF-8 as `%XX`") from None


def _invalid(public: str, hint: str) -> MintwardenError:
    return MintwardenError(ErrorKind.INVALID_REQUEST, public, hint=hint)
