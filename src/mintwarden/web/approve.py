"""`/device` and `/approvals` as a browser sees them: sign in, name the device or choose what waits, and say yes or no.

Against phishing (RFC 8628 section 5.4): an address alone never allows anything; the page says what asks, from where and
when, and shows the code to compare. INVARIANT: each form is bound to a session of ours, to one request, and to what of
it was shown.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

from mintwarden.authn.sign_in import Demand, SignIn, meets
from mintwarden.issue.approving import Approving, Shown
from mintwarden.issue.fair import one_of_each
from mintwarden.issue.granted import acting
from mintwarden.issue.pending import Pending
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.ids import entity_key
from mintwarden.web.pages.consent import refusals
from mintwarden.web.pages.endpoint import Visit, require_own_origin
from mintwarden.web.pages.entrance import Entrance
from mintwarden.web.pages.form_tokens import FormTokens
from mintwarden.web.pages.render import Pages
from mintwarden.web.pages.shown import groups_of, limited_to, moment
from mintwarden.web.reply import Reply

CODE, DECISION = "device_code", "approval"
"""Names of the forms."""


class ApprovalPages:
    """The endpoints. `path` is what comes before our own paths; `others` counts what somebody may approve."""

    def __init__(
        self,
        approving: Approving,
        *,
        others: Callable[[SignIn, int], Awaitable[int]],
        entrance: Entrance,
        pages: Pages,
        forms: FormTokens,
        path: str,
    ) -> None:
        self._approving = approving
        self._others = others
        self._entrance = entrance
        self._pages = pages
        self._forms = forms
        self._path = path

    async def device(self, visit: Visit) -> Reply:
        """`/device`: which device is it; then what it asks for."""
        sign_in = await self._approving.present(visit.cookies, visit.received_at)
        if sign_in is None:
            typed = visit.one("user_code")[:20]
            back = f"{self._path}/device" + (f"?{urlencode({'user_code': typed})}" if typed else "")
            return await self._entrance.send(visit, back, Demand())
        if visit.method == "GET":
            return self._ask_code(visit, sign_in)
        self._check(visit, CODE, sign_in, "")
        try:
            pending = await self._approving.waiting.typed(
                visit.posted("user_code"),
                person=entity_key(sign_in.subject),
                address=visit.address,
                now=visit.received_at,
            )
        except MintwardenError as error:
            if error.kind not in (ErrorKind.NOT_FOUND, ErrorKind.SLOW_DOWN):
                raise
            return self._ask_code(
                visit, sign_in, "device_wrong" if error.kind is ErrorKind.NOT_FOUND else "device_slow"
            )
        return await self._show(visit, sign_in, pending)

    async def approvals(self, visit: Visit) -> Reply:
        """`/approvals`: what waits for whoever is signed in; with `r`, one of it."""
        name = visit.one("r")
        sign_in = await self._approving.present(visit.cookies, visit.received_at)
        back = f"{self._path}/approvals" + (f"?{urlencode({'r': name[:100]})}" if name else "")
        if sign_in is None:
            return await self._entrance.send(visit, back, Demand())
        if name:
            return await self._show(visit, sign_in, await self._named(name, sign_in, visit))
        waiting = await self._approving.waiting.of(entity_key(sign_in.subject), visit.received_at)
        shown = one_of_each(waiting, lambda one: one.client_id)
        names = await self._approving.names((one.client_id for one in shown), visit.received_at)
        return self._pages.render(
            "approvals.html",
            self._language(visit),
            person=sign_in.subject.id,
            others=await self._others(sign_in, visit.received_at),
            more=len(shown) < len(waiting),
            waiting=[
                {"name": one.name, "client": names[one.client_id], "message": one.message, "when": moment(one.began_at)}
                for one in shown
            ],
        )

    async def decide(self, visit: Visit) -> Reply:
        """`/approvals/decide`: what the person said."""
        sign_in = await self._approving.present(visit.cookies, visit.received_at)
        if sign_in is None:
            raise MintwardenError(ErrorKind.INVALID_REQUEST, "nobody is signed in", hint="begin again")
        name, seen = visit.posted("r"), visit.posted("seen")
        self._check(visit, DECISION, sign_in, name, seen)
        pending = await self._named(name, sign_in, visit)
        shown = await self._approving.shown(pending, sign_in, visit.address, visit.received_at)
        allowed = visit.posted("decision") == "allow"
        if allowed:
            if not shown.before.granted or not _reached(sign_in, pending, visit.received_at):
                raise MintwardenError(ErrorKind.INVALID_REQUEST, "it cannot be allowed any more", hint="look again")
            await self._approving.allow(shown, sign_in, seen, visit.received_at)
        else:
            await self._approving.deny(shown, sign_in, visit.received_at)
        return self._pages.render(
            "approved.html", self._language(visit), allowed=allowed, client_name=shown.client.name
        )

    # -- pages --------------------------------------------------------------------------------------------

    def _ask_code(self, visit: Visit, sign_in: SignIn, wrong: str = "") -> Reply:
        typed = visit.posted("user_code") if visit.method == "POST" else visit.one("user_code")
        return self._pages.render(
            "device.html",
            self._language(visit),
            status=400 if wrong else 200,
            person=sign_in.subject.id,
            typed=typed[:20],
            wrong=wrong,
            token=self._forms.make(CODE, _bound(sign_in, "")),
        )

    async def _show(self, visit: Visit, sign_in: SignIn, pending: Pending) -> Reply:
        shown = await self._approving.shown(pending, sign_in, visit.address, visit.received_at)
        again = visit.one("again") != ""
        back = f"{self._path}/approvals?{urlencode({'r': pending.name, 'again': '1'})}"
        demand = _demanded(shown)
        if not _reached(sign_in, pending, visit.received_at) or (not shown.before.granted and demand is not None):
            if again:
                raise MintwardenError(
                    ErrorKind.UNMET_AUTHENTICATION_REQUIREMENTS, "you could not sign in as this request demands"
                )
            return await self._entrance.send(visit, back, demand or Demand())
        led = None if again else await self._approving.leads_to(shown, sign_in, visit.received_at)
        if led is not None:
            return await self._entrance.send(visit, back, led)
        if not shown.before.granted:
            decision = await self._approving.record_refusal(shown.before)
            raise MintwardenError(ErrorKind.ACCESS_DENIED, f"refused by policy ({decision})")
        return self._pages.render("approve.html", self._language(visit), **self._values(shown, sign_in, visit))

    def _values(self, shown: Shown, sign_in: SignIn, visit: Visit) -> dict[str, Any]:
        pending, before = shown.pending, shown.before
        return {
            "client_name": shown.client.name,
            "client_owner": shown.client.owner,
            "person": sign_in.subject.id,
            "agent": bool(acting(shown.client, sign_in.subject)),
            "limited": limited_to(pending.confines, pending.budget, pending.max_depth, before.catalogue),
            "refused": refusals(before, self._pages, self._language(visit)),
            "device": pending.kind == "device_code",
            "code": pending.user_code,
            "message": pending.message,
            "address": pending.address,
            "here": pending.address == visit.address,
            "when": moment(pending.began_at),
            "minutes": max(1, before.lifetime // 60),
            "groups": groups_of(before.scopes, before.identity, before.details, before.catalogue),
            "name": pending.name,
            "seen": shown.seen,
            "token": self._forms.make(DECISION, _bound(sign_in, pending.name, shown.seen)),
        }

    async def _named(self, name: str, sign_in: SignIn, visit: Visit) -> Pending:
        held = await self._approving.waiting.named(name, visit.received_at)
        # INVARIANT: a device's request is for whoever typed its code in; an address that somebody sends shows nothing.
        if held is None or held.value.person != entity_key(sign_in.subject):
            raise MintwardenError(ErrorKind.NOT_FOUND, "there is no such request", hint="it was answered, or has ended")
        return held.value

    def _check(self, visit: Visit, form: str, sign_in: SignIn, name: str, seen: str = "") -> None:
        require_own_origin(visit, self._approving.issuer)
        self._forms.check(form, _bound(sign_in, name, seen), visit.posted("csrf"))

    def _language(self, visit: Visit) -> str:
        return visit.reader.language(self._pages)


def _demanded(shown: Shown) -> Demand | None:
    """The sign-in that the request or the rules demand; None where there is nothing that another one could meet."""
    levels = shown.pending.acr_values
    if not levels:
        levels = tuple(v for o in shown.before.step_up if o.name == "require_acr" for v in o.value.split())
    again = any(obligation.name == "require_auth_age" for obligation in shown.before.step_up)
    if not levels and not again:
        return None
    return Demand(client_name=shown.client.name, acr_values=levels, essential=bool(levels), again=again)


def _reached(sign_in: SignIn, pending: Pending, now: int) -> bool:
    levels = pending.acr_values
    return meets(sign_in, Demand(acr_values=levels, essential=bool(levels)), now)


def _bound(sign_in: SignIn, name: str, seen: str = "") -> str:
    return "\n".join((sign_in.session, entity_key(sign_in.subject), name, seen)) if sign_in.session else ""
