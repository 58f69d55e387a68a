"""Approvals that rules demand, put together: clients ask for them, people give them on a page or through the API."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from mintwarden.app.browser import form_tokens
from mintwarden.app.following import Following
from mintwarden.app.foundation import Foundation
from mintwarden.app.governing import Governing
from mintwarden.app.in_force import in_force_now
from mintwarden.app.sign_in import SigningIn
from mintwarden.authn.sign_in import SignIn
from mintwarden.context.approvals import HeldApprovals
from mintwarden.issue.approval_requests import (
    ApprovalRequest,
    ApprovalRequests,
    Beyond,
    Person,
    Shown,
    approval_kinds,
    demanding_approvals,
    lacking,
    may_see,
    require_apart,
)
from mintwarden.issue.authorization.authorizing import InForce, client_shown
from mintwarden.issue.fair import one_of_each
from mintwarden.issue.line import Line, Regime
from mintwarden.issue.memory import Memory
from mintwarden.issue.out_of_band import read_message
from mintwarden.issue.pipeline import consider
from mintwarden.model.asked import Asked
from mintwarden.model.caller import Evidence
from mintwarden.model.catalogue import Catalogue
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.request import TokenRequest
from mintwarden.model.terms import ApprovalKind
from mintwarden.model.values import EntityUid
from mintwarden.policy.bundle.model import Bundle
from mintwarden.web.approve_others import OthersPages
from mintwarden.web.discovery import path_of
from mintwarden.web.pages.endpoint import BrowserEndpoints
from mintwarden.web.reply import Handler


def held_approvals(memory: Memory, bundle: Bundle) -> HeldApprovals | None:
    """What decisions under the bundle find of approvals; None where nobody gives any here."""
    source = next((source for source in bundle.catalogue.sources.values() if source.approvers), None)
    if source is None:
        return None
    return HeldApprovals(memory.approvals, source=source, audiences=demanding_approvals(bundle))


class Demanded:
    """Everything about them, under whatever governs at the moment."""

    def __init__(
        self, base: Foundation, *, line: Line, governing: Governing, following: Following, signing_in: SigningIn
    ) -> None:
        self._base = base
        self._line = line
        self._governing = governing
        self._following = following
        self._signing_in = signing_in
        self._requests: ApprovalRequests = line.memory.approvals

    async def ask(self, request: TokenRequest) -> Sequence[ApprovalRequest]:
        """What a client needs for the token that it asks for as at `/token`, asked for in its name.

        Raises as the token request would, and `INVALID_REQUEST` where no approval that is given here would help.
        """
        await self._following.now()
        message = read_message(request.one("binding_message") or "")
        caller, client, decided = await consider(request, self._line)
        current = self._governing.current
        await current.desk.claim(caller)
        if caller.method == "none":
            raise MintwardenError(ErrorKind.UNAUTHORIZED_CLIENT, "a public client may not have people asked")
        kinds = approval_kinds(current.bundle.catalogue)
        wanted = lacking(decided.asked, decided.decision, kinds)
        if not wanted:
            raise MintwardenError(
                ErrorKind.INVALID_REQUEST,
                "nothing is refused for want of an approval alone",
                hint="ask for the token, and see what is required",
            )
        return [
            await self._requests.ask(
                one,
                client,
                kind=kinds[one.approval],
                message=message,
                address=request.address,
                now=self._base.clock.now(),
                record=self._record,
            )
            for one in wanted
        ]

    # -- the pages ----------------------------------------------------------------------------------------

    def handlers(self, browser: BrowserEndpoints, path: str) -> Mapping[str, Handler]:
        """The endpoints for browsers, by path."""
        pages = OthersPages(
            self,
            issuer=self._base.issuer,
            entrance=self._signing_in.entrance(browser),
            pages=browser.pages,
            forms=form_tokens(self._base),
            path=path_of(self._base.issuer),
        )
        mine = f"{path}/approvals/requests"
        return {
            mine: browser.endpoint(pages.requests, route="approvals", path=mine),
            f"{mine}/decide": browser.endpoint(
                pages.decide, route="approvals", path=f"{mine}/decide", methods=("POST",)
            ),
        }

    async def present(self, cookies: Mapping[str, str], now: int) -> SignIn | None:
        """Who is signed in in this browser."""
        return await (await self._now()).sessions.current(cookies, now)

    async def waiting(self, sign_in: SignIn, now: int) -> tuple[Sequence[Shown], bool]:
        """What waits for an approval that they may give, kind by kind; whether there is more than is shown of it."""
        force = await self._now()
        waiting, beyond = await self._waiting(sign_in, force, now)
        listed = one_of_each(waiting, lambda one: one.client)
        # At once: a client that describes itself may have to be fetched.
        shown = await asyncio.gather(*(self._as_shown(one, force, now) for one in listed))
        return shown, beyond or len(listed) < len(waiting)

    async def number(self, sign_in: SignIn, now: int) -> int:
        """How many those are, as far as one look tells."""
        return len((await self._waiting(sign_in, await self._now(), now))[0])

    async def shown(self, name: str, sign_in: SignIn, now: int) -> Shown:
        """One of them. Raises `NOT_FOUND`, `ACCESS_DENIED`."""
        force = await self._now()
        person = await _person(sign_in.subject, sign_in.acr, force.catalogue, force.regime, now)
        request = (await self._requests.named(name, now)).value
        self._requests.kind_for(request, person, force.catalogue)
        require_apart(person, request)
        return await self._as_shown(request, force, now)

    async def answer(self, name: str, sign_in: SignIn, *, approve: bool, seen: str, now: int) -> Shown:
        """What they said of it, on the page. Raises as `ApprovalRequests.answer`."""
        force = await self._now()
        person = await _person(sign_in.subject, sign_in.acr, force.catalogue, force.regime, now)
        said = await self._answer(name, person, force.catalogue, approve=approve, seen=seen, now=now)
        return await self._as_shown(said, force, now)

    # -- the administration API ---------------------------------------------------------------------------

    async def page(
        self, now: int, limit: int, beyond: Beyond | None
    ) -> tuple[Sequence[tuple[ApprovalRequest, ApprovalKind]], Beyond | None]:
        """A page of all that waits or counts, for whoever may look at everything; see `ApprovalRequests.page`."""
        kinds = approval_kinds((await self._now()).catalogue)
        found, after = await self._requests.page(kinds, now, limit, beyond)
        return [(one, kinds[one.wanted.approval]) for one in found], after

    async def answer_as(
        self,
        name: str,
        who: Evidence,
        *,
        approve: bool,
        seen: str,
        now: int,
    ) -> tuple[ApprovalRequest, ApprovalKind]:
        """What the subject of a token says of it. Raises as `ApprovalRequests.answer`."""
        force = await self._now()
        known = await _person(who.principal, who.acr, force.catalogue, force.regime, now)
        person = replace(known, actors=who.actors, client=who.client_id)
        said = await self._answer(name, person, force.catalogue, approve=approve, seen=seen, now=now)
        return said, approval_kinds(force.catalogue)[said.wanted.approval]

    async def revoke(self, name: str, uid: EntityUid, reason: str, now: int) -> tuple[ApprovalRequest, ApprovalKind]:
        """Take an approval back. Raises as `ApprovalRequests.revoke`."""
        kinds = approval_kinds((await self._now()).catalogue)
        said = await self._requests.revoke(name, uid, reason, now, self._record)
        if said.wanted.approval not in kinds:
            raise MintwardenError(ErrorKind.NOT_FOUND, "there is no such kind of approval any more")
        return said, kinds[said.wanted.approval]

    # -- both ---------------------------------------------------------------------------------------------

    async def _answer(
        self, name: str, person: Person, catalogue: Catalogue, *, approve: bool, seen: str, now: int
    ) -> ApprovalRequest:
        return await self._requests.answer(
            name,
            person,
            approve=approve,
            seen=seen,
            catalogue=catalogue,
            now=now,
            id_of=lambda: secrets.token_hex(16),
            record=self._record,
        )

    async def _waiting(self, sign_in: SignIn, force: InForce, now: int) -> tuple[Sequence[ApprovalRequest], bool]:
        """Those, and whether there may be more of a kind than one look reads."""
        person = await _person(sign_in.subject, sign_in.acr, force.catalogue, force.regime, now)
        waiting, beyond = list[ApprovalRequest](), False
        for name, kind in approval_kinds(force.catalogue).items():
            if may_see(person, kind):
                found, more = await self._requests.look(name, now)
                waiting += [one for one in found if one.state == "pending" and _apart(person, one)]
                beyond = beyond or more
        return waiting, beyond

    async def _as_shown(self, request: ApprovalRequest, force: InForce, now: int) -> Shown:
        client_id = request.wanted.circumstances.client_id
        client = await client_shown(force.clients, client_id, now)
        return Shown(
            request=request,
            kind=approval_kinds(force.catalogue)[request.wanted.approval],
            catalogue=force.catalogue,
            client_name=client_id if client is None else client.name,
            client_owner="" if client is None else client.owner,
        )

    async def _now(self) -> InForce:
        return await in_force_now(self._following, self._governing)

    async def _record(self, actor: EntityUid, detail: Mapping[str, object], private: Mapping[str, object]) -> None:
        await self._base.scribe().write("approval", actor, detail, private)


async def _person(uid: EntityUid, acr: str, catalogue: Catalogue, regime: Regime, now: int) -> Person:
    """Somebody with the groups that the sources say they are in now: a source that is silent or stale says none."""
    question = Asked(
        grant="approval",
        client_id=next(iter(catalogue.clients)),
        subject=uid,
        audience=next(iter(catalogue.audiences)),
        scopes=(),
    )
    facts = (await regime.assemble(question, None, now)).facts
    groups = frozenset(group.id for group in facts.subject.ancestors if group.type == "Group")
    telling = [s.id for s in catalogue.sources.values() if s.groups and s.kind != "token" and uid.type in s.about]
    read = [facts.readings[f"subject/{name}"].state for name in telling]
    return Person(uid=uid, acr=acr, groups=groups, known=not read or "present" in read)


def _apart(person: Person, request: ApprovalRequest) -> bool:
    try:
        require_apart(person, request)
    except MintwardenError:
        return False
    return True
