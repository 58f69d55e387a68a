"""Passkeys, as a browser sees them: making one by invitation, signing in with one. The page's script talks JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from mintwarden.authn.interactions import Interactions
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.web.errors import error_reply
from mintwarden.web.pages.endpoint import Visit, require_own_origin
from mintwarden.web.pages.form_tokens import FormTokens
from mintwarden.web.pages.render import Pages
from mintwarden.web.reply import Reply, json_reply
from mintwarden.web.sign_in import PASSKEY_FORM, SignInPages, SignIns

if TYPE_CHECKING:
    from mintwarden.authn.passkeys import Asked, Passkey, Passkeys

REGISTRATION_FORM: Final = "passkey registration"


class Ceremony(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the script posts: our form's fields, and in the second step what the browser made."""

    csrf: str
    i: str = ""
    invitation: str = ""
    label: str = ""
    handle: str = ""
    credential: dict[str, Any] = {}


_decode = msgspec.json.Decoder(Ceremony).decode


class PasskeyPages:
    """The endpoints. `record` writes down that a passkey was made, before it counts; `told` hears of it afterwards."""

    def __init__(
        self,
        *,
        issuer: str,
        path: str,
        now_in_force: Callable[[], Awaitable[SignIns]],
        interactions: Interactions,
        sign_in: SignInPages,
        record: Callable[[Passkey], Awaitable[None]],
        told: Callable[[Passkey], Awaitable[None]],
        pages: Pages,
        forms: FormTokens,
    ) -> None:
        self._issuer = issuer
        self._path = path
        self._now_in_force = now_in_force
        self._interactions = interactions
        self._sign_in = sign_in
        self._record = record
        self._told = told
        self._pages = pages
        self._forms = forms

    async def invitation(self, visit: Visit) -> Reply:
        """`/signin/passkey/new?invitation=`: the page to make one on. Looking at it uses nothing up."""
        passkeys = await self._passkeys()
        handle = visit.one("invitation")
        subject = await passkeys.invited(handle, visit.received_at)
        return self._pages.render(
            "passkey_new.html",
            visit.reader.language(self._pages),
            script=True,
            person=subject.id,
            invitation=handle,
            token=self._forms.make(REGISTRATION_FORM, handle),
        )

    async def made(self, visit: Visit) -> Reply:
        """`/signin/passkey/made`: where the script goes afterwards."""
        return self._pages.render("passkey_made.html", visit.reader.language(self._pages))

    async def registration_options(self, visit: Visit) -> Reply:
        """`/signin/passkey/registration/options`."""

        async def work(ceremony: Ceremony, passkeys: Passkeys) -> Reply:
            self._forms.check(REGISTRATION_FORM, ceremony.invitation, ceremony.csrf)
            return _told(await passkeys.ask_to_make(ceremony.invitation, visit.received_at))

        return await self._answer(visit, work)

    async def registration(self, visit: Visit) -> Reply:
        """`/signin/passkey/registration`."""

        async def work(ceremony: Ceremony, passkeys: Passkeys) -> Reply:
            self._forms.check(REGISTRATION_FORM, ceremony.invitation, ceremony.csrf)
            passkey, keep = await passkeys.make(
                ceremony.invitation, ceremony.handle, ceremony.credential, ceremony.label, visit.received_at
            )
            await self._record(passkey)
            await keep()
            await self._told(passkey)
            return json_reply(200, {"next": f"{self._path}/signin/passkey/made"})

        return await self._answer(visit, work)

    async def options(self, visit: Visit) -> Reply:
        """`/signin/passkey/options`."""

        async def work(ceremony: Ceremony, passkeys: Passkeys) -> Reply:
            self._forms.check(PASSKEY_FORM, ceremony.i, ceremony.csrf)
            await self._interactions.open(ceremony.i, visit.cookies, visit.received_at)
            return _told(await passkeys.ask_to_show(ceremony.i, visit.received_at))

        return await self._answer(visit, work)

    async def show(self, visit: Visit) -> Reply:
        """`/signin/passkey`: signs in, and says where to go on."""

        async def work(ceremony: Ceremony, passkeys: Passkeys) -> Reply:
            self._forms.check(PASSKEY_FORM, ceremony.i, ceremony.csrf)
            held = await self._interactions.open(ceremony.i, visit.cookies, visit.received_at)
            sign_in = await passkeys.show(ceremony.i, ceremony.handle, ceremony.credential, visit.received_at)
            location, cookie = await self._sign_in.establish(await self._now_in_force(), held, sign_in, visit)
            return json_reply(200, {"next": location}, cookie)

        return await self._answer(visit, work)

    async def _answer(self, visit: Visit, work: Callable[[Ceremony, Passkeys], Awaitable[Reply]]) -> Reply:
        """The work's reply, or its error as JSON: a script reads it, no person."""
        try:
            require_own_origin(visit, self._issuer)
            if not visit.origin:
                raise MintwardenError(ErrorKind.INVALID_REQUEST, "the request does not say which page it came from")
            try:
                ceremony = _decode(visit.unverified_json)
            except (msgspec.DecodeError, RecursionError):  # what is nested too deeply is the latter
                raise MintwardenError(ErrorKind.INVALID_REQUEST, "that is not what our script sends") from None
            return await work(ceremony, await self._passkeys())
        except MintwardenError as error:
            if error.kind is ErrorKind.INVALID_REQUEST or error.kind is ErrorKind.NOT_FOUND:
                return error_reply(error, visit.reference)
            raise

    async def _passkeys(self) -> Passkeys:
        found = (await self._now_in_force()).passkeys
        if found is None:
            raise MintwardenError(ErrorKind.NOT_FOUND, "nobody signs in with a passkey here")
        return found


def _told(asked: Asked) -> Reply:
    return json_reply(200, {"handle": asked.handle, "options": asked.options})
