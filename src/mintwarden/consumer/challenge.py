"""Challenges of a protected resource: RFC 6750 section 3, RFC 9728 section 5.1, RFC 9449 section 7.1, RFC 9470."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

from mintwarden.consumer.resource import DPOP_ALGORITHMS, ProtectedResource

Error = Literal[
    "",
    "invalid_request",
    "invalid_token",
    "insufficient_scope",
    "invalid_dpop_proof",
    "insufficient_user_authentication",
]
_UNFIT = re.compile(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]")


class Challenges:
    """`WWW-Authenticate` values of one resource; each names its metadata, so that a client finds out whom to ask."""

    def __init__(self, resource: ProtectedResource) -> None:
        self._resource = resource

    def unauthorized(self, error: Error = "", description: str = "", scopes: Iterable[str] = ()) -> list[str]:
        """For a 401 (and, with `invalid_request`, a 400); without an error where no token was sent."""
        return self._all(error, description, scopes)

    def insufficient_scope(self, needed: Iterable[str], description: str = "more scopes are needed") -> list[str]:
        """For a 403: every scope that the operation needs, all at once, so that one step-up is enough."""
        return self._all("insufficient_scope", description, needed)

    def insufficient_sign_in(self, acr_values: Iterable[str], max_age: int | None) -> list[str]:
        """For a 401: how strong or how recent the sign-in has to be (RFC 9470 section 3)."""
        more = []
        levels = " ".join(acr_values)
        if levels:
            more.append(f'acr_values="{_UNFIT.sub("", levels)}"')
        if max_age is not None:
            more.append(f'max_age="{max_age}"')
        why = "a stronger or a more recent sign-in is needed"
        return self._all("insufficient_user_authentication", why, (), more)

    def _all(self, error: Error, description: str, scopes: Iterable[str], more: Iterable[str] = ()) -> list[str]:
        found = []
        if not self._resource.dpop_required and not (error == "invalid_dpop_proof" and self._resource.dpop):
            found.append(self._one("Bearer", error, description, scopes, *more))
        if self._resource.dpop:
            found.append(self._one("DPoP", error, description, scopes, *more, f'algs="{" ".join(DPOP_ALGORITHMS)}"'))
        return found

    def _one(self, scheme: str, error: Error, description: str, scopes: Iterable[str], *more: str) -> str:
        parts = []
        if error:
            parts.append(f'error="{error}"')
            parts.append(f'error_description="{_UNFIT.sub("?", description)}"')
        scope = " ".join(dict.fromkeys(scopes))
        if scope:
            parts.append(f'scope="{_UNFIT.sub("", scope)}"')
        parts.append(f'resource_metadata="{self._resource.metadata_url}"')
        parts += more
        return f"{scheme} {', '.join(parts)}"
