"""Protected resource metadata (RFC 9728) and the challenges that lead to it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mintwarden.consumer import Challenges, ProtectedResource
from tests.unit.consumer.tokens import ISSUER, resource


@pytest.mark.parametrize(
    ("identifier", "path", "url"),
    [
        ("https://mcp.example", "", "https://mcp.example/.well-known/oauth-protected-resource"),
        ("https://mcp.example/", "", "https://mcp.example/.well-known/oauth-protected-resource"),
        ("https://mcp.example/mcp", "/mcp", "https://mcp.example/.well-known/oauth-protected-resource/mcp"),
        ("https://mcp.example/a/b", "/a/b", "https://mcp.example/.well-known/oauth-protected-resource/a/b"),
        ("https://mcp.example/a/", "/a/", "https://mcp.example/.well-known/oauth-protected-resource/a/"),
        ("https://mcp.example/a?b=c", "/a", "https://mcp.example/.well-known/oauth-protected-resource/a?b=c"),
        ("http://127.0.0.1:9/mcp", "/mcp", "http://127.0.0.1:9/.well-known/oauth-protected-resource/mcp"),
    ],
)
def test_the_well_known_part_stands_between_host_and_path(identifier, path, url):
    made = ProtectedResource(resource=identifier, authorization_servers=(ISSUER,))
    assert made.metadata_path == "/.well-known/oauth-protected-resource" + path
    assert made.metadata_url == url
    assert made.document()["resource"] == identifier


def test_what_is_empty_is_left_out():
    assert ProtectedResource(resource="https://a.example", authorization_servers=(ISSUER,), dpop=False).document() == {
        "resource": "https://a.example",
        "authorization_servers": [ISSUER],
        "bearer_methods_supported": ["header"],
    }


def test_all_of_it():
    document = resource(name="Tools", documentation="https://mcp.example/docs", dpop_required=True, certificates=True)
    assert document.document() == {
        "resource": "https://mcp.example/mcp",
        "authorization_servers": [ISSUER],
        "scopes_supported": ["tools:read", "tools:write"],
        "bearer_methods_supported": ["header"],
        "resource_name": "Tools",
        "resource_documentation": "https://mcp.example/docs",
        "dpop_signing_alg_values_supported": ["ES256", "ES384", "EdDSA", "PS256"],
        "dpop_bound_access_tokens_required": True,
        "tls_client_certificate_bound_access_tokens": True,
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"resource": "http://mcp.example/mcp"},
        {"resource": "https://mcp.example/mcp#x"},
        {"resource": "https://user@mcp.example/"},
        {"resource": 'https://mcp.example/"'},
        {"resource": "mcp.example"},
        {"authorization_servers": ()},
        {"authorization_servers": ("http://tokens.example",)},
        {"scopes": ("tools:read", "offline_access")},
        {"scopes": ("a b",)},
        {"dpop": False, "dpop_required": True},
    ],
)
def test_what_no_resource_says(changes):
    with pytest.raises(ValueError, match=r"\w"):
        resource(**changes)


def test_a_challenge_without_a_token_has_no_error():
    bearer, dpop = Challenges(resource()).unauthorized(scopes=("tools:read",))
    place = 'resource_metadata="https://mcp.example/.well-known/oauth-protected-resource/mcp"'
    assert bearer == f'Bearer scope="tools:read", {place}'
    assert dpop == f'DPoP scope="tools:read", {place}, algs="ES256 ES384 EdDSA PS256"'


def test_a_scope_challenge_lists_every_scope_at_once():
    (bearer,) = Challenges(resource(dpop=False)).insufficient_scope(("tools:read", "tools:write", "tools:read"))
    assert 'error="insufficient_scope"' in bearer
    assert 'scope="tools:read tools:write"' in bearer
    assert "resource_metadata=" in bearer


def test_a_challenge_is_one_line_whatever_is_said():
    for value in Challenges(resource()).unauthorized("invalid_token", 'a "quoted"\r\nX: y \\ ä', ('s"', "t\n")):
        assert "\n" not in value
        assert value.count('"') % 2 == 0
        assert value.isascii()


def test_the_consumer_s_side_loads_nothing_of_the_server():
    program = (
        "import sys, mintwarden.consumer; "
        "print([n for n in sys.modules if n.startswith(('mintwarden.', 'sqlalchemy', 'cedarpy', 'asyncpg', 'uvicorn', "
        "'starlette', 'httpx2', 'z3', 'argon2', 'alembic', 'psycopg')) and not n.startswith(('mintwarden.consumer', 'mintwarden.model'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]"
