"""Tells clients behind the answer that a session of theirs has ended: a few times each, then no more."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence

from mintwarden.app.foundation import Foundation
from mintwarden.app.governing import Governing
from mintwarden.authn.ports import FormPoster
from mintwarden.authn.sessions import Session
from mintwarden.issue.logout_token import logout_claims
from mintwarden.mint.statement import sign_statement
from mintwarden.model.catalogue import Catalogue
from mintwarden.model.errors import ErrorKind, MintwardenError

PAUSES: Sequence[float] = (1.0, 5.0, 30.0)
"""Seconds before each further attempt."""
MOST = 1_000
"""Notices under way in one process; what comes beyond is told as not delivered."""
AT_ONCE = 16


class LogoutNotices:
    """Sends them. `stumbled` hears of each that was given up."""

    def __init__(
        self,
        base: Foundation,
        *,
        governing: Governing,
        poster: FormPoster,
        stumbled: Callable[[str, BaseException], None],
        pauses: Sequence[float] = PAUSES,
    ) -> None:
        self._base = base
        self._governing = governing
        self._poster = poster
        self._stumbled = stumbled
        self._pauses = tuple(pauses)
        self._under_way: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(AT_ONCE)

    def tell(self, session: Session) -> None:
        """Tell every client of the session that wants to know; returns at once."""
        for client_id in session.clients:
            if len(self._under_way) >= MOST:
                self._stumbled("logout", MintwardenError(ErrorKind.OVERLOADED, "too many logout notices at once"))
                return
            task = asyncio.create_task(self._tell(session, client_id), name="logout")
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def close(self) -> None:
        """Give up what is under way."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _tell(self, session: Session, client_id: str) -> None:
        last: Exception | None = None
        try:
            client = await self._governing.current.authenticator.find(client_id, self._base.clock.now())
            if client is None or not client.backchannel_logout_uri:
                return
            for pause in (0.0, *self._pauses):
                await asyncio.sleep(pause)
                try:
                    async with self._room:
                        done = await self._send(session, client_id, client.backchannel_logout_uri)
                except MintwardenError as error:
                    last = error
                else:
                    if done:
                        return
                    last = MintwardenError(ErrorKind.SOURCE, f"client `{client_id}` did not take a logout token")
        except Exception as error:  # noqa: BLE001 - nobody waits for this: it is told, and the session has ended anyway
            last = error
        if last is not None:
            self._stumbled("logout", last)

    async def _send(self, session: Session, client_id: str, where: str) -> bool:
        """Each attempt with a token of its own: the one before may have been used up by a client that then failed."""
        base = self._base
        claims = logout_claims(
            session, client_id, issuer=base.issuer, token_id=secrets.token_urlsafe(16), now=base.clock.now()
        )
        algorithm = identity_algorithm(self._governing.current.bundle.catalogue)
        token = await sign_statement("logout", claims, base.ring.signer_for(algorithm))
        answer = await self._poster.post(where, {"logout_token": token})
        return answer.status in (200, 204)


def identity_algorithm(catalogue: Catalogue) -> str:
    """What is signed with that clients read about people: the identity audience's, or else the first one's."""
    own = catalogue.identity
    return (catalogue.audiences[own] if own else next(iter(catalogue.audiences.values()))).algorithm
