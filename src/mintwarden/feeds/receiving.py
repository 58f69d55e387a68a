"""What follows from a security event of a transmitter that is listened to: whom it is about, what ends, what is known.

INVARIANT: a transmitter is heard about its own alone: people by the `iss_sub` of its issuer (or of the provider that it
speaks for), or by addresses of domains that the bundle gives it; sessions and devices where the bundle lets it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from mintwarden.feeds.security_events import CAEP, RISC, STREAM_UPDATED, VERIFICATION, SecurityEvent
from mintwarden.feeds.subject_ids import ALIASES, COMPLEX, SubjectId
from mintwarden.model.catalogue import Provider
from mintwarden.model.signals import FACTS, FAMILIES, SignalRefused, Transmitter
from mintwarden.model.values import EntityUid

SKEW: Final = 60_000
"""Difference between a transmitter's clock and ours that is forgiven, in milliseconds."""

_LONGEST_ID = 512
_LONGEST_VALUE = 200
_ADDRESS = re.compile(r"([A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64})@([A-Za-z0-9.-]{1,253})", re.ASCII)
_BARE: Mapping[str, str] = {"session-revoked": "session", "device-compliance-change": "device"}
"""What a name alone (`opaque`) stands for, by event, where the subject is no complex one."""


class Whom(Struct, frozen=True, kw_only=True):
    """Whom an event is about, as it is called here.

    Attributes:
        person: None where the transmitter names no person, or one whom only their sessions tell.
        upstream_subject: the person as the provider calls them, or empty.
        session: the provider's name of a session, or empty.
        device: the device's id, or empty.
        elsewhere: it is about what the person has at another application of the provider's, and not at us.
    """

    person: EntityUid | None = None
    upstream_subject: str = ""
    session: str = ""
    device: str = ""
    elsewhere: bool = False


class Consequence(Struct, frozen=True, kw_only=True):
    """What follows from an event.

    Attributes:
        event: its short name.
        whom: whom it is about.
        at: when it happened, `Millis`: what began later is not touched, what was observed later is not overwritten.
        sessions: the sessions of `whom` end.
        everything: every token and grant of the person ends.
        source: the source that has the facts, or empty.
        facts: what it says; all that the family of the event can, as far as the event does.
        about: what the facts are about, of `user`, `session`, `device`.
    """

    event: str
    whom: Whom
    at: int
    sessions: bool = False
    everything: bool = False
    source: str = ""
    facts: Mapping[str, str] = {}
    about: tuple[str, ...] = ()


def short_name(event: str) -> str:
    """The name of an event that something may come of here, of one about the stream, or empty."""
    for begins in (CAEP, RISC):
        if event.startswith(begins) and FAMILIES.get(event.removeprefix(begins)) is not None:
            return event.removeprefix(begins)
    return {VERIFICATION: "verification", STREAM_UPDATED: "stream-updated"}.get(event, "")


def what_follows(
    event: SecurityEvent, transmitter: Transmitter, provider: Provider | None, *, toe: object = None
) -> Consequence | None:
    """What follows from an event that is not about the stream; None where it is none that is known here. Pure.

    `provider` is the one that the transmitter speaks for; `toe` the claim of that name. Raises `SignalRefused` for an
    event or a subject that is not the transmitter's to tell of, and for an event that is not as its definition says.
    """
    name = short_name(event.event)
    if not name:
        return None
    if name not in transmitter.events:
        raise SignalRefused("access_denied", f"`{name}` is not among the events that are taken from this transmitter")
    whom = whom_of(event.subject, name, transmitter, provider)
    family, content = FAMILIES[name], event.content
    facts, about = _facts(name, content)
    about = () if whom.elsewhere else about
    source = transmitter.facts.get(family, "") if family else ""
    return Consequence(
        event=name,
        whom=whom,
        at=_happened_at(event, toe),
        sessions=_ends_sessions(name, content) and not whom.elsewhere,
        everything=not whom.elsewhere and name in ("credential-compromise", "account-disabled", "account-purged"),
        source=source if about else "",
        facts=facts,
        about=about,
    )


def whom_of(subject: SubjectId, event: str, transmitter: Transmitter, provider: Provider | None) -> Whom:
    """Whom a subject identifier means, in the transmitter's mouth; raises `SignalRefused` where that is nobody of its.

    Of a complex subject, what is no user, session, device or application is as good as undefined, and so no bar (SSF
    1.0 section 8.1.3.1): there are no tenants of the transmitter's here that one could be of. An application is
    defined here where there is a provider: the one that we are there.
    """
    members = [(role, one) for role, one in subject.items() if role in ("user", "session", "device")]
    if subject.get("format") != COMPLEX:
        opaque = subject.get("format") == "opaque"
        members = [(_BARE.get(event, "") if opaque else "user", subject)]
    found: dict[str, Any] = {}
    for role, one in members:
        if role not in transmitter.speaks_of:
            raise SignalRefused("access_denied", "the transmitter does not speak of subjects of this kind here")
        found |= _person(one, transmitter, provider) if role == "user" else {role: _name(one, transmitter, provider)}
    if not found:
        raise SignalRefused("access_denied", "the subject is none that the transmitter speaks of here")
    return Whom(**found, elsewhere=_is_elsewhere(subject, transmitter, provider))


def _is_elsewhere(subject: SubjectId, transmitter: Transmitter, provider: Provider | None) -> bool:
    application = subject.get("application")
    if provider is None or subject.get("format") != COMPLEX or application is None:
        return False
    if application.get("format") == "opaque":
        return bool(application["id"] != provider.client_id)
    own = application.get("format") == "iss_sub" and _is_own(application["iss"], transmitter, provider)
    return own and bool(application["sub"] != provider.client_id)


def _person(subject: SubjectId, transmitter: Transmitter, provider: Provider | None) -> Mapping[str, Any]:
    """Who it is. Of several identifiers of one person, those count that are the transmitter's, and mean one person."""
    each = subject["identifiers"] if subject.get("format") == ALIASES else [subject]
    found = [one for one in (_identified(one, transmitter, provider) for one in each) if one]
    if not found:
        raise SignalRefused("access_denied", "the subject is none that the transmitter is authoritative for")
    told = {name: value for one in found for name, value in one.items()}
    if any(one[name] != told[name] for one in found for name in one):
        raise SignalRefused("invalid_request", "the subject's identifiers are of several people")
    return told


def _identified(subject: SubjectId, transmitter: Transmitter, provider: Provider | None) -> Mapping[str, Any]:
    kind = subject.get("format")
    if kind == "iss_sub" and _is_own(subject["iss"], transmitter, provider):
        name = _checked(subject["sub"])
        prefix = transmitter.subject_prefix if provider is None else provider.subject_prefix
        if provider is not None and provider.subject != "sub":
            return {"upstream_subject": name}
        person = {"person": EntityUid("User", _checked(prefix + name))}
        return person if provider is None else person | {"upstream_subject": name}
    if kind == "email":
        address = _ADDRESS.fullmatch(subject["email"])
        named = transmitter.emails.get(address[2].lower()) if address else None
        if address and named:
            called = named.replace("{local}", address[1]).replace("{address}", f"{address[1]}@{address[2].lower()}")
            return {"person": EntityUid("User", called)}
    return {}


def _name(subject: SubjectId, transmitter: Transmitter, provider: Provider | None) -> str:
    """A session or a device by name: alone, or as its issuer's."""
    if subject.get("format") == "opaque":
        return _checked(subject["id"])
    if subject.get("format") == "iss_sub" and _is_own(subject["iss"], transmitter, provider):
        return _checked(subject["sub"])
    raise SignalRefused("access_denied", "the subject is none that the transmitter is authoritative for")


def _is_own(issuer: str, transmitter: Transmitter, provider: Provider | None) -> bool:
    return issuer == transmitter.issuer or (provider is not None and issuer == provider.issuer)


def _checked(name: str) -> str:
    if not name.isprintable() or len(name) > _LONGEST_ID:
        raise SignalRefused("invalid_request", "the subject's name is too long, or is not printable")
    return name


def _happened_at(event: SecurityEvent, toe: object) -> int:
    """When it happened (`event_timestamp`, CAEP 1.0 section 2; `toe`, RFC 8417 section 2.2), or else was told."""
    said = event.content.get("event_timestamp", toe)
    if said is None:
        return event.issued_at * 1000
    if type(said) not in (int, float) or not 0 <= said < 1 << 53:
        raise SignalRefused("invalid_request", "the time of the event is no time")
    at = int(said * 1000)
    if at > event.issued_at * 1000 + SKEW:
        raise SignalRefused("invalid_request", "the event is later than its token: times are in seconds")
    # INVARIANT: a clock that is forgiven dates nothing ahead of its token: it would stand before what comes later.
    return min(at, event.issued_at * 1000)


def _ends_sessions(name: str, content: Mapping[str, Any]) -> bool:
    if name == "credential-change":
        return _one_of(content, "change_type", ("create", "revoke", "update", "delete")) != "create"
    return FAMILIES[name] in ("", "account", "credential") and name != "account-enabled"


def _facts(name: str, content: Mapping[str, Any]) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """What an event says, and about what."""
    family = FAMILIES[name]
    people = ("user",)
    if family == "account":
        said = {"account_status": name.removeprefix("account-"), "account_reason": _text(content, "reason")}
        return _said(family, said), people
    if family == "credential":
        changed = {"change_type": _text(content, "change_type"), "credential_type": _text(content, "credential_type")}
        return _said(family, changed | {"credential_event": name}), people
    if family == "device-compliance":
        status = _one_of(content, "current_status", ("compliant", "not-compliant"))
        return _said(family, {"device_compliance": status}), ("user", "device")
    if family == "assurance-level":
        told = {f"assurance_{short}": _text(content, long, needed=True) for short, long in _ASSURANCE}
        return _said(family, told), ("user", "session")
    if family == "risk-level":
        level = _one_of(content, "current_level", ("LOW", "MEDIUM", "HIGH"))
        about = _text(content, "principal", needed=True).lower()
        told = {"risk_level": level, "risk_reason": _text(content, "risk_reason")}
        return _said(family, told), (about,) if about in ("user", "session", "device") else ()
    return {}, ()


_ASSURANCE = (("level", "current_level"), ("namespace", "namespace"))


def _said(family: str, told: Mapping[str, str]) -> Mapping[str, str]:
    return {name: told[name] for name in FACTS[family] if told.get(name)}


def _text(content: Mapping[str, Any], name: str, *, needed: bool = False) -> str:
    value = content.get(name)
    if value is None and not needed:
        return ""
    if not isinstance(value, str) or not value or len(value) > _LONGEST_VALUE or not value.isprintable():
        raise SignalRefused("invalid_request", f"`{name}` of the event is not as it has to be")
    return value


def _one_of(content: Mapping[str, Any], name: str, known: tuple[str, ...]) -> str:
    value = _text(content, name, needed=True)
    if value not in known:
        raise SignalRefused("invalid_request", f"`{name}` of the event is not as it has to be")
    return value


def entities(what: Consequence, sessions: tuple[str, ...]) -> Iterator[str]:
    """The keys of what the facts are about, as far as they are known here; `sessions` by our own names."""
    for about in what.about:
        if about == "user" and what.whom.person is not None:
            yield f"User:{what.whom.person.id}"
        elif about == "device" and what.whom.device:
            yield f"device:{what.whom.device}"
        elif about == "session":
            yield from (f"session:{name}" for name in sessions)
