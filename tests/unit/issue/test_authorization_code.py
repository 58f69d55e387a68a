"""A code: how long it counts, and what it begins."""

from __future__ import annotations

import hashlib
import os
from base64 import urlsafe_b64encode

import pytest

from mintwarden.authn.shelf import Shelf
from mintwarden.authn.sign_in import SignIn
from mintwarden.issue.authorization.complete import hand_out
from mintwarden.issue.authorization.request import read_request
from mintwarden.issue.granted import Granted, Recalled
from mintwarden.issue.grants import authorization_code
from mintwarden.issue.memory import Memory
from mintwarden.mint.master import LocalMasterKey
from mintwarden.model.caller import Caller
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.request import TokenRequest
from mintwarden.model.terms import Refresh
from mintwarden.model.values import EntityUid
from mintwarden.store import Store
from tests.unit.issue.catalogue import CATALOGUE, client

NOW = 1_795_000_000_000
SEAL = LocalMasterKey(bytes(32), random_bytes=os.urandom)
BACK, VERIFIER = "https://web.example/back", "v" * 50
CHALLENGE = urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
WEB = client(
    "web",
    grants=("authorization_code", "refresh_token"),
    redirect_uris=(BACK,),
    refresh=Refresh(idle=3_600, absolute=86_400),
)


async def handed_out(store: Store, memory: Memory) -> str:
    asked = {
        "response_type": "code",
        "scope": "pay:read",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    form = {name: (value,) for name, value in asked.items()}
    sign_in = SignIn(subject=EntityUid("User", "alice"), provider="up", authenticated_at=NOW, session="s")
    return await hand_out(
        read_request(form, WEB, CATALOGUE, pushed=False, signed=False, now=NOW),
        WEB,
        Granted(
            grant_id="g",
            client_id="web",
            sign_in=sign_in,
            scopes={"payments": ("pay:read",)},
            granted_at=NOW,
            ends=NOW + 86_400_000,
        ),
        memory=memory,
        used=Shelf("used", str, states=store.states, seal=SEAL),
        uses=(),
        entropy=os.urandom,
        longest=600,
        now=NOW,
    )


async def redeemed(memory: Memory, code: str, at: int) -> Recalled:
    form = {"code": (code,), "redirect_uri": (BACK,), "code_verifier": (VERIFIER,)}
    request = TokenRequest(unverified_form=form, received_at=at)
    caller = Caller(client_id="web", method="client_secret_basic")
    return (await authorization_code.recall(request, caller, WEB, memory, at))[1]


async def test_a_code_counts_for_less_than_a_minute(store: Store) -> None:
    """FAPI 2.0 Security Profile section 5.3.2.1: sixty seconds at most."""
    memory = Memory(states=store.states, seal=SEAL, revocations=store.revocations)
    code = await handed_out(store, memory)
    last = await redeemed(memory, code, NOW + 59_999)
    assert last.renewal is not None
    assert last.renewal.ends == NOW + 59_999 + 3_600_000, "nobody comes for an hour: the first refresh token has ended"
    with pytest.raises(MintwardenError) as caught:
        await redeemed(memory, code, NOW + 60_000)
    assert caught.value.kind is ErrorKind.INVALID_GRANT


async def test_it_is_used_up_by_the_commit_that_records_its_token(store: Store) -> None:
    """Whoever asks twice claims the same, so that one of them is refused (RFC 6749 section 4.1.2)."""
    memory = Memory(states=store.states, seal=SEAL, revocations=store.revocations)
    code = await handed_out(store, memory)
    (first,), (second,) = (await redeemed(memory, code, NOW + 1)).once, (await redeemed(memory, code, NOW + 9)).once
    assert first == second
    assert first.proof == "code"
