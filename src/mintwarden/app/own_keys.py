"""Our published keys as the verification of our own tokens takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from mintwarden.authn.own import OwnKey
from mintwarden.mint.ring import KeyRing


class RingKeys:
    """The public halves of a key ring; see `OwnKeys`."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    def public_key(self, kid: str) -> OwnKey | None:
        """See `OwnKeys.public_key`."""
        jwk = self._ring.public_jwk(kid)
        return None if jwk is None else _Published(str(jwk["alg"]), jwk)


class _Published(Struct, frozen=True):
    algorithm: str
    jwk: Mapping[str, Any]
