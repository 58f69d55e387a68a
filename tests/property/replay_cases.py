"""Companies that differ in one place or several, what their sources say, and who asks for what."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from hypothesis import strategies as st

from mintwarden.context.assemble import Assembly, SourceAnswer
from mintwarden.context.project import project
from mintwarden.issue.grants import client_credentials, token_exchange
from mintwarden.ledger.document import decision_document, read_document
from mintwarden.model.asked import Asked
from mintwarden.model.caller import Binding, Caller, Evidence
from mintwarden.model.decision import Decision
from mintwarden.model.errors import MintwardenError
from mintwarden.model.facts import Facts
from mintwarden.model.request import TokenRequest
from mintwarden.model.values import EntityUid
from mintwarden.policy.bundle.load import build_bundle
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.bundle.problem import BundleRefused
from mintwarden.policy.decide import decide
from mintwarden.review.passage import Question
from tests.property.company import FILES as COMPANY
from tests.property.company import RULES
from tests.unit.policy import company

NOW = company.NOW
Asking = tuple[Any, TokenRequest, Caller]
SOURCES = (
    company.SOURCES
    + """[sources.ticket]
kind = "store"
about = ["User", "Agent"]
missing = "absent"
groups = true
description = "d"
[sources.ticket.facts]
ticket = { type = "string", optional = true }
[sources.posture]
kind = "store"
about = ["device"]
missing = "absent"
description = "d"
[sources.posture.facts]
compliant = "bool"
[sources.health]
kind = "store"
about = ["client"]
max_age = "1h"
description = "d"
[sources.health.facts]
healthy = "bool"
"""
)
FILES: Mapping[str, str] = {
    "bundle.toml": company.BUNDLE,
    "sources.toml": SOURCES,
    "claims.toml": company.CLAIMS,
    "audiences/legacy.toml": company.LEGACY,
    **COMPANY,
    "rules/all.cedar": RULES
    + """
@id("read-ticket") @owner("o") @reason("r")
permit (principal is User, action == Action::"issue", resource == Scope::"pay:read")
when { principal has ticket && principal.ticket == "T1" };
@id("sick") @owner("o") @reason("r")
forbid (principal, action, resource == Scope::"pay:write") when { context.client has healthy && !context.client.healthy };
@id("own") @owner("o") @reason("r")
permit (principal is Workload, action == Action::"issue", resource == Scope::"pay:read")
when { principal.department == "bots" && context.client.kind == "service" };
""",
}
APP = "clients/app.toml"
PAYMENTS = "audiences/payments.toml"
RULE_FILE = "rules/all.cedar"
EDITS: tuple[tuple[str, str, str], ...] = (
    (RULE_FILE, "principal.risk < 50", "principal.risk < 20"),
    (RULE_FILE, "principal.risk > 90", "principal.risk > 60"),
    (RULE_FILE, 'principal in Group::"finance" && principal.risk', "principal.risk"),
    (RULE_FILE, 'contains("reader")', 'contains("writer")'),
    (RULE_FILE, '@max_ttl("120s")', '@max_ttl("60s") @require_binding("dpop")'),
    (RULE_FILE, '@require_acr("phr")', '@require_approval("manager")'),
    (RULE_FILE, "principal has manager && ", "principal has manager && principal.risk < 80 && "),
    (RULE_FILE, 'resource == Scope::"book:read");', 'resource == Scope::"book:read") when { principal.department == "money" };'),
    (RULE_FILE, 'principal.department == "bots" };\n@id("freeze")', 'principal has risk && principal.risk < 60 };\n@id("freeze")'),
    (RULE_FILE, "context.chain.depth < 4", 'context.chain.depth < 3 && context.client.kind == "service"'),
    (RULE_FILE, 'principal.ticket == "T1"', "context has device && context.device has compliant && context.device.compliant"),
    (RULE_FILE, 'principal.ticket == "T1"', "context has session"),
    ("sources.toml", 'max_age = "5m"', 'max_age = "1m"'),
    ("sources.toml", 'max_age = "5m"', 'max_age = "1h"'),
    ("sources.toml", 'max_age = "1h"', 'max_age = "10m"\nmissing = "absent"'),
    ("sources.toml", 'about = ["User"]\ndescription', 'about = ["User"]\nmax_age = "10m"\ndescription'),
    ("sources.toml", 'groups = true\ndescription = "d"\n[sources.directory.facts]', 'groups = true\nmax_age = "10m"\ndescription = "d"\n[sources.directory.facts]'),
    ("sources.toml", 'missing = "absent"\ngroups = true', 'missing = "absent"'),
    ("sources.toml", 'missing = "absent"\ngroups = true', 'missing = "absent"\nmax_age = "10m"\ngroups = true'),
    ("sources.toml", 'manager = { type = "string", optional = true }', 'manager = "string"'),
    ("sources.toml", 'manager = { type = "string", optional = true }', 'manager = { type = "string", optional = true }\nlevel = { type = "long", optional = true }'),
    ("sources.toml", 'tenants = "set<string>"', 'tenants = { type = "set<string>", optional = true }'),
    ("sources.toml", 'tenants = "set<string>"\n', ""),
    ("sources.toml", 'healthy = "bool"', 'healthy = { type = "bool", optional = true }'),
    ("sources.toml", '[sources.ticket]\nkind = "store"\nabout = ["User", "Agent"]', '[sources.ticket]\nkind = "store"\nabout = ["Agent"]'),
    (RULE_FILE, 'contains("reader") }', 'contains("reader") && context has session }'),
    ("sources.toml", 'expires_at = "datetime"', 'ends_at = "datetime"'),
    ("sources.toml", 'about = ["device"]', 'about = ["device", "session"]'),
    ("claims.toml", 'from = "subject.department"', 'from = "subject.manager"'),
    ("claims.toml", 'absent = "refuse"', 'absent = "omit"'),
    (PAYMENTS, 'default_ttl = "5m"', 'default_ttl = "3m"'),
    (PAYMENTS, 'department = "*"', 'department = ["pay:write"]'),
    (PAYMENTS, "[claims]", 'binding = "dpop"\n[claims]'),
    (PAYMENTS, 'carries = ["book:read"]', "carries = []"),
    (PAYMENTS, '[scopes."pay:write"]\nmeaning = "m"\ntier = "high"', '[scopes."pay:write"]\nmeaning = "m"\ntier = "low"\ndefault = true'),
    (PAYMENTS, "default = true\n", "default = false\n"),
    (PAYMENTS, "[claims]", '[[tenancy]]\nparameter = "tenant"\nmember_of = "subject.tenants"\nrequired = true\n[claims]'),
    (PAYMENTS, 'environments = ["production"]', 'environments = ["staging"]'),
    ("audiences/legacy.toml", 'mode = "observe"', 'mode = "enforce"'),
    ("audiences/legacy.toml", 'mode = "observe"\nmax_ttl = "15m"\ndefault_ttl = "5m"\n[legacy]', 'mode = "canary"\nmax_ttl = "15m"\ndefault_ttl = "5m"\n[canary]\ngroups = ["finance"]\n[legacy]'),
    ("audiences/legacy.toml", "[legacy]\n", '[legacy_roles."subject.entitlements"]\nreader = ["old:use"]\n[legacy]\n'),
    ("audiences/legacy.toml", "[legacy]\n", '[legacy_clients]\nbot = ["old:use"]\n[legacy]\n'),
    (RULE_FILE, '@id("freeze")', '@mode("observe")\n@id("freeze")'),
    (RULE_FILE, '@id("sick")', '@mode("observe")\n@id("sick")'),
    ("audiences/legacy.toml", 'everyone = ["old:use"]', 'strangers = ["old:use"]'),
    (APP, 'kind = "service"', 'kind = "batch"'),
    (APP, '"pay:read", "pay:write", "pay:approve"', '"pay:read"'),
    (APP, 'environments = ["production"]', 'environments = ["staging", "production"]'),
    (APP, 'environments = ["production"]', 'environments = ["production", "staging"]'),
    (APP, 'grants = ["client_credentials", "token_exchange"]', 'grants = ["client_credentials"]'),
    ("bundle.toml", 'max_ttl = "1h"', 'max_ttl = "2m"'),
    ("bundle.toml", "[purposes.support]", "[purposes.other]"),
    ("bundle.toml", 'environments = ["production", "staging"]', 'environments = ["production", "staging"]\nmax_actors = 1'),
)  # fmt: skip


@lru_cache(maxsize=256)
def bundle_of(edits: frozenset[int]) -> Bundle | None:
    """The company with some edits; None where they do not go together."""
    texts = dict(FILES)
    for index in sorted(edits):
        file, old, new = EDITS[index]
        texts[file] = texts[file].replace(old, new)
    if texts["sources.toml"].count('tenants = "set<string>"') == 0:
        texts[PAYMENTS] = texts[PAYMENTS].replace("subject.tenants", "subject.entitlements")
    try:
        return build_bundle(texts)
    except BundleRefused:
        return None


few = st.frozensets(st.integers(0, len(EDITS) - 1), max_size=3)
GROUPS = ("finance", "everyone", "strangers")
ages = st.sampled_from([1_000, 30_000, 120_000, 400_000, 1_200_000, 4_000_000, -120_000])


SAID: Mapping[str, Mapping[str, tuple[Any, ...]]] = {
    "directory": {
        "department": ("money", "bots", "other"),
        "tenants": (["t1"], ["t1", "t2"], []),
        "manager": ("m",),
        "level": (3,),
    },
    "entitlements": {"entitlements": (["reader"], ["writer"], ["reader", "writer", "other"], [])},
    "risk": {"risk": (5, 5, 15, 15, 30, 55, 70, 95)},
    "approvals": {"approvals": (["manager:pay:write"], ["manager:pay:read"], [])},
    "session": {"expires_at": ("2026-11-18T11:10:00Z",)},
    "ticket": {"ticket": ("T1", "T2")},
    "posture": {"compliant": (True, False)},
    "health": {"healthy": (True, False)},
}
AGES = (1_000, 1_000, 1_000, 1_000, 30_000, 30_000, 120_000, 400_000, 1_200_000, 4_000_000, -120_000)
ENTITIES = ("User:alice", "Agent:helper", "Workload:app", "Agent:bot", "Workload:tool", "session:s1", "device:d1", "client:app", "client:bot", "client:tool")  # fmt: skip


def documents_of(chance: random.Random) -> dict[str, dict[str, SourceAnswer]]:
    """What the sources may say: mostly what they should; now and then one lacks something, is old or speaks nonsense."""
    found: dict[str, dict[str, SourceAnswer]] = {}
    for entity in ENTITIES:
        answers = found.setdefault(entity, {})
        for source, names in SAID.items():
            answer = answer_of(chance, source, names, person=entity.startswith("User:"))
            if answer is not None:
                answers[source] = answer
    return found


def answer_of(
    chance: random.Random, source: str, names: Mapping[str, tuple[Any, ...]], *, person: bool
) -> SourceAnswer | None:
    what = chance.choice(["whole"] * 36 + ["partial", "failing", "nothing", "nonsense"])
    if what == "nothing":
        return None
    if what == "failing":
        return SourceAnswer(state="failing", detail="down")
    document: dict[str, Any] = {
        "facts": {
            name: chance.choice(values) for name, values in names.items() if what != "partial" or chance.random() < 0.5
        }
    }
    if "department" in document["facts"] and chance.random() < 0.8:
        document["facts"]["department"] = "money" if person else "bots"
    if what == "nonsense":
        document["facts"][next(iter(names))] = {"no": "such"}
    if source in ("directory", "ticket"):
        document["groups"] = [name for name in GROUPS if chance.random() < (0.7 if source == "directory" else 0.2)]
        if chance.random() < 0.3:
            document["spans"] = {"groups": {"finance": [None, NOW + chance.choice([-5_000, 50_000])]}}
    if source == "entitlements" and what == "whole" and chance.random() < 0.3:
        document["spans"] = {"entitlements": {"reader": [None, NOW + chance.choice([-5_000, 40_000])]}}
    return SourceAnswer(document=json.dumps(document).encode(), observed_at=NOW - chance.choice(AGES))


documents = st.integers(0, 2**32).map(lambda seed: documents_of(random.Random(seed)))


def asking_of(chance: random.Random) -> Asking:
    """A grant, a request and its caller."""
    client = chance.choice(["app", "app", "bot", "tool"])
    form: dict[str, tuple[str, ...]] = {}
    scopes = chance.sample(["pay:read", "pay:write", "pay:approve"], chance.randrange(4))
    if chance.random() < 0.1:
        scopes = chance.choice([["old:use"], ["book:read"]])
    if scopes:
        form["scope"] = (" ".join(scopes),)
    else:
        form["audience"] = (chance.choice(["payments", "payments", "ledger", "legacy"]),)
    stated = {"purpose": "support", "environment": "production", "tenant": "t1", "requested_lifetime": "100"}
    form |= {name: (value,) for name, value in stated.items() if chance.random() < (0.05 if name == "tenant" else 0.25)}
    binding = chance.choice([None, None, Binding(kind="dpop", thumbprint="x")])
    request = TokenRequest(unverified_form=form, received_at=NOW, address="192.0.2.7")
    if chance.random() < 0.2:
        return client_credentials, request, Caller(client_id=client, method="client_secret_basic", binding=binding)
    subject = evidence_of(chance, client)
    return (
        token_exchange,
        request,
        Caller(client_id=client, method="client_secret_basic", subject=subject, binding=binding),
    )


def evidence_of(chance: random.Random, client: str) -> Evidence:
    own = chance.random() < 0.5
    carried = (("pay:read",), ("pay:read", "pay:write"), ("book:read", "pay:approve", "pay:read", "pay:write"))
    return Evidence(
        principal=EntityUid("User", "alice"),
        issuer="https://tokens.example" if own else "https://login.example",
        own=own,
        client_id=client if own else "",
        audiences=("https://api.example/payments",),
        scopes=chance.choice(carried) if own else None,
        actors=chance.choice([(), (), (EntityUid("Agent", "helper"),)]),
        expires_at=NOW + chance.choice([30_000, 3_600_000]),
        authenticated_at=NOW - 10_000,
        acr=chance.choice(["phr", ""]),
        session=chance.choice(["", "s1"]),
        device=chance.choice(["", "d1"]),
        tenant=chance.choice(["", "", "t1"]),
    )


askings = st.integers(0, 2**32).map(lambda seed: asking_of(random.Random(seed)))


def walk(bundle: Bundle, asking: Asking, said: Any) -> tuple[Asked, Facts, Decision] | None:
    """Steps 3 to 5; None where the request is refused before anything is decided."""
    grant, request, caller = asking
    catalogue = bundle.catalogue
    client = catalogue.clients[caller.client_id]
    if grant.NAME not in client.grants:
        return None
    try:
        asked = grant.resolve(request, caller, client, catalogue)
    except MintwardenError:
        return None
    facts = Assembly(catalogue).build(asked, said, {}, NOW)
    return asked, facts, decide(bundle, asked, facts, NOW)


def recorded(bundle: Bundle, asked: Asked, facts: Facts, decision: Decision) -> Question:
    """What is read back of what the ledger keeps."""
    types = tuple(actor.uid.type for actor in facts.actors)
    reads = bundle.plans.reads(bundle.catalogue.audiences[asked.audience], asked.scopes, asked.subject.type, types)
    sealed = read_document(decision_document(asked, project(facts, reads), decision))
    return Question(sealed.asked, sealed.facts)
