"""What a request asks for in detail: the `authorization_details` parameter (RFC 9396), read strictly.

Whatever is not exactly as the catalogue declares it is an error (section 5). Whether it may be issued is decided later.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NoReturn

import msgspec

from mintwarden.issue.unresolved import Unresolved
from mintwarden.model.catalogue import Audience, Catalogue, Client
from mintwarden.model.detail import MEMBER, Detail, detail_of
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.request import TokenRequest
from mintwarden.policy.details import DetailRefused, record_of

DETAILS = (MEMBER,)
MAX_DETAILS = 16
MAX_BYTES = 8 * 1024
"""All of them together as JSON: they must fit into a token that is still taken back as evidence."""

_NO_DETAILS: tuple[Detail, ...] = ()


def read_details(request: TokenRequest, client: Client, catalogue: Catalogue) -> tuple[Detail, ...]:
    """The details asked for, in order, each of a type that the catalogue declares for an audience of the client's.

    Raises `INVALID_AUTHORIZATION_DETAILS`.
    """
    text = request.one(MEMBER)
    if text is None:
        return _NO_DETAILS
    return tuple([_detail(said, client, catalogue) for said in _array(text)])


def known_details(stated: Sequence[Detail], client: Client, catalogue: Catalogue) -> tuple[Detail, ...]:
    """The details that a grant from elsewhere states, read as strictly as those of a request.

    Raises `INVALID_AUTHORIZATION_DETAILS`.
    """
    if len(stated) > MAX_DETAILS or len(msgspec.json.encode([detail.said for detail in stated])) > MAX_BYTES:
        raise refused("the authorization details are too large", f"at most {MAX_DETAILS}, of {MAX_BYTES} bytes")
    return tuple([_detail(detail.said, client, catalogue) for detail in stated])


def audience_of(details: Sequence[Detail], catalogue: Catalogue) -> set[str]:
    """The audiences that the details' types are of, by id."""
    return {catalogue.details[detail.type].audience for detail in details}


def require_of(details: Sequence[Detail], audience: Audience) -> None:
    """Raises `INVALID_AUTHORIZATION_DETAILS` for a detail of another audience."""
    for detail in details:
        if detail.type not in audience.details:
            raise refused("an authorization detail is of another audience", "a token is for exactly one audience")


def _array(text: str) -> list[Any]:
    if len(text) > MAX_BYTES:
        raise refused("the authorization details are too large", f"at most {MAX_BYTES} bytes")
    try:
        said = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_number, parse_float=_no_number)
        # What cannot be written in UTF-8, such as half of a pair of surrogates, is no text.
        size = len(msgspec.json.encode(said))
    except (ValueError, OverflowError, RecursionError):
        raise refused(
            "the authorization details are not an array of JSON objects",
            "no member may stand twice, and numbers are whole; a decimal is a string",
        ) from None
    if not isinstance(said, list) or not said:
        raise refused("the authorization details are not an array with elements", "send an array of JSON objects")
    if len(said) > MAX_DETAILS or size > MAX_BYTES:
        raise refused("the authorization details are too large", f"at most {MAX_DETAILS}, of {MAX_BYTES} bytes")
    return said


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate member")
    return found


def _no_number(_text: str) -> NoReturn:
    raise ValueError("not a whole number")


def _detail(said: Any, client: Client, catalogue: Catalogue) -> Detail:
    kind = said.get("type") if isinstance(said, dict) else None
    if not isinstance(kind, str):
        raise refused("an authorization detail has no `type`", "send a JSON object with the name of a type")
    of = catalogue.details.get(kind)
    if of is None or of.audience not in client.ceilings:
        # One answer for a type that is nowhere and one that is where the client may not go.
        raise Unresolved(
            ErrorKind.INVALID_AUTHORIZATION_DETAILS,
            "there is no such type of authorization detail at an audience of this client",
            "see the metadata",
            audience=of.audience if of is not None else "",
            details=(kind,),
        )
    try:
        record_of(of, catalogue.audiences[of.audience], {name: said[name] for name in said if name != "type"})
    except DetailRefused as error:
        raise refused(f"authorization detail `{kind}`: {error}", error.hint) from None
    return detail_of(said)


def refused(public: str, hint: str) -> MintwardenError:
    """What is wrong with the authorization details of a request."""
    return MintwardenError(ErrorKind.INVALID_AUTHORIZATION_DETAILS, public, hint=hint)
