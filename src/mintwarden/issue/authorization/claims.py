"""The `claims` parameter (OpenID Connect Core section 5.5): single claims asked for, within what the bundle gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from mintwarden.authn.jose import JoseError, decode_json
from mintwarden.model.catalogue import Catalogue
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.values import EntityUid

_MOST = 100


class Wishes(Struct, frozen=True, kw_only=True):
    """What the parameter says that is of any consequence.

    Attributes:
        id_token: claims of the identity audience that the ID token shall carry itself.
        acr_values: one of these levels must be reached; empty where none is essential.
        subject: whom the answer must be about, or None.
    """

    id_token: tuple[str, ...] = ()
    acr_values: tuple[str, ...] = ()
    subject: EntityUid | None = None


def read_claims(text: str, catalogue: Catalogue) -> Wishes:
    """What `text` asks for; raises `INVALID_REQUEST` for what is not such a document.

    INVARIANT: it names, it does not give: a claim that the identity audience does not take, or that no granted scope
    gives, is left out whoever asks. User info needs no wishes: it tells all that was granted.
    """
    if not text:
        return Wishes()
    try:
        document = decode_json(text.encode())
    except JoseError:
        raise _malformed() from None
    told, asked = _section(document, "id_token"), _section(document, "userinfo")
    known = catalogue.audiences[catalogue.identity].claims if catalogue.identity else {}
    about = _values(told.get("sub")) or _values(asked.get("sub"))
    acr = told.get("acr")
    return Wishes(
        id_token=tuple(name for name in told if name in known),
        acr_values=_values(acr) if acr is not None and acr.get("essential") is True else (),
        subject=EntityUid("User", about[0]) if about else None,
    )


def _section(document: Mapping[str, Any], name: str) -> dict[str, dict[str, Any] | None]:
    section = document.get(name)
    if section is None:
        return {}
    if not isinstance(section, dict) or len(section) > _MOST:
        raise _malformed()
    for wish in section.values():
        if wish is not None and not isinstance(wish, dict):
            raise _malformed()
        if wish is not None and not isinstance(wish.get("essential", False), bool):
            raise _malformed()
    return section


def _values(wish: Mapping[str, Any] | None) -> tuple[str, ...]:
    """`value` or `values`, as texts."""
    if wish is None:
        return ()
    found = wish.get("values", [wish["value"]] if "value" in wish else [])
    if not isinstance(found, list) or not all(isinstance(value, str) and value for value in found):
        raise _malformed()
    return tuple(found)


def _malformed() -> MintwardenError:
    return MintwardenError(
        ErrorKind.INVALID_REQUEST, "`claims` is malformed", hint="a JSON object (OpenID Connect Core section 5.5)"
    )
