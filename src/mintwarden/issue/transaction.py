"""What a transaction token carries along, as asked for at the first hop and kept ever after."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mintwarden.authn.jose import JoseError, decode_json
from mintwarden.model.caller import Evidence
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.request import TokenRequest
from mintwarden.model.transaction import Transaction

LONGEST = 4096


def read_transaction(request: TokenRequest, subject: Evidence) -> Transaction:
    """The transaction that a token belongs to: the subject token's, or a new one with what the request says of it.

    INVARIANT: a transaction keeps what it is about: a replacement may not say it again, not even in the same words.
    Raises `INVALID_REQUEST`.
    """
    if request.one("scope") is None:
        raise _invalid("`scope` is missing", "a transaction token needs one")
    said = tuple(_object(request, name) for name in ("request_details", "request_context"))
    if subject.transaction is None:
        return Transaction(details=said[0], context=said[1])
    if any(said):
        raise _invalid(
            "a transaction keeps its details and context", "leave `request_details` and `request_context` out"
        )
    return subject.transaction


def _object(request: TokenRequest, name: str) -> Mapping[str, Any]:
    text = request.one(name)
    if text is None:
        return {}
    if len(text) > LONGEST:
        raise _invalid(f"`{name}` is too long", f"at most {LONGEST} characters")
    try:
        return decode_json(text.encode())
    except JoseError:
        raise _invalid(f"`{name}` is not a JSON object", "send one, without repeated members") from None


def _invalid(public: str, hint: str) -> MintwardenError:
    return MintwardenError(ErrorKind.INVALID_REQUEST, public, hint=hint)
