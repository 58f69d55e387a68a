"""Signing in, put together: providers as this deployment reaches them, sessions, and the endpoints for browsers."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mintwarden.app.aftermath import Endings
from mintwarden.app.browser import form_tokens
from mintwarden.app.config import TransmitterConfig, UpstreamConfig
from mintwarden.app.following import Following
from mintwarden.app.foundation import Foundation
from mintwarden.app.governing import Governing
from mintwarden.app.logout_notices import LogoutNotices, identity_algorithm
from mintwarden.app.observe import Watch
from mintwarden.app.own_keys import RingKeys
from mintwarden.app.posting import way_to
from mintwarden.app.signals_out import SignalsOut
from mintwarden.app.trust import guarded
from mintwarden.authn.interactions import KIND, Interaction, Interactions
from mintwarden.authn.registry import KnownClient
from mintwarden.authn.replay import ReplayGuard
from mintwarden.authn.sessions import CAME, SESSION, UPSTREAM_SESSION, Session, Sessions
from mintwarden.authn.shelf import Shelf
from mintwarden.authn.sign_in import SignIn
from mintwarden.authn.upstream.broker import ATTEMPT, Attempt, Broker
from mintwarden.authn.upstream.provider import AssertionSigner, Reach, ReadyProvider, Secret
from mintwarden.issue.authorization.request import locales_of
from mintwarden.issue.sign_out import SignOut
from mintwarden.mint.statement import sign_statement
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.terms import Refresh
from mintwarden.policy.bundle.providers import PASSKEY
from mintwarden.web.discovery import base_of, path_of
from mintwarden.web.pages.endpoint import BrowserEndpoints
from mintwarden.web.pages.entrance import Entrance
from mintwarden.web.passkeys import PasskeyPages
from mintwarden.web.reply import Handler
from mintwarden.web.sign_in import SignInPages, SignIns, described
from mintwarden.web.sign_out import LOGOUT, LogoutRequest, SignOutPages

if TYPE_CHECKING:
    from mintwarden.authn.passkeys import Passkey, Passkeys


class Upstreams:
    """Providers' addresses and keys, kept from one version of the bundle to the next."""

    def __init__(self, base: Foundation) -> None:
        self._base = base
        self._kept: dict[tuple[str, str], Reach] = {}

    def reach(self, name: str, issuer: str) -> Reach:
        """The reach of a provider."""
        found = self._kept.get((name, issuer))
        if found is None:
            config = self._base.config
            own = config.upstreams.get(name, UpstreamConfig()).networks
            fetcher = guarded(config, own, remedy=f"one of your own is named in `upstreams.{name}.networks`")
            found = self._kept[name, issuer] = Reach(issuer=issuer, fetcher=fetcher)
        return found


def sign_ins(base: Foundation, upstreams: Upstreams) -> SignIns:
    """How people sign in under the bundle of `base`."""
    catalogue = base.bundle.catalogue
    providers = {
        name: ReadyProvider(
            provider,
            reach=upstreams.reach(name, provider.issuer),
            secret=shared_secret(base.config.upstreams.get(name, UpstreamConfig())),
            sign=_assertions(base),
        )
        for name, provider in catalogue.providers.items()
    }
    counting = [*providers, PASSKEY] if catalogue.passkeys.enabled else list(providers)
    return SignIns(
        sessions=Sessions(
            shelf=session_shelf(base),
            upstream=Shelf(UPSTREAM_SESSION, CAME, states=base.store.states, seal=base.master),
            revocations=base.store.revocations,
            providers=counting,
            bounds=catalogue.sessions,
            entropy=secrets.token_bytes,
        ),
        broker=Broker(
            base=base_of(base.issuer),
            providers=providers,
            attempts=Shelf(ATTEMPT, Attempt, states=base.store.states, seal=base.master),
            entropy=secrets.token_bytes,
        ),
        providers=providers,
        passkeys=passkeys_of(base) if catalogue.passkeys.enabled else None,
    )


def passkeys_of(base: Foundation) -> Passkeys:
    """The passkeys of a deployment, counted as the bundle of `base` says."""
    # Loaded where passkeys are in use: the library costs every other deployment start-up time and memory.
    from mintwarden.authn import passkeys as own  # noqa: PLC0415

    states, seal = base.store.states, base.master
    return own.Passkeys(
        issuer=base.issuer,
        counted=base.bundle.catalogue.passkeys,
        passkeys=Shelf(own.PASSKEY, own.Passkey, states=states, seal=seal),
        challenges=Shelf(own.CHALLENGE, own.Challenge, states=states, seal=seal),
        invitations=Shelf(own.INVITATION, own.Invitation, states=states, seal=seal),
        names=base.master.derive(b"passkey-names"),
        entropy=secrets.token_bytes,
    )


def session_shelf(base: Foundation) -> Shelf[Session]:
    """The sessions of a deployment."""
    return Shelf(SESSION, Session, states=base.store.states, seal=base.master)


class SigningIn:
    """Signing in and out, under whatever governs when a request begins."""

    def __init__(
        self,
        base: Foundation,
        *,
        governing: Governing,
        following: Following,
        replay: ReplayGuard,
        watch: Watch,
        signals: SignalsOut,
        endings: Endings,
    ) -> None:
        self._base = base
        self._governing = governing
        self._following = following
        self._replay = replay
        self._signals = signals
        self._endings = endings
        way = way_to(base.config, governing)
        self.notices = LogoutNotices(base, governing=governing, way=way, told=watch, now=base.clock.now)
        shelf = Shelf(KIND, Interaction, states=base.store.states, seal=base.master)
        self.interactions = Interactions(shelf)
        self.sign_out = SignOut(
            record=self._record_end,
            shelf=session_shelf(base),
            revocations=base.store.revocations,
            now=base.clock.now,
            longest=self._longest,
            keep=self._keep,
            tell=self.notices.tell,
        )

    async def close(self) -> None:
        """Stop telling clients what they were not told yet; it is kept."""
        await self.notices.close()

    async def now(self) -> SignIns:
        """How people sign in, as the store says now (invariant 7)."""
        await self._following.now()
        return self._governing.current.sign_ins

    async def _keep(self, session: Session, why: str) -> None:
        await self.notices.keep(session)
        await self._signals.session_ended(session, why)

    def entrance(self, browser: BrowserEndpoints) -> Entrance:
        """Sends people to sign in, and back."""
        return Entrance(
            interactions=self.interactions,
            cookies=browser.cookies,
            path=path_of(self._base.issuer),
            entropy=secrets.token_bytes,
        )

    def handlers(self, browser: BrowserEndpoints, path: str) -> Mapping[str, Handler]:
        """The endpoints, by path."""
        pages, leaving = self._pages(browser), self._leaving(browser)
        own = self._passkeys(browser, pages)
        both = ("GET", "POST")
        at = f"{path}/signin/passkey"
        spoken = {
            at: own.show,
            f"{at}/options": own.options,
            f"{at}/registration": own.registration,
            f"{at}/registration/options": own.registration_options,
        }
        seen = {f"{at}/new": own.invitation, f"{at}/made": own.made}
        return {
            **{
                name: browser.endpoint(work, route="passkey", path=name, methods=("POST",))
                for name, work in spoken.items()
            },
            **{name: browser.endpoint(work, route="passkey", path=name) for name, work in seen.items()},
            f"{path}/signin": browser.endpoint(pages.choose, route="signin", path=f"{path}/signin"),
            f"{path}/signin/start": browser.endpoint(pages.start, route="signin", path=f"{path}/signin/start"),
            f"{path}/logout": browser.endpoint(
                leaving.logout, route="logout", path=f"{path}/logout", methods=both, locales=locales_of
            ),
        }

    def mounts(self, browser: BrowserEndpoints, path: str) -> Sequence[tuple[str, Handler]]:
        """The endpoints that answer everything below a path."""
        pages, leaving = self._pages(browser), self._leaving(browser)
        back, told = f"{path}/signin/callback", f"{path}/signin/backchannel-logout"
        return [
            (f"{back}/", browser.endpoint(pages.callback, route="signin", path=back)),
            (f"{told}/", browser.endpoint(leaving.backchannel, route="logout", path=told, methods=("POST",))),
        ]

    def _pages(self, browser: BrowserEndpoints) -> SignInPages:
        return SignInPages(
            now_in_force=self.now,
            interactions=self.interactions,
            record=self._record,
            sign_out=self.sign_out,
            pages=browser.pages,
            cookies=browser.cookies,
            forms=form_tokens(self._base),
            path=path_of(self._base.issuer),
        )

    def _passkeys(self, browser: BrowserEndpoints, pages: SignInPages) -> PasskeyPages:
        return PasskeyPages(
            issuer=self._base.issuer,
            path=path_of(self._base.issuer),
            now_in_force=self.now,
            interactions=self.interactions,
            sign_in=pages,
            record=self._record_passkey,
            told=lambda passkey: self._signals.passkey_changed(
                passkey.subject, passkey.id, passkey.attachment, "create", passkey.subject
            ),
            pages=browser.pages,
            forms=form_tokens(self._base),
        )

    async def _record_passkey(self, passkey: Passkey) -> None:
        detail = {"what": "passkey_made", "synced": passkey.synced}
        await self._base.scribe().write("administration", passkey.subject, detail, {"passkey": passkey.id})

    def _leaving(self, browser: BrowserEndpoints) -> SignOutPages:
        base = self._base
        return SignOutPages(
            issuer=base.issuer,
            path=path_of(base.issuer),
            keys=RingKeys(base.ring),
            now_in_force=self.now,
            client=self._client,
            sign_out=self.sign_out,
            end_given=self._endings.end_given,
            requests=Shelf(LOGOUT, LogoutRequest, states=base.store.states, seal=base.master),
            claims=base.store.revocations,
            replay=self._replay,
            pages=browser.pages,
            cookies=browser.cookies,
            forms=form_tokens(base),
        )

    async def _client(self, client_id: str, now: int) -> KnownClient | None:
        await self._following.now()
        return await self._governing.current.authenticator.known(client_id, now)

    def _longest(self) -> int:
        """The longest that anything lives which a session was the beginning of, in seconds."""
        catalogue = self._governing.current.bundle.catalogue
        renewed = [Refresh().absolute, *(client.refresh.absolute for client in catalogue.clients.values())]
        return max(*renewed, *(audience.max_ttl for audience in catalogue.audiences.values()))

    async def _record(self, sign_in: SignIn) -> None:
        public, private = described(sign_in)
        await self._base.scribe().write("sign_in", sign_in.subject, public, private)

    async def _record_end(self, session: Session, why: str) -> None:
        sign_in = session.sign_in
        public = {"what": "sign_out", "provider": sign_in.provider, "reason": why}
        await self._base.scribe().write("sign_in", sign_in.subject, public, {"session": sign_in.session})


def shared_secret(config: UpstreamConfig | TransmitterConfig) -> Secret:
    """Reads what we share with a provider or a transmitter, each time anew; empty where there is nothing.

    Raises `CONFIG` for a file that cannot be read.
    """

    def read() -> str:
        if config.secret_env:
            return os.environ.get(config.secret_env, "")
        if not config.secret_file:
            return ""
        try:
            return Path(config.secret_file).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise MintwardenError(
                ErrorKind.CONFIG, "a secret that we share with somebody cannot be read", hint=f"`{config.secret_file}`"
            ) from error

    return read


def _assertions(base: Foundation) -> AssertionSigner:
    async def sign(claims: Mapping[str, Any]) -> str:
        algorithm = identity_algorithm(base.bundle.catalogue)
        return await sign_statement("client_authentication", claims, base.ring.signer_for(algorithm))

    return sign
