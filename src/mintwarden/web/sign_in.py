"""Signing in, as a browser sees it: the ways to choose from, the way to a provider and back, the session's cookie."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlencode

from msgspec import Struct

from mintwarden.authn.interactions import Interaction, Interactions
from mintwarden.authn.sessions import COOKIE, Session, Sessions
from mintwarden.authn.shelf import Held
from mintwarden.authn.sign_in import Demand, SignIn
from mintwarden.authn.upstream.broker import Broker, chosen
from mintwarden.authn.upstream.provider import ReadyProvider
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.policy.bundle.providers import PASSKEY
from mintwarden.web.pages.cookies import Cookies
from mintwarden.web.pages.endpoint import TryAgain, Visit, own_path, redirect
from mintwarden.web.pages.form_tokens import FormTokens
from mintwarden.web.pages.render import Pages
from mintwarden.web.reply import Header, Reply

if TYPE_CHECKING:
    from mintwarden.authn.passkeys import Passkeys

PASSKEY_FORM: Final = "passkey"
"""The form with which somebody signs in with a passkey."""


class SignIns(Struct, frozen=True, kw_only=True):
    """How people sign in under the version in force. `passkeys`: our own, None where there are none."""

    sessions: Sessions
    broker: Broker
    providers: dict[str, ReadyProvider]
    passkeys: Passkeys | None


class SignOut(Protocol):
    """Ends a session everywhere."""

    async def __call__(self, held: Held[Session], why: str) -> None: ...


class SignInPages:
    """The pages.

    Args:
        now_in_force: how people sign in now.
        record: writes a sign-in into the ledger, before its session begins.
        sign_out: ends a session that another person's takes the place of.
        path: what comes before our own paths.
    """

    def __init__(
        self,
        *,
        now_in_force: Callable[[], Awaitable[SignIns]],
        interactions: Interactions,
        record: Callable[[SignIn], Awaitable[None]],
        sign_out: SignOut,
        pages: Pages,
        cookies: Cookies,
        forms: FormTokens,
        path: str,
    ) -> None:
        self._now_in_force = now_in_force
        self._interactions = interactions
        self._record = record
        self._sign_out = sign_out
        self._pages = pages
        self._cookies = cookies
        self._forms = forms
        self._path = path

    async def choose(self, visit: Visit) -> Reply:
        """`/signin?i=`: the ways to sign in, or at once the only one that fits."""
        ways = await self._now_in_force()
        handle = visit.one("i")
        held = await self._interactions.open(handle, visit.cookies, visit.received_at)
        demand = held.value.demand
        visit.read_in(demand.ui_locales)
        if not ways.providers and ways.passkeys is None:
            raise MintwardenError(ErrorKind.NOT_FOUND, "there is no way to sign in here")
        providers, passkeys = _that_can(ways, demand)
        only = chosen(providers, demand, passkeys=passkeys)
        if only:
            return await self._to_provider(ways, only, handle, held, visit)
        passkey = {"interaction": handle, "token": self._forms.make(PASSKEY_FORM, handle)} if passkeys else None
        return self._pages.render(
            "sign_in.html",
            visit.reader.language(self._pages),
            script=passkeys,
            # Browsers hold a form to the whole way that it leads, redirects included.
            form_action=[held.value.leads_to] if held.value.leads_to else [],
            client_name=demand.client_name,
            providers=[
                {"name": provider.data.name, "href": self._start(handle, name)} for name, provider in providers.items()
            ],
            passkey=passkey,
            better=bool(demand.ways),
            without=held.value.return_path if demand.voluntary and own_path(held.value.return_path) else "",
        )

    async def start(self, visit: Visit) -> Reply:
        """`/signin/start?i=&provider=`: the way to the provider that was chosen."""
        ways = await self._now_in_force()
        held = await self._interactions.open(visit.one("i"), visit.cookies, visit.received_at)
        visit.read_in(held.value.demand.ui_locales)
        return await self._to_provider(ways, visit.one("provider"), visit.one("i"), held, visit)

    async def callback(self, visit: Visit) -> Reply:
        """`/signin/callback/<provider>`: back from a provider."""
        ways = await self._now_in_force()
        attempt = await ways.broker.returned(visit.path, visit.unverified_query, visit.received_at)
        # Before the code is redeemed: another browser's answer costs the provider's code, and proves nothing here.
        held = await self._interactions.open(attempt.interaction, visit.cookies, visit.received_at)
        visit.read_in(held.value.demand.ui_locales)
        try:
            sign_in = await ways.broker.finish(attempt, visit.unverified_query, visit.received_at)
        except MintwardenError as error:
            if _goes_on(held, error):
                return redirect(held.value.return_path)
            where = f"{self._path}/signin?{urlencode({'i': attempt.interaction})}"
            raise TryAgain(error, where) from error
        location, cookie = await self.establish(ways, held, sign_in, visit)
        return redirect(location, cookie)

    async def establish(
        self, ways: SignIns, held: Held[Interaction], sign_in: SignIn, visit: Visit
    ) -> tuple[str, Header]:
        """The session of a sign-in begins: where the browser goes on with what it is for, and the session's cookie."""
        location = held.value.return_path
        if not own_path(location):
            raise MintwardenError(ErrorKind.INTERNAL, "an interaction leads elsewhere")
        await self._record(sign_in)
        begun = await ways.sessions.begin(sign_in, visit.cookies, visit.received_at)
        if begun.replaced is not None:
            await self._sign_out(begun.replaced, "another person signed in")
        await self._interactions.signed_in(held, begun.sign_in.session)
        return location, self._cookies.set(COOKIE, begun.cookie)

    async def _to_provider(
        self, ways: SignIns, provider: str, handle: str, held: Held[Interaction], visit: Visit
    ) -> Reply:
        try:
            return redirect(await ways.broker.begin(provider, handle, held.value.demand, visit.received_at))
        except MintwardenError as error:
            if _goes_on(held, error):
                return redirect(held.value.return_path)
            raise

    def _start(self, handle: str, provider: str) -> str:
        return f"{self._path}/signin/start?{urlencode({'i': handle, 'provider': provider})}"


def _that_can(ways: SignIns, demand: Demand) -> tuple[dict[str, ReadyProvider], bool]:
    """The providers that can give what is demanded, and whether passkeys can; all of them where none is left."""
    providers = {name: one for name, one in ways.providers.items() if name in demand.ways}
    passkeys = ways.passkeys is not None and PASSKEY in demand.ways
    if not providers and not passkeys:
        return ways.providers, ways.passkeys is not None
    return providers, passkeys


def _goes_on(held: Held[Interaction], error: MintwardenError) -> bool:
    """Does somebody go on as they are signed in, now that the sign-in that they were led to came to nothing."""
    voluntary = held.value.demand.voluntary and own_path(held.value.return_path)
    return voluntary and error.kind in (ErrorKind.INVALID_REQUEST, ErrorKind.SOURCE, ErrorKind.UNAVAILABLE)


def described(sign_in: SignIn) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the ledger says of a sign-in: for everyone, and sealed."""
    public = {"what": "sign_in", "provider": sign_in.provider, "acr": sign_in.acr, "amr": list(sign_in.amr)}
    return public, {"authenticated_at": sign_in.authenticated_at, "device": sign_in.device}
