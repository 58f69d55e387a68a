"""Every grant, in reading order. A grant is one file: `NAME`, `GRANT_TYPE`, `PARAMETERS`, `resolve`.

One that remembers something of earlier requests also has `recall`; the others share `nothing`.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from types import ModuleType

from msgspec import Struct

from mintwarden.issue.granted import NOTHING, Recalled
from mintwarden.issue.grants import (
    authorization_code,
    ciba,
    client_credentials,
    device_code,
    jwt_bearer,
    refresh_token,
    token_exchange,
)
from mintwarden.issue.memory import Memory
from mintwarden.model.asked import Asked
from mintwarden.model.caller import Caller
from mintwarden.model.catalogue import Catalogue, Client
from mintwarden.model.request import TokenRequest


class Grant(Struct, frozen=True):
    """A way to ask for a token.

    Attributes:
        name: what clients list under `grants`.
        grant_type: the `grant_type` value (RFC 6749 section 4).
        parameters: the parameters it reads; all others are ignored (RFC 6749 section 3.2).
        recall: step 3, by ports: what was remembered, and the caller with the sign-in that it brings.
        resolve: step 3, pure: request, caller, its client, the catalogue and what was recalled, to `Asked`.
    """

    name: str
    grant_type: str
    parameters: frozenset[str]
    recall: Callable[[TokenRequest, Caller, Client, Memory, int], Awaitable[tuple[Caller, Recalled]]]
    resolve: Callable[[TokenRequest, Caller, Client, Catalogue, Recalled], Asked]


async def nothing(
    _request: TokenRequest, caller: Caller, _client: Client, _memory: Memory, _now: int
) -> tuple[Caller, Recalled]:
    """Everything is in the request."""
    return caller, NOTHING


def _grant(module: ModuleType) -> Grant:
    recall = getattr(module, "recall", nothing)
    return Grant(module.NAME, module.GRANT_TYPE, module.PARAMETERS, recall, module.resolve)


def pushed(delivery: int) -> Grant:
    """Nobody can ask for it, and for each delivery it is walked once: see `issue.pushing`."""
    recall = functools.partial(ciba.recall_pushed, delivery=delivery)
    return Grant(ciba.NAME, ciba.GRANT_TYPE, ciba.PARAMETERS, recall, ciba.resolve)


GRANTS: tuple[Grant, ...] = (
    _grant(client_credentials),
    _grant(authorization_code),
    _grant(refresh_token),
    _grant(device_code),
    _grant(ciba),
    _grant(token_exchange),
    _grant(jwt_bearer),
)
