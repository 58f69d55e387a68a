"""Clients, audiences and issuers: defaults, and what may be declared once only."""

from __future__ import annotations

import pytest

from mintwarden.policy.bundle.clients import KINDS

JOB = "clients/order-export.toml"


@pytest.mark.parametrize(("kind", "principal"), sorted(KINDS.items()))
def test_the_kind_decides_the_principal_type(kind, principal, loaded):
    assert loaded((JOB, '"batch"', f'"{kind}"')).catalogue.clients["order-export"].principal == principal


def test_the_bundle_may_say_otherwise(loaded):
    bundle = loaded((JOB, 'kind = "batch"', 'kind = "batch"\nprincipal = "Agent"'))
    assert bundle.catalogue.clients["order-export"].principal == "Agent"


def test_a_star_in_the_ceilings_is_every_scope_of_the_audience(loaded):
    bundle = loaded((JOB, '["orders:read"]', '"*"'))
    assert bundle.catalogue.clients["order-export"].ceilings == {"orders": ("orders:read", "orders:write")}


def test_an_api_that_only_looks_at_tokens_needs_no_grant(loaded):
    bundle = loaded((JOB, '["client_credentials"]', '[]\nserves = ["orders"]'))
    assert bundle.catalogue.clients["order-export"].grants == ()


def test_what_stands_there_and_is_refused_is_not_missing_as_well(refused):
    key = '["private_key_jwt"]', "\n[[client.keys]]\nkty = 'oct'\n"
    problems = refused((JOB, '["client_secret_basic"]', key[0]), (JOB, "", key[1]))
    assert [problem.message for problem in problems] == ["unknown key type `oct`"]
    problems = refused((JOB, '["client_credentials"]', '["authorization_code"]\nredirect_uris = "https://a.example/"'))
    assert [problem.message for problem in problems] == ["`redirect_uris` is not an array"]


def test_a_bundle_without_an_issuer_asks_nobody_to_be_named_like_it(starter, refused):
    identity = starter["audiences/orders.toml"].replace("[audience]", '[audience]\nkind = "identity"')
    head = starter["bundle.toml"].replace("issuer = ", "isuer = ")
    problems = refused(
        ("audiences/orders.toml", starter["audiences/orders.toml"], identity),
        ("bundle.toml", starter["bundle.toml"], head),
    )
    assert not [problem for problem in problems if "named like" in problem.message]


def test_a_client_id_is_declared_once(refused):
    problems = refused((JOB, 'id = "order-export"', 'id = "shop-web"'))
    assert [p.message for p in problems if "twice" in p.message] == ["client `shop-web` is declared twice"]
    assert "clients/order-export.toml" in next(p.remedy for p in problems if "twice" in p.message)


def _second(starter, **changes: str) -> str:
    text = starter["audiences/orders.toml"]
    for old, new in changes.items():
        text = text.replace(old, new)
    return text


def test_an_audience_id_and_a_scope_and_an_identifier_are_declared_once(starter, refused):
    problems = refused(("audiences/other.toml", "", starter["audiences/orders.toml"]))
    assert any("audience `orders` is declared twice" in problem.message for problem in problems)
    problems = refused(("audiences/other.toml", "", _second(starter, **{'id = "orders"': 'id = "other"'})))
    messages = {problem.message for problem in problems}
    assert "scope `orders:read` is declared twice" in messages
    assert "`https://api.example.com/orders` is also the identifier of audience `orders`" in messages
    taken = 'identifier = "https://api.example.com/orders"'
    again = _second(starter, **{taken: f'{taken}\nalso = ["https://api.example.com/orders"]'})
    problems = refused(("audiences/orders.toml", starter["audiences/orders.toml"], again))
    assert "is also the identifier of audience `orders`" in problems[0].message


def test_two_files_may_not_speak_of_one_issuer(starter, refused):
    problems = refused(("issuers/again.toml", "", starter["issuers/login.toml"].replace('"login"', '"again"')))
    assert [problem.message for problem in problems] == ["`https://login.example.com` is also trusted as `again`"]


def test_an_issuers_id_is_declared_once(starter, refused):
    again = starter["issuers/login.toml"].replace("login.example.com", "other.example.com")
    assert [p.message for p in refused(("issuers/again.toml", "", again))] == ["issuer `login` is declared twice"]


def test_a_profile_fills_in_what_the_bundle_leaves_out(loaded):
    issuer = '[issuer]\nid = "ci"\nprofile = "github-actions"\naudiences = ["https://tokens.example.com"]\n'
    found = loaded(("issuers/ci.toml", "", issuer)).catalogue.issuers["ci"]
    assert found.issuer == "https://token.actions.githubusercontent.com"
    assert (found.principal, found.keys, found.roles) == ("Workload", "discovery", ("subject",))


def test_what_the_bundle_says_stands_before_the_profile(loaded):
    issuer = (
        '[issuer]\nid = "k"\nprofile = "kubernetes"\nissuer = "https://k.example.com"\nprincipal = "Agent"\n'
        'audiences = ["a"]\nalgorithms = ["ES256"]\ntyp = ["application/JWT"]\n'
    )
    found = loaded(("issuers/k.toml", "", issuer)).catalogue.issuers["k"]
    assert (found.principal, found.algorithms, found.typ) == ("Agent", ("ES256",), ("jwt",))


def test_an_issuer_whose_keys_are_discovered_is_a_url(refused):
    problems = refused(("issuers/login.toml", '"https://login.example.com"', '"login"'))
    assert any("`login` is not an https URL" in problem.message for problem in problems)


def test_an_issuer_without_discovery_need_not_be_a_url(loaded):
    issuer = (
        '[issuer]\nid = "mesh"\nprofile = "spiffe"\nissuer = "spiffe://example.org"\naudiences = ["a"]\n'
        'jwks_uri = "https://mesh.example.com/keys"\n'
    )
    assert loaded(("issuers/mesh.toml", "", issuer)).catalogue.issuers["mesh"].keys == "bundle"


def test_a_legacy_mapping_stands_in_for_a_route_while_observing(loaded, refused):
    scope = '\n[scopes."orders:all"]\nmeaning = "Everything, as before."\ntier = "high"\n'
    old = ("audiences/orders.toml", "disclose", 'mode = "observe"\ndisclose')
    assert any("no rule can grant" in p.message for p in refused(old, ("audiences/orders.toml", "", scope)))
    lent = ("audiences/orders.toml", "[claims]", '[legacy]\nstaff = ["orders:all"]\n[claims]')
    assert loaded(old, lent, ("audiences/orders.toml", "", scope)).catalogue.audiences["orders"].mode == "observe"


def test_a_global_forbid_is_welcome(loaded):
    assert loaded().rules.rules["no-writing-at-risk"].head.is_global


ENDPOINT = 'backchannel_client_notification_endpoint = "https://till.example/cb"'
PUSH = 'backchannel_token_delivery_mode = "push"'
PING = 'backchannel_token_delivery_mode = "ping"'


@pytest.mark.parametrize(
    ("grants", "method", "more", "expected"),
    [
        ('"ciba"', "none", "", "a public client cannot use `ciba`: anybody could send people questions in its name"),
        ('"ciba"', "client_secret_basic", PING, "`ping` needs somewhere to be told"),
        (
            '"ciba"',
            "client_secret_basic",
            ENDPOINT,
            "`backchannel_client_notification_endpoint` has no meaning without `ciba`, and `ping` or `push`",
        ),
        ('"ciba"', "client_secret_basic", PUSH, "`push` needs somewhere to be told"),
        (
            '"ciba"',
            "client_secret_basic",
            'backchannel_authentication_request_signing_alg = "ES256"',
            "`backchannel_authentication_request_signing_alg` is for clients that have people asked, and have a key to sign with",
        ),
        (
            '"ciba"',
            "client_secret_basic",
            f"{PUSH}\n{ENDPOINT}\ntls_client_certificate_bound_access_tokens = true",
            "a token that is pushed is bound to no key, and this client gets no others",
        ),
        (
            '"device_code"',
            "client_secret_basic",
            f"{PING}\n{ENDPOINT}",
            "`backchannel_client_notification_endpoint` has no meaning without `ciba`, and `ping` or `push`",
        ),
    ],
)
def test_who_asks_people_out_of_band_is_known_and_can_be_told(grants, method, more, expected, refused):
    problems = refused(
        (JOB, 'authentication = ["client_secret_basic"]', f'authentication = ["{method}"]\n{more}'),
        (JOB, '"client_credentials"', grants),
    )
    assert [problem.message for problem in problems] == [expected]


@pytest.mark.parametrize(
    ("grant", "expected"),
    [
        ("client_credentials", "a public client cannot use `client_credentials` (RFC 6749 section 4.4)"),
        ("jwt_bearer", "a public client cannot use `jwt_bearer`: whoever finds an assertion could use it"),
    ],
)
def test_a_public_client_uses_no_grant_that_is_found_or_made_up(grant, expected, refused):
    public = (JOB, 'authentication = ["client_secret_basic"]', 'authentication = ["none"]')
    problems = refused(public, (JOB, '"client_credentials"', f'"{grant}"'))
    assert expected in [problem.message for problem in problems]


def test_how_a_client_is_told(loaded):
    found = loaded(
        (JOB, '"client_credentials"', '"ciba", "device_code", "refresh_token"'),
        (JOB, "authentication", f"{PING}\n{ENDPOINT}\nauthentication"),
    ).catalogue.clients["order-export"]
    assert (found.backchannel.delivery, found.backchannel.endpoint) == ("ping", "https://till.example/cb")
    assert loaded().catalogue.clients["order-export"].backchannel.delivery == "poll"


_GRANT = 'grants = ["authorization_code"]\nredirect_uris = ["https://a.example/b"]'
CODE = ((JOB, 'grants = ["client_credentials"]', _GRANT),)


def authorization(*lines: str) -> tuple[str, str, str]:
    return (JOB, "[client.ceilings]", "[client.authorization]\n" + "\n".join(lines) + "\n[client.ceilings]")


def test_what_holds_for_authorization_requests(loaded):
    client = loaded(*CODE).catalogue.clients["order-export"]
    usual = client.authorization
    assert (usual.consent, usual.pushed, usual.signed, usual.remember) == ("explicit", False, False, 90 * 86_400)
    lines = ('consent = "implicit"', 'remember = "0s"', "pushed = true", 'response_algorithm = "ES256"')
    stated = loaded(*CODE, authorization(*lines)).catalogue.clients["order-export"].authorization
    assert (stated.consent, stated.pushed, stated.remember, stated.response_algorithm) == ("implicit", True, 0, "ES256")


@pytest.mark.parametrize(
    ("edits", "said"),
    [
        ((authorization("pushed = true"),), "`authorization` has no meaning without `authorization_code`"),
        ((*CODE, authorization("signed = true")), "signed requests need a key"),
        ((*CODE, authorization('consent = "always"')), "unknown value `always`"),
        ((*CODE, authorization('userinfo_algorithm = "EdDSA"')), "nothing here is signed with `EdDSA`"),
        ((*CODE, authorization("silent = true")), "unknown key `silent`"),
    ],
)
def test_authorization_that_means_nothing_is_refused(refused, edits, said):
    assert any(said in problem.message for problem in refused(*edits))


ORDERS = "audiences/orders.toml"


@pytest.mark.parametrize("key", ['resources = ["https://api.example.com/a"]', "client_ids = { shop-web = 'x' }"])
def test_what_only_another_domain_has(refused, key):
    problems = refused((ORDERS, 'id = "orders"\n', f'id = "orders"\n{key}\n'))
    name = key.partition(" ")[0]
    assert f'`{name}` have no meaning but with `kind = "domain"`' in [problem.message for problem in problems]


def test_an_assertion_is_for_one_authorization_server(refused):
    more = 'id = "orders"\nkind = "domain"\nalso = ["https://api.example.com/a"]\n'
    problems = refused((ORDERS, 'id = "orders"\n', more))
    expected = "`also` has no meaning: an identity assertion is for one authorization server"
    assert expected in [problem.message for problem in problems]
