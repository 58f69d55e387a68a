"""The key set that we publish (RFC 7517 section 5): public members only, with headers that fit the rotation."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from mintwarden.mint.ports import StoredKey

PUBLIC_MEMBERS: Mapping[str, tuple[str, ...]] = {"EC": ("crv", "x", "y"), "OKP": ("crv", "x"), "RSA": ("n", "e")}
PUBLISHED = ("active", "next", "retiring")
"""States whose keys stand in the set, in the order in which they stand there."""


class KeySet(Struct, frozen=True):
    """A key set ready to be served.

    Attributes:
        body: the JSON bytes.
        etag: a strong validator.
        cache_control: how long it may be kept: never longer than a key is published before it signs.
    """

    body: bytes
    etag: str
    cache_control: str


def key_set(keys: Iterable[StoredKey], *, max_age: int) -> KeySet:
    """The published keys of `keys`; `max_age` in seconds."""
    published = sorted(
        (key for key in keys if key.purpose == "access_token" and key.state in PUBLISHED),
        key=lambda key: (PUBLISHED.index(key.state), key.algorithm, -key.created_at, key.kid),
    )
    body = json.dumps({"keys": [public_jwk(key) for key in published]}, separators=(",", ":")).encode()
    return KeySet(
        body=body,
        etag=f'"{hashlib.sha256(body).hexdigest()[:32]}"',
        cache_control=f"public, max-age={max_age}, must-revalidate",
    )


def public_jwk(key: StoredKey) -> dict[str, Any]:
    """One key as a JWK. INVARIANT: members are copied by name from a list of public ones, never by leaving some out."""
    members = json.loads(key.public_jwk)
    kind = members["kty"]
    return {
        "kty": kind,
        "use": "sig",
        "alg": key.algorithm,
        "kid": key.kid,
        **{name: members[name] for name in PUBLIC_MEMBERS[kind]},
    }
