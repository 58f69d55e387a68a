"""`[open_registration]`: which clients may register themselves; each refusal by name, and what a bundle admits."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from mintwarden.model.metadata import ClientMetadata
from mintwarden.policy.metadata import MetadataRefused
from mintwarden.policy.open_registration import registrable
from mintwarden.policy.registered import admitted, bounds_of, why_not

HEAD = "bundle.toml"
BEGINNING = "[owner]"
TABLE = """
[registration]
prefix = "reg-"
kinds = ["service"]
environments = ["staging"]
owners = ["Shop Platform"]
[registration.ceilings]
orders = "*"
[open_registration]
to = "anyone"
prefix = "self-"
kind = "mcp"
owner = "Shop Platform"
environments = ["staging"]
authentication = ["client_secret_basic"]
grants = ["client_credentials"]
redirects = ["https"]
max_tier = "low"
[open_registration.ceilings]
orders = "*"
[owner]
"""
PUBLISHER = """
[[open_registration.publishers]]
issuer = "https://p.example"
[[open_registration.publishers.keys]]
kty = "oct"
k = "AA"
[owner]
"""
SAID = ClientMetadata(method="client_secret_basic", grant_types=("client_credentials", "password"))


@pytest.fixture
def catalogue(loaded):
    return loaded((HEAD, BEGINNING, TABLE)).catalogue


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('to = "anyone"\n', "", "`to` is missing"),
        ('"anyone"', '"friends"', "friends"),
        ('"anyone"', '"initial_access_token"', "unknown scope `mintwarden:clients.register`"),
        ('"self-"', '"reg-self-"', "are not apart"),
        ('"self-"', '"r"', "are not apart"),
        ('"self-"', '"order-"', "client `order-export` could be called like a client that is registered"),
        ('"self-"', '"https://"', "id"),
        ('"mcp"', '"satellite"', "satellite"),
        ('"low"\n[open', '"lowest"\n[open', "unknown tier `lowest`"),
        ('["https"]', '["same_host"]', "same_host"),
        ("max_tier", "statement_required = true\nmax_tier", "nobody's counts"),
        ("max_tier", "per_hour = 0\nmax_tier", "`0` is not a whole number"),
        ("max_tier", "colour = 1\nmax_tier", "colour"),
        ("max_tier", 'backchannel_logout = "yes"\nmax_tier', "`yes` is neither `true` nor `false`"),
        ("max_tier", 'details = ["nothing"]\nmax_tier', "unknown type of authorization detail `nothing`"),
        ('["client_secret_basic"]', '["none"]', "a public client cannot use `client_credentials`"),
        (
            '[owner]\n',
            PUBLISHER,
            "private members",
        ),
    ],
)  # fmt: skip
def test_what_a_bundle_may_not_say(refused, old, new, expected):
    assert old in TABLE
    problems = refused((HEAD, BEGINNING, TABLE.replace(old, new)))
    assert any(expected in problem.message for problem in problems), problems


def test_a_client_is_cut_to_what_the_bundle_allows(catalogue):
    bounds = catalogue.open_registration
    made = registrable(catalogue, bounds, "self-1", SAID)
    assert (made.kind, made.owner, made.grants) == ("mcp", "Shop Platform", ("client_credentials",))
    assert made.ceilings == {"orders": ("orders:read",)}  # the other is of a higher tier
    assert registrable(catalogue, bounds, "self-1", replace(SAID, scopes=())).ceilings == {}


def test_the_bundle_bounds_it_anew_each_time(catalogue):
    bounds = catalogue.open_registration
    made = registrable(catalogue, bounds, "self-1", SAID)
    assert admitted(catalogue, made) == made
    moved = replace(catalogue, open_registration=replace(bounds, owner="Others", ceilings={}))
    cut = admitted(moved, made)
    assert (cut.owner, cut.ceilings) == ("Others", {})
    assert admitted(replace(catalogue, open_registration=replace(bounds, methods=("none",))), made) is None
    assert admitted(replace(catalogue, open_registration=replace(bounds, kind="agent")), made) is None
    assert admitted(replace(catalogue, open_registration=None), made) is None


def test_administrators_do_not_register_clients_that_would_pass_for_these(catalogue):
    made = registrable(catalogue, catalogue.open_registration, "self-1", SAID)
    assert "begin with `reg-`" in why_not(catalogue, made)
    assert bounds_of(catalogue, "reg-1") is catalogue.registration
    assert bounds_of(catalogue, "self-1") is catalogue.open_registration


def test_an_id_that_is_a_url_is_nobody_s_to_register(catalogue):
    sly = replace(catalogue, registration=replace(catalogue.registration, prefix="https://"))
    client = replace(registrable(catalogue, catalogue.open_registration, "self-1", SAID), id="https://app.example/c")
    assert "is a URL" in why_not(sly, client)
    assert admitted(sly, client) is None


AFTER = replace(
    SAID,
    redirect_uris=("https://app.example/cb",),
    post_logout_redirect_uris=("https://app.example/bye",),
    backchannel_logout_uri="https://app.example/told",
    details=("refund", "transfer"),
)


def test_what_comes_after_signing_out_is_the_bundles_to_allow(catalogue):
    bounds = catalogue.open_registration
    cut = registrable(catalogue, bounds, "self-1", AFTER)
    assert (cut.post_logout_redirect_uris, cut.backchannel_logout_uri, cut.details) == ((), "", ())
    more = replace(bounds, post_logout_redirects=True, backchannel_logout=True, details=("transfer",))
    open_to = replace(catalogue, open_registration=more)
    made = registrable(open_to, more, "self-1", AFTER)
    assert made.post_logout_redirect_uris == ("https://app.example/bye",)
    assert made.backchannel_logout_uri == "https://app.example/told"
    assert made.details == ("transfer",)
    assert admitted(open_to, made) == made
    assert admitted(catalogue, made) == cut, "and not any more when it is taken back"
    with pytest.raises(MetadataRefused) as caught:
        registrable(open_to, more, "self-1", replace(AFTER, post_logout_redirect_uris=("com.example:/bye",)))
    assert caught.value.kind.value == "invalid_redirect_uri"
