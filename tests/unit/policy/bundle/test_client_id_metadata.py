"""`[client_id_metadata]`: which clients may describe themselves; each refusal by name, and what a bundle admits."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from mintwarden.issue.grants import GRANTS
from mintwarden.model.asked import Asked, RegisteredClient
from mintwarden.model.metadata import ClientMetadata
from mintwarden.model.values import EntityUid
from mintwarden.policy.documents import described
from mintwarden.policy.metadata import GRANT_TYPES, MetadataRefused
from mintwarden.policy.registered import bounds_of, client_of
from tests.unit.policy.bundle.test_open_registration import TRANSFER, declaring

HEAD = "bundle.toml"
BEGINNING = "[owner]"
TABLE = """
[client_id_metadata]
hosts = ["app.example", "*.apps.example"]
kind = "mcp"
owner = "Shop Platform"
environments = ["staging"]
authentication = ["private_key_jwt"]
grants = ["client_credentials", "token_exchange"]
redirects = ["same_host"]
max_tier = "low"
[client_id_metadata.ceilings]
orders = "*"
[owner]
"""
URL = "https://app.example/c"
SAID = ClientMetadata(method="private_key_jwt", grant_types=("client_credentials",))
CLIENT = RegisteredClient(
    id=URL,
    kind="mcp",
    owner="Shop Platform",
    principal="Workload",
    environments=("staging",),
    ceilings={"orders": ("orders:read", "orders:write")},
)


@pytest.fixture
def catalogue(loaded):
    return loaded((HEAD, BEGINNING, TABLE)).catalogue


def asked(client: RegisteredClient, **more) -> Asked:
    question = {
        "grant": "client_credentials", "client_id": client.id, "subject": EntityUid("Workload", client.id),
        "audience": "orders", "scopes": ("orders:read",), "registered": client,
    }  # fmt: skip
    return Asked(**{**question, **more})


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('hosts = ["app.example", "*.apps.example"]\n', "", "hosts"),
        ('"app.example"', '"App.example"', "host"),
        ('"app.example"', '"https://app.example"', "host"),
        ('"app.example"', '"app.*"', "host"),
        ('"staging"', '"moon"', "unknown environment `moon`"),
        ('"mcp"', '"satellite"', "satellite"),
        ('max_tier = "low"', 'max_tier = "lowest"', "unknown tier `lowest`"),
        ('orders = "*"', 'order = "*"', "unknown audience `order`"),
        ('orders = "*"', 'orders = ["orders:fly"]', "no scope `orders:fly`"),
        ('["private_key_jwt"]', '["client_secret_basic"]', "client_secret_basic"),
        ('["same_host"]', '["anywhere"]', "anywhere"),
        ("max_tier", "colour = 1\nmax_tier", "colour"),
        (
            '["private_key_jwt"]\ngrants = ["client_credentials", "token_exchange"]',
            '["none"]\ngrants = ["client_credentials"]',
            "a public client cannot use `client_credentials`",
        ),
    ],
)
def test_what_a_bundle_may_not_say(refused, old, new, expected):
    problems = refused((HEAD, BEGINNING, TABLE.replace(old, new)))
    assert any(expected in problem.message for problem in problems), problems


def test_no_issuer_could_call_somebody_like_a_client_that_describes_itself(refused):
    issuer = """
[issuer]
id = "partner"
issuer = "https://partner.example"
audiences = ["https://tokens.example.com"]
principal = "Workload"
keys = "discovery"
"""
    (problem,) = refused((HEAD, BEGINNING, TABLE), ("issuers/partner.toml", "", issuer))
    assert "issuer `partner` could call somebody like a client that describes itself" in problem.message


def test_a_client_is_cut_to_what_the_bundle_allows(catalogue):
    made = described(catalogue, URL, SAID)
    assert (made.kind, made.owner, made.environments) == ("mcp", "Shop Platform", ("staging",))
    assert made.grants == ("client_credentials",)
    assert made.ceilings == {"orders": ("orders:read",)}  # the other is of a higher tier
    assert described(catalogue, URL, replace(SAID, scopes=("orders:write", "openid"))).ceilings == {}
    assert made.name == "app.example"
    assert described(catalogue, URL, replace(SAID, name="App")).name == "App"


def test_a_decision_is_made_again_as_this_bundle_admits_the_client(catalogue):
    known = client_of(catalogue, asked(CLIENT))
    assert known is not None
    assert known.ceilings == {"orders": ("orders:read",)}
    assert bounds_of(catalogue, URL) is catalogue.documents
    assert bounds_of(catalogue, "reg-1") is None
    for other in (
        replace(CLIENT, kind="agent"),
        replace(CLIENT, environments=("production",)),
        replace(CLIENT, id="https://other.example/c"),
        replace(CLIENT, id="https://apps.example/c"),
    ):
        assert client_of(catalogue, asked(other)) is None
    assert client_of(catalogue, asked(CLIENT, client_id="https://app.example/d")) is None
    assert client_of(replace(catalogue, documents=None), asked(CLIENT)) is None


def test_every_grant_is_known_by_its_type():
    assert {GRANT_TYPES[grant.grant_type] for grant in GRANTS} == {grant.name for grant in GRANTS}


def test_what_comes_after_signing_out_is_the_bundles_to_allow(catalogue):
    said = replace(
        SAID,
        redirect_uris=("https://app.example/cb",),
        post_logout_redirect_uris=("https://app.example/bye",),
        backchannel_logout_uri="https://app.example/told",
        details=("transfer",),
    )
    cut = described(catalogue, URL, said)
    assert (cut.post_logout_redirect_uris, cut.backchannel_logout_uri, cut.details) == ((), "", ())
    more = replace(catalogue.documents, post_logout_redirects=True, backchannel_logout=True, details=("transfer",))
    open_to = replace(declaring(catalogue, TRANSFER), documents=more)
    made = described(open_to, URL, said)
    assert made.post_logout_redirect_uris == said.post_logout_redirect_uris
    assert (made.backchannel_logout_uri, made.details) == ("https://app.example/told", ("transfer",))
    with pytest.raises(MetadataRefused):
        described(open_to, URL, replace(said, post_logout_redirect_uris=("https://other.example/bye",)))


def test_authorization_details_are_cut_at_every_decision(catalogue):
    """What was registered, or recorded once, is bounded by what the bundle says now."""
    asking = asked(replace(CLIENT, details=("transfer", "refund")))
    assert client_of(catalogue, asking).details == ()
    more = replace(
        declaring(catalogue, TRANSFER, replace(TRANSFER, name="refund")),
        documents=replace(catalogue.documents, details=("refund",)),
    )
    assert client_of(more, asking).details == ("refund",)
    too_high = declaring(more, replace(TRANSFER, name="refund", tier="high"))
    assert client_of(too_high, asking).details == (), "the highest tier bounds details as well"
