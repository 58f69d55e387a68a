"""`/grants` as a browser sees it: what somebody allowed whom, where they are signed in, and how to end each of it.

INVARIANT: each form is bound to a session of ours and to one thing of its person; what comes from elsewhere, or is
about what is somebody else's, changes nothing. After it the browser is sent back to the page, so that nothing is sent
twice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from mintwarden.authn.ports import Place
from mintwarden.authn.sessions import Session
from mintwarden.authn.sign_in import Demand, SignIn
from mintwarden.issue.confines import Confines
from mintwarden.issue.granted import Granted
from mintwarden.issue.withdrawing import Allowed, Overview, Turn, Withdrawing
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.ids import entity_key
from mintwarden.web.admin.cursor import CursorSeal
from mintwarden.web.pages.endpoint import Visit, redirect, require_own_origin
from mintwarden.web.pages.entrance import Entrance
from mintwarden.web.pages.form_tokens import FormTokens
from mintwarden.web.pages.render import Pages
from mintwarden.web.pages.shown import day, groups_of, limited_to, moment
from mintwarden.web.reply import Reply

FORM: Final = "grants"
NEWEST: Final = 5
"""Grants of a client that are shown at once; the older ones unfold."""

AFTER, BEFORE = "after", "before"
"""Cursors in the address of a page."""

LONGEST: Final = 200
"""Characters of one; ours have some hundred."""

_SAID: Mapping[str, str] = {
    "grant": "grants_said_grant",
    "client": "grants_said_client",
    "session": "grants_said_session",
    "sessions": "grants_said_sessions",
}
"""What can be ended, and what is said then."""


class WithdrawalPages:
    """The endpoints. `path` is what comes before our own paths."""

    def __init__(
        self,
        withdrawing: Withdrawing,
        *,
        entrance: Entrance,
        pages: Pages,
        forms: FormTokens,
        cursors: CursorSeal,
        path: str,
    ) -> None:
        self._withdrawing = withdrawing
        self._cursors = cursors
        self._entrance = entrance
        self._pages = pages
        self._forms = forms
        self._path = path
        self._ends: Mapping[str, Callable[[SignIn, Visit], Awaitable[None]]] = {
            "grant": self._end_grant,
            "client": self._end_client,
            "session": self._end_session,
            "sessions": self._end_sessions,
        }

    async def show(self, visit: Visit) -> Reply:
        """`/grants`: everything of whoever is signed in, page by page (`after`, `before`)."""
        sign_in = await self._withdrawing.present(visit.cookies, visit.received_at)
        if sign_in is None:
            return await self._entrance.send(visit, f"{self._path}/grants", Demand())
        turn = self._turn(visit, sign_in)
        seen = await self._withdrawing.overview(sign_in, visit.received_at, turn)
        language = visit.reader.language(self._pages)
        return self._pages.render(
            "grants.html",
            language,
            person=sign_in.subject.id,
            said=_SAID.get(visit.one("ended"), ""),
            clients=[
                self._client(number, one, seen, sign_in, language, visit.received_at)
                for number, one in enumerate(seen.clients)
            ],
            shown=sum(len(one.grants) for one in seen.clients),
            pages=self._pages_around(seen, turn, sign_in),
            sessions=[self._session(one, seen, sign_in, language) for one in seen.sessions],
            more_sessions=seen.more_sessions,
            others=self._token(sign_in, "sessions", "", ""),
        )

    async def end(self, visit: Visit) -> Reply:
        """`/grants/end`: what the page's forms send."""
        sign_in = await self._withdrawing.present(visit.cookies, visit.received_at)
        if sign_in is None:
            raise MintwardenError(ErrorKind.INVALID_REQUEST, "nobody is signed in", hint="begin again")
        require_own_origin(visit, self._withdrawing.issuer)
        what, name, seen = visit.posted("what"), visit.posted("name"), visit.posted("seen")
        self._forms.check(FORM, _bound(sign_in, what, name, seen), visit.posted("csrf"))
        await self._ends[what](sign_in, visit)  # only what a form of ours has is bound to it
        return redirect(f"{self._path}/grants?{urlencode({'ended': what})}")

    async def _end_grant(self, sign_in: SignIn, visit: Visit) -> None:
        await self._withdrawing.withdraw(sign_in.subject, visit.posted("name"), visit.received_at)

    async def _end_client(self, sign_in: SignIn, visit: Visit) -> None:
        # What is posted was bound to the form: it is a time of ours.
        name, seen = visit.posted("name"), int(visit.posted("seen"))
        await self._withdrawing.withdraw_client(sign_in.subject, name, seen, visit.received_at)

    async def _end_session(self, sign_in: SignIn, visit: Visit) -> None:
        await self._withdrawing.end_session(sign_in, visit.posted("name"), visit.received_at)

    async def _end_sessions(self, sign_in: SignIn, visit: Visit) -> None:
        await self._withdrawing.end_sessions(sign_in, visit.received_at)

    # -- which page -----------------------------------------------------------------------------------------

    def _turn(self, visit: Visit, sign_in: SignIn) -> Turn | None:
        """The page that a cursor of this very person leads to; raises `INVALID_REQUEST` for every other cursor."""
        for name in (AFTER, BEFORE):
            if cursor := visit.one(name):
                if len(cursor) > LONGEST:
                    raise MintwardenError(ErrorKind.INVALID_REQUEST, "the cursor is too long", hint="begin without one")
                position = self._cursors.read(cursor, _whose(sign_in, name))
                return Turn((int.from_bytes(position[:8], "big"), position[8:]), back=name == BEFORE)
        return None

    def _pages_around(self, seen: Overview, turn: Turn | None, sign_in: SignIn) -> dict[str, str]:
        """Addresses of the pages before and after this one, or empty."""

        def address(name: str, place: Place | None) -> str:
            if place is None:
                return ""
            position = place[0].to_bytes(8, "big") + place[1]
            return f"{self._path}/grants?{urlencode({name: self._cursors.seal(position, _whose(sign_in, name))})}"

        lost = turn is not None and seen.newer is seen.older is None
        return {
            "newer": f"{self._path}/grants" if lost else address(BEFORE, seen.newer),
            "older": address(AFTER, seen.older),
        }

    # -- what the page shows ------------------------------------------------------------------------------

    def _client(
        self, number: int, has: Allowed, seen: Overview, sign_in: SignIn, language: str, now: int
    ) -> dict[str, Any]:
        client, consent = has.client, has.consent
        shown = [self._grant(f"{number}-{n}", one, seen, sign_in, language) for n, one in enumerate(has.grants)]
        return {
            "id": f"client-{number}",
            "name": client.name if client is not None else has.client_id,
            "owner": client.owner if client is not None else "",
            "host": urlsplit(has.client_id).hostname if "://" in has.client_id else "",
            "agent": client is not None and client.principal == "Agent",
            "remembered": [_meaning(scope, seen) for scope in consent.scopes] if consent is not None else [],
            "remembered_until": day(consent.ends) if consent is not None else "",
            "newest": shown[:NEWEST],
            "older": shown[NEWEST:],
            "form": {
                "what": "client",
                "name": has.client_id,
                "seen": str(now),
                "token": self._token(sign_in, "client", has.client_id, str(now)),
            },
        }

    def _grant(self, number: str, one: Granted, seen: Overview, sign_in: SignIn, language: str) -> dict[str, Any]:
        confines = Confines(
            purpose=one.purpose,
            environment=one.environment,
            tenant=one.tenant,
            workspace=one.workspace,
            project=one.project,
            lifetime=None,
        )
        return {
            "id": f"grant-{number}",
            "since": moment(one.granted_at),
            "until": moment(one.ends),
            "used": moment(one.used_at or one.granted_at),
            "session": self._whence(one, seen, sign_in, language),
            "offline": one.offline,
            "actors": [actor.id for actor in one.actors],
            "limited": limited_to(confines, one.budget, one.max_depth, seen.catalogue),
            "groups": groups_of(one.scopes, one.identity, dict(enumerate(one.details)), seen.catalogue),
            "form": {
                "what": "grant",
                "name": one.grant_id,
                "seen": "",
                "token": self._token(sign_in, "grant", one.grant_id, ""),
            },
        }

    def _session(self, one: Session, seen: Overview, sign_in: SignIn, language: str) -> dict[str, Any]:
        name = one.sign_in.session
        return {
            "id": f"session-{one.began_at}-{name}",
            "since": moment(one.began_at),
            "until": moment(one.ends_at),
            "where": self._provider(one.sign_in, seen, language),
            "here": name == sign_in.session,
            "form": {
                "what": "session",
                "name": name,
                "seen": "",
                "token": self._token(sign_in, "session", name, ""),
            },
        }

    def _whence(self, one: Granted, seen: Overview, sign_in: SignIn, language: str) -> str:
        """From which session it was allowed."""
        session = one.sign_in.session
        if session == sign_in.session:
            return self._pages.text(language, "grants_session_here")
        where = self._provider(one.sign_in, seen, language)
        known = {other.sign_in.session for other in seen.sessions}
        name = "grants_session_other" if session in known else "grants_session_over"
        return self._pages.text(language, name, provider=where)

    def _provider(self, sign_in: SignIn, seen: Overview, language: str) -> str:
        known = seen.catalogue.providers.get(sign_in.provider)
        return known.name if known is not None else self._pages.text(language, "grants_passkey")

    def _token(self, sign_in: SignIn, what: str, name: str, seen: str) -> str:
        return self._forms.make(FORM, _bound(sign_in, what, name, seen))


def _bound(sign_in: SignIn, what: str, name: str, seen: str) -> str:
    """What a form is bound to: a session of one person, and one thing that it ends."""
    return "\n".join((sign_in.session, entity_key(sign_in.subject), what, name, seen)) if sign_in.session else ""


def _whose(sign_in: SignIn, name: str) -> bytes:
    """What a cursor is bound to: its person, and the way it leads."""
    return f"grants {name} {entity_key(sign_in.subject)}".encode()


def _meaning(scope: str, seen: Overview) -> str:
    known = seen.catalogue.scopes.get(scope)
    return known.meaning if known is not None else scope
