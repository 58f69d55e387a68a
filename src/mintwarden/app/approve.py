"""Requests that people answer elsewhere, put together: devices, out-of-band questions, the pages, notifications."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

from mintwarden.app.browser import form_tokens
from mintwarden.app.following import Following
from mintwarden.app.foundation import Foundation
from mintwarden.app.governing import Governing
from mintwarden.app.own_keys import RingKeys
from mintwarden.app.sign_in import SigningIn
from mintwarden.authn.fetch import GuardedFetcher
from mintwarden.authn.id_token_hint import read_hint
from mintwarden.authn.jose import JoseError
from mintwarden.issue.approving import Approving
from mintwarden.issue.authorization.authorizing import InForce
from mintwarden.issue.line import Line
from mintwarden.issue.out_of_band import read_out_of_band
from mintwarden.issue.pending import Pending
from mintwarden.issue.pipeline import EpochMoved
from mintwarden.model.catalogue import Client
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.ids import entity_key
from mintwarden.model.request import TokenRequest
from mintwarden.model.values import EntityUid
from mintwarden.web.approve import ApprovalPages
from mintwarden.web.device import LIFE
from mintwarden.web.discovery import path_of
from mintwarden.web.pages.endpoint import BrowserEndpoints
from mintwarden.web.reply import Handler

PAUSES: Sequence[float] = (1.0, 5.0)
"""Seconds before each further attempt to tell a client whose server failed."""
MOST = 1_000
"""Notifications under way in one process; what comes beyond is told as not delivered, and the client can ask."""

_ATTEMPTS = 3


class Approvals:
    """Everything about them, under whatever governs when a request begins."""

    def __init__(
        self,
        base: Foundation,
        *,
        line: Line,
        governing: Governing,
        following: Following,
        signing_in: SigningIn,
        stumbled: Callable[[str, BaseException], None],
    ) -> None:
        self._base = base
        self._governing = governing
        self._following = following
        self._signing_in = signing_in
        self._keys = RingKeys(base.ring)
        self._pings = Pings(GuardedFetcher(development=base.config.server.dev), stumbled=stumbled)
        self._approving = Approving(
            issuer=base.issuer, line=line, now_in_force=self._now, record=self._record, tell=self._pings.tell
        )

    async def close(self) -> None:
        """Give up telling clients what they were not told yet."""
        await self._pings.close()

    def handlers(self, browser: BrowserEndpoints, path: str) -> Mapping[str, Handler]:
        """The endpoints for browsers, by path."""
        pages = ApprovalPages(
            self._approving,
            interactions=self._signing_in.interactions,
            pages=browser.pages,
            cookies=browser.cookies,
            forms=form_tokens(self._base),
            path=path_of(self._base.issuer),
            entropy=secrets.token_bytes,
        )
        device, mine = f"{path}/device", f"{path}/approvals"
        decide = f"{mine}/decide"
        return {
            device: browser.endpoint(pages.device, route="device", path=device, methods=("GET", "POST")),
            mine: browser.endpoint(pages.approvals, route="approvals", path=mine),
            decide: browser.endpoint(pages.decide, route="approvals", path=decide, methods=("POST",)),
        }

    async def device(self, request: TokenRequest) -> tuple[str, Pending]:
        """A device begins (RFC 8628 section 3.1): its code, and what is kept."""

        async def begin(client: Client, now: int) -> tuple[str, Pending]:
            return await self._approving.begin(request, client, "device_code", life=LIFE, now=now)

        return await self._begun(request, begin)

    async def out_of_band(self, request: TokenRequest) -> tuple[str, Pending]:
        """A client has somebody asked (CIBA section 7.1): its `auth_req_id`, and what is kept."""

        async def begin(client: Client, now: int) -> tuple[str, Pending]:
            asked = read_out_of_band(request, client, hinted=lambda hint: self._hinted(hint, client, now))
            if not asked.signed_in and not await self._is_known(asked.person):
                raise MintwardenError(ErrorKind.UNKNOWN_USER_ID, "there is nobody of that name")
            return await self._approving.begin(
                request,
                client,
                "auth_req_id",
                life=asked.life,
                now=now,
                person=entity_key(asked.person),
                message=asked.message,
                acr_values=asked.acr_values,
                delivery=client.backchannel.delivery,
                notify_token=asked.notify_token,
            )

        return await self._begun(request, begin, proven=True)

    async def _begun(
        self,
        request: TokenRequest,
        begin: Callable[[Client, int], Awaitable[tuple[str, Pending]]],
        *,
        proven: bool = False,
    ) -> tuple[str, Pending]:
        """`proven`: anybody could send people questions in the name of a client that proves nothing."""
        for _ in range(_ATTEMPTS):
            try:
                await self._following.now()
                now, desk = self._base.clock.now(), self._governing.current.desk
                # A proof of possession is for `/token`, where the tokens are handed out.
                caller = await desk.authenticate(msgspec.structs.replace(request, unverified_dpop=""), now)
                await desk.claim(caller)
                if proven and caller.method == "none":
                    raise MintwardenError(
                        ErrorKind.UNAUTHORIZED_CLIENT, "a public client may not have people asked", hint="see CIBA"
                    )
                return await begin(desk.client(caller), now)
            except EpochMoved as moved:
                await self._following.refresh(moved.epoch)
        raise MintwardenError(ErrorKind.UNAVAILABLE, "credentials keep changing", hint="try again")

    def _hinted(self, hint: str, client: Client, now: int) -> str:
        try:
            said = read_hint(hint, issuer=self._base.issuer, keys=self._keys, now=now)
        except JoseError as error:
            raise MintwardenError(
                ErrorKind.INVALID_REQUEST, "`id_token_hint` is no ID token of ours", hint=str(error)
            ) from None
        if said.client_id != client.id:
            raise MintwardenError(ErrorKind.INVALID_REQUEST, "`id_token_hint` is another client's")
        return said.subject

    async def _is_known(self, person: EntityUid) -> bool:
        """Does a source of groups in the store know the person; where there is none, everybody may be known."""
        sources = self._governing.current.bundle.catalogue.sources.values()
        telling = {s.id for s in sources if s.kind == "store" and s.groups and person.type in s.about}
        if not telling:
            return True
        key = entity_key(person)
        rows = (await self._base.store.facts.read([key])).rows.get(key, ())
        return any(row.source in telling for row in rows)

    async def _now(self) -> InForce:
        await self._following.now()
        current = self._governing.current
        return InForce(
            catalogue=current.bundle.catalogue,
            regime=current.regime,
            clients=current.authenticator,
            sessions=current.sign_ins.sessions,
        )

    async def _record(self, person: EntityUid, detail: Mapping[str, object], private: Mapping[str, object]) -> None:
        await self._base.scribe().write("approval", person, detail, private)


class Pings:
    """Tells clients behind the answer that they may ask now (CIBA section 10.2)."""

    def __init__(
        self,
        poster: GuardedFetcher,
        *,
        stumbled: Callable[[str, BaseException], None],
        pauses: Sequence[float] = PAUSES,
    ) -> None:
        self._poster = poster
        self._stumbled = stumbled
        self._pauses = tuple(pauses)
        self._under_way: set[asyncio.Task[None]] = set()

    def tell(self, client: Client, pending: Pending) -> None:
        """Returns at once."""
        if len(self._under_way) >= MOST:
            self._stumbled("ciba", MintwardenError(ErrorKind.OVERLOADED, "too many notifications at once"))
            return
        task = asyncio.create_task(self._tell(client, pending), name="ciba")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def close(self) -> None:
        """Give up what is under way."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _tell(self, client: Client, pending: Pending) -> None:
        """INVARIANT: an answer that refuses or leads elsewhere is an answer: it is neither tried again nor followed."""
        last: BaseException | None = None
        try:
            for pause in (0.0, *self._pauses):
                await asyncio.sleep(pause)
                try:
                    answer = await self._poster.post_json(
                        client.backchannel.endpoint,
                        msgspec.json.encode({"auth_req_id": pending.handle}),
                        authorization=f"Bearer {pending.notify_token}",
                    )
                except MintwardenError as error:
                    last = error
                    continue
                if answer.status in (200, 204):
                    return
                last = MintwardenError(ErrorKind.SOURCE, f"client `{client.id}` answered {answer.status}")
                if answer.status < 500:
                    break
        except Exception as error:  # noqa: BLE001 - nobody waits for this: it is told, and the client can ask
            last = error
        if last is not None:
            self._stumbled("ciba", last)
