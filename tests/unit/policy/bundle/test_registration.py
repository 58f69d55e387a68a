"""`[registration]`: what may be registered beside the bundle; each refusal by name, and what a bundle admits."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from mintwarden.model.asked import Asked, RegisteredClient
from mintwarden.model.catalogue import Client
from mintwarden.model.values import EntityUid
from mintwarden.policy.registered import admitted, client_of, why_not

HEAD = "bundle.toml"
BEGINNING = "[owner]"
TABLE = """
[registration]
prefix = "reg-"
kinds = ["service"]
environments = ["staging"]
owners = ["Shop Platform"]
max_tier = "low"
[registration.ceilings]
orders = "*"
[owner]
"""
CLIENT = Client(
    id="reg-a",
    name="A",
    kind="service",
    owner="Shop Platform",
    principal="Workload",
    methods=("private_key_jwt",),
    grants=("client_credentials",),
    ceilings={"orders": ("orders:read",)},
    environments=("staging",),
)


@pytest.fixture
def catalogue(loaded):
    return loaded((HEAD, BEGINNING, TABLE)).catalogue


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('prefix = "reg-"\n', "", "prefix"),
        ('"reg-"', '"order-"', "client `order-export` could be called like a client that is registered"),
        ('"staging"', '"moon"', "unknown environment `moon`"),
        ('"service"', '"satellite"', "satellite"),
        ('max_tier = "low"', 'max_tier = "lowest"', "unknown tier `lowest`"),
        ('orders = "*"', 'order = "*"', "unknown audience `order`"),
        ('orders = "*"', 'orders = ["orders:fly"]', "no scope `orders:fly`"),
        ("max_tier", 'authentication = ["none"]\nmax_tier', "none"),
        ("max_tier", "colour = 1\nmax_tier", "colour"),
    ],
)
def test_what_a_bundle_may_not_say(refused, old, new, expected):
    problems = refused((HEAD, BEGINNING, TABLE.replace(old, new)))
    assert any(expected in problem.message for problem in problems), problems


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, ""),
        ({"id": "a"}, "begin with `reg-`"),
        ({"id": "reg-"}, "begin with `reg-`"),
        ({"kind": "agent"}, "kind `agent`"),
        ({"methods": ("none",)}, "authentication `none`"),
        ({"grants": ("token_exchange",)}, "grant `token_exchange`"),
        ({"environments": ("staging", "production")}, "environment `production`"),
        ({"owner": "Mallory"}, "owner `Mallory`"),
        ({"ceilings": {"orders": ("orders:write",)}}, "scope `orders:write`"),
        ({"ceilings": {"payroll": ("payroll:read",)}}, "scope `payroll:read`"),
    ],
)
def test_why_a_client_may_not_be_registered(catalogue, change, expected):
    reason = why_not(catalogue, replace(CLIENT, **change))
    assert expected in reason
    assert bool(expected) == bool(reason)


def test_without_the_table_nothing_is_admitted(loaded):
    catalogue = loaded().catalogue
    assert why_not(catalogue, CLIENT) == "the bundle lets nobody register clients"
    assert admitted(catalogue, CLIENT) is None
    assert client_of(catalogue, asked(catalogue)) is None


def asked(_catalogue, **changes):
    registered = RegisteredClient(
        id="reg-a",
        kind="service",
        owner="Shop Platform",
        principal="Workload",
        environments=("staging",),
        ceilings={"orders": ("orders:read", "orders:write"), "payroll": ("payroll:read",)},
    )
    return Asked(
        **{
            "grant": "client_credentials",
            "client_id": "reg-a",
            "subject": EntityUid("Workload", "reg-a"),
            "audience": "orders",
            "scopes": ("orders:read",),
            "registered": replace(registered, **changes.pop("registered", {})),
            **changes,
        }
    )


def test_a_decision_sees_a_registered_client_within_the_bounds_of_its_bundle(catalogue):
    found = client_of(catalogue, asked(catalogue))
    assert found is not None
    assert found.ceilings == {"orders": ("orders:read",)}


@pytest.mark.parametrize(
    "change",
    [
        {"client_id": "reg-b"},
        {"registered": {"id": "a"}},
        {"registered": {"kind": "agent"}},
        {"registered": {"environments": ("production",)}},
    ],
    ids=str,
)
def test_a_client_of_another_make_is_none(catalogue, change):
    assert client_of(catalogue, asked(catalogue, **change)) is None


def test_a_client_of_the_bundle_stands_before_a_registered_one(catalogue):
    question = asked(catalogue, client_id="shop-web", registered={"id": "shop-web"})
    assert client_of(catalogue, question) is catalogue.clients["shop-web"]
    assert admitted(catalogue, replace(CLIENT, id="shop-web")) is None
