"""FAPI 2.0: the cases of the public conformance suite's plain modules, one function each, by the module's own name.

Each runs in every variant of the plan that it is about: clients known by an assertion or by a certificate, tokens bound by
DPoP or to a certificate.
"""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from joserfc.jwk import ECKey

from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from mintwarden.app.memory import memory_of
from mintwarden.authn.shelf import Shelf
from mintwarden.authn.sign_in import SignIn
from mintwarden.issue.authorization.pushed import KIND, PREFIX, PushedRequest
from mintwarden.issue.granted import Granted
from mintwarden.issue.memory import Code
from mintwarden.model.values import EntityUid
from tests.flow import pki
from tests.flow.authorizing import BACK
from tests.flow.fapi import (
    ISSUER,
    MODULES,
    VARIANTS,
    Bank,
    Variant,
    applicable,
    asking,
    banking,
    error,
    module,
    push_object,
    refused_code,
    refused_object,
    refused_request,
    told,
    unproven,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bank(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bank]:
    async with banking(tmp_path_factory.mktemp("fapi"), request.param) as made:
        yield made


# -- the flow as it should be ------------------------------------------------------------------------------------------


@module("discovery-end-point-verification")
async def discovery(bank: Bank) -> None:
    for path in ("openid-configuration", "oauth-authorization-server"):
        found = (await bank.desk.company.http.get(f"/.well-known/{path}")).json()
        assert found["issuer"] == ISSUER
        assert found["pushed_authorization_request_endpoint"] == f"{ISSUER}/par"
        assert found["authorization_response_iss_parameter_supported"] is True
        assert found["code_challenge_methods_supported"] == ["S256"]
        assert found["response_types_supported"] == ["code"]
        assert "private_key_jwt" in found["token_endpoint_auth_methods_supported"]
        if "mtls" in bank.variant:
            assert found["tls_client_certificate_bound_access_tokens"] is True
        if bank.variant.client_auth_type == "mtls":
            assert "tls_client_auth" in found["token_endpoint_auth_methods_supported"]
        assert "PS256" in found["token_endpoint_auth_signing_alg_values_supported"]
        assert "none" not in found["token_endpoint_auth_signing_alg_values_supported"]
        assert "ES256" in found["dpop_signing_alg_values_supported"]


@module("happy-flow")
async def happy_flow(bank: Bank) -> None:
    for client in ("bank", "other"):
        asked = asking(client)
        tokens = await bank.tokens(asked)
        assert tokens["token_type"] == bank.token_type
        claims = await bank.read(tokens["access_token"])
        assert claims["cnf"] == bank.confirmation(client)
        told_ = await bank.read(tokens["id_token"])
        assert (told_["aud"], told_["nonce"]) == (client, "n-1")


@module("user-rejects-authentication")
async def user_rejects(bank: Bank) -> None:
    asked = asking("other", prompt="consent")
    page = await bank.visit("other", await bank.pushed(asked))
    answer = told(await bank.desk.allow(page, None, decision="deny"))
    assert (answer["error"], answer["state"], answer["iss"]) == ("access_denied", asked.state, ISSUER)


@module("ensure-authorization-request-without-state-success")
async def without_state(bank: Bank) -> None:
    assert "state" not in await bank.authorized(asking().without("state"))


@module("ensure-authorization-request-without-nonce-success")
async def without_nonce(bank: Bank) -> None:
    tokens = await bank.tokens(asking().without("nonce"))
    assert "nonce" not in await bank.read(tokens["id_token"])


@module("ensure-authorization-request-with-64-char-nonce-success")
async def nonce_of_64(bank: Bank) -> None:
    tokens = await bank.tokens(asking(nonce="n" * 64))
    assert (await bank.read(tokens["id_token"]))["nonce"] == "n" * 64


@module("ensure-authorization-request-with-long-nonce")
async def long_nonce(bank: Bank) -> None:
    tokens = await bank.tokens(asking(nonce="n" * 380 + "-._~"))
    assert (await bank.read(tokens["id_token"]))["nonce"] == "n" * 380 + "-._~"


@module("ensure-authorization-request-with-long-state")
async def long_state(bank: Bank) -> None:
    assert (await bank.authorized(asking(state="s" * 1000)))["state"] == "s" * 1000


@module("ensure-other-scope-order-succeeds")
async def other_scope_order(bank: Bank) -> None:
    assert "id_token" in await bank.tokens(asking(scope="payments:read openid"))


@module("par-without-duplicate-parameters")
async def only_the_name(bank: Bank) -> None:
    answer = await bank.visit("bank", await bank.pushed(asking()))
    assert "code" in told(answer)


@module("refresh-token")
async def refresh(bank: Bank) -> None:
    kept: dict[str, str] = {}
    for client in ("bank", "other"):
        kept[client] = (await bank.tokens(asking(client)))["refresh_token"]
        for _ in range(2):
            form = {"grant_type": "refresh_token", "refresh_token": kept[client], **bank.known(client)}
            again = await bank.post("/token", form, bank.held(client))
            assert again.status_code == 200, again.text
            assert again.json().get("refresh_token", kept[client]) == kept[client]
            assert again.json()["token_type"] == bank.token_type
            assert (await bank.read(again.json()["access_token"]))["cnf"] == bank.confirmation(client)
    form = {"grant_type": "refresh_token", "refresh_token": kept["bank"]}
    assert error(await bank.post("/token", form, bank.proof())) == (401, "invalid_client")
    unheld = (await bank.post("/token", form | bank.known())).status_code
    assert unheld == (400 if bank.variant.client_auth_type == "private_key_jwt" else 401)
    await refused_code(bank, await bank.post("/token", form | bank.known("other"), bank.held("other")))


# -- what a request may not be -----------------------------------------------------------------------------------------


@module("ensure-unsigned-authorization-request-without-using-par-fails")
async def not_pushed(bank: Bank) -> None:
    answer = told(await bank.desk.through(await bank.desk.request(asking())))
    assert (answer["error"], "code" in answer) == ("invalid_request", False)


@module("ensure-redirect-uri-in-authorization-request")
async def no_redirect_uri(bank: Bank) -> None:
    await refused_request(bank, asking().without("redirect_uri"))


@module("ensure-request-object-without-redirect-uri-fails")
async def object_without_redirect_uri(bank: Bank) -> None:
    sent = bank.known() | bank.object(asking().without("redirect_uri")) | {"client_id": "bank"}
    assert error(await bank.post("/par", sent, bank.shown())) == (400, "invalid_request")


@module("plain-fapi-tolerate-unregistered-redirect-uri")
async def unregistered_redirect_uri(bank: Bank) -> None:
    await refused_request(bank, asking(redirect_uri=f"{BACK}/elsewhere"))


@module("ensure-response-type-code-idtoken-fails")
async def hybrid(bank: Bank) -> None:
    await refused_request(bank, asking(response_type="code id_token"), "unsupported_response_type", "invalid_request")


@module("ensure-response-type-token-fails")
async def implicit(bank: Bank) -> None:
    await refused_request(bank, asking(response_type="token"), "unsupported_response_type", "invalid_request")


@module("par-ensure-pkce-required")
async def no_pkce(bank: Bank) -> None:
    await refused_request(bank, asking().without("code_challenge", "code_challenge_method"))


@module("par-plain-pkce-rejected")
async def plain_pkce(bank: Bank) -> None:
    await refused_request(bank, asking(code_challenge_method="plain"))


@module("par-attempt-invalid-http-method")
async def wrong_method(bank: Bank) -> None:
    http = bank.desk.company.http
    sent = asking().parameters | bank.known()
    assert (await http.put("/par", data=sent, headers=bank.shown())).status_code == 405
    assert (await http.get("/par")).status_code == 405


@module("par-authorization-request-containing-request_uri-form-param")
async def pushed_name(bank: Bank) -> None:
    known = await bank.pushed(asking())
    await refused_request(bank, asking(), request_uri=known)


@module("par-attempt-to-use-request_uri-for-different-client")
async def name_of_another(bank: Bank) -> None:
    answer = await bank.visit("other", await bank.pushed(asking()))
    assert answer.status_code == 400


@module("par-ensure-reused-request-uri-prior-to-auth-completion-succeeds")
async def name_twice_before(bank: Bank) -> None:
    asked = asking("other", prompt="consent")
    known = await bank.pushed(asked)
    for _ in range(2):
        page = await bank.visit("other", known)
        assert page.status_code == 200
    assert "code" in told(await bank.desk.allow(page))


@module("par-attempt-reuse-request_uri")
async def name_twice_after(bank: Bank) -> None:
    known = await bank.pushed(asking())
    assert "code" in told(await bank.visit("bank", known))
    again = await bank.visit("bank", known)
    assert again.status_code == 400


@module("par-attempt-to-use-expired-request_uri")
async def name_that_ended(bank: Bank) -> None:
    name = f"{PREFIX}ended"
    async with foundation(load_config(bank.desk.company.folder / "mintwarden.toml", environ={})) as base:
        shelf = Shelf(KIND, PushedRequest, states=base.store.states, seal=base.master)
        sent = {key: (value,) for key, value in asking().parameters.items()}
        await shelf.add(name, PushedRequest(client_id="bank", parameters=sent), ends=base.clock.now() - 1)
    assert (await bank.visit("bank", name)).status_code == 400


# -- what stands outside -----------------------------------------------------------------------------------------------


@module("ensure-different-nonce-inside-and-outside-request-object")
async def nonce_outside(bank: Bank) -> None:
    asked = asking()
    answer = told(await bank.visit("bank", await bank.pushed(asked), nonce="another"))
    tokens = (await bank.redeem(asked, answer["code"])).json()
    assert (await bank.read(tokens["id_token"]))["nonce"] == "n-1"


@module("ensure-different-state-inside-and-outside-request-object")
async def state_outside(bank: Bank) -> None:
    asked = asking()
    assert told(await bank.visit("bank", await bank.pushed(asked), state="another"))["state"] == asked.state


@module("state-only-outside-request-object-not-used")
async def state_only_outside(bank: Bank) -> None:
    answer = told(await bank.visit("bank", await bank.pushed(asking().without("state")), state="another"))
    assert "state" not in answer


# -- the client's assertion --------------------------------------------------------------------------------------------


@module("ensure-signed-client-assertion-with-RS256-fails", "private_key_jwt")
async def rs256(bank: Bank) -> None:
    assert (await bank.push(asking(), **bank.assertion(algorithm="PS256"))).status_code == 201
    await unproven(bank, algorithm="RS256")


@module("ensure-client-assertion-in-token-endpoint", "private_key_jwt")
async def no_assertion(bank: Bank) -> None:
    asked = asking()
    code = (await bank.authorized(asked))["code"]
    answer = await bank.redeem(asked, code, client_assertion=None, client_assertion_type=None, client_id="bank")
    assert error(answer) == (401, "invalid_client")


@module("ensure-client-assertion-with-exp-is-5-minutes-in-past-fails", "private_key_jwt")
async def outlived_assertion(bank: Bank) -> None:
    await unproven(bank, exp=int(time.time()) - 300, iat=int(time.time()) - 360)


@module("ensure-client-assertion-with-wrong-aud-fails", "private_key_jwt")
async def assertion_for_another(bank: Bank) -> None:
    await unproven(bank, aud="https://other.example.com")


@module("ensure-client-assertion-with-no-sub-fails", "private_key_jwt")
async def assertion_of_nobody(bank: Bank) -> None:
    await unproven(bank, sub=None)


@module("ensure-invalid-client-assertions-fail", "private_key_jwt")
async def other_assertions(bank: Bank) -> None:
    for wrong in ({"iss": "other"}, {"iss": None}, {"aud": None}, {"exp": None}, {"jti": None}, {"signer": "other"}):
        assert error(await bank.push(asking(), **bank.assertion(**wrong))) == (401, "invalid_client"), wrong
    once = bank.assertion()
    assert (await bank.push(asking(), **once)).status_code == 201
    assert error(await bank.push(asking(), **once)) == (401, "invalid_client")


@module("par-ensure-jwt-client-assertions-nbf-8-seconds-in-the-future-is-accepted", "private_key_jwt")
async def a_clock_ahead(bank: Bank) -> None:
    ahead = int(time.time()) + 8
    assert (await bank.push(asking(), **bank.assertion(nbf=ahead, iat=ahead))).status_code == 201


@module("par-ensure-jwt-client-assertions-nbf-over-60-seconds-in-the-future-fails", "private_key_jwt")
async def a_clock_far_ahead(bank: Bank) -> None:
    for name in ("nbf", "iat"):
        ahead: dict[str, Any] = {name: int(time.time()) + 65, "exp": int(time.time()) + 120}
        assert error(await bank.push(asking(), **bank.assertion(**ahead))) == (401, "invalid_client")


@module("par-test-array-as-audience-fails", "private_key_jwt")
async def audience_array(bank: Bank) -> None:
    for aud in ([ISSUER], [ISSUER, f"{ISSUER}/par"], [f"{ISSUER}/par"]):
        assert error(await bank.push(asking(), **bank.assertion(aud=aud))) == (401, "invalid_client")


@module("par-test-par-endpoint-url-as-audience-fails", "private_key_jwt")
async def audience_par(bank: Bank) -> None:
    await unproven(bank, aud=f"{ISSUER}/par")


@module("par-test-token-endpoint-url-as-audience-fails", "private_key_jwt")
async def audience_token(bank: Bank) -> None:
    await unproven(bank, aud=f"{ISSUER}/token")


@module("ensure-client-id-in-token-endpoint")
async def another_client_id(bank: Bank) -> None:
    asked = asking()
    code = (await bank.authorized(asked))["code"]
    answer = await bank.redeem(asked, code, client_id="other")
    assert error(answer)[0] in (400, 401)
    if bank.variant.client_auth_type == "private_key_jwt":
        assert error(await bank.redeem(asked, code, **bank.assertion("other", signer="bank"))) == (
            401,
            "invalid_client",
        )


# -- the code ----------------------------------------------------------------------------------------------------------


@module("ensure-authorization-code-is-bound-to-client")
async def code_of_another(bank: Bank) -> None:
    asked = asking()
    code = (await bank.authorized(asked))["code"]
    await refused_code(bank, await bank.redeem(asked, code, by="other"))


@module("attempt-reuse-authorization-code-after-one-second")
async def code_twice(bank: Bank) -> None:
    asked = asking()
    code = (await bank.authorized(asked))["code"]
    first = await bank.redeem(asked, code)
    await refused_code(bank, await bank.redeem(asked, code))
    form = {"grant_type": "refresh_token", "refresh_token": first.json()["refresh_token"], **bank.known()}
    await refused_code(bank, await bank.post("/token", form, bank.held()))


@module("ensure-token-endpoint-fails-with-expired-auth-code")
async def code_that_ended(bank: Bank) -> None:
    asked = asking()
    async with foundation(load_config(bank.desk.company.folder / "mintwarden.toml", environ={})) as base:
        now = base.clock.now()
        granted = Granted(
            grant_id="late", client_id="bank", scopes={"payments": ("payments:read",)}, granted_at=now, ends=now + 9999,
            sign_in=SignIn(subject=EntityUid("User", "alice"), provider="corp", authenticated_at=now, session="s"),
        )  # fmt: skip
        challenge = asked.parameters["code_challenge"]
        kept = Code(granted=granted, redirect_uri=BACK, challenge=challenge, ends=now - 1)
        await memory_of(base).codes.add("late-code", kept, ends=now - 1)
    await refused_code(bank, await bank.redeem(asked, "late-code"))


@module("ensure-pkce-code-verifier-required")
async def no_verifier(bank: Bank) -> None:
    asked = asking()
    code = (await bank.authorized(asked))["code"]
    await refused_code(bank, await bank.redeem(asked, code, code_verifier=None))


@module("incorrect-pkce-code-verifier-rejected")
async def wrong_verifier(bank: Bank) -> None:
    asked = asking()
    code = (await bank.authorized(asked))["code"]
    await refused_code(bank, await bank.redeem(asked, code, code_verifier="x" * 43))


# -- the key -----------------------------------------------------------------------------------------------------------


@module("ensure-holder-of-key-required")
async def no_key(bank: Bank) -> None:
    asked = asking()
    code = (await bank.authorized(asked))["code"]
    answer = await bank.redeem(asked, code, {})
    known = bank.variant.client_auth_type == "private_key_jwt"  # whoever is known by a certificate is nobody without
    assert error(answer) == ((400, "invalid_request") if known else (401, "invalid_client"))
    assert "access_token" not in answer.json()


@module("check-dpop-proof-nbf-exp", "dpop")
async def proof_times(bank: Bank) -> None:
    now = int(time.time())
    assert (await bank.tokens(asking(), bank.proof(nbf=now - 10, exp=now + 60)))["token_type"] == "DPoP"
    defects: tuple[dict[str, Any], ...] = ({"exp": now - 300}, {"nbf": now + 300})
    for wrong in defects:
        asked = asking()
        code = (await bank.authorized(asked))["code"]
        assert error(await bank.redeem(asked, code, bank.proof(**wrong))) == (400, "invalid_dpop_proof")


@module("ensure-dpopproof-with-iat-10seconds-before-succeeds", "dpop")
async def proof_before(bank: Bank) -> None:
    assert await bank.tokens(asking(), bank.proof(iat=int(time.time()) - 10))


@module("ensure-dpopproof-with-iat-10seconds-after-succeeds", "dpop")
async def proof_after(bank: Bank) -> None:
    assert await bank.tokens(asking(), bank.proof(iat=int(time.time()) + 10))


@module("ensure-mismatched-dpop-jkt-fails", "dpop")
async def jkt_of_another_proof(bank: Bank) -> None:
    answer = await bank.push(asking(dpop_jkt=bank.dpop["other"].thumbprint()), bank.proof("/par"))
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_dpop_proof")


@module("ensure-token-endpoint-fails-with-mismatched-dpop-proof-jkt", "dpop")
async def code_of_another_key(bank: Bank) -> None:
    asked = asking(dpop_jkt=bank.dpop["bank"].thumbprint())
    code = (await bank.authorized(asked))["code"]
    await refused_code(bank, await bank.redeem(asked, code, bank.proof(key=ECKey.generate_key("P-256"))))


@module("ensure-token-endpoint-fails-with-mismatched-dpop-jkt", "dpop")
async def code_of_another_jkt(bank: Bank) -> None:
    asked = asking(dpop_jkt=ECKey.generate_key("P-256").thumbprint())
    code = (await bank.authorized(asked))["code"]
    await refused_code(bank, await bank.redeem(asked, code))


@module("ensure-dpopproof-at-par-endpoint-binding-success", "dpop")
async def bound_when_pushed(bank: Bank) -> None:
    asked = asking()
    code = (await bank.authorized(asked, bank.proof("/par")))["code"]
    await refused_code(bank, await bank.redeem(asked, code, bank.proof(key=ECKey.generate_key("P-256"))))
    assert (await bank.redeem(asked, code)).status_code == 200


@module("ensure-dpop-auth-code-binding-success", "dpop")
async def bound_by_jkt(bank: Bank) -> None:
    asked = asking(dpop_jkt=bank.dpop["bank"].thumbprint())
    code = (await bank.authorized(asked))["code"]
    assert (await bank.redeem(asked, code)).status_code == 200


# -- message signing ---------------------------------------------------------------------------------------------------


@module("ensure-request-object-with-multiple-aud-succeeds")
async def object_for_several(bank: Bank) -> None:
    assert (await push_object(bank, aud=[ISSUER, "https://other.example.com"])).status_code == 201


@module("ensure-request-object-with-nbf-8-seconds-in-the-future-is-accepted")
async def object_ahead(bank: Bank) -> None:
    assert (await push_object(bank, nbf=int(time.time()) + 8)).status_code == 201


@module("ensure-request-object-without-exp-fails")
async def object_without_end(bank: Bank) -> None:
    await refused_object(bank, exp=None)


@module("ensure-request-object-without-nbf-fails")
async def object_without_begin(bank: Bank) -> None:
    await refused_object(bank, nbf=None)


@module("ensure-expired-request-object-fails")
async def object_that_ended(bank: Bank) -> None:
    await refused_object(bank, exp=int(time.time()) - 300)


@module("ensure-request-object-with-bad-aud-fails")
async def object_for_another(bank: Bank) -> None:
    await refused_object(bank, aud="https://other.example.com")


@module("ensure-request-object-with-exp-over-60-fails")
async def object_that_lives_too_long(bank: Bank) -> None:
    await refused_object(bank, exp=int(time.time()) + 70 * 60)


@module("ensure-request-object-with-nbf-over-60-fails")
async def object_that_is_too_old(bank: Bank) -> None:
    await refused_object(bank, nbf=int(time.time()) - 70 * 60)


@module("ensure-signed-request-object-with-RS256-fails")
async def object_with_rs256(bank: Bank) -> None:
    assert (await push_object(bank, header={"alg": "PS256", "kid": "rsa"})).status_code == 201
    await refused_object(bank, header={"alg": "RS256", "kid": "rsa"})


@module("ensure-request-object-signature-algorithm-is-not-none")
async def object_with_none(bank: Bank) -> None:
    await refused_object(bank, header={"alg": "none"})


@module("ensure-request-object-with-invalid-signature-fails")
async def object_with_a_bad_signature(bank: Bank) -> None:
    made = bank.object(asking("signing"))["request"]
    spoiled = f"{made[:-10]}{'A' * 10}"
    form = bank.known("signing") | {"client_id": "signing", "request": spoiled}
    assert error(await bank.post("/par", form, bank.shown("signing"))) == (400, "invalid_request_object")


@module("ensure-matching-key-in-authorization-request")
async def object_by_another(bank: Bank) -> None:
    await refused_object(bank, signer="other")


@module("ensure-unsigned-request-at-par-endpoint-fails")
async def no_object(bank: Bank) -> None:
    await refused_request(bank, asking("signing"))


@module("par-authorization-request-containing-request_uri")
async def object_with_a_name(bank: Bank) -> None:
    known = await bank.pushed(asking())
    await refused_object(bank, request_uri=known)


@pytest.mark.parametrize(
    ("bank", "name"),
    applicable(),
    indirect=["bank"],
    ids=lambda value: value if isinstance(value, str) else "+".join(value),
)
async def test_module(name: str, bank: Bank) -> None:
    await MODULES[name](bank)


@pytest.mark.parametrize(
    "bank", [Variant("mtls", "mtls"), Variant("private_key_jwt", "mtls")], indirect=True, ids="+".join
)
async def test_a_certificate_of_somebody_else_is_nobody_s_here(bank: Bank) -> None:
    """Another client's, a stranger's of the same name, and the right one with a proof of another key beside it."""
    asked = asking()
    code = (await bank.authorized(asked))["code"]
    stranger = pki.certificate("CN=bank,O=Example", pki.certificate("CN=Clients,O=Example", authority=True))
    forged = {"Client-Cert": f":{base64.b64encode(stranger.der).decode()}:"}
    if bank.variant.client_auth_type == "mtls":
        for headers in (bank.certificate("other"), forged):
            assert error(await bank.redeem(asked, code, headers)) == (401, "invalid_client")
            assert error(await bank.push(asking(), headers)) == (401, "invalid_client")
    tokens = (await bank.redeem(asked, code)).json()
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"], **bank.known()}
    again = await bank.post("/token", form, bank.certificate("other"))
    assert again.status_code == (401 if bank.variant.client_auth_type == "mtls" else 200)
    if again.status_code == 200:  # known by its assertion, it may take another certificate for its next tokens
        assert (await bank.read(again.json()["access_token"]))["cnf"] == bank.confirmation("other")


@pytest.mark.parametrize("bank", VARIANTS, indirect=True, ids="+".join)
async def test_a_signed_request_and_a_signed_answer(bank: Bank) -> None:
    """The happy flow with JAR and JARM, as the message signing plan has it."""
    asked = asking("signing", response_mode="jwt")
    sent = bank.known("signing") | {"client_id": "signing"} | bank.object(asked)
    pushed = await bank.post("/par", sent, bank.shown("signing"))
    assert pushed.status_code == 201, pushed.text
    answer = told(await bank.visit("signing", pushed.json()["request_uri"]))
    assert set(answer) == {"response"}
    said = await bank.read(answer["response"])
    assert (said["iss"], said["aud"], said["state"]) == (ISSUER, "signing", asked.state)
    assert (await bank.redeem(asked, said["code"])).json()["token_type"] == bank.token_type
