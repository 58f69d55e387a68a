"""Signed requests to have somebody asked (OpenID CIBA Core 1.0 section 7.1.1), over real HTTP."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from joserfc import jwt
from joserfc.jwk import ECKey

from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from mintwarden.authn.ports import ClientSecret
from mintwarden.authn.secrets import generate_secret, hash_secret
from tests.flow.authorizing import Desk, desk
from tests.flow.browser import ISSUER
from tests.flow.test_ciba import CLIENT
from tests.flow.test_device_code import error

pytestmark = pytest.mark.asyncio(loop_scope="module")

SIGNS = 'backchannel_authentication_request_signing_alg = "ES256"'
SECRETS = {name: generate_secret(secrets.token_bytes) for name in ("bank", "shop", "plain")}


def edit(bundle: Path) -> None:
    keys = "[[client.keys]]" + (bundle / "clients/signer.toml").read_text().partition("[[client.keys]]")[2]
    for name, more, after in (("bank", SIGNS, keys), ("shop", "", keys), ("plain", "", "")):
        text = CLIENT.format(id=name, kind="web", more=more) + after
        methods = '["client_secret_basic", "private_key_jwt"]' if after else '["client_secret_basic"]'
        (bundle / f"clients/{name}.toml").write_text(text.replace('["client_secret_basic"]', methods))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    async with desk(tmp_path_factory.mktemp("desk"), edit=edit) as made:
        async with foundation(load_config(made.company.folder / "mintwarden.toml", environ={})) as base:
            rows = [
                ClientSecret(client_id=n, scheme="hmac-sha256", digest=hash_secret(base.pepper, s), created_at=0)
                for n, s in SECRETS.items()
            ]
            await base.store.credentials.add_secrets(rows)
        yield made


def signed(here: Desk, client: str = "bank", *, typ: str = "JWT", key: Any = None, **changes: Any) -> str:
    """A signed request; None leaves a claim out. Times that are changed are seconds from now."""
    now = int(time.time())
    claims = {
        "iss": client,
        "aud": ISSUER,
        "iat": now,
        "nbf": now,
        "exp": now + 300,
        "jti": secrets.token_hex(8),
        "scope": "openid payments:read",
        "login_hint": "alice",
        "binding_message": "Order 4711",
        "requested_expiry": 120,
    } | changes
    claims |= {name: now + changes[name] for name in ("exp", "nbf", "iat") if changes.get(name) is not None}
    header = {"alg": "ES256", "kid": "signer-1", "typ": typ}
    said = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(header, said, here.company.signer if key is None else key, algorithms=["ES256"])


async def asks(here: Desk, client: str = "bank", **form: str) -> httpx2.Response:
    return await here.company.http.post("/bc-authorize", data=form, auth=(client, SECRETS[client]))


@pytest.mark.parametrize("client", ["bank", "shop"])
async def test_a_signed_request_is_taken(here: Desk, client: str) -> None:
    answer = await asks(here, client, request=signed(here, client))
    assert answer.status_code == 200, answer.text
    assert answer.json()["expires_in"] == 120, "a number, as JSON has it"


async def test_it_counts_once(here: Desk) -> None:
    text = signed(here)
    assert (await asks(here, request=text)).status_code == 200
    assert error(await asks(here, request=text)) == (400, "invalid_request")


async def test_who_signs_sends_no_others(here: Desk) -> None:
    form = {"scope": "openid payments:read", "login_hint": "alice"}
    assert error(await asks(here, **form)) == (400, "invalid_request")
    assert (await asks(here, "shop", **form)).status_code == 200, "who need not may do either"


async def test_nothing_stands_beside_it(here: Desk) -> None:
    for name, value in (("scope", "openid"), ("login_hint", "carol"), ("binding_message", "x"), ("resource", "x")):
        assert error(await asks(here, request=signed(here), **{name: value})) == (400, "invalid_request"), name
    assert (await asks(here, request=signed(here), client_id="bank")).status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        *({name: None} for name in ("iss", "aud", "exp", "nbf", "iat", "jti")),
        {"iss": "shop"},
        {"client_id": "shop"},
        {"aud": "https://other.example"},
        {"exp": -3600},
        {"exp": 7200},
        {"nbf": -7200},
        {"nbf": 3600},
        {"iat": 3600},
        {"jti": ""},
        {"sub": "bank"},
        {"request": "x.y.z"},
        {"redirect_uri": "https://bank.example/cb"},
        {"response_type": "code"},
        {"typ": "client-authentication+jwt"},
        {"typ": "dpop+jwt"},
        {"user_code": "1234"},
        {"binding_message": "one line\nanother"},
        {"login_hint": None},
        {"login_hint": None, "id_token_hint": "x.y.z"},
    ],
    ids=str,
)
async def test_what_is_no_such_request(here: Desk, changes: dict[str, Any]) -> None:
    assert error(await asks(here, request=signed(here, **changes))) == (400, "invalid_request")


async def test_another_key_or_none_signs_nothing(here: Desk) -> None:
    assert error(await asks(here, request=signed(here, key=ECKey.generate_key("P-256")))) == (400, "invalid_request")
    assert error(await asks(here, "plain", request=signed(here, "plain"))) == (400, "invalid_request")
    head, body, _ = signed(here).split(".")
    assert error(await asks(here, request=f"{head}.{body}.")) == (400, "invalid_request")
    assert error(await asks(here, request="x")) == (400, "invalid_request")


async def test_an_error_of_what_it_says_is_the_errors_own(here: Desk) -> None:
    assert error(await asks(here, request=signed(here, login_hint="nobody"))) == (400, "unknown_user_id")
    assert error(await asks(here, request=signed(here, scope="payments:read"))) == (400, "invalid_scope")
    answer = await asks(here, request=signed(here, binding_message="x" * 101))
    assert error(answer) == (400, "invalid_binding_message")


async def test_it_is_announced(here: Desk) -> None:
    metadata = (await here.company.http.get("/.well-known/openid-configuration")).json()
    assert "ES256" in metadata["backchannel_authentication_request_signing_alg_values_supported"]
    assert "none" not in metadata["backchannel_authentication_request_signing_alg_values_supported"]
