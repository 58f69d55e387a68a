"""What an authorization request says, read."""

from __future__ import annotations

from mintwarden.issue.authorization.request import AuthorizationRequest, read_request
from tests.unit.issue.catalogue import CATALOGUE, client

BACK = "https://web.example/back"
WEB = client("web", grants=("authorization_code",), redirect_uris=(BACK,))


def read(**changes: str) -> AuthorizationRequest:
    asked = {
        "response_type": "code",
        "scope": "pay:read",
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        "code_challenge_method": "S256",
        **changes,
    }
    form = {name: (value,) for name, value in asked.items()}
    return read_request(form, WEB, CATALOGUE, pushed=False, signed=False, now=0)


def test_who_it_is_and_where_they_sign_in_are_told_to_the_sign_in() -> None:
    demand = read(login_hint="alice@example.com", domain_hint="corp").demand
    assert (demand.login_hint, demand.domain_hint) == ("alice@example.com", "corp")
    assert read().demand.domain_hint == ""
