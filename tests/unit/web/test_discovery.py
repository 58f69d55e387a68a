from __future__ import annotations

from types import SimpleNamespace

import pytest

from mintwarden.model.catalogue import Passkeys
from mintwarden.model.profiles import PROFILES
from mintwarden.web.discovery import GrantNames, describe, describe_openid, metadata_paths

GRANTS = (GrantNames("client_credentials", "client_credentials"), GrantNames("token_exchange", "urn:x"))


def catalogue(*clients):
    audiences = {
        name: SimpleNamespace(algorithm=name, binding="", status_list=False, kind="api") for name in ("PS256", "ES256")
    }
    made = {str(n): client for n, client in enumerate(clients)}
    unused: dict[str, object] = {
        "documents": None,
        "registration": None,
        "open_registration": None,
        "providers": {},
        "issuers": {},
        "passkeys": Passkeys(),
        "identity": "",
        "sources": {},
    }
    return SimpleNamespace(clients=made, audiences=audiences, **unused)


def client(**changes):
    base = {"methods": ("client_secret_basic",), "algorithms": ("ES256",), "grants": ("client_credentials",)}
    return SimpleNamespace(
        **(base | {"certificate_bound": False, "details": (), "rules": PROFILES["oauth21"]} | changes)
    )


@pytest.mark.parametrize(
    ("issuer", "oauth", "openid"),
    [
        (
            "https://as.example",
            ("/.well-known/oauth-authorization-server",),
            ("/.well-known/openid-configuration",),
        ),
        (
            "https://as.example/tenant",
            ("/.well-known/oauth-authorization-server/tenant",),
            ("/.well-known/openid-configuration/tenant", "/tenant/.well-known/openid-configuration"),
        ),
        (
            "https://as.example/a/b/",
            ("/.well-known/oauth-authorization-server/a/b",),
            ("/.well-known/openid-configuration/a/b", "/a/b/.well-known/openid-configuration"),
        ),
        ("https://as.example/", ("/.well-known/oauth-authorization-server",), ("/.well-known/openid-configuration",)),
    ],
)
def test_the_three_forms(issuer, oauth, openid):
    assert metadata_paths(issuer) == (oauth, openid)


BOUND_TO_CERTIFICATES = "tls_client_certificate_bound_access_tokens"


@pytest.mark.parametrize(
    ("changes", "bound"),
    [
        ({}, False),
        ({"certificate_bound": True}, True),
        ({"methods": ("spiffe_x509",)}, True),
        ({"methods": ("none",)}, True),
        ({"rules": PROFILES["fapi2"]}, True),
    ],
)
def test_tokens_are_bound_to_certificates_where_these_are_seen_and_somebody_gets_such_tokens(changes, bound):
    mine = catalogue(client(**changes))
    seen = describe("https://as.example", mine, GRANTS, certificates=True)
    assert (BOUND_TO_CERTIFICATES in seen) is bound
    assert BOUND_TO_CERTIFICATES not in describe("https://as.example", mine, GRANTS)


@pytest.mark.parametrize("beside", ["documents", "open_registration", "registration"])
def test_who_comes_beside_the_bundle_may_ask_for_such_tokens(beside):
    mine = catalogue(client())
    setattr(mine, beside, SimpleNamespace(methods=("private_key_jwt",), grants=("client_credentials",)))
    assert describe("https://as.example", mine, GRANTS, certificates=True)[BOUND_TO_CERTIFICATES] is True
    assert BOUND_TO_CERTIFICATES not in describe("https://as.example", mine, GRANTS)


def test_metadata_says_what_clients_may_use():
    document = describe("https://as.example/t", catalogue(client(), client(methods=("private_key_jwt",))), GRANTS)
    assert document == {
        "issuer": "https://as.example/t",
        "token_endpoint": "https://as.example/t/token",
        "introspection_endpoint": "https://as.example/t/introspect",
        "revocation_endpoint": "https://as.example/t/revoke",
        "jwks_uri": "https://as.example/t/jwks.json",
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["ES256"],
        "introspection_endpoint_auth_methods_supported": ["client_secret_basic", "private_key_jwt"],
        "introspection_endpoint_auth_signing_alg_values_supported": ["ES256"],
        "introspection_signing_alg_values_supported": ["ES256", "PS256"],
        "revocation_endpoint_auth_methods_supported": ["client_secret_basic", "private_key_jwt"],
        "revocation_endpoint_auth_signing_alg_values_supported": ["ES256"],
        "client_id_metadata_document_supported": False,
    }


def test_public_clients_may_give_tokens_back_and_not_ask_about_them():
    document = describe("https://as.example", catalogue(client(methods=("none",)), client()), GRANTS)
    assert document["introspection_endpoint_auth_methods_supported"] == ["client_secret_basic"]
    assert document["revocation_endpoint_auth_methods_supported"] == ["client_secret_basic", "none"]


def test_empty_arrays_are_left_out():
    document = describe("https://as.example", catalogue(client(grants=())), GRANTS)
    assert "grant_types_supported" not in document
    assert "response_types_supported" not in document
    assert "token_endpoint_auth_signing_alg_values_supported" not in document


def test_the_openid_document_is_the_same_and_names_subject_types():
    known = catalogue(client())
    document = describe("https://as.example", known, GRANTS)
    assert describe_openid(document, known) == document | {"subject_types_supported": ["public"]}


def test_where_people_sign_in_they_can_sign_out():
    known = catalogue(client())
    known.passkeys = Passkeys(enabled=True)
    document = describe_openid(describe("https://as.example/tenant", known, GRANTS), known)
    assert document["end_session_endpoint"] == "https://as.example/tenant/logout"
    assert document["backchannel_logout_supported"] is True
    assert document["backchannel_logout_session_supported"] is True


def test_only_where_everybody_pushes_is_it_said_that_one_must():
    """RFC 9126 section 5: a client that comes without would believe it, and whoever may come beside the bundle counts."""

    def said(*clients: SimpleNamespace, **bounds: SimpleNamespace) -> object:
        known = catalogue(*clients)
        vars(known).update(bounds)
        return describe("https://as.example", known, (GrantNames("authorization_code", "authorization_code"),)).get(
            "require_pushed_authorization_requests"
        )

    code = {"grants": ("authorization_code",), "jwks": ()}
    pushing, plain = (
        client(**code, authorization=SimpleNamespace(pushed=pushed, signed=False)) for pushed in (True, False)
    )
    assert said(pushing, client()) is True
    assert said(pushing, plain) is False
    for name in ("registration", "documents", "open_registration"):
        for profile, grants, expected in (
            ("oauth21", ("authorization_code",), False),
            ("fapi2", ("authorization_code",), True),
            ("oauth21", ("client_credentials",), True),
        ):
            bounds = SimpleNamespace(profile=profile, grants=grants, methods=("private_key_jwt",))
            assert said(pushing, **{name: bounds}) is expected, (name, profile)


def test_only_where_everybody_signs_is_it_said_that_one_must():
    """RFC 9101 section 10.5: of whoever may come beside the bundle nobody has to, whatever their profile."""

    def said(*clients: SimpleNamespace, **bounds: SimpleNamespace) -> object:
        known = catalogue(*clients)
        vars(known).update(bounds)
        document = describe("https://as.example", known, (GrantNames("authorization_code", "authorization_code"),))
        return document.get("require_signed_request_object")

    code = {"grants": ("authorization_code",), "jwks": ()}
    signing, plain = (
        client(**code, authorization=SimpleNamespace(pushed=False, signed=signed)) for signed in (True, False)
    )
    assert said(signing, client()) is True
    assert said(signing, plain) is False
    assert said(client()) is None, "where nobody comes with people there is nothing to say"
    for name in ("registration", "documents", "open_registration"):
        for grants, expected in ((("authorization_code",), False), (("client_credentials",), True)):
            bounds = SimpleNamespace(profile="fapi2", grants=grants, methods=("private_key_jwt",))
            assert said(signing, **{name: bounds}) is expected, (name, grants)
