"""The two servers under test, one at a time on the same port and the same core."""

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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import company
from bench.company import Size
from bench.requests import Key

HERE = Path(__file__).parent
CORE = 0


class Site:
    """Keys, secrets and folders that both servers share, so that both get the very same requests."""

    def __init__(self, root: Path, size: Size) -> None:
        self.root = root
        self.size = size
        self.port = free_port()
        self.issuer = f"http://127.0.0.1:{self.port}"
        self.client_keys = [Key.generate(f"k{index}") for index in range(min(size.clients, 1_000))]
        self.subject_key = Key.generate("login")
        self.secrets = [f"mw_{secrets.token_urlsafe(32)}" for _ in range(size.clients)]

    @property
    def token_url(self) -> str:
        """Where tokens are asked for."""
        return f"{self.issuer}/token"


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
max_in_flight = 512
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
    from mintwarden.app.config import load_config
    from mintwarden.app.foundation import foundation
    from mintwarden.authn.ports import ClientSecret
    from mintwarden.authn.secrets import hash_secret
    from mintwarden.store.store import DocumentChange

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
            if len(batch) == 5_000:
                await base.store.directory.apply(batch)
                batch = []
        if batch:
            await base.store.directory.apply(batch)


@contextmanager
def ours(config: Path, site: Site, *, core: int | None = CORE, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Our server, ready, on one core; stopped at the end."""
    command = [sys.executable, "-m", "mintwarden", "serve", "--config", str(config)]
    log = (site.root / "ours.log").open("ab")
    with _running(_pinned(command, core), site, "/readyz", log, env) as process:
        yield process


@contextmanager
def peer(site: Site) -> Iterator[subprocess.Popen[bytes]]:
    """npm oidc-provider with the same clients, ready, on one core; stopped at the end."""
    folder = HERE / "peer"
    if not (folder / "node_modules").exists():
        subprocess.run(["npm", "ci", "--omit=dev", "--no-audit", "--no-fund"], cwd=folder, check=True)
    scopes = list(company.SCOPES)
    clients: list[dict[str, Any]] = []
    for index, secret in enumerate(site.secrets):
        common = {"grant_types": ["client_credentials"], "response_types": [], "redirect_uris": [], "scope": " ".join(scopes)}
        clients.append({"client_id": f"c{index}", "client_secret": secret, "token_endpoint_auth_method": site_method(site), **common})
        if site_method(site) == "private_key_jwt":
            del clients[-1]["client_secret"]
            clients[-1]["jwks"] = {"keys": [site.client_keys[index % len(site.client_keys)].jwk]}
    settings = site.root / "peer.json"
    settings.write_text(
        json.dumps(
            {
                "issuer": site.issuer,
                "port": site.port,
                "resource": company.AUDIENCE,
                "scopes": scopes,
                "clients": clients,
                "signing_jwk": Key.generate("peer").private_jwk(),
            }
        )
    )
    log = (site.root / "peer.log").open("ab")
    with _running(_pinned(["node", "server.mjs", str(settings)], CORE), site, "/.well-known/openid-configuration", log, None, folder) as process:
        yield process


def site_method(site: Site) -> str:
    """Which client authentication the peer is set up for in this run."""
    return getattr(site, "method", "client_secret_basic")


def _pinned(command: list[str], core: int | None) -> list[str]:
    return command if core is None or (os.cpu_count() or 1) < 2 else ["taskset", "-c", str(core), *command]


@contextmanager
def _running(
    command: list[str], site: Site, ready: str, log: Any, env: dict[str, str] | None, cwd: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, stdout=log, stderr=log, cwd=cwd or site.root, env={**os.environ, **(env or {})})
    try:
        wait_ready(process, f"{site.issuer}{ready}")
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_ready(process: subprocess.Popen[bytes], url: str, limit: float = 60.0) -> float:
    """Seconds until `url` answers 200."""
    begun = time.monotonic()
    while time.monotonic() - begun < limit:
        if process.poll() is not None:
            raise SystemExit(f"bench: the server ended with {process.returncode}: {process.args}")
        try:
            with urllib.request.urlopen(url, timeout=1) as answer:
                if answer.status == 200:
                    return time.monotonic() - begun
        except OSError:
            time.sleep(0.02)
    raise SystemExit(f"bench: {url} was not ready in {limit:g} s")


def resident_kib(process: subprocess.Popen[bytes]) -> int:
    """Resident memory of a process, in KiB."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def run_async(coroutine: Any) -> Any:
    """Run a coroutine to its end."""
    return asyncio.run(coroutine)
