"""The transmitter: what receivers ask of their streams, and what goes into them (SSF 1.0 section 8, RFC 8936)."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from mintwarden.feeds.polling import PollRequest
from mintwarden.feeds.security_events import STREAM_UPDATED, VERIFICATION, SecurityEvent
from mintwarden.feeds.streams import (
    LONGEST_TEXT,
    MOST_WITHOUT,
    PUSH,
    STATUSES,
    VERIFY_AFTER,
    Status,
    Stream,
    Terms,
    bad,
    changed,
    created,
    described,
    text,
)
from mintwarden.feeds.subject_ids import COMPLEX, BadSubjectId, SubjectId, matches, opaque, read_subject_id
from mintwarden.model.caller import Evidence
from mintwarden.model.errors import ErrorKind, MintwardenError

MOST_WAITING: Final = 1_000
"""Events that are held for one stream. One more, and it is paused: whoever does not come for them is told why."""
MOST_ABOUT: Final = 100
"""Events about one stream itself that are held beside them. Those beyond are not made."""
LARGEST_WITHOUT: Final = 128 * 1024
"""Bytes of all subjects that one stream leaves out: every stream is read whenever something is told."""
TRIES: Final = 20
FULL: Final = "too many events were waiting: those after them were not kept"
UNREACHED: Final = "events could not be pushed: they are held until the stream is enabled again"
"""Why a stream was paused by ourselves."""


class Waiting(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event that is held for a stream until it was taken. What it is signed as is made anew for each delivery.

    Attributes:
        token_id: `jti`.
        at: `Millis` when it happened.
        event, subject, content: what it says.
        transaction: what caused it.
    """

    token_id: str
    at: int
    event: str
    subject: SubjectId
    content: Mapping[str, Any] = {}
    transaction: str = ""


class Streams(Protocol):
    """Remembers streams, one for each client. What is written is seen by the next read of any node."""

    async def find(self, client_id: str) -> Stream | None:
        """The stream of a client."""
        ...

    async def all(self) -> Sequence[Stream]:
        """Every stream."""
        ...

    async def add(self, stream: Stream) -> bool:
        """False where the client has one already."""
        ...

    async def replace(self, old: Stream, new: Stream) -> bool:
        """False where it is not `old` any more."""
        ...

    async def remove(self, stream: Stream) -> None:
        """Forget it."""
        ...


class Events(Protocol):
    """Holds events for streams, each until it was taken or is too old. Durable, and the same for every node."""

    async def put(self, stream: Stream, event: Waiting) -> None:
        """Hold it; nothing where the stream has one of this `jti`. It is sent where the stream is pushed to."""
        ...

    async def oldest(self, stream_id: str, most: int) -> Sequence[Waiting]:
        """Up to so many of what happened, in that order; without what is about the stream itself."""
        ...

    async def about(self, stream_id: str) -> Sequence[Waiting]:
        """What is about the stream itself, up to `MOST_ABOUT`, in the order in which it was said."""
        ...

    async def count(self, stream_id: str) -> int:
        """How many there are of what happened, up to `MOST_WAITING`."""
        ...

    async def remove(self, stream_id: str, token_ids: Iterable[str]) -> None:
        """Forget them; nothing for what is not there."""
        ...

    async def send(self, stream: Stream) -> None:
        """Have everything that is held pushed, from the oldest on."""
        ...


Record = Callable[[Evidence, str, Mapping[str, object]], Awaitable[object]]
"""Writes an act of a receiver into the ledger, durably: who, what, and about which stream."""


class TooFrequent(MintwardenError):
    """Asked for too often; in so many seconds it may be."""

    def __init__(self, seconds: int) -> None:
        super().__init__(ErrorKind.INVALID_REQUEST, f"too frequent: again in {seconds} seconds")
        self.seconds = seconds


class Transmitter:
    """See the module. INVARIANT: nobody reaches a stream that is another client's, or learns that there is one."""

    def __init__(
        self,
        *,
        streams: Streams,
        events: Events,
        terms: Terms,
        record: Record,
        now: Callable[[], int],
        random: Callable[[], str],
    ) -> None:
        self._streams = streams
        self._events = events
        self._terms = terms
        self._record = record
        self._now = now
        self._random = random

    async def create(self, who: Evidence, content: Mapping[str, Any]) -> dict[str, Any]:
        """The configuration of a new stream. Raises `CONFLICT` where the client has one (section 8.1.1.1)."""
        stream = created(Stream(id=self._random(), client_id=who.client_id), content, self._terms)
        if await self._streams.find(who.client_id) is not None:
            raise _second()
        await self._note(who, "stream_created", stream)
        if not await self._streams.add(stream):
            raise _second()
        return described(stream, self._terms)

    async def configuration(self, who: Evidence, stream_id: str) -> dict[str, Any]:
        """The configuration of the client's stream."""
        return described(await self._own(who, stream_id), self._terms)

    async def configurations(self, who: Evidence) -> list[dict[str, Any]]:
        """Those of all of the client's streams: of one, or of none."""
        found = await self._streams.find(who.client_id)
        return [] if found is None else [described(found, self._terms)]

    async def update(self, who: Evidence, content: Mapping[str, Any], *, whole: bool) -> dict[str, Any]:
        """The configuration after a PATCH, or with `whole` after a PUT."""
        old = await self._own(who, _named(content))
        new = changed(old, content, self._terms, whole=whole)
        if new != old:
            await self._note(who, "stream_changed", new)
            new = await self._replaced(old, lambda stream: changed(stream, content, self._terms, whole=whole))
            if new.method == PUSH and (old.method, old.push_url) != (new.method, new.push_url):
                await self._events.send(new)
        return described(new, self._terms)

    async def delete(self, who: Evidence, stream_id: str) -> None:
        """Forget the stream, with everything that is held for it."""
        stream = await self._own(who, stream_id)
        await self._note(who, "stream_deleted", stream)
        await self._streams.remove(stream)
        await self._drop(stream)

    async def status(self, who: Evidence, stream_id: str) -> dict[str, Any]:
        """The status of the client's stream."""
        return _status(await self._own(who, stream_id))

    async def set_status(self, who: Evidence, content: Mapping[str, Any]) -> dict[str, Any]:
        """The status as the receiver wants it: what was held goes out again, or, of a disabled one, is dropped."""
        old = await self._own(who, _named(content))
        wanted, reason = _wanted(content), text(content, "reason", LONGEST_TEXT)
        await self._note(who, "stream_status", old, status=wanted)
        new = await self._replaced(old, lambda stream: replace(stream, status=wanted, reason=reason))
        if wanted == "disabled":
            await self._drop(new)
        elif wanted == "enabled" and new.method == PUSH:
            await self._events.send(new)
        return _status(new)

    async def add_subject(self, who: Evidence, content: Mapping[str, Any]) -> None:
        """Tell of a subject again. INVARIANT: nobody is looked up, so that nothing tells whether there is one."""
        subject, _ = _subject(content), _flag(content, "verified")
        stream = await self._own(who, _named(content))
        if subject in stream.without:
            await self._note(who, "stream_subject_added", stream)
            await self._replaced(
                stream, lambda one: replace(one, without=tuple(s for s in one.without if s != subject))
            )

    async def remove_subject(self, who: Evidence, content: Mapping[str, Any]) -> None:
        """Tell no more of a subject. As above, whether there is one or not."""
        subject = _subject(content)
        stream = await self._own(who, _named(content))
        if subject in stream.without:
            return
        if len(stream.without) >= MOST_WITHOUT:
            raise bad(f"a stream leaves out no more than {MOST_WITHOUT} subjects")
        if len(msgspec.json.encode((*stream.without, subject))) > LARGEST_WITHOUT:
            raise bad(f"the subjects that a stream leaves out have no more than {LARGEST_WITHOUT} bytes together")
        await self._note(who, "stream_subject_removed", stream)
        await self._replaced(stream, lambda one: replace(one, without=(*one.without, subject)))

    async def verify(self, who: Evidence, content: Mapping[str, Any]) -> None:
        """Have the stream say that it works (section 8.1.4). Raises `TooFrequent`."""
        stream, now = await self._own(who, _named(content)), self._now()
        if stream.status == "disabled":
            raise bad("the stream is disabled: nothing goes out, and nothing is held")
        state = content.get("state")
        if state is not None and (not isinstance(state, str) or len(state) > LONGEST_TEXT):
            raise bad("`state` is no text, or is too long")
        rest = stream.verified_at + VERIFY_AFTER * 1000 - now
        if rest > 0 and stream.verified_at <= now:  # a clock that was put back keeps nobody waiting
            raise TooFrequent(-(-rest // 1000))
        if not await self._streams.replace(stream, replace(stream, verified_at=now)):
            raise TooFrequent(1)
        if not await self._say(stream, VERIFICATION, {} if state is None else {"state": state}):
            raise TooFrequent(VERIFY_AFTER)

    async def poll(self, who: Evidence, stream_id: str, asked: PollRequest) -> tuple[Stream, Sequence[Waiting], bool]:
        """The stream, what is there for it, and whether there is more; what was taken is forgotten first.

        What was handed out and not acknowledged is handed out again. Raises `NOT_FOUND` also for a stream that is
        pushed to: its events have another way.
        """
        stream = await self._own(who, stream_id)
        if stream.method == PUSH:
            raise _none()
        if asked.taken or asked.refused:
            await self._events.remove(stream.id, [*asked.taken, *asked.refused])
        found = [one for one in await self._events.about(stream.id) if goes_out(stream, one)]
        if stream.status == "enabled":
            found += await self._events.oldest(stream.id, asked.most + 1)
        found.sort(key=lambda one: one.at)
        return stream, found[: asked.most], len(found) > asked.most

    async def tell(
        self, event: str, subject: SubjectId, content: Mapping[str, Any], *, cause: str, hears: Callable[[str], bool]
    ) -> int:
        """Put what happened into every stream that it is for; how many that were.

        `cause` is common to whatever comes of one cause, and makes it safe to tell again: each stream has it once.
        `hears` says of a client whether it may still be told at all.
        """
        told = 0
        for stream in await self._streams.all():
            if stream.status == "disabled" or event not in stream.delivered or not hears(stream.client_id):
                continue
            if any(_leaves_out(one, subject) for one in stream.without):
                continue
            told += 1
            if await self._events.count(stream.id) >= MOST_WAITING:
                await self.pause(stream, FULL)
                continue
            name = hashlib.sha256(f"{stream.id}\0{event}\0{cause}".encode()).digest()[:18]
            waiting = Waiting(
                token_id=urlsafe_b64encode(name).decode(),
                at=self._now(),
                event=event,
                subject=subject,
                content=content,
                transaction=urlsafe_b64encode(hashlib.sha256(cause.encode()).digest()[:12]).decode(),
            )
            await self._events.put(stream, waiting)
            await self._overtake(stream)
        return told

    async def _overtake(self, seen: Stream) -> None:
        """Send what was put where the stream came to be pushed meanwhile: whoever saw to that sent what was there."""
        if seen.method == PUSH and seen.status == "enabled":
            return
        stream = await self._streams.find(seen.client_id)
        if stream is not None and stream.id == seen.id and stream.method == PUSH and stream.status == "enabled":
            await self._events.send(stream)

    async def pause(self, stream: Stream, reason: str) -> None:
        """Pause a stream by ourselves, once, and tell its receiver why (section 8.1.5).

        INVARIANT: whoever misses something hears of it, also where the stream was paused before.
        """
        if stream.status == "disabled" or (stream.status == "paused" and reason in (stream.reason, UNREACHED)):
            return
        paused = replace(stream, status="paused", reason=reason)
        if await self._streams.replace(stream, paused):
            await self._say(paused, STREAM_UPDATED, {"status": paused.status, "reason": reason})

    def said(self, stream: Stream, waiting: Waiting) -> SecurityEvent:
        """What a receiver is sent of an event that waited."""
        return SecurityEvent(
            issuer=self._terms.issuer,
            audience=(stream.client_id,),
            token_id=waiting.token_id,
            issued_at=waiting.at // 1000,
            event=waiting.event,
            subject=waiting.subject,
            content=waiting.content,
            transaction=waiting.transaction,
        )

    async def _say(self, stream: Stream, event: str, content: Mapping[str, Any]) -> bool:
        """Something about the stream itself, whose subject is the stream (sections 8.1.4.1, 8.1.5).

        False, and nothing is said, where too much of the kind waits: nobody comes for it.
        """
        if len(await self._events.about(stream.id)) >= MOST_ABOUT:
            return False
        about = opaque(stream.id)
        made = Waiting(token_id=self._random(), at=self._now(), event=event, subject=about, content=content)
        await self._events.put(stream, made)
        return True

    async def _own(self, who: Evidence, stream_id: str) -> Stream:
        found = await self._streams.find(who.client_id)
        if found is None or found.id != stream_id:
            raise _none()
        return found

    async def _replaced(self, old: Stream, change: Callable[[Stream], Stream]) -> Stream:
        """The stream as `change` makes it, whoever else changes it meanwhile."""
        for _ in range(TRIES):
            if await self._streams.replace(old, new := change(old)):
                return new
            found = await self._streams.find(old.client_id)
            if found is None or found.id != old.id:
                raise _none()
            old = found
        raise MintwardenError(ErrorKind.UNAVAILABLE, "the stream keeps changing", hint="try again")

    async def _drop(self, stream: Stream) -> None:
        await self._events.remove(stream.id, [one.token_id for one in await self._events.about(stream.id)])
        while held := await self._events.oldest(stream.id, MOST_WAITING):
            await self._events.remove(stream.id, [one.token_id for one in held])

    async def _note(self, who: Evidence, what: str, stream: Stream, **more: str) -> None:
        await self._record(who, what, {"stream": stream.id, "method": stream.method, **more})


def goes_out(stream: Stream, event: Waiting) -> bool:
    """Does a stream send it now. INVARIANT: that we paused it is heard, whatever its status is."""
    return stream.status == "enabled" or event.event == STREAM_UPDATED


def _leaves_out(left: SubjectId, subject: SubjectId) -> bool:
    """Whether a receiver that does not want to hear of `left` is spared what is about `subject`.

    Whoever leaves a person out leaves out the person's sessions. INVARIANT: two that share no role have nothing to do
    with each other, whatever the rule says of roles that are not defined: nothing that is left out silences the rest.
    """
    if left.get("format") == subject.get("format") == COMPLEX and (left.keys() & subject.keys()) == {"format"}:
        return False
    return matches(left, subject) or ("user" in subject and matches(left, subject["user"]))


def _status(stream: Stream) -> dict[str, Any]:
    content = {"stream_id": stream.id, "status": stream.status}
    return {**content, "reason": stream.reason} if stream.reason else content


def _named(content: Mapping[str, Any]) -> str:
    return text(content, "stream_id", LONGEST_TEXT, required=True)


def _wanted(content: Mapping[str, Any]) -> Status:
    for one in STATUSES:
        if content.get("status") == one:
            return one
    raise bad("`status` is `enabled`, `paused` or `disabled`")


def _subject(content: Mapping[str, Any]) -> SubjectId:
    try:
        return read_subject_id(content.get("subject"))
    except BadSubjectId as wrong:
        raise bad(str(wrong)) from None


def _flag(content: Mapping[str, Any], name: str) -> bool:
    value = content.get(name, True)
    if type(value) is not bool:
        raise bad(f"`{name}` is neither true nor false")
    return value


def _none() -> MintwardenError:
    return MintwardenError(ErrorKind.NOT_FOUND, "there is no such stream of this receiver")


def _second() -> MintwardenError:
    return MintwardenError(ErrorKind.CONFLICT, "this receiver has a stream: there is one for each")
