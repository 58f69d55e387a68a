"""What a client's file holds it to: the same as clients that introduce themselves may ask for, and no other mechanism."""

from __future__ import annotations

import pytest

from mintwarden.model.terms import Protections

JOB = "clients/order-export.toml"
METHOD = 'authentication = ["client_secret_basic"]'
CODE = (
    JOB,
    'grants = ["client_credentials"]',
    'grants = ["authorization_code"]\nredirect_uris = ["https://a.example/b"]',
)
KEYED = (
    JOB,
    "",
    '\n[[client.keys]]\nkty = "OKP"\ncrv = "Ed25519"\nx = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"\n',
)
EVERY = """dpop_bound_access_tokens = true
request_object_signing_alg = "EdDSA"
default_max_age = "10m"
default_acr_values = ["phr", "mfa"]
"""


def said(*lines: str) -> tuple[str, str, str]:
    return (JOB, METHOD, "\n".join((*lines, METHOD)))


def test_what_the_file_says_is_what_the_client_is_held_to(loaded):
    found = loaded(CODE, KEYED, said(EVERY)).catalogue.clients["order-export"]
    assert found.protections == Protections(dpop=True, object_algorithm="EdDSA", max_age=600, acr_values=("phr", "mfa"))
    assert loaded().catalogue.clients["order-export"].protections == Protections()


def test_each_time_anew_is_no_age_at_all(loaded):
    found = loaded(CODE, said('default_max_age = "0s"')).catalogue.clients["order-export"]
    assert found.protections.max_age == 0


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        ((said('dpop_bound_access_tokens = "yes"'),), "`yes` is neither `true` nor `false`"),
        ((said('default_max_age = "10m"'),), "`default_max_age` has no meaning without `authorization_code`"),
        ((said('default_max_age = "0s"'),), "`default_max_age` has no meaning without `authorization_code`"),
        ((CODE, said("default_max_age = 600")), "`600` is not a duration"),
        (
            (said('default_acr_values = ["phr"]'),),
            "`default_acr_values` has no meaning without `authorization_code` or `ciba`",
        ),
        (
            (CODE, said('request_object_signing_alg = "ES256"')),
            "`request_object_signing_alg` is for clients with `authorization_code` that have a key to sign with",
        ),
        (
            (said('request_object_signing_alg = "ES256"'),),
            "`request_object_signing_alg` is for clients with `authorization_code` that have a key to sign with",
        ),
        ((CODE, KEYED, said('request_object_signing_alg = "none"')), "none"),
        (
            (CODE, KEYED, said('request_object_signing_alg = "RS256"')),
            "no signature of this client with `RS256` is taken",
        ),
        (
            (CODE, KEYED, said('request_object_signing_alg = "EdDSA"', 'algorithms = ["ES256"]')),
            "no signature of this client with `EdDSA` is taken",
        ),
    ],
)
def test_what_cannot_be_kept_is_refused(edits, expected, refused):
    problems = refused(*edits)
    assert any(expected in problem.message for problem in problems), problems
    assert all(problem.file == JOB and problem.line for problem in problems)


def test_a_token_that_is_pushed_proves_no_key(refused):
    endpoint = 'backchannel_client_notification_endpoint = "https://till.example/cb"'
    ciba = (JOB, '"client_credentials"', '"ciba"')
    problems = refused(
        ciba, said('backchannel_token_delivery_mode = "push"', endpoint, "dpop_bound_access_tokens = true")
    )
    assert any("a token that is pushed is bound to no key" in problem.message for problem in problems)


def test_a_public_client_that_proves_a_key_each_time_need_not_rotate(loaded, refused):
    public = (
        (JOB, "[client.ceilings]", "[client.refresh]\nrotate = false\n[client.ceilings]"),
        (JOB, 'grants = ["client_credentials"]', 'grants = ["device_code", "refresh_token"]'),
    )
    assert refused(*public, (JOB, METHOD, 'authentication = ["none"]'))
    assert loaded(*public, (JOB, METHOD, 'dpop_bound_access_tokens = true\nauthentication = ["none"]'))
