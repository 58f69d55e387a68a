"""A small firm for questions of who can get what: clients, chains and obligations of every kind, documents by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mintwarden.context.assemble import SourceAnswer
from mintwarden.context.ports import FactDocument, FactRow
from mintwarden.policy.bundle.model import Bundle
from tests.unit.policy.company import CLIENT, NOW, PAYMENTS, load_company

KEY = """kty = "OKP"
crv = "Ed25519"
x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
"""


def issuer(name: str, principal: str, roles: str, more: str = "") -> str:
    return f"""[issuer]
id = "{name}"
issuer = "urn:{name}"
audiences = ["https://tokens.example"]
principal = "{principal}"
roles = {roles}
keys = "inline"
{more}
[[issuer.jwks]]
{KEY}"""


def client(name: str, kind: str, more: str = "", *, ceilings: str = 'payments = "*"', grants: str = "") -> str:
    head = CLIENT.partition("[client.ceilings]")[0].replace('id = "app"', f'id = "{name}"').replace("service", kind)
    if grants:
        head = head.replace('["client_credentials", "token_exchange"]', grants)
    return f"{head}{more}\n[client.ceilings]\n{ceilings}\n"


LEDGER = """[audience]
id = "ledger"
identifier = "https://api.example/ledger"
description = "d"
owner = "o"
environments = ["production"]
max_ttl = "15m"
default_ttl = "5m"
[scopes."book:read"]
meaning = "m"
tier = "low"
default = true
"""

FILES: dict[str, str] = {
    "issuers/login.toml": issuer("login", "User", '["subject"]'),
    "issuers/agents.toml": issuer("agents", "Agent", '["subject", "actor"]'),
    "audiences/payments.toml": PAYMENTS.replace(
        '[scopes."pay:read"]\n', '[scopes."pay:read"]\ncarries = ["book:read"]\n'
    ),
    "audiences/ledger.toml": LEDGER,
    "clients/app.toml": client("app", "service", ceilings='payments = "*"\nlegacy = "*"'),
    "clients/web.toml": client("web", "web", grants='["token_exchange"]'),
    "clients/bot.toml": client("bot", "agent"),
    "clients/api.toml": client("api", "mcp", 'serves = ["payments"]', ceilings='ledger = "*"'),
}
RULES = """
@id("read") @owner("o") @reason("finance reads")
permit (principal is User, action == Action::"issue", resource == Scope::"pay:read")
when { principal in Group::"finance" && principal.risk < 50 };
@id("write") @owner("o") @reason("r") @max_ttl("60s") @require_acr("phr")
permit (principal is User, action == Action::"issue", resource == Scope::"pay:write")
when { principal in Group::"finance" };
@id("approve") @owner("o") @reason("r") @require_approval("manager") @require_purpose("support")
permit (principal is User, action == Action::"issue", resource == Scope::"pay:approve")
when { principal.department == "money" };
@id("book") @owner("o") @reason("r")
permit (principal is User, action == Action::"issue", resource == Scope::"book:read")
when { context.chain.depth >= 2 };
@id("app-itself") @owner("o") @reason("r")
permit (principal == Workload::"app", action == Action::"issue", resource == Scope::"pay:read");
@id("web-hides") @owner("o") @reason("r")
permit (principal == Workload::"web", action == Action::"impersonate", resource in Audience::"payments");
@id("bot-acts") @owner("o") @reason("r") @max_ttl("30s")
permit (principal is Agent, action == Action::"act", resource in Audience::"payments")
when { principal.risk < 20 };
@id("bot-behind-api") @owner("o") @reason("r")
permit (principal is Agent, action == Action::"act", resource in Audience::"ledger");
@id("api-acts") @owner("o") @reason("r")
permit (principal == Workload::"api", action == Action::"act", resource in Audience::"ledger");
@id("freeze") @owner("o") @reason("r")
forbid (principal is User, action, resource)
when { principal.risk > 90 };
@id("old") @owner("o") @reason("r")
permit (principal is User, action == Action::"issue", resource == Scope::"old:use")
when { principal in Group::"finance" };
"""

Documents = dict[str, dict[str, SourceAnswer]]


def firm(folder: Path, *, rules: str = RULES, files: Mapping[str, str] | None = None) -> Bundle:
    return load_company(folder, rules=rules, files={**FILES, **(files or {})})


def said(facts: Mapping[str, Any], groups: Sequence[str] = (), spans: Any = None, at: int = NOW) -> SourceAnswer:
    return SourceAnswer(
        document=FactDocument(facts=dict(facts), groups=list(groups), spans=spans or {}), observed_at=at
    )


def person(
    *, risk: int = 10, groups: Sequence[str] = ("finance",), department: str = "money", approvals: Sequence[str] = ()
) -> dict[str, SourceAnswer]:
    found = {
        "directory": said({"department": department, "tenants": ["t1"], "manager": "m"}, groups),
        "entitlements": said({"entitlements": []}),
        "risk": said({"risk": risk}),
    }
    return {**found, "approvals": said({"approvals": list(approvals)})} if approvals else found


def agent(*, risk: int = 10, groups: Sequence[str] = ()) -> dict[str, SourceAnswer]:
    return {"directory": said({"department": "bots", "tenants": []}, groups), "risk": said({"risk": risk})}


def workload() -> dict[str, SourceAnswer]:
    return {"directory": said({"department": "it", "tenants": []})}


class Pages:
    """Documents in memory, in pages as a store gives them."""

    def __init__(self, rows: Mapping[tuple[str, str], FactRow]) -> None:
        self._rows = rows
        self.asked = 0

    async def page(self, source: str, after: str, limit: int) -> Sequence[tuple[str, FactRow]]:
        self.asked += 1
        found = sorted((entity, row) for (entity, own), row in self._rows.items() if own == source and entity > after)
        return found[:limit]
