"""The small company with a decision point: who may ask it, records in projects, and an issuer of its own beside it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import httpx2
import msgspec
from msgspec import Struct

from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from mintwarden.context.ports import FactRow
from tests.flow.company import Company, running

POINT = "https://tokens.example.com/access"
RECORDS = "https://api.example.com/records"

AUDIENCES = {
    "decision-point": f"""
[audience]
id = "decision-point"
identifier = "{POINT}"
description = "The decision point"
owner = "Token Governance"
environments = ["production"]
max_ttl = "15m"
default_ttl = "5m"
[scopes."authzen:evaluate"]
meaning = "Ask whether somebody may have a scope"
tier = "low"
[scopes."authzen:search"]
meaning = "Ask who may, and what"
tier = "low"
[scopes."authzen:issue"]
meaning = "Have tokens decided that one signs oneself"
tier = "low"
""",
    "records": f"""
[audience]
id = "records"
identifier = "{RECORDS}"
description = "Records, each in a project"
owner = "Payments"
environments = ["production"]
max_ttl = "15m"
default_ttl = "5m"
[[tenancy]]
parameter = "project"
member_of = "subject.projects"
required = false
[claims]
department = ["write"]
[scopes.read]
meaning = "Read a record"
tier = "low"
default = true
[scopes.write]
meaning = "Write a record"
tier = "low"
[scopes.delete]
meaning = "Put a record into the bin"
tier = "low"
[scopes.purge]
meaning = "Delete a record for good"
tier = "low"
""",
}

RULES = """
@id("point-operator") @owner("Token Governance") @reason("operations ask")
permit (principal == Workload::"operator", action == Action::"issue", resource in Audience::"decision-point");
@id("portal-acts") @owner("Payments") @reason("the portal works for people")
permit (principal == Workload::"web", action == Action::"act", resource in Audience::"records");
@id("records-read") @owner("Payments") @reason("everybody known reads")
permit (principal is User, action == Action::"issue", resource == Scope::"read")
when { principal in Group::"finance" };
@id("records-write") @owner("Payments") @reason("clerks write what is active")
permit (principal is User, action == Action::"issue", resource == Scope::"write")
when { principal.department == "clerks" }
unless { context.request has project && context.request.project == "record-2" };
@id("records-write-archived") @owner("Payments") @reason("administrators write what is archived")
permit (principal is User, action == Action::"issue", resource == Scope::"write")
when { principal.department == "admin" && context.request has project && context.request.project == "record-2" };
@id("records-delete") @owner("Payments") @reason("clerks put into the bin")
permit (principal is User, action == Action::"issue", resource == Scope::"delete")
when { principal.department == "clerks" };
@id("records-elsewhere") @owner("Token Governance") @reason("what is purged is purged by tokens of our own alone")
forbid (principal, action == Action::"issue", resource == Scope::"purge")
when { context.request.method == "authzen" };
@id("records-purge") @owner("Payments") @reason("clerks purge")
permit (principal is User, action == Action::"issue", resource == Scope::"purge")
when { principal.department == "clerks" };
"""

PEOPLE = {"alice": "clerks", "bob": "admin"}


def _edit(bundle: Path) -> None:
    for name, text in AUDIENCES.items():
        (bundle / "audiences" / f"{name}.toml").write_text(text)
    sources = bundle / "sources.toml"
    sources.write_text(
        sources.read_text().replace('department = "string"', 'department = "string"\nprojects = "set<string>"')
    )
    for client, ceiling in (("operator", 'decision-point = "*"'), ("web", 'records = "*"')):
        file = bundle / "clients" / f"{client}.toml"
        file.write_text(file.read_text().replace("[client.ceilings]", f"[client.ceilings]\n{ceiling}"))


class Point(Struct, frozen=True, kw_only=True):
    """The decision point as a caller sees it; `scopes` of `token` are all three unless another is asked for."""

    company: Company
    token: str

    async def post(self, path: str, content: Any, *, token: str | None = None, **headers: str) -> httpx2.Response:
        """One call."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        bearer = self.token if token is None else token
        return await self.company.http.post(
            f"/access/v1/{path}",
            content=body,
            headers={
                "content-type": "application/json",
                **({"authorization": f"Bearer {bearer}"} if bearer else {}),
                **{name.replace("_", "-"): value for name, value in headers.items()},
            },
        )

    async def ask(self, path: str, content: Any) -> dict[str, Any]:
        """The answer to a call that must be good."""
        answer = await self.post(path, content)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/json"
        found: dict[str, Any] = answer.json()
        return found

    async def bearing(self, *scopes: str) -> str:
        """A token with these scopes alone."""
        return await token_for(self.company, *scopes)

    async def entries(self, kind: str = "decision") -> list[Mapping[str, Any]]:
        """What the ledger holds of a kind."""
        async with foundation(load_config(self.company.folder / "mintwarden.toml", environ={}), read_only=True) as base:
            found = [msgspec.json.decode(one.entry) for one in await base.store.entries.by_index(0, 10_000)]
        return [entry for entry in found if entry["kind"] == kind]

    async def put(self, **people: str) -> None:
        """People and their departments; everybody is in finance and has both projects."""
        async with foundation(load_config(self.company.folder / "mintwarden.toml", environ={})) as base:
            await base.store.facts.put(
                [(f"User:{name}", _row(what, base.clock.now())) for name, what in people.items()]
            )


def _row(department: str, now: int) -> FactRow:
    facts = {"department": department, "projects": ["record-1", "record-2"]}
    return FactRow("directory", json.dumps({"facts": facts, "groups": ["finance"]}).encode(), now)


async def token_for(company: Company, *scopes: str) -> str:
    """The operator's token for the decision point."""
    return await company.token(
        "operator", grant_type="client_credentials", scope=" ".join(f"authzen:{one}" for one in scopes), resource=POINT
    )


@contextlib.asynccontextmanager
async def deciding(
    folder: Path, *, extend: Callable[[Path], None] = lambda _bundle: None, rules: str = "", **more: Any
) -> AsyncIterator[Point]:
    """The company with its decision point, alice the clerk and bob the administrator."""

    def edit(bundle: Path) -> None:
        _edit(bundle)
        extend(bundle)

    async with running(folder, edit=edit, rules=RULES + rules, **more) as company:
        point = Point(company=company, token=await token_for(company, "evaluate", "search", "issue"))
        await point.put(**PEOPLE)
        yield point


def question(subject: str = "alice", action: str = "read", resource: str = RECORDS, **context: Any) -> dict[str, Any]:
    """May a user have a scope of an audience."""
    return {
        "subject": {"type": "user", "id": subject},
        "action": {"name": action},
        "resource": {"type": "audience", "id": resource},
        **({"context": context} if context else {}),
    }
