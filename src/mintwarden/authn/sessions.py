"""Sessions: who is signed in in a browser, kept here; the browser holds nothing but a handle.

A session has a public name (`sid`, in tokens) and a secret that only the browser's cookie has. INVARIANT: the store
sees a digest of the secret, and each sign-in brings another one, so that a handle that somebody planted in the browser
before (session fixation) is worth nothing after.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from mintwarden.authn.ports import RevocationReader
from mintwarden.authn.shelf import Held, Shelf
from mintwarden.authn.sign_in import SignIn
from mintwarden.model.catalogue import SessionBounds
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.ids import entity_key
from mintwarden.model.values import EntityUid

SESSION: Final = "session"
UPSTREAM_SESSION: Final = "upstream_session"
"""The kinds of their shelves."""
COOKIE: Final = "mintwarden"
"""What the cookie is called, prefix aside."""

LED: Final = 10 * 60_000
"""Milliseconds within which nobody is led again to a sign-in that nothing came of."""

_ATTEMPTS = 5
_MOST_LED = 4
_MOST_CLIENTS = 200
_TENTHS = 10


class Session(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is kept of a session.

    Attributes:
        sign_in: the last one; `sign_in.session` is the session's public name.
        digest: SHA-256 of the cookie's secret.
        began_at: `Millis`, when the last sign-in was.
        ends_at: `Millis`, however busy it is.
        clients: those that were given something for it, and hear of its end.
        led: what its person was led to prove that a rule demands, and `Millis`, when.
    """

    sign_in: SignIn
    digest: str
    began_at: int
    ends_at: int
    clients: tuple[str, ...] = ()
    led: Mapping[str, int] = {}


class Came(Struct, frozen=True, kw_only=True):
    """That a session, by its public name, came from a provider, and whose it was."""

    session: str
    subject: EntityUid


CAME: Final[type[Came | str]] = Came | str  # type: ignore[assignment]
"""The shape of `UPSTREAM_SESSION`s. Those of before are names alone."""


class Begun(Struct, frozen=True):
    """A session that began: the sign-in with its name, the cookie's value, and the other person's that it replaces."""

    sign_in: SignIn
    cookie: str
    replaced: Held[Session] | None = None


class Sessions:
    """Begins, finds and ends sessions.

    Args:
        shelf: of `SESSION`s.
        upstream: of `UPSTREAM_SESSION`s: sessions by the provider's session and person.
        revocations: what was revoked is signed in no more.
        providers: whose sign-ins count at present.
        bounds: how long.
        entropy: random bytes.
    """

    def __init__(
        self,
        *,
        shelf: Shelf[Session],
        upstream: Shelf[Came | str],
        revocations: RevocationReader,
        providers: Collection[str],
        bounds: SessionBounds,
        entropy: Callable[[int], bytes],
    ) -> None:
        self._shelf = shelf
        self._upstream = upstream
        self._revocations = revocations
        self._providers = frozenset(providers)
        self._idle = bounds.idle * 1000
        self._absolute = bounds.absolute * 1000
        self._entropy = entropy

    async def begin(self, sign_in: SignIn, cookies: Mapping[str, str], now: int) -> Begun:
        """Somebody signed in. Where the browser's session is the same person's, it goes on under another secret."""
        present = await self.held(cookies, now)
        secret = _text(self._entropy(32))
        if present is not None and present.value.sign_in.subject == sign_in.subject:
            named = replace(sign_in, session=present.value.sign_in.session)
            going_on = replace(
                present.value,
                sign_in=named,
                digest=_digest(secret),
                began_at=now,
                ends_at=now + self._absolute,
            )
            if await self._shelf.replace(present, going_on, ends=self._end(going_on, now)):
                await self._index(going_on)
                return Begun(named, f"{named.session}.{secret}")
        named = replace(sign_in, session=_text(self._entropy(18)))
        session = Session(sign_in=named, digest=_digest(secret), began_at=now, ends_at=now + self._absolute)
        added = await self._shelf.add(
            named.session, session, ends=self._end(session, now), owner=entity_key(sign_in.subject)
        )
        if not added:
            raise MintwardenError(ErrorKind.INTERNAL, "a session's name was there already")
        await self._index(session)
        other = present is not None and present.value.sign_in.subject != sign_in.subject
        return Begun(named, f"{named.session}.{secret}", present if other else None)

    async def current(self, cookies: Mapping[str, str], now: int) -> SignIn | None:
        """Who is signed in in this browser, if anybody is. It counts as a visit."""
        held = await self.held(cookies, now)
        if held is None:
            return None
        ends = self._end(held.value, now)
        if ends - held.state.expires_at > self._idle // _TENTHS:
            await self._shelf.replace(held, held.value, ends=ends)  # whoever was first has done the same
        return held.value.sign_in

    async def held(self, cookies: Mapping[str, str], now: int) -> Held[Session] | None:
        """The browser's session, if it counts."""
        name, _, secret = cookies.get(COOKIE, "").partition(".")
        held = await self._shelf.get(name, now) if name and secret else None
        if held is None or not hmac.compare_digest(_digest(secret), held.value.digest):
            return None
        return held if await self._counts(held.value, now) else None

    async def named(self, session: str, now: int) -> Held[Session] | None:
        """The session of that public name, if it has not ended."""
        return await self._shelf.get(session, now)

    async def of_person(self, person: EntityUid, now: int) -> Sequence[Held[Session]]:
        """A person's sessions, those that count."""
        found = await self._shelf.owned(entity_key(person), now)
        return [held for held in found if await self._counts(held.value, now)]

    async def of_upstream(
        self, provider: str, now: int, *, session: str = "", subject: str = ""
    ) -> Sequence[Held[Session]]:
        """The sessions that came from a session at a provider, of a person there, or of both; nothing for neither."""
        found = []
        for came in await self._came(provider, session, subject, now):
            held = await self._shelf.get(came if isinstance(came, str) else came.session, now)
            if held is not None and came_from(held.value.sign_in, provider, session=session, subject=subject):
                found.append(held)
        return found

    async def people_of_upstream(
        self, provider: str, now: int, *, session: str = "", subject: str = ""
    ) -> Collection[EntityUid]:
        """Whose sessions came from a session at a provider, or of a person there; nobody for neither.

        INVARIANT: also of sessions that nobody visits any more, for as long as anything can last that was given in them
        and ends with them: as they would have, at the latest.
        """
        came = await self._came(provider, session, subject, now)
        return {one.subject for one in came if isinstance(one, Came)}

    async def remember_client(self, session: str, client_id: str) -> None:
        """Note that a client was given something for the session, so that it hears of its end."""
        for _ in range(_ATTEMPTS):
            held = await self._shelf.get(session, 0)
            if held is None or client_id in held.value.clients:
                return
            clients = (*held.value.clients, client_id)
            if len(clients) > _MOST_CLIENTS:
                raise MintwardenError(ErrorKind.CONFLICT, "the session has too many clients", hint="sign in anew")
            if await self._shelf.replace(held, replace(held.value, clients=clients)):
                return
        raise MintwardenError(ErrorKind.UNAVAILABLE, "the session keeps changing", hint="try again")

    async def may_be_led(self, session: str, lacking: str, now: int) -> bool:
        """Whether somebody who can go on as they are may be led to another sign-in; if so, it is noted.

        `lacking`: what theirs lacks apart from being new, as one text. INVARIANT: whoever could not prove it is not led
        there again before `LED` is over, whichever client asks how often: they are neither worn out by it nor kept at
        a provider that has no way back.
        """
        for _ in range(_ATTEMPTS):
            held = await self._shelf.get(session, now)
            if held is None:
                return False
            led = {what: at for what, at in held.value.led.items() if now - at < LED}
            came_to_nothing = lacking in led and (lacking != "" or held.value.began_at <= led[lacking])
            if came_to_nothing or len(led) >= _MOST_LED:
                return False
            if await self._shelf.replace(held, replace(held.value, led={**led, lacking: now})):
                return True
        return False

    async def end(self, held: Held[Session]) -> bool:
        """Forget the session; whether it was still there."""
        return await self._shelf.remove(held)

    def _end(self, session: Session, now: int) -> int:
        return min(now + self._idle, session.ends_at)

    async def _counts(self, session: Session, now: int) -> bool:
        sign_in = session.sign_in
        if sign_in.provider not in self._providers or now >= session.ends_at:
            return False
        names = (("session", sign_in.session), ("subject", entity_key(sign_in.subject)))
        revoked = await self._revocations.revoked(names)
        # Whoever signs in again after a subject was revoked is signed in again; a session that was ended is ended.
        return names[0] not in revoked and revoked.get(names[1], -1) < session.began_at

    async def _came(self, provider: str, session: str, subject: str, now: int) -> Sequence[Came | str]:
        """Read by the session there where it is named, since that is the fewest."""
        if not (session or subject):
            return []
        owner = _upstream(provider, session, "" if session else subject)
        return [held.value for held in await self._upstream.owned(owner, now)]

    async def _index(self, session: Session) -> None:
        sign_in = session.sign_in
        for upstream, subject in ((sign_in.upstream_session, ""), ("", sign_in.upstream_subject)):
            if upstream or subject:
                owner = _upstream(sign_in.provider, upstream, subject)
                # Once more for each sign-in: the entry of an earlier one ends earlier.
                handle = f"{owner} {sign_in.session} {session.began_at}"
                came = Came(session=sign_in.session, subject=sign_in.subject)
                await self._upstream.add(handle, came, ends=session.ends_at, owner=owner)


def _upstream(provider: str, session: str, subject: str) -> str:
    return f"{provider}:{_digest(f'sid {session}' if session else f'sub {subject}')}"


def came_from(sign_in: SignIn, provider: str, *, session: str = "", subject: str = "") -> bool:
    """Did it come from a provider, and from the session there, and of the person there, that are named."""
    return (
        sign_in.provider == provider
        and session in ("", sign_in.upstream_session)
        and subject in ("", sign_in.upstream_subject)
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
