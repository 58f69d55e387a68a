"""Shared Signals out, in the store of this deployment: streams, what waits for them, and what is told of.

Whoever ends something tells here, also a command that runs beside the service: what is pushed is sent by the nodes.
Where the bundle has no audience `shared-signals` nothing is read and nothing is written.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from mintwarden.app.foundation import SELF, Foundation
from mintwarden.app.telling import WAITING, Notice
from mintwarden.authn.fetch import check_url, is_public
from mintwarden.authn.ports import About, Place
from mintwarden.authn.sessions import Session
from mintwarden.authn.shelf import Shelf
from mintwarden.feeds.security_events import (
    ACCOUNT_DISABLED,
    ACCOUNT_ENABLED,
    ACCOUNT_PURGED,
    CREDENTIAL_CHANGE,
    OF_STREAMS,
    SESSION_REVOKED,
)
from mintwarden.feeds.streams import PUSH, Stream, Terms
from mintwarden.feeds.subject_ids import SubjectId, complex_subject, iss_sub, opaque
from mintwarden.feeds.transmitter import MOST_ABOUT, MOST_WAITING, Transmitter, Waiting, goes_out
from mintwarden.issue.granted import Granted
from mintwarden.model.caller import Evidence
from mintwarden.model.catalogue import Catalogue
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.values import EntityUid
from mintwarden.web.discovery import base_of
from mintwarden.web.ssf.endpoint import AUDIENCE
from mintwarden.web.ssf.metadata import POLL

STREAM: Final = "signal_stream"
EVENT: Final = "signal_event"
TRIGGER: Final = "signal_push"
"""Kinds of states."""
STREAMS: Final = "signals"
"""By what all streams are found: no entity's key."""
LASTS: Final = 10 * 365 * 24 * 3_600_000
"""Milliseconds after its last change for which a stream is there."""
HELD: Final = 7 * 24 * 3_600_000
"""Milliseconds for which an event waits to be taken."""
TRIED: Final = 2 * 3_600_000
"""Milliseconds for which it is tried to push one."""

Became = Literal["disabled", "enabled", "purged"]
_ACCOUNTS: Mapping[Became, str] = {
    "disabled": ACCOUNT_DISABLED,
    "enabled": ACCOUNT_ENABLED,
    "purged": ACCOUNT_PURGED,
}
_CREDENTIALS: Final = {"platform": "fido2-platform", "cross-platform": "fido2-roaming"}
"""What CAEP calls a passkey, by where it lives."""
_BY_PERSON: Final = frozenset({"signed out", "signed out from another session", "another person signed in"})


class PushNotice(Notice, frozen=True, kw_only=True):
    """That an event is to be pushed. What it says is with the event: nothing of it is here."""

    stream_id: str
    token_id: str
    host: str

    @property
    def handle(self) -> str:
        """An event of a stream is pushed once."""
        return _handle(self.stream_id, self.token_id)


class StoredStreams:
    """See `feeds.transmitter.Streams`."""

    def __init__(self, base: Foundation) -> None:
        self._base = base
        self._shelf = Shelf(STREAM, Stream, states=base.store.states, seal=base.master)

    async def find(self, client_id: str) -> Stream | None:
        held = await self._shelf.get(client_id, self._base.clock.now())
        return None if held is None else held.value

    async def all(self) -> Sequence[Stream]:
        return [held.value for held in await self._shelf.owned(STREAMS, self._base.clock.now())]

    async def add(self, stream: Stream) -> bool:
        ends = self._base.clock.now() + LASTS
        return await self._shelf.add(stream.client_id, stream, ends=ends, owner=STREAMS)

    async def replace(self, old: Stream, new: Stream) -> bool:
        now = self._base.clock.now()
        held = await self._shelf.get(old.client_id, now)
        if held is None or held.value != old:
            return False
        return await self._shelf.replace(held, new, ends=now + LASTS)

    async def remove(self, stream: Stream) -> None:
        held = await self._shelf.get(stream.client_id, self._base.clock.now())
        if held is not None and held.value.id == stream.id:
            await self._shelf.remove(held)


class StoredEvents:
    """See `feeds.transmitter.Events`."""

    def __init__(self, base: Foundation) -> None:
        self._base = base
        self._states = base.store.states
        self._events = Shelf(EVENT, Waiting, states=base.store.states, seal=base.master)
        self._triggers = Shelf(TRIGGER, PushNotice, states=base.store.states, seal=base.master)

    async def put(self, stream: Stream, event: Waiting) -> None:
        now = self._base.clock.now()
        handle = _handle(stream.id, event.token_id)
        owner = _about(stream.id) if event.event in OF_STREAMS else _owner(stream.id)
        states = [self._events.state(handle, event, ends=now + HELD, owner=owner)]
        if stream.method == PUSH and goes_out(stream, event):
            trigger = _trigger(stream, event.token_id, now)
            states.append(self._triggers.state(handle, trigger, ends=now + 2 * TRIED, owner=WAITING))
        await self._states.add(states)

    async def get(self, stream_id: str, token_id: str) -> Waiting | None:
        """One of them."""
        held = await self._events.get(_handle(stream_id, token_id), self._base.clock.now())
        return None if held is None else held.value

    async def oldest(self, stream_id: str, most: int) -> Sequence[Waiting]:
        return await self._oldest(_owner(stream_id), most)

    async def about(self, stream_id: str) -> Sequence[Waiting]:
        return await self._oldest(_about(stream_id), MOST_ABOUT)

    async def _oldest(self, owner: str, most: int) -> Sequence[Waiting]:
        now = self._base.clock.now()
        past: Place = (now, b"")
        held = await self._events.lasting(owner, now, most, past, back=True)
        return sorted((one.value for one in held), key=lambda event: event.at)

    async def count(self, stream_id: str) -> int:
        return len(await self._states.owned(EVENT, _owner(stream_id), MOST_WAITING))

    async def remove(self, stream_id: str, token_ids: Iterable[str]) -> None:
        keys = [self._events.key(_handle(stream_id, name)) for name in token_ids]
        await self._states.remove_all(EVENT, keys)

    async def send(self, stream: Stream) -> None:
        now = self._base.clock.now()
        held = [*await self.about(stream.id), *await self.oldest(stream.id, MOST_WAITING)]
        for place, event in enumerate(sorted(held, key=lambda one: one.at)):
            trigger = _trigger(stream, event.token_id, now + place)
            if not await self._triggers.add(trigger.handle, trigger, ends=now + 2 * TRIED, owner=WAITING):
                waits = await self._triggers.get(trigger.handle, now)  # for its next attempt: it is now
                if waits is not None:
                    await self._triggers.replace(waits, trigger, ends=now + 2 * TRIED)


class SignalsOut:
    """Tells receivers what ended. `catalogue` is what governs now."""

    def __init__(self, base: Foundation, catalogue: Callable[[], Catalogue]) -> None:
        self._base = base
        self._catalogue = catalogue
        self.streams = StoredStreams(base)
        self.events = StoredEvents(base)
        self.transmitter = Transmitter(
            streams=self.streams,
            events=self.events,
            terms=Terms(
                issuer=base.issuer,
                poll_url=lambda name: f"{base_of(base.issuer)}{POLL}{name}",
                check_url=self._check,
            ),
            record=self._record,
            now=base.clock.now,
            random=lambda: secrets.token_urlsafe(18),
        )

    @property
    def on(self) -> bool:
        """Whether there is a transmitter."""
        return AUDIENCE in self._catalogue().audiences

    async def session_ended(self, session: Session, why: str) -> None:
        """A sign-out, of whatever kind. Safe to tell again."""
        sign_in = session.sign_in
        subject = complex_subject(user=self._person(sign_in.subject), session=opaque(sign_in.session))
        by = "user" if why in _BY_PERSON else "system"
        await self._revoked(subject, by, "the session has ended", cause=f"session {sign_in.session}")

    async def revoked(self, about: About, value: str, by: EntityUid, *, before: int | None = None) -> None:
        """A revocation that somebody asked for: of a session, a person, or a client, once it counts.

        What began after `before` (`Millis`) goes on, which a receiver knows by the time of the event.
        What was revoked by the name of a token, a key, an actor, a link or a version is no session of anybody's.
        """
        subject = self._subject(about, value) if self.on else None
        if subject is not None:
            initiator = "system" if by == SELF else "admin"
            cause = secrets.token_hex(16)
            await self._revoked(subject, initiator, "revoked at the token service", cause=cause, at=before)

    async def grant_ended(self, granted: Granted, by: EntityUid) -> None:
        """What a person had allowed a client has ended. Safe to tell again."""
        person = granted.sign_in.subject
        subject = complex_subject(
            user=self._person(person),
            application=iss_sub(self._base.issuer, granted.client_id),
            grant=opaque(granted.grant_id),
        )
        initiator = "user" if by == person else "policy" if by == SELF else "admin"
        reason = "what the person had allowed the application has ended"
        await self._revoked(subject, initiator, reason, cause=f"grant {granted.grant_id}")

    async def passkey_changed(
        self, person: EntityUid, passkey: str, attachment: str, change: Literal["create", "delete"], by: EntityUid
    ) -> None:
        """A person has a passkey here, or has it no more (CAEP 1.0 section 3.3). Safe to tell again.

        `attachment` is what the browser said of where it lives. What the person calls it is theirs, and is not told.
        """
        if not self.on:
            return
        content = {
            "credential_type": _CREDENTIALS.get(attachment, "fido2"),
            "change_type": change,
            "event_timestamp": self._base.clock.now() // 1000,
            "initiating_entity": "user" if by == person else "admin",
            "reason_admin": {"en": "a passkey was made" if change == "create" else "a passkey was removed"},
        }
        await self._tell(CREDENTIAL_CHANGE, self._person(person), content, cause=f"passkey {change} {passkey}")

    async def erased(self, person: EntityUid) -> None:
        """A person was forgotten here."""
        await self.account_became(person, "purged", cause=secrets.token_hex(16))

    async def account_became(self, person: EntityUid, became: Became, *, cause: str) -> None:
        """An account was barred, let in again, or ended, by whoever decides about it here (RISC 1.0 section 2)."""
        if self.on and person.type == "User":
            await self._tell(_ACCOUNTS[became], self._person(person), {}, cause=cause)

    async def _revoked(self, subject: SubjectId, by: str, reason: str, *, cause: str, at: int | None = None) -> None:
        """INVARIANT: why, in words of ours: whatever an administrator wrote may be about somebody, and is sealed."""
        if not self.on:
            return
        content = {
            "event_timestamp": (self._base.clock.now() if at is None else at) // 1000,
            "initiating_entity": by,
            "reason_admin": {"en": reason},
        }
        await self._tell(SESSION_REVOKED, subject, content, cause=cause)

    async def _tell(self, event: str, subject: SubjectId, content: Mapping[str, Any], *, cause: str) -> None:
        await self.transmitter.tell(event, subject, content, cause=cause, hears=self._hears)

    def _hears(self, client_id: str) -> bool:
        """INVARIANT: a client of the bundle that may not have a token for receivers any more hears nothing more."""
        client = self._catalogue().clients.get(client_id)
        return client is None or AUDIENCE in client.ceilings

    def _subject(self, about: About, value: str) -> SubjectId | None:
        kind, _, name = value.partition(":")
        if about == "subject" and kind == "User":
            return iss_sub(self._base.issuer, name)
        if about == "session":
            return complex_subject(session=opaque(value))
        if about == "client":
            return complex_subject(application=iss_sub(self._base.issuer, value))
        return None

    def _person(self, person: EntityUid) -> SubjectId:
        return iss_sub(self._base.issuer, person.id)

    async def _record(self, who: Evidence, what: str, detail: Mapping[str, object]) -> None:
        public = {"what": what, "client": who.client_id, "token": who.token_id, **detail}
        await self._base.scribe().write("administration", who.principal, public)

    def _check(self, url: str) -> None:
        """What the way out would refuse in any case is refused at once; a name is judged by where it leads then."""
        config = self._base.config
        try:
            check_url(url, development=config.server.dev)
            address = ipaddress.ip_address(urlsplit(url).hostname or "")
        except MintwardenError:
            raise _refused("is no https URL, or has user information or a fragment") from None
        except ValueError:
            return  # a name
        own = any(address in ipaddress.ip_network(network) for network in config.notices.networks)
        if not (is_public(address) or own or (config.server.dev and address.is_loopback)):
            raise _refused("is not public")


def signals_of(base: Foundation) -> SignalsOut:
    """Who tells receivers under what governs `base`."""
    return SignalsOut(base, lambda: base.bundle.catalogue)


def _refused(why: str) -> MintwardenError:
    return MintwardenError(ErrorKind.INVALID_REQUEST, f"nothing is pushed there: `endpoint_url` {why}")


def _handle(stream_id: str, token_id: str) -> str:
    return f"{stream_id} {token_id}"


def _owner(stream_id: str) -> str:
    return f"{STREAMS} {stream_id}"


def _about(stream_id: str) -> str:
    """The owner of what is about a stream itself: found apart, so that nothing that waits stands before it."""
    return f"{_owner(stream_id)} itself"


def _trigger(stream: Stream, token_id: str, now: int) -> PushNotice:
    host = urlsplit(stream.push_url).hostname or stream.client_id
    return PushNotice(
        client_id=stream.client_id, stream_id=stream.id, token_id=token_id, host=host, ends=now + TRIED, due=now
    )
