"""Requests that people answer elsewhere, put together: devices, out-of-band questions, the pages, notifications."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from mintwarden.app.aftermath import Endings
from mintwarden.app.answer_notices import AnswerNotices
from mintwarden.app.browser import form_tokens
from mintwarden.app.demanded import Demanded
from mintwarden.app.following import Following
from mintwarden.app.foundation import Foundation
from mintwarden.app.governing import Governing
from mintwarden.app.in_force import in_force_now
from mintwarden.app.observe import Watch
from mintwarden.app.own_keys import RingKeys
from mintwarden.app.posting import way_to
from mintwarden.app.sign_in import SigningIn
from mintwarden.authn.id_token_hint import read_hint
from mintwarden.authn.jose import Ended, JoseError
from mintwarden.issue.approving import GRANTS, Approving
from mintwarden.issue.authorization.authorizing import InForce
from mintwarden.issue.authorization.object import read_backchannel_object, take_apart
from mintwarden.issue.epoch import in_one_epoch
from mintwarden.issue.line import Line
from mintwarden.issue.on_record import record_begun
from mintwarden.issue.out_of_band import only_hint, read_out_of_band, require_signed, said_in
from mintwarden.issue.pending import Pending
from mintwarden.issue.pushing import walked
from mintwarden.issue.unresolved import Unresolved
from mintwarden.model.caller import Caller
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
        endings: Endings,
        watch: Watch,
    ) -> None:
        self._base = base
        self._line = line
        self._governing = governing
        self._following = following
        self._signing_in = signing_in
        self._keys = RingKeys(base.ring)
        self.demanded = Demanded(base, line=line, governing=governing, following=following, signing_in=signing_in)
        self.notices = AnswerNotices(
            base,
            way=way_to(base.config, governing),
            memory=line.memory,
            endings=endings,
            client=self._client,
            listed=self._listed,
            walk=functools.partial(walked, line=line, now_in_force=self._now),
            told=watch,
            now=base.clock.now,
        )
        self._approving = Approving(
            issuer=base.issuer,
            line=line,
            now_in_force=self._now,
            record=self._record,
            keep=self.notices.keep,
            tell=self.notices.answered,
        )

    async def close(self) -> None:
        """Stop telling clients what they were not told yet; it is kept."""
        await self.notices.close()

    def handlers(self, browser: BrowserEndpoints, path: str) -> Mapping[str, Handler]:
        """The endpoints for browsers, by path."""
        pages = ApprovalPages(
            self._approving,
            others=self.demanded.number,
            entrance=self._signing_in.entrance(browser),
            pages=browser.pages,
            forms=form_tokens(self._base),
            path=path_of(self._base.issuer),
        )
        device, mine = f"{path}/device", f"{path}/approvals"
        decide = f"{mine}/decide"
        return {
            device: browser.endpoint(pages.device, route="device", path=device, methods=("GET", "POST")),
            mine: browser.endpoint(pages.approvals, route="approvals", path=mine),
            **self.demanded.handlers(browser, path),
            decide: browser.endpoint(pages.decide, route="approvals", path=decide, methods=("POST",)),
        }

    async def device(self, request: TokenRequest) -> tuple[str, Pending]:
        """A device begins (RFC 8628 section 3.1): its code, and what is kept."""

        async def begin(client: Client, caller: Caller, now: int) -> tuple[str, Pending]:
            return await self._approving.begin(
                request, client, "device_code", life=LIFE, now=now, instance=caller.instance
            )

        return await self._begun(request, begin, GRANTS["device_code"])

    async def out_of_band(self, sent: TokenRequest) -> tuple[str, Pending]:
        """A client has somebody asked (CIBA section 7.1): its `auth_req_id`, and what is kept."""

        async def begin(client: Client, caller: Caller, now: int) -> tuple[str, Pending]:
            request = await self._plain(sent, client, now)
            asked = read_out_of_band(
                request,
                client,
                hinted=lambda hint: self._hinted(hint, client, now),
                named=await self._named(request, now),
            )
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
                method=caller.method if client.backchannel.delivery == "push" else "",
                instance=caller.instance,
                notify_token=asked.notify_token,
            )

        return await self._begun(sent, begin, GRANTS["auth_req_id"], proven=True)

    async def _plain(self, sent: TokenRequest, client: Client, now: int) -> TokenRequest:
        """The request, taken out of its signed object where it came in one (CIBA section 7.1.1)."""
        text = sent.one("request")
        if text is None:
            require_signed(client)
            return sent
        try:
            token = take_apart(text)
        except MintwardenError as error:
            raise MintwardenError(ErrorKind.INVALID_REQUEST, error.public, hint=error.hint) from None
        known = await (await self._now()).clients.known(client.id, now, token)
        if known is None:
            raise MintwardenError(ErrorKind.INVALID_REQUEST, "the client is gone")
        signing = client.backchannel.signing
        said, once = read_backchannel_object(
            token,
            client_id=client.id,
            keys=known.keys,
            algorithms=frozenset({signing}) if signing else known.object_algorithms,
            issuer=self._base.issuer,
            now=now,
        )
        plain = said_in(sent, said)
        if not await self._base.store.revocations.claim([once]):
            raise MintwardenError(ErrorKind.INVALID_REQUEST, "the signed request was used before", hint="sign another")
        return plain

    async def _begun(
        self,
        request: TokenRequest,
        begin: Callable[[Client, Caller, int], Awaitable[tuple[str, Pending]]],
        grant: str,
        *,
        proven: bool = False,
    ) -> tuple[str, Pending]:
        """`proven`: anybody could send people questions in the name of a client that proves nothing."""

        async def begun() -> tuple[str, Pending]:
            await self._following.now()
            now, desk = self._base.clock.now(), self._governing.current.desk
            # A proof of possession binds what is handed out at `/token`; here it may say which instance it is.
            combined = request.unverified_attestation and not request.unverified_attestation_proof
            shown = request if combined else msgspec.structs.replace(request, unverified_dpop="")
            caller = await desk.authenticate(shown, now)
            await desk.claim(caller)
            if proven and caller.method == "none":
                raise MintwardenError(
                    ErrorKind.UNAUTHORIZED_CLIENT, "a public client may not have people asked", hint="see CIBA"
                )
            client = desk.client(caller)
            try:
                return await begin(client, caller, now)
            except Unresolved as refused:
                await record_begun(refused, grant, request, caller, client, self._line)
                raise

        return await in_one_epoch(begun, self._following.refresh)

    async def _named(self, request: TokenRequest, now: int) -> EntityUid | None:
        """Whom a hint of a trusted issuer names; None without one."""
        if only_hint(request) != "login_hint_token":
            return None
        try:
            return await self._governing.current.authenticator.hinted(request.one("login_hint_token") or "", now)
        except Ended:
            raise MintwardenError(ErrorKind.EXPIRED_LOGIN_HINT_TOKEN, "`login_hint_token` has ended") from None
        except JoseError as error:
            raise MintwardenError(
                ErrorKind.INVALID_REQUEST, "`login_hint_token` is no hint of a trusted issuer", hint=str(error)
            ) from None

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

    def _listed(self, client_id: str) -> tuple[Client, bool] | None:
        return self._governing.current.authenticator.client(client_id)

    async def _client(self, client_id: str, now: int) -> Client | None:
        known = await (await self._now()).clients.known(client_id, now)
        return None if known is None else known.client

    async def _now(self) -> InForce:
        return await in_force_now(self._following, self._governing)

    async def _record(self, person: EntityUid, detail: Mapping[str, object], private: Mapping[str, object]) -> None:
        await self._base.scribe().write("approval", person, detail, private)
