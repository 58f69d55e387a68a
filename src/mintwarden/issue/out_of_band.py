"""A request that a person is asked out of band (OpenID CIBA Core 1.0 section 7.1), read and checked. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from mintwarden.issue.authorization.request import Parameters
from mintwarden.model.catalogue import Client
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.request import TokenRequest
from mintwarden.model.values import EntityUid
from mintwarden.policy.legible import all_seen

HINTS: Final = ("login_hint", "id_token_hint", "login_hint_token")
LIFE: Final = 300
LONGEST: Final = 900
"""Seconds that a request waits, and the most that a client may ask for."""
MESSAGE: Final = 100
"""Characters that a binding message may have: it has to be compared at a glance."""

_BESIDE = frozenset({"request", "client_id", "client_secret", "client_assertion", "client_assertion_type"})
"""What may stand beside a signed request: how the client proves who it is."""

_EXPIRY = re.compile(r"[1-9][0-9]{0,8}")
_TOKEN = re.compile(r"(?=.{1,1024}\Z)[A-Za-z0-9._~+/-]+=*")


class OutOfBand(Struct, frozen=True, kw_only=True):
    """What the request says of whom to ask, and how. `life` in seconds; `signed_in`: an ID token of ours names them."""

    person: EntityUid
    signed_in: bool
    message: str
    acr_values: tuple[str, ...]
    life: int
    notify_token: str


def said_in(request: TokenRequest, signed: Parameters) -> TokenRequest:
    """The request with the parameters of its signed object, and no others (section 7.1.1).

    Raises `INVALID_REQUEST` where some stand beside it: they would be nobody's word.
    """
    beside = request.unverified_form.keys() - _BESIDE
    if beside:
        raise _invalid(f"`{min(beside)}` stands beside the signed request", "put every parameter into it")
    proof = {name: values for name, values in request.unverified_form.items() if name != "request"}
    return replace(request, unverified_form={**signed, **proof})


def require_signed(client: Client) -> None:
    """Raise `INVALID_REQUEST` for a plain request of a client that has to sign."""
    if client.backchannel.signing or client.rules.object_starts:
        raise _invalid("this client signs its requests", "send `request` (CIBA section 7.1.1)")


def only_hint(request: TokenRequest) -> str:
    """The name of the one hint; raises `INVALID_REQUEST` where there are several, or none."""
    hints = [name for name in HINTS if request.one(name) is not None]
    if len(hints) != 1:
        raise _invalid("exactly one hint is needed", f"one of {', '.join(HINTS)}")
    return hints[0]


def read_out_of_band(
    request: TokenRequest, client: Client, *, hinted: Callable[[str], str], named: EntityUid | None = None
) -> OutOfBand:
    """`hinted` reads an ID token of ours as a hint: whom it names; `named`: whom a trusted issuer's hint named.

    Raises what the client is told (section 13).
    """
    if request.one("user_code") is not None:
        raise _invalid("`user_code` is not supported", "leave it out")
    if "openid" not in (request.one("scope") or "").split():
        raise MintwardenError(ErrorKind.INVALID_SCOPE, "`openid` is missing", hint="CIBA asks who somebody is")
    return OutOfBand(
        person=_person(request, hinted, named),
        signed_in=request.one("id_token_hint") is not None,
        message=read_message(request.one("binding_message") or ""),
        acr_values=tuple((request.one("acr_values") or "").split())[:10] or client.protections.acr_values[:10],
        life=_life(request.one("requested_expiry")),
        notify_token=_notify_token(request.one("client_notification_token"), client),
    )


def _person(request: TokenRequest, hinted: Callable[[str], str], named: EntityUid | None) -> EntityUid:
    hint = only_hint(request)
    if hint == "login_hint_token":
        if named is None or named.type != "User":
            raise MintwardenError(ErrorKind.UNKNOWN_USER_ID, "the hint names no person")
        return named
    value = request.one(hint) or ""
    subject = hinted(value) if hint == "id_token_hint" else value
    if not subject.isprintable() or len(subject) > 200:
        raise MintwardenError(ErrorKind.UNKNOWN_USER_ID, "there is nobody of that name")
    return EntityUid("User", subject)


def read_message(text: str) -> str:
    """A message that people compare (section 7.1).

    INVARIANT: one short line of plain text, which nobody can make look like something else.
    """
    if len(text) > MESSAGE or not text.isprintable() or not all_seen(text) or text != text.strip():
        raise MintwardenError(
            ErrorKind.INVALID_BINDING_MESSAGE,
            "`binding_message` cannot be shown",
            hint=f"at most {MESSAGE} characters on one line, each of which is seen",
        )
    return text


def _life(text: str | None) -> int:
    if text is None:
        return LIFE
    if not _EXPIRY.fullmatch(text):
        raise _invalid("`requested_expiry` is no positive number", "send for instance `120`")
    return min(int(text), LONGEST)


def _notify_token(text: str | None, client: Client) -> str:
    if client.backchannel.delivery == "poll":
        return ""
    if text is None or not _TOKEN.fullmatch(text):
        raise _invalid("`client_notification_token` is missing or malformed", "a bearer token of at most 1024 letters")
    return text


def _invalid(public: str, hint: str) -> MintwardenError:
    return MintwardenError(ErrorKind.INVALID_REQUEST, public, hint=hint)
