"""A small company whose service runs for real: its bundle, its clients' credentials, and a way to ask for tokens."""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import secrets
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import httpx2
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from msgspec import Struct

from mintwarden.app.clock import SystemClock
from mintwarden.app.config import load_config
from mintwarden.app.foundation import master_key
from mintwarden.app.server import serving
from mintwarden.app.wiring import open_service
from mintwarden.authn.ports import ClientSecret
from mintwarden.authn.secrets import generate_secret, hash_secret
from mintwarden.context.ports import FactDocument, FactRow
from mintwarden.store import open_store
from mintwarden.store.migrate import migrate
from mintwarden.store.urls import SQLITE_SCHEME, scheme_of, sqlite_path

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LOGIN = "https://login.example.com"
PAYMENTS = "https://api.example.com/payments"
LEDGER = "https://api.example.com/ledger"
ADMIN = "https://tokens.example.com/admin"

HEAD = """
[bundle]
name = "small"
issuer = "https://tokens.example.com"
environments = ["production"]
max_actors = 3
[owner]
name = "Token Governance"
contact = "governance@example.com"
[tiers.low]
description = "reads"
max_ttl = "1h"
[tiers.high]
description = "writes"
max_ttl = "10m"
verify = "always"
"""

AUDIENCES = {
    "payments": """
[audience]
id = "payments"
identifier = "https://api.example.com/payments"
description = "Payments"
owner = "Payments"
environments = ["production"]
max_ttl = "15m"
default_ttl = "5m"
disclose = "challenge"
[claims]
department = ["payments:write"]
[scopes."payments:read"]
meaning = "Read payments"
tier = "low"
default = true
carries = ["ledger:read"]
[scopes."payments:write"]
meaning = "Make payments"
tier = "high"
carries = ["payments:read"]
""",
    "ledger": """
[audience]
id = "ledger"
identifier = "https://api.example.com/ledger"
description = "Ledger"
owner = "Payments"
environments = ["production"]
max_ttl = "15m"
default_ttl = "5m"
[scopes."ledger:read"]
meaning = "Read the ledger"
tier = "low"
default = true
""",
    "mintwarden": """
[audience]
id = "mintwarden"
identifier = "https://tokens.example.com/admin"
description = "The token service"
owner = "Token Governance"
environments = ["production"]
max_ttl = "15m"
default_ttl = "5m"
[scopes."mintwarden:facts.write"]
meaning = "Push facts"
tier = "low"
[scopes."mintwarden:facts.write:directory"]
meaning = "Push who is in which group"
tier = "low"
[scopes."mintwarden:decisions.read"]
meaning = "Read decisions"
tier = "low"
[scopes."mintwarden:facts.read"]
meaning = "Read facts"
tier = "low"
[scopes."mintwarden:directory.read"]
meaning = "Read the directory"
tier = "low"
[scopes."mintwarden:directory.write"]
meaning = "Change the directory"
tier = "low"
[scopes."mintwarden:subjects.erase"]
meaning = "Erase subjects"
tier = "low"
[scopes."mintwarden:keys.read"]
meaning = "Read keys"
tier = "low"
[scopes."mintwarden:keys.manage"]
meaning = "Rotate and revoke keys"
tier = "low"
[scopes."mintwarden:tokens.revoke"]
meaning = "Revoke tokens"
tier = "low"
[scopes."mintwarden:clients.read"]
meaning = "Read clients"
tier = "low"
[scopes."mintwarden:clients.write"]
meaning = "Register, rotate and retire clients"
tier = "low"
[scopes."mintwarden:findings.read"]
meaning = "Read findings"
tier = "low"
[scopes."mintwarden:findings.write"]
meaning = "Say something about findings"
tier = "low"
[scopes."mintwarden:owners.read"]
meaning = "Read who owns what"
tier = "low"
[scopes."mintwarden:policy.read"]
meaning = "policy.read"
tier = "low"
[scopes."mintwarden:impact.read"]
meaning = "impact.read"
tier = "low"
[scopes."mintwarden:reach.read"]
meaning = "reach.read"
tier = "low"
[scopes."mintwarden:proposals.read"]
meaning = "proposals.read"
tier = "low"
[scopes."mintwarden:policy.propose"]
meaning = "policy.propose"
tier = "low"
[scopes."mintwarden:policy.approve"]
meaning = "policy.approve"
tier = "low"
[scopes."mintwarden:policy.activate"]
meaning = "policy.activate"
tier = "low"
[scopes."mintwarden:modes.read"]
meaning = "modes.read"
tier = "low"
[scopes."mintwarden:exceptions.read"]
meaning = "exceptions.read"
tier = "low"
[scopes."mintwarden:exceptions.request"]
meaning = "exceptions.request"
tier = "low"
[scopes."mintwarden:exceptions.approve"]
meaning = "exceptions.approve"
tier = "low"
[scopes."mintwarden:exceptions.revoke"]
meaning = "exceptions.revoke"
tier = "low"
[scopes."mintwarden:approvals.read"]
meaning = "approvals.read"
tier = "low"
[scopes."mintwarden:approvals.decide"]
meaning = "approvals.decide"
tier = "low"
[scopes."mintwarden:approvals.revoke"]
meaning = "approvals.revoke"
tier = "low"
""",
}

SOURCES = """
[sources.directory]
kind = "store"
about = ["User"]
max_age = "24h"
groups = true
description = "The directory"
[sources.directory.facts]
department = "string"
[sources.risk]
kind = "store"
about = ["User"]
max_age = "1h"
missing = "absent"
description = "Risk"
[sources.risk.facts]
score = "long"
"""

CLAIMS = """
[claims.department]
type = "string"
source = "directory"
from = "subject.department"
description = "The department"
"""

RULES = """
@id("batch-reads") @owner("Payments") @reason("the batch settles")
permit (principal == Workload::"batch", action == Action::"issue", resource == Scope::"payments:read");
@id("signer-reads") @owner("Payments") @reason("the API reads itself")
permit (principal == Workload::"signer", action == Action::"issue", resource == Scope::"payments:read");
@id("staff-read") @owner("Payments") @reason("finance reads")
permit (principal is User, action == Action::"issue", resource == Scope::"payments:read")
when { principal in Group::"finance" };
@id("staff-write") @owner("Payments") @reason("finance pays, with a second factor")
@require_amr("mfa")
permit (principal is User, action == Action::"issue", resource == Scope::"payments:write")
when { principal in Group::"finance" };
@id("staff-ledger") @owner("Payments") @reason("finance reads the ledger")
permit (principal is User, action == Action::"issue", resource == Scope::"ledger:read")
when { principal in Group::"finance" };
@id("agent-acts") @owner("Payments") @reason("the agent works for people")
permit (principal == Agent::"helper", action == Action::"act", resource in Audience::"payments");
@id("api-acts") @owner("Payments") @reason("the API calls the ledger for people")
permit (principal, action == Action::"act", resource in Audience::"ledger");
@id("no-writing-at-risk") @owner("Token Governance") @reason("a risky account changes nothing")
forbid (principal is User, action == Action::"issue", resource)
when { principal has score && principal.score >= 80 && resource.tier == "high" };
@id("operator-administers") @owner("Token Governance") @reason("operations administer")
permit (principal == Workload::"operator", action == Action::"issue", resource in Audience::"mintwarden");
"""

CLIENT = """
[client]
id = "{id}"
name = "{id}"
kind = "{kind}"
owner = "Payments"
environments = ["production"]
authentication = ["{method}"]
grants = [{grants}]
{more}
[client.ceilings]
{ceilings}
"""


class Company(Struct, frozen=True, kw_only=True):
    """Everything a caller needs to know. `base` is where the service answers."""

    folder: Path
    base: str
    http: httpx2.AsyncClient
    secrets: dict[str, str]
    signer: ECKey
    login: ECKey

    async def ask(self, client: str, **form: Any) -> httpx2.Response:
        """One token request with the client's secret in the `Authorization` header."""
        return await self.http.post("/token", data=form, auth=(client, self.secrets[client]))

    async def token(self, client: str, **form: Any) -> str:
        """A token that must be granted."""
        answer = await self.ask(client, **form)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    async def exchange(self, client: str, subject: str, kind: str = JWT_TYPE, **form: Any) -> httpx2.Response:
        """One exchange of a subject token."""
        return await self.ask(client, grant_type=EXCHANGE, subject_token=subject, subject_token_type=kind, **form)

    async def claims(self, token: str) -> dict[str, Any]:
        """The claims of a token, verified by another's library against the published keys."""
        keys = KeySet.import_key_set((await self.http.get("/jwks.json")).json())
        decoded = jwt.decode(token, keys, algorithms=["ES256"])
        assert decoded.header["typ"] == "at+jwt"
        return dict(decoded.claims)

    def signed_in(self, person: str, now: int, **claims: Any) -> str:
        """An identity token of the company's sign-in service; `now` in seconds."""
        payload = {
            "iss": LOGIN,
            "sub": person,
            "aud": "https://tokens.example.com",
            "iat": now,
            "exp": now + 3600,
            "email_verified": True,
        }
        header = {"alg": "ES256", "kid": "login-1", "typ": "JWT"}
        return jwt.encode(header, payload | claims, self.login, algorithms=["ES256"])

    def assertion(self, now: int, *, kid: str = "signer-1", **claims: Any) -> dict[str, str]:
        """Form fields of `private_key_jwt` for the client `signer`; `now` in seconds."""
        payload = {
            "iss": "signer",
            "sub": "signer",
            "aud": "https://tokens.example.com",
            "iat": now,
            "exp": now + 60,
            "jti": secrets.token_hex(8),
        }
        signed = jwt.encode({"alg": "ES256", "kid": kid}, payload | claims, self.signer, algorithms=["ES256"])
        return {"client_assertion_type": ASSERTION, "client_assertion": signed}


def public(key: ECKey, kid: str) -> str:
    """A public JWK as an inline TOML table's members."""
    members = {"kid": kid, "alg": "ES256", "use": "sig", **key.as_dict(private=False)}
    return "\n".join(f'{name} = "{members[name]}"' for name in ("kty", "crv", "x", "y", "kid", "alg", "use"))


def write_company(
    folder: Path,
    signer: ECKey,
    login: ECKey,
    *,
    server: str = "",
    more: str = "",
    registration: str = "",
    rules: str = "",
    edit: Callable[[Path], None] = lambda _bundle: None,
) -> Path:
    """Bundle, configuration and master key; the path of the configuration."""
    bundle = folder / "bundle"
    for name in ("audiences", "clients", "issuers", "rules"):
        (bundle / name).mkdir(parents=True)
    (bundle / "bundle.toml").write_text(HEAD + registration)
    (bundle / "sources.toml").write_text(SOURCES)
    (bundle / "claims.toml").write_text(CLAIMS)
    (bundle / "rules" / "all.cedar").write_text(RULES + rules)
    for name, text in AUDIENCES.items():
        (bundle / "audiences" / f"{name}.toml").write_text(text)
    for name, text in _clients(signer).items():
        (bundle / "clients" / f"{name}.toml").write_text(text)
    (bundle / "issuers" / "login.toml").write_text(
        f'[issuer]\nid = "login"\nissuer = "{LOGIN}"\nprofile = "oidc"\naudiences = ["https://tokens.example.com"]\n'
        'principal = "User"\nsubject = "sub"\nkeys = "inline"\nconditions = ["claims.email_verified == true"]\n'
        f"[[issuer.jwks]]\n{public(login, 'login-1')}\n"
    )
    edit(bundle)
    key = folder / "master.key"
    key.write_bytes(base64.urlsafe_b64encode(secrets.token_bytes(32)))
    key.chmod(0o600)
    config = folder / "mintwarden.toml"
    fixed = '[keys]\nmaster_key_file = "master.key"\n[ledger]\ncheckpoint_interval = "50ms"\n'
    config.write_text(f"[server]\n{development(server)}\n{fixed}{unhurried(more)}\n")
    return config


def unhurried(more: str) -> str:
    """Settings under which reviews have their share of a machine that is wholly busy with tests."""
    table = '[reviews]\npriority = "normal"\n'
    return more.replace("[reviews]\n", table) if "[reviews]" in more else f"{more}\n{table}"


def development(server: str) -> str:
    """Server settings under which the bundle's folder governs, unless they say otherwise themselves."""
    return server if "dev =" in server else f"dev = true\n{server}"


def _clients(signer: ECKey) -> dict[str, str]:
    def client(name: str, kind: str, method: str, grants: str, ceilings: str, more: str = "") -> str:
        return CLIENT.format(id=name, kind=kind, method=method, grants=grants, ceilings=ceilings, more=more)

    own, exchange = '"client_credentials"', '"token_exchange"'
    return {
        "batch": client("batch", "batch", "client_secret_basic", own, 'payments = ["payments:read"]'),
        "web": client("web", "web", "client_secret_basic", exchange, 'payments = "*"'),
        "helper": client("helper", "agent", "client_secret_basic", exchange, 'payments = "*"'),
        "api": client("api", "service", "client_secret_basic", exchange, 'ledger = "*"', 'serves = ["payments"]'),
        "operator": client("operator", "service", "client_secret_basic", own, 'mintwarden = "*"'),
        "signer": client("signer", "service", "private_key_jwt", own, 'payments = ["payments:read"]')
        + f"[[client.keys]]\n{public(signer, 'signer-1')}\n",
    }


@functools.cache
def _empty_store() -> bytes:
    """A store as migration makes it: made once, then copied, since each test wants one."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "empty.db")
        migrate(f"sqlite:///{path}")
        assert [found.name for found in path.parent.iterdir()] == ["empty.db"], "something is not in the file yet"
        return path.read_bytes()


def place_store(url: str) -> None:
    """The SQLite store at `url`, where there is none yet."""
    if scheme_of(url) == SQLITE_SCHEME and not (path := Path(sqlite_path(url))).exists():
        path.touch(0o600)
        path.write_bytes(_empty_store())


async def furnish(config: Path, *, people: Sequence[str] = ("alice",)) -> dict[str, str]:
    """Make the store, give each client a secret, put people into the directory; the secrets."""
    read = load_config(config, environ={})
    place_store(read.store.url)
    store = await open_store(read.store.url, create=True)
    try:
        now, pepper = SystemClock().now(), master_key(read, {}).derive(b"client-secrets")
        given = {name: generate_secret(secrets.token_bytes) for name in ("batch", "web", "helper", "api", "operator")}
        await store.credentials.add_secrets(
            [
                ClientSecret(client_id=n, scheme="hmac-sha256", digest=hash_secret(pepper, s), created_at=now)
                for n, s in given.items()
            ]
        )
        document = FactDocument(facts={"department": "finance"}, groups=["finance"])
        row = FactRow("directory", json.dumps({"facts": document.facts, "groups": document.groups}).encode(), now)
        await store.facts.put([(f"User:{person}", row) for person in people])
    finally:
        await store.close()
    return given


@functools.cache
def _usual_trust() -> ssl.SSLContext:
    """The machine's authorities, as every client would read them anew."""
    return ssl.create_default_context()


@contextlib.asynccontextmanager
async def running(
    folder: Path,
    *,
    server: str = "",
    more: str = "",
    verify: ssl.SSLContext | bool = True,
    people: Sequence[str] = ("alice",),
    port: int = 0,
    **bundle: Any,
) -> AsyncIterator[Company]:
    """The company with its service running in this process, over real HTTP on `port`, or on a free one.

    `verify` is what its caller makes of the service's TLS, where `server` has it serve that.
    """
    signer, login = ECKey.generate_key("P-256"), ECKey.generate_key("P-256")
    config = write_company(folder, signer, login, server=server, more=more, **bundle)
    given = await furnish(config, people=people)
    read = load_config(config, environ={})
    service = await open_service(read)
    try:
        listening = socket.create_server(("127.0.0.1", port))
        async with (
            serving(service.surface, listening, server=read.server) as base,
            httpx2.AsyncClient(base_url=base, verify=_usual_trust() if verify is True else verify) as http,
        ):
            yield Company(folder=folder, base=base, http=http, secrets=given, signer=signer, login=login)
    finally:
        await service.close()
