"""Remembers of which tokens of ours the signature was found good, so that it is not worked out again for each look."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import sha256

from mintwarden.authn.jose import Unverified, VerificationKey, verify_signature

KEPT = 16_384
"""Signatures that are remembered: some four MiB. The one that was longest not asked about goes first."""


class GoodSignatures:
    """Verifies signatures, each under one key once for as long as it is remembered. `algorithms` are those accepted.

    INVARIANT: all that is remembered is that a key made the signature of the very bytes; who may ask, what the token
    says, how long it lives, whether the key still counts and whether anything was revoked is looked at each time.
    INVARIANT: only good signatures are remembered, so that what nobody here signed takes no room; and of a token only
    a digest of all of it, signature included.
    """

    def __init__(self, algorithms: frozenset[str], *, most: int = KEPT) -> None:
        self._algorithms = algorithms
        self._most = most
        self._known: OrderedDict[bytes, VerificationKey] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def verify(self, token: Unverified, key: VerificationKey) -> None:
        """Raises `JoseError` unless `key`, the one that counts for the token now, made its signature."""
        # What is signed holds one full stop and no other, so that the second one ends it: no two tokens look alike.
        name = sha256(token.signed + b"." + token.signature).digest()
        known = self._known
        if known.get(name) is key:
            known.move_to_end(name)
            return
        verify_signature(token, (key,), self._algorithms)
        known[name] = key
        known.move_to_end(name)
        if len(known) > self._most:
            known.popitem(last=False)
