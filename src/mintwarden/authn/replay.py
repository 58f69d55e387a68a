"""One-time proofs: the key that the ledger commit claims, and a small memory that spares it obvious replays."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

from mintwarden.model.caller import OnceKey


def once_key(issuer: str, token_id: str, expires_at: int) -> OnceKey:
    """The claim on a `jti` of an issuer (for a client assertion, the client), until `expires_at` in `Millis`."""
    # The length keeps ("a", "bc") and ("ab", "c") apart.
    text = f"{len(issuer)}:{issuer}{token_id}"
    return OnceKey(hashlib.sha256(text.encode()).digest()[:16], expires_at)


class ReplayGuard:
    """Remembers the last claims of this process, at most `size`, to refuse a replay before any work is done.

    An aid, not the guarantee: a forgotten or foreign claim is refused by the durable one, which every node
    shares. It learns of a claim only once it is durable, so that a request may be verified again.
    """

    def __init__(self, *, size: int = 65_536) -> None:
        self._size = size
        self._claimed: OrderedDict[bytes, int] = OrderedDict()

    def seen(self, key: OnceKey, now: int) -> bool:
        """True if the claim is known and has not run out."""
        return self._claimed.get(key.digest, 0) > now

    def remember(self, key: OnceKey) -> None:
        """Take note of a durable claim; the oldest gives way."""
        self._claimed[key.digest] = key.expires_at
        if len(self._claimed) > self._size:
            self._claimed.popitem(last=False)
