"""What a profile forbids is refused when the bundle is loaded, by name, at its place, with what to do."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from mintwarden.model.profiles import PROFILES, STRONG
from mintwarden.policy.metadata import read_metadata
from mintwarden.policy.open_registration import registrable

JOB, WEB, A, B = "clients/order-export.toml", "clients/shop-web.toml", "audiences/orders.toml", "bundle.toml"
KEY = '\n[[client.keys]]\nkty = "OKP"\ncrv = "Ed25519"\nx = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"\n'
SECRET = 'authentication = ["client_secret_basic"]'
GRANT = 'grants = ["client_credentials"]'
CODE = 'grants = ["authorization_code", "refresh_token"]\nredirect_uris = ["https://app.example.com/back"]'
RENEWED = (GRANT, CODE)
FAPI = (JOB, SECRET, 'profile = "fapi2"\nauthentication = ["private_key_jwt"]')
KEYED = (JOB, "", KEY)
OPEN = (
    '\n[open_registration]\nto = "anyone"\nprefix = "dyn-"\nkind = "third_party"\nowner = "Nobody"\n'
    'environments = ["production"]\ngrants = ["authorization_code", "refresh_token"]\nprofile = "{}"\n'
    'authentication = {}\n[open_registration.ceilings]\norders = ["orders:read"]\n'
)


class Case(NamedTuple):
    name: str
    changes: tuple[tuple[str, str, str], ...]
    at: str
    message: str
    remedy: str


CASES = (
    Case("an unknown profile", ((JOB, SECRET, f'profile = "fapi"\n{SECRET}'),), '"fapi"', "unknown value `fapi`", "`fapi2`"),
    Case("a secret under FAPI", ((JOB, SECRET, f'profile = "fapi2"\n{SECRET}'),), '"client_secret_basic"',
         "profile `fapi2` takes no client that authenticates by `client_secret_basic`", "`private_key_jwt`"),
    Case("a public client under FAPI", ((JOB, SECRET, 'profile = "fapi2"\nauthentication = ["none"]'), (JOB, *RENEWED)),
         '"none"', "authenticates by `none`", "`tls_client_auth`"),
    Case("RS256 under FAPI", (FAPI, KEYED, (JOB, GRANT, f'{GRANT}\nalgorithms = ["ES256", "RS256"]')), '"RS256"',
         "profile `fapi2` takes no signatures with RS256", "`PS256`"),
    Case("ES384 under FAPI", (FAPI, KEYED, (JOB, GRANT, f'{GRANT}\nalgorithms = ["ES384"]')), '"ES384"', "with ES384", "`EdDSA`"),
    Case("rotation under FAPI", (FAPI, (JOB, GRANT, CODE), (JOB, "", f"[client.refresh]\nrotate = true\n{KEY}")), "true",
         "profile `fapi2` keeps refresh tokens", "leave `rotate` out"),
    Case("FAPI without PAR", (FAPI, (JOB, GRANT, CODE), (JOB, "", f"[client.authorization]\npushed = false\n{KEY}")), "false",
         "profile `fapi2` takes no authorization requests but those that were pushed", "leave `pushed` out"),
    Case("answers with RS256 under FAPI", (FAPI, (JOB, GRANT, CODE),
         (JOB, "", f'[client.authorization]\nresponse_algorithm = "RS256"\n{KEY}')), '"RS256"', "with RS256", "`ES256`"),
    Case("an RS256 audience for a FAPI client", (FAPI, KEYED, (A, "disclose", 'algorithm = "RS256"\ndisclose')),
         'orders = ["orders:read"]', "tokens of audience `orders` are signed with RS256, against profile `fapi2`", "`ES256`"),
    Case("a FAPI audience with RS256", ((A, "disclose", 'profile = "fapi2"\nalgorithm = "RS256"\ndisclose'),), '"RS256"',
         "takes no signatures with RS256", "`ES256`"),
    Case("a FAPI audience of bearer tokens", ((A, "disclose", 'profile = "fapi2"\nbinding = ""\ndisclose'),), '""',
         "profile `fapi2` knows no bearer tokens", "`\"any\"`"),
    Case("another client at a FAPI audience", ((A, "disclose", 'profile = "fapi2"\ndisclose'),), 'orders = ["orders:read"]',
         "audience `orders` is of profile `fapi2` and takes no clients of profile `oauth21`", 'profile = "fapi2"'),
    *(
        Case(f"a public client that keeps one bearer refresh token under {name}",
             ((JOB, SECRET, f'profile = "{name}"\nauthentication = ["none"]'), (JOB, *RENEWED),
              (JOB, "", "[client.refresh]\nrotate = false\n")),
             "false", f"profile `{name}` rotates the refresh tokens of public clients, or binds them", "`rotate = false`")
        for name in ("oauth21", "mcp")
    ),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_is_refused_at_its_place(case: Case, changed, refused):
    problems = refused(*case.changes)
    problem = next(p for p in problems if case.message in p.message)
    assert case.at in changed(*case.changes)[problem.file].splitlines()[problem.line - 1]
    assert case.remedy in problem.remedy


def test_legacy_lets_a_public_client_keep_one(loaded):
    public = (JOB, SECRET, 'profile = "legacy"\nauthentication = ["none"]')
    client = loaded(public, (JOB, *RENEWED), (JOB, "", "[client.refresh]\nrotate = false\n")).catalogue.clients[
        "order-export"
    ]
    assert (client.refresh.rotate, client.rules.loose) == (False, True)


def test_a_public_client_may_keep_one_that_is_bound(loaded):
    public = (JOB, SECRET, 'authentication = ["none"]\ntls_client_certificate_bound_access_tokens = true')
    client = loaded(public, (JOB, *RENEWED), (JOB, "", "[client.refresh]\nrotate = false\n")).catalogue.clients[
        "order-export"
    ]
    assert client.refresh.rotate is False


def test_what_is_not_said_is_what_the_profile_says(loaded):
    fapi = loaded(FAPI, (JOB, GRANT, CODE), (JOB, "", KEY)).catalogue.clients["order-export"]
    assert (fapi.refresh.rotate, fapi.algorithms, fapi.authorization.pushed) == (False, STRONG, True)
    old = loaded(
        (JOB, SECRET, f'profile = "legacy"\n{SECRET}'), (A, "disclose", 'profile = "legacy"\ndisclose')
    ).catalogue
    assert old.clients["order-export"].algorithms == (*STRONG, "RS256")
    assert old.audiences["orders"].algorithm == "RS256"
    key = '[[client.attester_keys]]\nkty = "OKP"\ncrv = "Ed25519"\nx = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"\n'
    attested = (JOB, SECRET, 'authentication = ["client_secret_basic", "attest_jwt_client_auth"]')
    for stated, pushed in (("", True), ("[client.authorization]\npushed = false\n", False)):
        wallet = loaded(attested, (JOB, GRANT, CODE), (JOB, "", stated + key)).catalogue.clients["order-export"]
        assert wallet.authorization.pushed is pushed
    usual = loaded().catalogue
    assert usual.clients["order-export"].authorization.pushed is False
    assert (usual.clients["order-export"].profile, usual.audiences["orders"].profile) == ("oauth21", "oauth21")
    assert (usual.audiences["orders"].algorithm, usual.audiences["orders"].binding) == ("ES256", "")
    strict = loaded(
        FAPI, KEYED, (A, "disclose", 'profile = "fapi2"\ndisclose'), (WEB, "orders = ", "# orders = ")
    ).catalogue  # fmt: skip
    assert strict.audiences["orders"].binding == "any"


def test_clients_beside_the_bundle_are_held_to_the_profile_of_their_bounds(loaded, refused):
    open_ = (B, "", OPEN.format("fapi2", '["private_key_jwt"]'))
    bundle = loaded(open_)
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    metadata = read_metadata(
        {
            "redirect_uris": ["https://app.example.com/back"],
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks": {"keys": [jwk]},
            "grant_types": ["authorization_code", "refresh_token"],
        }
    )
    client = registrable(bundle.catalogue, bundle.catalogue.open_registration, "dyn-1", metadata)
    assert (client.profile, client.refresh.rotate, client.rules) == ("fapi2", False, PROFILES["fapi2"])
    assert client.authorization.pushed
    problems = refused((B, "", OPEN.format("fapi2", '["none", "private_key_jwt"]')))
    assert [p.message for p in problems] == ["profile `fapi2` takes no client that authenticates by `none`"]
    strict = (A, "disclose", 'profile = "fapi2"\ndisclose')
    problems = refused(strict, (B, "", OPEN.format("oauth21", '["none"]')))
    assert any(p.file == B and "takes no clients of profile `oauth21`" in p.message for p in problems)
