"""Clients known by a certificate, and tokens bound to one (RFC 8705), over real TLS and behind a proxy."""

from __future__ import annotations

import base64
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from joserfc.jwk import ECKey

from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from mintwarden.authn.certificates import thumbprint
from mintwarden.authn.ports import ClientSecret
from mintwarden.authn.secrets import generate_secret, hash_secret
from tests.flow import pki
from tests.flow.company import ACCESS_TOKEN, CLIENT, EXCHANGE, JWT_TYPE, LEDGER, PAYMENTS, Company, running
from tests.flow.test_dpop import proof

OWN = {"grant_type": "client_credentials", "scope": "payments:read"}
RULES = """
@id("certified-read") @owner("Payments") @reason("known by a certificate")
permit (principal, action == Action::"issue", resource == Scope::"payments:read")
when { ["pki", "own", "pinned", "bound"].contains(context.client.id) };
@id("helper-with-certificate") @owner("Payments") @reason("only with a certificate") @require_binding("mtls")
permit (principal == Workload::"batch", action == Action::"issue", resource == Scope::"ledger:read");
@id("app-acts") @owner("Payments") @reason("an app of the person's own")
permit (principal == Agent::"app", action == Action::"act", resource in Audience::"payments");
@id("pki-ledger") @owner("Payments") @reason("the ledger behind the payments")
permit (principal == Workload::"pki", action == Action::"issue", resource == Scope::"ledger:read");
"""


class Pki:
    """An authority, a stranger, and the certificates of the company's clients."""

    def __init__(self) -> None:
        self.authority = pki.certificate("CN=Clients,O=Example", authority=True)
        self.stranger = pki.certificate("CN=Clients,O=Example", authority=True)
        self.server = pki.served()
        self.pki = pki.certificate("CN=pki,O=Example", self.authority, uses=[pki.FOR_CLIENTS])
        self.other = pki.certificate("CN=other,O=Example", self.authority)
        self.forged = pki.certificate("CN=pki,O=Example", self.stranger)
        self.own = pki.certificate("CN=own")
        self.renewed = pki.certificate("CN=own again", key=self.own.key)
        self.expired = pki.certificate("CN=own", key=self.own.key, days=(-30, -1))


def b64(der: bytes) -> str:
    return base64.b64encode(der).decode()


def jwk(pair: pki.Pair, **more: str) -> str:
    members = {"kid": "own-1", **ECKey.import_key(pair.key_pem).as_dict(private=False), **more}
    return "[[client.keys]]\n" + "\n".join(f'{name} = "{value}"' for name, value in members.items()) + "\n"


def clients(made: Pki) -> Mapping[str, str]:
    def client(name: str, method: str, grants: str = '"client_credentials", "token_exchange"', more: str = "") -> str:
        ceilings = 'payments = "*"\nledger = "*"'
        return CLIENT.format(id=name, kind="service", method=method, grants=grants, ceilings=ceilings, more=more)

    bound, exchange = "tls_client_certificate_bound_access_tokens = true", '"token_exchange"'
    return {
        "pki": client("pki", "tls_client_auth", more='tls_client_auth_subject_dn = "CN=pki,O=Example"'),
        "own": client("own", "self_signed_tls_client_auth") + jwk(made.own),
        "bound": client("bound", "client_secret_basic", more=bound),
        "pinned": client("pinned", "self_signed_tls_client_auth") + jwk(made.own) + f'x5c = ["{b64(made.own.der)}"]\n',
        "app": client("app", "none", exchange).replace('kind = "service"', 'kind = "agent"'),
    }


@contextlib.asynccontextmanager
async def certified(folder: Path, made: Pki, server: str, **more: Any) -> AsyncIterator[Company]:
    def edit(bundle: Path) -> None:
        for name, text in clients(made).items():
            (bundle / "clients" / f"{name}.toml").write_text(text)
        batch = bundle / "clients" / "batch.toml"
        batch.write_text(batch.read_text() + 'ledger = "*"\n')

    (folder / "clients.pem").write_bytes(made.authority.pem)
    (folder / "known.pem").write_bytes(b"".join((made.own.pem, made.renewed.pem, made.expired.pem)))
    async with running(folder, server=server, rules=RULES, edit=edit, **more) as company:
        yield company


@pytest.fixture(scope="module")
def made() -> Pki:
    return Pki()


@pytest.fixture
async def tls(tmp_path: Path, made: Pki) -> AsyncIterator[Company]:
    """The company behind its own TLS."""
    made.server.write(tmp_path, "server")
    server = 'tls_certificate = "server.pem"\ntls_key = "server.key"\nclient_ca = "clients.pem"\n'
    server += 'client_certificates = "known.pem"\nmtls_base = "https://mtls.example.com"'
    async with certified(tmp_path, made, server, verify=pki.shown(made.server)) as company:
        yield company


@pytest.fixture
async def proxied(tmp_path: Path, made: Pki) -> AsyncIterator[Company]:
    """The company behind a proxy on this machine."""
    server = 'proxies = ["127.0.0.1/32"]\nclient_ca = "clients.pem"\nclient_certificate_header = "Client-Cert"'
    async with certified(tmp_path, made, server) as company:
        yield company


@contextlib.asynccontextmanager
async def calling(company: Company, made: Pki, pair: pki.Pair) -> AsyncIterator[httpx2.AsyncClient]:
    files = pair.write(company.folder, "calling")
    async with httpx2.AsyncClient(base_url=company.base, verify=pki.shown(made.server, files)) as http:
        yield http


def said(pair: pki.Pair) -> dict[str, str]:
    """What a proxy says of its client's certificate (RFC 9440)."""
    return {"Client-Cert": f":{base64.b64encode(pair.der).decode()}:"}


async def told(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("error", "")


async def test_over_tls_a_certificate_is_the_client_and_what_its_token_is_bound_to(tls: Company, made: Pki) -> None:
    for client, pair in (("pki", made.pki), ("own", made.own), ("own", made.renewed)):
        async with calling(tls, made, pair) as http:
            answer = await http.post("/token", data={"client_id": client, **OWN})
            assert answer.status_code == 200, answer.text
            token = answer.json()["access_token"]
            assert answer.json()["token_type"] == "Bearer"
            claims = await tls.claims(token)
            assert claims["cnf"] == {"x5t#S256": thumbprint(pair.der)}
            shown = await http.post("/introspect", data={"client_id": client, "token": token})
            assert (shown.json()["active"], shown.json()["cnf"]) == (True, claims["cnf"])


async def test_over_tls_another_certificate_none_or_no_client_id(tls: Company, made: Pki) -> None:
    """One that nobody knows begins no connection: the limit of Python's TLS; behind a proxy it proves nothing either."""
    async with calling(tls, made, made.other) as http:
        for form in ({"client_id": "pki"}, {"client_id": "own"}, {}, {"client_id": "nobody"}):
            assert await told(await http.post("/token", data=form | OWN)) == (401, "invalid_client")
    for pair in (made.pki, made.own):  # good ones: who they are for has to be said all the same
        async with calling(tls, made, pair) as http:
            assert await told(await http.post("/token", data=OWN)) == (401, "invalid_client")
    for client in ("pki", "own"):
        answer = await tls.http.post("/token", data={"client_id": client, **OWN})
        assert await told(answer) == (401, "invalid_client")
    for pair in (made.forged, made.expired):
        async with calling(tls, made, pair) as http:
            with pytest.raises(httpx2.TransportError):
                await http.post("/token", data={"client_id": "pki", **OWN})
    answer = await tls.http.post("/token", data={"client_id": "pki", **OWN}, headers=said(made.pki))
    assert await told(answer) == (401, "invalid_client"), "the header of somebody who is no proxy"


async def test_what_is_announced(tls: Company) -> None:
    metadata = (await tls.http.get("/.well-known/oauth-authorization-server")).json()
    assert metadata["tls_client_certificate_bound_access_tokens"] is True
    for name, alias in metadata["mtls_endpoint_aliases"].items():
        assert metadata[name].replace("https://tokens.", "https://mtls.") == alias
    assert metadata["mtls_endpoint_aliases"]["token_endpoint"] == "https://mtls.example.com/token"
    assert "authorization_endpoint" not in metadata["mtls_endpoint_aliases"]
    methods = set(metadata["token_endpoint_auth_methods_supported"])
    assert {"tls_client_auth", "self_signed_tls_client_auth"} <= methods


async def test_behind_a_proxy_the_certificate_is_what_the_proxy_says(proxied: Company, made: Pki) -> None:
    for client, pair in (("pki", made.pki), ("own", made.own), ("own", made.renewed), ("pinned", made.own)):
        answer = await proxied.http.post("/token", data={"client_id": client, **OWN}, headers=said(pair))
        assert answer.status_code == 200, answer.text
        claims = await proxied.claims(answer.json()["access_token"])
        assert claims["cnf"] == {"x5t#S256": thumbprint(pair.der)}
    wrong = (
        ("pki", made.other),
        ("pki", made.forged),
        ("pki", made.own),
        ("own", made.pki),
        ("own", made.expired),
        ("pinned", made.renewed),
        ("pinned", made.pki),
    )
    for client, pair in wrong:
        answer = await proxied.http.post("/token", data={"client_id": client, **OWN}, headers=said(pair))
        assert await told(answer) == (401, "invalid_client")
    twice = [*said(made.pki).items(), *said(made.other).items()]
    answer = await proxied.http.post("/token", data={"client_id": "pki", **OWN}, headers=twice)
    assert await told(answer) == (400, "invalid_request")


async def test_nginx_writes_it_as_escaped_pem(tmp_path: Path, made: Pki) -> None:
    server = 'proxies = ["127.0.0.1/32"]\nclient_ca = "clients.pem"\nclient_certificate_header = "X-Client-Cert"\n'
    async with certified(tmp_path, made, server + 'client_certificate_format = "escaped-pem"') as company:
        headers = {"X-Client-Cert": quote(made.pki.pem.decode(), safe="")}
        answer = await company.http.post("/token", data={"client_id": "pki", **OWN}, headers=headers)
        assert answer.status_code == 200, answer.text


async def test_a_client_whose_tokens_are_bound_gets_no_bearer_token(proxied: Company, made: Pki) -> None:
    form, auth = OWN, ("bound", await secret(proxied, "bound"))
    bare = await proxied.http.post("/token", data=form, auth=auth)
    assert await told(bare) == (400, "invalid_request")
    held = await proxied.http.post("/token", data=form, auth=auth, headers=said(made.other))
    assert (await proxied.claims(held.json()["access_token"]))["cnf"] == {"x5t#S256": thumbprint(made.other.der)}


async def secret(company: Company, client: str) -> str:
    """A secret for a client that the company furnishes none for."""
    async with foundation(load_config(company.folder / "mintwarden.toml", environ={})) as base:
        made = generate_secret(secrets.token_bytes)
        digest = hash_secret(base.pepper, made)
        await base.store.credentials.add_secrets(
            [ClientSecret(client_id=client, scheme="hmac-sha256", digest=digest, created_at=base.clock.now())]
        )
    return made


async def test_another_clients_token_is_bound_where_a_rule_demands_it_and_nowhere_else(
    proxied: Company, made: Pki
) -> None:
    auth = ("batch", proxied.secrets["batch"])
    free = await proxied.http.post("/token", data=OWN, auth=auth, headers=said(made.other))
    assert "cnf" not in await proxied.claims(free.json()["access_token"])
    demanding = {"grant_type": "client_credentials", "scope": "ledger:read"}
    bare = await proxied.http.post("/token", data=demanding, auth=auth)
    assert bare.status_code == 400
    held = await proxied.http.post("/token", data=demanding, auth=auth, headers=said(made.other))
    assert held.status_code == 200, held.text
    assert (await proxied.claims(held.json()["access_token"]))["cnf"] == {"x5t#S256": thumbprint(made.other.der)}


async def test_a_dpop_proof_stands_before_the_certificate(proxied: Company, made: Pki) -> None:
    key = ECKey.generate_key("P-256")
    headers = said(made.pki) | proof(key)
    answer = await proxied.http.post("/token", data={"client_id": "pki", **OWN}, headers=headers)
    assert answer.json()["token_type"] == "DPoP"
    assert (await proxied.claims(answer.json()["access_token"]))["cnf"] == {"jkt": key.thumbprint()}


async def test_a_token_bound_to_a_certificate_never_becomes_a_bearer_token(proxied: Company, made: Pki) -> None:
    """Nor at the resource server that it was sent to, which exchanges it with a certificate, or a key, of its own."""
    own = await proxied.http.post("/token", data={"client_id": "pki", **OWN}, headers=said(made.pki))
    form = {
        "grant_type": EXCHANGE,
        "subject_token": own.json()["access_token"],
        "subject_token_type": ACCESS_TOKEN,
        "scope": "ledger:read",
    }
    auth, key = ("api", proxied.secrets["api"]), ECKey.generate_key("P-256")
    bare = await proxied.http.post("/token", data=form | {"resource": LEDGER}, auth=auth)
    assert (bare.status_code, "access_token" in bare.json()) == (400, False)
    for headers, cnf in (
        (said(made.other), {"x5t#S256": thumbprint(made.other.der)}),
        (proof(key), {"jkt": key.thumbprint()}),
    ):
        kept = await proxied.http.post("/token", data=form | {"resource": LEDGER}, auth=auth, headers=headers)
        assert kept.status_code == 200, kept.text
        assert (await proxied.claims(kept.json()["access_token"]))["cnf"] == cnf


async def test_a_bound_token_goes_on_bound(proxied: Company, made: Pki) -> None:
    own = await proxied.http.post("/token", data={"client_id": "pki", **OWN}, headers=said(made.pki))
    form = {
        "grant_type": EXCHANGE,
        "subject_token": own.json()["access_token"],
        "subject_token_type": ACCESS_TOKEN,
        "client_id": "pki",
        "scope": "payments:read",
    }
    bare = await proxied.http.post("/token", data=form)
    assert await told(bare) == (401, "invalid_client")
    kept = await proxied.http.post("/token", data=form, headers=said(made.pki))
    assert kept.status_code == 200, kept.text
    assert (await proxied.claims(kept.json()["access_token"]))["cnf"] == {"x5t#S256": thumbprint(made.pki.der)}


async def test_a_public_clients_token_is_bound_to_its_certificate(proxied: Company, made: Pki) -> None:
    form = {
        "grant_type": EXCHANGE,
        "client_id": "app",
        "resource": PAYMENTS,
        "subject_token": proxied.signed_in("alice", int(time.time())),
        "subject_token_type": JWT_TYPE,
        "scope": "payments:read",
    }
    held = await proxied.http.post("/token", data=form, headers=said(made.own))
    assert held.status_code == 200, held.text
    assert (await proxied.claims(held.json()["access_token"]))["cnf"] == {"x5t#S256": thumbprint(made.own.der)}
    stolen = {"subject_token": held.json()["access_token"], "subject_token_type": ACCESS_TOKEN}
    for headers in (said(made.other), proof(ECKey.generate_key("P-256")), {}):
        taken = await proxied.http.post("/token", data=form | stolen, headers=headers)
        assert await told(taken) == (400, "invalid_request"), "bound to another's key, or to none"
    kept = await proxied.http.post("/token", data=form | stolen, headers=said(made.own))
    assert kept.status_code == 200, kept.text
