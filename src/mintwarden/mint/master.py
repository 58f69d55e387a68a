"""The master key: seals what rests in the store (AES-256-GCM) and derives keys for other purposes (HKDF-SHA-256)."""

from __future__ import annotations

import binascii
import os
import stat
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from mintwarden.model.errors import ErrorKind, MintwardenError

KEY_SIZE = 32
NONCE_SIZE = 12
VERSION = b"\x01"
"""First byte of what is sealed. Another cipher or layout takes another number; this one stays readable."""

RandomBytes = Callable[[int], bytes]


class LocalMasterKey:
    """A master key in memory. Implements `MasterKey`."""

    def __init__(self, key: bytes, *, random_bytes: RandomBytes) -> None:
        if len(key) != KEY_SIZE:
            raise _unusable(f"it has {len(key)} bytes instead of {KEY_SIZE}")
        self._root = key
        self._cipher = AESGCM(self.derive(b"seal"))
        self._random_bytes = random_bytes

    def seal(self, plain: bytes, context: bytes) -> bytes:
        """Encrypt, bound to `context`."""
        nonce = self._random_bytes(NONCE_SIZE)
        return VERSION + nonce + self._cipher.encrypt(nonce, plain, context)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """Decrypt; raises `KEYS` when it was not sealed here, not for `context`, or was changed."""
        if sealed[:1] == VERSION and len(sealed) > 1 + NONCE_SIZE:
            try:
                return self._cipher.decrypt(sealed[1 : 1 + NONCE_SIZE], sealed[1 + NONCE_SIZE :], context)
            except InvalidTag:
                pass
        raise MintwardenError(
            ErrorKind.KEYS,
            "a sealed value does not open: it was damaged, or sealed under another master key",
            hint="check that `keys.master_key_file` is the file this store was set up with, or restore a backup",
        )

    def derive(self, label: bytes) -> bytes:
        """32 bytes for the purpose named by `label`; the same for ever."""
        return HKDFExpand(SHA256(), 32, b"mintwarden/v1/" + label).derive(self._root)


def from_file(path: Path, *, random_bytes: RandomBytes) -> LocalMasterKey:
    """The master key in a file, 32 bytes in base64url; raises `KEYS` when it is missing, open to others or damaged."""
    try:
        mode = path.stat().st_mode
        text = path.read_bytes()
    except OSError as error:
        raise MintwardenError(
            ErrorKind.KEYS,
            f"the master key file cannot be read: {error.strerror}",
            hint=f"`{path}` must exist and be readable by the service; `mintwarden init` writes one",
        ) from error
    if os.name == "posix" and mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise MintwardenError(
            ErrorKind.KEYS, "the master key file is open to other users", hint=f"run `chmod 600 {path}`"
        )
    return LocalMasterKey(_decoded(text), random_bytes=random_bytes)


def from_environment(name: str, environment: Mapping[str, str], *, random_bytes: RandomBytes) -> LocalMasterKey:
    """The master key in an environment variable, spelled as in a file; raises `KEYS` when it is unset or damaged."""
    text = environment.get(name, "")
    if not text:
        raise MintwardenError(
            ErrorKind.KEYS,
            f"the environment variable `{name}` holds no master key",
            hint="`keys.master_key_env` names it",
        )
    return LocalMasterKey(_decoded(text.encode()), random_bytes=random_bytes)


def create_file(path: Path, *, random_bytes: RandomBytes) -> None:
    """Write a new master key, readable by its owner alone; raises `KEYS` when the file is already there."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise MintwardenError(ErrorKind.KEYS, f"no master key was written: {error.strerror}") from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(urlsafe_b64encode(random_bytes(KEY_SIZE)).rstrip(b"=") + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _decoded(text: bytes) -> bytes:
    trimmed = text.strip().rstrip(b"=")
    try:
        key = urlsafe_b64decode(trimmed + b"=" * (-len(trimmed) % 4))
    except (binascii.Error, ValueError) as error:
        raise _unusable("it is not base64url") from error
    if urlsafe_b64encode(key).rstrip(b"=") != trimmed:  # the decoder skips what it does not know
        raise _unusable("it is not base64url")
    return key


def _unusable(why: str) -> MintwardenError:
    return MintwardenError(
        ErrorKind.KEYS,
        f"the master key is unusable: {why}",
        hint="it must be 32 random bytes in base64url; restore it: what it sealed opens with no other",
    )
