"""What people allowed and take back, put together: the page, and what ends by it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from mintwarden.app.aftermath import Endings
from mintwarden.app.authorize import Authorizations
from mintwarden.app.browser import form_tokens
from mintwarden.app.following import Following
from mintwarden.app.foundation import Foundation
from mintwarden.app.governing import Governing
from mintwarden.app.in_force import in_force_now
from mintwarden.app.revoking import revoker_of
from mintwarden.app.sign_in import SigningIn
from mintwarden.authn.revoked import link_of
from mintwarden.issue.authorization.authorizing import InForce
from mintwarden.issue.memory import Memory
from mintwarden.issue.withdrawing import REASON, Withdrawing
from mintwarden.model.values import EntityUid
from mintwarden.web.admin.cursor import CursorSeal
from mintwarden.web.discovery import path_of
from mintwarden.web.pages.endpoint import BrowserEndpoints
from mintwarden.web.reply import Handler
from mintwarden.web.withdraw import WithdrawalPages


class Withdrawals:
    """Everything about it, under whatever governs when a request begins."""

    def __init__(
        self,
        base: Foundation,
        *,
        memory: Memory,
        endings: Endings,
        governing: Governing,
        following: Following,
        signing_in: SigningIn,
        authorizations: Authorizations,
    ) -> None:
        self._base = base
        self._governing = governing
        self._following = following
        self._signing_in = signing_in
        self._withdrawing = Withdrawing(
            issuer=base.issuer,
            now_in_force=self._now,
            memory=memory,
            consents=authorizations.consents,
            end_grants=endings.end_all,
            end_link=self._end_link,
            sign_out=signing_in.sign_out,
        )

    def handlers(self, browser: BrowserEndpoints, path: str) -> Mapping[str, Handler]:
        """The endpoints for browsers, by path."""
        pages = WithdrawalPages(
            self._withdrawing,
            entrance=self._signing_in.entrance(browser),
            pages=browser.pages,
            forms=form_tokens(self._base),
            cursors=CursorSeal(self._base.master.derive(b"grants-cursor"), random_bytes=secrets.token_bytes),
            path=path_of(self._base.issuer),
        )
        at = f"{path}/grants"
        return {
            at: browser.endpoint(pages.show, route="grants", path=at),
            f"{at}/end": browser.endpoint(pages.end, route="grants", path=f"{at}/end", methods=("POST",)),
        }

    async def _end_link(self, person: EntityUid, actor: EntityUid) -> None:
        revoker = revoker_of(self._governing.current.base)
        await revoker.revoke("link", link_of(person, actor), reason=REASON, by=person)

    async def _now(self) -> InForce:
        return await in_force_now(self._following, self._governing)
