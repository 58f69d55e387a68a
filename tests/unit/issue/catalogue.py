"""A small catalogue for the tests of this room."""

from __future__ import annotations

from mintwarden.model.catalogue import Audience, Catalogue, Client, Purpose, Scope, Tenancy, Tier

PAY = "https://api.example/payments"
BOOK = "https://api.example/ledger"


def scope(name: str, audience: str, *, default: bool = False, carries: tuple[str, ...] = ()) -> Scope:
    return Scope(name=name, audience=audience, meaning="m", tier="low", default=default, carries=carries)


def audience(name: str, identifier: str, *scopes: Scope, tenancy: tuple[Tenancy, ...] = ()) -> Audience:
    return Audience(
        id=name,
        identifier=identifier,
        description="d",
        owner="o",
        environments=("production",),
        scopes={s.name: s for s in scopes},
        max_ttl=900,
        default_ttl=300,
        claims={},
        tenancy=tenancy,
    )


def client(name: str, principal: str = "Workload", **changes: object) -> Client:
    settings: dict[str, object] = {
        "id": name,
        "name": name,
        "kind": "service",
        "owner": "o",
        "principal": principal,
        "methods": ("client_secret_basic",),
        "grants": ("client_credentials", "token_exchange"),
        "ceilings": {"payments": ("pay:read", "pay:write"), "ledger": ("book:read",)},
        "environments": ("production", "staging"),
        **changes,
    }
    return Client(**settings)  # type: ignore[arg-type]


PAYMENTS = audience(
    "payments",
    PAY,
    scope("pay:read", "payments", default=True, carries=("book:read",)),
    scope("pay:write", "payments"),
    tenancy=(Tenancy(parameter="tenant", member_of="subject.tenants"),),
)
LEDGER = audience("ledger", BOOK, scope("book:read", "ledger", default=True))

CATALOGUE = Catalogue(
    name="t",
    issuer="https://issuer.example",
    owner="o",
    owner_contact="o@example",
    environments=("production", "staging"),
    tiers={"low": Tier(id="low", rank=0, max_ttl=3600, verify="off")},
    purposes={"support": Purpose(id="support", meaning="m")},
    audiences={"payments": PAYMENTS, "ledger": LEDGER},
    scopes={**PAYMENTS.scopes, **LEDGER.scopes},
    claims={},
    sources={},
    clients={"web": client("web"), "bot": client("bot", "Agent"), "api": client("api", serves=("payments",))},
    issuers={},
    max_actors=3,
)
