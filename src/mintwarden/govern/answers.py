"""Answers already given: what makes it safe to send a request again (idempotency keys)."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct


class Answer(Struct, frozen=True):
    """What was answered: the status, and the rest sealed under the master key."""

    status: int
    sealed: bytes


class Standing(Struct, frozen=True):
    """Somebody sent the key before: with which request, and what was answered; None while it is under way."""

    fingerprint: bytes
    answer: Answer | None


class Answers(Protocol):
    """Remembers answers until they end. All keys are digests: who knows the store does not know the keys."""

    async def claim(self, key: bytes, fingerprint: bytes, now: int, expires_at: int) -> Standing | None:
        """Take `key` for a request, durably; None when it is now the caller's, or who had it before.

        Of several that claim a key at once, on any node, one gets it. What has ended by `now` does not stand.
        """
        ...

    async def settle(self, key: bytes, answer: Answer) -> None:
        """Keep the answer that the claimed key's request got."""
        ...

    async def forget(self, key: bytes) -> None:
        """Give a claimed key free again: its request came to nothing."""
        ...
