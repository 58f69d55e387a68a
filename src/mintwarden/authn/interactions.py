"""What a person began in a browser and signs in for: an authorization request, a device's code, a page of ours."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from mintwarden.authn.shelf import Held, Shelf
from mintwarden.authn.sign_in import Demand
from mintwarden.model.errors import ErrorKind, MintwardenError

KIND = "interaction"
"""The kind of its shelf."""


class Interaction(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is to be done once somebody has signed in.

    Attributes:
        demand: what the sign-in must be.
        browser: of the browser that began it, what `secret_digest` makes of its cookie.
        return_path: where the browser goes then: a path of ours.
        began_at: `Millis`.
        session: `sid` of the session that the sign-in for it began, or empty while there was none.
        asks: what it is for, as JSON, for whoever began it.
        leads_to: the origin elsewhere that it ends at, for the policies of pages on the way; empty for none.
    """

    demand: Demand
    browser: str
    return_path: str
    began_at: int = 0
    session: str = ""
    asks: str = ""
    leads_to: str = ""


def cookie_of(handle: str) -> str:
    """The name of the cookie by which a browser is known to have begun the interaction."""
    return "mw_i_" + hashlib.sha256(f"{KIND}:{handle}".encode()).hexdigest()[:16]


def secret_digest(secret: str) -> str:
    """What is kept of the random secret in that cookie."""
    return hashlib.sha256(secret.encode()).hexdigest()


class Interactions:
    """Finds interactions for the browsers that began them."""

    def __init__(self, shelf: Shelf[Interaction]) -> None:
        self._shelf = shelf

    async def begin(self, handle: str, interaction: Interaction, *, ends: int) -> None:
        """Remember what `handle` (random, in the address and nowhere else) stands for, until `ends` (`Millis`)."""
        if not await self._shelf.add(handle, interaction, ends=ends):
            raise MintwardenError(ErrorKind.INTERNAL, "the name of an interaction is taken")

    async def change(self, held: Held[Interaction], interaction: Interaction) -> bool:
        """Go on with something else under the same handle; False where somebody else was first."""
        return await self._shelf.replace(held, interaction)

    async def end(self, held: Held[Interaction]) -> None:
        """It is done, or will not be."""
        await self._shelf.remove(held)

    async def open(self, handle: str, cookies: Mapping[str, str], now: int) -> Held[Interaction]:
        """The interaction; raises `INVALID_REQUEST` where there is none.

        INVARIANT: an interaction is for the browser that began it: whoever lures another into it (login CSRF, session
        fixation) has that browser without the cookie, and whoever learned its handle has no secret to put there.
        """
        secret = cookies.get(cookie_of(handle), "")
        held = await self._shelf.get(handle, now) if handle and secret else None
        if held is None or not hmac.compare_digest(secret_digest(secret), held.value.browser):
            raise MintwardenError(
                ErrorKind.INVALID_REQUEST,
                "this sign-in has ended, or began in another browser",
                hint="go back to the application and begin again",
            )
        return held

    async def signed_in(self, held: Held[Interaction], session: str) -> None:
        """Note that the sign-in for it began `session`; of two sign-ins for one interaction the last counts."""
        await self._shelf.replace(held, replace(held.value, session=session))
