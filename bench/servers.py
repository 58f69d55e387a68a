"""The two servers under test, each on a port of its own and all on one core."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from bench import company
from bench.company import Size
from bench.process import LOAD_CORE, SERVER_CORE, end, pinned
from bench.requests import CHALLENGE, Key
from mintwarden.app.config import ReviewsConfig, load_config
from mintwarden.app.foundation import foundation
from mintwarden.app.reviews.apart import begun
from mintwarden.authn.ports import ClientSecret
from mintwarden.authn.secrets import hash_secret
from mintwarden.store.store import DocumentChange

HERE = Path(__file__).parent
IMPORT = 5_000

Result = TypeVar("Result")


class Site:
    """Keys, secrets and folders that both servers share, so that both get the very same requests."""

    def __init__(self, root: Path, size: Size) -> None:
        self.root = root
        self.size = size
        self.port, self.peer_port = free_port(), free_port()
        self.issuer = f"http://127.0.0.1:{self.port}"
        self.method = "client_secret_basic"
        self.opaque = False
        self.codes = self.renewals = 0
        self.client_keys = [Key.generate(f"k{index}") for index in range(min(size.clients, 1_000))]
        self.subject_key = Key.generate("login")
        # `opaque`: the peer's access tokens are not JWTs (it introspects no other); `codes`, `renewals`: how many codes
        # and refresh tokens it begins with.
        self.secrets = [f"mw_{secrets.token_urlsafe(32)}" for _ in range(size.clients)]

    @property
    def token_url(self) -> str:
        """Where our server is asked for tokens."""
        return f"{self.issuer}/token"

    @property
    def peer_seeds(self) -> Path:
        """Where the peer writes the codes and refresh tokens that it began with."""
        return self.root / "peer-seeds.json"

    @property
    def peer_url(self) -> str:
        """Where the peer is asked for tokens."""
        return f"http://127.0.0.1:{self.peer_port}/token"


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_ours(site: Site, *, verify: str = "off") -> Path:
    """Bundle, configuration and master key of our server; returns the configuration's path."""
    company.write_bundle(
        site.root / "bundle",
        issuer=site.issuer,
        size=site.size,
        client_jwks=[key.jwk for key in site.client_keys],
        subject_jwk=site.subject_key.jwk,
        verify=verify,
    )
    master = site.root / "master.key"
    master.write_text(base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode())
    master.chmod(0o600)
    config = site.root / "mintwarden.toml"
    config.write_text(
        f"""[server]
host = "127.0.0.1"
port = {site.port}
dev = true
[store]
url = "sqlite:///bench.db"
[bundle]
path = "bundle"
[keys]
master_key_file = "master.key"
[telemetry]
log_level = "warning"
"""
    )
    return config


async def populate(site: Site, config: Path) -> None:
    """Create the store; put every client's secret and every principal's facts into it."""
    async with foundation(load_config(config), create=True) as base:
        now = base.clock.now()
        await base.store.credentials.add_secrets(
            [
                ClientSecret(
                    client_id=f"c{index}",
                    scheme="hmac-sha256",
                    digest=hash_secret(base.pepper, secret),
                    created_at=now,
                )
                for index, secret in enumerate(site.secrets)
            ]
        )
        batch: list[DocumentChange] = []
        for entity, source, document in company.facts(site.size):
            batch.append(DocumentChange(entity, source, json.dumps(document).encode(), now))
            if len(batch) == IMPORT:
                await base.store.directory.apply(batch)
                batch = []
        if batch:
            await base.store.directory.apply(batch)


@contextmanager
def ours(
    config: Path, site: Site, *, core: int | None = SERVER_CORE, env: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Our server, ready, on one core; stopped at the end."""
    command = pinned([sys.executable, "-m", "mintwarden", "serve", "--config", str(config)], core)
    with _running(command, site.root / "ours.log", cwd=site.root, env=env) as process:
        wait_ready(process, f"{site.issuer}/readyz")
        yield process


@contextmanager
def changing_facts(config: Path, site: Site, rate: int) -> Iterator[subprocess.Popen[bytes]]:
    """A writer that changes the facts of somebody `rate` times a second, on the core of the load."""
    size = site.size
    arguments = [str(config), str(size.clients), str(size.subjects), str(rate)]
    command = pinned([sys.executable, "-m", "bench.writer", *arguments], LOAD_CORE)
    with _running(command, site.root / "writer.log", cwd=HERE.parent) as process:
        yield process


@contextmanager
def reviewing(site: Site, bundle: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that reviews `bundle` again and again, on the core of the server; begun as the service begins one."""
    program = (sys.executable, "-m", "bench.reviewer", str(bundle))
    command = pinned([*begun(program, ReviewsConfig())], SERVER_CORE)
    with _running(command, site.root / "reviewer.log", cwd=HERE.parent) as process:
        yield process


@contextmanager
def peer(site: Site) -> Iterator[subprocess.Popen[bytes]]:
    """npm oidc-provider with the same clients, set up for the method in `site.method`, ready, on one core."""
    folder = HERE / "peer"
    if not (folder / "node_modules").exists():
        install = ["npm", "ci", "--omit=dev", "--no-audit", "--no-fund", "--silent"]
        subprocess.run(install, cwd=folder, check=True, stdout=sys.stderr)
    settings = site.root / "peer.json"
    settings.write_text(json.dumps(_peer_settings(site)))
    command = pinned(["node", "server.mjs", str(settings)], SERVER_CORE)
    environment = {"NODE_ENV": "production"}
    with _running(command, site.root / "peer.log", cwd=folder, env=environment) as process:
        # It makes its codes before it listens.
        wait_ready(process, f"http://127.0.0.1:{site.peer_port}/.well-known/openid-configuration", 180)
        yield process


def _peer_settings(site: Site) -> dict[str, Any]:
    scopes = list(company.SCOPES)
    clients: list[dict[str, Any]] = []
    for index, secret in enumerate(site.secrets):
        proof: dict[str, Any] = {"client_secret": secret}
        if site.method == "private_key_jwt":
            proof = {"jwks": {"keys": [site.client_keys[index % len(site.client_keys)].jwk]}}
        clients.append(
            {
                "client_id": f"c{index}",
                "token_endpoint_auth_method": site.method,
                "grant_types": ["client_credentials", "authorization_code", "refresh_token"],
                "response_types": ["code"],
                "redirect_uris": [company.REDIRECT],
                "scope": " ".join(scopes),
                **proof,
            }
        )
    return {
        "issuer": site.issuer,
        "port": site.peer_port,
        "resource": company.AUDIENCE,
        "scopes": scopes,
        "clients": clients,
        "opaque": site.opaque,
        "seed": {
            "codes": site.codes,
            "renewals": site.renewals,
            "file": str(site.peer_seeds),
            "redirect_uri": company.REDIRECT,
            "challenge": CHALLENGE,
        },
        "signing_jwk": Key.generate("peer").private_jwk(),
    }


@contextmanager
def _running(
    command: list[str], log: Path, *, cwd: Path, env: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, cwd=cwd, env={**os.environ, **(env or {})})
        try:
            yield process
        finally:
            end(process)


def wait_ready(process: subprocess.Popen[bytes], url: str, limit: float = 60.0) -> float:
    """Seconds until `url` answers 200."""
    begun = time.monotonic()
    while time.monotonic() - begun < limit:
        if process.poll() is not None:
            raise SystemExit(f"bench: the server ended with {process.returncode}: {process.args!r}")
        try:
            with urllib.request.urlopen(url, timeout=1) as answer:
                if answer.status == 200:
                    return time.monotonic() - begun
        except OSError:
            time.sleep(0.02)
    raise SystemExit(f"bench: {url} was not ready in {limit:g} s")


def metric(site: Site, name: str) -> float:
    """The sum over all samples of a metric of our server, as it exposes it."""
    with urllib.request.urlopen(f"{site.issuer}/metrics", timeout=30) as answer:
        return read_metric(answer.read().decode(), name)


def read_metric(text: str, name: str) -> float:
    """The sum over all samples of `name` in the text of a scrape; 0 when there is none."""
    total = 0.0
    for line in text.splitlines():
        if line.split("{")[0].split(" ")[0] == name:
            total += float(line.rsplit(" ", 1)[1])
    return total


def run_async(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine to its end, on the event loop that the server uses."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(coroutine)
