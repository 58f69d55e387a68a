"""`/approvals/requests`: what others need somebody's approval for, as whoever may give it sees and answers it.

Against phishing: an address alone approves nothing. The page says who asks, for whom, through whom, what for and from
where; the form carries a digest of all that it showed, and counts for nothing once anything of it is otherwise.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Final, Protocol
from urllib.parse import urlencode

from mintwarden.authn.sign_in import Demand, SignIn
from mintwarden.issue.approval_requests import Shown, meaning_of
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.ids import entity_key
from mintwarden.web.pages.endpoint import Visit, require_own_origin
from mintwarden.web.pages.entrance import Entrance
from mintwarden.web.pages.form_tokens import FormTokens
from mintwarden.web.pages.render import Pages
from mintwarden.web.pages.shown import moment, spelled
from mintwarden.web.reply import Reply

FORM: Final = "approval_of_another"


class Desk(Protocol):
    """What stands behind the pages."""

    def present(self, cookies: Mapping[str, str], now: int) -> Awaitable[SignIn | None]: ...

    def waiting(self, sign_in: SignIn, now: int) -> Awaitable[tuple[Sequence[Shown], bool]]: ...

    def shown(self, name: str, sign_in: SignIn, now: int) -> Awaitable[Shown]: ...

    def answer(self, name: str, sign_in: SignIn, *, approve: bool, seen: str, now: int) -> Awaitable[Shown]: ...


class OthersPages:
    """The endpoints. `path` is what comes before our own paths."""

    def __init__(
        self, desk: Desk, *, issuer: str, entrance: Entrance, pages: Pages, forms: FormTokens, path: str
    ) -> None:
        self._desk = desk
        self._issuer = issuer
        self._entrance = entrance
        self._pages = pages
        self._forms = forms
        self._path = path

    async def requests(self, visit: Visit) -> Reply:
        """`/approvals/requests`: what waits; with `r`, one of it."""
        name = visit.one("r")
        sign_in = await self._desk.present(visit.cookies, visit.received_at)
        back = f"{self._path}/approvals/requests" + (f"?{urlencode({'r': name[:100]})}" if name else "")
        if sign_in is None:
            return await self._entrance.send(visit, back, Demand())
        if name:
            return await self._show(visit, sign_in, await self._desk.shown(name, sign_in, visit.received_at))
        shown, more = await self._desk.waiting(sign_in, visit.received_at)
        return self._pages.render(
            "approval_requests.html",
            visit.reader.language(self._pages),
            person=sign_in.subject.id,
            more=more,
            waiting=[
                {
                    "name": one.request.wanted.id,
                    "client": one.client_name,
                    "meaning": meaning_of(one.catalogue, one.request.wanted.name),
                    "subject": entity_key(one.request.wanted.circumstances.subject),
                    "when": moment(one.request.began_at),
                }
                for one in shown
            ],
        )

    async def decide(self, visit: Visit) -> Reply:
        """`/approvals/requests/decide`: what was said."""
        sign_in = await self._desk.present(visit.cookies, visit.received_at)
        if sign_in is None:
            raise MintwardenError(ErrorKind.INVALID_REQUEST, "nobody is signed in", hint="begin again")
        name, seen = visit.posted("r"), visit.posted("seen")
        require_own_origin(visit, self._issuer)
        self._forms.check(FORM, _bound(sign_in, name, seen), visit.posted("csrf"))
        decision = visit.posted("decision")
        if decision not in ("allow", "deny"):
            raise MintwardenError(ErrorKind.INVALID_REQUEST, "neither a yes nor a no", hint="look again")
        allowed = decision == "allow"
        shown = await self._desk.answer(name, sign_in, approve=allowed, seen=seen, now=visit.received_at)
        return self._pages.render(
            "approval_given.html",
            visit.reader.language(self._pages),
            allowed=allowed,
            client_name=shown.client_name,
        )

    async def _show(self, visit: Visit, sign_in: SignIn, shown: Shown) -> Reply:
        levels = shown.kind.acr
        if levels and sign_in.acr not in levels:
            if visit.one("again"):
                raise MintwardenError(
                    ErrorKind.UNMET_AUTHENTICATION_REQUIREMENTS, "you could not sign in as this approval demands"
                )
            back = f"{self._path}/approvals/requests?{urlencode({'r': shown.request.wanted.id, 'again': '1'})}"
            demand = Demand(client_name=shown.client_name, acr_values=levels, essential=True)
            return await self._entrance.send(visit, back, demand)
        return self._pages.render(
            "approval_request.html", visit.reader.language(self._pages), **self._values(shown, sign_in)
        )

    def _values(self, shown: Shown, sign_in: SignIn) -> dict[str, Any]:
        request, kind, catalogue = shown.request, shown.kind, shown.catalogue
        within = request.wanted.circumstances
        meaning = meaning_of(catalogue, request.wanted.name)
        seen, name = request.seen(kind, meaning), request.wanted.id
        return {
            "client_name": shown.client_name,
            "client_owner": shown.client_owner,
            "person": sign_in.subject.id,
            "subject": entity_key(within.subject),
            "actors": [entity_key(actor) for actor in within.actors],
            "about": catalogue.audiences[within.audience].description,
            "meaning": meaning,
            "scope": request.wanted.name,
            "details": [
                {
                    "meaning": meaning_of(catalogue, detail.type),
                    "fields": [(field, spelled(value)) for field, value in detail.fields.items()],
                }
                for detail in within.details
            ],
            "purpose": within.purpose,
            "hidden": within.impersonate and not within.actors,
            "where": ", ".join(
                text for text in (within.environment, within.tenant, within.workspace, within.project) if text
            ),
            "kind": kind.meaning,
            "once": kind.once,
            "minutes": max(1, kind.lasts // 60),
            "message": request.message,
            "address": request.address,
            "when": moment(request.began_at),
            "pending": request.state == "pending",
            "name": name,
            "seen": seen,
            "token": self._forms.make(FORM, _bound(sign_in, name, seen)),
        }


def _bound(sign_in: SignIn, name: str, seen: str) -> str:
    """INVARIANT: a form is of one session, one person, one request and all that was shown of it."""
    return "\n".join((sign_in.session, entity_key(sign_in.subject), name, seen)) if sign_in.session else ""
