"""Requests and answers of SCIM, as whoever speaks HTTP hands them over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct


class Asked(Struct, frozen=True, kw_only=True):
    """A request that is let in.

    Attributes:
        path: below `/scim/v2`, decoded: `/Users/<id>`.
        body: JSON without repeated members, or empty.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Sequence[tuple[str, str]]
    body: bytes


class Told(Struct, frozen=True, kw_only=True):
    """What is answered. `headers` are those that SCIM speaks of; the type of the body is among them."""

    status: int
    headers: Mapping[str, str]
    body: bytes
