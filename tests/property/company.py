"""Random questions and random truths about a small company whose agents, tools and scopes allow long chains."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from mintwarden.model.asked import Asked
from mintwarden.model.caller import Caller, Evidence
from mintwarden.model.facts import Facts, Reading
from mintwarden.model.request import TokenRequest
from mintwarden.model.values import Datetime, Entity, EntityUid, Record
from mintwarden.policy.bundle.model import Bundle
from tests.unit.policy.company import CLIENT, PAYMENTS

NOW = 1_795_000_000_000
SCOPES = ("pay:read", "pay:write", "pay:approve")
GROUPS = ("finance", "everyone", "strangers")
HELD = ("reader", "writer", "other")

RULES = """
@id("read") @owner("o") @reason("r")
permit (principal is User, action == Action::"issue", resource == Scope::"pay:read")
when { principal in Group::"finance" && principal.risk < 50 };
@id("read-held") @owner("o") @reason("r") @max_ttl("120s")
permit (principal is User, action == Action::"issue", resource == Scope::"pay:read")
when { principal.entitlements.contains("reader") };
@id("write") @owner("o") @reason("r") @max_ttl("300s") @require_acr("phr")
permit (principal is User, action == Action::"issue", resource == Scope::"pay:write")
when { principal in Group::"finance" || principal.entitlements.contains("writer") };
@id("approve") @owner("o") @reason("r")
permit (principal is User, action == Action::"issue", resource == Scope::"pay:approve")
when { principal has manager && principal.department == "money" };
@id("book") @owner("o") @reason("r")
permit (principal is User, action == Action::"issue", resource == Scope::"book:read");
@id("act-payments") @owner("o") @reason("r") @max_ttl("200s")
permit (principal, action == Action::"act", resource in Audience::"payments")
when { principal.department == "bots" && context.chain.depth < 4 };
@id("act-ledger") @owner("o") @reason("r") @max_ttl("150s")
permit (principal, action == Action::"act", resource in Audience::"ledger")
when { principal.department == "bots" };
@id("freeze") @owner("o") @reason("r")
forbid (principal is User, action, resource) when { principal.risk > 90 };
@id("calm-agents") @owner("o") @reason("r")
forbid (principal is Agent, action, resource == Scope::"pay:write") when { principal.risk > 20 };
"""

FILES = {
    "audiences/payments.toml": PAYMENTS.replace(
        '[scopes."pay:read"]\n', '[scopes."pay:read"]\ncarries = ["book:read"]\n'
    ),
    "audiences/ledger.toml": """[audience]
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
""",
    **{
        f"clients/{name}.toml": CLIENT.replace('id = "app"', f'id = "{name}"')
        .replace('kind = "service"', f'kind = "{kind}"')
        .replace('environments = ["production"]', 'environments = ["production"]\nserves = ["payments", "ledger"]')
        + 'ledger = ["book:read"]\n'
        for name, kind in (("app", "service"), ("bot", "agent"), ("tool", "service"), ("helper", "agent"))
    },
}

scope_lists = st.lists(st.sampled_from([*SCOPES, "old:use"]), min_size=1, max_size=4, unique=True).map(tuple)


def mostly(usual: Any, *others: Any, weight: int = 15) -> st.SearchStrategy[Any]:
    """`usual` nearly always, so that long chains come about; now and then one of `others`."""
    return st.sampled_from([usual] * weight + list(others))


@st.composite
def truths(
    draw: st.DrawFn, subject: EntityUid, actors: tuple[EntityUid, ...], now: int = NOW, *, friendly: bool = False
) -> Facts:
    """What may be true about a subject and its actors; `friendly`: mostly what grants."""
    weight = 15 if friendly else 2
    states = mostly("present", "missing", "stale", "failing", weight=60 if friendly else 12)
    risks = st.integers(0, 15) if friendly and draw(mostly(True, False)) else st.integers(0, 100)
    attrs: dict[str, Any] = {
        "department": draw(mostly("money", "other", weight=weight)),
        "tenants": frozenset(),
        "risk": draw(risks),
        "entitlements": frozenset(draw(st.lists(st.sampled_from(HELD), max_size=3))),
    }
    if draw(mostly(True, False, weight=weight)):
        attrs["manager"] = "m"
    names = draw(mostly(["finance"], [], ["everyone"], list(GROUPS), weight=weight))
    readings = {f"subject/{name}": Reading(draw(states), now) for name in ("directory", "entitlements", "risk")}
    ends = draw(st.dictionaries(st.sampled_from(HELD), st.integers(now - 1_000, now + 400_000), max_size=2))
    entities = []
    for index, actor in enumerate(actors):
        readings |= {f"actor:{index}/{name}": Reading(draw(states), now) for name in ("directory", "risk")}
        department = draw(mostly("bots", "other", weight=weight))
        attributes = {"department": department, "tenants": frozenset(), "risk": draw(risks)}
        entities.append(Entity(actor, Record(attributes)))
    context = Record(
        {
            "request": Record({"time": Datetime(now), "environment": "production", "amr": frozenset()}),
            "chain": Record({"depth": len(actors), "actors": frozenset()}),
        }
    )
    return Facts(
        subject=Entity(subject, Record(attrs), frozenset(EntityUid("Group", name) for name in names)),
        actors=tuple(entities),
        context=context,
        readings=readings,
        ends={"subject/entitlements": ends} if ends else {},
    )


@st.composite
def exchanges(draw: st.DrawFn, bundle: Bundle, subject: Evidence) -> tuple[TokenRequest, Caller, str]:
    """A request to exchange `subject`, by any client, for anything."""
    client = draw(st.sampled_from(sorted(bundle.catalogue.clients)))
    form: dict[str, tuple[str, ...]] = {}
    known = list(subject.scopes or ())
    scopes = draw(mostly(known, known[:1], known[-1:], ["book:read"], [*known, "pay:write"], [], weight=4))
    if not scopes:
        form["audience"] = (draw(st.sampled_from(["payments", "ledger"])),)
    else:
        form["scope"] = (" ".join(scopes),)
    if draw(st.booleans()):
        form["requested_lifetime"] = (str(draw(st.integers(100, 2_000))),)
    if draw(st.booleans()):
        form["purpose"] = ("support",)
    caller = Caller(client_id=client, method="client_secret_basic", subject=subject)
    return TokenRequest(unverified_form=form, received_at=NOW), caller, client


def first_asked(scopes: tuple[str, ...], **changes: Any) -> Asked:
    settings: dict[str, Any] = {
        "grant": "token_exchange",
        "client_id": "app",
        "subject": EntityUid("User", "alice"),
        "audience": "payments",
        "scopes": scopes,
        "environment": "production",
        "method": "client_secret_basic",
        **changes,
    }
    return Asked(**settings)
