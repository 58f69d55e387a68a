"""Introspection (RFC 7662) and revocation (RFC 7009), over real HTTP."""

from __future__ import annotations

import asyncio
import base64
import time
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from mintwarden.app.cli import main
from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from mintwarden.app.wiring import open_service
from tests.flow.company import ACCESS_TOKEN, LEDGER, PAYMENTS, Company

OWN = {"grant_type": "client_credentials", "scope": "payments:read"}
NOTHING = {"active": False}
SIGNED = "application/token-introspection+jwt"


async def post(company: Company, path: str, client: str, **form: Any) -> httpx2.Response:
    return await company.http.post(path, data=form, auth=(client, company.secrets[client]))


async def told(company: Company, client: str, token: str) -> Any:
    answer = await post(company, "/introspect", client, token=token)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store"), answer.text
    return answer.json()


async def test_the_resource_server_learns_what_the_token_says(company: Company) -> None:
    token = await company.token("batch", **OWN)
    said = await told(company, "api", token)  # `api` serves payments
    claims = await company.claims(token)
    assert said == {"active": True, "token_type": "Bearer", **claims}
    assert (await told(company, "batch", token))["active"], "and its own client"


async def signed_answer(company: Company, client: str, token: str) -> Any:
    """What is told in a signed answer, its wrapping checked by another's library."""
    answer = await company.http.post(
        "/introspect", data={"token": token}, auth=(client, company.secrets[client]), headers={"Accept": SIGNED}
    )
    assert (answer.status_code, answer.headers["content-type"]) == (200, SIGNED), answer.text
    assert answer.headers["cache-control"] == "no-store"
    keys = KeySet.import_key_set((await company.http.get("/jwks.json")).json())
    decoded = jwt.decode(answer.text, keys, algorithms=["ES256"])
    assert decoded.header["typ"] == "token-introspection+jwt"
    assert set(decoded.claims) == {"iss", "aud", "iat", "token_introspection"}, "and no `sub` or `exp` beside it"
    assert (decoded.claims["iss"], decoded.claims["aud"]) == ("https://tokens.example.com", client)
    assert abs(decoded.claims["iat"] - time.time()) < 60
    return decoded.claims["token_introspection"]


async def test_the_answer_is_signed_where_that_is_asked_for(company: Company) -> None:
    token = await company.token("batch", **OWN)
    assert await signed_answer(company, "api", token) == await told(company, "api", token)
    assert await signed_answer(company, "web", token) == NOTHING, "and tells nobody more than the other"
    assert await signed_answer(company, "api", "nonsense") == NOTHING
    metadata = (await company.http.get("/.well-known/oauth-authorization-server")).json()
    assert metadata["introspection_signing_alg_values_supported"] == ["ES256"]


@pytest.mark.parametrize(
    "accept", ["", "*/*", "application/*", "application/json", "application/json, application/jwt", f"{SIGNED};q=0"]
)
async def test_who_does_not_ask_for_a_signature_gets_json(company: Company, accept: str) -> None:
    token = await company.token("batch", **OWN)
    auth = ("api", company.secrets["api"])
    answer = await company.http.post("/introspect", data={"token": token}, auth=auth, headers={"Accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")


async def test_errors_stay_what_they_are_where_a_signature_is_asked_for(company: Company) -> None:
    wrong = await company.http.post(
        "/introspect", data={"token": "x"}, auth=("api", "wrong"), headers={"Accept": SIGNED}
    )
    assert (wrong.status_code, wrong.json()["error"]) == (401, "invalid_client")


async def test_a_signed_answer_passed_off_as_a_token(company: Company) -> None:
    token = await company.token("batch", **OWN)
    auth = ("api", company.secrets["api"])
    answer = await company.http.post("/introspect", data={"token": token}, auth=auth, headers={"Accept": SIGNED})
    assert await told(company, "api", answer.text) == NOTHING
    refused = await company.exchange("api", answer.text, ACCESS_TOKEN, resource=LEDGER)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")
    shown = await company.http.get("/admin/v1/keys", headers={"Authorization": f"Bearer {answer.text}"})
    assert shown.status_code == 401


async def test_nobody_else_learns_anything(company: Company) -> None:
    token = await company.token("batch", **OWN)
    for shown in (token, token[:-2] + "AA", "nonsense", company.signed_in("alice", int(time.time()))):
        assert await told(company, "web", shown) == NOTHING
    person = company.signed_in("alice", int(time.time()))
    given = (await company.exchange("helper", person, scope="payments:read", resource=PAYMENTS)).json()["access_token"]
    ledger = (await company.exchange("api", given, ACCESS_TOKEN, resource=LEDGER)).json()["access_token"]
    assert (await told(company, "api", ledger))["active"], "it is its client"
    assert await told(company, "batch", ledger) == NOTHING


@pytest.mark.parametrize("path", ["/introspect", "/revoke"])
async def test_who_asks_must_prove_it_and_say_what(company: Company, path: str) -> None:
    token = await company.token("batch", **OWN)
    wrong = await company.http.post(path, data={"token": token}, auth=("api", "wrong"))
    assert (wrong.status_code, wrong.json()["error"]) == (401, "invalid_client")
    nobody = await company.http.post(path, data={"token": token})
    assert (nobody.status_code, nobody.json()["error"]) == (401, "invalid_client")
    nothing = await post(company, path, "api", token_type_hint="access_token")
    assert (nothing.status_code, nothing.json()["error"]) == (400, "invalid_request")
    twice = await company.http.post(
        path,
        content=f"token={token}&token={token}",
        headers={"content-type": "application/x-www-form-urlencoded"},
        auth=("api", company.secrets["api"]),
    )
    assert (twice.status_code, twice.json()["error"]) == (400, "invalid_request")
    assert (await company.http.get(path)).status_code == 405


async def aged(company: Company, token: str, **claims: Any) -> str:
    """A token of ours as we would have signed it at another time."""
    head, body, _ = token.split(".")
    said = msgspec.json.decode(base64.urlsafe_b64decode(body + "==")) | claims
    async with foundation(load_config(company.folder / "mintwarden.toml", environ={})) as base:
        payload = base64.urlsafe_b64encode(msgspec.json.encode(said)).rstrip(b"=")
        signature = await base.ring.signer_for("ES256").sign(head.encode() + b"." + payload)
    return f"{head}.{payload.decode()}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


async def test_an_outlived_token_is_told_as_nothing(company: Company) -> None:
    token, now = await company.token("batch", **OWN), int(time.time())
    assert (await told(company, "api", await aged(company, token)))["active"], "signed anew, it is as good as before"
    for times in ({"iat": now - 600, "exp": now - 1}, {"iat": now + 600, "exp": now + 900}, {"nbf": now + 600}):
        assert await told(company, "api", await aged(company, token, **times)) == NOTHING, times
        assert await signed_answer(company, "api", await aged(company, token, **times)) == NOTHING, times


async def test_a_revoked_token_is_good_nowhere_on_any_node(company: Company) -> None:
    person = company.signed_in("alice", int(time.time()))
    given = (await company.exchange("helper", person, scope="payments:read", resource=PAYMENTS)).json()["access_token"]
    other = await company.token("batch", **OWN)
    second = await open_service(load_config(company.folder / "mintwarden.toml", environ={}))
    try:
        transport = httpx2.ASGITransport(app=second.surface)
        async with httpx2.AsyncClient(transport=transport, base_url="http://second") as http:
            auth = ("helper", company.secrets["helper"])
            form = {"token": given, "token_type_hint": "refresh_token"}
            ended = await http.post("/revoke", data=form, auth=auth)
            assert (ended.status_code, ended.content) == (200, b"")
    finally:
        await second.close()
    assert await told(company, "api", given) == NOTHING
    refused = await company.exchange("api", given, ACCESS_TOKEN, resource=LEDGER)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")
    assert (await told(company, "api", other))["active"], "and the others are as good as before"
    again = await post(company, "/revoke", "helper", token=given)
    assert again.status_code == 200
    async with foundation(load_config(company.folder / "mintwarden.toml", environ={})) as base:
        entries = [msgspec.json.decode(one.entry) for one in await base.store.entries.by_index(0, 1000)]
    (entry,) = [one for one in entries if one["kind"] == "revocation"]
    assert entry["actor"] == {"id": "helper", "type": "Agent"}
    assert entry["detail"]["about"] == "token"


async def test_a_client_revokes_its_own_tokens_only(company: Company) -> None:
    token = await company.token("batch", **OWN)
    other = await post(company, "/revoke", "web", token=token)
    assert (other.status_code, other.json()["error"]) == (400, "unauthorized_client")
    assert (await told(company, "api", token))["active"]
    for nothing in ("nonsense", "a.b.c", token[:-2] + "AA"):
        answer = await post(company, "/revoke", "web", token=nothing)
        assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize("path", ["/introspect", "/revoke"])
async def test_an_assertion_counts_once_here_too(company: Company, path: str) -> None:
    assertion = company.assertion(int(time.time()))
    first = await company.http.post("/token", data=OWN | company.assertion(int(time.time())))
    token = first.json()["access_token"]
    sent = [await company.http.post(path, data={"token": token, **assertion}) for _ in range(2)]
    assert [answer.status_code for answer in sent] == [200, 401]
    spent = await company.http.post("/token", data=OWN | assertion)
    assert (spent.status_code, spent.json()["error"]) == (401, "invalid_client"), "and nowhere else"


async def revoke(company: Company, *words: str) -> int:
    """As an operator types it."""
    config = str(company.folder / "mintwarden.toml")
    return await asyncio.to_thread(main, ["revoke", *words, "--config", config])


async def test_an_operator_revokes_what_tokens_have_in_common(company: Company) -> None:
    person = company.signed_in("alice", int(time.time()))
    given = (await company.exchange("helper", person, scope="payments:read", resource=PAYMENTS)).json()["access_token"]
    batch = await company.token("batch", **OWN)
    assert await revoke(company, "--actor", "Agent:helper", "--reason", "the agent misbehaves") == 0
    assert await told(company, "api", given) == NOTHING
    assert (await told(company, "api", batch))["active"]
    assert await revoke(company, "--client", "batch", "--reason", "its host was taken over") == 0
    assert await told(company, "api", batch) == NOTHING
    fresh: Any = NOTHING
    ends = asyncio.get_running_loop().time() + 10
    while not fresh["active"] and asyncio.get_running_loop().time() < ends:  # until the second is over
        fresh = await told(company, "api", await company.token("batch", **OWN))
    assert fresh["active"], "what is issued later is good"


@pytest.mark.parametrize(
    ("words", "pointed_out"),
    [
        (("--client", "bacth"), "the client `bacth`"),
        (("--subject", "User:alcie"), "the subject `User:alcie`"),
        (("--client", "batch"), ""),
        (("--actor", "Agent:helper"), ""),
        (("--client", "https://app.example/client"), ""),
    ],
)
async def test_who_is_not_known_here_is_revoked_and_pointed_out(
    company: Company, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], pointed_out: str
) -> None:
    assert await revoke(company, *words, "--reason", "in a hurry") == 0
    out, err = capsys.readouterr()
    assert out.startswith("revoked: ")
    assert (pointed_out in err) if pointed_out else ("nobody here knows" not in err)


async def test_a_revoked_token_administers_nothing(company: Company) -> None:
    token = await company.token("operator", grant_type="client_credentials", scope="mintwarden:decisions.read")
    url = f"/admin/v1/decisions/{(await company.claims(token))['jti']}"
    headers = {"Authorization": f"Bearer {token}"}
    assert (await company.http.get(url, headers=headers)).status_code == 200
    assert await revoke(company, token, "--reason", "left on a screen") == 0
    refused = await company.http.get(url, headers=headers)
    assert refused.status_code == 401
    assert 'error="invalid_token"' in refused.headers["www-authenticate"]


async def test_an_operator_revokes_one_token(company: Company) -> None:
    one, other = await company.token("batch", **OWN), await company.token("batch", **OWN)
    assert await revoke(company, one, "--reason", "found in a log") == 0
    assert await told(company, "api", one) == NOTHING
    assert (await told(company, "api", other))["active"]
    decision = (await company.claims(other))["jti"]
    assert await revoke(company, decision, "--reason", "found in another") == 0
    assert await told(company, "api", other) == NOTHING


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--client", "batch"),
        ("--client", "batch", "--reason", " "),
        ("--client", "batch", "--subject", "User:alice", "--reason", "two things"),
        ("--subject", "User:alice", "--actor", "Agent:x", "--client", "batch", "--reason", "three"),
        ("--subject", "User:", "--reason", "no name"),
        ("--bundle", "latest", "--reason", "no digest"),
        ("--subject", "alice", "--reason", "no type"),
        ("--session", "a\nb", "--reason", "not printable"),
        ("nonsense", "--reason", "no token"),
        ("a.b.c", "--reason", "no token either"),
    ],
)
async def test_what_cannot_be_revoked_is_said_to_be_so(company: Company, words: tuple[str, ...]) -> None:
    assert await revoke(company, *words) == 2


async def test_a_secret_that_was_taken_away_opens_nothing(company: Company, tmp_path: Path) -> None:
    token = await company.token("batch", **OWN)
    async with foundation(load_config(company.folder / "mintwarden.toml", environ={})) as base:
        await base.store.credentials.remove_secrets("api")
    answer = await post(company, "/introspect", "api", token=token)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


async def test_both_are_announced(company: Company) -> None:
    metadata = (await company.http.get("/.well-known/oauth-authorization-server")).json()
    assert metadata["introspection_endpoint"].endswith("/introspect")
    assert metadata["revocation_endpoint"].endswith("/revoke")
    assert "none" not in metadata["introspection_endpoint_auth_methods_supported"]
