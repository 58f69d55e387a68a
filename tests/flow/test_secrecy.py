"""Invariant 8: tokens, secrets and proofs are never stored or logged, only digests.

A server process with its log at its loudest is asked in every way there is, well and badly; then everything that it
left behind is searched: database files, write-ahead log, rows, log lines, metrics, traces, stories and exports.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import secrets
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from joserfc import jwt

from mintwarden.app.config import load_config
from mintwarden.app.foundation import Foundation, foundation
from mintwarden.authn.ports import ClientSecret
from mintwarden.authn.secrets import generate_secret, hash_imported, hash_secret
from mintwarden.mint.generate import _context
from mintwarden.store.migrate import migrate
from mintwarden.store.postgres.embedded import EmbeddedPostgres
from tests.flow.company import ACCESS_TOKEN, ADMIN, CLIENT, EXCHANGE, JWT_TYPE, LEDGER, PAYMENTS, Company
from tests.reliability.deployment import SQLITE, Node, Site, command, site
from tests.reliability.load import claims_of
from tests.reliability.needles import files, finds, of_token, spellings

INPUTS = ("bundle", "master.key", "mintwarden.toml")
RULES = """
@id("poster-reads") @owner("Payments") @reason("the poster posts")
permit (principal == Workload::"poster", action == Action::"issue", resource == Scope::"payments:read");
@id("imported-reads") @owner("Payments") @reason("an old client")
permit (principal == Workload::"imported", action == Action::"issue", resource == Scope::"payments:read");
@id("page-acts") @owner("Payments") @reason("the page reads for people")
permit (principal == Workload::"page", action == Action::"act", resource == Scope::"payments:read");
@id("poster-acts") @owner("Payments") @reason("the poster reads for people")
permit (principal == Workload::"poster", action == Action::"act", resource == Scope::"payments:read");
"""


def more_clients(bundle: Path) -> None:
    """One for each method that the company's own clients do not use."""
    for name, method, grants in (
        ("poster", "client_secret_post", '"client_credentials", "token_exchange"'),
        ("imported", "client_secret_basic", '"client_credentials"'),
        ("page", "none", '"token_exchange"'),
    ):
        text = CLIENT.format(
            id=name, kind="service", method=method, grants=grants, ceilings='payments = ["payments:read"]', more=""
        )
        (bundle / "clients" / f"{name}.toml").write_text(text)
    (bundle / "rules" / "more.cedar").write_text(RULES)


class Secrets:
    """Everything that nobody may find, by name."""

    def __init__(self) -> None:
        self.needles: dict[str, set[bytes]] = {}
        self.tokens: list[str] = []

    def secret(self, name: str, value: str | bytes) -> str:
        raw = value.encode() if isinstance(value, str) else value
        self.needles[name] = spellings(raw)
        return value if isinstance(value, str) else ""

    def token(self, name: str, token: str) -> str:
        self.needles |= of_token(name, token)
        return token

    def issued(self, name: str, answer: Any) -> str:
        assert answer.status_code == 200, answer.text
        self.tokens.append(answer.json()["access_token"])
        return self.token(name, self.tokens[-1])


@contextlib.asynccontextmanager
async def collector() -> AsyncIterator[tuple[int, list[bytes]]]:
    """Takes traces over HTTP and keeps them as they come."""
    taken: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            taken.append(await reader.readexactly(int(head.partition("content-length:")[2].partition("\r\n")[0])))
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], taken
    finally:
        server.close()


async def furnish_more(config: Path, given: dict[str, str]) -> None:
    """Secrets for the further clients: one of ours, one that was imported."""
    given["poster"] = generate_secret(secrets.token_bytes)
    given["imported"] = "correct horse battery staple"
    async with foundation(load_config(config, environ={})) as base:
        now = base.clock.now()
        digests = {
            "poster": ("hmac-sha256", hash_secret(base.pepper, given["poster"])),
            "imported": ("argon2id", hash_imported(given["imported"], secrets.token_bytes)),
        }
        rows = [
            ClientSecret(client_id=name, scheme=scheme, digest=digest, created_at=now)  # type: ignore[arg-type]
            for name, (scheme, digest) in digests.items()
        ]
        await base.store.credentials.add_secrets(rows)


async def granted(company: Company, hidden: Secrets) -> None:
    """Every method, both grants, every kind of token that is shown to us."""
    now, http, own = int(time.time()), company.http, {"grant_type": "client_credentials"}
    for name, secret in company.secrets.items():
        hidden.secret(f"secret of {name}", secret)
        hidden.secret(f"header of {name}", base64.b64encode(f"{name}:{secret}".encode()))
    hidden.issued("basic", await company.ask("batch", **own))
    hidden.issued("imported", await company.ask("imported", **own))
    posted = {"client_id": "poster", "client_secret": company.secrets["poster"]}
    actor = hidden.issued("post", await http.post("/token", data=own | posted))
    proof = company.assertion(now)
    hidden.token("assertion", proof["client_assertion"])
    hidden.issued("private_key_jwt", await http.post("/token", data=own | proof))
    person = hidden.token("subject token", company.signed_in("alice", now, amr=["pwd"]))
    form = {"grant_type": EXCHANGE, "subject_token": person, "subject_token_type": JWT_TYPE, "resource": PAYMENTS}
    hidden.issued("public", await http.post("/token", data=form | {"client_id": "page", "scope": "payments:read"}))
    acting = {"actor_token": actor, "actor_token_type": ACCESS_TOKEN, "scope": "payments:read"}
    hidden.issued("with actor", await http.post("/token", data=form | posted | acting))
    agent = hidden.issued("agent", await company.ask("helper", **form))
    hidden.issued("exchanged again", await company.exchange("api", agent, ACCESS_TOKEN, resource=LEDGER))
    scopes = "mintwarden:facts.write mintwarden:decisions.read"
    admin = hidden.issued("admin", await company.ask("operator", **own, scope=scopes, resource=ADMIN))
    told = {"documents": [{"entity": "User:alice", "source": "risk", "facts": {"score": 1}}]}
    bearer = {"authorization": f"Bearer {admin}"}
    assert (await http.put("/admin/v1/facts", json=told, headers=bearer)).status_code == 200
    story = await http.get(f"/admin/v1/decisions/{claims_of(agent)['jti']}", headers=bearer)
    assert story.status_code == 200
    assert finds(hidden.needles, [("a story over HTTP", story.content)]) == []


async def refused(company: Company, hidden: Secrets) -> None:
    """What clients get wrong, secrets in places where they do not belong among it."""
    now, http, own = int(time.time()), company.http, {"grant_type": "client_credentials"}
    wrong = hidden.secret("wrong secret", generate_secret(secrets.token_bytes))
    guessed = hidden.secret("guess", "hunter2hunter2hunter2")
    token = hidden.tokens[0]
    replayed = company.assertion(now)
    hidden.token("replayed assertion", replayed["client_assertion"])
    await http.post("/token", data=own | replayed)
    forged = jwt.encode(
        {"alg": "ES256", "kid": "signer-1"}, {"iss": "signer", "sub": "signer"}, company.login, algorithms=["ES256"]
    )
    hidden.token("forged assertion", forged)
    attempts = [
        http.post("/token", data=own, auth=("batch", wrong)),
        http.post("/token", data=own, auth=(guessed, wrong)),
        http.post("/token", data=own | {"client_id": "poster", "client_secret": wrong}),
        http.post("/token", data=own | {"client_id": guessed, "client_secret": company.secrets["poster"]}),
        http.post("/token", data=own | {"client_secret": wrong}, auth=("batch", company.secrets["batch"])),
        http.post("/token", data=own | replayed),
        http.post("/token", data=own | {**replayed, "client_assertion": forged}),
        http.post("/token", data=own | {**replayed, "client_assertion_type": forged}),
        http.post("/token", data={"grant_type": token}),
        http.post("/token", data=own | {"scope": token, "resource": token, "audience": token}),
        http.post("/token", params={"client_secret": company.secrets["batch"]}, data=own),
        http.post("/token", content=json.dumps({"client_secret": wrong}).encode()),
        http.post("/token", content=f"client_secret={wrong}&client_secret={wrong}".encode()),
        http.post(f"/token/{company.secrets['batch']}", data=own),
        http.get(f"/ledger/{token}"),
        http.get("/readyz", headers={"authorization": f"Bearer {token}", "x-request-id": token, "traceparent": token}),
        http.get(f"/admin/v1/decisions/{token}", headers={"authorization": f"Bearer {token}"}),
        http.put("/admin/v1/facts", content=token.encode(), headers={"authorization": f"Bearer {hidden.tokens[-1]}"}),
        company.exchange("web", token, ACCESS_TOKEN, resource=PAYMENTS),
        company.exchange("web", forged, JWT_TYPE, resource=PAYMENTS),
        company.exchange("web", token, token, resource=PAYMENTS),
        company.exchange("helper", hidden.token("stranger", company.signed_in("mallory", now)), resource=PAYMENTS),
    ]
    for answer in await asyncio.gather(*attempts):
        assert answer.status_code in (200, 400, 401, 404, 415), (answer.request.url, answer.text)
        assert answer.status_code != 200 or answer.request.url.path == "/readyz", answer.text
        assert finds(hidden.needles, [("an answer", answer.content + str(answer.headers).encode())]) == []


async def keys_of(base: Foundation, folder: Path, hidden: Secrets) -> None:
    """The master key, what is derived from it, and the private half of every signing key."""
    text = (folder / "master.key").read_bytes().strip()
    hidden.secret("master key", base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4)))
    hidden.secret("master key as text", text.rstrip(b"="))
    for label in (b"ledger", b"client-secrets", b"seal"):
        hidden.secret(f"derived {label.decode()}", base.master.derive(label))
    for key in await base.store.keys.keys():
        private = json.loads(base.master.open(key.sealed, _context(key.kid)))["d"]
        hidden.secret(f"{key.algorithm} {key.state}", base64.urlsafe_b64decode(private + "=="))


async def stories(where: Site, node: Node, hidden: Secrets) -> list[tuple[str, bytes]]:
    """What the command line tells of the log: an export, and the opened story of a decision and of a token."""
    config = ["--config", str(node.config)]
    heaps = []
    exported = await command("ledger", "export", str(where.folder / "node-export.jsonl"), *config)
    told = await command("explain", claims_of(hidden.tokens[4])["jti"], "--json", *config)
    shown = await command("explain", hidden.tokens[6], *config)
    shown_config = await command("config", "show", *config)
    for name, (code, out, err) in {
        "export": exported,
        "explain a decision": told,
        "explain a token": shown,
        "config show": shown_config,
    }.items():
        assert code == 0, err
        heaps.append((name, (out + err).encode()))
    return heaps


async def run(where: Site, port: int) -> tuple[Node, Secrets, list[tuple[str, bytes]]]:
    """Everything that was asked, and what was seen of it while the server ran."""
    hidden = Secrets()
    async with collector() as (traces, taken):
        telemetry = f'[telemetry]\nlog_level = "debug"\notlp_endpoint = "http://127.0.0.1:{traces}/v1/traces"\n'
        node = where.node(port, more=telemetry)
        await furnish_more(node.config, where.secrets)
        await node.start()
        company = where.ask(node)
        await granted(company, hidden)
        await refused(company, hidden)
        metrics = (await company.http.get("/metrics")).content
        async with foundation(load_config(node.config, environ={}), read_only=True) as base:
            await keys_of(base, where.folder, hidden)
        alive = list(files(where.folder, leave_out=INPUTS))
        assert await node.stop() == 0
        assert taken
    heaps = [("metrics", metrics), ("traces", b"".join(taken)), *((f"{name}, running", heap) for name, heap in alive)]
    heaps += await stories(where, node, hidden)
    return node, hidden, heaps


def nothing_of(hidden: Secrets, heaps: list[tuple[str, bytes]], *, ids_in: list[str]) -> None:
    """No needle in any heap, and what may be there is: the search looks where it should."""
    jti = claims_of(hidden.tokens[1])["jti"].encode()
    for place in ids_in:
        assert any(name.startswith(place) and jti in heap for name, heap in heaps), f"not even an id in {place}"
    print(f"{len(hidden.needles)} secrets in {len(heaps)} places, {sum(len(h) for _, h in heaps) >> 10} KiB")
    assert finds(hidden.needles, heaps) == []


async def test_8_tokens_secrets_and_proofs_are_never_stored_or_logged(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    async with site(tmp_path, SQLITE, extend=more_clients) as where:
        _, hidden, heaps = await run(where, free_port())
        heaps += files(tmp_path, leave_out=INPUTS)
        with contextlib.closing(sqlite3.connect(tmp_path / "mintwarden.db")) as database:
            heaps.append(("rows", "\n".join(database.iterdump()).encode()))
        ids_in = ["mintwarden.db-wal, running", "mintwarden.db", "node0.log", "node-export", "traces"]
        nothing_of(hidden, heaps, ids_in=ids_in)


@pytest.mark.xdist_group("postgres")
async def test_8_and_not_in_postgresql_either(tmp_path: Path, free_port: Callable[[], int]) -> None:
    with EmbeddedPostgres() as own:
        migrate(own.url())
        async with site(tmp_path, own.url(), extend=more_clients) as where:
            _, hidden, heaps = await run(where, free_port())
        heaps += [("rows", rows(own.url())), *files(tmp_path, leave_out=INPUTS)]
        own.stop()
        # `base/1` and `base/4` are the templates of databases
        heaps += files(own._home, leave_out=("postgresql", "data/global", "data/base/1/", "data/base/4/"))
        nothing_of(hidden, heaps, ids_in=["rows", "data/base", "data/pg_wal", "node0.log", "node-export"])


def rows(url: str) -> bytes:
    """Every value of every table of ours, large and compressed ones as they were."""
    found: list[bytes] = []
    with psycopg.connect(url) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (table,) in tables:
            for row in connection.execute(f'SELECT * FROM "{table}"'.encode()):
                found += [value if isinstance(value, bytes) else str(value).encode() for value in row]
    return b"\0".join(found)


def test_the_search_finds_what_is_there() -> None:
    secret = bytes(range(60, 92))
    for heap in (
        b"xx" + secret,
        base64.b64encode(b"a" + secret + b"b"),
        base64.urlsafe_b64encode(b"ab" + secret),
        base64.b64encode(b"abc" + secret + b"c"),
        b"\\x" + secret.hex().encode(),
    ):
        assert finds({"it": spellings(secret)}, [("here", heap)]) == ["it in here"]
    assert finds({"it": spellings(secret)}, [("here", bytes(100))]) == []
