"""Every grant, in reading order. A grant is one file: `NAME`, `PARAMETERS`, `resolve`."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

from msgspec import Struct

from mintwarden.issue.grants import client_credentials, token_exchange
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
        resolve: step 3: request, caller, its client and the catalogue to `Asked`.
    """

    name: str
    grant_type: str
    parameters: frozenset[str]
    resolve: Callable[[TokenRequest, Caller, Client, Catalogue], Asked]


def _grant(module: ModuleType) -> Grant:
    return Grant(module.NAME, module.GRANT_TYPE, module.PARAMETERS, module.resolve)


GRANTS: tuple[Grant, ...] = (
    _grant(client_credentials),
    _grant(token_exchange),
)
