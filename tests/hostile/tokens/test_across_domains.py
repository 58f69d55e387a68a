"""Assertions and transaction tokens that would carry more across than they say, over real HTTP: each by its name.

Identity assertions: draft-ietf-oauth-identity-assertion-authz-grant sections 3, 4.4 and 9. Transaction tokens:
draft-ietf-oauth-transaction-tokens-10, section 14.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey

from tests.flow.company import ACCESS_TOKEN, CLIENT, EXCHANGE, JWT_TYPE
from tests.flow.test_across_domains import (
    DOMAIN,
    ELSEWHERE,
    GRANT,
    ID_JAG,
    ID_TOKEN,
    ISSUER,
    PARTNER,
    TXN_TOKEN,
    Domains,
    crossing,
    transaction,
)
from tests.flow.test_dpop import proof
from tests.flow.test_tokens_that_exist import aged

SERVERS = "https://api.elsewhere.example"
RULES = """
@id("api-passes-for-people") @owner("Payments") @reason("it would hide behind them")
permit (principal == Workload::"api", action == Action::"impersonate", resource in Audience::"mesh");
@id("batch-passes-for-people") @owner("Payments") @reason("it would hide behind them")
permit (principal == Workload::"batch", action == Action::"impersonate", resource in Audience::"mesh");
"""


def edit(bundle: Path) -> None:
    batch = bundle / "clients" / "batch.toml"
    batch.write_text(batch.read_text().replace('["client_credentials"]', '["token_exchange"]') + 'mesh = "*"\n')
    text = CLIENT.format(
        id="anybody", kind="service", method="none", grants='"token_exchange"', more="",
        ceilings='mesh = "*"\nelsewhere = "*"',
    )  # fmt: skip
    (bundle / "clients" / "anybody.toml").write_text(text)


@pytest.fixture
async def domains(tmp_path: Path) -> AsyncIterator[Domains]:
    async with crossing(tmp_path, rules=RULES, edit=edit) as made:
        yield made


def error(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json().get("error", "")


# -- identity assertions, taken ---------------------------------------------------------------------------------------


async def test_an_array_of_our_issuer_alone_is_an_audience_and_no_other_array(domains: Domains) -> None:
    assert (await domains.grant(domains.id_jag(aud=[ISSUER]))).status_code == 200
    others: list[Any] = [
        [],
        [ISSUER, ISSUER],
        [ISSUER, ELSEWHERE],
        [ELSEWHERE],
        ELSEWHERE,
        f"{ISSUER}/",
        f"{ISSUER}/token",
        {},
    ]
    for aud in others:
        assert error(await domains.grant(domains.id_jag(aud=aud))) == (400, "invalid_grant"), aud


@pytest.mark.parametrize("name", ["iss", "sub", "aud", "client_id", "jti", "exp", "iat"])
async def test_an_assertion_that_lacks_what_every_one_has(domains: Domains, name: str) -> None:
    assert error(await domains.grant(domains.id_jag(**{name: None}))) == (400, "invalid_grant")


async def test_an_assertion_bound_to_a_key_is_its_holders(domains: Domains) -> None:
    key, thief = ECKey.generate_key("P-256"), ECKey.generate_key("P-256")
    auth = ("web", domains.company.secrets["web"])

    async def held(headers: Any, **claims: Any) -> Any:
        form = {"grant_type": GRANT, "assertion": domains.id_jag(**claims)}
        return await domains.company.http.post("/token", data=form, auth=auth, headers=headers)

    bound = {"cnf": {"jkt": key.thumbprint()}}
    assert error(await held({}, **bound)) == (400, "invalid_grant")
    assert error(await held(proof(thief), **bound)) == (400, "invalid_grant")
    answer = await held(proof(key), **bound)
    assert answer.status_code == 200, answer.text
    assert answer.json()["token_type"] == "DPoP"
    claims = await domains.company.claims(answer.json()["access_token"])
    assert claims["cnf"] == bound["cnf"], "and what comes of it is bound to the same key"
    for cnf in ({"x5t#S256": "A" * 43}, {"jkt": key.thumbprint(), "x5t#S256": "A" * 43}, {"kid": "k"}, {}, "x"):
        assert error(await held(proof(key), cnf=cnf)) == (400, "invalid_grant"), cnf


async def test_an_assertion_leads_to_no_refresh_token(domains: Domains) -> None:
    answer = await domains.grant(domains.id_jag())
    assert answer.status_code == 200, answer.text
    assert await domains.company.claims(answer.json()["access_token"])
    assert {"refresh_token", "id_token"}.isdisjoint(answer.json())


async def test_an_assertion_counts_once(domains: Domains) -> None:
    assertion, now = domains.id_jag(), int(time.time())
    assert (await domains.grant(assertion)).status_code == 200
    assert error(await domains.grant(assertion)) == (400, "invalid_grant")
    for make in (domains.id_jag, domains.assertion):
        assert (await domains.grant(make(jti=make.__name__))).status_code == 200
        later = make(jti=make.__name__, exp=now + 90)
        assert error(await domains.grant(later)) == (400, "invalid_grant"), "another one that calls itself the same"


async def test_two_tenants_of_an_issuer_may_call_two_people_the_same(tmp_path: Path, domains: Domains) -> None:
    """Nothing of ours says which tenant counts: neither does."""
    for name in ("tenant", "aud_tenant"):
        values: list[Any] = ["acme", "", 0, ["acme"]]
        for value in values:
            said: dict[str, Any] = {name: value}
            assert error(await domains.grant(domains.id_jag(**said))) == (400, "invalid_grant"), said
    (tmp_path / "strict").mkdir()

    def one_tenant(bundle: Path) -> None:
        file = bundle / "issuers" / "partner.toml"
        conditions = "[\"has(claims.tenant) && claims.tenant == 'acme'\"]"
        file.write_text(file.read_text().replace("[[issuer.jwks]]", f"conditions = {conditions}\n[[issuer.jwks]]"))

    async with crossing(tmp_path / "strict", edit=one_tenant) as strict:
        assert (await strict.grant(strict.id_jag(tenant="acme"))).status_code == 200
        for other in ({"tenant": "globex"}, {}, {"tenant": "acme", "aud_tenant": "ours"}):
            assert error(await strict.grant(strict.id_jag(**other))) == (400, "invalid_grant"), other


async def test_a_chain_of_actors_of_another_domain_is_not_cut_short(domains: Domains) -> None:
    assert error(await domains.grant(domains.id_jag(act={"sub": "robot"}))) == (400, "invalid_grant")


async def test_what_is_announced_names_nobody_whom_we_trust(domains: Domains) -> None:
    """ID-JAG sections 7 and 9.4."""
    for path in ("oauth-authorization-server", "openid-configuration"):
        found = await domains.company.http.get(f"/.well-known/{path}")
        document = found.json()
        assert document["authorization_grant_profiles_supported"] == ["urn:ietf:params:oauth:grant-profile:id-jag"]
        assert document["identity_chaining_requested_token_types_supported"] == [ID_JAG]
        assert GRANT in document["grant_types_supported"]
        assert PARTNER not in found.text
        assert ELSEWHERE not in found.text


async def test_who_proves_nothing_takes_nobody_to_another_domain_nor_through_ours(domains: Domains) -> None:
    mine, token = await domains.id_token(), await subject(domains)
    ask = {"requested_token_type": ID_JAG, "audience": ELSEWHERE, "scope": "calendar:read"}
    assert error(await transact(domains, mine, ID_TOKEN, "anybody", **ask)) == (400, "unauthorized_client")
    assert error(await transact(domains, token, client="anybody")) == (400, "unauthorized_client")


async def test_who_does_not_say_for_which_domain(domains: Domains) -> None:
    """`audience` is required, also where there is only one that it could be."""
    mine, token = await domains.id_token(), await subject(domains)
    ask = {"requested_token_type": ID_JAG, "scope": "calendar:read"}
    others: list[dict[str, str]] = [{}, {"resource": ELSEWHERE}, {"resource": f"{SERVERS}/calendar"}]
    for more in others:
        answer = await domains.company.exchange("web", mine, ID_TOKEN, **ask, **more)
        assert error(answer) == (400, "invalid_request"), more
    ask = {"requested_token_type": TXN_TOKEN, "scope": "payment:settle"}
    assert error(await domains.company.exchange("api", token, ACCESS_TOKEN, **ask)) == (400, "invalid_request")


async def test_an_assertion_is_for_the_resources_that_the_bundle_lists_there(domains: Domains) -> None:
    """Its audience is the authorization server alone; what that guards is named by `resource`."""
    calendar, rooms = f"{SERVERS}/calendar", f"{SERVERS}/rooms"
    ask = {"requested_token_type": ID_JAG, "audience": ELSEWHERE}

    async def led(*resources: str) -> Any:
        return await domains.company.exchange("web", await domains.id_token(), ID_TOKEN, resource=[*resources], **ask)

    cases: list[tuple[tuple[str, ...], Any]] = [
        ((calendar,), calendar),
        ((calendar, rooms), [calendar, rooms]),
        ((rooms, rooms), rooms),
    ]
    for resources, said in cases:
        answer = await led(*resources)
        assert answer.status_code == 200, answer.text
        claims = await domains.read(answer.json()["access_token"], "oauth-id-jag+jwt")
        assert (claims["aud"], claims["resource"]) == (ELSEWHERE, said)
    for other in (f"{calendar}/", f"{calendar}#x", ELSEWHERE, "calendar", "https://api.example.com/payments", ISSUER):
        assert error(await led(other)) == (400, "invalid_target"), other
        assert error(await led(calendar, other)) == (400, "invalid_target"), other


# -- transaction tokens -----------------------------------------------------------------------------------------------


async def subject(domains: Domains) -> str:
    answer = await domains.grant(domains.assertion(), scope="payments:read")
    return str(answer.json()["access_token"])


async def transact(domains: Domains, token: str, kind: str = ACCESS_TOKEN, client: str = "api", **form: Any) -> Any:
    ask = {"requested_token_type": TXN_TOKEN, "audience": DOMAIN, "scope": "payment:settle"} | form
    if client in domains.company.secrets:
        return await domains.company.exchange(client, token, kind, **ask)
    sent = {"grant_type": EXCHANGE, "subject_token": token, "subject_token_type": kind, "client_id": client}
    return await domains.company.http.post("/token", data=sent | ask)


async def test_what_is_no_subject_of_a_transaction(domains: Domains) -> None:
    """Refresh tokens never; what a workload signed itself, or did not even sign, is not believed here."""
    said = json.dumps({"sub": "alice"})
    kinds = {
        "refresh_token": (await domains.tokens())["refresh_token"],
        "self_signed": domains.assertion(iss="api", sub="alice"),
        "unsigned_json": said,
    }
    for name, token in kinds.items():
        answer = await transact(domains, token, f"urn:ietf:params:oauth:token-type:{name}")
        assert error(answer) == (400, "invalid_request"), name
        for kind in (ACCESS_TOKEN, JWT_TYPE, ID_TOKEN, TXN_TOKEN):
            assert error(await transact(domains, token, kind)) == (400, "invalid_request"), (name, kind)


async def test_a_transaction_is_about_no_more_than_its_subject_may(domains: Domains) -> None:
    token = await subject(domains)
    assert error(await transact(domains, token, scope="payment:refund")) == (400, "invalid_scope")
    assert (await transact(domains, token, scope="payment:settle payment:refund")).json()["scope"] == "payment:settle"


async def test_the_token_that_came_in_is_not_in_the_one_that_goes_on(domains: Domains) -> None:
    token = await subject(domains)
    answer = await transact(domains, token)
    assert "refresh_token" not in answer.json()
    payload = base64.urlsafe_b64decode(answer.json()["access_token"].split(".")[1] + "==")
    for part in token.split(".")[1:]:
        assert part.encode() not in payload


async def test_an_outlived_transaction_token_is_not_replaced(domains: Domains) -> None:
    token = (await transaction(domains)).json()["access_token"]
    now = int(time.time())
    assert (await transact(domains, await aged(domains.company, token), TXN_TOKEN)).status_code == 200, "as it was"
    gone = await aged(domains.company, token, iat=now - 120, exp=now - 1)
    assert error(await transact(domains, gone, TXN_TOKEN)) == (400, "invalid_request")


@pytest.mark.parametrize("changed", [{"sub": "partner/bob"}, {"aud": "https://other.example"}, {"txn": "another"}])
async def test_a_replacement_is_of_the_same_transaction(domains: Domains, changed: dict[str, str]) -> None:
    """Whoever changes a claim has no signature of ours over it."""
    token = (await transaction(domains)).json()["access_token"]
    head, body, tail = token.split(".")
    said = json.loads(base64.urlsafe_b64decode(body + "==")) | changed
    forged = base64.urlsafe_b64encode(json.dumps(said).encode()).rstrip(b"=").decode()
    assert error(await transact(domains, f"{head}.{forged}.{tail}", TXN_TOKEN)) == (400, "invalid_request")
    other = await transact(domains, token, TXN_TOKEN, audience=ELSEWHERE)
    assert error(other) == (400, "invalid_target"), "nor is it for another domain"


async def test_nobody_who_asked_for_a_transaction_token_is_forgotten(domains: Domains) -> None:
    """The call chain stays whole (section 14.14), also where a rule would let each of them pass for the person."""
    first = (await transact(domains, await subject(domains))).json()["access_token"]
    claims = await domains.read(first, "txntoken+jwt")
    assert (claims["req_wl"], claims["act"]) == ("api", {"sub": "api", "sub_type": "Workload"})
    second = await transact(domains, first, TXN_TOKEN, client="batch")
    assert second.status_code == 200, second.text
    claims = await domains.read(second.json()["access_token"], "txntoken+jwt")
    assert claims["req_wl"] == "batch"
    assert claims["act"] == {
        "sub": "batch", "sub_type": "Workload", "act": {"sub": "api", "sub_type": "Workload"},
    }  # fmt: skip
