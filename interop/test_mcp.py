"""The official MCP SDK against a guarded MCP server, and two scanners of MCP authorization against the pair."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import secrets
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from interop.conftest import free_port
from interop.deployment import Process, claims_of, command, prepare, run, secret_of
from interop.person import Person, answered
from interop.suite import conformance
from mintwarden.app.demo.browser import Browser
from tests.flow.company import public as public_jwk
from tests.flow.upstream import SECRET, Upstream, provider_file
from tests.unit.authn.loopback import Loopback, json_answer

ROOT = Path(__file__).parents[1]
AUDIENCE = """
[audience]
id = "tools"
identifier = "{resource}"
description = "Tools for bookings"
owner = "Interop"
environments = ["production"]
max_ttl = "15m"
default_ttl = "5m"
[scopes."tools:read"]
meaning = "Look at bookings"
tier = "low"
default = true
[scopes."tools:write"]
meaning = "Change bookings"
tier = "low"
"""
CLIENT = """
[client]
id = "mcp-job"
name = "A job that uses tools"
kind = "mcp"
owner = "Interop"
environments = ["production"]
authentication = ["private_key_jwt"]
grants = ["client_credentials"]
[client.ceilings]
tools = "*"
elsewhere = "*"
[[client.keys]]
kid = "mcp-1"
"""
ENTERPRISE = """
[client]
id = "mcp-desk"
name = "An assistant that the company manages"
kind = "mcp"
owner = "Interop"
environments = ["production"]
authentication = ["client_secret_basic", "client_secret_post"]
grants = ["client_credentials", "jwt_bearer"]
[client.ceilings]
tools = "*"
elsewhere = "*"
"""
IDP = """
[issuer]
id = "idp"
issuer = "{issuer}"
audiences = ["{us}"]
principal = "User"
keys = "inline"
uses = ["id_jag"]
[[issuer.jwks]]
{key}
"""
OTHER = """
[audience]
id = "elsewhere"
identifier = "https://elsewhere.example/mcp"
description = "Another MCP server"
owner = "Interop"
environments = ["production"]
max_ttl = "15m"
default_ttl = "5m"
[scopes."elsewhere:read"]
meaning = "Look at it"
tier = "low"
default = true
"""
STRANGERS = """
[client_id_metadata]
hosts = ["*"]
kind = "mcp"
owner = "Interop"
environments = ["production"]
grants = ["authorization_code", "refresh_token"]
redirects = ["same_host", "loopback"]
[client_id_metadata.ceilings]
tools = ["tools:read"]
[open_registration]
to = "anyone"
prefix = "self-"
kind = "mcp"
owner = "Interop"
environments = ["production"]
grants = ["authorization_code", "refresh_token", "client_credentials"]
authentication = ["none", "client_secret_basic"]
[open_registration.ceilings]
tools = ["tools:read"]
"""
PEOPLE = """
[client]
id = "mcp-app"
name = "An application with tools"
kind = "mcp"
owner = "Interop"
environments = ["production"]
authentication = ["none"]
grants = ["authorization_code", "refresh_token"]
redirect_uris = ["http://127.0.0.1/callback"]
[client.ceilings]
tools = "*"
elsewhere = "*"
"""
RULE = """
@id("people-tools")
@owner("Interop")
@reason("people use tools")
permit (principal is User, action == Action::"issue", resource == Scope::"tools:read");
@id("people-book")
@owner("Interop")
@reason("people change things with a second factor")
@require_acr("phr")
permit (principal is User, action == Action::"issue", resource == Scope::"tools:write");
@id("people-elsewhere")
@owner("Interop")
@reason("people use other tools")
permit (principal is User, action == Action::"issue", resource in Audience::"elsewhere");
@id("mcp-tools")
@owner("Interop")
@reason("the job uses tools")
permit (principal == Workload::"mcp-job", action == Action::"issue", resource in Audience::"tools");
@id("mcp-desk-tools")
@owner("Interop")
@reason("the assistant looks at bookings by itself")
permit (principal == Workload::"mcp-desk", action == Action::"issue", resource == Scope::"tools:read");
@id("mcp-elsewhere")
@owner("Interop")
@reason("a token for another server")
permit (principal == Workload::"mcp-job", action == Action::"issue", resource in Audience::"elsewhere");
@id("strangers-read")
@owner("Interop")
@reason("clients that nobody wrote down look at bookings")
permit (principal is Workload, action == Action::"issue", resource == Scope::"tools:read")
when { context.client.kind == "mcp" };
"""


PROVIDER_KEYS = {"k1": ECKey.generate_key("P-256")}


class Site(NamedTuple):
    """An authorization server, an MCP server that trusts it, proofs of clients, the company's provider and its key."""

    issuer: str
    resource: str
    key: ECKey
    secret: str
    corp: str
    idp: ECKey


@pytest.fixture(scope="module")
def provider_port() -> int:
    """Where the company's provider will be; it is there only while somebody signs in."""
    return free_port()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, provider_port: int) -> Iterator[Site]:
    """Both servers, running."""
    folder, port = tmp_path_factory.mktemp("mcp"), free_port()
    corp = f"http://127.0.0.1:{provider_port}"
    key, resource = ECKey.generate_key("P-256"), f"http://127.0.0.1:{port}/mcp"
    made = prepare(folder, free_port(), witness=None)
    (folder / "bundle/audiences/tools.toml").write_text(AUDIENCE.format(resource=resource))
    (folder / "bundle/audiences/elsewhere.toml").write_text(OTHER)
    (folder / "bundle/clients/mcp-app.toml").write_text(PEOPLE)
    (folder / "bundle/issuers/login.toml").unlink()
    (folder / "bundle/providers").mkdir()
    (folder / "bundle/providers/corp.toml").write_text(provider_file(corp))
    (folder / "secret").write_text(SECRET + "\n")
    (folder / "secret").chmod(0o600)
    config = folder / "mintwarden.toml"
    config.write_text(config.read_text() + '\n[upstreams.corp]\nsecret_file = "secret"\n')
    head = folder / "bundle/bundle.toml"
    head.write_text(head.read_text() + STRANGERS)
    public = "".join(f'{name} = "{value}"\n' for name, value in key.as_dict(private=False).items() if name != "kid")
    (folder / "bundle/clients/mcp-job.toml").write_text(CLIENT + public)
    (folder / "bundle/clients/mcp-desk.toml").write_text(ENTERPRISE)
    idp = ECKey.generate_key("P-256")
    (folder / "bundle/issuers/idp.toml").write_text(
        IDP.format(issuer=corp, us=made.issuer, key=public_jwk(idp, "idp-1"))
    )
    (folder / "bundle/rules/mcp.cedar").write_text(RULE)
    secret = asyncio.run(secret_of("mcp-desk", config))
    server = Process("mintwarden", "serve", "--config", str(folder / "mintwarden.toml"), folder=folder)
    tools = Process(sys.executable, str(ROOT / "examples/mcp/server.py"), made.issuer, str(port), folder=folder)
    try:
        server.wait_until(lambda: made.get("/readyz"), "the server is ready")
        tools.wait_until(lambda: _answers(resource), "the MCP server answers")
        yield Site(made.issuer, resource, key, secret, corp, idp)
    finally:
        tools.stop()
        server.stop()


def _answers(url: str) -> bool:
    try:
        return httpx2.post(url).status_code == 401
    except httpx2.TransportError:
        return False


class Memory:
    """Where the SDK keeps its tokens."""

    def __init__(self) -> None:
        self.tokens: Any = None
        self.client: Any = None

    async def get_tokens(self) -> Any:
        return self.tokens

    async def set_tokens(self, tokens: Any) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> Any:
        return self.client

    async def set_client_info(self, client_info: Any) -> None:
        self.client = client_info


def provider(site: Site, memory: Memory, scope: str | None = None) -> Any:
    """The SDK's own client credentials flow with a signed assertion."""
    from mcp.client.auth.extensions.client_credentials import PrivateKeyJWTOAuthProvider, SignedJWTParameters

    parameters = SignedJWTParameters(
        issuer="mcp-job",
        subject="mcp-job",
        signing_key=site.key.as_pem(private=True).decode(),
        signing_algorithm="ES256",
    )
    return PrivateKeyJWTOAuthProvider(
        server_url=site.resource,
        storage=memory,
        client_id="mcp-job",
        assertion_provider=parameters.create_assertion_provider(),
        scope=scope,
        issuer=site.issuer,
    )


async def whoami(site: Site, auth: Any) -> str:
    """What the MCP server says of the caller, by way of the SDK alone."""
    from mcp.client.client import Client
    from mcp.client.streamable_http import streamable_http_client

    async with (
        httpx2.AsyncClient(auth=auth, timeout=60) as http,
        Client(streamable_http_client(site.resource, http_client=http)) as client,
    ):
        listed = await client.list_tools()
        assert [tool.name for tool in listed.tools] == ["whoami", "book"]
        called = await client.call_tool("whoami", {})
        return str(called.content[0].text)


async def test_the_official_client_finds_us_authenticates_and_calls_a_tool(site: Site):
    memory = Memory()
    assert await whoami(site, provider(site, memory)) == "mcp-job for mcp-job: tools:read"
    assert memory.tokens.token_type.lower() == "bearer"


async def test_the_official_client_authenticates_with_a_secret(site: Site):
    from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider

    memory = Memory()
    auth = ClientCredentialsOAuthProvider(
        server_url=site.resource,
        storage=memory,
        client_id="mcp-desk",
        client_secret=site.secret,
        issuer=site.issuer,
    )
    assert await whoami(site, auth) == "mcp-desk for mcp-desk: tools:read"


def id_jag(site: Site, **claims: Any) -> str:
    """What the company's provider, where people sign in, says of somebody, for our server and that resource."""
    now = int(time.time())
    said = {
        "iss": site.corp, "sub": "ann", "aud": site.issuer, "client_id": "mcp-desk",
        "scope": "tools:read", "jti": secrets.token_hex(8), "iat": now, "exp": now + 120,
    }  # fmt: skip
    header = {"alg": "ES256", "kid": "idp-1", "typ": "oauth-id-jag+jwt"}
    return jwt.encode(header, said | claims, site.idp)


def enterprise(site: Site, assertion: Any, method: Any = "client_secret_post") -> Any:
    """The SDK's own flow of a client that the company manages (SEP-990); `assertion` gives one for the resource."""
    from mcp.client.auth.extensions.identity_assertion import IdentityAssertionOAuthProvider

    async def given(audience: str, resource: str) -> str:
        assert (audience, resource) == (site.issuer, site.resource)
        return str(assertion(resource))

    return IdentityAssertionOAuthProvider(
        server_url=site.resource,
        storage=Memory(),
        client_id="mcp-desk",
        client_secret=site.secret,
        issuer=site.issuer,
        assertion_provider=given,
        token_endpoint_auth_method=method,
    )


@pytest.mark.parametrize("method", ["client_secret_post", "client_secret_basic"])
async def test_the_official_client_brings_an_identity_assertion(site: Site, method: str):
    """Enterprise-managed authorization: nobody is asked, the company's identity provider has spoken."""
    auth = enterprise(site, lambda resource: id_jag(site, resource=resource), method)
    assert await whoami(site, auth) == "mcp-desk for ann: tools:read"


@pytest.mark.parametrize(
    ("claims", "error"),
    [
        ({"aud": "https://elsewhere.example"}, "invalid_grant"),
        ({"client_id": "mcp-app"}, "invalid_grant"),
        ({"resource": "https://elsewhere.example/mcp"}, "invalid_target"),
        ({"exp": 1, "iat": 0}, "invalid_grant"),
        ({"jti": "once"}, "invalid_grant"),
    ],
    ids=["another server's", "another client's", "for another resource", "outlived", "a second time"],
)
async def test_the_official_client_is_refused_with_an_identity_assertion(
    site: Site, claims: dict[str, Any], error: str
):
    from mcp.client.auth import OAuthTokenError

    assertion = id_jag(site, **({"resource": site.resource} | claims))
    if claims == {"jti": "once"}:
        assert await whoami(site, enterprise(site, lambda _resource: assertion))
    with pytest.raises(BaseExceptionGroup) as raised:
        await whoami(site, enterprise(site, lambda _resource: assertion))
    assert raised.group_contains(OAuthTokenError, match=error)


async def test_a_scanner_of_mcp_servers_signs_in_and_gives_the_pair_its_best_grade(
    site: Site, tmp_path: Path, provider_port: int, record_property: Callable[[str, object], None]
):
    """All 33 of its checks run; the one that warns is about plain HTTP, on loopback."""
    script, visited = tmp_path / "browser", tmp_path / "visited"
    script.write_text(f'#!/bin/sh\necho "$1" >> {visited}\n')
    script.chmod(0o755)
    visited.touch()
    folders = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"), str(tmp_path))
    environ = {**os.environ, **folders, "BROWSER": f"{script} %s"}
    process = await asyncio.create_subprocess_exec(
        *command("mcp-authlab"), "login", site.resource, "--client-id", "mcp-app", "--thorough",
        "--foreign-resource", "https://elsewhere.example/mcp",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=environ,
    )  # fmt: skip
    async with signed_in(site, provider_port) as person, httpx2.AsyncClient() as http:
        ended = asyncio.create_task(process.communicate())
        shown = 0
        try:
            while not ended.done():
                for url in visited.read_text().splitlines()[shown:]:
                    shown += 1
                    assert (await http.get(await person.allow(url))).status_code == 200
                await asyncio.wait((ended,), timeout=0.05)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            said = (await ended)[0].decode()
    assert process.returncode == 0, said
    environ = {name: value for name, value in environ.items() if name != "BROWSER"}
    report = json.loads(run("mcp-authlab", "scan", site.resource, "--format", "json", environ=environ))
    counts = report["counts"]
    assert (report["grade"], counts["pass"], counts["fail"], counts["error"], counts["skip"]) == ("A", 32, 0, 0, 0), (
        report["reasons"]
    )
    assert report["warnings"] == ["TLS-01"]
    record_property(
        "counts", f"mcp-authlab: grade {report['grade']}, {counts['pass']} of {sum(counts.values())} checks"
    )


async def test_the_official_client_registers_itself_and_a_person_allows_it(site: Site, provider_port: int):
    """No id, no key, no secret: the server's challenge is all that the client knows."""
    from mcp.client.auth import OAuthClientProvider
    from mcp.shared.auth import AuthorizationCodeResult, OAuthClientMetadata

    back = f"http://127.0.0.1:{free_port()}/callback"
    said_of_itself = {
        "client_name": "Nobody wrote this one down",
        "redirect_uris": [back],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    }
    answers: list[dict[str, str]] = []
    async with signed_in(site, provider_port) as person:

        async def redirected(url: str) -> None:
            where = await person.allow(url)
            assert where.startswith(f"{back}?")
            answers.append(answered(where))

        async def returned() -> Any:
            found = answers[-1]
            return AuthorizationCodeResult(code=found["code"], state=found["state"], iss=found["iss"])

        memory = Memory()
        auth = OAuthClientProvider(
            server_url=site.resource,
            client_metadata=OAuthClientMetadata.model_validate(said_of_itself),
            storage=memory,
            redirect_handler=redirected,
            callback_handler=returned,
        )
        said = await whoami(site, auth)
    assert memory.client.client_id.startswith("self-")
    assert said == f"{memory.client.client_id} for alice: tools:read"
    assert memory.tokens.refresh_token


async def test_the_official_client_steps_up_in_one_round_where_that_takes_a_stronger_sign_in(
    site: Site, provider_port: int
):
    """Challenged for a tool's scopes, it asks for those and its own; the rest is between us and the person."""
    from mcp.client.auth import OAuthClientProvider
    from mcp.client.client import Client
    from mcp.client.streamable_http import streamable_http_client
    from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata

    back = f"http://127.0.0.1:{free_port()}/callback"
    said_of_itself = {"redirect_uris": [back], "token_endpoint_auth_method": "none"}
    asked: list[dict[str, str]] = []
    answers: list[dict[str, str]] = []
    memory = Memory()
    memory.client = OAuthClientInformationFull.model_validate(
        {**said_of_itself, "client_id": "mcp-app", "issuer": site.issuer}
    )
    async with signed_in(site, provider_port) as person:

        async def redirected(url: str) -> None:
            asked.append(answered(url))
            answers.append(answered(await person.allow(url)))

        async def returned() -> Any:
            found = answers[-1]
            return AuthorizationCodeResult(code=found["code"], state=found["state"], iss=found["iss"])

        auth = OAuthClientProvider(
            server_url=site.resource,
            client_metadata=OAuthClientMetadata.model_validate(said_of_itself),
            storage=memory,
            redirect_handler=redirected,
            callback_handler=returned,
        )
        assert person.corp is not None
        person.corp.claims = {"acr": "pwd", "amr": ["pwd"]}
        async with (
            httpx2.AsyncClient(auth=auth, timeout=60) as http,
            Client(streamable_http_client(site.resource, http_client=http)) as client,
        ):
            await client.call_tool("whoami", {})
            assert (len(asked), asked[0]["scope"], memory.tokens.scope) == (1, "tools:read", "tools:read")
            person.corp.claims = {}  # from now on they can do better, if they are asked to
            called = await client.call_tool("book", {})
        assert (called.is_error, called.content[0].text) == (False, "booked for alice")
        assert [set(one["scope"].split()) for one in asked] == [{"tools:read"}, {"tools:read", "tools:write"}]
        assert ["acr_values" in one or "max_age" in one for one in asked] == [False, False]
        assert [sent.get("acr_values") for sent in person.corp.sent] == [None, "mfa"]


async def test_a_client_that_describes_itself_comes_with_a_person(site: Site, provider_port: int):
    """Never heard of before: its document is fetched when the person is sent here, and again at the token endpoint."""
    verifier = secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    async with Loopback({}) as home, signed_in(site, provider_port) as person, httpx2.AsyncClient() as http:
        client_id, back = f"{home.url}/client.json", f"{home.url}/callback"
        said = {"client_id": client_id, "client_name": "A stranger", "redirect_uris": [back]}
        home.routes["/client.json"] = json_answer(said)
        asked = {
            "response_type": "code", "client_id": client_id, "redirect_uri": back, "state": "s",
            "code_challenge": challenge, "code_challenge_method": "S256", "resource": site.resource,
        }  # fmt: skip
        where = await person.allow(str(httpx2.URL(f"{site.issuer}/authorize", params=asked)))
        assert where.startswith(f"{back}?")
        found = answered(where)
        assert found["iss"] == site.issuer
        form = {
            "grant_type": "authorization_code", "client_id": client_id, "code": found["code"], "redirect_uri": back,
            "code_verifier": verifier, "resource": site.resource,
        }  # fmt: skip
        tokens = (await http.post(f"{site.issuer}/token", data=form)).json()
        claims = claims_of(tokens["access_token"])
        assert (claims["client_id"], claims["sub"], claims["aud"]) == (client_id, "alice", site.resource)
        other = asked | {"redirect_uri": "https://evil.example/callback"}
        refused = await http.get(f"{site.issuer}/authorize", params=other)
        assert (refused.status_code, "location" in refused.headers) == (400, False)
        unknown = asked | {"client_id": f"{home.url}/nobody.json"}
        refused = await http.get(f"{site.issuer}/authorize", params=unknown)
        assert (refused.status_code, "location" in refused.headers) == (400, False)
    assert any("A stranger" in page and "127.0.0.1" in page for page in person.pages)


async def test_the_protocol_s_own_suite(
    site: Site, tmp_path: Path, provider_port: int, record_property: Callable[[str, object], None]
):
    """Both scenarios: what the metadata says, and a code for a token, which a person allows."""
    async with signed_in(site, provider_port) as person:
        passed = await conformance(site.issuer, "mcp-app", site.resource, folder=tmp_path, allow=person.allow)
    assert passed == 3
    record_property("counts", f"conformance: {passed} of {passed} checks")


async def test_the_suite_by_the_manifest_of_the_quickstart(manifest: dict[str, Any], tmp_path: Path):
    """As the page of the manifest says: with a client that is in it, by somebody whom it names."""

    def visit(url: str) -> str:
        back = parse_qs(urlsplit(url).query)["redirect_uri"][0]
        with httpx2.Client(timeout=60) as http:
            arrived = Browser(http, "clara.nowak").visit(url, until=back)
        return f"{back}?{urlencode(arrived.answer)}"

    async def allow(url: str) -> str:
        return await asyncio.to_thread(visit, url)

    hr = "https://api.meridian.example/hr"
    assert await conformance(manifest["issuer"], "pocket", hr, folder=tmp_path, allow=allow) == 3


@contextlib.asynccontextmanager
async def signed_in(site: Site, port: int) -> AsyncIterator[Person]:
    """Somebody at a browser, and the provider where they sign in."""
    async with Loopback({}, port=port) as server, httpx2.AsyncClient() as http:
        corp = Upstream(server, lambda: int(time.time()))
        corp.keys = PROVIDER_KEYS  # the same provider each time
        yield Person(site.issuer, corp, http)
