"""A client that proves itself by a secret, wherever in the request that stands."""

from __future__ import annotations

from mintwarden.authn.methods.method import NotProvenError, Proven, Tools


async def by_secret(tools: Tools, client_id: str, secret: str, now: int) -> Proven:
    """The client whose secret this is. Raises `NotProvenError` in the same words whoever is unknown or is wrong."""
    registry = tools.registry
    known = registry.client(client_id)
    stored = registry.secrets(client_id) if known is not None else ()
    right = await tools.secrets.verify(secret, stored, now, imported=registry.imported)
    if known is None or not right:
        raise NotProvenError("unknown client or wrong secret")
    return Proven(known)
