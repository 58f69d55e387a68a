"""Introspection (RFC 7662): a resource server asks whether a token is good, and what it says.

The answer can be signed (RFC 9701); by whom and with what is said here, that it is done is the program's.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any

from msgspec import Struct

from mintwarden.authn.presented import Presented
from mintwarden.issue.desk import Desk
from mintwarden.issue.fresh import Still
from mintwarden.mint.prepare import OWN_CLAIMS
from mintwarden.model.caller import Evidence
from mintwarden.model.catalogue import WITHHELD, Audience, Catalogue, Client
from mintwarden.model.clock import seconds
from mintwarden.model.detail import MEMBER
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.request import TokenRequest

INACTIVE: Mapping[str, Any] = {"active": False}
"""Unknown, outlived, revoked and not meant for whoever asks look alike (section 2.2)."""


class Told(Struct, frozen=True):
    """What a client may be told of a token.

    Attributes:
        content: the members of the answer.
        client_id: who is told, and nobody else.
        algorithm: what a signed answer is signed with.
    """

    content: Mapping[str, Any]
    client_id: str
    algorithm: str


async def introspect(request: TokenRequest, desk: Desk, now: int) -> Told:
    """What may be told. INVARIANT: only the resource server that a token is for, or its own client, learns of it.

    Raises `INVALID_CLIENT` for a client that proves nothing: whoever finds a token must not be able to try it here
    (section 4).
    """
    caller = await desk.caller(request, now)
    if caller.method == "none":
        raise MintwardenError(
            ErrorKind.INVALID_CLIENT, "client authentication failed", hint="public clients may not introspect"
        )
    client = desk.client(caller)
    shown = await desk.shown(request, now)
    content = await _content(shown, desk, now) if shown is not None and _is_meant_for(shown, client, desk) else INACTIVE
    # Last, for whatever is decided under an older version than the facts are of begins again, with the same proof.
    await desk.claim(caller)
    return Told(content, client.id, algorithm_for(client, desk.catalogue))


async def _content(shown: Presented, desk: Desk, now: int) -> Mapping[str, Any]:
    token, audience = shown.evidence, _audience(shown.evidence, desk.catalogue)
    if audience is None:
        return INACTIVE
    claims = shown.claims
    if audience.introspection.fresh:
        still = await desk.fresh.decide(shown, now)
        if still is None:
            return INACTIVE
        claims = _as_of_now(claims, still)
    told = audience.introspection.claims
    if told is not None:
        claims = {name: value for name, value in claims.items() if name in told or not _may_be_left_out(name)}
    kind = "DPoP" if token.binding is not None and token.binding.kind == "dpop" else "Bearer"
    # The bundle may name a claim `active` or `token_type`; what is said of the token itself is not its to say.
    return {**claims, "active": True, "token_type": kind}


def _as_of_now(claims: Mapping[str, Any], still: Still) -> dict[str, Any]:
    """The token's own claims with the scopes, the details, the end and the derived claims of now."""
    # INVARIANT: what was decided anew is told as it is now, or not at all.
    own = {name: value for name, value in claims.items() if name in OWN_CLAIMS and name not in ("scope", MEMBER)}
    own["exp"] = seconds(still.expires_at)
    if still.scopes:
        own["scope"] = " ".join(still.scopes)
    if still.details:
        own[MEMBER] = still.details
    return {**{claim.name: claim.value for claim in still.claims}, **own}


def _may_be_left_out(name: str) -> bool:
    return name in WITHHELD or name not in OWN_CLAIMS


def _audience(token: Evidence, catalogue: Catalogue) -> Audience | None:
    """What the token is for; None when the bundle has no such audience any more."""
    found = {catalogue.by_identifier.get(identifier) for identifier in token.audiences}
    name = found.pop() if len(found) == 1 else None
    return None if name is None else catalogue.audiences[name]


def statement(told: Told, issuer: str, now: int) -> Mapping[str, Any]:
    """The claims of a signed answer (RFC 9701 section 5).

    INVARIANT: what is said of the token stands inside, and neither `sub` nor `exp` beside it (section 8.1).
    """
    return {"iss": issuer, "aud": told.client_id, "iat": seconds(now), "token_introspection": told.content}


def algorithm_for(client: Client, catalogue: Catalogue) -> str:
    """What answers to `client` are signed with: as it was promised; as the tokens that it checks; as the first that it
    may ask for.

    INVARIANT: it follows from the client alone, so that the header says nothing about a token that is none of its
    business.
    """
    if client.protections.introspection_algorithm:
        return client.protections.introspection_algorithm
    audiences = chain(client.serves, client.ceilings, catalogue.audiences)
    return next(catalogue.audiences[name].algorithm for name in audiences if name in catalogue.audiences)


def _is_meant_for(shown: Presented, client: Client, desk: Desk) -> bool:
    token = shown.evidence
    if token.client_id == client.id:
        return True
    audiences = desk.catalogue.audiences
    served = {identifier for name in client.serves for identifier in audiences[name].identifiers}
    return not served.isdisjoint(token.audiences)
