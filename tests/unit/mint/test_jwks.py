from __future__ import annotations

import hashlib
import json
import secrets

import msgspec
import pytest
from joserfc.jwk import KeySet as OtherKeySet

from mintwarden.mint.generate import ALGORITHMS, generate
from mintwarden.mint.jwks import key_set
from mintwarden.mint.master import LocalMasterKey
from tests.unit.mint.sample import NOW

MASTER = LocalMasterKey(bytes(32), random_bytes=secrets.token_bytes)
PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "k", "oth"}


def key(algorithm: str = "ES256", state="active", purpose="access_token", now: int = NOW):
    return generate(purpose=purpose, algorithm=algorithm, state=state, now=now, master=MASTER)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_public_members_only(algorithm: str):
    stored = key(algorithm)
    (published,) = json.loads(key_set([stored], max_age=60).body)["keys"]
    assert not PRIVATE & set(published)
    assert (published["kid"], published["alg"], published["use"]) == (stored.kid, algorithm, "sig")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_even_a_stored_private_member_is_not_published(algorithm: str):
    stored = key(algorithm)
    private = MASTER.open(stored.sealed, b"signing-key/" + stored.kid.encode())
    assert PRIVATE & set(json.loads(private))
    (published,) = json.loads(key_set([msgspec.structs.replace(stored, public_jwk=private)], max_age=60).body)["keys"]
    assert not PRIVATE & set(published)


def test_an_independent_library_reads_it_and_the_names_are_thumbprints():
    keys = [key(algorithm) for algorithm in ALGORITHMS]
    read = OtherKeySet.import_key_set(json.loads(key_set(keys, max_age=60).body))
    assert {k.kid for k in read.keys} == {k.kid for k in keys} == {k.thumbprint() for k in read.keys}
    assert not any(k.is_private for k in read.keys)


def test_what_is_published_and_in_which_order():
    active, following, retiring, gone = (key(state=state) for state in ("active", "next", "retiring", "gone"))
    checkpoint = key("Ed25519", purpose="checkpoint")
    body = json.loads(key_set([gone, checkpoint, retiring, following, active], max_age=60).body)
    assert [k["kid"] for k in body["keys"]] == [active.kid, following.kid, retiring.kid]


def test_headers():
    first, second = key_set([key()], max_age=3600), key_set([key()], max_age=3600)
    assert first.cache_control == "public, max-age=3600, must-revalidate"
    assert first.etag == f'"{hashlib.sha256(first.body).hexdigest()[:32]}"' != second.etag
    assert key_set([], max_age=0).body == b'{"keys":[]}'
