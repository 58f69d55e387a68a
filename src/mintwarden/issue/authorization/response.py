"""Authorization responses: their parameters, and the address, fragment or form that carries them.

RFC 6749 section 4.1.2, RFC 9207 (`iss` in every response), JARM for the signed ones.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import urlencode

from msgspec import Struct

from mintwarden.issue.authorization.request import Destination
from mintwarden.model.clock import seconds

SIGNED_LIFE: Final = 300
"""Seconds that a signed response counts (JARM section 2.1 recommends at most ten minutes)."""

Sign = Callable[[Mapping[str, Any]], Awaitable[str]]


class Response(Struct, frozen=True):
    """A response on its way: to `location`, or, with `fields`, as a form that the browser posts there."""

    location: str
    fields: Mapping[str, str] | None = None


async def respond(to: Destination, parameters: Mapping[str, str], *, issuer: str, sign: Sign, now: int) -> Response:
    """`parameters` as a response to the client at `to`."""
    members = {**parameters, **({"state": to.state} if to.state else {})}
    kind, _, form = to.mode.partition(".")
    if kind == "jwt" or form == "jwt":
        claims = {"iss": issuer, "aud": to.client_id, "exp": seconds(now) + SIGNED_LIFE, **members}
        members = {"response": await sign(claims)}
        kind = "query" if kind == "jwt" else kind
    else:
        members["iss"] = issuer
    if kind == "form_post":
        return Response(to.redirect_uri, members)
    if kind == "fragment":
        return Response(f"{to.redirect_uri}#{urlencode(members)}")
    return Response(f"{to.redirect_uri}{'&' if '?' in to.redirect_uri else '?'}{urlencode(members)}")
