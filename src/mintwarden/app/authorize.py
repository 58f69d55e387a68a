"""Authorization put together: the endpoint for browsers, the one for pushed requests, user info."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from mintwarden.app.administration import access_to
from mintwarden.app.browser import form_tokens, visits_of
from mintwarden.app.following import Following
from mintwarden.app.foundation import Foundation
from mintwarden.app.governing import Governing
from mintwarden.app.in_force import in_force_now
from mintwarden.app.logout_notices import identity_algorithm
from mintwarden.app.own_keys import RingKeys
from mintwarden.app.sign_in import SigningIn
from mintwarden.authn.jose import JoseError
from mintwarden.authn.own import OwnTokens
from mintwarden.authn.replay import ReplayGuard
from mintwarden.authn.shelf import Shelf
from mintwarden.issue.authorization.authorizing import Authorizing, InForce
from mintwarden.issue.authorization.consent import KIND as CONSENT
from mintwarden.issue.authorization.consent import Consent, Consents
from mintwarden.issue.authorization.pushed import CREDENTIALS, PushedRequest, PushedRequests
from mintwarden.issue.authorization.pushed import KIND as PUSHED
from mintwarden.issue.authorization.request import GRANT, locales_of
from mintwarden.issue.epoch import in_one_epoch
from mintwarden.issue.line import Line
from mintwarden.issue.on_record import record_begun
from mintwarden.issue.unresolved import Unresolved
from mintwarden.issue.user_info import user_info
from mintwarden.ledger.record import ProofReplayed
from mintwarden.mint.statement import sign_statement
from mintwarden.model.address import block_of
from mintwarden.model.clock import seconds
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.request import TokenRequest
from mintwarden.model.values import EntityUid
from mintwarden.web.admin.access import Showing, TokenRefused
from mintwarden.web.authorize import AuthorizePages
from mintwarden.web.discovery import path_of
from mintwarden.web.pages.endpoint import BrowserEndpoints
from mintwarden.web.reply import Handler, Scope

USED = "answered_request"
"""The kind of the shelf of requests that were answered."""


class Authorizations:
    """Everything about authorization, under whatever governs when a request begins."""

    def __init__(
        self,
        base: Foundation,
        *,
        line: Line,
        governing: Governing,
        following: Following,
        signing_in: SigningIn,
        replay: ReplayGuard,
    ) -> None:
        self._base = base
        self._governing = governing
        self._following = following
        self._signing_in = signing_in
        self._line = line
        self._replay = replay
        self._visits = visits_of(base)
        self._own = OwnTokens(issuer=base.issuer, keys=RingKeys(base.ring))
        states, seal = base.store.states, base.master
        self.consents = Consents(
            shelf=Shelf(CONSENT, Consent, states=states, seal=seal),
            revocations=base.store.revocations,
            record=self._record,
        )
        self._authorizing = Authorizing(
            issuer=base.issuer,
            line=line,
            now_in_force=self._now,
            pushed=PushedRequests(Shelf(PUSHED, PushedRequest, states=states, seal=seal), entropy=secrets.token_bytes),
            consents=self.consents,
            used=Shelf(USED, str, states=states, seal=seal),
            keys=RingKeys(base.ring),
        )

    def handlers(self, browser: BrowserEndpoints, path: str) -> Mapping[str, Handler]:
        """The endpoints for browsers, by path."""
        pages = AuthorizePages(
            self._authorizing,
            interactions=self._signing_in.interactions,
            sign=self._sign,
            pages=browser.pages,
            cookies=browser.cookies,
            forms=form_tokens(self._base),
            path=path_of(self._base.issuer),
            entropy=secrets.token_bytes,
        )
        both, at = ("GET", "POST"), f"{path}/authorize"
        return {
            at: browser.endpoint(pages.authorize, route="authorize", path=at, methods=both, locales=locales_of),
            f"{at}/continue": browser.endpoint(pages.resume, route="authorize", path=f"{at}/continue", methods=both),
        }

    async def push(self, request: TokenRequest) -> tuple[str, str]:
        """Keep a pushed request (RFC 9126 section 2): the client, and the request's name."""
        return await in_one_epoch(lambda: self._push(request), self._following.refresh)

    async def _push(self, request: TokenRequest) -> tuple[str, str]:
        await self._following.now()
        now = self._base.clock.now()
        desk = self._governing.current.desk
        caller = await desk.authenticate(request, now)
        if caller.method == "none" and self._visits.take(block_of(request.address)):
            # Anybody may push in a public client's name, and what is pushed is kept for a while.
            raise MintwardenError(ErrorKind.OVERLOADED, "too many requests from this address")
        parameters = {name: values for name, values in request.unverified_form.items() if name not in CREDENTIALS}
        await desk.claim(caller)
        proven = caller.binding
        jkt = proven.thumbprint if proven is not None and proven.kind == "dpop" else ""
        try:
            return caller.client_id, await self._authorizing.push(
                parameters, caller.client_id, now, jkt=jkt, instance=caller.instance, asker=request.address
            )
        except Unresolved as refused:
            await record_begun(refused, GRANT, request, caller, desk.client(caller), self._line)
            raise

    async def user_info(self, scope: Scope, showing: Showing) -> object:
        """What the token of a request lets its holder learn: a document, or, as text, a signed one."""
        return await in_one_epoch(lambda: self._user_info(scope, showing), self._following.refresh)

    async def _user_info(self, scope: Scope, showing: Showing) -> object:
        await self._following.now()
        now, current = self._base.clock.now(), self._governing.current
        desk, catalogue, shown = current.desk, current.bundle.catalogue, showing.of(scope)
        access = access_to(current.base, catalogue.identity, self._own, replay=self._replay)
        _, once = access.verify(shown)
        try:
            presented = await desk.tokens.read(shown.authorizations[0].partition(" ")[2].strip(), now)
        except JoseError as error:
            raise TokenRefused("the access token is not valid", hint=str(error)) from None
        try:
            told = await user_info(presented, once, fresh=desk.fresh, regime=current.regime, line=self._line, now=now)
        except ProofReplayed:
            raise access.again() from None
        client = await current.authenticator.find(presented.evidence.client_id, now)
        algorithm = client.authorization.userinfo_algorithm if client is not None else ""
        if not algorithm:
            return told
        claims = {"iss": self._base.issuer, "aud": presented.evidence.client_id, "iat": seconds(now), **told}
        return await sign_statement("userinfo", claims, self._base.ring.signer_for(algorithm))

    async def _now(self) -> InForce:
        return await in_force_now(self._following, self._governing)

    async def _record(self, person: EntityUid, detail: Mapping[str, object], private: Mapping[str, object]) -> None:
        await self._base.scribe().write("consent", person, detail, private)

    async def _sign(self, claims: Mapping[str, Any], algorithm: str) -> str:
        named = algorithm or identity_algorithm(self._governing.current.bundle.catalogue)
        return await sign_statement("authorization_response", claims, self._base.ring.signer_for(named))
