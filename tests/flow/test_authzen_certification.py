"""The public certification scenario of the AuthZEN working group (Authorization API 1.0), in our words.

Its fixture has two subjects, two records, and eight rules. Records are projects here, so `resource.type` is `project`
where the scenario says `record`. Rules 5 and 6 depend on properties that the harness sends: here they are facts of a
source, and what is sent is ignored. Rules 7 and 8 tell two deletions apart by a property: here they are two scopes.
"""

from __future__ import annotations

import pytest
import pytest_asyncio

from tests.flow.authzen import deciding

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def point(tmp_path_factory):
    """One service for all of the scenario: nothing in it changes anything."""
    async with deciding(tmp_path_factory.mktemp("point")) as point:
        yield point


def asked(subject, action, record, **properties):
    return {
        "subject": {"type": "user", "id": subject},
        "action": {"name": action},
        "resource": {"type": "project", "id": record, **({"properties": properties} if properties else {})},
    }


RULES = [
    (asked("alice", "read", "record-1"), True),
    (asked("alice", "write", "record-1"), True),
    (asked("bob", "read", "record-1"), True),
    (asked("bob", "write", "record-1"), False),
    (asked("alice", "write", "record-2", status="archived"), False),
    (asked("bob", "write", "record-2", status="archived"), True),
    (asked("alice", "delete", "record-1"), True),
    (asked("bob", "purge", "record-1"), False),
]


async def test_basic_the_eight_rules_hold_with_and_without_context_again_and_again(point):
    for request, decision in RULES:
        for _ in range(2):
            assert (await point.ask("evaluation", request))["decision"] is decision, request
        said = {"time": "2025-06-27T18:03-07:00", "ip": "192.168.1.1"}
        assert (await point.ask("evaluation", {**request, "context": said}))["decision"] is decision


async def test_basic_additional_properties_and_unknown_fields_are_ignored(point):
    request = {
        "subject": {"type": "user", "id": "alice", "properties": {"department": "Sales", "role": "manager"}},
        "action": {"name": "read", "properties": {"method": "GET"}},
        "resource": {"type": "project", "id": "record-1", "properties": {"status": "active", "owner": "bob"}},
        "foo": "bar",
        "futureField": {"nested": True},
    }
    assert (await point.ask("evaluation", request))["decision"] is True


WRONG = {
    "missing subject": {"action": {"name": "read"}, "resource": {"type": "project", "id": "record-1"}},
    "missing action": {"subject": {"type": "user", "id": "alice"}, "resource": {"type": "project", "id": "record-1"}},
    "missing resource": {"subject": {"type": "user", "id": "alice"}, "action": {"name": "read"}},
    "subject without type": {**RULES[0][0], "subject": {"id": "alice"}},
    "subject without id": {**RULES[0][0], "subject": {"type": "user"}},
    "action without name": {**RULES[0][0], "action": {}},
    "resource without type": {**RULES[0][0], "resource": {"id": "record-1"}},
    "resource without id": {**RULES[0][0], "resource": {"type": "project"}},
    "subject of another type": {**RULES[0][0], "subject": "alice"},
    "action of another type": {**RULES[0][0], "action": {"name": 123}},
    "properties of another type": {**RULES[0][0], "subject": {"type": "user", "id": "alice", "properties": [1]}},
    "context of another type": {**RULES[0][0], "context": "now"},
    "array at the top": [RULES[0][0]],
    "nothing": b"",
    "not JSON": b"{",
    "null": b"null",
}


@pytest.mark.parametrize("name", WRONG)
async def test_basic_what_is_wrong_is_a_bad_request(point, name):
    answer = await point.post("evaluation", WRONG[name])
    assert answer.status_code == 400, name
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text.strip()


async def test_basic_only_json_is_taken_with_or_without_charset(point):
    good = RULES[0][0]
    for kind in ("application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8"):
        assert (await point.post("evaluation", good, content_type=kind)).status_code == 200
    for kind in ("text/plain", "application/xml", "application/jsonp", ""):
        assert (await point.post("evaluation", good, content_type=kind)).status_code == 400


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
async def test_basic_other_methods_are_not_allowed(point, method):
    for path in ("evaluation", "evaluations", "search/subject", "search/resource", "search/action"):
        answer = await point.company.http.request(method, f"/access/v1/{path}")
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_basic_the_request_identifier_comes_back(point):
    name = "bfe9eb29-ab87-4ca3-be83-a1d5d8305716"
    assert (await point.post("evaluation", RULES[0][0], x_request_id=name)).headers["x-request-id"] == name
    assert (await point.post("evaluation", b"{", x_request_id=name)).headers["x-request-id"] == name
    assert (await point.post("evaluation", b"{", token="", x_request_id=name)).headers["x-request-id"] == name
    assert (await point.post("evaluation", RULES[0][0])).status_code == 200


def decisions(answer):
    assert "decision" not in answer
    return [one["decision"] for one in answer["evaluations"]]


async def test_batch_defaults_order_and_overriding(point):
    bob, record = {"type": "user", "id": "bob"}, {"type": "project", "id": "record-1"}
    both = [{"action": {"name": "read"}}, {"action": {"name": "write"}}]
    assert decisions(await point.ask("evaluations", {"subject": bob, "resource": record, "evaluations": both})) == [
        True,
        False,
    ]
    own = [RULES[0][0], RULES[3][0]]
    assert decisions(await point.ask("evaluations", {"evaluations": own})) == [True, False]
    overridden = {**RULES[3][0], "evaluations": [{}, {"subject": {"type": "user", "id": "alice"}}]}
    assert decisions(await point.ask("evaluations", overridden)) == [False, True]


async def test_batch_context_is_inherited_and_replaced_as_a_whole(point):
    request = {
        **asked("alice", "read", "record-1"),
        "context": {"environment": "nowhere"},
        "evaluations": [{}, {"context": {"source": "batch-override"}}],
    }
    assert decisions(await point.ask("evaluations", request)) == [False, True]


async def test_batch_required_members_fall_back_to_the_default(point):
    request = {
        "subject": {"type": "user", "id": "alice"},
        "action": {"name": "write"},
        "resource": {"type": "project"},
        "evaluations": [
            {"resource": {"id": "record-1", "properties": {"status": "active"}}},
            {"resource": {"type": "project", "id": "record-2"}},
        ],
    }
    assert decisions(await point.ask("evaluations", request)) == [True, False]


async def test_batch_what_is_wrong_with_one_is_that_ones_denial(point):
    request = {
        "subject": {"type": "user", "id": "alice"},
        "action": {"name": "read"},
        "evaluations": [{"resource": {"type": "project", "id": "record-1"}}, {}, 7, {"resource": "record-1"}],
    }
    answer = await point.ask("evaluations", request)
    assert decisions(answer) == [True, False, False, False]
    assert answer["evaluations"][1]["context"]["error"] == {"status": 400, "message": "`resource` is missing"}


@pytest.mark.parametrize("more", [{}, {"evaluations": []}])
async def test_batch_without_evaluations_is_a_single_one(point, more):
    answer = await point.ask("evaluations", {**RULES[0][0], **more})
    assert answer["decision"] is True
    assert "evaluations" not in answer


@pytest.mark.parametrize(
    "more",
    [
        {"evaluations": {}},
        {"evaluations": "all"},
        {"evaluations": [{}], "options": {"evaluations_semantic": "some"}},
        {"evaluations": [{}], "options": {"evaluations_semantic": 1}},
        {"evaluations": [{}], "options": []},
        {"evaluations": [{}], "subject": "alice"},
        {"evaluations": [{}], "context": 1},
    ],
)
async def test_batch_what_is_wrong_with_all_is_a_bad_request(point, more):
    assert (await point.post("evaluations", {**RULES[0][0], **more})).status_code == 400


async def test_batch_the_three_semantics(point):
    three = [{"action": {"name": name}} for name in ("read", "purge", "read")]
    request = {"subject": {"type": "user", "id": "bob"}, "resource": {"type": "project", "id": "record-1"}}
    for semantic, expected in (
        ("execute_all", [True, False, True]),
        ("deny_on_first_deny", [True, False]),
        ("permit_on_first_permit", [True]),
    ):
        options = {"evaluations_semantic": semantic, "another_option": "value"}
        assert (
            decisions(await point.ask("evaluations", {**request, "evaluations": three, "options": options})) == expected
        )
    broken = [{"action": {"name": "read"}}, {"action": {}}, {"action": {"name": "read"}}]
    for semantic, expected in (("deny_on_first_deny", [True, False]), ("permit_on_first_permit", [True])):
        options = {"evaluations_semantic": semantic}
        assert (
            decisions(await point.ask("evaluations", {**request, "evaluations": broken, "options": options}))
            == expected
        )


async def test_search_finds_subjects_whatever_id_is_sent(point):
    request = {
        "subject": {"type": "user", "id": "ignored"},
        "action": {"name": "read"},
        "resource": {"type": "project", "id": "record-1"},
        "context": {"time": "2024-10-26T01:22-07:00"},
    }
    found = await point.ask("search/subject", request)
    assert found["results"] == [{"type": "user", "id": "alice"}, {"type": "user", "id": "bob"}]
    assert found["page"] == {"next_token": "", "count": 2}
    archived = {**request, "action": {"name": "write"}, "resource": {"type": "project", "id": "record-2"}}
    assert (await point.ask("search/subject", archived))["results"] == [{"type": "user", "id": "bob"}]


async def test_search_finds_resources(point):
    request = {
        "subject": {"type": "user", "id": "alice"},
        "action": {"name": "read"},
        "resource": {"type": "project", "id": "ignored"},
    }
    both = [{"type": "project", "id": "record-1"}, {"type": "project", "id": "record-2"}]
    assert (await point.ask("search/resource", request))["results"] == both
    admin = {**request, "subject": {"type": "user", "id": "bob"}, "action": {"name": "write"}}
    assert (await point.ask("search/resource", admin))["results"] == both[1:]


async def test_search_finds_actions(point):
    request = {"subject": {"type": "user", "id": "alice"}, "resource": {"type": "project", "id": "record-1"}}
    found = [one["name"] for one in (await point.ask("search/action", request))["results"]]
    assert found == ["delete", "purge", "read", "write"]
    admin = {"subject": {"type": "user", "id": "bob"}, "resource": {"type": "project", "id": "record-2"}}
    assert [one["name"] for one in (await point.ask("search/action", admin))["results"]] == ["read", "write"]


async def test_search_goes_on_page_by_page_with_the_token_alone(point):
    request = {
        "subject": {"type": "user"},
        "action": {"name": "read"},
        "resource": {"type": "project", "id": "record-1"},
    }
    first = await point.ask("search/subject", {**request, "page": {"limit": 1}})
    assert (first["results"], first["page"]["count"]) == ([{"type": "user", "id": "alice"}], 1)
    token = first["page"]["next_token"]
    for page in ({"token": token}, {"token": token, "limit": 1}):
        second = await point.ask("search/subject", {**request, "page": page})
        assert second["results"] == [{"type": "user", "id": "bob"}]
        assert second["page"] == {"next_token": "", "count": 1}
    none = await point.ask("search/subject", {**request, "page": {"limit": 0}})
    assert none["results"] == []
    assert none["page"]["next_token"]


async def test_search_a_changed_request_does_not_go_on(point):
    request = {
        "subject": {"type": "user"},
        "action": {"name": "read"},
        "resource": {"type": "project", "id": "record-1"},
    }
    token = (await point.ask("search/subject", {**request, "page": {"limit": 1}}))["page"]["next_token"]
    changes: tuple[dict[str, object], ...] = (
        {"action": {"name": "write"}},
        {"resource": {"type": "project", "id": "record-2"}},
        {"context": {"acr": "high"}},
        {"page": {"token": token, "limit": 2}},
        {"page": {"token": token[:-2] + "AA"}},
        {"page": {"token": 7}},
        {"page": {"limit": -1}},
        {"page": {"limit": "1"}},
        {"page": []},
    )
    for change in changes:
        answer = await point.post("search/subject", {**request, "page": {"token": token}, **change})
        assert answer.status_code == 400, change
    elsewhere = await point.post(
        "search/resource", {**request, "subject": {"type": "user", "id": "alice"}, "page": {"token": token}}
    )
    assert elsewhere.status_code == 400


async def test_search_nothing_is_an_empty_answer(point):
    record = {"type": "project", "id": "record-1"}
    nobody = {"subject": {"type": "user", "id": "nonexistent-user"}, "resource": record}
    assert (await point.ask("search/action", nobody))["results"] == []
    ship = {"subject": {"type": "spaceship"}, "action": {"name": "read"}, "resource": record}
    assert (await point.ask("search/subject", ship))["results"] == []
    odd = {"subject": {"type": "user", "id": "alice"}, "action": {"name": "read"}, "resource": {"type": "planet"}}
    assert (await point.ask("search/resource", odd))["results"] == []
    assert (await point.ask("search/action", {**odd, "resource": {"type": "planet", "id": "x"}}))["results"] == []


async def test_search_what_is_missing_is_a_bad_request(point):
    alice, record, read = {"type": "user", "id": "alice"}, {"type": "project", "id": "record-1"}, {"name": "read"}
    for path, request in (
        ("subject", {"subject": {"type": "user"}, "resource": record}),
        ("subject", {"subject": {"type": "user"}, "action": read, "resource": {"type": "project"}}),
        ("subject", {"subject": {}, "action": read, "resource": record}),
        ("resource", {"action": read, "resource": {"type": "project"}}),
        ("resource", {"subject": {"type": "user"}, "action": read, "resource": {"type": "project"}}),
        ("action", {"subject": alice}),
        ("action", {"subject": alice, "resource": {"type": "project"}}),
    ):
        assert (await point.post(f"search/{path}", request)).status_code == 400, request


async def test_discovery_the_document_names_the_endpoints(point):
    answer = await point.company.http.get("/.well-known/authzen-configuration")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert "max-age" in answer.headers["cache-control"]
    said = answer.json()
    issuer = (await point.company.http.get("/.well-known/oauth-authorization-server")).json()["issuer"]
    assert said["policy_decision_point"] == issuer
    for name, path in (
        ("access_evaluation", "evaluation"),
        ("access_evaluations", "evaluations"),
        ("search_subject", "search/subject"),
        ("search_resource", "search/resource"),
        ("search_action", "search/action"),
    ):
        assert said[f"{name}_endpoint"] == f"{issuer}/access/v1/{path}"
    assert said["capabilities"] == ["urn:ietf:params:authzen:token-issuance"]
