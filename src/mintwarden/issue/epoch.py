"""Everything in one walk is of one state of the store: where that moved on meanwhile, the walk begins again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from mintwarden.model.errors import ErrorKind, MintwardenError

ATTEMPTS = 3
T = TypeVar("T")


class EpochMoved(Exception):
    """Credentials or keys changed while they were being used."""

    def __init__(self, epoch: int) -> None:
        super().__init__(epoch)
        self.epoch = epoch


async def in_one_epoch(work: Callable[[], Awaitable[T]], refresh: Callable[[int], Awaitable[None]]) -> T:
    """What `work` gives under one state of the store; `refresh` reads credentials and keys again.

    Raises `UNAVAILABLE` where they change faster than it can be done.
    """
    for _ in range(ATTEMPTS):
        try:
            return await work()
        except EpochMoved as moved:
            await refresh(moved.epoch)
    raise MintwardenError(ErrorKind.UNAVAILABLE, "credentials keep changing", hint="try again")
