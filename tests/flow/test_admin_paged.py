"""Every list of the administration API comes page by page, over real HTTP, and no page is larger than it may be."""

from __future__ import annotations

import time
import typing
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from mintwarden.app.memory import memory_of
from mintwarden.govern.ports import StoredVersion
from mintwarden.web.admin.api import OPERATIONS
from mintwarden.web.admin.operation import MAX_PAGE, Paged, Strict
from tests.flow.company import Company, running
from tests.flow.test_admin_frame import bearer
from tests.flow.test_administration import problem
from tests.flow.withdrawing import lasting

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOUR = 3_600_000
MANY = MAX_PAGE + 5
ONE_OF_ITS_KIND: Mapping[str, str] = {
    "facts.show": "what sources of the bundle say about one entity",
    "exceptions.show": "who approved one exception",
    "clients.show": "keys and secrets of one client",
    "reviews.show": "versions that one review is about",
    "versions.standing": "the signatures that approvers of the bundle gave",
}
"""Operations that read and list nothing that anybody can make longer, and why."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def company(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Company]:
    folder: Path = tmp_path_factory.mktemp("paged")
    async with running(folder, server="admin_rate = 10000\nadmin_burst = 10000\n") as found:
        async with foundation(load_config(folder / "mintwarden.toml", environ={})) as base:
            memory, now = memory_of(base), int(time.time() * 1000)
            for person in ("alice", "bob"):
                await base.store.states.add([memory.kept(lasting(number, now, person)) for number in range(MANY)])
            for letter in "dbeac":
                await base.store.versions.put_version(StoredVersion(f"sha256:{letter * 64}", b"", now), [])
        yield found


async def get(company: Company, path: str, *scopes: str, **params: object) -> Any:
    return await company.http.get(
        f"/admin/v1{path}", params={k: str(v) for k, v in params.items()}, headers=await bearer(company, *scopes)
    )


async def pages(company: Company, path: str, *scopes: str, **params: object) -> list[dict[str, Any]]:
    """Every page."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await get(company, path, *scopes, **params, **cursor)
        assert answer.status_code == 200, answer.text
        found.append(answer.json())
        if not found[-1]["cursor"]:
            return found
        cursor = {"cursor": found[-1]["cursor"]}
        assert len(found) < 500, "it comes to an end"


async def test_grants_come_page_by_page_what_lasts_longest_first(company: Company) -> None:
    found = await pages(company, "/grants", "tokens.revoke", subject="User:alice", limit=MAX_PAGE)
    assert [len(page["grants"]) for page in found] == [MAX_PAGE, MANY - MAX_PAGE]
    names = [one["grant"] for page in found for one in page["grants"]]
    assert names == [f"alice-{number}" for number in range(MANY)]
    assert len((await get(company, "/grants", "tokens.revoke", subject="User:alice")).json()["grants"]) == 50
    assert "alice" not in found[0]["cursor"]


async def test_what_ends_meanwhile_makes_nothing_come_twice_or_not_at_all(company: Company) -> None:
    first = (await get(company, "/grants", "tokens.revoke", subject="User:bob", limit=10)).json()
    for gone in ("bob-9", "bob-12"):
        ended = await company.http.post(
            "/admin/v1/revocations",
            json={"grant": gone, "reason": "test"},
            headers=await bearer(company, "tokens.revoke", **{"idempotency-key": f"ends-{gone}"}),
        )
        assert ended.status_code == 200, ended.text
    more = {"subject": "User:bob", "limit": 10, "cursor": first["cursor"]}
    second = (await get(company, "/grants", "tokens.revoke", **more)).json()
    assert [one["grant"] for one in second["grants"]] == [f"bob-{n}" for n in range(10, 20) if n != 12]
    assert second["cursor"], "a page from which something is left out is not the last"


async def test_cursors_of_grants_lead_nowhere_else(company: Company) -> None:
    """Another person's, forged, cut, another operation's, another caller's, and more than a page may hold."""
    cursor = (await get(company, "/grants", "tokens.revoke", subject="User:alice", limit=2)).json()["cursor"]
    keys = (await get(company, "/keys", "keys.read", limit=1)).json()["cursor"]
    for params in (
        {"subject": "User:bob", "cursor": cursor},
        {"subject": "User:alice", "cursor": cursor[:-2] + ("AA" if cursor[-2:] != "AA" else "BB")},
        {"subject": "User:alice", "cursor": cursor[:-1]},
        {"subject": "User:alice", "cursor": keys},
        {"subject": "User:alice", "cursor": "AAAA"},
        {"subject": "User:alice", "cursor": "A" * 4000},
        {"subject": "User:alice", "limit": MAX_PAGE + 1},
        {"subject": "User:alice", "limit": 0},
        {"subject": "User:alice", "limit": -1},
        {"cursor": cursor},
    ):
        answer = await get(company, "/grants", "tokens.revoke", **params)
        assert (answer.status_code, problem(answer)) == (400, "invalid_request"), params
        assert "alice-" not in answer.text
    assert (await get(company, "/grants", "tokens.revoke", subject="User:alice", cursor=cursor)).status_code == 200


@pytest.mark.parametrize(
    ("path", "scope", "name", "key"),
    [
        ("/modes", "modes.read", "modes", lambda one: one["audience"]),
        ("/sources", "directory.read", "sources", lambda one: one["id"]),
        ("/keys", "keys.read", "keys", lambda one: one["kid"]),
        ("/clients", "clients.read", "clients", lambda one: one["id"]),
        ("/findings", "findings.read", "findings", lambda one: one["id"]),
        ("/versions", "policy.read", "versions", lambda one: one["digest"]),
    ],
)
async def test_what_comes_one_by_one_is_what_comes_at_once(
    company: Company, path: str, scope: str, name: str, key: Callable[[Any], Any]
) -> None:
    whole = (await get(company, path, scope, limit=MAX_PAGE)).json()
    assert whole["cursor"] == ""
    each = await pages(company, path, scope, limit=1)
    assert [len(page[name]) for page in each] == [1] * max(len(whole[name]), 1)
    assert [key(page[name][0]) for page in each] == [key(one) for one in whole[name]]


async def test_an_owner_of_much_comes_on_several_pages(company: Company) -> None:
    (whole,) = await pages(company, "/owners", "owners.read", limit=MAX_PAGE)
    each = await pages(company, "/owners", "owners.read", limit=3)
    assert all(sum(len(owner["owns"]) for owner in page["owners"]) <= 3 for page in each)
    assert len(each) > 2
    together: dict[str, list[Any]] = {}
    for page in each:
        for owner in page["owners"]:
            together.setdefault(owner["owner"], []).extend(owner["owns"])
    assert together == {owner["owner"]: owner["owns"] for owner in whole["owners"]}


async def test_reviews_come_page_by_page(company: Company) -> None:
    headers = await bearer(company, "policy.read")
    asked = []
    for number in range(3):
        sent = await company.http.post(
            "/admin/v1/reviews/lint", json={}, headers={**headers, "idempotency-key": f"lint-review-{number}"}
        )
        assert sent.status_code == 202, sent.text
        asked.append(sent.json()["id"])
    found = await pages(company, "/reviews", "policy.read", limit=2)
    assert [[one["id"] for one in page["reviews"]] for page in found] == [asked[:2], asked[2:]]


async def test_no_operation_lists_without_pages() -> None:
    """INVARIANT: whatever is read and has a list at its top is paged, or stands here with a reason."""
    bare = set()
    for operation in OPERATIONS:
        hints = typing.get_type_hints(operation.answer) if isinstance(operation.answer, type) else {}
        has_list = any(typing.get_origin(hint) in (tuple, list) for hint in hints.values())
        if operation.method == "GET" and has_list and not issubclass(operation.query or Strict, Paged):
            bare.add(operation.id)
    assert bare == ONE_OF_ITS_KIND.keys()
