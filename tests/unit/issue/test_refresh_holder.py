"""Whose refresh token it is: the key, the certificate or the attested instance that it was given to (RFC 8705 section 4)."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from hashlib import sha256
from types import SimpleNamespace
from typing import Any

import pytest

from mintwarden.authn.sign_in import SignIn
from mintwarden.issue.granted import Granted, Renewal
from mintwarden.issue.grants import authorization_code, refresh_token
from mintwarden.issue.memory import NOTHING_LOOKED, Code
from mintwarden.model.caller import Binding, Caller
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.request import TokenRequest
from mintwarden.model.values import EntityUid
from tests.unit.issue.catalogue import client

NOW = 1_795_000_000_000
MINE, OTHER = (Binding(kind="mtls", thumbprint=name * 43) for name in "ab")
GRANTED = Granted(
    grant_id="g",
    client_id="app",
    sign_in=SignIn(subject=EntityUid("User", "ann"), provider="login", authenticated_at=NOW),
    scopes={},
    granted_at=NOW,
    ends=NOW + 10**9,
)
VERIFIER = "v" * 43
CHALLENGE = urlsafe_b64encode(sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


def memory(renewal: Renewal | None = None) -> Any:
    async def found(_key: str, _now: int) -> Any:
        return SimpleNamespace(value=GRANTED)

    async def code(_key: str, _now: int) -> Any:
        return SimpleNamespace(
            value=Code(granted=GRANTED, redirect_uri="", challenge=CHALLENGE, ends=NOW + 1, renewable=True)
        )

    async def recall(renewal: Renewal, _client_id: str, now: int) -> Any:
        return await found(renewal.grant_id, now), NOTHING_LOOKED

    async def live(_granted: object, _now: int, _looked: object = None, *, idle: int | None = None) -> None:
        return None

    return SimpleNamespace(
        read=lambda _token: renewal,
        grants=SimpleNamespace(get=found),
        codes=SimpleNamespace(get=code),
        recall=recall,
        require_live=live,
        use=live,
    )


def caller(method: str = "none", binding: Binding | None = None, instance: str = "") -> Caller:
    return Caller(client_id="app", method=method, binding=binding, instance=instance)


async def given(who: Caller) -> Renewal:
    """The refresh token that comes with a code."""
    form = {"code": ("c",), "code_verifier": (VERIFIER,)}
    request = TokenRequest(unverified_form=form, received_at=NOW)
    _, recalled = await authorization_code.recall(request, who, client("app"), memory(), NOW)
    assert recalled.renewal is not None
    return recalled.renewal


async def renewed(renewal: Renewal, who: Caller) -> Renewal:
    """The refresh token that comes of it."""
    request = TokenRequest(unverified_form={"refresh_token": ("r",)}, received_at=NOW)
    _, recalled = await refresh_token.recall(request, who, client("app"), memory(renewal), NOW)
    assert recalled.renewal is not None
    return recalled.renewal


@pytest.mark.parametrize(
    ("owner", "thieves"),
    [
        (caller(binding=MINE), (caller(binding=OTHER), caller())),
        (
            caller("attest_jwt_client_auth", instance="i"),
            (caller("attest_jwt_client_auth", instance="j"), caller("client_secret_basic")),
        ),
        (
            caller("attest_jwt_client_auth_dpop", Binding(kind="dpop", thumbprint="i"), "i"),
            (caller("attest_jwt_client_auth_dpop", Binding(kind="dpop", thumbprint="j"), "j"),),
        ),
    ],
    ids=["certificate", "instance", "instance by DPoP"],
)
async def test_a_refresh_token_is_good_for_whom_it_was_given_to(owner: Caller, thieves: tuple[Caller, ...]) -> None:
    renewal = await given(owner)
    again = await renewed(renewal, owner)
    for stolen in (renewal, again):
        for thief in thieves:
            with pytest.raises(MintwardenError) as caught:
                await renewed(stolen, thief)
            assert caught.value.kind is ErrorKind.INVALID_GRANT


async def test_that_of_a_client_with_a_certificate_of_its_own_survives_the_certificate() -> None:
    """Its authentication holds it; a renewed certificate must not end what a person allowed (RFC 8705 section 7.1)."""
    renewal = await given(caller("tls_client_auth", MINE))
    await renewed(renewal, caller("tls_client_auth", OTHER))
