"""What an authorization request says, read."""

from __future__ import annotations

from msgspec.structs import replace

from mintwarden.issue.authorization.request import AuthorizationRequest, read_request
from mintwarden.model.catalogue import Client
from mintwarden.model.terms import Protections
from tests.unit.issue.catalogue import CATALOGUE, client

BACK = "https://web.example/back"
WEB = client("web", grants=("authorization_code",), redirect_uris=(BACK,))


def read(asker: Client = WEB, **changes: str) -> AuthorizationRequest:
    asked = {
        "response_type": "code",
        "scope": "pay:read",
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        "code_challenge_method": "S256",
        **changes,
    }
    form = {name: (value,) for name, value in asked.items()}
    return read_request(form, asker, CATALOGUE, pushed=False, signed=False, now=0)


def test_who_it_is_and_where_they_sign_in_are_told_to_the_sign_in() -> None:
    demand = read(login_hint="alice@example.com", domain_hint="corp").demand
    assert (demand.login_hint, demand.domain_hint) == ("alice@example.com", "corp")
    assert read().demand.domain_hint == ""


def test_what_a_client_demands_by_itself_holds_where_a_request_says_nothing() -> None:
    """`default_max_age`, `default_acr_values` (OpenID Connect Dynamic Client Registration 1.0 section 2)."""
    strict = replace(WEB, protections=Protections(max_age=0, acr_values=("gold", "silver")))
    demand = read(strict).demand
    assert (demand.max_age, demand.acr_values, demand.essential) == (0, ("gold", "silver"), False)
    demand = read(strict, max_age="60", acr_values="bronze").demand
    assert (demand.max_age, demand.acr_values) == (60, ("bronze",))
    demand = read().demand
    assert (demand.max_age, demand.acr_values) == (None, ())
