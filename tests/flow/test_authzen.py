"""The decision point answers as the token endpoint would, and leaves nothing behind but what it has to."""

from __future__ import annotations

import base64
import hashlib
import time

import msgspec
import pytest
from joserfc.jwk import ECKey

from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from mintwarden.authn.ports import ClientRecord
from mintwarden.model.catalogue import Client
from tests.flow.authzen import POINT, RECORDS, deciding, question
from tests.flow.company import PAYMENTS
from tests.flow.test_dpop import ask, proof


@pytest.fixture
async def point(tmp_path):
    async with deciding(tmp_path) as point:
        yield point


async def test_the_answer_is_what_the_token_endpoint_would_say(point):
    person = point.company.signed_in("alice", int(time.time()), amr=["pwd"])
    for client, audience, scope in (
        ("web", RECORDS, "read"),
        ("web", RECORDS, "write"),
        ("web", PAYMENTS, "payments:read"),
        ("helper", PAYMENTS, "payments:read"),
        ("helper", PAYMENTS, "payments:write"),
    ):
        issued = await point.company.exchange(client, person, scope=scope, resource=audience)
        asked = question("alice", scope, audience, client_id=client, amr=["pwd"])
        said = await point.ask("evaluation", asked)
        assert said["decision"] is (issued.status_code == 200), (client, scope, issued.text, said)
        if said["decision"]:
            assert said["context"]["token_lifetime"] == issued.json()["expires_in"]


async def test_what_a_sign_in_would_have_to_say_is_told(point):
    asked = question("alice", "payments:write", PAYMENTS, client_id="helper", amr=["pwd"])
    said = await point.ask("evaluation", asked)
    assert said["decision"] is False
    assert said["context"]["reason"] == "obligation_unmet"
    assert said["context"]["amr_values"] == "mfa"
    assert said["context"]["required"] == [{"name": "require_amr", "value": "mfa"}]
    asked["context"]["amr"] = ["pwd", "mfa"]
    assert (await point.ask("evaluation", asked))["decision"] is True


async def test_a_scope_may_be_named_as_the_resource(point):
    scope = {"type": "scope", "id": "payments:read"}
    for subject, action, expected in (
        ({"type": "workload", "id": "batch"}, "issue", True),
        ({"type": "client", "id": "batch"}, "issue", True),
        ({"type": "Workload", "id": "signer"}, "issue", True),
        ({"type": "workload", "id": "operator"}, "issue", False),
        ({"type": "agent", "id": "helper"}, "issue", False),
    ):
        asked = {"subject": subject, "action": {"name": action}, "resource": scope}
        assert (await point.ask("evaluation", asked))["decision"] is expected, subject


async def test_who_acts_is_asked_about_with_for_whom(point):
    asked = {
        "subject": {"type": "agent", "id": "helper"},
        "action": {"name": "act"},
        "resource": {"type": "scope", "id": "payments:read"},
        "context": {"on_behalf_of": {"type": "user", "id": "alice"}},
    }
    said = await point.ask("evaluation", asked)
    assert (said["decision"], said["context"]["client_id"]) == (True, "helper")
    stranger = {**asked, "subject": {"type": "workload", "id": "web"}}
    said = await point.ask("evaluation", stranger)
    assert (said["decision"], said["context"]["reason"]) == (False, "actor_not_permitted")
    del asked["context"]
    said = await point.ask("evaluation", asked)
    assert (said["decision"], said["context"]["reason"]) == (False, "unknown_subject")
    found = await point.ask(
        "search/subject", {**stranger, "subject": {"type": "agent"}, "context": stranger["context"]}
    )
    assert found["results"] == [{"type": "agent", "id": "helper"}]


REGISTRATION = """
[registration]
prefix = "reg-"
kinds = ["service"]
environments = ["production"]
authentication = ["client_secret_basic"]
grants = ["token_exchange"]
owners = ["Payments"]
[registration.ceilings]
records = ["read"]
"""


def _audience(name):
    return {"type": "audience", "id": name}


IMPOSSIBLE = (
    ({"subject": {"type": "robot", "id": "r2"}}, "unknown_subject"),
    ({"subject": {"type": "client", "id": "nobody"}}, "unknown_subject"),
    ({"action": {"name": "fly"}}, "unknown_action"),
    ({"resource": {"type": "audience", "id": "https://elsewhere.example"}}, "unknown_resource"),
    ({"resource": {"type": "scope", "id": "read"}}, "unknown_action"),
    ({"resource": {"type": "scope", "id": "fly"}}, "unknown_resource"),
    ({"resource": {"type": "tenant", "id": "t"}}, "unknown_resource"),
    ({"resource": {"type": "planet", "id": "t"}}, "unknown_resource"),
    ({"resource": {"type": "project", "id": "nobody's"}}, "invalid_context"),
    ({"resource": {"type": "project", "id": "another"}}, "tenancy"),
    ({"context": {"client_id": "nobody"}}, "unknown_client"),
    ({"context": {"client_id": "batch"}}, "grant_not_allowed"),
    ({"context": {"client_id": "helper"}}, "client_ceiling"),
    ({"context": {"purpose": "fun"}}, "invalid_context"),
    ({"context": {"environment": "staging"}}, "invalid_context"),
    ({"context": {"actors": [{"type": "user", "id": str(n)} for n in range(9)]}}, "too_many_actors"),
    ({"subject": {"type": "user", "id": "mallory"}}, "fact_missing"),
)


async def test_what_cannot_be_is_denied_with_its_reason(point):
    for change, reason in IMPOSSIBLE:
        said = await point.ask("evaluation", {**question(), **change})
        assert (said["decision"], said["context"]["reason"]) == (False, reason), change
        assert said["context"]["reason_admin"]["en"]


MALFORMED = (
    {"acr": 5},
    {"amr": "pwd"},
    {"auth_time": -1},
    {"auth_time": "yesterday"},
    {"actors": [{"type": "user"}]},
    {"cnf": {"jkt": "short"}},
    {"session": "s" * 600},
    {"device": "new\nline"},
)


async def test_a_malformed_circumstance_is_a_bad_request(point):
    for context in MALFORMED:
        assert (await point.post("evaluation", question(**context))).status_code == 400, context


async def test_nothing_is_left_of_an_evaluation_and_an_entry_of_a_search(point):
    before = await point.entries()
    await point.ask("evaluation", question())
    await point.ask("evaluations", {"evaluations": [question(), question("bob")]})
    assert await point.entries() == before
    await point.ask("search/subject", {**question(), "subject": {"type": "user"}})
    (entry,) = await point.entries("administration")
    assert entry["detail"]["operation"] == "authzen.search.subject"
    assert entry["detail"]["client"] == "operator"


async def test_searches_speak_of_clients_scopes_and_audiences_too(point):
    batch = {"type": "client", "id": "batch"}
    alice = {"type": "user", "id": "alice"}
    for path, request, expected in (
        (
            "subject",
            {"subject": {"type": "client"}, "action": {"name": "payments:read"}, "resource": _audience(PAYMENTS)},
            ["batch", "signer"],
        ),
        (
            "subject",
            {"subject": {"type": "workload"}, "action": {"name": "payments:read"}, "resource": _audience(PAYMENTS)},
            ["batch", "signer"],
        ),
        (
            "resource",
            {"subject": batch, "action": {"name": "payments:read"}, "resource": {"type": "audience"}},
            [PAYMENTS],
        ),
        ("resource", {"subject": batch, "action": {"name": "fly"}, "resource": {"type": "audience"}}, []),
        (
            "resource",
            {"subject": batch, "action": {"name": "issue"}, "resource": {"type": "scope"}},
            ["payments:read"],
        ),
        ("resource", {"subject": batch, "action": {"name": "fly"}, "resource": {"type": "scope"}}, []),
        ("resource", {"subject": alice, "action": {"name": "read"}, "resource": {"type": "tenant"}}, []),
        ("action", {"subject": batch, "resource": {"type": "scope", "id": "payments:read"}}, ["issue"]),
        ("action", {"subject": alice, "resource": _audience("https://elsewhere.example")}, []),
        (
            "action",
            {"subject": batch, "resource": _audience(PAYMENTS)},
            ["issue:access_token:client_credentials", "payments:read"],
        ),
        (
            "action",
            {"subject": alice, "resource": _audience(RECORDS), "context": {"client_id": "nobody"}},
            [],
        ),
        (
            "action",
            {"subject": alice, "resource": _audience(RECORDS), "context": {"client_id": "batch"}},
            [],
        ),
    ):
        results = (await point.ask(f"search/{path}", request))["results"]
        assert [one.get("id", one.get("name")) for one in results] == expected, request


async def test_what_was_found_is_granted_when_it_is_asked_about(point):
    place = {"type": "project", "id": "record-2"}
    for action in ("read", "write", "delete"):
        request = {"action": {"name": action}, "resource": place}
        for subject in (await point.ask("search/subject", {**request, "subject": {"type": "user"}}))["results"]:
            assert (await point.ask("evaluation", {**request, "subject": subject}))["decision"] is True


async def test_a_key_that_the_token_would_be_bound_to_counts(point):
    bound = question(cnf={"jkt": "a" * 43}, client_id="web")
    assert (await point.ask("evaluation", bound))["decision"] is True
    bound = question(cnf={"x5t#S256": "a" * 43}, client_id="web")
    assert (await point.ask("evaluation", bound))["decision"] is True


async def test_a_place_cannot_be_two(point):
    asked = {**question(project="record-1", client_id="web"), "resource": {"type": "project", "id": "record-2"}}
    said = await point.ask("evaluation", asked)
    assert (said["decision"], said["context"]["reason"]) == (False, "invalid_context")


async def test_a_lifetime_that_is_wished_for_is_the_most_there_is(point):
    said = await point.ask("evaluation", question(client_id="web", requested_lifetime=60))
    assert said["context"]["token_lifetime"] == 60
    said = await point.ask("evaluation", question(client_id="web", requested_lifetime=-1))
    assert said["context"]["reason"] == "invalid_context"


async def test_a_changed_fact_shapes_the_next_answer(point):
    write = question("alice", "write")
    assert (await point.ask("evaluation", write))["decision"] is True
    await point.put(alice="guest")
    assert (await point.ask("evaluation", write))["decision"] is False


async def test_registered_clients_count_until_they_are_retired(tmp_path):
    async with deciding(tmp_path, registration=REGISTRATION) as point:
        client = Client(
            id="reg-1", name="One", kind="service", owner="Payments", principal="Workload",
            methods=("client_secret_basic",), grants=("token_exchange",), environments=("production",),
            ceilings={"records": ("read",)},
        )  # fmt: skip
        asked = question(client_id="reg-1")
        for version, retired, reason in (
            (0, None, "unknown_client"),
            (1, None, "actor_not_permitted"),
            (2, 1, "unknown_client"),
        ):
            if version:
                record = ClientRecord(
                    client_id="reg-1", record=msgspec.json.encode(client), retired_at=retired, version=version
                )
                async with foundation(load_config(point.company.folder / "mintwarden.toml", environ={})) as base:
                    assert await base.store.credentials.put_client(record)
            assert (await point.ask("evaluation", asked))["context"]["reason"] == reason, version


async def test_each_scope_opens_its_own_endpoints(point):
    search = {**question(), "subject": {"type": "user"}}
    gate = question(action="issue:access_token:token_exchange", client_id="web")
    for scope, allowed in (
        ("evaluate", {"evaluation"}),
        ("search", {"search"}),
        ("issue", {"gate"}),
    ):
        token = await point.bearing(scope)
        for name, path, content in (
            ("evaluation", "evaluation", question()),
            ("search", "search/subject", search),
            ("gate", "evaluation", gate),
        ):
            answer = await point.post(path, content, token=token)
            assert answer.status_code == (200 if name in allowed else 403), (scope, name)
            if answer.status_code == 403:
                assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
                assert 'scope="authzen:' in answer.headers["www-authenticate"]


async def test_without_a_good_token_nothing_is_told(point):
    administrator = await point.company.token(
        "operator",
        grant_type="client_credentials",
        scope="mintwarden:keys.read",
        resource="https://tokens.example.com/admin",
    )
    for token in ("", "nonsense", administrator, point.token[:-4] + "AAAA"):
        answer = await point.post("evaluation", question(), token=token)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer realm=")
    answer = await point.company.http.get("/admin/v1/keys", headers={"authorization": f"Bearer {point.token}"})
    assert answer.status_code == 401, "and a token for the decision point administers nothing"


async def test_a_token_that_is_bound_to_a_key_comes_with_its_proof(point):
    key, address = ECKey.generate_key("P-256"), "https://tokens.example.com/access/v1/evaluation"
    form = {"grant_type": "client_credentials", "scope": "authzen:evaluate", "resource": POINT}
    token = (await ask(point.company, "operator", proof(key), **form)).json()["access_token"]
    hashed = base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()

    def shown(scheme="DPoP", htu=address, signer=key):
        return {"authorization": f"{scheme} {token}", **proof(signer, htu=htu, ath=hashed)}

    good = shown()
    assert (await point.post("evaluation", question(), token="", **good)).status_code == 200
    for headers in (
        good,
        shown(scheme="Bearer"),
        shown(htu=f"{address}s"),
        shown(signer=ECKey.generate_key("P-256")),
        {"authorization": f"DPoP {token}"},
    ):
        answer = await point.post("evaluation", question(), token="", **headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("DPoP ")


async def test_nothing_is_announced_where_the_bundle_has_no_decision_point(company):
    assert (await company.http.get("/.well-known/authzen-configuration")).status_code == 404
    assert (await company.http.post("/access/v1/evaluation", json=question())).status_code == 401
