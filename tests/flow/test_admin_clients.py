"""Clients over HTTP: secrets and keys of those in the bundle, and clients that are registered within its bounds."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest
from joserfc.jwk import ECKey
from msgspec.structs import replace

from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from mintwarden.authn.certificates import thumbprint
from mintwarden.authn.ports import ClientSecret
from mintwarden.policy.bundle.load import load_bundle
from tests.flow import pki
from tests.flow.company import ADMIN, Company, running
from tests.flow.test_admin_frame import bearer, entries
from tests.flow.test_administration import problem, story
from tests.flow.test_ciba import DETAILS
from tests.flow.test_mtls import said

REGISTRATION = """
[registration]
prefix = "reg-"
kinds = ["service", "agent"]
environments = ["production"]
authentication = ["client_secret_basic", "private_key_jwt"]
owners = ["Payments", "Data"]
max_tier = "low"
[registration.ceilings]
payments = "*"
"""
RULE = """
@id("registered-read") @owner("Payments") @reason("what Payments registered reads")
permit (principal is Workload, action == Action::"issue", resource in Audience::"payments")
when { context.client.owner == "Payments" && context.client.kind == "service" };
"""
NEW = {
    "id": "reg-new",
    "name": "New",
    "kind": "service",
    "owner": "Payments",
    "environments": ["production"],
    "authentication": ["client_secret_basic"],
    "grants": ["client_credentials"],
    "ceilings": {"payments": ["payments:read"]},
}
_numbers = itertools.count(1)


def fresh() -> dict[str, str]:
    return {"idempotency-key": f"test-key-{next(_numbers):08d}"}


@pytest.fixture
async def office(tmp_path):
    async with running(tmp_path, registration=REGISTRATION, rules=RULE) as company:
        yield company


async def read(company: Company, client: str) -> httpx2.Response:
    return await company.http.get(f"/admin/v1/clients/{client}", headers=await bearer(company, "clients.read"))


async def send(company: Company, method: str, path: str, body: object = None, **headers: str) -> httpx2.Response:
    keyed = fresh() if method == "POST" and "idempotency-key" not in headers else {}
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    token = await bearer(company, "clients.write")
    content: dict[str, Any] = {} if body is None else {"json": body}
    return await company.http.request(method, f"/admin/v1{path}", headers={**token, **keyed, **more}, **content)


async def signs_in(company: Company, client: str, secret: str, **form: str) -> httpx2.Response:
    return await company.http.post("/token", data={"grant_type": "client_credentials", **form}, auth=(client, secret))


async def test_a_secret_of_a_client_in_the_bundle_is_rotated(company):
    seen = await read(company, "batch")
    assert seen.json()["managed_by"] == "bundle"
    assert "digest" not in seen.text
    made = await send(company, "POST", "/clients/batch/secrets", {"overlap_seconds": 0}, if_match=seen.headers["etag"])
    assert made.status_code == 201, made.text
    assert (await company.ask("batch", grant_type="client_credentials")).status_code == 401
    assert (await signs_in(company, "batch", made.json()["client_secret"])).status_code == 200
    again = await read(company, "batch")
    assert again.headers["etag"] == made.headers["etag"] != seen.headers["etag"]
    assert len(again.json()["secrets"]) == 1
    changes = [entry["detail"] for entry in await entries(company, "configuration")]
    assert changes == [{"client_id": "batch", "change": "client secret rotated"}]


async def test_a_secret_is_shown_once(company):
    tag = (await read(company, "batch")).headers["etag"]
    key = fresh()
    first = await send(
        company, "POST", "/clients/batch/secrets", {}, if_match=tag, **{"idempotency-key": key["idempotency-key"]}
    )
    assert first.status_code == 201
    again = await send(
        company, "POST", "/clients/batch/secrets", {}, if_match=tag, **{"idempotency-key": key["idempotency-key"]}
    )
    assert (again.status_code, problem(again)) == (409, "already_made")
    assert "mw_" not in again.text
    for file in company.folder.glob("mintwarden.db*"):
        assert first.json()["client_secret"].encode() not in file.read_bytes()


async def test_of_two_that_rotate_at_once_one_is_outrun(company):
    tag = (await read(company, "batch")).headers["etag"]
    answers = await asyncio.gather(
        *(send(company, "POST", "/clients/batch/secrets", {}, if_match=tag) for _ in range(4))
    )
    assert sorted(answer.status_code for answer in answers) == [201, 412, 412, 412]
    assert len((await read(company, "batch")).json()["secrets"]) == 2


async def test_nobody_becomes_a_client_that_may_administer_more_than_they_may(company):
    """An operator who may change clients gives a client that reads about people credentials, and is that client."""
    jwk = {**ECKey.generate_key("P-256").as_dict(private=False), "kid": "mine", "alg": "ES256", "use": "sig"}
    for method, path, body in (
        ("POST", "/clients/operator/secrets", {"overlap_seconds": 86400}),
        ("PUT", "/clients/operator/keys", {"keys": [jwk]}),
    ):
        refused = await send(company, method, path, body, if_match="*")
        assert (refused.status_code, problem(refused)) == (403, "insufficient_scope")
        assert "mintwarden:facts.write" in refused.headers["www-authenticate"]
        assert "`mintwarden clients secret` where the service runs" in refused.json()["hint"]
    assert await entries(company, "configuration") == []
    everything = await company.token(
        "operator", grant_type="client_credentials", scope=every_scope(company), resource=ADMIN
    )
    headers = {"authorization": f"Bearer {everything}", "if-match": "*", **fresh()}
    made = await company.http.post("/admin/v1/clients/operator/secrets", json={}, headers=headers)
    assert made.status_code == 201, made.text


def every_scope(company: Company) -> str:
    catalogue = load_bundle(company.folder / "bundle").catalogue
    return " ".join(catalogue.audiences["mintwarden"].scopes)


async def test_what_is_changed_must_be_named(company):
    for value, status, name in (
        (None, 428, "precondition_required"),
        ('"bundle-9"', 412, "precondition_failed"),
        ('W/"bundle-0"', 412, "precondition_failed"),
        ("bundle-0", 400, "invalid_request"),
    ):
        answer = await send(company, "POST", "/clients/batch/secrets", {}, **({"if-match": value} if value else {}))
        assert (answer.status_code, problem(answer)) == (status, name)
    assert await entries(company, "configuration") == []


async def test_keys_of_a_client_in_the_bundle_are_replaced(company):
    new = ECKey.generate_key("P-256")
    jwk = {**new.as_dict(private=False), "kid": "signer-2", "alg": "ES256", "use": "sig"}
    private = {**new.as_dict(private=True), "kid": "signer-2"}
    for bad in ([private], [{"kty": "EC"}], [jwk, jwk], [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]):
        refused = await send(company, "PUT", "/clients/signer/keys", {"keys": bad}, if_match="*")
        assert (refused.status_code, problem(refused)) == (400, "invalid_request"), bad
    done = await send(company, "PUT", "/clients/signer/keys", {"keys": [jwk]}, if_match="*")
    assert done.status_code == 200, done.text
    form = {"grant_type": "client_credentials"}
    old = await company.http.post("/token", data={**form, **company.assertion(int(time.time()))})
    assert old.status_code == 401
    assertion = replace(company, signer=new).assertion(int(time.time()), kid="signer-2")
    assert (await company.http.post("/token", data={**form, **assertion})).status_code == 200


async def test_what_the_bundle_says_stays_with_the_bundle(company):
    changed = await send(company, "PATCH", "/clients/batch", {"owner": "Mallory"}, if_match="*")
    assert (changed.status_code, problem(changed)) == (409, "managed_by_bundle")
    retired = await send(company, "POST", "/clients/batch/retirement", if_match="*")
    assert (retired.status_code, problem(retired)) == (409, "managed_by_bundle")
    registered = await send(company, "POST", "/clients", {**NEW, "id": "batch"})
    assert (registered.status_code, problem(registered)) == (409, "conflict")


async def test_where_the_bundle_says_nothing_nobody_registers(company):
    answer = await send(company, "POST", "/clients", NEW)
    assert (answer.status_code, problem(answer)) == (400, "invalid_request")
    assert "lets nobody" in answer.json()["detail"]


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "batch"},
        {"owner": "Mallory"},
        {"environments": ["staging"]},
        {"grants": ["token_exchange"]},
        {"authentication": ["client_secret_post"]},
        {"authentication": ["private_key_jwt"]},
        {"ceilings": {"ledger": ["ledger:read"]}},
        {"ceilings": {"payments": ["payments:write"]}},
        {"ceilings": {"mintwarden": ["mintwarden:keys.manage"]}},
        {"ceilings": {}},
        {"id": "new"},
        {"id": "reg-"},
        {"id": "reg-a/b"},
        {"id": "reg-a b"},
        {"serves": ["payments"]},
        {"principal": "User"},
    ],
    ids=str,
)
async def test_beyond_the_bounds_nothing_is_registered(office, change):
    answer = await send(office, "POST", "/clients", {**NEW, **change})
    assert answer.status_code == 400, answer.text
    assert (await read(office, "reg-new")).status_code == 404


async def test_clients_of_the_bundle_and_registered_ones_come_on_one_list_page_by_page(office):
    token = await bearer(office, "clients.read")

    async def pages(limit: int) -> list[list[str]]:
        found: list[list[str]] = []
        cursor: dict[str, str] = {}
        while not found or cursor["cursor"]:
            answer = await office.http.get("/admin/v1/clients", params={"limit": limit, **cursor}, headers=token)
            found.append([one["id"] for one in answer.json()["clients"]])
            cursor = {"cursor": answer.json()["cursor"]}
        return found

    (bundled,) = await pages(200)
    made = [f"reg-{number}" for number in (3, 1, 2)]
    for name in made:
        assert (await send(office, "POST", "/clients", {**NEW, "id": name})).status_code == 201
    await send(office, "POST", "/clients/reg-2/retirement", if_match="*")
    for limit in (1, 2, 5, 200):
        found = await pages(limit)
        assert [name for page in found for name in page] == sorted([*bundled, *made])
        assert [len(page) for page in found[:-1]] == [limit] * (len(found) - 1), "every page but the last is full"
    assert any(name > "reg-3" for name in bundled), "they come in between"


async def test_clients_are_registered_by_their_certificates(tmp_path):
    methods = '["client_secret_basic", "tls_client_auth", "self_signed_tls_client_auth"]'
    bounds = REGISTRATION.replace('["client_secret_basic", "private_key_jwt"]', methods)
    ca = pki.certificate("CN=Clients", authority=True)
    (tmp_path / "ca.pem").write_bytes(ca.pem)
    server = 'proxies = ["127.0.0.1/32"]\nclient_ca = "ca.pem"\nclient_certificate_header = "Client-Cert"'
    own, issued = pki.certificate("CN=own"), pki.certificate("CN=new,O=Example", ca)
    key = ECKey.import_key(own.key_pem).as_dict(private=False)
    name = {"kind": "subject_dn", "value": "CN=new,O=Example"}
    by_name = {**NEW, "authentication": ["tls_client_auth"], "certificate": name}
    by_key = {**NEW, "id": "reg-own", "authentication": ["self_signed_tls_client_auth"], "keys": [key]}
    async with running(tmp_path, server=server, registration=bounds, rules=RULE) as company:
        for wrong in (
            {"certificate": None},
            {"certificate": {"kind": "subject_dn", "value": "CN=new, O=Example"}},
            {"certificate": {"kind": "san_dns", "value": "*.example.com"}},
            {"authentication": ["client_secret_basic"]},
            {"authentication": ["self_signed_tls_client_auth"]},
            {"authentication": ["tls_client_auth", "self_signed_tls_client_auth"], "keys": [key]},
        ):
            refused = await send(company, "POST", "/clients", by_name | wrong)
            assert refused.status_code == 400, wrong
        for body, pair in ((by_name | {"certificate_bound": True}, issued), (by_key, own)):
            made = await send(company, "POST", "/clients", body)
            assert made.status_code == 201, made.text
            form = {"grant_type": "client_credentials", "client_id": body["id"]}
            assert (await company.http.post("/token", data=form)).status_code == 401
            answer = await company.http.post("/token", data=form, headers=said(pair))
            assert answer.status_code == 200, answer.text
            cnf = (await company.claims(answer.json()["access_token"]))["cnf"]
            assert cnf == {"x5t#S256": thumbprint(pair.der)}
        told = (await read(company, "reg-new")).json()
        assert (told["certificate"], told["certificate_bound"]) == (name, True)


async def test_a_registered_client_gets_tokens_by_the_rules_and_its_decisions_replay(office):
    made = await send(office, "POST", "/clients", NEW)
    assert made.status_code == 201, made.text
    answer = await signs_in(office, "reg-new", made.json()["client_secret"], scope="payments:read")
    assert answer.status_code == 200, answer.text
    claims = await office.claims(answer.json()["access_token"])
    assert (claims["client_id"], claims["scope"]) == ("reg-new", "payments:read")
    told = await story(office, claims["jti"])
    assert (told["replay"], told["scopes"][0]["route"]) == ("same", "registered-read")
    beyond = await signs_in(office, "reg-new", made.json()["client_secret"], scope="payments:write")
    assert beyond.status_code == 400


async def test_a_registered_client_has_the_authorization_details_that_the_bundle_lets_it_have(tmp_path):
    """RFC 9396: it names types within `[registration]`, and asks for those and no others."""

    def with_details(bundle: Path) -> None:
        payments = bundle / "audiences/payments.toml"
        payments.write_text(payments.read_text() + DETAILS + DETAILS.replace("transfer", "refund"))

    bounds = REGISTRATION.replace("[registration.ceilings]", 'details = ["transfer"]\n[registration.ceilings]')
    rule = """
@id("registered-transfers") @owner("Payments") @reason("small amounts")
permit (principal is Workload, action == Action::"issue", resource == Detail::"transfer")
when { context.detail.amount.lessThanOrEqual(decimal("100.00")) };
@id("refunds") @owner("Payments") @reason("whoever may have them at all")
permit (principal, action == Action::"issue", resource == Detail::"refund");
"""
    async with running(tmp_path, registration=bounds, rules=RULE + rule, edit=with_details) as company:
        for beyond in (["refund"], ["transfer", "nothing"]):
            refused = await send(company, "POST", "/clients", {**NEW, "details": beyond})
            assert (refused.status_code, problem(refused)) == (400, "invalid_request")
        made = await send(company, "POST", "/clients", {**NEW, "details": ["transfer"]})
        assert (made.status_code, made.json()["client"]["details"]) == (201, ["transfer"])
        secret, wanted = made.json()["client_secret"], [{"type": "transfer", "amount": "12.50"}]
        granted = await signs_in(company, "reg-new", secret, authorization_details=json.dumps(wanted))
        assert granted.status_code == 200, granted.text
        assert granted.json()["authorization_details"] == wanted
        for other in ({"type": "refund", "amount": "1.00"}, {"type": "transfer", "amount": "100.01"}):
            answer = await signs_in(company, "reg-new", secret, authorization_details=json.dumps([other]))
            assert answer.status_code == 400, other


async def test_another_owner_shapes_the_next_decision(office):
    made = await send(office, "POST", "/clients", NEW)
    secret = made.json()["client_secret"]
    nobody = await send(office, "PATCH", "/clients/reg-new", {"owner": "Mallory"}, if_match=made.headers["etag"])
    assert nobody.status_code == 400
    changed = await send(office, "PATCH", "/clients/reg-new", {"owner": "Data"}, if_match=made.headers["etag"])
    assert (changed.status_code, changed.json()["owner"]) == (200, "Data")
    assert (await signs_in(office, "reg-new", secret, scope="payments:read")).status_code == 400
    outrun = await send(office, "PATCH", "/clients/reg-new", {"owner": "Payments"}, if_match=made.headers["etag"])
    assert (outrun.status_code, problem(outrun)) == (412, "precondition_failed")


async def test_a_retired_client_is_refused_at_once_and_its_id_stays_taken(office):
    made = await send(office, "POST", "/clients", NEW)
    secret = made.json()["client_secret"]
    assert (await signs_in(office, "reg-new", secret)).status_code == 200
    retired = await send(office, "POST", "/clients/reg-new/retirement", if_match=made.headers["etag"])
    assert retired.status_code == 200, retired.text
    assert retired.json()["retired_at"]
    assert (await signs_in(office, "reg-new", secret)).status_code == 401
    again = await send(office, "POST", "/clients", NEW)
    assert (again.status_code, problem(again)) == (409, "conflict")
    rotated = await send(office, "POST", "/clients/reg-new/secrets", {}, if_match="*")
    assert (rotated.status_code, problem(rotated)) == (409, "conflict")
    assert len(await entries(office, "revocation")) == 1


async def test_secrets_of_a_client_that_is_gone_open_no_other_of_its_id(office):
    """One that the bundle once had under the id, and one that was retired before the bundle takes the id."""
    async with foundation(load_config(office.folder / "mintwarden.toml", environ={})) as base:
        old = ClientSecret(client_id="reg-new", scheme="hmac-sha256", digest=b"d" * 32, created_at=1)
        await base.store.credentials.add_secrets([old])
        refused = await send(office, "POST", "/clients", NEW)
        assert (refused.status_code, problem(refused)) == (409, "conflict")
        await base.store.credentials.add_secrets([replace(old, expires_at=2)])
        made = await send(office, "POST", "/clients", NEW)
        assert made.status_code == 201, made.text
        await send(office, "POST", "/clients/reg-new/retirement", if_match=made.headers["etag"])
        kept = await base.store.credentials.credentials()
        assert "reg-new" not in kept.secrets
        assert kept.clients["reg-new"].keys is None


async def test_clients_are_listed_page_by_page(office):
    await send(office, "POST", "/clients", NEW)
    headers = await bearer(office, "clients.read")
    found, cursor = [], ""
    while True:
        params = {"limit": "3", **({"cursor": cursor} if cursor else {})}
        page = (await office.http.get("/admin/v1/clients", params=params, headers=headers)).json()
        found += [(one["id"], one["managed_by"]) for one in page["clients"]]
        cursor = page["cursor"]
        if not cursor:
            break
    assert found == sorted(found)
    assert dict(found)["reg-new"] == "registration"
    assert len(found) == 7
