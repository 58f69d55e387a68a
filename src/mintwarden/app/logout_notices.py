"""Tells clients that a session of theirs has ended: each until it has heard, or its time is over."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Final

from mintwarden.app.foundation import Foundation
from mintwarden.app.governing import Governing
from mintwarden.app.telling import WAITING, Notice, Telling, Told
from mintwarden.authn.ports import FormPoster
from mintwarden.authn.sessions import Session
from mintwarden.issue.logout_token import logout_claims
from mintwarden.mint.statement import sign_statement
from mintwarden.model.catalogue import Catalogue, Client
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.values import EntityUid

KIND: Final = "logout_notice"
"""The kind of their shelf."""
PAUSES: Sequence[int] = (1, 5, 30, 120, 600, 3_600)
"""Seconds before each further attempt."""
KEPT: Final = 2 * 3_600_000
"""Milliseconds after which a notice is given up, however often it was tried."""


class LogoutNotice(Notice, frozen=True, kw_only=True):
    """What one client is to be told: `session` is the public name of the session that ended."""

    subject: EntityUid
    session: str

    @property
    def handle(self) -> str:
        """One session ends once, for each of its clients."""
        return f"{self.session} {self.client_id}"


class LogoutNotices(Telling[LogoutNotice]):
    """See `Telling`."""

    def __init__(
        self,
        base: Foundation,
        *,
        governing: Governing,
        way: Callable[[str], FormPoster],
        told: Told,
        now: Callable[[], int],
    ) -> None:
        super().__init__("logout", KIND, LogoutNotice, base, told=told, now=now)
        self._base = base
        self._governing = governing
        self._way = way

    async def keep(self, session: Session) -> None:
        """Keep what the session's clients are to be told, durably. Safe to run again: one notice for each of them."""
        now = self._now()
        clients = self._governing.current.bundle.catalogue.clients
        for client_id in session.clients:
            known = clients.get(client_id)
            if known is not None and not known.backchannel_logout_uri:
                continue
            sign_in = session.sign_in
            notice = LogoutNotice(
                client_id=client_id, subject=sign_in.subject, session=sign_in.session, ends=now + KEPT, due=now
            )
            # The store forgets it some time after it should have been given up, which is to be told.
            await self._shelf.add(notice.handle, notice, ends=now + 2 * KEPT, owner=WAITING)

    def _listed(self, client_id: str) -> tuple[Client, bool] | None:
        return self._governing.current.authenticator.client(client_id)

    def _endpoint(self, client: Client) -> str:
        return client.backchannel_logout_uri

    def _pause(self, attempts: int) -> int | None:
        return PAUSES[attempts - 1] if attempts <= len(PAUSES) else None

    def _late(self, notice: LogoutNotice) -> MintwardenError:
        return MintwardenError(ErrorKind.SOURCE, f"client `{notice.client_id}` was not told of a logout in time")

    async def _send(self, notice: LogoutNotice) -> bool:
        """Each attempt with a token of its own: the one before may have been used up by a client that then failed."""
        base, now = self._base, self._now()
        client = await self._governing.current.authenticator.find(notice.client_id, now)
        if client is None or not client.backchannel_logout_uri:
            return True
        claims = logout_claims(
            notice.subject,
            notice.session,
            client.id,
            issuer=base.issuer,
            token_id=secrets.token_urlsafe(16),
            now=now,
        )
        algorithm = identity_algorithm(self._governing.current.bundle.catalogue)
        token = await sign_statement("logout", claims, base.ring.signer_for(algorithm))
        posting = self._way(client.id).post(client.backchannel_logout_uri, {"logout_token": token})
        answer = await self._called(client, posting)
        if answer.status not in (200, 204):
            raise MintwardenError(
                ErrorKind.SOURCE,
                f"client `{client.id}` did not take a logout token",
                hint=f"its `backchannel_logout_uri` answered {answer.status}; 200 or 204 was expected",
            )
        return True


def identity_algorithm(catalogue: Catalogue) -> str:
    """What is signed with that clients read about people: the identity audience's, or else the first one's."""
    own = catalogue.identity
    return (catalogue.audiences[own] if own else next(iter(catalogue.audiences.values()))).algorithm
