"""Names that are nowhere, or none of the client's: on each way refused as ever, and written down as any refusal is.

INVARIANT: every grant of `issue.grants` has its case in `CASES`; a new one without fails here.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import httpx2
import msgspec
import pytest
import pytest_asyncio
from msgspec import Struct

from mintwarden.app.cli import main
from mintwarden.issue.grants import GRANTS, ciba, device_code
from mintwarden.issue.unresolved import ANYWHERE, MARK
from tests.flow import test_across_domains
from tests.flow.authorizing import BACK
from tests.flow.company import ACCESS_TOKEN, EXCHANGE, JWT_TYPE, LEDGER, PAYMENTS
from tests.hostile.tokens import kinds
from tests.hostile.tokens.kinds import JWT_BEARER, KINDS, World, asking, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

TYPO = "payments:admin-typo"
ELSEWHERE = "https://api.example.com/nowhere"
UNKNOWN = {TYPO: "unknown_scope"}
REQUEST = asking(scope="openid offline_access payments:read")
WRONG_SCOPE = "a requested scope does not exist at an audience of this client"
WRONG_AUDIENCE = "the requested audience is unknown or not permitted for this client"
NOT_GRANTED = "the audience is not one of those granted"
SHAPE = frozenset(
    "v kind id at bundle evaluator mode issuer grant client method subject audience environment granted facts".split()
)
"""What the entry of each has, whatever was wrong; which of these the others have as well is held by `test_every_grant`."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("nowhere")) as made:
        yield made


class Case(Struct, frozen=True, kw_only=True):
    """A request that names something wrong; the value of `...` is what was prepared.

    Attributes:
        told: `error` and `error_description`.
        audience: what the entry says of it.
        scopes, details: each with the reason.
    """

    grant: str
    form: Mapping[str, Any]
    told: tuple[str, str]
    audience: str
    scopes: Mapping[str, str] = {}
    details: Mapping[str, str] = {}
    prepare: Callable[[World], Awaitable[str]] | None = None
    path: str = "/token"


def own(**form: str) -> dict[str, str]:
    return {"grant_type": "client_credentials"} | form


def refresh(**form: str) -> dict[str, Any]:
    return {"grant_type": "refresh_token", "refresh_token": ..., "resource": PAYMENTS} | form


def exchange(**form: str) -> dict[str, Any]:
    return {"grant_type": EXCHANGE, "subject_token": ..., "subject_token_type": JWT_TYPE} | form


async def renewable(at: World) -> str:
    return await redeemed(at, "refresh_token")


async def redeemed(at: World, name: str) -> str:
    form = {"grant_type": "authorization_code", "code": await at.code(REQUEST), "redirect_uri": BACK}
    return await at.made(name, code_verifier=REQUEST.verifier, resource=PAYMENTS, **form)


async def of_a_person(at: World) -> str:
    assertion = await KINDS["assertion of a partner"](at)
    return await at.made(grant_type=JWT_BEARER, assertion=assertion, scope="payments:read")


async def id_token(at: World) -> str:
    return await redeemed(at, "id_token")


CODE = {"grant_type": "authorization_code", "code": ..., "redirect_uri": BACK, "code_verifier": REQUEST.verifier}
SCOPE, TARGET = ("invalid_scope", WRONG_SCOPE), ("invalid_target", WRONG_AUDIENCE)
KIND = ("invalid_authorization_details", "there is no such type of authorization detail at an audience of this client")
SEVERAL = ("invalid_target", "a token is for exactly one audience")
DETAIL = json.dumps([{"type": "no-such-type", "secret": "s3cret"}])
CASES = {
    "a scope": Case(
        grant="client_credentials", form=own(scope=TYPO), told=SCOPE, audience=ANYWHERE, scopes=UNKNOWN),
    "a scope at an audience": Case(
        grant="client_credentials", form=own(scope=TYPO, resource=PAYMENTS), told=SCOPE, audience="payments",
        scopes=UNKNOWN),
    "a scope beside one that there is": Case(
        grant="client_credentials", form=own(scope=f"payments:read {TYPO}"), told=SCOPE, audience="payments",
        scopes=UNKNOWN),
    "a scope of another audience beside one of this": Case(
        grant="client_credentials", form=own(scope="payments:read ledger:read"), told=SEVERAL, audience="ledger",
        scopes={"payments:read": "unknown_scope"}),
    "an audience": Case(
        grant="client_credentials", form=own(scope=TYPO, audience="nowhere"), told=TARGET, audience="nowhere",
        scopes=UNKNOWN),
    "a resource": Case(
        grant="client_credentials", form=own(resource=ELSEWHERE), told=TARGET, audience=ELSEWHERE),
    "a resource that is called as an audience is": Case(
        grant="client_credentials", form=own(resource="payments", scope="payments:read"), told=TARGET,
        audience=MARK + "3zhK6Xx3rTABYmqrAfLrKq0XZEgQkWXfHWTFe3CRzRw",
        scopes={"payments:read": "unknown_scope"}),
    "a type of detail": Case(
        grant="client_credentials", form=own(authorization_details=DETAIL, resource=PAYMENTS), told=KIND,
        audience="payments", details={"no-such-type": "unknown_detail"}),
    "a code": Case(
        grant="authorization_code", prepare=lambda at: at.code(REQUEST), form=CODE | {"resource": ELSEWHERE},
        told=("invalid_target", NOT_GRANTED), audience=ELSEWHERE),
    "a code, another audience": Case(
        grant="authorization_code", prepare=lambda at: at.code(REQUEST), form=CODE | {"resource": LEDGER},
        told=("invalid_target", NOT_GRANTED), audience="ledger"),
    "a refresh": Case(
        grant="refresh_token", prepare=renewable, form=refresh(scope=TYPO), audience="payments", scopes=UNKNOWN,
        told=("invalid_scope", "a requested scope was not granted")),
    "a refresh at a resource that is called as an audience is": Case(
        grant="refresh_token", prepare=renewable, form=refresh(resource="payments", scope="payments:read"),
        audience=MARK + "3zhK6Xx3rTABYmqrAfLrKq0XZEgQkWXfHWTFe3CRzRw", scopes={"payments:read": "unknown_scope"},
        told=("invalid_target", NOT_GRANTED)),
    "a refresh beyond what was granted": Case(
        grant="refresh_token", prepare=renewable, form=refresh(scope="payments:read payments:write"),
        told=("invalid_scope", "a requested scope was not granted"), audience="payments",
        scopes={"payments:write": "wider_than_parent"}),
    "a device": Case(
        grant="device_code", prepare=kinds.device_code,
        form={"grant_type": device_code.GRANT_TYPE, "device_code": ..., "audience": "nowhere"},
        told=("invalid_target", NOT_GRANTED), audience="nowhere"),
    "an answer": Case(
        grant="ciba", prepare=kinds.auth_req_id,
        form={"grant_type": ciba.GRANT_TYPE, "auth_req_id": ..., "resource": ELSEWHERE},
        told=("invalid_target", NOT_GRANTED), audience=ELSEWHERE),
    "an exchange": Case(
        grant="token_exchange", prepare=KINDS["ID token of a trusted issuer"], form=exchange(scope=TYPO), told=SCOPE,
        audience=ANYWHERE, scopes=UNKNOWN),
    "an exchange of a token of ours": Case(
        grant="token_exchange", prepare=of_a_person, form=exchange(scope=TYPO, resource=PAYMENTS), told=SCOPE,
        audience="payments", scopes=UNKNOWN),
    "an exchange for another domain": Case(
        grant="token_exchange", prepare=id_token,
        form={"grant_type": EXCHANGE, "subject_token": ..., "subject_token_type": kinds.ID_TOKEN,
              "requested_token_type": kinds.ID_JAG, "audience": test_across_domains.ELSEWHERE, "scope": TYPO},
        told=SCOPE, audience="elsewhere", scopes=UNKNOWN),
    "an exchange for another domain, its resource": Case(
        grant="token_exchange", prepare=id_token,
        form={"grant_type": EXCHANGE, "subject_token": ..., "subject_token_type": kinds.ID_TOKEN,
              "requested_token_type": kinds.ID_JAG, "audience": test_across_domains.ELSEWHERE, "resource": ELSEWHERE},
        told=TARGET, audience=ELSEWHERE),
    "an exchange for a transaction": Case(
        grant="token_exchange", prepare=of_a_person,
        form={"grant_type": EXCHANGE, "subject_token": ..., "subject_token_type": ACCESS_TOKEN,
              "requested_token_type": kinds.TXN_TOKEN, "audience": test_across_domains.DOMAIN, "scope": TYPO},
        told=SCOPE, audience="mesh", scopes=UNKNOWN),
    "an assertion": Case(
        grant="jwt_bearer", prepare=KINDS["assertion of a partner"],
        form={"grant_type": JWT_BEARER, "assertion": ..., "scope": TYPO}, told=SCOPE, audience=ANYWHERE, scopes=UNKNOWN),
    "a pushed request": Case(
        grant="authorization_code", path="/par",
        form={"response_type": "code", "redirect_uri": BACK, "code_challenge": "c" * 43, "scope": f"openid {TYPO}",
              "code_challenge_method": "S256"},
        told=SCOPE, audience=ANYWHERE, scopes=UNKNOWN),
    "a device begins": Case(
        grant="device_code", path="/device_authorization", form={"scope": f"openid {TYPO}"}, told=SCOPE, audience=ANYWHERE,
        scopes=UNKNOWN),
    "a question": Case(
        grant="ciba", path="/bc-authorize", form={"scope": f"openid {TYPO}", "login_hint": "corp/alice"}, told=SCOPE,
        audience=ANYWHERE, scopes=UNKNOWN),
}  # fmt: skip


async def fresh(at: World) -> list[dict[str, Any]]:
    """The decisions that were written down since the last time, and are none of a grant that was prepared."""
    store = at.base.store
    while await store.tree.sequence(1_000):
        pass
    start = getattr(at, "seen", 0)
    found = await store.entries.by_index(start, 10_000)
    at.seen = start + len(found)  # type: ignore[attr-defined]
    return [entry for one in found if (entry := msgspec.json.decode(one.entry))["kind"] == "decision"]


async def asked(at: World, case: Case) -> tuple[httpx2.Response, list[dict[str, Any]]]:
    prepared = await case.prepare(at) if case.prepare is not None else ""
    await fresh(at)
    form = {name: prepared if value is ... else value for name, value in case.form.items()}
    answer = await at.http.post(case.path, data=at.assertion() | form)
    return answer, await fresh(at)


def told(answers: list[dict[str, Any]]) -> dict[str, str]:
    assert not any(one["granted"] for one in answers)
    return {one["scope"]: one["reason"] for one in answers}


async def test_every_grant_has_its_case() -> None:
    cases = {case.grant for case in CASES.values() if case.path == "/token"}
    assert [grant.name for grant in GRANTS if grant.name not in cases] == []


@pytest.mark.parametrize("name", CASES)
async def test_a_name_that_does_not_resolve_is_a_recorded_refusal(name: str, here: World) -> None:
    case = CASES[name]
    answer, entries = await asked(here, case)
    assert answer.status_code == 400
    assert answer.json() == {"error": case.told[0], "error_description": case.told[1]}, "as it always was on the wire"
    (entry,) = entries
    assert entry.keys() >= SHAPE
    assert (entry["grant"], entry["client"], entry["granted"]) == (case.grant, "app", False)
    assert entry["audience"] == case.audience
    assert told(entry.get("scopes", [])) == case.scopes
    assert told(entry.get("details", [])) == case.details
    assert b"s3cret" not in msgspec.json.encode(entry)


async def refused(at: World, **form: Any) -> tuple[httpx2.Response, dict[str, Any]]:
    await fresh(at)
    answer = await at.token(**own(**form))
    (entry,) = await fresh(at)
    return answer, entry


HOSTILE = (
    "<script>alert(1)</script>",
    "x" * 65,
    "eyJhbGciOiJFUzI1NiJ9." + "A" * 200 + "." + "B" * 86,
    "alice@example.com",
    f"{MARK}AAAA",
    "*",
    "~",
    "a,b",
    "mw_" + "Aa1-" * 10 + "abc",  # a client secret of ours, put into the wrong place
    "𝕡ayments:read",
)


@pytest.mark.parametrize("name", HOSTILE)
async def test_what_does_not_look_like_a_name_is_found_by_its_digest_and_stands_nowhere(name: str, here: World) -> None:
    digest = MARK + urlsafe_b64encode(hashlib.sha256(name.encode()).digest()).rstrip(b"=").decode()
    answer, entry = await refused(here, scope=name)
    assert answer.json()["error"] == "invalid_scope"
    assert told(entry["scopes"]) == {digest: "unknown_scope"}
    answer, entry = await refused(here, audience=name)
    assert answer.json()["error"] == "invalid_target"
    assert entry["audience"] == digest
    kind = json.dumps([{"type": name}])
    answer, entry = await refused(here, authorization_details=kind)
    assert answer.json()["error"] == "invalid_authorization_details"
    assert told(entry["details"]) == {digest: "unknown_detail"}


async def measured(at: World) -> dict[str, float]:
    """Decisions by labels, and refusals by reason."""
    lines = (await at.http.get("/metrics")).text.splitlines()
    found = (
        line.rpartition(" ") for line in lines if line.startswith(("mintwarden_decisions_", "mintwarden_refusals_"))
    )
    return {name: float(count) for name, _, count in found}


async def test_it_is_counted_and_no_name_is_a_label(here: World) -> None:
    before = await measured(here)
    for scope in (TYPO, "nowhere:else"):
        await refused(here, scope=scope, audience="nowhere")
    changed = {name: count - before.get(name, 0) for name, count in (await measured(here)).items()}
    assert {name: count for name, count in changed.items() if count} == {
        'mintwarden_decisions_total{audience="",grant="client_credentials",outcome="refused"}': 2.0,
        'mintwarden_refusals_total{audience="",reason="unknown_scope"}': 2.0,
    }


async def test_as_many_as_may_be_asked_for_fit_into_one_entry(here: World) -> None:
    names = [f"{MARK}{number}{'x' * 60}" for number in range(100)]
    answer, entry = await refused(here, scope=" ".join(names))
    assert answer.json()["error"] == "invalid_scope"
    assert len(entry["scopes"]) == 100
    await fresh(here)
    answer = await here.token(**own(scope=" ".join([*names, "more"])))
    assert answer.json()["error_description"] == "more than 100 scopes were requested"
    assert await fresh(here) == [], "how many is no name: nobody learns by it what there is"


async def test_the_names_beside_an_audience_that_is_nowhere_are_bounded(here: World) -> None:
    case = CASES["an exchange for another domain, its resource"]
    many = {"scope": " ".join(f"s{number}" for number in range(300)), "audience": "nowhere"}
    _, (entry,) = await asked(here, msgspec.structs.replace(case, form={**case.form, **many}))
    assert len(entry["scopes"]) == 100


STRANGERS = {
    "nobody": {"client_id": "nobody", "client_secret": "guessed"},
    "a wrong secret": {"client_id": "app", "client_secret": "guessed"},
    "only a name": {"client_id": "app"},
    "nothing": {},
}


@pytest.mark.parametrize("path", ["/token", "/par", "/device_authorization", "/bc-authorize"])
@pytest.mark.parametrize("who", STRANGERS)
async def test_a_stranger_leaves_no_entry(who: str, path: str, here: World) -> None:
    await fresh(here)
    answer = await here.http.post(path, data=own(scope=TYPO, login_hint="corp/alice") | STRANGERS[who])
    assert answer.status_code in (400, 401)
    assert await fresh(here) == []


async def test_a_public_client_that_begins_something_leaves_none(here: World) -> None:
    """It has only said its name. With a code or a refresh token it has shown more."""
    form = {"response_type": "code", "redirect_uri": "http://127.0.0.1/cb", "scope": TYPO, "code_challenge": "c" * 43}
    for path in ("/par", "/device_authorization"):
        await fresh(here)
        sent = form | {"client_id": "native", "code_challenge_method": "S256"}
        answer = await here.http.post(path, data=sent)
        assert answer.status_code == 400, answer.text
        assert await fresh(here) == []


async def test_a_proof_that_was_used_before_leaves_no_second_entry(here: World) -> None:
    proof = here.assertion()
    await fresh(here)
    first = await here.http.post("/token", data=proof | own(scope=TYPO))
    assert first.json()["error"] == "invalid_scope"
    again = await here.http.post("/token", data=proof | own(scope=TYPO))
    assert again.json()["error"] == "invalid_client"
    assert len(await fresh(here)) == 1


async def test_a_code_or_a_refresh_token_is_not_used_up_by_a_name(here: World) -> None:
    """As with any refusal: what was handed out is used up by what comes of it."""
    code = await here.code(REQUEST)
    form: dict[str, Any] = {name: code if value is ... else value for name, value in CODE.items()}
    assert (await here.token(**form, resource=ELSEWHERE)).status_code == 400
    token = await here.made("refresh_token", **form, resource=PAYMENTS)
    wanted = {"grant_type": "refresh_token", "refresh_token": token, "resource": PAYMENTS}
    assert (await here.token(**wanted, scope=TYPO)).status_code == 400
    assert (await here.token(**wanted)).status_code == 200


async def test_a_client_that_registered_itself_is_named_by_its_id(here: World) -> None:
    headers = {"Authorization": f"Bearer {await KINDS['access token for registering'](here)}"}
    made = (await here.http.post("/register", json=kinds.REGISTERED, headers=headers)).json()
    await fresh(here)
    secret = (made["client_id"], made["client_secret"])
    answer = await here.http.post("/token", data=own(scope=TYPO), auth=secret)
    assert answer.json()["error"] == "invalid_scope", answer.text
    (entry,) = await fresh(here)
    assert (entry["client"], told(entry["scopes"])) == (made["client_id"], UNKNOWN)


async def test_who_asks_for_an_approval_of_what_is_nowhere(here: World) -> None:
    await fresh(here)
    answer = await here.http.post("/approval-requests", data=here.assertion() | own(scope=TYPO))
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope"), answer.text
    (entry,) = await fresh(here)
    assert told(entry["scopes"]) == UNKNOWN


async def cli(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = await asyncio.to_thread(main, words)
    out, err = capsys.readouterr()
    return code, out, err


EXPLAINED = {
    "a scope": f"{TYPO} refused: there is no such audience, scope or client",
    "a scope at an audience": f"{TYPO} refused: there is no such audience, scope or client",
    "a scope of another audience beside one of this": "payments:read refused",
    "an audience": "audience   nowhere",
    "a resource": "nothing was decided of what it asked for: the audience is unknown",
    "a type of detail": "authorization detail no-such-type refused",
    "a refresh beyond what was granted": "payments:write refused: the earlier token does not carry it",
    "a code, another audience": "audience   ledger",
    "an exchange": f"{TYPO} refused: there is no such audience, scope or client",
}


@pytest.mark.parametrize("name", EXPLAINED)
async def test_it_is_explained_like_any_other(name: str, here: World, capsys: pytest.CaptureFixture[str]) -> None:
    _, (entry,) = await asked(here, CASES[name])
    config = str(here.company.folder / "mintwarden.toml")
    code, out, err = await cli(capsys, "explain", entry["id"], "--config", config)
    assert code == 0, err
    assert EXPLAINED[name] in out
    code, out, _ = await cli(capsys, "explain", entry["id"], "--config", config, "--json")
    assert code == 0
    story = json.loads(out)
    assert (story["outcome"], story["replay"]) == ("refused", "same")


async def test_known_names_beside_an_audience_that_is_nowhere_are_explained(
    here: World, capsys: pytest.CaptureFixture[str]
) -> None:
    _, entry = await refused(here, resource=ELSEWHERE, scope="payments:read")
    config = str(here.company.folder / "mintwarden.toml")
    code, out, err = await cli(capsys, "explain", entry["id"], "--config", config)
    assert code == 0, err
    assert "payments:read refused: there is no such audience, scope or client" in out


async def test_the_ledger_with_them_is_audited_and_replayed(here: World, capsys: pytest.CaptureFixture[str]) -> None:
    for case in CASES.values():
        await asked(here, case)
    config = str(here.company.folder / "mintwarden.toml")
    code, out, err = await cli(capsys, "ledger", "audit", "--config", config)
    assert code == 0, (out, err)
    code, out, err = await cli(capsys, "policy", "impact", "active", "--workers", "1", "--json", "--config", config)
    assert code == 0, (out, err)
    report = json.loads(out)
    assert report["reproduced"]["same"] == report["decisions"] == report["replayed"] >= len(CASES)
    code, out, err = await cli(
        capsys, "policy", "impact", "active", "--workers", "1", "--scope", TYPO, "--config", config
    )
    assert code == 0, (out, err)
    assert "nothing changes" in out
    naming = sum(TYPO in case.scopes for case in CASES.values())
    assert int(out.partition("\ndecisions")[2].split()[0]) >= naming, "and by its name they are found"


async def test_another_issuer_that_asks_for_an_audience_that_is_nowhere(here: World) -> None:
    await fresh(here)
    bearer = await here.company.token("operator", grant_type="client_credentials", scope="authzen:issue")
    await fresh(here)
    question: dict[str, Any] = {
        "subject": {"type": "user", "id": "login/alice"},
        "resource": {"type": "audience", "id": ELSEWHERE},
        "context": {"client_id": "app", "issuance": {"capabilities": ["urn:ietf:params:authzen:token-issuance"]}},
        "evaluations": [{"action": {"name": "issue:access_token:token_exchange"}}, {"action": {"name": TYPO}}],
        "options": {"evaluations_semantic": "execute_all"},
    }
    headers = {"Authorization": f"Bearer {bearer}"}
    answer = await here.http.post("/access/v1/evaluations", json=question, headers=headers)
    assert [one["decision"] for one in answer.json()["evaluations"]] == [False, False], answer.text
    (entry,) = await fresh(here)
    assert entry.keys() >= SHAPE
    assert (entry["grant"], entry["client"], entry["signer"]) == ("token_exchange", "app", "operator")
    assert (entry["audience"], told(entry["scopes"])) == (ELSEWHERE, UNKNOWN)
    for wrong in ({"context": {**question["context"], "client_id": "nobody"}}, {"subject": {"type": "cat", "id": "x"}}):
        answer = await here.http.post("/access/v1/evaluations", json=question | wrong, headers=headers)
        assert answer.status_code == 200
        assert await fresh(here) == [], "without a client or a subject there is nothing to say it of"
