"""The first administrator: a key that is made with the bundle, rests sealed under the master key, and works once."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from joserfc import jwt
from joserfc.jwk import ECKey

from mintwarden.mint.master import LocalMasterKey
from mintwarden.model.errors import ErrorKind, MintwardenError

CLIENT = "first-administrator"
FILE = "first-administrator.key"
CONTEXT = b"first-administrator"
LIFE = 60
"""Seconds that its assertion is good for."""


def new_key() -> ECKey:
    """A fresh key."""
    return ECKey.generate_key("P-256")


def with_public_key(text: str, key: ECKey) -> str:
    """The client's file with the public half of `key` in place of the one that is there."""
    public = key.as_dict(private=False)
    lines = [
        f'{line[0]} = "{public[line[0]]}"' if line.startswith(('x = "', 'y = "')) else line for line in text.split("\n")
    ]
    return "\n".join(lines)


def write_sealed(path: Path, key: ECKey, master: LocalMasterKey) -> None:
    """Seal the private half into a file that its owner alone can read; raises `OSError`."""
    sealed = master.seal(key.as_pem(private=True), CONTEXT)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(base64.b64encode(sealed) + b"\n")
        file.flush()
        os.fsync(file.fileno())


def read_sealed(path: Path, master: LocalMasterKey) -> ECKey:
    """The key of a file; raises `KEYS` when it is not there, damaged, or sealed under another master key."""
    try:
        sealed = base64.b64decode(path.read_bytes().strip(), validate=True)
    except (OSError, ValueError) as error:
        raise MintwardenError(
            ErrorKind.KEYS,
            f"`{path}` cannot be read",
            hint="`mintwarden init` writes it, and it is removed once it was used",
        ) from error
    return ECKey.import_key(master.open(sealed, CONTEXT))


def assertion(key: ECKey, *, issuer: str, now: int) -> str:
    """What authenticates the client at `issuer`; `now` in seconds."""
    claims: Mapping[str, object] = {
        "iss": CLIENT,
        "sub": CLIENT,
        "aud": issuer,
        "iat": now,
        "exp": now + LIFE,
        "jti": secrets.token_urlsafe(16),
    }
    return jwt.encode({"alg": "ES256"}, dict(claims), key, algorithms=["ES256"])
