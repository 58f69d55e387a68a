"""An identity provider feeds the directory over SCIM: what it says shapes the very next decision, on every node."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from tests.flow.feeding import ENTERPRISE, ERROR, GROUP, USER, Provider, fed, provider, token
from tests.flow.granting import House, house, with_clients

pytestmark = [pytest.mark.xdist_group("postgres"), pytest.mark.asyncio(loop_scope="module")]

PAYERS = """
@id("payers-write") @owner("Payments") @reason("payers pay")
permit (principal is User, action == Action::"issue", resource == Scope::"payments:write")
when { principal in Group::"payers" };
@id("sign-in") @owner("Token Governance") @reason("people sign in")
permit (principal is User, action == Action::"issue", resource == Scope::"openid");
"""


def fed_with_clients(bundle: Path) -> None:
    fed(bundle)
    with_clients(bundle)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def idp(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Provider]:
    folder = tmp_path_factory.mktemp("company")
    async with provider(folder, server="admin_rate = 1000\nadmin_burst = 10000\n") as made:
        yield made


@pytest_asyncio.fixture(params=["sqlite", "postgres"], loop_scope="module")
async def fed_house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[House, Provider]]:
    store = "" if request.param == "sqlite" else request.getfixturevalue("new_database")()
    async with house(tmp_path, store=store, rules=PAYERS, edit=fed_with_clients) as made:
        made = msgspec.structs.replace(made, person="bea")
        yield made, Provider(made.company, await token(made.company, "mintwarden:scim.write"))


def refused(answer: Any, status: int, scim_type: str | None = None) -> str:
    """The detail of an error that is written as RFC 7644 section 3.12 has it."""
    told = answer.json()
    assert (answer.status_code, told["status"], told["schemas"]) == (status, str(status), [ERROR]), told
    assert told.get("scimType") == scim_type, told
    assert answer.headers["content-type"] == "application/scim+json"
    return str(told["detail"])


async def test_a_user_is_made_read_barred_and_gone(idp: Provider) -> None:
    assert not await idp.granted("alice")
    made = await idp.user("alice", externalId="00u1")
    finance = await idp.group("finance", made["id"])
    assert await idp.granted("alice")
    read = await idp.send("GET", f"/Users/{made['id']}")
    assert (read.status_code, read.headers["content-type"]) == (200, "application/scim+json")
    assert read.json()["userName"] == "alice"
    assert read.json()[ENTERPRISE] == {"department": "finance"}
    assert read.json()["groups"][0]["value"] == finance["id"]

    # as Microsoft Entra ID bars somebody, and as Okta takes them back
    barred = await idp.patch(f"/Users/{made['id']}", {"op": "Replace", "path": "active", "value": "False"})
    assert barred.status_code == 204, barred.text
    assert (await idp.send("GET", f"/Users/{made['id']}")).json()["active"] is False
    assert not await idp.granted("alice")
    await idp.patch(f"/Users/{made['id']}", {"op": "replace", "value": {"active": True}})
    assert await idp.granted("alice")

    assert (await idp.send("DELETE", f"/Users/{made['id']}")).status_code == 204
    assert not await idp.granted("alice")
    refused(await idp.send("GET", f"/Users/{made['id']}"), 404)
    refused(await idp.send("DELETE", f"/Users/{made['id']}"), 404)
    assert "members" not in (await idp.send("GET", f"/Groups/{finance['id']}")).json()
    assert (await idp.send("DELETE", f"/Groups/{finance['id']}")).status_code == 204


async def test_a_change_of_group_and_the_end_of_an_account_on_two_nodes(fed_house: tuple[House, Provider]) -> None:
    here, idp = fed_house
    bea = await idp.user("bea")
    finance, payers = await idp.group("finance", bea["id"]), await idp.group("payers", bea["id"])
    first = (await here.redeem(await here.code())).json()
    assert first["scope"] == "payments:read payments:write"

    gone = await idp.patch(f"/Groups/{payers['id']}", {"op": "Remove", "path": f'members[value eq "{bea["id"]}"]'})
    assert gone.status_code == 204, gone.text
    less = (await here.refresh(first["refresh_token"], there=True)).json()
    assert less["scope"] == "payments:read"
    await idp.patch(f"/Groups/{payers['id']}", {"op": "Add", "path": "members", "value": [{"value": bea["id"]}]})
    back = (await here.refresh(less["refresh_token"], there=True)).json()
    assert back["scope"] == "payments:read payments:write"

    assert (await idp.send("DELETE", f"/Users/{bea['id']}")).status_code == 204
    lost = await here.refresh(back["refresh_token"], there=True)
    assert (lost.status_code, lost.json()["error"]) == (400, "invalid_grant")
    assert not await here.is_active(back["access_token"], there=True)
    # nothing comes back with somebody of the same name
    await idp.user("bea")
    await idp.patch(f"/Groups/{finance['id']}", {"op": "replace", "path": "displayName", "value": "finance"})
    lost = await here.refresh(back["refresh_token"])
    assert (lost.status_code, lost.json()["error"]) == (400, "invalid_grant")
    assert [act["about"] for act in await here.acts()] == ["grant"]


async def test_whoever_is_barred_can_renew_nothing(fed_house: tuple[House, Provider]) -> None:
    here, idp = fed_house
    bea = await idp.user("bea")
    await idp.group("finance", bea["id"])
    first = (await here.redeem(await here.code())).json()
    await idp.send("PUT", f"/Users/{bea['id']}", {"schemas": [USER], "userName": "bea", "active": False,
                                                  ENTERPRISE: {"department": "finance"}})  # fmt: skip
    lost = await here.refresh(first["refresh_token"], there=True)
    assert (lost.status_code, lost.json()["error"]) == (400, "invalid_grant")


async def test_what_is_changed_is_in_the_ledger_and_names_nobody(fed_house: tuple[House, Provider]) -> None:
    here, idp = fed_house
    zoe = await idp.user("zoe")
    await idp.granted("zoe")
    group = await idp.group("finance", zoe["id"])
    await idp.send("GET", f"/Users/{zoe['id']}")
    await idp.send("DELETE", f"/Users/{zoe['id']}")
    reader = Provider(idp.company, await token(idp.company, "mintwarden:scim.read"))
    refused(await reader.send("DELETE", f"/Groups/{group['id']}"), 403)
    calls = await here.entries("administration")
    assert [(one["detail"]["operation"], one["detail"]["outcome"]) for one in calls] == [
        ("scim.users.create", "permitted"),
        ("scim.groups.create", "permitted"),
        ("scim.users.get", "permitted"),
        ("scim.users.delete", "permitted"),
        ("scim.groups.delete", "refused"),
    ]
    assert {one["actor"]["id"] for one in calls} == {"operator"}
    assert calls[4]["detail"]["target"] == group["id"]
    assert isinstance(calls[3]["detail"]["key"], int), "by the number of their sealing key"
    changed = [act for act in await here.acts("configuration") if act.get("change") == "directory changed"]
    assert [(act["source"], act["replaced"], act["forgotten"]) for act in changed] == [
        ("directory", 1, 0),
        ("directory", 1, 0),
        ("directory", 0, 1),
    ]
    assert "zoe" not in json.dumps([calls, changed])


async def test_two_nodes_that_change_one_group_lose_nothing(fed_house: tuple[House, Provider]) -> None:
    here, idp = fed_house
    people = [await idp.user(f"p{number}") for number in range(6)]
    group = await idp.group("finance")
    there = Provider(msgspec.structs.replace(here.company, http=here.there), idp.token)
    operations = [{"op": "add", "path": "members", "value": [{"value": one["id"]}]} for one in people]
    done = await asyncio.gather(
        *(
            (idp if at % 2 else there).patch(f"/Groups/{group['id']}", operation)
            for at, operation in enumerate(operations)
        )
    )
    assert {one.status_code for one in done} <= {204, 412}
    for one, answer in zip(people, done, strict=True):
        assert await idp.granted(one["userName"]) is (answer.status_code == 204)


# -- what implementers get wrong ------------------------------------------------------------------------------------


async def test_answers_are_scim(idp: Provider) -> None:
    made = await idp.send("POST", "/Users", {"schemas": [USER], "userName": "typed", ENTERPRISE: {"department": "x"}})
    assert made.status_code == 201
    assert made.headers["content-type"] == "application/scim+json"
    place = f"https://tokens.example.com/scim/v2/Users/{made.json()['id']}"
    assert made.headers["location"] == made.json()["meta"]["location"] == place
    plain = await idp.send("GET", "/Users?count=1", headers={"accept": "application/json"})
    assert plain.headers["content-type"] == "application/scim+json"
    for kind in ("application/scim+json; charset=utf-8", "application/json"):
        asked = {"schemas": [USER], "userName": kind, ENTERPRISE: {"department": "x"}}
        assert (await idp.send("POST", "/Users", asked, headers={"content-type": kind})).status_code == 201
    refused(await idp.send("POST", "/Users", {"userName": "x"}, headers={"content-type": "text/xml"}), 415)


async def test_errors_have_their_schema_and_a_status_in_text(idp: Provider) -> None:
    refused(await idp.send("GET", "/Users/nobody"), 404)
    refused(await idp.send("GET", "/nothing"), 404)
    refused(await idp.send("POST", "/Users", {"schemas": [USER]}), 400, "invalidValue")
    twice = (
        json.dumps({"schemas": [USER], "userName": "a", ENTERPRISE: {"department": "x"}})[:-1] + ', "userName": "b"}'
    )
    for body in (b"[", b"[]", b"", b"{}{}", twice.encode(), b"\xff"):
        refused(await idp.raw("/Users", body), 400, "invalidSyntax")
    refused(await idp.company.http.get("/scim/v2/Users"), 401)
    refused(await Provider(idp.company, "nonsense").send("GET", "/Users"), 401)


async def test_a_name_that_is_taken_is_a_conflict(idp: Provider) -> None:
    await idp.user("Unique")
    again = {"schemas": [USER], "userName": "unIQUE", ENTERPRISE: {"department": "x"}}
    refused(await idp.send("POST", "/Users", again), 409, "uniqueness")
    other = await idp.user("other")
    taken = await idp.patch(f"/Users/{other['id']}", {"op": "replace", "path": "userName", "value": "UNIQUE"})
    refused(taken, 409, "uniqueness")
    await idp.group("Taken")
    refused(await idp.send("POST", "/Groups", {"schemas": [GROUP], "displayName": "taken"}), 409, "uniqueness")


@pytest.mark.parametrize(
    "wrong",
    ["userName", "userName eq", 'userName is "x"', 'nothing eq "x"', 'userName eq "x" and', "(", "active gt true", '"'],
)
async def test_a_bad_filter(idp: Provider, wrong: str) -> None:
    refused(await idp.send("GET", "/Users", params={"filter": wrong}), 400, "invalidFilter")


async def test_filters(idp: Provider) -> None:
    anna = await idp.user("Filter.Anna", externalId="x-anna", title="Clerk", emails=[{"value": "a@b.example"}])
    bert = await idp.user("filter.bert", externalId="x-bert", displayName="Bert", active=False)
    group = await idp.group("filtered", anna["id"])

    async def found(filter_: str, path: str = "/Users", **more: str) -> list[str]:
        answer = await idp.send("GET", path, params={"filter": filter_, **more})
        assert answer.status_code == 200, answer.text
        told = answer.json()
        assert told["totalResults"] == len(told.get("Resources", []))
        return [one["id"] for one in told.get("Resources", [])]

    assert await found('userName eq "filter.ANNA"') == [anna["id"]]
    assert await found('USERNAME EQ "filter.anna"') == [anna["id"]]
    assert await found(f'{USER}:userName eq "filter.anna"') == [anna["id"]]
    assert await found('externalId eq "x-bert"') == [bert["id"]]
    assert await found('externalId eq "X-BERT"') == [], "an external id is compared exactly"
    assert await found(f'id eq "{bert["id"]}"') == [bert["id"]]
    assert await found('displayName eq "bert"') == [bert["id"]]
    assert await found('userName eq "filter.bert" and active eq true') == []
    assert await found('userName eq "filter.bert" and active eq false') == [bert["id"]]
    both = sorted([anna["id"], bert["id"]])
    assert await found('userName eq "filter.anna" or externalId eq "x-bert"') == both
    assert await found('userName sw "filter." and not (title pr)') == [bert["id"]]
    assert await found('userName co "ilter.a"') == [anna["id"]]
    assert await found('emails[value eq "a@b.example"]') == [anna["id"]]
    assert await found(f'{ENTERPRISE}:department eq "finance" and userName sw "filter."') == both
    assert await found('userName eq "nobody"') == []
    assert await found('displayName eq "Filtered"', "/Groups") == [group["id"]]
    assert await found('displayName eq "filtered"', "/Groups", excludedAttributes="members") == [group["id"]]
    # as Microsoft Entra ID asks whether somebody is in a group
    asked = f'id eq "{group["id"]}" and members eq "{anna["id"]}"'
    assert await found(asked, "/Groups", excludedAttributes="members") == [group["id"]]
    assert await found(asked.replace(anna["id"], bert["id"]), "/Groups") == []
    posted = await idp.send("POST", "/Users/.search", {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], "filter": 'userName eq "filter.anna"'
    })  # fmt: skip
    assert [one["id"] for one in posted.json()["Resources"]] == [anna["id"]]


async def test_pages_count_from_one(idp: Provider) -> None:
    for number in range(5):
        await idp.group(f"page-{number}")

    async def page(**query: Any) -> tuple[int, int, list[str]]:
        told = (await idp.send("GET", "/Groups", params={"filter": 'displayName sw "page-"', **query})).json()
        listed = [one["displayName"] for one in told.get("Resources", [])]
        assert told.get("itemsPerPage", 0) == len(listed)
        return told["totalResults"], told.get("startIndex", 1), listed

    _, _, everything = await page()
    assert len(everything) == 5
    assert await page(startIndex=1, count=2) == (5, 1, everything[:2])
    assert await page(startIndex=3, count=2) == (5, 3, everything[2:4])
    assert (await page(startIndex=0, count=2))[2] == (await page(startIndex=-7, count=2))[2] == everything[:2]
    assert (await page(startIndex=6))[0::2] == (5, [])
    assert (await page(count=0))[0::2] == (await page(count=-1))[0::2] == (5, [])
    counted = (await idp.send("GET", "/Users", params={"count": 0})).json()
    assert counted["totalResults"] > 0
    assert not counted.get("Resources")
    total = counted["totalResults"]
    seen = []
    for start in range(1, total + 1, 3):
        told = (await idp.send("GET", "/Users", params={"startIndex": start, "count": 3})).json()
        seen += [one["id"] for one in told["Resources"]]
    assert len(seen) == len(set(seen)) == total
    refused(await idp.send("GET", "/Users", params={"count": "many"}), 400, "invalidValue")


async def test_patches(idp: Provider) -> None:
    made = await idp.user("patched", displayName="P", emails=[{"value": "p@work.example", "type": "work"}])
    place = f"/Users/{made['id']}"
    refused(await idp.patch(place, {"op": "remove"}), 400, "noTarget")
    nowhere = {"op": "replace", "path": 'emails[type ne "work"]', "value": {"primary": True}}
    refused(await idp.patch(place, nowhere), 400, "noTarget")
    refused(await idp.patch(place, {"op": "add", "path": "nothing", "value": 1}), 400, "invalidPath")
    refused(await idp.patch(place, {"op": "move", "path": "title", "value": 1}), 400, "invalidValue")
    refused(await idp.patch(place, {"op": "replace", "path": "active", "value": "perhaps"}), 400, "invalidValue")
    refused(await idp.patch(place), 400, "invalidValue")
    other = {"schemas": [USER], "Operations": [{"op": "remove", "path": "title"}]}
    refused(await idp.send("PATCH", place, other), 400, "invalidSyntax")
    for op in ("Add", "ADD", "add"):
        done = await idp.patch(place, {"OP": op, "Path": "TITLE", "VALUE": op})
        assert done.status_code == 204, done.text
        assert (await idp.send("GET", place)).json()["title"] == op
    await idp.patch(
        place,
        {"op": "Replace", "path": 'emails[type eq "work"].value', "value": "new@work.example"},
        {"op": "Add", "path": f"{ENTERPRISE}:department", "value": "sales"},
        {"op": "Add", "path": f"{ENTERPRISE}:manager", "value": "00u-boss"},
        {"op": "remove", "path": "displayName"},
    )
    read = (await idp.send("GET", place)).json()
    assert read["emails"] == [{"value": "new@work.example", "type": "work"}]
    assert read[ENTERPRISE] == {"department": "sales", "manager": {"value": "00u-boss"}}
    assert "displayName" not in read
    # all or nothing
    refused(
        await idp.patch(place, {"op": "replace", "path": "title", "value": "no"}, {"op": "remove"}), 400, "noTarget"
    )
    assert (await idp.send("GET", place)).json()["title"] == "add"


async def test_patches_of_groups_in_every_dialect(idp: Provider) -> None:
    ids = [(await idp.user(f"member-{number}"))["id"] for number in range(4)]
    group = await idp.group("dialects")
    place = f"/Groups/{group['id']}"

    async def members(*operations: dict[str, Any]) -> list[str]:
        done = await idp.patch(place, *operations)
        assert done.status_code in (200, 204), done.text
        return sorted(one["value"] for one in (await idp.send("GET", place)).json().get("members", []))

    entra = {"op": "Add", "path": "members", "value": [{"value": ids[0]}, {"value": ids[1]}]}
    assert await members(entra) == sorted(ids[:2])
    okta = {"op": "add", "path": "members", "value": [{"value": ids[2], "display": "member-2"}]}
    assert await members(okta, okta) == sorted(ids[:3])
    assert await members({"op": "Remove", "path": "members", "value": [{"value": ids[0]}]}) == sorted(ids[1:3])
    assert await members({"op": "remove", "path": f'members[value eq "{ids[1]}"]'}) == [ids[2]]
    assert await members({"op": "replace", "path": "members", "value": [{"value": ids[3]}]}) == [ids[3]]
    assert await members({"op": "replace", "value": {"id": group["id"], "displayName": "renamed"}}) == [ids[3]]
    assert (await idp.send("GET", place)).json()["displayName"] == "renamed"
    assert await members({"op": "remove", "path": "members"}) == []


async def test_what_is_read_only_is_not_written(idp: Provider) -> None:
    given: dict[str, Any] = {"id": "mine", "meta": {"version": "mine"}, "groups": [{"value": "finance"}]}
    made = await idp.user("read-only", **given)
    assert made["id"] != "mine"
    assert "groups" not in made
    assert made["meta"]["version"] != "mine"
    place = f"/Users/{made['id']}"
    refused(await idp.patch(place, {"op": "replace", "path": "id", "value": "other"}), 400, "mutability")
    refused(await idp.patch(place, {"op": "add", "path": "groups", "value": [{"value": "g"}]}), 400, "mutability")
    refused(await idp.patch(place, {"op": "remove", "path": "userName"}), 400, "mutability")
    put = {"schemas": [USER], "userName": "read-only", ENTERPRISE: {"department": "x"}, **given}
    done = await idp.send("PUT", place, put)
    assert (done.status_code, done.json()["id"]) == (200, made["id"]), done.text
    assert "groups" not in done.json()


async def test_what_is_put_replaces_all_of_it(idp: Provider) -> None:
    made = await idp.user("put", title="Clerk", department="finance")
    put = {"schemas": [USER], "USERNAME": "put-2", ENTERPRISE: {"Department": "sales"}}
    done = await idp.send("PUT", f"/Users/{made['id']}", put)
    assert done.status_code == 200, done.text
    assert (done.json()["userName"], done.json().get("title")) == ("put-2", None)
    assert done.json()[ENTERPRISE] == {"department": "sales"}
    refused(await idp.send("PUT", "/Users/00000000-0000-4000-8000-000000000000", put), 404)


async def test_a_new_name_takes_the_facts_along(idp: Provider) -> None:
    made = await idp.user("maiden")
    await idp.group("movers", made["id"])
    renamed = await idp.group("finance-renamed", made["id"])
    await idp.patch(f"/Groups/{renamed['id']}", {"op": "replace", "path": "displayName", "value": "finance"})
    assert await idp.granted("maiden")
    await idp.patch(f"/Users/{made['id']}", {"op": "replace", "path": "userName", "value": "married"})
    assert not await idp.granted("maiden")
    assert await idp.granted("married")
    assert (await idp.send("DELETE", f"/Groups/{renamed['id']}")).status_code == 204
    assert not await idp.granted("married")


async def test_a_version_that_is_not_the_one_any_more(idp: Provider) -> None:
    made = await idp.user("versioned")
    place, old = f"/Users/{made['id']}", made["meta"]["version"]
    read = await idp.send("GET", place)
    assert read.headers["etag"] == old == 'W/"1"'
    assert (await idp.send("GET", place, headers={"if-none-match": old})).status_code == 304
    title = {"op": "replace", "path": "title", "value": "T"}
    assert (await idp.patch(place, title, headers={"if-match": old})).status_code == 204
    refused(await idp.patch(place, {**title, "value": "U"}, headers={"if-match": old}), 412)
    refused(await idp.send("DELETE", place, headers={"if-match": old}), 412)
    put = {"schemas": [USER], "userName": "versioned", ENTERPRISE: {"department": "x"}}
    refused(await idp.send("PUT", place, put, headers={"if-match": old}), 412)
    assert (await idp.send("GET", place)).json()["title"] == "T"
    # what changes nothing is no new version
    assert (await idp.patch(place, title)).status_code == 204
    assert (await idp.send("GET", place)).headers["etag"] == 'W/"2"'
    assert (await idp.send("DELETE", place, headers={"if-match": 'W/"2"'})).status_code == 204


async def test_a_password_is_kept_nowhere(tmp_path: Path) -> None:
    async with provider(tmp_path) as idp:
        made = await idp.user("secretive", password="hunter2-hunter2")
        place = f"/Users/{made['id']}"
        await idp.patch(place, {"op": "replace", "path": "password", "value": "hunter3-hunter3"})
        for answer in (
            await idp.send("GET", place),
            await idp.send("GET", place, params={"attributes": "password"}),
            await idp.send("GET", "/Users"),
        ):
            assert "password" not in json.dumps([made, answer.json()]).lower()
        asked = await idp.send("GET", "/Users", params={"filter": 'password eq "hunter3-hunter3"'})
        assert asked.json().get("totalResults", 0) == 0
    kept = b"".join(file.read_bytes() for file in tmp_path.rglob("*.db*"))
    assert b"secretive" in kept
    assert b"hunter" not in kept


async def test_discovery_is_read_and_takes_nothing(idp: Provider) -> None:
    config = (await idp.send("GET", "/ServiceProviderConfig")).json()
    assert {name: config[name]["supported"] for name in ("patch", "bulk", "filter", "sort", "etag", "changePassword")} == {
        "patch": True, "bulk": False, "filter": True, "sort": False, "etag": True, "changePassword": False
    }  # fmt: skip
    assert config["filter"]["maxResults"] == 200
    types = (await idp.send("GET", "/ResourceTypes")).json()
    assert {one["endpoint"]: one["schema"] for one in types["Resources"]} == {"/Users": USER, "/Groups": GROUP}
    schemas = (await idp.send("GET", "/Schemas")).json()
    assert {one["id"] for one in schemas["Resources"]} == {USER, GROUP, ENTERPRISE}
    assert (await idp.send("GET", f"/Schemas/{GROUP}")).json()["id"] == GROUP
    assert (await idp.send("GET", "/ResourceTypes/User")).json()["id"] == "User"
    for path in ("/ServiceProviderConfig", "/ResourceTypes", "/ResourceTypes/User", "/Schemas", f"/Schemas/{USER}"):
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            answer = await idp.send(method, path, {} if method != "DELETE" else None)
            refused(answer, 405)
            assert answer.headers["allow"] == "GET"
    for path in ("/Schemas", "/ResourceTypes"):
        refused(await idp.send("GET", path, params={"filter": 'id eq "User"'}), 403)


async def test_what_is_not_supported_says_so(idp: Provider) -> None:
    bulk = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": []}
    refused(await idp.send("POST", "/Bulk", bulk), 501)
    refused(await idp.send("GET", "/Me"), 501)
    refused(await idp.send("GET", "/Users", params={"sortBy": "userName"}), 501)
    refused(await idp.send("GET", "/", params={"filter": 'userName eq "x"'}), 501)


async def test_attributes_that_are_wanted_or_not(idp: Provider) -> None:
    made = await idp.user("wanted", title="T", displayName="D")
    group = await idp.group("wanted", made["id"])
    only = (await idp.send("GET", f"/Users/{made['id']}", params={"attributes": "userName"})).json()
    assert only.keys() - {"meta"} == {"schemas", "id", "userName"}
    less = (await idp.send("GET", f"/Groups/{group['id']}", params={"excludedAttributes": "members"})).json()
    assert "members" not in less
    assert less["displayName"] == "wanted"


async def test_attributes_that_nobody_knows_are_refused_and_others_never_become_facts(idp: Provider) -> None:
    unknown = {"schemas": [USER], "userName": "unknown", "clearance": "top", ENTERPRISE: {"department": "x"}}
    assert "clearance" in refused(await idp.send("POST", "/Users", unknown), 400, "invalidSyntax")
    await idp.user("extra", title="Chief", roles=[{"value": "admin"}], entitlements=[{"value": "everything"}])
    form = {"grant_type": "client_credentials", "scope": "mintwarden:facts.read",
            "resource": "https://tokens.example.com/admin"}  # fmt: skip
    headers = {"authorization": f"Bearer {await idp.company.token('operator', **form)}"}
    told = await idp.company.http.get("/admin/v1/facts", params={"entity": "User:extra"}, headers=headers)
    (document,) = told.json()["documents"]
    assert document["facts"] == {"department": "finance"}


async def test_a_required_fact_that_is_not_there(idp: Provider) -> None:
    detail = refused(await idp.send("POST", "/Users", {"schemas": [USER], "userName": "bare"}), 400, "invalidValue")
    assert "department" in detail
    assert (await idp.send("GET", "/Users", params={"filter": 'userName eq "bare"'})).json()["totalResults"] == 0


async def test_where_no_source_is_fed_nothing_is_there(tmp_path: Path) -> None:
    async with provider(tmp_path, edit=without_feed) as idp:
        for path in ("/Users", "/ServiceProviderConfig", ""):
            refused(await idp.send("GET", path), 404)


def without_feed(bundle: Path) -> None:
    fed(bundle, feed="")
