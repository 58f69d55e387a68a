"""Client secrets: made, kept as hashes, checked within bounds; and the memory of one-time proofs."""

from __future__ import annotations

import asyncio
import re

import pytest

from mintwarden.authn.ports import ClientSecret
from mintwarden.authn.replay import ReplayGuard, once_key
from mintwarden.authn.secrets import SecretVerifier, check_imported, generate_secret, hash_imported, hash_secret
from mintwarden.model.errors import ErrorKind, MintwardenError

PEPPER = b"p" * 32


def salt(size: int) -> bytes:
    return b"s" * size


def test_a_secret_has_256_bits_and_a_name_for_scanners():
    asked: list[int] = []

    def random_bytes(size: int) -> bytes:
        asked.append(size)
        return b"\xff" * size

    secret = generate_secret(random_bytes)
    assert asked == [32]
    assert re.fullmatch(r"mw_[A-Za-z0-9_-]{43}", secret)


def test_the_hash_depends_on_pepper_and_secret():
    assert len({hash_secret(p, s) for p in (b"a" * 32, b"b" * 32) for s in ("x", "y", "")}) == 6


def stored(scheme: str, digest: bytes, end: int | None = None) -> ClientSecret:
    return ClientSecret(client_id="c", scheme=scheme, digest=digest, created_at=0, expires_at=end)  # type: ignore[arg-type]


async def test_verify():
    verifier = SecretVerifier(pepper=PEPPER)
    kept = [
        stored("hmac-sha256", hash_secret(PEPPER, "one")),
        stored("hmac-sha256", hash_secret(PEPPER, "two"), 100),
        stored("argon2id", hash_imported("three", salt)),
        stored("argon2id", b"garbage"),
    ]
    cases = {"one": True, "two": True, "three": True, "four": False, "": False, "x" * 300: False}
    for secret, right in cases.items():
        assert await verifier.verify(secret, kept, 99, imported=True) is right
    assert not await verifier.verify("two", kept, 100, imported=True)
    assert not await verifier.verify("one", [], 0, imported=True)
    assert not await verifier.verify("one", [], 0, imported=False)
    assert not await verifier.verify("\ud800", kept, 0, imported=True)


async def test_too_many_imported_checks_are_turned_away_and_the_loop_stays_free():
    verifier = SecretVerifier(pepper=PEPPER, concurrency=1, waiting=1)
    kept = [stored("argon2id", hash_imported("right", salt))]
    answers = await asyncio.gather(
        *(verifier.verify("right", kept, 0, imported=True) for _ in range(4)),
        verifier.verify("right", [], 0, imported=True),
        return_exceptions=True,
    )
    assert answers[:2] == [True, True]
    for turned_away in answers[2:4]:
        assert isinstance(turned_away, MintwardenError)
        assert turned_away.kind is ErrorKind.OVERLOADED
    assert answers[4] is False
    assert await verifier.verify("right", kept, 0, imported=True)


def test_imported_hashes_are_argon2id_of_bearable_cost():
    check_imported(hash_imported("x", salt))
    parts = "c29tZXNhbHRzb21lc2FsdA$" + "A" * 43
    for bad in (
        b"",
        b"\xff",
        b"$2b$12$abcdefghijklmnopqrstuv",
        f"$argon2i$v=19$m=65536,t=3,p=4${parts}".encode(),
        f"$argon2id$v=19$m=2097152,t=3,p=4${parts}".encode(),
        f"$argon2id$v=19$m=65536,t=1000,p=4${parts}".encode(),
        f"$argon2id$v=19$m=65536,t=3,p=400${parts}".encode(),
    ):
        with pytest.raises(MintwardenError) as caught:
            check_imported(bad)
        assert caught.value.kind is ErrorKind.INVALID_REQUEST


def test_once_keys_keep_issuers_and_ids_apart():
    keys = {once_key(issuer, jti, 0).digest for issuer, jti in (("a", "bc"), ("ab", "c"), ("", "abc"), ("1:a", "bc"))}
    assert len(keys) == 4
    assert all(len(digest) == 16 for digest in keys)


def test_the_guard_is_bounded_and_forgets_what_has_run_out():
    guard = ReplayGuard(size=2)
    first, second, third = (once_key("c", name, 100) for name in "abc")
    assert not guard.seen(first, 0)
    for key in (first, second, third):
        guard.remember(key)
    assert [guard.seen(key, 99) for key in (first, second, third)] == [False, True, True]
    assert not guard.seen(third, 100)
