"""`/authorize` as a browser sees it: a request, somebody signs in and is asked, an answer goes to the client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import msgspec
from msgspec.structs import replace

from mintwarden.authn.interactions import Interaction, Interactions, cookie_of, secret_digest
from mintwarden.authn.issuers.verify import LEEWAY
from mintwarden.authn.shelf import Held
from mintwarden.authn.sign_in import Demand, SignIn, meets
from mintwarden.issue.authorization.authorizing import Asks, Authorizing, Opened, ToldToClient
from mintwarden.issue.authorization.complete import random_text
from mintwarden.issue.authorization.preview import Preview
from mintwarden.issue.authorization.request import AuthorizationRequest, Destination, locales_of, one
from mintwarden.issue.authorization.response import Response, respond
from mintwarden.issue.authorization.step_up import Better, demanded, was_tried
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.ids import entity_key
from mintwarden.web.errors import TABLE, description, status_of
from mintwarden.web.pages.consent import Consenting, ConsentPage
from mintwarden.web.pages.cookies import Cookies
from mintwarden.web.pages.endpoint import Visit, redirect, require_own_origin
from mintwarden.web.pages.form_tokens import FormTokens
from mintwarden.web.pages.render import Pages
from mintwarden.web.reply import Header, Reply

LIFE: Final = 900
"""Seconds that somebody may take to sign in and decide."""
FORM: Final = "consent"
"""The form by which somebody says what they allow."""

_asks = msgspec.json.Decoder(Asks)

Sign = Callable[[Mapping[str, Any], str], Awaitable[str]]
"""Signs an authorization response, with an algorithm or, where that is empty, the usual one."""


class AuthorizePages:
    """The endpoint and what belongs to it.

    Args:
        sign: signs responses (JARM).
        path: what comes before our own paths.
        entropy: random bytes.
    """

    def __init__(
        self,
        authorizing: Authorizing,
        *,
        interactions: Interactions,
        sign: Sign,
        pages: Pages,
        cookies: Cookies,
        forms: FormTokens,
        path: str,
        entropy: Callable[[int], bytes],
    ) -> None:
        self._authorizing = authorizing
        self._interactions = interactions
        self._sign = sign
        self._pages = pages
        self._cookies = cookies
        self._forms = forms
        self._path = path
        self._entropy = entropy
        self._consent = ConsentPage(pages)

    async def authorize(self, visit: Visit) -> Reply:
        """`/authorize`, GET or POST (RFC 6749 section 3.1)."""
        if visit.method == "POST" and visit.unverified_query:
            raise MintwardenError(ErrorKind.INVALID_REQUEST, "parameters stand in the address and in the form")
        parameters = visit.unverified_form if visit.method == "POST" else visit.unverified_query
        try:
            opened = await self._authorizing.open(parameters, visit.received_at, visit.address)
        except ToldToClient as told:
            return await self._refused(told.error, told.to, visit, "", stranger=told.registered)
        visit.read_in(locales_of(opened.parameters))
        return await self._answered(opened, visit, _Walk())

    async def resume(self, visit: Visit) -> Reply:
        """`/authorize/continue?i=`: back from signing in, or from the page that asks."""
        posted = visit.method == "POST"
        handle = visit.posted("i") if posted else visit.one("i")
        held = await self._interactions.open(handle, visit.cookies, visit.received_at)
        asks = _asks.decode(held.value.asks) if held.value.asks else None
        visit.read_in(held.value.demand.ui_locales)
        if asks is None:
            raise MintwardenError(ErrorKind.INVALID_REQUEST, "this is no request of a client", hint="begin again")
        if posted:
            require_own_origin(visit, self._authorizing.issuer)
        opened = await self._authorizing.reopen(asks, visit.received_at, visit.address)
        return await self._answered(opened, visit, _Walk(handle, held, asks, posted))

    # -- one walk -----------------------------------------------------------------------------------------

    async def _answered(self, opened: Opened, visit: Visit, walk: _Walk) -> Reply:
        """The walk, and what goes wrong on it told to the client."""
        try:
            return await self._walk(opened, visit, walk)
        except MintwardenError as error:
            # Ours are on a page, with a reference; so is what would be a second answer to one request.
            if status_of(error) >= 500 or error.kind is ErrorKind.INVALID_REQUEST_URI or walk.private:
                raise
            silent = "none" in one(opened.parameters, "prompt").split()
            return await self._refused(
                error,
                opened.to,
                visit,
                walk.handle,
                opened.client.authorization.response_algorithm,
                stranger=opened.registered and not silent,
            )

    async def _walk(self, opened: Opened, visit: Visit, walk: _Walk) -> Reply:
        now = visit.received_at
        request = await self._authorizing.read(opened, now)
        sign_in = await self._authorizing.present(visit.cookies, now)
        if walk.is_taken_over_by(sign_in):
            await self._begin_anew(walk)
        demand = walk.demand(request)
        if sign_in is None or not _enough(sign_in, demand, walk, now):
            return await self._sign_in(opened, request, demand, walk, visit)
        before = await self._authorizing.preview(opened, request, sign_in, visit.address, now)
        better = await self._authorizing.better(request, sign_in, before, now)
        if not before.granted:
            return await self._nothing(opened, request, sign_in, before, better, walk, visit)
        if better is not None and await self._is_led(request, sign_in, better, walk, now):
            demand = demanded(request.demand, better, voluntary=True)
            return await self._lead(opened, request, sign_in, demand, walk, visit)
        if walk.posted:
            return await self._said(opened, request, sign_in, before, walk, visit)
        if await self._authorizing.is_allowed(opened, request, sign_in, before):
            code = await self._authorizing.complete(opened, request, sign_in, before, interaction=walk.handle)
            return await self._send(opened, {"code": code}, visit, walk.handle)
        if request.demand.silent:
            raise MintwardenError(ErrorKind.CONSENT_REQUIRED, "the person must be asked")
        if walk.held is None:
            where = f"{self._path}/authorize/continue"
            return await self._begin(opened, request, request.demand, visit, to=where)
        return self._ask(opened, request, sign_in, before, walk, visit)

    async def _sign_in(
        self, opened: Opened, request: AuthorizationRequest, demand: Demand, walk: _Walk, visit: Visit
    ) -> Reply:
        """On to signing in; or, where somebody did and it is still not enough, an error."""
        if request.demand.silent:
            raise MintwardenError(ErrorKind.LOGIN_REQUIRED, "the person must sign in")
        if walk.held is not None and walk.held.value.demand.voluntary:
            # Whoever was led to a better sign-in has none by now that is enough to go on with: they need one.
            return await self._change(
                walk.handle, walk.held, replace(walk.held.value, demand=request.demand, session="")
            )
        if walk.held is not None and walk.held.value.session:
            if demand.essential:
                raise MintwardenError(
                    ErrorKind.UNMET_AUTHENTICATION_REQUIREMENTS, "the person could not sign in as required"
                )
            raise MintwardenError(ErrorKind.LOGIN_REQUIRED, "the person did not sign in as required")
        if walk.held is not None:
            return redirect(f"{self._path}/signin?{urlencode({'i': walk.handle})}")
        return await self._begin(opened, request, demand, visit, to=f"{self._path}/signin")

    async def _nothing(
        self,
        opened: Opened,
        request: AuthorizationRequest,
        sign_in: SignIn,
        before: Preview,
        better: Better | None,
        walk: _Walk,
        visit: Visit,
    ) -> Reply:
        """Nothing is granted: once, where that is all it takes, the person signs in as the rules demand."""
        if better is not None and not walk.was_led and not request.demand.silent:
            demand = demanded(request.demand, better, voluntary=False)
            return await self._lead(opened, request, sign_in, demand, walk, visit)
        decision = await self._authorizing.record_refusal(before)
        if better is not None and request.demand.silent:
            # Not for good: the same request, with pages, leads there (OpenID Connect Core section 3.1.2.6).
            raise MintwardenError(ErrorKind.LOGIN_REQUIRED, f"the policy demands another sign-in ({decision})")
        if before.step_up:
            raise MintwardenError(
                ErrorKind.UNMET_AUTHENTICATION_REQUIREMENTS, f"the policy demands another sign-in ({decision})"
            )
        raise MintwardenError(ErrorKind.ACCESS_DENIED, f"refused by policy ({decision})")

    async def _is_led(
        self, request: AuthorizationRequest, sign_in: SignIn, better: Better, walk: _Walk, now: int
    ) -> bool:
        """Something is granted, and a better sign-in would give more: is the person led there.

        INVARIANT: once for a request, never in silence, and not for what they were asked for and could not prove.
        """
        if walk.posted or walk.was_led or request.demand.silent:
            return False
        if walk.is_of(sign_in) and was_tried(request.demand, better):
            return False
        return await self._authorizing.may_be_led(sign_in, better, now)

    async def _lead(
        self,
        opened: Opened,
        request: AuthorizationRequest,
        sign_in: SignIn,
        demand: Demand,
        walk: _Walk,
        visit: Visit,
    ) -> Reply:
        """On to the sign-in that the rules demand; what comes of it is decided anew."""
        led = entity_key(sign_in.subject)
        if walk.held is None or walk.asks is None:
            return await self._begin(opened, request, demand, visit, to=f"{self._path}/signin", led=led)
        asks = msgspec.json.encode(replace(walk.asks, led=led)).decode()
        # Where the sign-in before was enough to go on with, it still is.
        session = walk.held.value.session if demand.voluntary else ""
        return await self._change(
            walk.handle, walk.held, replace(walk.held.value, demand=demand, session=session, asks=asks)
        )

    async def _change(self, handle: str, held: Held[Interaction], changed: Interaction) -> Reply:
        """To signing in, for the same request."""
        if not await self._interactions.change(held, changed):
            raise MintwardenError(ErrorKind.UNAVAILABLE, "another window went on with this", hint="try again")
        return redirect(f"{self._path}/signin?{urlencode({'i': handle})}")

    async def _begin_anew(self, walk: _Walk) -> None:
        """Another person came back from signing in: theirs is a new request, as it came from the client.

        INVARIANT: what somebody was led to, or could not prove, is theirs alone; the next begins as if first.
        """
        if walk.held is not None:
            await self._interactions.end(walk.held)
        walk.handle, walk.held, walk.asks = "", None, None

    async def _begin(
        self,
        opened: Opened,
        request: AuthorizationRequest,
        demand: Demand,
        visit: Visit,
        *,
        to: str,
        led: str = "",
    ) -> Reply:
        """Remember the request for this browser, and send it to sign in or to be asked."""
        handle, secret = random_text(self._entropy), random_text(self._entropy)
        asks = Asks(
            parameters=opened.parameters,
            pushed=opened.pushed,
            signed=opened.signed,
            instance=opened.instance,
            led=led,
        )
        query = urlencode({"i": handle})
        interaction = Interaction(
            demand=demand,
            browser=secret_digest(secret),
            return_path=f"{self._path}/authorize/continue?{query}",
            began_at=visit.received_at,
            asks=msgspec.json.encode(asks).decode(),
            leads_to=request.to.origin,
        )
        await self._interactions.begin(handle, interaction, ends=visit.received_at + LIFE * 1000)
        return redirect(f"{to}?{query}", self._cookies.set(cookie_of(handle), secret, seconds=LIFE))

    # -- asking -------------------------------------------------------------------------------------------

    def _ask(
        self,
        opened: Opened,
        request: AuthorizationRequest,
        sign_in: SignIn,
        before: Preview,
        walk: _Walk,
        visit: Visit,
    ) -> Reply:
        consenting = Consenting(
            handle=walk.handle,
            token=self._forms.make(FORM, _bound(walk, sign_in, visit)),
            client=opened.client,
            sign_in=sign_in,
            before=before,
            catalogue=before.catalogue,
            request=request,
            origin=opened.to.origin,
            now=visit.received_at,
        )
        return self._consent.render(consenting, visit.reader.language(self._pages))

    async def _said(
        self,
        opened: Opened,
        request: AuthorizationRequest,
        sign_in: SignIn,
        before: Preview,
        walk: _Walk,
        visit: Visit,
    ) -> Reply:
        """What the person said on the page."""
        walk.private = True
        self._forms.check(FORM, _bound(walk, sign_in, visit), visit.posted("csrf"))
        walk.private = False
        chosen = frozenset(visit.unverified_form)
        if visit.posted("decision") == "allow":
            left, grant_id = await self._authorizing.allow(opened, request, sign_in, before, chosen)
            if left.granted:
                code = await self._authorizing.complete(
                    opened, request, sign_in, left, grant_id=grant_id, interaction=walk.handle
                )
                return await self._send(opened, {"code": code}, visit, walk.handle)
        await self._authorizing.refuse(opened, sign_in, before)
        raise MintwardenError(ErrorKind.ACCESS_DENIED, "the person did not allow it")

    # -- the answer ---------------------------------------------------------------------------------------

    async def _refused(
        self,
        error: MintwardenError,
        to: Destination,
        visit: Visit,
        handle: str,
        algorithm: str = "",
        *,
        stranger: bool,
    ) -> Reply:
        """The error, on its way to the client. `stranger`: the client is not of the bundle.

        INVARIANT: whoever follows a link to us is not sent on to a stranger before they did anything here: anybody may
        register a client, and make of it a link that begins with our name and ends elsewhere (RFC 9700 section 4.11.2).
        """
        parameters = {"error": TABLE[error.kind][1], "error_description": description(error.public)}
        return await self._reply(to, parameters, visit, handle, algorithm, by_hand=stranger and not handle)

    async def _send(self, opened: Opened, parameters: Mapping[str, str], visit: Visit, handle: str) -> Reply:
        algorithm = opened.client.authorization.response_algorithm
        return await self._reply(opened.to, parameters, visit, handle, algorithm)

    async def _reply(
        self,
        to: Destination,
        parameters: Mapping[str, str],
        visit: Visit,
        handle: str,
        algorithm: str,
        *,
        by_hand: bool = False,
    ) -> Reply:
        async def sign(claims: Mapping[str, Any]) -> str:
            return await self._sign(claims, algorithm)

        response = await respond(to, parameters, issuer=self._authorizing.issuer, sign=sign, now=visit.received_at)
        headers: tuple[Header, ...] = ()
        if handle:
            held = await self._interactions.open(handle, visit.cookies, visit.received_at)
            await self._interactions.end(held)
            headers = (self._cookies.clear(cookie_of(handle)),)
        return self._on_its_way(response, to, visit, headers, by_hand=by_hand)

    def _on_its_way(
        self, response: Response, to: Destination, visit: Visit, headers: tuple[Header, ...], *, by_hand: bool
    ) -> Reply:
        language = visit.reader.language(self._pages)
        if response.fields is None and by_hand:
            return self._pages.render(
                "leaving.html",
                language,
                status=400,
                headers=headers,
                where=response.location,
                host=to.origin,
                what="leaving_what",
            )
        if response.fields is None:
            return redirect(response.location, *headers)
        return self._pages.render(
            "form_post.html",
            language,
            status=400 if by_hand else 200,
            headers=headers,
            script=not by_hand,
            by_hand=by_hand,
            form_action=[to.origin],
            action=response.location,
            host=urlsplit(response.location).hostname or "",
            fields=response.fields,
        )


class _Walk:
    """Where one request stands. `private`: what goes wrong now is not the client's to hear."""

    def __init__(
        self,
        handle: str = "",
        held: Held[Interaction] | None = None,
        asks: Asks | None = None,
        posted: bool = False,
    ) -> None:
        self.handle = handle
        self.held = held
        self.asks = asks
        self.posted = posted
        self.private = False

    @property
    def was_led(self) -> bool:
        """Was somebody sent to sign in as the rules demand."""
        return self.asks is not None and self.asks.led != ""

    def is_of(self, sign_in: SignIn) -> bool:
        """Was the present sign-in made for this very request."""
        return self.held is not None and self.held.value.session == sign_in.session != ""

    def is_taken_over_by(self, sign_in: SignIn | None) -> bool:
        """Is somebody else there than who was sent to sign in better; what they post belongs to a form of theirs."""
        if sign_in is None or self.asks is None or self.posted:
            return False
        return self.asks.led not in ("", entity_key(sign_in.subject))

    def demand(self, request: AuthorizationRequest) -> Demand:
        """What the sign-in must be to go on."""
        if self.held is None or self.held.value.demand.voluntary:
            return request.demand
        return self.held.value.demand


def _enough(sign_in: SignIn, demand: Demand, walk: _Walk, now: int) -> bool:
    """Is the present sign-in what is demanded; where another one was demanded, is it that one.

    One that was made for this very request does not age while its person reads (`max_age=0` would be met by nobody):
    how old it may be is asked of when the request came, with what a provider's clock may be behind. A level that is
    only wished for is tried for once, and then whatever came of it is enough (RFC 9470 section 5).
    """
    began = walk.held.value.began_at if walk.held is not None and walk.is_of(sign_in) else None
    if not meets(sign_in, demand, now if began is None else began - LEEWAY):
        return False
    wished = bool(demand.acr_values) and sign_in.acr not in demand.acr_values and not demand.silent
    return not (demand.again or demand.choose or wished) or began is not None


def _bound(walk: _Walk, sign_in: SignIn, visit: Visit) -> str:
    """What a form is bound to: one request, one browser, one session of one person."""
    cookie = visit.cookies.get(cookie_of(walk.handle), "")
    return "\n".join((walk.handle, cookie, sign_in.session, entity_key(sign_in.subject))) if cookie else ""
