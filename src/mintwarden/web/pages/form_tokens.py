"""Tokens in our forms that only our own pages can have put there (against cross-site request forgery)."""

from __future__ import annotations

import base64
import hashlib
import hmac

from mintwarden.model.errors import ErrorKind, MintwardenError


class FormTokens:
    """Makes and checks them. Each is bound to one form and to something that only its reader's browser holds.

    Nothing is kept: a token is a keyed hash of what it is bound to.
    """

    def __init__(self, *, key: bytes) -> None:
        self._key = key

    def make(self, form: str, bound_to: str) -> str:
        """The token of the form named `form` for the browser that holds `bound_to` (a cookie, a handle)."""
        digest = hmac.digest(self._key, f"{len(form)}:{form}{bound_to}".encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    def check(self, form: str, bound_to: str, unverified: str) -> None:
        """Raise `INVALID_REQUEST` unless `unverified` is that token."""
        good = bool(bound_to) and unverified.isascii()
        if not good or not hmac.compare_digest(self.make(form, bound_to), unverified):
            raise MintwardenError(
                ErrorKind.INVALID_REQUEST, "the form did not come from our own page", hint="begin again where you began"
            )
