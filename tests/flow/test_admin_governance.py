"""Bundle versions, modes and exceptions over HTTP: the acts' own rules hold, whoever sends them."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest

from mintwarden.policy.approve.statement import Act, Statement
from mintwarden.policy.bundle.load import build_bundle
from mintwarden.web.admin.operation import SLOW
from tests.flow.company import ADMIN, JWT_TYPE, Company, running
from tests.flow.test_admin_clients import fresh
from tests.flow.test_administration import problem
from tests.unit.govern.exceptional import key_of

PEOPLE = ("ann", "ben", "rita")
ALL = " ".join(
    f"mintwarden:{scope}"
    for scope in (
        *(f"policy.{verb}" for verb in ("read", "propose", "approve", "activate")),
        *(f"exceptions.{verb}" for verb in ("read", "request", "approve", "revoke")),
        *("modes.read", "findings.read", "findings.write"),
    )
)
APPROVERS = """
[approvals]
required = 1
[approvals.break_glass]
required = 1
max = "1h"
""" + "".join(
    f'[[approvers]]\nname = "{name.title()}"\nuser = "{name}"\nkeys = ["{key_of(name).text}"]\n' for name in PEOPLE
)
TIER = 'description = "reads"'
RULES = """
@id("people-administer") @owner("Token Governance") @reason("people administer")
permit (principal is User, action == Action::"issue", resource in Audience::"mintwarden");
@id("desk-administers") @owner("Token Governance") @reason("by way of the desk")
permit (principal == Workload::"web", action == Action::"act", resource in Audience::"mintwarden");
"""


def edit(bundle: Path) -> None:
    head, web = bundle / "bundle.toml", bundle / "clients/web.toml"
    head.write_text(head.read_text().replace(TIER, f'{TIER}\nexception_max = "7d"\nexception_approvals = 1'))
    web.write_text(web.read_text() + 'mintwarden = "*"\n')


@contextlib.asynccontextmanager
async def governed(folder) -> AsyncIterator[Company]:
    async with running(folder, registration=APPROVERS, rules=RULES, edit=edit) as company:
        yield company


@pytest.fixture
async def office(tmp_path) -> AsyncIterator[Company]:
    async with governed(tmp_path) as company:
        yield company


async def token_of(company: Company, person: str, scopes: str) -> str:
    """A token of somebody for the administration."""
    shown = company.signed_in(person, int(time.time()), amr=["pwd"])
    answer = await company.exchange("web", shown, JWT_TYPE, scope=scopes, resource=ADMIN)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


async def call(
    company: Company, method: str, path: str, body: object = None, *, by: str = "rita", key: str = "",
    if_match: str = "", token: str = "", scopes: str = ALL, **params: str
):  # fmt: skip
    token = token or await token_of(company, by, scopes)
    headers = {"authorization": f"Bearer {token}", **(fresh() if method == "POST" else {})}
    headers |= {"idempotency-key": key} if key else {}
    headers |= {"if-match": if_match} if if_match else {}
    if body is not None:
        headers["content-type"] = "application/json"
    content = None if body is None else json.dumps(body).encode()
    return await company.http.request(
        method, f"/admin/v1{path}", headers=headers, params=params, content=content, timeout=SLOW
    )


def wanted(**changes: object) -> dict[str, object]:
    return {
        "principal": "User:bob",
        "scope": "payments:read",
        "expires_at": (datetime.now(UTC) + timedelta(hours=1)).isoformat(),
        "reason": "the migration is late",
        "ticket": "OPS-7",
        "control": "reviewed daily",
        **changes,
    }


async def approved(company: Company, exception: str, person: str) -> httpx2.Response:
    said = (await call(company, "GET", f"/exceptions/{exception}/statement", name=person.title())).json()["statement"]
    text = f"{said}\n{key_of(person).armor(said.encode())}"
    return await call(company, "POST", f"/exceptions/{exception}/approvals", {"approval": text})


async def test_an_exception_from_its_request_to_its_end(office):
    asked = await call(office, "POST", "/exceptions", wanted())
    assert asked.status_code == 201, asked.text
    assert (asked.json()["state"], asked.json()["requester"]) == ("requested", "User:rita")
    name = asked.json()["id"]
    own = await approved(office, name, "rita")
    assert (own.status_code, own.json()["hint"]) == (400, "own_work")
    active = await approved(office, name, "ann")
    assert (active.status_code, active.json()["state"], active.json()["approved_by"]) == (200, "active", ["Ann"])
    again = await approved(office, name, "ben")
    assert (again.status_code, problem(again)) == (409, "conflict")
    listed = (await call(office, "GET", "/exceptions")).json()["exceptions"]
    assert [one["id"] for one in listed] == [name]
    ended = await call(office, "POST", f"/exceptions/{name}/revocation", {"reason": "done"})
    assert (ended.status_code, ended.json()["state"]) == (200, "revoked")
    assert (await call(office, "GET", "/exceptions")).json()["exceptions"] == []
    assert len((await call(office, "GET", "/exceptions", all="true")).json()["exceptions"]) == 1


async def test_exceptions_come_page_by_page_whatever_begins_and_ends_meanwhile(office):
    async def ask() -> str:
        return (await call(office, "POST", "/exceptions", wanted())).json()["id"]

    async def page(**params: str) -> tuple[list[str], str]:
        answer = (await call(office, "GET", "/exceptions", **params)).json()
        return [one["id"] for one in answer["exceptions"]], answer["cursor"]

    names = [await ask() for _ in range(4)]
    first, cursor = await page(limit="2")
    assert (first, bool(cursor)) == (names[:2], True)
    await call(office, "POST", f"/exceptions/{names[0]}/revocation", {"reason": "done"})
    await call(office, "POST", f"/exceptions/{names[2]}/revocation", {"reason": "done"})
    names.append(await ask())
    assert await page(limit="2", cursor=cursor) == ([names[3], names[4]], "")
    assert await page(limit="9", all="true") == (names, "")
    other = await call(office, "GET", "/exceptions", limit="2", all="true", cursor=cursor)
    assert (other.status_code, problem(other)) == (400, "invalid_request"), "a cursor is of its query alone"
    stolen = await call(office, "GET", "/exceptions", limit="2", cursor=cursor, by="ben")
    assert (stolen.status_code, problem(stolen)) == (400, "invalid_request"), "and of whoever was given it"


async def test_an_exception_goes_on_as_a_new_decision_with_its_use_in_view(office):
    first = (await call(office, "POST", "/exceptions", wanted())).json()
    end = (datetime.fromisoformat(first["expires_at"]) + timedelta(hours=1)).isoformat()
    body = {"expires_at": end, "reason": "later still", "control": "reviewed hourly"}
    renewed = await call(office, "POST", f"/exceptions/{first['id']}/renewals", body, by="ben")
    assert renewed.status_code == 201, renewed.text
    told = renewed.json()
    assert (told["renews"], told["used_before"], told["state"]) == (first["id"], 0, "requested")
    assert (told["principal"], told["ticket"], told["control"]) == ("User:bob", "OPS-7", "reviewed hourly")
    assert (told["requester"], told["starts_at"]) == ("User:ben", first["expires_at"])
    unknown = await call(office, "POST", "/exceptions/nonsense/renewals", body)
    assert (unknown.status_code, problem(unknown)) == (404, "not_found")
    over = await call(office, "POST", f"/exceptions/{first['id']}/renewals", {**body, "expires_at": first["starts_at"]})
    assert (over.status_code, problem(over)) == (400, "invalid_request")


@pytest.mark.parametrize(
    "change",
    [
        {"scope": "payments:write"},  # its tier allows none
        {"scope": "payments:fly"},
        {"expires_at": "2020-01-01T00:00:00Z"},
        {"expires_at": "2999-01-01T00:00:00Z"},
        {"principal": "session:s"},
        {"reason": ""},
    ],
    ids=str,
)
async def test_what_can_be_no_exception(office, change):
    refused = await call(office, "POST", "/exceptions", wanted(**change))
    assert (refused.status_code, problem(refused)) == (400, "invalid_request"), refused.text


async def test_nonsense_is_no_approval(office):
    name = (await call(office, "POST", "/exceptions", wanted())).json()["id"]
    for text in ("x", "mintwarden", "x" * 40_000):
        refused = await call(office, "POST", f"/exceptions/{name}/approvals", {"approval": text})
        assert (refused.status_code, problem(refused)) == (400, "invalid_request")
    assert (await call(office, "GET", "/exceptions/0")).status_code == 404


def files_of(office: Company) -> dict[str, str]:
    """The bundle of the folder, as it is sent."""
    return {
        path.relative_to(office.folder / "bundle").as_posix(): path.read_text()
        for path in sorted((office.folder / "bundle").rglob("*"))
        if path.is_file()
    }


async def test_a_version_is_handed_in_signed_and_activated(office):
    files = files_of(office)
    digest = build_bundle(files).digest

    def word(name: str, act: Act, base: str = "", after: int = 0) -> str:
        said = Statement(
            act=act, name=name.title(), issuer="https://tokens.example.com", bundle="small", digest=digest,
            base=base, after=after, at=int(time.time()),
        )  # fmt: skip
        return key_of(name).sign(said).text

    kept = await call(office, "POST", "/versions", {"files": files, "signatures": [word("ann", "author")]})
    assert (kept.status_code, kept.json()) == (201, {"digest": digest, "signatures_added": 1})
    early = await call(office, "POST", "/activations", {"digest": digest})
    assert (early.status_code, problem(early)) == (409, "conflict")
    assert "1 more approval is needed" in early.json()["detail"]
    signed = await call(office, "POST", f"/versions/{digest}/signatures", {"signatures": [word("ben", "approve")]})
    assert signed.json() == {"digest": digest, "signatures_added": 1}
    stands = (await call(office, "GET", f"/versions/{digest}")).json()
    assert (stands["author"], stands["approved_by"], stands["lacking"]) == ("Ann", ["Ben"], "")
    active = await call(office, "POST", "/activations", {"digest": digest})
    assert (active.status_code, active.json()["by"]) == (201, "rita"), active.text
    assert [one["number"] for one in (await call(office, "GET", "/activations")).json()["activations"]] == [1]
    assert (await call(office, "GET", "/versions")).json()["versions"][0]["active"]
    assert (await call(office, "POST", "/activations", {"digest": digest})).status_code == 409
    modes = (await call(office, "GET", "/modes")).json()["modes"]
    assert {one["holds"] for one in modes} == {"enforce"}


async def test_what_is_no_version_is_told_with_its_places(office):
    refused = await call(office, "POST", "/versions", {"files": {"bundle.toml": "x = 1\n"}})
    assert (refused.status_code, problem(refused)) == (400, "invalid_request")
    assert "bundle.toml:1:1" in refused.json()["detail"]
    nonsense = await call(office, "POST", "/versions", {"files": {"bundle.toml": ""}, "signatures": ["x"]})
    assert "a signature cannot be read" in nonsense.json()["detail"]
    assert (await call(office, "GET", f"/versions/sha256:{'0' * 64}")).status_code == 404


async def test_a_version_hides_nothing_where_no_folder_could_hold_it(office):
    for name in ("hidden/rules.cedar", "../../up.toml", "rules/\x1b[2J.cedar"):
        refused = await call(office, "POST", "/versions", {"files": {**files_of(office), name: ""}})
        assert (refused.status_code, problem(refused)) == (400, "invalid_request"), name
        assert "not a file of a bundle" in refused.json()["detail"]


async def test_half_of_a_surrogate_pair_is_no_text(office):
    """JSON can spell what no store can hold; nothing of it gets as far as an act."""
    name = (await call(office, "POST", "/exceptions", wanted())).json()["id"]
    finding = (await call(office, "GET", "/findings")).json()["findings"][0]["id"]
    for method, path, body in (
        ("POST", "/exceptions", wanted(reason="\ud800")),
        ("POST", "/exceptions", wanted(scope="\udfff")),
        ("POST", f"/exceptions/{name}/revocation", {"reason": "x\ud83dx"}),
        ("POST", f"/exceptions/{name}/approvals", {"approval": "\ud800"}),
        ("POST", "/versions", {"files": {**files_of(office), "rules/x.cedar": "// \ud800"}}),
        ("POST", "/versions", {"files": {"\ud800": ""}}),
        ("POST", "/activations", {"kind": "rollback", "reason": "\ud800"}),
        ("POST", f"/findings/{finding}/closure", {"note": "\ud800"}),
    ):
        refused = await call(office, method, path, body)
        assert (refused.status_code, problem(refused)) == (400, "invalid_request"), (path, body)
    assert (await call(office, "GET", f"/exceptions/{name}")).json()["state"] == "requested"
    assert (await call(office, "POST", "/exceptions", wanted(reason="\U0001f511"))).status_code == 201


async def test_an_emergency_is_neither_accepted_nor_closed_by_those_behind_it(office):
    """One of them breaks the glass, and says of it that it is fine."""

    async def handed_in(files: dict[str, str], *said: tuple[str, Act]) -> str:
        digest, active = build_bundle(files).digest, (await call(office, "GET", "/activations")).json()["activations"]
        base, after = (active[0]["digest"], active[0]["number"]) if active else ("", 0)
        words = [
            key_of(name).sign(
                Statement(
                    act=act, name=name.title(), issuer="https://tokens.example.com", bundle="small", digest=digest,
                    base=base, after=after, at=int(time.time()),
                )
            ).text
            for name, act in said
        ]  # fmt: skip
        await call(office, "POST", "/versions", {"files": files, "signatures": words})
        return digest

    files = files_of(office)
    first = await handed_in(files, ("ann", "author"), ("ben", "approve"))
    assert (await call(office, "POST", "/activations", {"digest": first})).status_code == 201
    files["bundle.toml"] = files["bundle.toml"].replace('description = "reads"', 'description = "reads it"')
    glass = await handed_in(files, ("ann", "author"), ("ben", "break_glass"))
    asked = {"kind": "break_glass", "digest": glass, "reason": "keys leak", "seconds": 600}
    broken = await call(office, "POST", "/activations", asked)
    assert broken.status_code == 201, broken.text
    last = (await call(office, "GET", "/activations", limit="1")).json()
    before = (await call(office, "GET", "/activations", limit="1", cursor=last["cursor"])).json()
    assert [one["number"] for page in (last, before) for one in page["activations"]] == [2, 1]
    assert before["cursor"] == ""
    token = {"state": "accepted", "ticket": "OPS-1", "until": "2099-01-01T00:00:00Z"}
    path = "/findings/break-glass-2"
    said = await call(office, "PUT", f"{path}/state", token, if_match="*")
    assert (said.status_code, said.json()["detail"]) == (400, "an emergency is not accepted")
    for behind in ("rita", "ann", "ben"):
        closed = await call(office, "POST", f"{path}/closure", {"note": "fine"}, by=behind)
        assert (closed.status_code, problem(closed)) == (409, "conflict"), behind
    assert (await call(office, "GET", path)).json()["open"]
    assert (await call(office, "POST", f"{path}/closure", {"note": "fine"}, by="cleo")).status_code == 200
    assert not (await call(office, "GET", path)).json()["open"]


async def test_a_program_activates_nothing(office):
    token = await office.token("operator", grant_type="client_credentials", scope=ALL, resource=ADMIN)
    headers = {"authorization": f"Bearer {token}", **fresh()}
    body = {"digest": f"sha256:{'0' * 64}"}
    refused = await office.http.post("/admin/v1/activations", json=body, headers=headers)
    assert (refused.status_code, refused.json()["detail"]) == (400, "a person does this")


async def test_nobody_keeps_others_of_the_same_client_from_administering(tmp_path):
    """All people come through one desk: whoever uses up its calls must not hold up those who mend what they broke."""
    few = "admin_rate = 0.01\nadmin_burst = 2\n"
    async with running(tmp_path, server=few, registration=APPROVERS, rules=RULES, edit=edit) as company:
        flood = [(await call(company, "GET", "/modes", by="rita")).status_code for _ in range(4)]
        assert flood == [200, 200, 429, 429]
        assert (await call(company, "GET", "/modes", by="ann")).status_code == 200


async def test_the_same_idempotency_key_is_another_persons_key_too(office):
    """Nobody gets another's answer by guessing a key, not even through the same client."""
    body = wanted()
    first, again, other = [
        await call(office, "POST", "/exceptions", body, by=by, key="a-key-that-was-guessed")
        for by in ("rita", "rita", "ann")
    ]
    assert [answer.status_code for answer in (first, again, other)] == [201, 201, 201]
    assert first.json()["id"] == again.json()["id"] != other.json()["id"]
    assert other.json()["requester"] == "User:ann"
    assert len((await call(office, "GET", "/exceptions")).json()["exceptions"]) == 2
