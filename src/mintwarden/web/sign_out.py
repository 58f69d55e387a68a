"""Signing out (OpenID Connect RP-Initiated Logout 1.0), and providers that tell of it (Back-Channel Logout 1.0)."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Collection
from typing import Final, Protocol
from urllib.parse import urlencode, urlsplit

from msgspec import Struct

from mintwarden.authn.id_token_hint import Hint, read_hint
from mintwarden.authn.jose import JoseError
from mintwarden.authn.own import OwnKeys
from mintwarden.authn.ports import Claims
from mintwarden.authn.registry import KnownClient
from mintwarden.authn.replay import ReplayGuard
from mintwarden.authn.sessions import COOKIE, Session, came_from
from mintwarden.authn.shelf import Held, Shelf
from mintwarden.authn.sign_in import SignIn
from mintwarden.authn.upstream.logout import UpstreamLogout, verify_logout_token
from mintwarden.issue.authorization.request import locales_of
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.values import EntityUid
from mintwarden.web.errors import error_reply
from mintwarden.web.pages.cookies import Cookies
from mintwarden.web.pages.endpoint import Values, Visit, redirect, require_own_origin
from mintwarden.web.pages.form_tokens import FormTokens
from mintwarden.web.pages.render import Pages
from mintwarden.web.reply import NO_STORE, NOSNIFF, Reply
from mintwarden.web.sign_in import SignIns, SignOut

LOGOUT: Final = "logout"
"""The kind of the shelf of requests to sign out, and the name of their form."""
LIFE: Final = 10 * 60_000
"""Milliseconds that somebody may think about it."""

_BY_PERSON = "signed out"
_BY_PROVIDER = "the provider ended it"
_SKEW = 60_000
_LONGEST_STATE = 4096
_LONGEST_HINT = 512


class LogoutRequest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A client's request that a person signs out, checked.

    Attributes:
        session: whose `sid` the ID token had that came as a hint, or empty.
        person: whose `sub` it had, or empty.
        location: where the browser goes then, or empty for our own page.
        stranger: the client is none of the bundle's.
        hint: whom the client means (`logout_hint`): a person's `sub` or a session's `sid`; empty where it does not say.
        ui_locales: preferred languages.
    """

    session: str = ""
    person: str = ""
    location: str = ""
    stranger: bool = False
    hint: str = ""
    ui_locales: tuple[str, ...] = ()


class EndGiven(Protocol):
    """Ends what people were given up to `until` (`Millis`) by sign-ins that are `meant`, but what outlives those."""

    async def __call__(
        self, people: Collection[EntityUid], *, meant: Callable[[SignIn], bool], until: int, reason: str
    ) -> None: ...


class SignOutPages:
    """The endpoints.

    Args:
        now_in_force: how people sign in now.
        client: finds a client.
        end_given: for what was given in sessions that are not kept any more.
        requests: the shelf of `LOGOUT` requests.
        claims: claims logout tokens of providers, durably; `replay` spares the obvious ones.
    """

    def __init__(
        self,
        *,
        issuer: str,
        path: str,
        keys: OwnKeys,
        now_in_force: Callable[[], Awaitable[SignIns]],
        client: Callable[[str, int], Awaitable[KnownClient | None]],
        sign_out: SignOut,
        end_given: EndGiven,
        requests: Shelf[LogoutRequest],
        claims: Claims,
        replay: ReplayGuard,
        pages: Pages,
        cookies: Cookies,
        forms: FormTokens,
    ) -> None:
        self._issuer = issuer
        self._path = path
        self._keys = keys
        self._now_in_force = now_in_force
        self._client = client
        self._sign_out = sign_out
        self._end_given = end_given
        self._requests = requests
        self._claims = claims
        self._replay = replay
        self._pages = pages
        self._cookies = cookies
        self._forms = forms

    async def logout(self, visit: Visit) -> Reply:
        """`/logout`: a client's request, what is left of one after a redirect, or our own page's form."""
        if visit.method == "POST" and visit.posted("csrf"):
            return await self._confirmed(visit)
        if visit.one("logout"):
            return await self._ask(visit, visit.one("logout"))
        request = await self._request(
            visit.unverified_form if visit.method == "POST" else visit.unverified_query, visit.received_at
        )
        if visit.method == "POST":
            # Another site's form comes without the session's cookie (`SameSite=Lax`); what follows it has it.
            return redirect(f"{self._path}/logout?{urlencode({'logout': await self._keep(request, visit)})}")
        visit.read_in(request.ui_locales)
        ways = await self._now_in_force()
        held = await ways.sessions.held(visit.cookies, visit.received_at)
        if held is None or held.value.sign_in.session == request.session:
            return await self._done(held, request, visit)
        return await self._ask(visit, await self._keep(request, visit))

    async def backchannel(self, visit: Visit) -> Reply:
        """`/signin/backchannel-logout/<provider>`: a provider ends what it began. Answers as section 2.8 says."""
        ways = await self._now_in_force()
        try:
            provider = ways.broker.provider(visit.path)
            logout = await verify_logout_token(provider, visit.posted("logout_token"), visit.received_at)
            if self._replay.seen(logout.once, visit.received_at):
                raise JoseError("the token was used before")
        except JoseError as error:
            refused = MintwardenError(ErrorKind.INVALID_REQUEST, f"the logout token is not accepted: {error}")
            return error_reply(refused, visit.reference)
        except MintwardenError as error:
            return error_reply(error, visit.reference)
        # Ended before it is claimed: a provider that tries again after a failure here is heard. What is sent once
        # more ends nothing that began since.
        await self._end_of_upstream(ways, provider.data.id, logout, visit.received_at)
        if not await self._claims.claim([logout.once]):
            refused = MintwardenError(ErrorKind.INVALID_REQUEST, "the logout token was used before")
            return error_reply(refused, visit.reference)
        self._replay.remember(logout.once)
        return Reply(200, (NO_STORE, NOSNIFF), b"")

    async def _end_of_upstream(self, ways: SignIns, provider: str, logout: UpstreamLogout, now: int) -> None:
        """End the sessions that it means, and what was given in those that nobody visited lately, and that are no more.

        INVARIANT: what began or was given since the logout goes on.
        """
        session, subject, until = logout.session, logout.subject, logout.issued_at + _SKEW
        ended = await ways.sessions.of_upstream(provider, now, session=session, subject=subject)
        for held in {held.value.sign_in.session: held for held in ended}.values():
            if held.value.began_at <= until:
                await self._sign_out(held, _BY_PROVIDER)
        await self._end_given(
            await ways.sessions.people_of_upstream(provider, now, session=session, subject=subject),
            meant=lambda sign_in: came_from(sign_in, provider, session=session, subject=subject),
            until=until,
            reason=_BY_PROVIDER,
        )

    async def _request(self, asked: Values, now: int) -> LogoutRequest:
        """What a client asks (section 2). Raises `INVALID_REQUEST` for what would lead elsewhere than it may."""
        hint = self._hint(_one(asked, "id_token_hint"), now)
        stated = _one(asked, "client_id")
        if hint is not None and stated and stated != hint.client_id:
            raise _refused("`client_id` is not the client of `id_token_hint`")
        location = _one(asked, "post_logout_redirect_uri")
        state = _one(asked, "state")
        known = None
        if location:
            name = hint.client_id if hint is not None else stated
            known = await self._client(name, now) if name else None
            if known is None or location not in known.client.post_logout_redirect_uris:
                raise _refused("`post_logout_redirect_uri` is not registered for the client")
            if len(state) > _LONGEST_STATE:
                raise _refused("`state` is too long")
            if state:
                location += ("&" if urlsplit(location).query else "?") + urlencode({"state": state})
        return LogoutRequest(
            session=hint.session if hint is not None else "",
            person=hint.subject if hint is not None else "",
            location=location,
            stranger=known is not None and known.registered,
            hint=_one(asked, "logout_hint")[:_LONGEST_HINT],
            ui_locales=locales_of(asked),
        )

    def _hint(self, unverified: str, now: int) -> Hint | None:
        if not unverified:
            return None
        try:
            return read_hint(unverified, issuer=self._issuer, keys=self._keys, now=now)
        except JoseError:
            return None  # whoever is signed in is asked

    async def _keep(self, request: LogoutRequest, visit: Visit) -> str:
        handle = secrets.token_urlsafe(32)
        await self._requests.add(handle, request, ends=visit.received_at + LIFE)
        return handle

    async def _ask(self, visit: Visit, handle: str) -> Reply:
        """Ask whoever is signed in, unless the client showed that it means this very session."""
        kept = await self._requests.get(handle, visit.received_at)
        if kept is None:
            raise _refused("the request to sign out has ended")
        visit.read_in(kept.value.ui_locales)
        ways = await self._now_in_force()
        held = await ways.sessions.held(visit.cookies, visit.received_at)
        if held is None or held.value.sign_in.session == kept.value.session:
            return await self._done(held, kept.value, visit)
        return self._pages.render(
            "sign_out.html",
            visit.reader.language(self._pages),
            form_action=_origins(kept.value.location),
            person=held.value.sign_in.subject.id,
            another=_is_another(kept.value.hint, held.value),
            logout=handle,
            token=self._forms.make(LOGOUT, handle + visit.cookies.get(COOKIE, "")),
        )

    async def _confirmed(self, visit: Visit) -> Reply:
        require_own_origin(visit, self._issuer)
        handle = visit.posted("logout")
        self._forms.check(LOGOUT, handle + visit.cookies.get(COOKIE, ""), visit.posted("csrf"))
        request = await self._requests.take(handle, visit.received_at)
        if request is None:
            raise _refused("the request to sign out has ended")
        visit.read_in(request.ui_locales)
        ways = await self._now_in_force()
        held = await ways.sessions.held(visit.cookies, visit.received_at)
        return await self._done(held, request, visit, confirmed=True)

    async def _done(
        self, held: Held[Session] | None, request: LogoutRequest, visit: Visit, *, confirmed: bool = False
    ) -> Reply:
        """Signed out, and on to where the client wants it.

        INVARIANT: whoever follows a link to us is not sent on to a stranger before they did anything here, signed in
        through it or confirmed: anybody may register a client (as RFC 9700 section 4.11.2 says of other redirects).
        """
        if held is not None:
            await self._sign_out(held, _BY_PERSON)
        if request.session and (held is None or held.value.sign_in.session != request.session):
            await self._end_idle(request, visit.received_at)
        forget = self._cookies.clear(COOKIE)
        language = visit.reader.language(self._pages)
        if request.location and request.stranger and held is None and not confirmed:
            host = urlsplit(request.location).netloc or request.location.partition(":")[0]
            return self._pages.render(
                "leaving.html", language, headers=(forget,), where=request.location, host=host, what="leaving_out"
            )
        if request.location:
            return redirect(request.location, forget)
        return self._pages.render("signed_out.html", language, headers=(forget,))

    async def _end_idle(self, request: LogoutRequest, now: int) -> None:
        """End what was given in the session of the hint, which nobody visited for a while, and which is no more.

        INVARIANT: a session that is kept ends in its own browser alone, whoever has an ID token of it.
        """
        if await (await self._now_in_force()).sessions.named(request.session, now) is None:
            await self._end_given(
                [EntityUid("User", request.person)],
                meant=lambda sign_in: sign_in.session == request.session,
                until=now,
                reason=_BY_PERSON,
            )


def _is_another(hint: str, session: Session) -> bool:
    """Does the client mean somebody else than who is signed in here.

    INVARIANT: a hint proves nothing: it never spares the question, and chooses nobody who is not signed in here.
    """
    return hint not in ("", session.sign_in.subject.id, session.sign_in.session)


def _origins(location: str) -> tuple[str, ...]:
    """Where the form's redirect leads; a private scheme (of an app) as it is."""
    parts = urlsplit(location)
    if not location:
        return ()
    return (f"{parts.scheme}://{parts.netloc}" if parts.netloc else f"{parts.scheme}:",)


def _one(asked: Values, name: str) -> str:
    return asked.get(name, ("",))[0]


def _refused(public: str) -> MintwardenError:
    return MintwardenError(ErrorKind.INVALID_REQUEST, public, hint="go back to the application")
