"""The ways in which somebody could sign in, by what a sign-in of each can prove at best."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct

from mintwarden.model.values import EntityUid


class Way(Struct, frozen=True, kw_only=True):
    """One way that one person may use.

    Attributes:
        id: of the provider in the bundle, or `passkey`.
        levels, methods: `acr` and `amr` that such a sign-in can count as, in our own terms.
        sure: each sign-in proves all of that. A provider proves it where it is asked to, and where the person can.
    """

    id: str
    levels: frozenset[str]
    methods: frozenset[str]
    sure: bool = False


WaysOf = Callable[[EntityUid, int], Awaitable[Sequence[Way]]]
"""The ways of a person at a time (`Millis`)."""
