"""A small company for the tests of decisions: one bundle on disk, facts made by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mintwarden.model.asked import Asked
from mintwarden.model.facts import Facts, Reading
from mintwarden.model.values import Datetime, Entity, EntityUid, Record
from mintwarden.policy.bundle.load import load_bundle
from mintwarden.policy.bundle.model import Bundle

NOW = 1_795_000_000_000
ALICE = EntityUid("User", "alice")
BOT = EntityUid("Agent", "bot")

BUNDLE = """[bundle]
name = "small"
issuer = "https://tokens.example"
environments = ["production", "staging"]
[owner]
name = "Owner"
contact = "owner@example"
[tiers.low]
description = "d"
max_ttl = "1h"
verify = "off"
[tiers.high]
description = "d"
max_ttl = "10m"
verify = "always"
[purposes.support]
meaning = "m"
"""

SOURCES = """[sources.directory]
kind = "store"
about = ["User", "Workload", "Agent"]
groups = true
description = "d"
[sources.directory.facts]
department = "string"
tenants = "set<string>"
manager = { type = "string", optional = true }
[sources.entitlements]
kind = "store"
about = ["User"]
description = "d"
[sources.entitlements.facts]
entitlements = "set<string>"
[sources.risk]
kind = "store"
about = ["User", "Agent"]
max_age = "5m"
description = "d"
[sources.risk.facts]
risk = "long"
[sources.approvals]
kind = "store"
about = ["User", "Agent"]
missing = "absent"
description = "d"
[sources.approvals.facts]
approvals = "set<string>"
[sources.session]
kind = "store"
about = ["session"]
missing = "absent"
description = "d"
[sources.session.facts]
expires_at = "datetime"
"""

CLAIMS = """[claims.department]
type = "string"
source = "directory"
from = "subject.department"
description = "d"
[claims.manager]
type = "string"
source = "directory"
from = "subject.manager"
absent = "refuse"
description = "d"
"""

PAYMENTS = """[audience]
id = "payments"
identifier = "https://api.example/payments"
description = "d"
owner = "o"
environments = ["production"]
max_ttl = "15m"
default_ttl = "5m"
disclose = "challenge"
[claims]
department = "*"
manager = ["pay:approve"]
[scopes."pay:read"]
meaning = "m"
tier = "low"
default = true
[scopes."pay:write"]
meaning = "m"
tier = "high"
[scopes."pay:approve"]
meaning = "m"
tier = "high"
"""

LEGACY = """[audience]
id = "legacy"
identifier = "https://api.example/legacy"
description = "d"
owner = "o"
environments = ["production"]
mode = "observe"
max_ttl = "15m"
default_ttl = "5m"
[legacy]
everyone = ["old:use"]
[scopes."old:use"]
meaning = "m"
tier = "low"
default = true
"""

CLIENT = """[client]
id = "app"
name = "App"
kind = "service"
owner = "o"
environments = ["production"]
authentication = ["client_secret_basic"]
grants = ["client_credentials", "token_exchange"]
[client.ceilings]
payments = ["pay:read", "pay:write", "pay:approve"]
legacy = ["old:use"]
"""

RULES = """
@id("read") @owner("o") @reason("r")
permit (principal is User, action == Action::"issue", resource == Scope::"pay:read")
when { principal in Group::"finance" && principal.risk < 50 };
@id("read-held") @owner("o") @reason("r") @max_ttl("120s")
permit (principal is User, action == Action::"issue", resource == Scope::"pay:read")
when { principal.entitlements.contains("reader") };
@id("write") @owner("o") @reason("r") @max_ttl("60s") @require_acr("phr")
permit (principal is User, action == Action::"issue", resource == Scope::"pay:write")
when { principal in Group::"finance" };
@id("approve") @owner("o") @reason("r") @require_approval("manager")
permit (principal is User, action == Action::"issue", resource == Scope::"pay:approve")
when { principal in Group::"finance" };
@id("act") @owner("o") @reason("r") @max_ttl("30s")
permit (principal is Agent, action == Action::"act", resource in Audience::"payments")
when { principal.risk < 20 };
@id("freeze") @owner("o") @reason("r")
forbid (principal is User, action, resource)
when { principal.risk > 90 };
@id("old") @owner("o") @reason("r")
permit (principal is User, action == Action::"issue", resource == Scope::"old:use")
when { principal in Group::"finance" };
"""


def write_company(root: Path, *, rules: str = RULES, files: Mapping[str, str] | None = None) -> Path:
    """The bundle in `root`, with other rules or files where given."""
    content = {
        "bundle.toml": BUNDLE,
        "sources.toml": SOURCES,
        "claims.toml": CLAIMS,
        "audiences/payments.toml": PAYMENTS,
        "audiences/legacy.toml": LEGACY,
        "clients/app.toml": CLIENT,
        "rules/all.cedar": rules,
        **(files or {}),
    }
    for name, text in content.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def load_company(root: Path, **changes: Any) -> Bundle:
    return load_bundle(write_company(root, **changes))


def asked(*scopes: str, **changes: Any) -> Asked:
    settings: dict[str, Any] = {
        "grant": "token_exchange",
        "client_id": "app",
        "subject": ALICE,
        "audience": "payments",
        "scopes": scopes or ("pay:read",),
        "environment": "production",
        "method": "client_secret_basic",
        **changes,
    }
    return Asked(**settings)


def facts(
    *,
    risk: int = 10,
    groups: tuple[str, ...] = ("finance",),
    attrs: Mapping[str, Any] | None = None,
    actors: tuple[Entity, ...] = (),
    context: Mapping[str, Any] | None = None,
    readings: Mapping[str, Reading] | None = None,
    ends: Mapping[str, Mapping[str, int]] | None = None,
) -> Facts:
    subject = {
        "department": "money",
        "tenants": frozenset({"t1"}),
        "risk": risk,
        "entitlements": frozenset(),
        **(attrs or {}),
    }
    answered = {f"subject/{source}": Reading("present", NOW) for source in ("directory", "entitlements", "risk")}
    answered["subject/approvals"] = Reading("missing")
    for index, _ in enumerate(actors):
        answered |= {f"actor:{index}/{source}": Reading("present", NOW) for source in ("directory", "risk")}
        answered[f"actor:{index}/approvals"] = Reading("missing")
    request = Record(
        {"time": Datetime(NOW), "grant": "token_exchange", "environment": "production", "amr": frozenset()}
    )
    return Facts(
        subject=Entity(ALICE, Record(subject), frozenset(EntityUid("Group", group) for group in groups)),
        actors=actors,
        context=Record({"request": request, **(context or {})}),
        readings={**answered, **(readings or {})},
        ends=ends or {},
    )


def bot(risk: int = 10) -> Entity:
    return Entity(BOT, Record({"department": "bots", "tenants": frozenset(), "risk": risk}))
