"""Sending a browser to sign in, and back to the page of ours that it came for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from urllib.parse import urlencode

from mintwarden.authn.interactions import Interaction, Interactions, cookie_of, secret_digest
from mintwarden.authn.sign_in import Demand
from mintwarden.issue.authorization.complete import random_text
from mintwarden.web.pages.cookies import Cookies
from mintwarden.web.pages.endpoint import Visit, redirect
from mintwarden.web.reply import Reply

LIFE: Final = 900
"""Seconds that somebody may take to sign in."""


class Entrance:
    """Begins a sign-in. `path` is what comes before our own paths."""

    def __init__(
        self, *, interactions: Interactions, cookies: Cookies, path: str, entropy: Callable[[int], bytes]
    ) -> None:
        self._interactions = interactions
        self._cookies = cookies
        self._path = path
        self._entropy = entropy

    async def send(self, visit: Visit, back: str, demand: Demand) -> Reply:
        """To sign in as `demand` says; afterwards the very same browser comes to `back`, a path of ours."""
        handle, secret = random_text(self._entropy), random_text(self._entropy)
        interaction = Interaction(
            demand=demand, browser=secret_digest(secret), return_path=back, began_at=visit.received_at
        )
        await self._interactions.begin(handle, interaction, ends=visit.received_at + LIFE * 1000)
        cookie = self._cookies.set(cookie_of(handle), secret, seconds=LIFE)
        return redirect(f"{self._path}/signin?{urlencode({'i': handle})}", cookie)
