"""What an attested instance asks for is that instance's alone: codes, devices, and what comes of them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from joserfc import jwt
from joserfc.jwk import ECKey

from tests.flow.authorizing import Asking, Desk, client, desk, response
from tests.flow.browser import ISSUER, Form
from tests.flow.company import public
from tests.flow.test_attestation import ATTESTER, attested, proven
from tests.flow.test_device_code import GRANT as DEVICE
from tests.flow.test_device_code import decide, enter
from tests.flow.test_dpop import proof

pytestmark = pytest.mark.asyncio(loop_scope="module")

BACK = "https://wallet.example.com/back"
OWN_KEY = ECKey.generate_key("P-256")


def with_wallet(bundle: Path) -> None:
    """`wallet`; `purse`, which may ask without pushing, and `pouch`, which might also prove itself by a key of its own."""
    attester = f"[[client.attester_keys]]\n{public(ATTESTER, 'maker')}\n"
    methods = 'attest_jwt_client_auth", "attest_jwt_client_auth_dpop'
    implicit = 'consent = "implicit"'
    client(bundle, "wallet", methods, BACK, kind="native", authorization=implicit, more=attester)
    client(bundle, "purse", methods, BACK, kind="native", authorization=f"{implicit}\npushed = false", more=attester)
    keyed = f"{attester}[[client.keys]]\n{public(OWN_KEY, 'own')}\n"
    client(bundle, "pouch", f'{methods}", "private_key_jwt', BACK, kind="native", authorization=implicit, more=keyed)
    file = bundle / "clients/wallet.toml"
    file.write_text(file.read_text().replace('"refresh_token"]', '"refresh_token", "device_code"]'))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    async with desk(tmp_path_factory.mktemp("desk"), edit=with_wallet) as made:
        yield made


def shown(key: ECKey, **more: str) -> dict[str, str]:
    return attested(key) | proven(key) | more


async def pushed(at: Desk, asked: Asking, headers: dict[str, str]) -> dict[str, Any]:
    answer = await at.company.http.post("/par", data=asked.parameters, headers=headers)
    assert answer.status_code == 201, answer.text
    return {"client_id": asked.client, "request_uri": answer.json()["request_uri"]}


async def coded(at: Desk, asked: Asking, headers: dict[str, str]) -> str:
    """A code for what an instance pushed."""
    answer = await at.browser.get("/authorize", await pushed(at, asked, headers))
    return response(await at.through(answer), BACK)["code"]


async def redeem(at: Desk, asked: Asking, code: str, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
    answer = await at.redeem(asked, code, headers=headers)
    return answer.status_code, answer.json()


async def test_a_code_that_an_instance_pushed_for_is_redeemed_by_that_instance_alone(at: Desk) -> None:
    mine, other = ECKey.generate_key("P-256"), ECKey.generate_key("P-256")
    asked = Asking("wallet", BACK)
    code = await coded(at, asked, shown(mine))
    for thief in (shown(other), shown(other) | proof(mine), attested(other) | proof(other)):
        status, answer = await redeem(at, asked, code, thief)
        assert (status, answer["error"]) == (400, "invalid_grant"), thief
    status, tokens = await redeem(at, asked, code, shown(mine))
    assert status == 200, "nobody else has used it up"
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    for key, expected in ((other, 400), (mine, 200)):
        renewed = await at.company.http.post("/token", data=form, headers=shown(key))
        assert renewed.status_code == expected, renewed.text


@pytest.mark.parametrize("name", ["wallet", "pouch"])
@pytest.mark.parametrize("how", ["GET", "POST", "silent", "signed", "form_post"])
async def test_what_no_instance_pushed_gets_no_code(at: Desk, name: str, how: str) -> None:
    """The client is told at its redirect URI, before anybody signs in; nothing is handed out that PKCE alone would hold."""
    asked, browser = Asking(name, BACK), at.another()
    if how == "POST":
        answer = await browser.post("/authorize", asked.parameters)
    elif how == "signed" and name == "pouch":
        claims = {"iss": name, "aud": ISSUER, "exp": int(time.time()) + 300, **asked.parameters}
        request = jwt.encode({"alg": "ES256", "kid": "own"}, claims, OWN_KEY, algorithms=["ES256"])
        answer = await browser.get("/authorize", {"client_id": name, "request": request})
    elif how == "form_post":
        answer = await at.request(asked, browser, response_mode=how)
        assert (answer.status_code, f'action="{BACK}"' in answer.text) == (200, True)
        assert Form(answer.text).fields["error"] == "invalid_request"
        return
    else:
        answer = await at.request(asked, browser, **({"prompt": "none"} if how == "silent" else {}))
    told = response(answer, BACK)
    assert told.pop("error_description") == "this client's requests must be pushed"
    assert told == {"error": "invalid_request", "state": asked.state, "iss": ISSUER}


async def test_an_unpushed_request_goes_nowhere_but_to_the_client(at: Desk) -> None:
    for changes in (
        {"redirect_uri": "https://evil.example/back"},
        {"request_uri": "urn:ietf:params:oauth:request_uri:x"},
    ):
        answer = await at.request(Asking("wallet", BACK), None, **changes)
        assert answer.status_code == 400
        assert "location" not in answer.headers


async def test_a_client_that_is_let_ask_without_pushing_has_codes_of_any_instance(at: Desk) -> None:
    """What the bundle's owner takes on with `pushed = false`, and what still holds: pushed ones are of one instance."""
    mine, other = ECKey.generate_key("P-256"), ECKey.generate_key("P-256")
    asked = Asking("purse", BACK)
    code = response(await at.through(await at.request(asked)), BACK)["code"]
    headers = attested(other, sub="purse") | proven(other)
    assert (await redeem(at, asked, code, headers))[0] == 200
    short = await pushed(at, asked, attested(mine, sub="purse") | proven(mine))
    code = response(await at.through(await at.browser.get("/authorize", short)), BACK)["code"]
    headers = attested(other, sub="purse") | proven(other)
    assert (await redeem(at, asked, code, headers))[1]["error"] == "invalid_grant"


async def test_the_instance_is_kept_while_its_person_signs_in(at: Desk) -> None:
    """What a browser comes back to is the request of that instance still."""
    mine, other = ECKey.generate_key("P-256"), ECKey.generate_key("P-256")
    asked, browser = Asking("wallet", BACK, prompt="login"), at.another()
    short = await pushed(at, asked, shown(mine))
    page = await at.through(await browser.get("/authorize", short), browser)
    code = response(page, BACK)["code"]
    assert (await redeem(at, asked, code, shown(other)))[1]["error"] == "invalid_grant"
    assert (await redeem(at, asked, code, shown(mine)))[0] == 200


async def test_an_instance_that_proves_itself_by_dpop_may_push_and_is_held_to_both(at: Desk) -> None:
    mine, other = ECKey.generate_key("P-256"), ECKey.generate_key("P-256")
    asked = Asking("wallet", BACK)
    code = await coded(at, asked, attested(mine) | proof(mine, htu=f"{ISSUER}/par"))
    for thief in (
        attested(other) | proof(other),
        shown(other) | proof(mine),
        shown(mine),
        attested(other) | proof(mine),
    ):
        status, _ = await redeem(at, asked, code, thief)
        assert status == 400
    status, tokens = await redeem(at, asked, code, attested(mine) | proof(mine))
    assert (status, tokens["token_type"]) == (200, "DPoP")


async def test_what_does_not_prove_the_attested_key_pushes_nothing(at: Desk) -> None:
    mine, other = ECKey.generate_key("P-256"), ECKey.generate_key("P-256")
    at_par = {"htu": f"{ISSUER}/par"}
    once = shown(mine)
    assert (await at.company.http.post("/par", data=Asking("wallet", BACK).parameters, headers=once)).status_code == 201
    for headers, error in (
        (once, "invalid_client_attestation"),
        (attested(mine) | proof(other, **at_par), "invalid_client_attestation"),
        (attested(mine) | proven(other), "invalid_client_attestation"),
        (attested(mine) | proof(mine), "invalid_dpop_proof"),
        (attested(mine) | proven(mine, challenge="stale"), "use_attestation_challenge"),
    ):
        answer = await at.company.http.post("/par", data=Asking("wallet", BACK).parameters, headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (400, error)
        assert ("oauth-client-attestation-challenge" in answer.headers) is ("OAuth-Client-Attestation-PoP" in headers)


async def test_a_device_that_an_instance_began_is_asked_about_by_that_instance_alone(at: Desk) -> None:
    mine, other = ECKey.generate_key("P-256"), ECKey.generate_key("P-256")
    scope = {"scope": "openid payments:read"}
    began = (await at.company.http.post("/device_authorization", data=scope, headers=shown(mine))).json()
    await decide(at.browser, await enter(at, at.browser, began["user_code"]))
    form = {"grant_type": DEVICE, "device_code": began["device_code"]}
    for key, expected in ((other, "invalid_grant"), (mine, None)):
        answer = await at.company.http.post("/token", data=form, headers=shown(key))
        assert answer.json().get("error") == expected, answer.text


async def test_an_instance_that_proves_itself_by_dpop_does_so_for_each_endpoint(at: Desk) -> None:
    mine, other = ECKey.generate_key("P-256"), ECKey.generate_key("P-256")
    for path, form, status in (
        ("/device_authorization", {"scope": "openid payments:read"}, 200),
        ("/introspect", {"token": "t"}, 200),
        ("/revoke", {"token": "t"}, 200),
    ):
        for key, htu, expected, error in (
            (mine, f"{ISSUER}{path}", status, None),
            (mine, f"{ISSUER}/token", 400, "invalid_dpop_proof"),
            (other, f"{ISSUER}{path}", 400, "invalid_client_attestation"),
        ):
            headers = attested(mine) | proof(key, htu=htu)
            answer = await at.company.http.post(path, data=form, headers=headers)
            said = answer.json() if answer.content else {}
            assert (answer.status_code, said.get("error")) == (expected, error), path
