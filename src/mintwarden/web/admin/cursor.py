"""Cursors: sealed, so that they tell nothing, and bound to whom, what and which query they were made for."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mintwarden.model.errors import ErrorKind, MintwardenError

_NONCE = 12


class CursorSeal:
    """Seals positions under a key of its own (AES-256-GCM). A position may be an entity key: it is not for logs."""

    def __init__(self, key: bytes, *, random_bytes: Callable[[int], bytes]) -> None:
        self._cipher = AESGCM(key)
        self._random_bytes = random_bytes

    def seal(self, position: bytes, context: bytes) -> str:
        """The cursor."""
        nonce = self._random_bytes(_NONCE)
        return base64.urlsafe_b64encode(nonce + self._cipher.encrypt(nonce, position, context)).rstrip(b"=").decode()

    def read(self, cursor: str, context: bytes) -> bytes:
        """The position; raises `INVALID_REQUEST` for what was not sealed here for `context`."""
        try:
            data = base64.b64decode(cursor.encode() + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
            return self._cipher.decrypt(data[:_NONCE], data[_NONCE:], context)
        except (InvalidTag, binascii.Error, ValueError, UnicodeEncodeError):
            raise MintwardenError(
                ErrorKind.INVALID_REQUEST, "the cursor was not made for this query", hint="begin without one"
            ) from None
