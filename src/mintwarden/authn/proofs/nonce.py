"""Nonces without a memory: a time and a keyed hash of it, alike on every node.

For DPoP proofs (RFC 9449 section 8), and as challenges for proofs of attested keys, each under a key of its own.
"""

from __future__ import annotations

import base64
import hmac
from typing import Final

SLOT: Final = 60_000
"""Milliseconds for which a nonce is handed out; it is known for as long again."""
_TAG = 16


class Nonces:
    """Makes and knows nonces of one purpose. `key` is shared by all nodes."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def make(self, now: int) -> str:
        """The nonce of now."""
        return self._of(now // SLOT)

    def knows(self, nonce: str, now: int) -> bool:
        """Was it handed out in this slot or in the one before."""
        slot, given = now // SLOT, nonce.encode("utf-8", "replace")
        return any(hmac.compare_digest(given, self._of(each).encode()) for each in (slot, slot - 1))

    def _of(self, slot: int) -> str:
        raw = slot.to_bytes(8, "big")
        tag = hmac.digest(self._key, raw, "sha256")[:_TAG]
        return base64.urlsafe_b64encode(raw + tag).decode().rstrip("=")
