"""Security event tokens as claims (RFC 8417), the way SSF 1.0 section 4 and the CAEP profile have them.

One event for each token; whom it is about in `sub_id`, on top; never `sub` and never `exp`, so that nobody takes one
for a token that lets somebody in. Signing and reading signatures is others' business: this is about what is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from mintwarden.feeds.subject_ids import BadSubjectId, SubjectId, read_subject_id

TYP: Final = "secevent+jwt"
"""The `typ` of every one of them (RFC 8417 section 2.3)."""
ALGORITHM: Final = "RS256"
"""What the CAEP interoperability profile has them signed with, by keys of 2048 bits or more."""

SSF: Final = "https://schemas.openid.net/secevent/ssf/event-type/"
CAEP: Final = "https://schemas.openid.net/secevent/caep/event-type/"
RISC: Final = "https://schemas.openid.net/secevent/risc/event-type/"

VERIFICATION: Final = SSF + "verification"
STREAM_UPDATED: Final = SSF + "stream-updated"

SESSION_REVOKED: Final = CAEP + "session-revoked"
TOKEN_CLAIMS_CHANGE: Final = CAEP + "token-claims-change"
CREDENTIAL_CHANGE: Final = CAEP + "credential-change"
ASSURANCE_LEVEL_CHANGE: Final = CAEP + "assurance-level-change"
DEVICE_COMPLIANCE_CHANGE: Final = CAEP + "device-compliance-change"
SESSION_ESTABLISHED: Final = CAEP + "session-established"
SESSION_PRESENTED: Final = CAEP + "session-presented"
RISK_LEVEL_CHANGE: Final = CAEP + "risk-level-change"

ACCOUNT_CREDENTIAL_CHANGE_REQUIRED: Final = RISC + "account-credential-change-required"
ACCOUNT_PURGED: Final = RISC + "account-purged"
ACCOUNT_DISABLED: Final = RISC + "account-disabled"
ACCOUNT_ENABLED: Final = RISC + "account-enabled"
IDENTIFIER_CHANGED: Final = RISC + "identifier-changed"
IDENTIFIER_RECYCLED: Final = RISC + "identifier-recycled"
CREDENTIAL_COMPROMISE: Final = RISC + "credential-compromise"
OPT_IN: Final = RISC + "opt-in"
OPT_OUT_INITIATED: Final = RISC + "opt-out-initiated"
OPT_OUT_CANCELLED: Final = RISC + "opt-out-cancelled"
OPT_OUT_EFFECTIVE: Final = RISC + "opt-out-effective"
RECOVERY_ACTIVATED: Final = RISC + "recovery-activated"
RECOVERY_INFORMATION_CHANGED: Final = RISC + "recovery-information-changed"
SESSIONS_REVOKED: Final = RISC + "sessions-revoked"  # deprecated in favour of CAEP's

OF_STREAMS: Final = frozenset({VERIFICATION, STREAM_UPDATED})
"""What is said about a stream itself: sent whatever its receiver asked for."""
OF_CAEP: Final = frozenset(
    {
        SESSION_REVOKED,
        TOKEN_CLAIMS_CHANGE,
        CREDENTIAL_CHANGE,
        ASSURANCE_LEVEL_CHANGE,
        DEVICE_COMPLIANCE_CHANGE,
        SESSION_ESTABLISHED,
        SESSION_PRESENTED,
        RISK_LEVEL_CHANGE,
    }
)
OF_RISC: Final = frozenset(
    {
        ACCOUNT_CREDENTIAL_CHANGE_REQUIRED,
        ACCOUNT_PURGED,
        ACCOUNT_DISABLED,
        ACCOUNT_ENABLED,
        IDENTIFIER_CHANGED,
        IDENTIFIER_RECYCLED,
        CREDENTIAL_COMPROMISE,
        OPT_IN,
        OPT_OUT_INITIATED,
        OPT_OUT_CANCELLED,
        OPT_OUT_EFFECTIVE,
        RECOVERY_ACTIVATED,
        RECOVERY_INFORMATION_CHANGED,
        SESSIONS_REVOKED,
    }
)
KNOWN: Final = OF_STREAMS | OF_CAEP | OF_RISC

LONGEST: Final = 1_000
"""Characters of an identifier in a token."""


class BadEvent(ValueError):
    """The claims are none of a security event token. The message is one line, and names no value."""


class SecurityEvent(Struct, frozen=True, kw_only=True):
    """One thing that happened, as one token says it.

    Attributes:
        issuer: of the stream and of the token.
        audience: whom the token is for.
        token_id: its `jti`, by which it is acknowledged.
        issued_at: when it was made, in seconds.
        event: the URI of its type.
        subject: whom it is about.
        content: what else the event says.
        transaction: `txn`: what caused it, common to all that one cause brought about; or empty.
    """

    issuer: str
    audience: tuple[str, ...]
    token_id: str
    issued_at: int
    event: str
    subject: SubjectId
    content: Mapping[str, Any] = {}
    transaction: str = ""


def claims_of(event: SecurityEvent) -> dict[str, Any]:
    """The claims that say it; one audience stands alone, several in a list (RFC 7519 section 4.1.3)."""
    claims: dict[str, Any] = {
        "iss": event.issuer,
        "aud": event.audience[0] if len(event.audience) == 1 else list(event.audience),
        "iat": event.issued_at,
        "jti": event.token_id,
        "sub_id": dict(event.subject),
        "events": {event.event: dict(event.content)},
    }
    if event.transaction:
        claims["txn"] = event.transaction
    return claims


def read_event(claims: Mapping[str, Any]) -> SecurityEvent:
    """What the claims of a token say whose signature and `typ` somebody checked.

    Who it is of and for, and whether it is the first of its `jti`, are the caller's to judge. Raises `BadEvent` for
    what is no security event token, has a claim that would make another kind of token of it (`sub`, `exp`), or tells
    of several events, or of none.
    """
    if barred := {"sub", "exp", "nonce"} & claims.keys():
        raise BadEvent(f"a security event token has no {', '.join(f'`{name}`' for name in sorted(barred))}")
    events = claims.get("events")
    if not isinstance(events, Mapping) or len(events) != 1:
        raise BadEvent("`events` tells of one event")
    ((event, content),) = events.items()
    if not event or len(event) > LONGEST or not isinstance(content, Mapping):
        raise BadEvent("an event is an object under the URI of its type")
    issued_at = claims.get("iat")
    if type(issued_at) is float:  # a `NumericDate` may have a fraction (RFC 7519 section 2)
        issued_at = int(issued_at) if 0 <= issued_at < 2**53 else None
    if type(issued_at) is not int or issued_at < 0:
        raise BadEvent("`iat` is missing, or is no time")
    try:
        subject = read_subject_id(claims.get("sub_id"), others=True)
    except BadSubjectId as bad:
        raise BadEvent(str(bad)) from None
    return SecurityEvent(
        issuer=_text(claims, "iss"),
        audience=_audience(claims.get("aud")),
        token_id=_text(claims, "jti"),
        issued_at=issued_at,
        event=event,
        subject=subject,
        content=content,
        transaction=_text(claims, "txn") if "txn" in claims else "",
    )


def _audience(given: object) -> tuple[str, ...]:
    found = [given] if isinstance(given, str) else given
    if not isinstance(found, list) or not found or not all(isinstance(one, str) and one for one in found):
        raise BadEvent("`aud` is missing, or names nobody")
    return tuple(found)


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not value or len(value) > LONGEST:
        raise BadEvent(f"`{name}` is missing, is no text or is too long")
    return value
