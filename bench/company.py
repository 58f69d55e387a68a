"""The company that the benchmark governs: generated, so that its size can be varied one dimension at a time.

Each scope has one permit and one forbid of five conditions each (group membership, set membership, string and
number comparison, `has`); every principal has its own groups (people 9,
workloads 4), entitlements (20 and 8), posture and risk.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

AUDIENCE = "https://api.bench.example"
SUBJECT_ISSUER = "https://login.bench.example"
SCOPES = tuple(f"bench:s{index}" for index in range(5))


@dataclass(frozen=True, kw_only=True)
class Size:
    """How large the company is. `rules` counts all of them; fifteen are the measured scopes' own."""

    clients: int = 1_000
    subjects: int = 10_000
    rules: int = 10


def write_bundle(
    root: Path, *, issuer: str, size: Size, client_jwks: list[dict[str, Any]], subject_jwk: dict[str, Any], verify: str
) -> None:
    """Write the bundle to `root`."""
    (root / "audiences").mkdir(parents=True)
    for folder in ("clients", "rules", "issuers", "tests"):
        (root / folder).mkdir()
    (root / "bundle.toml").write_text(_bundle(issuer, verify))
    (root / "sources.toml").write_text(_SOURCES)
    (root / "claims.toml").write_text(_CLAIMS)
    (root / "audiences" / "bench.toml").write_text(_audience("bench", AUDIENCE, SCOPES))
    (root / "rules" / "bench.cedar").write_text("\n".join(_rules("bench", name) for name in SCOPES))
    others = max(0, size.rules - 3 * len(SCOPES)) // 3
    for start in range(0, others, 50):
        name = f"other{start // 50}"
        scopes = tuple(f"{name}:s{index}" for index in range(min(50, others - start)))
        (root / "audiences" / f"{name}.toml").write_text(_audience(name, f"https://{name}.bench.example", scopes))
        (root / "rules" / f"{name}.cedar").write_text("\n".join(_rules(name, scope) for scope in scopes))
    (root / "issuers" / "login.toml").write_text(_issuer(subject_jwk))
    for index in range(size.clients):
        (root / "clients" / f"c{index}.toml").write_text(_client(index, client_jwks[index % len(client_jwks)]))


def facts(size: Size, seed: int = 7) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(entity key, source, document) of every principal, each with facts of its own."""
    chance = random.Random(seed)  # noqa: S311 - test data, not secrets
    names = [f"Workload:c{index}" for index in range(size.clients)]
    names += [f"User:u{index}" for index in range(size.subjects)]
    for index, name in enumerate(names):
        person = name.startswith("User:")
        groups = ["bench-operators", *(f"g{chance.randrange(5_000)}" for _ in range(8 if person else 3))]
        held = ["bench-access", *(f"e{chance.randrange(5_000)}" for _ in range(19 if person else 7))]
        yield (
            name,
            "directory",
            {
                "facts": {
                    "status": "active",
                    "team": f"team-{chance.randrange(400)}",
                    "region": chance.choice(["eu-1", "eu-2", "us-1"]),
                    "level": 3 + index % 5,
                },
                "groups": groups,
            },
        )
        yield name, "entitlements", {"facts": {"entitlements": held}}
        yield name, "posture", {"facts": {"risk": chance.randrange(60), "attested": True, "image": f"sha-{index}"}}


def _bundle(issuer: str, verify: str) -> str:
    return f"""[bundle]
name = "bench"
issuer = {json.dumps(issuer)}
environments = ["production"]
max_actors = 4
[owner]
name = "Bench"
contact = "bench@bench.example"
[tiers.standard]
description = "what the benchmark measures"
max_ttl = "1h"
verify = "{verify}"
[purposes.measure]
meaning = "to measure"
"""


_SOURCES = """[sources.directory]
kind = "store"
about = ["User", "Workload", "Agent"]
groups = true
description = "who they are"
[sources.directory.facts]
status = "string"
team = "string"
region = "string"
level = "long"
[sources.entitlements]
kind = "store"
about = ["User", "Workload", "Agent"]
description = "what they hold"
[sources.entitlements.facts]
entitlements = "set<string>"
[sources.posture]
kind = "store"
about = ["User", "Workload", "Agent"]
max_age = "30d"
description = "how they are"
[sources.posture.facts]
risk = "long"
attested = "bool"
image = { type = "string", optional = true }
"""

_CLAIMS = """[claims.team]
type = "string"
source = "directory"
from = "subject.team"
description = "the team"
"""


def _audience(name: str, identifier: str, scopes: tuple[str, ...]) -> str:
    text = f"""[audience]
id = "{name}"
identifier = "{identifier}"
description = "an API"
owner = "Bench"
environments = ["production"]
max_ttl = "15m"
default_ttl = "5m"
[claims]
team = "*"
"""
    for scope in scopes:
        text += f'[scopes."{scope}"]\nmeaning = "one thing"\ntier = "standard"\ndefault = true\n'
    return text


def _rules(audience: str, scope: str) -> str:
    tag = scope.replace(":", "-")
    return f"""@id("{tag}-permit")
@owner("Bench")
@reason("measured")
permit (principal, action == Action::"issue", resource == Scope::"{scope}") when {{
    principal in Group::"{audience}-operators" &&
    principal.entitlements.contains("{audience}-access") &&
    principal.status == "active" &&
    principal.level >= 2 &&
    context.request.environment == "production"
}};
@id("{tag}-forbid")
@owner("Bench")
@reason("measured")
forbid (principal, action, resource == Scope::"{scope}") when {{
    principal.risk > 80 ||
    principal.attested == false ||
    ["ap-1", "ap-2"].contains(principal.region) ||
    (principal has image && principal.image == "sha-revoked") ||
    context.request.grant == "password"
}};
@id("{tag}-act")
@owner("Bench")
@reason("measured")
permit (principal, action == Action::"act", resource == Scope::"{scope}") when {{
    principal in Group::"{audience}-operators" && principal.risk < 70
}};
"""


def _issuer(jwk: dict[str, Any]) -> str:
    return f"""[issuer]
id = "login"
issuer = "{SUBJECT_ISSUER}"
profile = "oidc"
audiences = ["https://tokens.bench.example"]
principal = "User"
subject = "sub"
roles = ["subject"]
keys = "inline"
[[issuer.jwks]]
{_toml(jwk)}"""


def _client(index: int, jwk: dict[str, Any]) -> str:
    return f"""[client]
id = "c{index}"
name = "Client {index}"
kind = "service"
owner = "Bench"
environments = ["production"]
authentication = ["client_secret_basic", "private_key_jwt"]
algorithms = ["ES256"]
grants = ["client_credentials", "token_exchange"]
[client.ceilings]
bench = {json.dumps(list(SCOPES))}
[[client.keys]]
{_toml(jwk)}"""


def _toml(table: dict[str, Any]) -> str:
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in table.items())
