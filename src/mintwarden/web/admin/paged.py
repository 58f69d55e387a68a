"""A page of a list that is put together from what is in memory: the one beyond a cursor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from mintwarden.web.admin.operation import Call

T = TypeVar("T")


def page_of(call: Call, rows: Iterable[T], place: Callable[[T], str]) -> tuple[Sequence[T], str]:
    """Those of `rows` that the call's `limit` and `cursor` ask for, in the order of their places, and where to go on.

    Places are text, and no two rows have the same: what comes or goes meanwhile makes nothing else come twice, or not
    at all. The second is empty at the end. Raises `INVALID_REQUEST` for a cursor that was not made for this query.
    """
    query = call.query
    after = call.cursors.position(query.cursor) if query.cursor else ""
    rest = sorted((row for row in rows if place(row) > after), key=place)
    listed = rest[: query.limit]
    return listed, call.cursors.make(place(listed[-1])) if len(rest) > len(listed) else ""
