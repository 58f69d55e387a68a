"""Introspection (RFC 7662): a resource server asks whether a token is good, and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mintwarden.issue.desk import Desk
from mintwarden.model.caller import Evidence
from mintwarden.model.catalogue import Client
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.request import TokenRequest

INACTIVE: Mapping[str, Any] = {"active": False}
"""Unknown, outlived, revoked and not meant for whoever asks look alike (section 2.2)."""


async def introspect(request: TokenRequest, desk: Desk, now: int) -> Mapping[str, Any]:
    """What may be told. INVARIANT: only the resource server that a token is for, or its own client, learns of it.

    Raises `INVALID_CLIENT` for a client that proves nothing: whoever finds a token must not be able to try it here
    (section 4).
    """
    caller = await desk.caller(request, now)
    if caller.method == "none":
        raise MintwardenError(
            ErrorKind.INVALID_CLIENT, "client authentication failed", hint="public clients may not introspect"
        )
    await desk.claim(caller)
    shown = await desk.shown(request, now)
    if shown is None or not _is_meant_for(shown.evidence, desk.client(caller), desk):
        return INACTIVE
    binding = shown.evidence.binding
    kind = "DPoP" if binding is not None and binding.kind == "dpop" else "Bearer"
    # The bundle may name a claim `active` or `token_type`; what is said of the token itself is not its to say.
    return {**shown.claims, "active": True, "token_type": kind}


def _is_meant_for(token: Evidence, client: Client, desk: Desk) -> bool:
    if token.client_id == client.id:
        return True
    audiences = desk.catalogue.audiences
    served = {identifier for name in client.serves for identifier in audiences[name].identifiers}
    return not served.isdisjoint(token.audiences)
