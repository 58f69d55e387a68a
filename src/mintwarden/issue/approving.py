"""Requests that a person answers elsewhere, under whatever governs now: begun, shown, allowed or not, told."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final

import msgspec
from msgspec import Struct

from mintwarden.authn.authenticate import visited
from mintwarden.authn.sign_in import Demand, SignIn
from mintwarden.issue.authorization.authorizing import InForce, better_for, client_shown
from mintwarden.issue.authorization.complete import OFFLINE, longest_token, random_text
from mintwarden.issue.authorization.preview import Preview, preview, record_refused
from mintwarden.issue.authorization.request import AuthorizationRequest, Destination, all_confines
from mintwarden.issue.authorization.step_up import demanded
from mintwarden.issue.details import read_details
from mintwarden.issue.epoch import in_one_epoch
from mintwarden.issue.granted import Granted, acting
from mintwarden.issue.limits import read_limits
from mintwarden.issue.line import Line
from mintwarden.issue.pending import Kind, Pending
from mintwarden.issue.target import read_targets
from mintwarden.model.catalogue import Catalogue, Client
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.ids import entity_key
from mintwarden.model.request import TokenRequest
from mintwarden.model.values import EntityUid

GRANTS: Final[Mapping[Kind, str]] = {"device_code": "device_code", "auth_req_id": "ciba"}
"""What a client holds to the grant that it comes back with."""

Record = Callable[[EntityUid, Mapping[str, object], Mapping[str, object]], Awaitable[object]]
"""Writes down, durably, what a person said; the last is sealed."""


class Shown(Struct, frozen=True, kw_only=True):
    """A request as a person sees it: its client, and what the policy would grant them now."""

    pending: Pending
    client: Client
    before: Preview

    @property
    def seen(self) -> str:
        """Changes with whatever a person would allow: the rules may have been changed since they looked."""
        before = self.before
        agents = [entity_key(actor) for actor in acting(self.client, before.decided[0].asked.subject)]
        details = [(place, detail.said) for place, detail in before.details.items()]
        shown = (self.pending.name, before.scopes, before.identity, details, agents)
        return hashlib.sha256(msgspec.json.encode(shown, order="deterministic")).hexdigest()


class Approving:
    """See the module.

    Args:
        now_in_force: what governs, as the store says now.
        record: writes down what a person said.
        keep, tell: keeps that the client is to be told of the answer, or sent what comes of it; has it done, behind the
            answer.
    """

    def __init__(
        self,
        *,
        issuer: str,
        line: Line,
        now_in_force: Callable[[], Awaitable[InForce]],
        record: Record,
        keep: Callable[[Pending], Awaitable[None]],
        tell: Callable[[Pending], Awaitable[None]],
    ) -> None:
        self.issuer = issuer
        self.waiting = line.memory.waiting
        self._line = line
        self._now_in_force = now_in_force
        self._record = record
        self._keep = keep
        self._tell = tell

    async def begin(
        self, request: TokenRequest, client: Client, kind: Kind, *, life: int, now: int, **more: object
    ) -> tuple[str, Pending]:
        """Keep the request for `life` seconds; what its client holds, and it. `more`: what only some have.

        Raises as `read_targets`, and `UNAUTHORIZED_CLIENT` for a client that may not.
        """
        if GRANTS[kind] not in client.grants:
            raise MintwardenError(
                ErrorKind.UNAUTHORIZED_CLIENT,
                "the client may not use this grant type",
                hint="see `grants` in the client's file",
            )
        catalogue = (await self._now_in_force()).catalogue
        details = read_details(request, client, catalogue)
        targets = read_targets(request, client, catalogue, details)
        limits = read_limits(request)
        pending = Pending(
            name="",
            kind=kind,
            digest="",
            client_id=client.id,
            scopes=targets.scopes,
            identity=targets.identity,
            details=details,
            confines=all_confines(request, client, catalogue, targets.scopes),
            began_at=now,
            ends=now + life * 1000,
            address=request.address,
            budget=limits.budget.amount if limits.budget is not None else None,
            max_depth=limits.max_depth,
            **more,  # type: ignore[arg-type]
        )
        if pending.delivery == "push":
            _require_one_audience(pending, catalogue)
        if pending.person:
            await self.waiting.refuse_flood(client.id, pending.person, now)
        return await self.waiting.begin(self._line.entropy, pending)

    async def present(self, cookies: Mapping[str, str], now: int) -> SignIn | None:
        """Who is signed in in this browser."""
        return await (await self._now_in_force()).sessions.current(cookies, now)

    async def names(self, client_ids: Iterable[str], now: int) -> dict[str, str]:
        """What people know these clients by; the id of one that is not to be had now."""
        clients = (await self._now_in_force()).clients
        asked = list(dict.fromkeys(client_ids))
        found = await asyncio.gather(*(client_shown(clients, client_id, now) for client_id in asked))
        return {name: client.name if client is not None else name for name, client in zip(asked, found, strict=True)}

    async def shown(self, pending: Pending, sign_in: SignIn, address: str, now: int) -> Shown:
        """What the person would allow. Raises `NOT_FOUND` for a request that is for somebody else."""
        if pending.person and pending.person != entity_key(sign_in.subject):
            raise MintwardenError(ErrorKind.NOT_FOUND, "there is no such request", hint="it was answered, or has ended")
        request = AuthorizationRequest(
            to=Destination(client_id=pending.client_id, redirect_uri=""),
            challenge="",
            scopes=pending.scopes,
            identity=pending.identity,
            details=pending.details,
            demand=Demand(),
            confines=pending.confines,
            budget=pending.budget,
            max_depth=pending.max_depth,
        )

        async def previewed() -> Shown:
            force = await self._now_in_force()
            known = await force.clients.known(pending.client_id, now)
            if known is None or GRANTS[pending.kind] not in known.client.grants:
                raise MintwardenError(ErrorKind.NOT_FOUND, "there is no such request", hint="its client is gone")
            client = known.client
            caller = visited(client, sign_in, registered=known.registered, epoch=force.clients.epoch, at=now)
            before = await preview(
                request,
                client,
                caller,
                sign_in,
                address=address,
                regime=force.regime,
                line=self._line,
                now=now,
                grant=GRANTS[pending.kind],
            )
            return Shown(pending=pending, client=client, before=before)

        return await in_one_epoch(previewed, self._line.refresh)

    async def leads_to(self, shown: Shown, sign_in: SignIn, now: int) -> Demand | None:
        """The sign-in that somebody at a device is led to before they are asked; None where they are led nowhere.

        It would give more of the request than theirs does. Where theirs gives something they are led once, and not soon
        again: `Sessions.may_be_led`. Nobody is for a question out of band, whose client says how people sign in.
        """
        if shown.pending.kind != "device_code":
            return None
        force, demand = await self._now_in_force(), Demand(client_name=shown.client.name)
        better = await better_for(force, demand, sign_in, shown.before, now)
        if better is None:
            return None
        if shown.before.granted and not await force.sessions.may_be_led(sign_in.session, better.lacking, now):
            return None
        return demanded(demand, better, voluntary=shown.before.granted)

    async def record_refusal(self, before: Preview) -> str:
        """Write down that nothing of a request is granted; the decision to ask about."""
        return await record_refused(before, (await self._now_in_force()).regime, self._line)

    async def allow(self, shown: Shown, sign_in: SignIn, seen: str, now: int) -> None:
        """The person allowed what they had `seen`, and what the policy would grant.

        INVARIANT: nothing beyond either, and written down first. Raises `INVALID_REQUEST` where they are not the same.
        """
        if seen != shown.seen:
            raise MintwardenError(
                ErrorKind.INVALID_REQUEST, "what would be allowed has changed since you looked", hint="look again"
            )
        force = await self._now_in_force()
        held = await force.sessions.named(sign_in.session, now)
        if held is None:
            raise MintwardenError(ErrorKind.LOGIN_REQUIRED, "the session has ended")
        client, before, pending = shown.client, shown.before, shown.pending
        await force.sessions.remember_client(sign_in.session, client.id)
        granted = _granted(shown, sign_in, random_text(self._line.entropy, 18), held.value.ends_at, now)
        scopes = {**before.scopes, **({"": before.identity} if before.identity else {})}
        said = [one.said for one in granted.details]
        detail = {"grant": granted.grant_id, "scopes": scopes}
        if said:
            detail["details"] = [one.type for one in granted.details]
        await self._said("allowed", shown, sign_in, detail, {"details": said} if said else {})
        renewable = "refresh_token" in client.grants
        until = None if renewable else pending.ends + longest_token(force.catalogue, granted) * 1000
        await self._line.memory.keep(granted, ends=until)
        await self._answer(pending, granted, now)

    async def deny(self, shown: Shown, sign_in: SignIn, now: int) -> None:
        """The person did not allow it."""
        await self._said("denied", shown, sign_in, {}, {})
        await self._answer(shown.pending, None, now)

    async def _answer(self, pending: Pending, granted: Granted | None, now: int) -> None:
        """INVARIANT: what a client is to be told is kept before the answer is: a node may end in between."""
        told = pending.delivery != "poll"
        if told:
            await self._keep(pending)
        answered = await self.waiting.answer(pending.name, granted, now)
        if answered is None:
            if granted is not None:
                await self._line.memory.forget(granted.grant_id)  # nothing came of it, and nothing can
            raise MintwardenError(ErrorKind.NOT_FOUND, "there is no such request", hint="it was answered, or has ended")
        if told:
            await self._tell(answered)

    async def _said(
        self,
        what: str,
        shown: Shown,
        sign_in: SignIn,
        detail: Mapping[str, object],
        private: Mapping[str, object],
    ) -> None:
        public = {"what": what, "how": GRANTS[shown.pending.kind], "client": shown.client.id, **detail}
        await self._record(sign_in.subject, public, private)


def _require_one_audience(pending: Pending, catalogue: Catalogue) -> None:
    """Who sends tokens cannot be asked for another one."""
    audiences = {*pending.scopes, *(catalogue.details[detail.type].audience for detail in pending.details)}
    if len(audiences) > 1:
        raise MintwardenError(
            ErrorKind.INVALID_TARGET, "pushed tokens are for exactly one audience", hint="name one with `resource`"
        )


def _granted(shown: Shown, sign_in: SignIn, grant_id: str, session_ends: int, now: int) -> Granted:
    """Without `offline_access` it ends with the session that it was allowed in, at the latest."""
    client, before, confines = shown.client, shown.before, shown.pending.confines
    offline = OFFLINE in before.identity and "refresh_token" in client.grants
    ends = now + client.refresh.absolute * 1000
    return Granted(
        grant_id=grant_id,
        client_id=client.id,
        sign_in=sign_in,
        scopes=before.scopes,
        identity=before.identity,
        details=tuple(before.details.values()),
        actors=acting(client, sign_in.subject),
        purpose=confines.purpose,
        environment=confines.environment,
        tenant=confines.tenant,
        workspace=confines.workspace,
        project=confines.project,
        budget=shown.pending.budget,
        max_depth=shown.pending.max_depth,
        granted_at=now,
        ends=ends if offline else min(ends, session_ends),
        offline=offline,
    )
