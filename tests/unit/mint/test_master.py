from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from mintwarden.mint import master
from mintwarden.mint.master import LocalMasterKey, create_file, from_environment, from_file
from mintwarden.model.errors import ErrorKind, MintwardenError

KEY = bytes(range(32))
TEXT = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"


def make(key: bytes = KEY) -> LocalMasterKey:
    return LocalMasterKey(key, random_bytes=secrets.token_bytes)


def test_what_was_sealed_opens_again():
    sealed = make().seal(b"secret", b"context")
    assert b"secret" not in sealed
    assert make().open(sealed, b"context") == b"secret"
    assert make().seal(b"secret", b"context") != sealed


@pytest.mark.parametrize("place", range(0, 40, 3))
def test_a_flipped_bit_does_not_open(place: int):
    sealed = bytearray(make().seal(b"secret secret", b"context"))
    sealed[place % len(sealed)] ^= 1
    with pytest.raises(MintwardenError, match="does not open") as caught:
        make().open(bytes(sealed), b"context")
    assert caught.value.kind is ErrorKind.KEYS
    assert "secret" not in caught.value.public


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"\x01" + bytes(12), b"\x02" + bytes(60)])
def test_what_nobody_sealed_does_not_open(sealed: bytes):
    with pytest.raises(MintwardenError, match="does not open"):
        make().open(sealed, b"context")


def test_another_context_or_another_key_does_not_open():
    sealed = make().seal(b"secret", b"context")
    for key, context in ((make(), b"other"), (make(bytes(32)), b"context")):
        with pytest.raises(MintwardenError, match="does not open"):
            key.open(sealed, context)


def test_derived_keys_differ_by_label_and_stay_the_same():
    assert make().derive(b"a") == make().derive(b"a") != make().derive(b"b")
    assert len(make().derive(b"a")) == 32
    # Stored data depends on this value: a change of it is a change of the storage format.
    pinned = "78c1dc2901e9191e40dcf8657bacfb1bba18ccaf7e31f52bc80a22c088bca5cd"
    assert make().derive(b"client-secret").hex() == pinned


def test_a_written_file_is_read_back_and_never_overwritten(tmp_path: Path):
    path = tmp_path / "master.key"
    create_file(path, random_bytes=lambda size: KEY[:size])
    assert path.read_text() == TEXT + "\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert from_file(path, random_bytes=secrets.token_bytes).derive(b"x") == make().derive(b"x")
    with pytest.raises(MintwardenError, match="no master key was written"):
        create_file(path, random_bytes=secrets.token_bytes)
    assert path.read_text() == TEXT + "\n"


DAMAGED = {
    "empty": b"",
    "short": TEXT[:-4].encode(),
    "long": TEXT.encode() + b"AAAA",
    "not-base64": b"!" * 43,
    "hidden-garbage": TEXT[:20].encode() + b"!!" + TEXT[20:].encode(),
    "binary": KEY,
    "standard-alphabet": b"+/" * 21 + b"A",
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_a_clear_error(tmp_path: Path, content: bytes):
    path = tmp_path / "master.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(MintwardenError, match="the master key is unusable") as caught:
        from_file(path, random_bytes=secrets.token_bytes)
    assert caught.value.kind is ErrorKind.KEYS
    assert "32 random bytes in base64url" in caught.value.hint


def test_a_missing_file_is_a_clear_error(tmp_path: Path):
    with pytest.raises(MintwardenError, match="cannot be read"):
        from_file(tmp_path / "master.key", random_bytes=secrets.token_bytes)


@pytest.mark.parametrize("mode", [0o604, 0o606, 0o620, 0o644])
def test_a_file_open_to_others_is_refused(tmp_path: Path, mode: int):
    path = tmp_path / "master.key"
    path.write_text(TEXT)
    path.chmod(mode)
    with pytest.raises(MintwardenError, match="open to other users"):
        from_file(path, random_bytes=secrets.token_bytes)


def test_the_environment_serves_too():
    key = from_environment("MASTER", {"MASTER": TEXT}, random_bytes=secrets.token_bytes)
    assert key.derive(b"x") == make().derive(b"x")
    for environment in ({}, {"MASTER": ""}):
        with pytest.raises(MintwardenError, match="holds no master key"):
            from_environment("MASTER", environment, random_bytes=secrets.token_bytes)


def test_sizes_are_what_the_cipher_needs():
    assert (master.KEY_SIZE, master.NONCE_SIZE) == (32, 12)
