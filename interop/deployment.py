"""A small deployment of its own for each run: every signing algorithm, a real witness, a real server."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeVar

import httpx2

from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from mintwarden.authn.ports import ClientSecret
from mintwarden.authn.secrets import generate_secret, hash_secret
from mintwarden.mint.generate import ALGORITHMS
from mintwarden.model.errors import MintwardenError

T = TypeVar("T")

CLIENT = "order-export"
PATIENCE = 120.0
"""Seconds; far more than anything takes, since a shared machine may be busy."""

AUDIENCE = """
[audience]
id = "{id}"
identifier = "https://api.example.com/{id}"
description = "An audience whose tokens are signed with {algorithm}."
owner = "Interop"
environments = ["production"]
max_ttl = "15m"
default_ttl = "5m"
algorithm = "{algorithm}"
[scopes."{id}:read"]
meaning = "Read it."
tier = "low"
default = true
"""

RULE = """
@id("{id}-read")
@owner("Interop")
@reason("other people's tools need a token of this algorithm")
permit (principal == Workload::"order-export", action == Action::"issue", resource == Scope::"{id}:read");
"""


class Deployment(NamedTuple):
    """A running server and what it takes to talk to it."""

    folder: Path
    issuer: str
    secret: str

    def token(self, algorithm: str) -> dict[str, Any]:
        """The token endpoint's answer for an audience of that algorithm."""
        answer = httpx2.post(
            f"{self.issuer}/token",
            data={"grant_type": "client_credentials", "audience": audience_id(algorithm)},
            auth=(CLIENT, self.secret),
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    def get(self, path: str) -> bytes:
        """The body of a public document."""
        answer = httpx2.get(f"{self.issuer}{path}")
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
        return answer.content

    def vkey(self) -> str:
        """The log's verifier key, out of band: from the deployment's own store."""

        async def read() -> str:
            async with foundation(load_config(self.folder / "mintwarden.toml"), read_only=True) as base:
                return str(base.log_keys()[-1])

        return asyncio.run(read())

    def checkpoint(self, *, beyond: int = 0) -> tuple[int, bytes]:
        """Size and note of a published checkpoint of more than `beyond` entries."""

        def look() -> tuple[int, bytes] | None:
            note = self.get("/ledger/checkpoint")
            size = int(note.split(b"\n")[1])
            return (size, note) if size > beyond else None

        return awaited(look, "a larger checkpoint")


def audience_id(algorithm: str) -> str:
    """The audience whose tokens are signed with `algorithm`."""
    return f"for-{algorithm.lower()}"


def prepare(folder: Path, port: int, *, witness: tuple[str, str, str] | None) -> Deployment:
    """Write the deployment: what `mintwarden init` writes, an audience per algorithm, a client's secret, a witness."""
    run("mintwarden", "init", str(folder))
    for algorithm in ALGORITHMS:
        name = audience_id(algorithm)
        (folder / f"bundle/audiences/{name}.toml").write_text(AUDIENCE.format(id=name, algorithm=algorithm))
    rules = "".join(RULE.format(id=audience_id(algorithm)) for algorithm in ALGORITHMS)
    (folder / "bundle/rules/interop.cedar").write_text(rules)
    client = folder / f"bundle/clients/{CLIENT}.toml"
    ceilings = "".join(f'{audience_id(a)} = ["{audience_id(a)}:read"]\n' for a in ALGORITHMS)
    client.write_text(client.read_text().replace("[client.ceilings]\n", f"[client.ceilings]\n{ceilings}"))
    issuer = f"http://127.0.0.1:{port}"
    config = folder / "mintwarden.toml"
    text = config.read_text().replace("port = 8080", f'port = {port}\ndev = true\nissuer = "{issuer}"')
    if witness is not None:
        text += '\n[[ledger.witnesses]]\nname = "{}"\nvkey = "{}"\nurl = "{}"\n'.format(*witness)
    config.write_text(text)
    return Deployment(folder, issuer, asyncio.run(secret_of(CLIENT, config)))


async def secret_of(client: str, config: Path) -> str:
    """A secret that the client is given."""
    secret = generate_secret(secrets.token_bytes)
    async with foundation(load_config(config), create=True) as base:
        digest = hash_secret(base.pepper, secret)
        row = ClientSecret(client_id=client, scheme="hmac-sha256", digest=digest, created_at=base.clock.now())
        await base.store.credentials.add_secrets([row])
    return secret


class Process:
    """A program that runs until it is stopped, and what it said."""

    def __init__(self, *words: str, folder: Path) -> None:
        self.output: list[str] = []
        self._process = subprocess.Popen(
            [*command(words[0]), *words[1:]],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._process.stdout is not None
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._reader.start()

    def _read(self, stream: IO[str]) -> None:
        self.output.extend(iter(stream.readline, ""))

    def wait_until(self, look: Callable[[], object], what: str) -> None:
        """Until `look` gives something; raises with what the program said when it ends before."""

        def alive() -> object:
            assert self._process.poll() is None, f"it ended before {what}: {''.join(self.output)[-2000:]}"
            return look()

        awaited(alive, what)

    def stop(self) -> None:
        """Ask it to end, and see that it does."""
        self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(PATIENCE)
        if self._process.stdout is not None:
            self._process.stdout.close()


def awaited(look: Callable[[], T | None], what: str) -> T:
    """What `look` gives, once it gives something; connections that are refused are waited out."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            found = look()
        except (httpx2.TransportError, MintwardenError):
            found = None
        if found:
            return found
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.05)


def command(name: str) -> list[str]:
    """A program of this environment."""
    if name == "node" or Path(name).is_absolute():
        return [name]
    return [str(Path(sys.executable).parent / name)]


def run(*words: str, folder: Path | None = None, code: int = 0, environ: Mapping[str, str] | None = None) -> str:
    """Run a program to its end; its output."""
    done = subprocess.run(
        [*command(words[0]), *words[1:]],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def claims_of(token: str) -> dict[str, Any]:
    """What a token says, unverified."""
    claims: dict[str, Any] = json.loads(decoded(token.split(".")[1]))
    return claims


def decoded(text: str) -> bytes:
    """base64url without padding."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
