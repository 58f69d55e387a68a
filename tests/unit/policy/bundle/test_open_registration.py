"""`[open_registration]`: which clients may register themselves; each refusal by name, and what a bundle admits."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from mintwarden.model.catalogue import Client, ClientDocuments
from mintwarden.model.detail import DetailType
from mintwarden.model.errors import ErrorKind
from mintwarden.model.metadata import ClientMetadata
from mintwarden.model.terms import Backchannel, Protections
from mintwarden.policy.bundle.clients import METHODS
from mintwarden.policy.bundle.load import build_bundle
from mintwarden.policy.metadata import MetadataRefused, read_metadata
from mintwarden.policy.open_registration import registrable
from mintwarden.policy.origins import is_described
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
        ("max_tier", 'backchannel_delivery = ["pigeon"]\nmax_tier', "pigeon"),
        ("max_tier", 'backchannel_delivery = ["push"]\nprofile = "fapi2"\nmax_tier', "bound to no key"),
        ("max_tier", "origins = true\nmax_tier", "no page keeps a secret"),
        ('owners = ["Shop Platform"]\n', 'owners = ["Shop Platform"]\ndetails = ["x"]\n', "detail `x`"),
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


@pytest.mark.parametrize(
    "method",
    [name for name in METHODS if name not in ("client_secret_basic", "client_secret_post", "private_key_jwt", "none")],
)
def test_a_method_that_no_registration_can_satisfy_is_refused(changed, refused, method):
    said = f'["client_secret_basic", "{method}"]'
    change = (HEAD, BEGINNING, TABLE.replace('["client_secret_basic"]', said))
    (problem,) = refused(change)
    before, _, _ = changed(change)[HEAD].partition(said)
    assert (problem.file, problem.line) == (HEAD, before.count("\n") + 1)
    assert f"cannot have `{method}`" in problem.message
    assert "`private_key_jwt`" in problem.remedy


NAMING = ("issuers/login.toml", 'principal = "User"')


@pytest.mark.parametrize(("principal", "named"), [("User", False), ("Agent", False), ("Workload", True)])
def test_an_issuer_that_names_others_of_the_same_kind_could_name_one_that_registered(
    changed, refused, principal, named
):
    """An `mcp` is a workload: `Agent::"self-1"` is nobody who could have registered."""
    issuer = (*NAMING, f'principal = "{principal}"')
    alone = (HEAD, BEGINNING, TABLE[TABLE.index("[open_registration]") :])
    if named:
        assert any("issuer `login` could be called like" in one.message for one in refused(issuer, alone))
    else:
        assert build_bundle(changed(issuer, alone)).catalogue.open_registration is not None


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


TRANSFER = DetailType(name="transfer", audience="orders", meaning="m", tier="low", fields={})


def declaring(catalogue, *types):
    orders = replace(catalogue.audiences["orders"], details={one.name: one for one in types})
    return replace(catalogue, audiences={**catalogue.audiences, "orders": orders})


def test_what_comes_after_signing_out_is_the_bundles_to_allow(catalogue):
    bounds = catalogue.open_registration
    cut = registrable(catalogue, bounds, "self-1", AFTER)
    assert (cut.post_logout_redirect_uris, cut.backchannel_logout_uri, cut.details) == ((), "", ())
    more = replace(bounds, post_logout_redirects=True, backchannel_logout=True, details=("transfer", "refund"))
    high = next(scope.tier for scope in catalogue.scopes.values() if scope.tier != "low")
    refund = replace(TRANSFER, name="refund", tier=high)  # too high for such a client
    open_to = replace(declaring(catalogue, TRANSFER, refund), open_registration=more)
    made = registrable(open_to, more, "self-1", AFTER)
    assert made.post_logout_redirect_uris == ("https://app.example/bye",)
    assert made.backchannel_logout_uri == "https://app.example/told"
    assert made.details == ("transfer",)
    assert admitted(open_to, made) == made
    assert admitted(catalogue, made) == cut, "and not any more when it is taken back"
    with pytest.raises(MetadataRefused) as caught:
        registrable(open_to, more, "self-1", replace(AFTER, post_logout_redirect_uris=("com.example:/bye",)))
    assert caught.value.kind.value == "invalid_redirect_uri"


ASKING = ClientMetadata(
    method="client_secret_basic",
    grant_types=("urn:openid:params:grant-type:ciba",),
    delivery="push",
    notified_at="https://app.example/cb",
)
KEYS = ({"kty": "EC", "kid": "a"},)


def test_how_one_is_told_of_answers_is_the_bundles_to_allow(catalogue):
    bounds = replace(catalogue.open_registration, grants=("ciba",))
    for said in (ASKING, replace(ASKING, delivery="ping")):
        with pytest.raises(MetadataRefused, match="is not how such a client is told here"):
            registrable(catalogue, bounds, "self-1", said)
    polls = registrable(catalogue, bounds, "self-1", replace(ASKING, delivery="poll"))
    assert polls.backchannel == Backchannel(), "who is not told needs no address"
    more = replace(bounds, backchannel_delivery=("ping", "push"))
    open_to = replace(catalogue, open_registration=more)
    made = registrable(open_to, more, "self-1", replace(ASKING, request_signing="ES256", jwks=KEYS))
    assert made.backchannel == Backchannel(delivery="push", endpoint="https://app.example/cb", signing="ES256")
    assert made.jwks == KEYS
    assert admitted(open_to, made) == made
    asks = admitted(replace(catalogue, open_registration=bounds), made)
    assert asks.backchannel == Backchannel(signing="ES256"), "and has to ask when it is taken back"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (replace(ASKING, notified_at=""), "needs `backchannel_client_notification_endpoint`"),
        (replace(ASKING, notified_at="http://127.0.0.1/cb"), "on the server itself"),
        (replace(ASKING, notified_at="https://localhost/cb"), "on the server itself"),
        (replace(ASKING, request_signing="ES256"), "with a key of `jwks`"),
        (replace(ASKING, request_signing="HS256", jwks=KEYS), "nothing is signed with `HS256`"),
        (replace(ASKING, request_signing="none", jwks=KEYS), "nothing is signed with `none`"),
        (replace(ASKING, certificate_bound=True), "bound to no key"),
        (replace(ASKING, protections=Protections(dpop=True)), "bound to no key"),
    ],
)
def test_what_nobody_is_told_by(catalogue, said, expected):
    bounds = replace(catalogue.open_registration, grants=("ciba",), backchannel_delivery=("ping", "push"))
    with pytest.raises(MetadataRefused, match=expected):
        registrable(catalogue, bounds, "self-1", said)


def test_what_it_was_promised_ends_it_where_it_cannot_be_kept_any_more(catalogue):
    bounds = replace(catalogue.open_registration, methods=("private_key_jwt",), profile="legacy")
    open_to = replace(catalogue, open_registration=bounds)
    promised = Protections(assertion_algorithm="RS256", object_algorithm="RS256")
    said = replace(SAID, method="private_key_jwt", jwks=KEYS, signed=True, protections=promised)
    made = registrable(open_to, bounds, "self-1", said)
    assert (made.authorization.signed, made.protections, made.jwks) == (True, promised, KEYS)
    assert admitted(open_to, made) == made
    assert admitted(replace(catalogue, open_registration=replace(bounds, profile="oauth21")), made) is None
    by_secret = replace(bounds, methods=("client_secret_basic",))
    without = registrable(open_to, by_secret, "self-1", replace(said, method="client_secret_basic"))
    assert without.protections == Protections(object_algorithm="RS256"), "it sends no assertions"
    assert without.jwks == KEYS, "and signs its requests"


@pytest.mark.parametrize(
    "said",
    [
        {"userinfo_algorithm": "ES256"},
        {"response_algorithm": "ES256"},
        {"protections": Protections(id_token_algorithm="ES256")},
        {"protections": Protections(introspection_algorithm="ES256")},
    ],
    ids=str,
)
def test_another_signature_than_it_was_promised_ends_it(catalogue, said):
    """A new version of the bundle signs with something else: then it gets nothing, rather than that."""
    bounds = replace(catalogue.open_registration, grants=("authorization_code",), ceilings={"identity": ("openid",)})
    orders = replace(catalogue.audiences["orders"], algorithm="ES256")
    openid = replace(orders.scopes["orders:read"], name="openid", audience="identity")
    me = replace(orders, id="identity", kind="identity", scopes={"openid": openid})

    def signing(algorithm):
        alike = {audience.id: replace(audience, algorithm=algorithm) for audience in (orders, me)}
        scopes = {**catalogue.scopes, "openid": openid}
        return replace(catalogue, open_registration=bounds, audiences=alike, scopes=scopes)

    words = replace(SAID, grant_types=("authorization_code",), redirect_uris=("https://app.example/cb",), **said)
    made = registrable(signing("ES256"), bounds, "self-1", words)
    assert admitted(signing("ES256"), made) == made
    assert admitted(signing("PS256"), made) is None
    with pytest.raises(MetadataRefused, match="we do not sign with `ES256`, but with PS256"):
        registrable(signing("PS256"), bounds, "self-1", words)


def test_a_client_that_gets_bound_tokens_alone_is_pushed_none(catalogue):
    bounds = replace(catalogue.open_registration, grants=("ciba",), backchannel_delivery=("push",), profile="fapi2")
    with pytest.raises(MetadataRefused, match="bound to no key"):
        registrable(catalogue, bounds, "self-1", ASKING)


def test_a_public_client_has_nobody_asked(catalogue):
    bounds = replace(
        catalogue.open_registration, methods=("none",), grants=("ciba", "jwt_bearer", "device_code"),
        backchannel_delivery=("ping", "push"),
    )  # fmt: skip
    names = (*ASKING.grant_types, "urn:ietf:params:oauth:grant-type:jwt-bearer")
    device = "urn:ietf:params:oauth:grant-type:device_code"
    made = registrable(catalogue, bounds, "self-1", replace(ASKING, method="none", grant_types=(*names, device)))
    assert (made.grants, made.backchannel) == (("device_code",), Backchannel())
    with pytest.raises(MetadataRefused, match="none of its `grant_types`"):
        registrable(catalogue, bounds, "self-1", replace(ASKING, method="none", grant_types=names))


@pytest.mark.parametrize(
    "said",
    [
        {"backchannel_token_delivery_mode": "pigeon"},
        {"backchannel_token_delivery_mode": 7},
        {"backchannel_user_code_parameter": "yes"},
        {"backchannel_authentication_request_signing_alg": ["ES256"]},
        *(
            {"backchannel_client_notification_endpoint": uri}
            for uri in (
                "http://app.example/cb", "https://app.example/cb#x", "com.example:/cb", "https://a@app.example/cb", 7,
                "https://10.0.0.1/cb", "https://192.168.1.1:8443/cb", "https://169.254.169.254/latest", "https://[fd00::1]/cb",
                "https://0.0.0.0/cb", "https://100.64.0.1/cb",
            )
        ),
    ],
    ids=str,
)  # fmt: skip
def test_bad_words_of_who_has_people_asked(said):
    with pytest.raises(MetadataRefused) as caught:
        read_metadata({"grant_types": ["urn:openid:params:grant-type:ciba"], **said})
    assert caught.value.kind is ErrorKind.INVALID_CLIENT_METADATA


def test_a_user_code_counts_for_nothing_here():
    """ "This parameter only applies when" the server supports it (OpenID CIBA Core 1.0 section 4)."""
    said = {"grant_types": ["urn:openid:params:grant-type:ciba"], "backchannel_user_code_parameter": True}
    assert read_metadata(said) == read_metadata({**said, "backchannel_user_code_parameter": False})


PAGES = (
    "https://app.example/cb",
    "https://app.example:443/two",
    "https://[2001:db8::1]:8443/cb",
    "http://127.0.0.1/cb",
)


def test_the_pages_of_a_public_client_are_where_it_sends_people(catalogue):
    bounds = replace(
        catalogue.open_registration, methods=("none", "client_secret_basic"), grants=("authorization_code",),
        redirects=("https", "loopback"), origins=True,
    )  # fmt: skip
    said = ClientMetadata(method="none", redirect_uris=PAGES)
    open_to = replace(catalogue, open_registration=bounds)
    made = registrable(open_to, bounds, "self-1", said)
    assert made.origins == ("https://app.example", "https://[2001:db8::1]:8443"), (
        "as a browser writes them; no loopback"
    )
    assert admitted(open_to, made) == made
    closed = replace(bounds, origins=False)
    assert registrable(catalogue, closed, "self-1", said).origins == ()
    assert admitted(replace(catalogue, open_registration=closed), made).origins == ()
    assert registrable(open_to, bounds, "self-1", replace(said, method="client_secret_basic")).origins == ()


@pytest.mark.parametrize(
    ("origin", "known"),
    [
        ("https://app.example", True), ("https://app.example:8443", True), ("https://a.pages.example", True),
        ("https://pages.example", False), ("https://evil.a.example", False), ("http://app.example", False), ("null", False),
        ("", False), ("https://app.example.evil.example", False), ("https://app.example@evil.example", False),
        ("https://app.example/x", True),
    ],
)  # fmt: skip
def test_a_page_that_describes_itself_is_at_a_host_that_the_bundle_names(catalogue, origin, known):
    documents = ClientDocuments(
        hosts=("app.example", "*.pages.example"), kind="mcp", principal="Workload", owner="o", environments=("staging",),
        ceilings={}, methods=("none",), grants=("authorization_code",), origins=True,
    )  # fmt: skip
    assert is_described(replace(catalogue, documents=documents), origin) is known
    for other in (
        replace(documents, origins=False),
        replace(documents, methods=("private_key_jwt",)),
        replace(documents, hosts=("*",)),
        replace(documents, excluded=("*",)),
        None,
    ):
        assert not is_described(replace(catalogue, documents=other), origin)


def test_where_documents_of_any_host_are_read_no_page_is_known(refused):
    table = """
[client_id_metadata]
hosts = ["*"]
kind = "mcp"
owner = "Shop Platform"
environments = ["staging"]
grants = ["authorization_code"]
origins = true
[client_id_metadata.ceilings]
orders = "*"
[owner]
"""
    problems = refused((HEAD, BEGINNING, table))
    assert any("scripts of any page could read" in problem.message for problem in problems), problems


def test_the_details_of_who_administrators_register_are_within_the_bundles_bounds(catalogue):
    bounds = replace(
        catalogue.registration, details=("transfer",), methods=("client_secret_basic",), grants=("client_credentials",)
    )
    here = replace(declaring(catalogue, TRANSFER, replace(TRANSFER, name="refund")), registration=bounds)
    made = Client(
        id="reg-1", name="n", kind="service", owner="Shop Platform", principal="Workload",
        methods=("client_secret_basic",), grants=("client_credentials",), ceilings={"orders": ()},
        environments=("staging",), details=("transfer",),
    )  # fmt: skip
    assert why_not(here, made) == ""
    assert "`refund` is not among" in why_not(here, replace(made, details=("transfer", "refund")))
    assert "audience `orders`" in why_not(here, replace(made, ceilings={}))
    assert admitted(here, made).details == ("transfer",)
    assert admitted(replace(here, registration=replace(bounds, details=())), made).details == ()
