"""The company that the benchmark governs: generated, so that its size can be varied one dimension at a time.

Each scope has one permit and one forbid of five conditions each (group membership, set membership, string and
number comparison, `has`), and one permit for actors. Every principal has groups of its own (people 9, workloads 4),
entitlements (20 and 8), posture and risk.
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
REDIRECT = "https://client.bench.example/cb"
SCOPES = tuple(f"bench:s{index}" for index in range(5))


@dataclass(frozen=True, kw_only=True)
class Size:
    """How large the company is.

    Attributes:
        clients: client applications, each with its own key or secret and its own workload.
        subjects: people.
        rules: rules in all, rounded down to whole scopes; those of the five measured scopes are the least.
        actors: every scope has a rule for actors beside its permit and its forbid.
    """

    clients: int = 1_000
    subjects: int = 10_000
    rules: int = 15
    actors: bool = True

    @property
    def rules_each(self) -> int:
        """Rules of one scope."""
        return 3 if self.actors else 2

    @property
    def other_scopes(self) -> int:
        """Scopes beside the measured ones."""
        return max(0, self.rules - self.rules_each * len(SCOPES)) // self.rules_each


def write_bundle(
    root: Path, *, issuer: str, size: Size, client_jwks: list[dict[str, Any]], subject_jwk: dict[str, Any], verify: str
) -> None:
    """Write the bundle to `root`; `verify` is what the tier of the measured scopes demands."""
    (root / "audiences").mkdir(parents=True)
    for folder in ("clients", "rules", "issuers", "tests"):
        (root / folder).mkdir()
    (root / "bundle.toml").write_text(_bundle(issuer, verify))
    (root / "sources.toml").write_text(_SOURCES)
    (root / "claims.toml").write_text(_CLAIMS)
    (root / "audiences" / "bench.toml").write_text(_audience("bench", AUDIENCE, SCOPES))
    (root / "rules" / "bench.cedar").write_text(_rules("bench", SCOPES, size))
    for start in range(0, size.other_scopes, 50):
        name = f"other{start // 50}"
        scopes = tuple(f"{name}:s{index}" for index in range(min(50, size.other_scopes - start)))
        (root / "audiences" / f"{name}.toml").write_text(_audience(name, f"https://{name}.bench.example", scopes))
        (root / "rules" / f"{name}.cedar").write_text(_rules(name, scopes, size))
    (root / "issuers" / "login.toml").write_text(_issuer(subject_jwk))
    for index in range(size.clients):
        (root / "clients" / f"c{index}.toml").write_text(_client(index, client_jwks[index % len(client_jwks)]))


def principals(size: Size) -> Iterator[str]:
    """The entity key of everyone that facts are kept of."""
    for index in range(size.clients):
        yield f"Workload:c{index}"
    for index in range(size.subjects):
        yield f"User:u{index}"


def facts(size: Size, seed: int = 7) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(entity key, source, document) of every principal, each with facts of its own."""
    chance = random.Random(seed)
    for entity in principals(size):
        for source in SOURCES:
            yield entity, source, document(entity, source, chance)


def document(entity: str, source: str, chance: random.Random) -> dict[str, Any]:
    """What `source` may say of a principal; each call says something else, and all of it permits the five scopes."""
    person = entity.startswith("User:")
    if source == "directory":
        groups = ["bench-operators", *(f"g{chance.randrange(5_000)}" for _ in range(8 if person else 3))]
        known = {
            "status": "active",
            "team": f"team-{chance.randrange(400)}",
            "region": chance.choice(["eu-1", "eu-2", "us-1"]),
            "level": chance.randrange(3, 8),
        }
        return {"facts": known, "groups": groups}
    if source == "entitlements":
        held = ["bench-access", *(f"e{chance.randrange(5_000)}" for _ in range(19 if person else 7))]
        return {"facts": {"entitlements": held}}
    image = f"sha-{chance.randrange(10**9):09}"
    return {"facts": {"risk": chance.randrange(60), "attested": True, "image": image}}


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


SOURCES = ("directory", "entitlements", "posture")

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


def _rules(audience: str, scopes: tuple[str, ...], size: Size) -> str:
    texts: list[str] = []
    for scope in scopes:
        tag = scope.replace(":", "-")
        names = {"SCOPE": scope, "AUDIENCE": audience, "TAG": tag}
        for template in (_PERMIT, _FORBID, _ACT)[: size.rules_each]:
            text = template
            for name, value in names.items():
                text = text.replace(name, value)
            texts.append(text)
    return "\n".join(texts)


_PERMIT = """@id("TAG-permit")
@owner("Bench")
@reason("measured")
permit (principal, action == Action::"issue", resource == Scope::"SCOPE") when {
    principal in Group::"AUDIENCE-operators" &&
    principal.entitlements.contains("AUDIENCE-access") &&
    principal.status == "active" &&
    principal.level >= 2 &&
    context.request.environment == "production"
};
"""

_FORBID = """@id("TAG-forbid")
@owner("Bench")
@reason("measured")
forbid (principal, action, resource == Scope::"SCOPE") when {
    principal.risk > 80 ||
    principal.attested == false ||
    ["ap-1", "ap-2"].contains(principal.region) ||
    (principal has image && principal.image == "sha-revoked") ||
    context.request.grant == "password"
};
"""

_ACT = """@id("TAG-act")
@owner("Bench")
@reason("measured")
permit (principal, action == Action::"act", resource == Scope::"SCOPE") when {
    principal in Group::"AUDIENCE-operators" && principal.risk < 70
};
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
grants = ["client_credentials", "token_exchange", "authorization_code", "refresh_token"]
redirect_uris = ["{REDIRECT}"]
[client.refresh]
rotate = false
[client.ceilings]
bench = {json.dumps(list(SCOPES))}
[[client.keys]]
{_toml(jwk)}"""


def _toml(table: dict[str, Any]) -> str:
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in table.items())
