"""Pushed authorization requests (RFC 9126): checked when they come, kept for their client, used up when answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct

from mintwarden.authn.shelf import Shelf
from mintwarden.issue.authorization.complete import random_text
from mintwarden.model.errors import ErrorKind, MintwardenError

KIND: Final = "pushed_request"
"""The kind of its shelf."""
PREFIX: Final = "urn:ietf:params:oauth:request_uri:"
LIFE: Final = 300
"""Seconds that a pushed request may be shown."""
CREDENTIALS: Final = frozenset({"client_secret", "client_assertion", "client_assertion_type"})
"""Parameters that prove who pushes, and are no part of what is asked."""


class PushedRequest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was pushed.

    Attributes:
        parameters: those that count: of the signed object where there was one.
        instance: the attested key of the instance of the client that pushed it, or empty.
    """

    client_id: str
    parameters: Mapping[str, tuple[str, ...]]
    signed: bool = False
    instance: str = ""


class PushedRequests:
    """Keeps them."""

    def __init__(self, shelf: Shelf[PushedRequest], *, entropy: Callable[[int], bytes]) -> None:
        self._shelf = shelf
        self._entropy = entropy

    async def push(self, pushed: PushedRequest, now: int) -> str:
        """Keep a request; its `request_uri`."""
        name = PREFIX + random_text(self._entropy)
        if not await self._shelf.add(name, pushed, ends=now + LIFE * 1000):
            raise MintwardenError(ErrorKind.INTERNAL, "the name of a pushed request is taken")
        return name

    async def find(self, request_uri: str, client_id: str, now: int) -> PushedRequest:
        """What was pushed under that name by that client. Raises `INVALID_REQUEST_URI` for everything else.

        Looking uses nothing up: a page may be loaded again. An answer does (`hand_out`).
        """
        held = await self._shelf.get(request_uri, now) if request_uri.startswith(PREFIX) else None
        if held is None or held.value.client_id != client_id:
            raise MintwardenError(
                ErrorKind.INVALID_REQUEST_URI,
                "`request_uri` names no request of this client",
                hint="only pushed requests have one (RFC 9126); begin again at the application",
            )
        return held.value

    async def forget(self, request_uri: str) -> None:
        """It was answered."""
        if request_uri:
            held = await self._shelf.get(request_uri, 0)
            if held is not None:
                await self._shelf.remove(held)
