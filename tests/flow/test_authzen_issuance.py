"""A token that another issuer signs is decided here: gate and scopes in, one recorded decision out."""

from __future__ import annotations

import json

import pytest
import pytest_asyncio

from tests.flow.authzen import RECORDS, deciding
from tests.flow.company import PAYMENTS

pytestmark = pytest.mark.asyncio(loop_scope="module")

EXCHANGE = "issue:access_token:token_exchange"
OWN = "issue:access_token:client_credentials"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def point(tmp_path_factory):
    async with deciding(tmp_path_factory.mktemp("point")) as point:
        yield point


def request(*scopes, subject=("user", "alice"), gate=EXCHANGE, audience=RECORDS, **context):
    return {
        "subject": dict(zip(("type", "id"), subject, strict=True)),
        "resource": {"type": "audience", "id": audience},
        "context": {
            "client_id": "web",
            "issuance": {"capabilities": ["urn:ietf:params:authzen:token-issuance"]},
            **context,
        },
        "evaluations": [{"action": {"name": gate}}, *({"action": {"name": scope}} for scope in scopes)],
        "options": {"evaluations_semantic": "execute_all"},
    }


def batch(*scopes):
    """The draft's example of client credentials, in our names."""
    own = request(*scopes, subject=("client", "batch"), gate=OWN, audience=PAYMENTS)
    return {**own, "context": {"client_id": "batch"}}


async def test_a_denied_scope_narrows_the_token(point):
    said = await point.ask("evaluations", request("read", "write", "purge"))
    gate, *scopes = said["evaluations"]
    assert [one["decision"] for one in scopes] == [True, True, False]
    assert gate["decision"] is True
    assert gate["context"]["issuance"] == {
        "token_lifetime": 300,
        "audience": [RECORDS],
        "claims": {"department": "clerks", "environment": "production"},
    }
    assert scopes[2]["context"]["reason"] == "forbidden"
    assert said.keys() == {"evaluations"}


async def test_the_audience_to_sign_is_what_its_api_knows_itself_by_however_it_was_named(point):
    said = await point.ask("evaluations", request("read", audience="records"))
    assert said["evaluations"][0]["context"]["issuance"]["audience"] == [RECORDS]


async def test_the_decision_is_recorded_once_and_says_who_signs(point):
    before = len(await point.entries())
    said = await point.ask("evaluations", request("read", "purge"))
    entries = (await point.entries())[before:]
    (entry,) = entries
    assert entry["id"] == said["evaluations"][0]["context"]["decision_id"]
    assert (entry["signer"], entry["client"], entry["method"]) == ("operator", "web", "authzen")
    assert (entry["grant"], entry["audience"], entry["granted"]) == ("token_exchange", "records", True)
    assert [(one["scope"], one["granted"]) for one in entry["scopes"]] == [("read", True), ("purge", False)]
    assert "prepared" not in entry
    assert "alice" not in json.dumps(entry)
    ours = [one for one in await point.entries() if one["client"] == "operator"]
    assert ours, "the token for the decision point itself"
    assert all("signer" not in one and "prepared" in one for one in ours)


async def test_a_refusal_is_recorded_too(point):
    before = len(await point.entries())
    said = await point.ask("evaluations", request("purge"))
    assert [one["decision"] for one in said["evaluations"]] == [False, False]
    assert said["evaluations"][0]["context"]["reason"] == "forbidden"
    (entry,) = (await point.entries())[before:]
    assert (entry["granted"], entry["id"]) == (False, said["evaluations"][0]["context"]["decision_id"])


async def test_a_recorded_decision_of_anothers_token_is_explained_and_replayed(point):
    said = await point.ask("evaluations", request("read", "purge"))
    name = said["evaluations"][0]["context"]["decision_id"]
    token = await point.company.token(
        "operator",
        grant_type="client_credentials",
        scope="mintwarden:decisions.read",
        resource="https://tokens.example.com/admin",
    )
    told = await point.company.http.get(f"/admin/v1/decisions/{name}", headers={"authorization": f"Bearer {token}"})
    assert told.status_code == 200, told.text
    assert told.json()["replay"] == "same"
    assert told.json()["asked"]["signer"] == "operator"


async def test_the_clients_own_token_and_a_gate_alone(point):
    said = await point.ask("evaluations", batch("payments:read"))
    assert [one["decision"] for one in said["evaluations"]] == [True, True]
    assert "granted_scope" not in said["evaluations"][0]["context"]["issuance"]
    alone = batch()
    single = {
        "subject": alone["subject"],
        "action": {"name": OWN},
        "resource": alone["resource"],
    }
    said = await point.ask("evaluation", single)
    assert said["decision"] is True
    assert said["context"]["issuance"]["granted_scope"] == "payments:read"
    said = await point.ask("evaluations", alone)
    assert said["evaluations"][0]["context"]["issuance"]["granted_scope"] == "payments:read"


@pytest.mark.parametrize("kind", ["id_token", "refresh_token"])
async def test_other_kinds_of_tokens_are_denied_not_refused(point, kind):
    before = len(await point.entries())
    said = await point.ask("evaluations", request("read", gate=f"issue:{kind}:authorization_code"))
    assert [one["decision"] for one in said["evaluations"]] == [False, False]
    assert said["evaluations"][0]["context"]["reason"] == "not_decided_here"
    assert len(await point.entries()) == before


async def test_what_cannot_be_issued_is_a_denial(point):
    for asked, reason in (
        (request("read", gate="issue:access_token:saml2_bearer"), "grant_not_allowed"),
        (request("read", gate="issue:access_token"), "grant_not_allowed"),
        (request("read", gate=OWN), "grant_not_allowed"),
        ({**batch("payments:read"), "context": {"client_id": "signer"}}, "grant_not_allowed"),
        (request("read", client_id="nobody"), "unknown_client"),
        (request("read", subject=("user", "")), "unknown_subject"),
        (request("read", audience="https://elsewhere.example"), "unknown_resource"),
        (request("read", client_id="helper"), "client_ceiling"),
        (request("fly"), "unknown_scope"),
        (request(audience=PAYMENTS, client_id="api"), "no_scope"),
    ):
        said = await point.ask("evaluations", asked)
        assert said["evaluations"][0]["decision"] is False, asked
        assert said["evaluations"][0]["context"]["reason"] == reason, (asked, said)
        assert not any(one["decision"] for one in said["evaluations"])


async def test_a_token_is_for_one_subject_and_one_audience(point):
    asked = request("read")
    asked["evaluations"] += [
        {"action": {"name": "write"}, "subject": {"type": "user", "id": "bob"}},
        {"action": {"name": EXCHANGE}, "resource": {"type": "audience", "id": PAYMENTS}},
        {"action": {"name": "payments:read"}, "resource": {"type": "audience", "id": PAYMENTS}},
        {"action": {"name": "issue:refresh_token:token_exchange"}},
        {"action": {}},
    ]
    said = await point.ask("evaluations", asked)
    assert [one["decision"] for one in said["evaluations"]] == [True, True, False, False, False, False, False]
    reasons = [one.get("context", {}).get("reason") for one in said["evaluations"][2:6]]
    assert reasons == ["another_token", "another_token", "another_token", "not_decided_here"]
    assert said["evaluations"][6]["context"]["error"]["status"] == 400


async def test_a_request_of_another_shape_is_refused_as_a_whole(point):
    last = request("read")
    last["evaluations"].reverse()
    early = {**request("read"), "options": {"evaluations_semantic": "deny_on_first_deny"}}
    for asked in (last, early):
        before = len(await point.entries())
        assert (await point.post("evaluations", asked)).status_code == 400
        assert len(await point.entries()) == before


async def test_confines_are_in_the_token_they_were_decided_under(point):
    said = await point.ask("evaluations", request("read", project="record-1"))
    assert said["evaluations"][0]["context"]["issuance"]["claims"]["project"] == "record-1"
    said = await point.ask("evaluations", request("read", project="another"))
    assert said["evaluations"][0]["context"]["reason"] == "tenancy"


async def test_actions_that_a_client_would_get_tokens_by_are_found(point):
    asked = {
        "subject": {"type": "user", "id": "alice"},
        "resource": {"type": "audience", "id": RECORDS},
        "context": {"client_id": "web"},
    }
    found = [one["name"] for one in (await point.ask("search/action", asked))["results"]]
    assert found == ["delete", EXCHANGE, "purge", "read", "write"]
    first = await point.ask("search/action", {**asked, "page": {"limit": 2}})
    rest = await point.ask("search/action", {**asked, "page": {"token": first["page"]["next_token"]}})
    assert [one["name"] for one in (*first["results"], *rest["results"])][:4] == found[:4]
    nobody = {**asked, "subject": {"type": "user", "id": "mallory"}}
    assert (await point.ask("search/action", nobody))["results"] == []


STRICT = """
[audience]
id = "strict"
identifier = "https://api.example.com/strict"
profile = "fapi2"
description = "By the strictest profile"
owner = "Payments"
environments = ["production"]
max_ttl = "15m"
default_ttl = "5m"
[scopes."strict:use"]
meaning = "Use it"
tier = "low"
"""
STRICT_RULES = """
@id("strict-signer") @owner("Payments") @reason("the API uses it")
permit (principal == Workload::"signer", action == Action::"issue", resource == Scope::"strict:use");
"""
KEY = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"


def with_bound(bundle):
    """`signer` is held to FAPI 2.0, `batch` to its certificate, and an audience to FAPI 2.0."""
    (bundle / "audiences/strict.toml").write_text(STRICT)
    for name, key, ceiling in (
        ("signer", 'profile = "fapi2"', 'strict = "*"\n'),
        ("batch", "tls_client_certificate_bound_access_tokens = true", ""),
    ):
        file = bundle / "clients" / f"{name}.toml"
        text = file.read_text().replace("environments =", f"{key}\nenvironments =", 1)
        file.write_text(text.replace("[client.ceilings]\n", f"[client.ceilings]\n{ceiling}"))


def own(client, scope, audience, **context):
    asked = request(scope, subject=("client", client), gate=OWN, audience=audience)
    return {**asked, "context": {"client_id": client, **context}}


@pytest.mark.parametrize(
    ("client", "scope", "audience"),
    [
        ("signer", "payments:read", PAYMENTS),
        ("batch", "payments:read", PAYMENTS),
        ("signer", "strict:use", "https://api.example.com/strict"),
    ],
)
async def test_whoever_has_to_be_bound_at_the_token_endpoint_has_to_be_here(tmp_path, client, scope, audience):
    async with deciding(tmp_path, extend=with_bound, rules=STRICT_RULES) as point:
        before = len(await point.entries())
        said = await point.ask("evaluations", own(client, scope, audience))
        assert [one["decision"] for one in said["evaluations"]] == [False, False]
        assert said["evaluations"][0]["context"]["reason"] == "binding_required"
        assert len(await point.entries()) == before, "nothing was decided"
        single = {**own(client, scope, audience), "action": {"name": scope}}
        single.pop("evaluations")
        assert (await point.ask("evaluation", single))["context"]["reason"] == "binding_required"
        bound = await point.ask("evaluations", own(client, scope, audience, cnf={"jkt": KEY}))
        assert [one["decision"] for one in bound["evaluations"]] == [True, True]
        issuance = bound["evaluations"][0]["context"]["issuance"]
        assert issuance["claims"]["cnf"] == {"jkt": KEY}, "what it was decided under has to be in the token"


REGISTERING = """
[open_registration]
to = "anyone"
prefix = "self-"
kind = "third_party"
owner = "Payments"
environments = ["production"]
authentication = ["client_secret_basic"]
grants = ["client_credentials"]
[open_registration.ceilings]
payments = ["payments:read"]
"""
THEIRS = """
@id("strangers-read") @owner("Payments") @reason("clients that registered themselves read")
permit (principal is Workload, action == Action::"issue", resource == Scope::"payments:read")
when { context.client.kind == "third_party" };
"""


async def test_a_client_that_said_that_it_always_uses_dpop_does_so_here(tmp_path):
    """RFC 9449 section 5.2, whoever signs the token."""
    async with deciding(tmp_path, registration=REGISTERING, rules=THEIRS) as point:
        words = {"grant_types": ["client_credentials"], "token_endpoint_auth_method": "client_secret_basic"}
        made = await point.company.http.post("/register", json=words | {"dpop_bound_access_tokens": True})
        client = made.json()["client_id"]
        for cnf in ({}, {"cnf": {"x5t#S256": KEY}}):
            said = await point.ask("evaluations", own(client, "payments:read", PAYMENTS, **cnf))
            assert said["evaluations"][0]["context"]["reason"] == "binding_required", cnf
        bound = await point.ask("evaluations", own(client, "payments:read", PAYMENTS, cnf={"jkt": KEY}))
        assert [one["decision"] for one in bound["evaluations"]] == [True, True]


async def test_an_audience_that_binds_takes_no_bearer_tokens_of_others(tmp_path):
    """The client is of no profile; the audience's own demand is told as what is required."""

    def binding(bundle):
        file = bundle / "audiences/records.toml"
        file.write_text(file.read_text().replace("max_ttl", 'binding = "dpop"\nmax_ttl', 1))

    async with deciding(tmp_path, extend=binding) as point:
        said = await point.ask("evaluations", request("read"))
        assert [one["decision"] for one in said["evaluations"]] == [False, False]
        gate = said["evaluations"][0]["context"]
        assert (gate["reason"], gate["required"]) == (
            "obligation_unmet",
            [{"name": "require_binding", "value": "dpop"}],
        )
        certificate = await point.ask("evaluations", request("read", cnf={"x5t#S256": KEY}))
        assert certificate["evaluations"][0]["decision"] is False
        key = await point.ask("evaluations", request("read", cnf={"jkt": KEY}))
        assert key["evaluations"][0]["context"]["issuance"]["claims"]["cnf"] == {"jkt": KEY}
