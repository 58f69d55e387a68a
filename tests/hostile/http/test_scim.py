"""SCIM under identity providers, and others, that mean it no good: each attack by its name."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from joserfc.jwk import ECKey

from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from mintwarden.context.ports import FactRow
from mintwarden.feeds.scim import changes, dialects
from mintwarden.policy.bundle.load import load_bundle
from mintwarden.policy.bundle.problem import BundleRefused
from mintwarden.web import scim
from tests.flow.company import PAYMENTS, write_company
from tests.flow.feeding import ENTERPRISE, FEED, GROUP, PATCH, USER, Provider, fed, provider, token
from tests.flow.test_scim import refused

pytestmark = pytest.mark.asyncio(loop_scope="module")

ADMINISTRATORS = """
@id("chiefs-administer") @owner("Token Governance") @reason("chiefs administer")
permit (principal is User, action == Action::"issue", resource in Audience::"mintwarden")
when { principal in Group::"chiefs" };
@id("desk-acts") @owner("Token Governance") @reason("the agent works for chiefs")
permit (principal == Agent::"helper", action == Action::"act", resource in Audience::"mintwarden");
@id("guard-chiefs") @owner("Token Governance") @reason("interns change nothing here")
forbid (principal is User, action == Action::"issue", resource in Audience::"mintwarden")
when { principal in Group::"interns" };
"""
BY_FACT = """
@id("security-administers") @owner("Token Governance") @reason("security administers")
permit (principal is User, action == Action::"issue", resource in Audience::"mintwarden")
when { principal.department == "security" };
"""


def administered(bundle: Path) -> None:
    """Chiefs administer, through an agent that may."""
    fed(bundle, rules=ADMINISTRATORS)
    helper = bundle / "clients/helper.toml"
    helper.write_text(helper.read_text().replace('payments = "*"', 'payments = "*"\nmintwarden = "*"', 1))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def idp(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Provider]:
    folder = tmp_path_factory.mktemp("company")
    async with provider(folder, server="admin_rate = 1000\nadmin_burst = 10000\n", edit=administered) as made:
        yield made


def a_user(name: str, **more: Any) -> dict[str, Any]:
    return {"schemas": [USER, ENTERPRISE], "userName": name, ENTERPRISE: {"department": "x"}, **more}


# -- who may ---------------------------------------------------------------------------------------------------------


async def test_tokens_of_other_audiences_and_scopes(idp: Provider) -> None:
    company = idp.company
    own = {"grant_type": "client_credentials"}
    elsewhere = await company.token("batch", **own, scope="payments:read", resource=PAYMENTS)
    refused(await Provider(company, elsewhere).send("GET", "/Users"), 401)
    for scope in ("mintwarden:directory.write", "mintwarden:facts.write:directory", "mintwarden:facts.write"):
        other = Provider(company, await token(company, scope))
        for answer in (await other.send("GET", "/Users"), await other.send("POST", "/Users", a_user("x"))):
            refused(answer, 403)
            assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
    reader = Provider(company, await token(company, "mintwarden:scim.read"))
    assert (await reader.send("GET", "/Users")).status_code == 200
    search = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], "count": 1}
    assert (await reader.send("POST", "/Users/.search", search)).status_code == 200
    made = await idp.user("read-by-reader")
    for method, path in (
        ("POST", "/Users"),
        ("PUT", f"/Users/{made['id']}"),
        ("PATCH", f"/Users/{made['id']}"),
        ("DELETE", f"/Users/{made['id']}"),
        ("POST", "/Bulk"),
    ):
        refused(await reader.send(method, path, {} if method != "DELETE" else None), 403)
    assert (await idp.send("GET", f"/Users/{made['id']}")).status_code == 200


async def test_a_token_that_was_revoked(tmp_path: Path) -> None:
    async with provider(tmp_path) as idp:
        auth = ("operator", idp.company.secrets["operator"])
        assert (await idp.send("GET", "/Users")).status_code == 200
        await idp.company.http.post("/revoke", data={"token": idp.token}, auth=auth)
        refused(await idp.send("GET", "/Users"), 401)
        refused(await idp.send("POST", "/Users", a_user("late")), 401)


async def test_whoever_calls_too_often_waits(tmp_path: Path) -> None:
    async with provider(tmp_path, server="admin_rate = 0.001\nadmin_burst = 3\n") as idp:
        assert [(await idp.send("GET", "/Users")).status_code for _ in range(4)] == [200, 200, 200, 429]
        assert int((await idp.send("GET", "/Users")).headers["retry-after"]) > 1


# -- whom it may say something of --------------------------------------------------------------------------------------


async def test_a_feed_makes_no_administrators(idp: Provider) -> None:
    mallory = await idp.user("mallory")
    members = [{"value": mallory["id"]}]
    for group in ("chiefs", "interns"):
        refused(await idp.send("POST", "/Groups", {"schemas": [GROUP], "displayName": group, "members": members}), 403)
        refused(await idp.send("POST", "/Groups", {"schemas": [GROUP], "displayName": group}), 403)
    harmless = await idp.group("harmless", mallory["id"])
    rename = {"op": "replace", "path": "displayName", "value": "chiefs"}
    refused(await idp.patch(f"/Groups/{harmless['id']}", rename), 403)
    put = {"schemas": [GROUP], "displayName": "chiefs", "members": members}
    refused(await idp.send("PUT", f"/Groups/{harmless['id']}", put), 403)
    signed_in = idp.company.signed_in("mallory", 0)
    form = {"scope": "mintwarden:policy.read", "resource": "https://tokens.example.com/admin"}
    assert (await idp.company.exchange("helper", signed_in, **form)).status_code == 400
    # what is called alike is another group to every rule
    assert await idp.group("Chiefs", mallory["id"])


async def test_what_was_said_before_a_rule_looked_at_it_makes_no_administrators(idp: Provider) -> None:
    """A group is fed while no rule knows it; the next version's rule about administration names it."""
    await idp.user("early")
    company, groups = idp.company, ["accounts-payable", "chiefs"]
    document = json.dumps({"facts": {"department": "finance"}, "groups": groups}).encode()
    async with foundation(load_config(company.folder / "mintwarden.toml", environ={})) as base:
        await base.store.facts.put([("User:early", FactRow("directory", document, base.clock.now()))])
    signed_in = company.signed_in("early", int(time.time()))
    form = {"scope": "mintwarden:policy.read", "resource": "https://tokens.example.com/admin"}
    assert (await company.exchange("helper", signed_in, **form)).status_code == 400


async def test_a_feed_makes_no_administrators_by_a_fact(tmp_path: Path) -> None:
    """A version whose rule about administration reads what SCIM feeds never governs, whatever was said before."""
    key = ECKey.generate_key("P-256")
    write_company(tmp_path, key, key, edit=functools.partial(fed, rules=BY_FACT))
    with pytest.raises(BundleRefused, match="`security-administers` is about administration"):
        load_bundle(tmp_path / "bundle")


async def test_administrators_come_over_scim_where_the_bundle_says_so(tmp_path: Path) -> None:
    feed = FEED.replace("[sources.directory.scim]", "[sources.directory.scim]\nadministrators = true", 1)
    edit = functools.partial(fed, rules=ADMINISTRATORS, feed=feed)
    async with provider(tmp_path, edit=edit) as idp:
        assert await idp.group("chiefs", (await idp.user("ann"))["id"])


@pytest.mark.parametrize("name", ["User:bob", "client:batch", "Workload:operator", "world:", 'x" or "1"="1', "../bob"])
async def test_nobody_is_anything_but_a_user(idp: Provider, name: str) -> None:
    """A name that looks like another entity is a person who is called so, and nobody else."""
    await idp.user(name)
    form = {"grant_type": "client_credentials", "scope": "mintwarden:facts.read",
            "resource": "https://tokens.example.com/admin"}  # fmt: skip
    headers = {"authorization": f"Bearer {await idp.company.token('operator', **form)}"}
    for entity, said in ((f"User:{name}", ["directory"]), (name, [])):
        told = await idp.company.http.get("/admin/v1/facts", params={"entity": entity}, headers=headers)
        if told.status_code == 200:
            assert [one["source"] for one in told.json()["documents"]] == said
        else:
            assert said == []


@pytest.mark.parametrize(
    "name",
    ["a\u0000b", "a\nb", "a\u202eb", " padded", "padded ", "", "x" * 513, "\u2028", "a\u200bb"],
    ids=["null", "line", "turned", "before", "behind", "nothing", "long", "separator", "invisible"],
)
async def test_names_that_nobody_can_have(idp: Provider, name: str) -> None:
    refused(await idp.send("POST", "/Users", a_user(name)), 400, "invalidValue")
    refused(await idp.send("POST", "/Groups", {"schemas": [GROUP], "displayName": name}), 400, "invalidValue")
    if name:
        refused(await idp.send("POST", "/Users", a_user("named", externalId=name)), 400, "invalidValue")
        asked = {"filter": f"userName eq {json.dumps(name)}"}
        assert (await idp.send("GET", "/Users", params=asked)).json()["totalResults"] == 0


async def test_half_a_character(idp: Provider) -> None:
    refused(
        await idp.raw("/Users", b'{"schemas": ["%s"], "userName": "\\ud800"}' % USER.encode()), 400, "invalidSyntax"
    )


# -- how much it may ask for -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'{"name":{"x":['])
async def test_json_that_is_nested_without_end(idp: Provider, opening: bytes) -> None:
    refused(await idp.raw("/Users", opening * (200_000 // len(opening))), 400, "invalidSyntax")


async def test_a_body_that_is_too_large(idp: Provider) -> None:
    refused(await idp.raw("/Users", b" " * (scim.MAX_BODY + 1)), 413)
    refused(await idp.send("POST", "/Users", a_user("large", title="x" * changes.LONGEST)), 413)
    refused(await idp.raw("/Users", b"{}", **{"content-encoding": "gzip"}), 415)


async def test_groups_have_a_bounded_number_of_members(tmp_path: Path) -> None:
    async with provider(tmp_path) as idp:
        alice = await idp.user("alice")
        nobody = [{"value": f"00000000-0000-4000-8000-{number:012}"} for number in range(changes.MOST_MEMBERS + 1)]
        many = {"schemas": [GROUP], "displayName": "many", "members": nobody}
        refused(await idp.send("POST", "/Groups", many), 413)
        refused(await idp.send("POST", "/Groups", {**many, "members": nobody[:1]}), 400, "invalidValue")
        twice = {**many, "members": [{"value": alice["id"]}] * 5_000}
        made = await idp.send("POST", "/Groups", twice)
        assert [one["value"] for one in made.json()["members"]] == [alice["id"]]


async def test_groups_hold_no_groups_and_nothing_of_elsewhere(idp: Provider) -> None:
    one = await idp.group("outer")
    for member in (one["id"], "nobody", "", "\u0000", "../Users/x"):
        again = {"schemas": [GROUP], "displayName": "inner", "members": [{"value": member}]}
        refused(await idp.send("POST", "/Groups", again), 400, "invalidValue")
        add = {"op": "add", "path": "members", "value": [{"value": member}]}
        refused(await idp.patch(f"/Groups/{one['id']}", add), 400, "invalidValue")


async def test_a_patch_without_end(idp: Provider) -> None:
    made, group = await idp.user("patched"), await idp.group("patched")
    title = {"op": "replace", "path": "title", "value": "x"}
    refused(await idp.patch(f"/Users/{made['id']}", *[title] * (dialects.MOST_OPERATIONS + 1)), 413)
    walk = {"op": "remove", "path": 'members[value eq "x" or value eq "y"]'}
    refused(await idp.patch(f"/Groups/{group['id']}", *[walk] * (dialects.MOST_WALKS + 1)), 413)
    long = {"op": "remove", "path": f'emails[{"(" * 600}type eq "x"{")" * 600}]'}
    refused(await idp.patch(f"/Users/{made['id']}", long), 400, "invalidSyntax")
    moves = [{"op": "remove", "path": f'members[value eq "{number}"]'} for number in range(dialects.MOST_OPERATIONS)]
    assert (await idp.patch(f"/Groups/{group['id']}", *moves)).status_code == 204


async def test_filters_in_a_patch_without_end(idp: Provider) -> None:
    """A thousand filters over a thousand addresses took a minute and a half of the processor, for one request."""
    emails = [{"value": f"{number}@example.com"} for number in range(1_200)]
    made = await idp.user("of-many-addresses", emails=emails)
    path = 'emails[value eq "5@example.com" or value co "x" or value co "y"].type'
    change = {"op": "replace", "path": path, "value": "work"}
    refused(await idp.patch(f"/Users/{made['id']}", *[change] * 100), 413)
    bringing = {"op": "add", "path": "emails", "value": emails[:600]}
    few = await idp.user("of-few-addresses")
    refused(await idp.patch(f"/Users/{few['id']}", bringing, *[change] * 100), 413)
    assert (await idp.patch(f"/Users/{made['id']}", *[change] * 5)).status_code == 204


@pytest.mark.parametrize("first", ["operations", "Operations", "OPERATIONS"])
async def test_operations_that_are_written_twice(idp: Provider, first: str) -> None:
    """Names of attributes have no case: of two that differ in it alone, one would be read and the other be done."""
    made = await idp.user(f"twice-{first.encode().hex()}")
    second = "operations" if first == "Operations" else "Operations"
    one = {"op": "replace", "path": "title", "value": "x"}
    many = [one] * (dialects.MOST_OPERATIONS + 1)
    body = {"schemas": [PATCH], first: [one], second: many}
    detail = refused(await idp.send("PATCH", f"/Users/{made['id']}", body), 400, "invalidSyntax")
    assert "differ in case alone" in detail
    assert "title" not in (await idp.send("GET", f"/Users/{made['id']}")).json()


async def test_attributes_that_are_written_twice(idp: Provider) -> None:
    for content in (
        {**a_user("said-twice"), "active": True, "ACTIVE": False},
        a_user("said-twice") | {"name": {"givenName": "a", "givenname": "b"}},
    ):
        refused(await idp.send("POST", "/Users", content), 400, "invalidSyntax")
    made = await idp.user("said-once")
    replace = {"op": "replace", "value": {"title": "a", "Title": "b"}}
    refused(await idp.patch(f"/Users/{made['id']}", replace), 400, "invalidSyntax")


async def test_a_patch_that_is_none(idp: Provider) -> None:
    """What is read elsewhere than by the library is no way around what the library refuses."""
    group = await idp.group("not-patched")
    place = f"/Groups/{group['id']}"
    leave = {"op": "remove", "path": "members"}
    refused(await idp.send("PATCH", place, {"schemas": [USER], "Operations": [leave]}), 400, "invalidSyntax")
    refused(await idp.send("PATCH", place, {"schemas": [PATCH], "Operations": []}), 400, "invalidValue")
    refused(await idp.send("PATCH", place, {"schemas": [PATCH], "Operations": [leave, 5]}), 400, "invalidValue")
    refused(await idp.send("PATCH", place, {"schemas": [PATCH]}), 400, "invalidValue")
    refused(await idp.patch(place, {"op": "add", "path": "members", "value": [{"value": "x", "role": "y"}]}), 400,
            "invalidValue")  # fmt: skip
    refused(await idp.patch(place, leave, {"op": "replace", "path": "id", "value": "x"}), 400, "mutability")
    refused(await idp.patch("/Groups/nobody", leave), 404)


@pytest.mark.parametrize(
    "filter_",
    [
        " or ".join(['userName eq "x"'] * 200),
        "(" * 900 + 'userName eq "x"' + ")" * 900 + " " * 400,
        "not (" * 100 + 'userName eq "x"' + ")" * 100,
    ],
    ids=["long", "wrapped", "negated"],
)
async def test_filters_without_end(idp: Provider, filter_: str) -> None:
    refused(await idp.send("GET", "/Users", params={"filter": filter_}), 400, "invalidFilter")
    search = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], "filter": filter_}
    refused(await idp.send("POST", "/Users/.search", search), 400, "invalidFilter")


async def test_requests_that_say_two_things(idp: Provider) -> None:
    headers = {"content-type": "application/scim+json", "authorization": f"Bearer {idp.token}"}
    http = idp.company.http
    twice = [*headers.items(), ("if-match", 'W/"1"'), ("if-match", "*")]
    refused(await http.request("DELETE", "/scim/v2/Users/x", headers=twice), 400, "invalidSyntax")
    tokens = [("authorization", f"Bearer {idp.token}"), ("authorization", "Bearer x")]
    refused(await http.get("/scim/v2/Users", headers=tokens), 400, "invalidSyntax")
    refused(await http.get("/scim/v2/Users?count=1&count=2", headers=headers), 400, "invalidSyntax")
    refused(await http.get("/scim/v2/Users?filter=%ff", headers=headers), 400, "invalidSyntax")
    refused(await http.get(f"/scim/v2/Users?filter={'x' * 9_000}", headers=headers), 400, "invalidSyntax")
    assert (await http.get("/scim/v2/Users?aadOptscim062020", headers=headers)).status_code == 200


async def test_places_that_are_none(idp: Provider) -> None:
    nowhere = (
        "/Users/%2e%2e%2fGroups",
        "/users",
        "/Users/x/y",
        "x",
        "/Users/" + "a" * 36,
        "/Users/%00",
        "//Users",
        "/Users/",
    )
    for path in nowhere:
        refused(await idp.send("GET", path), 404)
        twice = await idp.raw(path, b'{"userName": "a", "userName": "b"}')
        assert twice.status_code in (400, 404), path
    group = await idp.group("a-group")
    refused(await idp.send("GET", f"/Users/{group['id']}"), 404)
    refused(await idp.send("DELETE", f"/Users/{group['id']}"), 404)
    assert (await idp.send("GET", f"/Groups/{group['id']}")).status_code == 200


async def test_nothing_that_was_said_wrongly_tells_of_our_insides(idp: Provider) -> None:
    for content in (
        {"schemas": [USER], "userName": ["x"]},
        {"schemas": [USER], "userName": "x", "active": {"a": 1}},
        {"schemas": ["urn:nothing"], "userName": "x"},
        {"schemas": USER, "userName": "x"},
        {"schemas": [USER], "userName": "x", "emails": "x"},
        {"schemas": [USER], "userName": "x", "emails": [{"value": "a"}] * 5_000, "name": []},
    ):
        answer = await idp.send("POST", "/Users", content)
        assert answer.status_code == 400, answer.text
        assert len(answer.json()["detail"]) <= 500
        assert "pydantic" not in answer.text
