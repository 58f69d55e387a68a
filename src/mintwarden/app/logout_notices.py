"""Tells clients behind the answer that a session of theirs has ended: a few times each, then no more."""

from __future__ import annotations

import functools
import secrets
from collections.abc import Callable, Sequence

from mintwarden.app.foundation import Foundation
from mintwarden.app.governing import Governing
from mintwarden.app.notices import Notices
from mintwarden.authn.ports import FormPoster
from mintwarden.authn.sessions import Session
from mintwarden.issue.logout_token import logout_claims
from mintwarden.mint.statement import sign_statement
from mintwarden.model.catalogue import Catalogue
from mintwarden.model.errors import ErrorKind, MintwardenError

PAUSES: Sequence[float] = (1.0, 5.0, 30.0)
"""Seconds before each further attempt."""


class LogoutNotices(Notices):
    """Sends them."""

    def __init__(
        self,
        base: Foundation,
        *,
        governing: Governing,
        poster: FormPoster,
        stumbled: Callable[[str, BaseException], None],
        pauses: Sequence[float] = PAUSES,
    ) -> None:
        super().__init__("logout", stumbled=stumbled, pauses=pauses)
        self._base = base
        self._governing = governing
        self._poster = poster

    def tell(self, session: Session) -> None:
        """Tell every client of the session that wants to know; returns at once."""
        for client_id in session.clients:
            if not self._deliver(functools.partial(self._tell, session, client_id)):
                return

    async def _tell(self, session: Session, client_id: str) -> None:
        """Each attempt with a token of its own: the one before may have been used up by a client that then failed."""
        base = self._base
        client = await self._governing.current.authenticator.find(client_id, base.clock.now())
        if client is None or not client.backchannel_logout_uri:
            return
        claims = logout_claims(
            session, client_id, issuer=base.issuer, token_id=secrets.token_urlsafe(16), now=base.clock.now()
        )
        algorithm = identity_algorithm(self._governing.current.bundle.catalogue)
        token = await sign_statement("logout", claims, base.ring.signer_for(algorithm))
        answer = await self._poster.post(client.backchannel_logout_uri, {"logout_token": token})
        if answer.status not in (200, 204):
            raise MintwardenError(ErrorKind.SOURCE, f"client `{client_id}` did not take a logout token")


def identity_algorithm(catalogue: Catalogue) -> str:
    """What is signed with that clients read about people: the identity audience's, or else the first one's."""
    own = catalogue.identity
    return (catalogue.audiences[own] if own else next(iter(catalogue.audiences.values()))).algorithm
