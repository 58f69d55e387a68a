"""A small bundle as texts, with people who can sign for it."""

from __future__ import annotations

from collections.abc import Mapping

from mintwarden.policy.bundle.load import build_bundle
from mintwarden.policy.bundle.model import Bundle
from tests.flow.company import AUDIENCES, CLAIMS, HEAD, RULES, SOURCES
from tests.unit.policy.approve.signing import Soft, soft

PEOPLE = ("Ann", "Bob", "Cem", "Dan")
CLIENT = """
[client]
id = "batch"
name = "batch"
kind = "batch"
owner = "Payments"
environments = ["production"]
authentication = ["client_secret_basic"]
grants = ["client_credentials"]
addresses = ["10.0.0.0/8", "192.168.0.0/16"]
[client.ceilings]
payments = ["payments:read"]
"""
ISSUER = """
[issuer]
id = "login"
issuer = "https://login.example.com"
profile = "oidc"
audiences = ["https://tokens.example.com"]
principal = "User"
subject = "sub"
"""
ASSERTION = """
[[assertion]]
id = "batch-never-writes"
says = "the batch makes no payments"
[assertion.never]
types = ["Workload"]
scopes = ["payments:write"]
"""
APPROVALS = """
[approvals]
required = 1
[approvals.higher_risk]
required = 2
tiers = ["high"]
[approvals.break_glass]
required = 1
max = "4h"
"""


def team() -> dict[str, Soft]:
    return {name: soft() for name in PEOPLE}


def people(keys: Mapping[str, Soft]) -> str:
    """The approvers as the bundle has them, the last of them as an author alone."""
    entries = [f'name = "{name}"\nkeys = ["{key.text}"]\n' for name, key in keys.items()]
    return "".join(f"[[approvers]]\n{entry}" for entry in entries[:-1]) + f"[[authors]]\n{entries[-1]}"


def texts(keys: Mapping[str, Soft], *changes: tuple[str, str, str]) -> dict[str, str]:
    """Every file of the bundle, with `changes`: file, what stands there, what is to stand there."""
    found = {
        "bundle.toml": HEAD.replace("[tiers.low]", f"{APPROVALS}{people(keys)}[tiers.low]", 1),
        "sources.toml": SOURCES,
        "claims.toml": CLAIMS,
        "rules/all.cedar": RULES,
        "clients/batch.toml": CLIENT,
        "issuers/login.toml": ISSUER,
    } | {f"audiences/{name}.toml": text for name, text in AUDIENCES.items()}
    for file, old, new in changes:
        standing = found.get(file, "")
        assert old in standing, (file, old)
        found[file] = standing.replace(old, new, 1) if old else standing + new
    return found


def bundle(keys: Mapping[str, Soft], *changes: tuple[str, str, str]) -> Bundle:
    return build_bundle(texts(keys, *changes))
