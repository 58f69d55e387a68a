"""A stream: what one receiver hears of us, and how (SSF 1.0 section 8.1.1). What it may say of it is read here.

Members that nobody defined are ignored, as the specification says; those that are the transmitter's to say must be
what they are, or are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from mintwarden.feeds.security_events import (
    ACCOUNT_DISABLED,
    ACCOUNT_ENABLED,
    ACCOUNT_PURGED,
    CREDENTIAL_CHANGE,
    SESSION_REVOKED,
)
from mintwarden.feeds.subject_ids import SubjectId
from mintwarden.model.errors import ErrorKind, MintwardenError

PUSH: Final = "urn:ietf:rfc:8935"
POLL: Final = "urn:ietf:rfc:8936"
METHODS: Final = (PUSH, POLL)

SUPPORTED: Final = (SESSION_REVOKED, CREDENTIAL_CHANGE, ACCOUNT_DISABLED, ACCOUNT_ENABLED, ACCOUNT_PURGED)
"""What we tell of, because we know it: `docs/shared-signals.md`."""

VERIFY_AFTER: Final = 60
"""Seconds between two verifications of one stream (`min_verification_interval`)."""

MOST_REQUESTED: Final = 64
MOST_WITHOUT: Final = 500
"""Subjects that one stream may leave out."""
LONGEST_URL: Final = 2_000
LONGEST_HEADER: Final = 4_000
LONGEST_TEXT: Final = 500

Status = Literal["enabled", "paused", "disabled"]
STATUSES: Final[Sequence[Status]] = ("enabled", "paused", "disabled")


class Stream(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One stream. A field that is added later needs a default.

    Attributes:
        id: random; names the stream, and is no secret.
        client_id: whose it is; also its `aud`.
        method: `PUSH` or `POLL`.
        push_url, authorization: where events are pushed, and the `Authorization` that goes with them.
        requested: the event types that the receiver asked for, also those that we do not know; None for not said.
        description: the receiver's own words.
        status, reason: see SSF 1.0 section 8.1.2.
        without: subjects that the receiver does not want to hear of.
        verified_at: `Millis` of the last verification that was asked for.
    """

    id: str
    client_id: str
    method: str = POLL
    push_url: str = ""
    authorization: str = ""
    requested: tuple[str, ...] | None = None
    description: str = ""
    status: Status = "enabled"
    reason: str = ""
    without: tuple[SubjectId, ...] = ()
    verified_at: int = 0

    @property
    def delivered(self) -> tuple[str, ...]:
        """The event types that come: those we tell of, of those that were asked for."""
        return tuple(one for one in SUPPORTED if one in (self.requested or ()))


class Terms(Struct, frozen=True, kw_only=True):
    """What holds for every stream.

    Attributes:
        issuer: `iss` of streams and their events.
        poll_url: where the events of a stream are polled, by its id.
        check_url: raises `INVALID_REQUEST` for an address that nothing is pushed to.
    """

    issuer: str
    poll_url: Callable[[str], str]
    check_url: Callable[[str], None]


def described(stream: Stream, terms: Terms) -> dict[str, Any]:
    """The configuration as its receiver reads it. The `authorization_header` that it gave us is not repeated."""
    content: dict[str, Any] = {
        "stream_id": stream.id,
        **_ours(stream, terms),
        "delivery": {"method": stream.method, "endpoint_url": stream.push_url or terms.poll_url(stream.id)},
    }
    if stream.requested is not None:
        content["events_requested"] = list(stream.requested)
    if stream.description:
        content["description"] = stream.description
    return content


def created(stream: Stream, content: Mapping[str, Any], terms: Terms) -> Stream:
    """`stream`, new and bare, as its receiver wants it. Raises `INVALID_REQUEST`."""
    return changed(stream, content, terms, whole=True)


def changed(stream: Stream, content: Mapping[str, Any], terms: Terms, *, whole: bool) -> Stream:
    """The stream with what the receiver says of it; `whole` also takes away what it does not say (PUT).

    Raises `INVALID_REQUEST` for what is not of its type, and for what is ours to say and otherwise.
    """
    for name, value in _ours(stream, terms).items():
        if name in content and not _same(content[name], value):
            raise bad(f"`{name}` is the transmitter's to say, and is another")
    if whole:
        stream = replace(stream, requested=None, description="")
    if "events_requested" in content:
        stream = replace(stream, requested=_types(content["events_requested"]))
    if "description" in content:
        stream = replace(stream, description=text(content, "description", LONGEST_TEXT))
    if content.get("delivery") is not None:
        return _delivered(stream, content["delivery"], terms)
    return replace(stream, method=POLL, push_url="", authorization="") if whole else stream


def bad(public: str) -> MintwardenError:
    """What is wrong with what a receiver said."""
    return MintwardenError(ErrorKind.INVALID_REQUEST, public, hint="see `docs/shared-signals.md`")


def text(content: Mapping[str, Any], name: str, most: int, *, required: bool = False) -> str:
    """A text of at most so many characters, all of them printable; empty where it is not there."""
    value = content.get(name)
    if value is None and not required:
        return ""
    if not isinstance(value, str) or len(value) > most or not value.isprintable() or (required and not value):
        raise bad(f"`{name}` is missing, is no text, is too long or has control characters")
    return value


def _ours(stream: Stream, terms: Terms) -> dict[str, Any]:
    return {
        "iss": terms.issuer,
        "aud": stream.client_id,
        "events_supported": list(SUPPORTED),
        "events_delivered": list(stream.delivered),
        "min_verification_interval": VERIFY_AFTER,
    }


def _same(given: object, ours: object) -> bool:
    """Lists of event types are sets; an audience may stand in a list of one."""
    if isinstance(ours, list):
        return isinstance(given, list) and all(isinstance(one, str) for one in given) and set(given) == set(ours)
    return given in (ours, [ours]) if isinstance(ours, str) else type(given) is type(ours) and given == ours


def _types(given: object) -> tuple[str, ...]:
    if not isinstance(given, list) or len(given) > MOST_REQUESTED:
        raise bad("`events_requested` is no list, or is too long")
    if not all(isinstance(one, str) and len(one) <= LONGEST_TEXT and one.isprintable() for one in given):
        raise bad("`events_requested` has something in it that is no event type")
    return tuple(dict.fromkeys(given))


def _delivered(stream: Stream, given: object, terms: Terms) -> Stream:
    if not isinstance(given, Mapping) or given.get("method") not in METHODS:
        raise bad(f"`delivery` has a `method`, which is `{PUSH}` or `{POLL}`")
    if given["method"] == POLL:
        if given.get("endpoint_url") not in (None, terms.poll_url(stream.id)):
            raise bad("where events are polled is the transmitter's to say")
        return replace(stream, method=POLL, push_url="", authorization="")
    url = text(given, "endpoint_url", LONGEST_URL, required=True)
    terms.check_url(url)
    # INVARIANT: what authorizes us at one address never goes to another.
    authorization = stream.authorization if url == stream.push_url else ""
    if "authorization_header" in given:
        authorization = _header(given)
    return replace(stream, method=PUSH, push_url=url, authorization=authorization)


def _header(given: Mapping[str, Any]) -> str:
    """What may stand in a header: nothing that ends one, or that would be read otherwise elsewhere."""
    value = text(given, "authorization_header", LONGEST_HEADER)
    if not value.isascii() or value != value.strip():
        raise bad("`authorization_header` has something in it that no header has")
    return value
