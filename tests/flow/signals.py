"""The small company with receivers of security events: two of them, and whoever ends things."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx2
import msgspec
from joserfc import jwt
from joserfc.jwk import KeySet
from msgspec import Struct

from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from mintwarden.authn.ports import ClientSecret
from mintwarden.authn.secrets import generate_secret, hash_secret
from mintwarden.feeds.security_events import (
    ACCOUNT_DISABLED,
    ACCOUNT_ENABLED,
    ACCOUNT_PURGED,
    CREDENTIAL_CHANGE,
    SESSION_REVOKED,
    VERIFICATION,
)
from tests.flow.authorizing import Desk, desk
from tests.flow.company import CLIENT, Company, running
from tests.unit.authn.loopback import Loopback, answer

ISSUER = "https://tokens.example.com"
SSF = f"{ISSUER}/ssf"
PUSH, POLL = "urn:ietf:rfc:8935", "urn:ietf:rfc:8936"
ALL = [SESSION_REVOKED, CREDENTIAL_CHANGE, ACCOUNT_DISABLED, ACCOUNT_ENABLED, ACCOUNT_PURGED]
AUDIENCE = f"""
[audience]
id = "shared-signals"
identifier = "{SSF}"
description = "Receivers of security events"
owner = "Token Governance"
environments = ["production"]
max_ttl = "15m"
default_ttl = "5m"
algorithm = "{{algorithm}}"
[scopes."ssf.manage"]
meaning = "Have a stream of security events"
tier = "low"
[scopes."ssf.read"]
meaning = "Read one's stream of security events"
tier = "low"
"""
RULES = """
@id("receivers") @owner("Token Governance") @reason("applications that end sessions of their own")
permit (principal is Workload, action == Action::"issue", resource in Audience::"shared-signals");
"""
RECEIVERS = ("shop", "bank")


class Answered(Struct, frozen=True):
    """One event that a receiver got: the header and the claims of its token, which verified."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]

    @property
    def event(self) -> str:
        (name,) = self.claims["events"]
        return str(name)

    @property
    def content(self) -> Mapping[str, Any]:
        return dict(self.claims["events"][self.event])


class Receiver(Struct, frozen=True, kw_only=True):
    """A receiver, and everything it can ask."""

    company: Company
    name: str
    token: str

    async def call(
        self, method: str, path: str, content: Any = None, *, token: str | None = None, **headers: str
    ) -> httpx2.Response:
        """One request; `path` below `/ssf/`, or a whole address."""
        bearer = self.token if token is None else token
        sent = {"authorization": f"Bearer {bearer}"} if bearer else {}
        body = None
        if content is not None:
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
            sent["content-type"] = "application/json"
        path = path.removeprefix(ISSUER) if path.startswith(ISSUER) else f"/ssf/{path}"
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.company.http.request(method, path, content=body, headers=sent)

    async def stream(self, **content: Any) -> dict[str, Any]:
        """The configuration of a new stream that must be made, of everything there is to hear."""
        answer = await self.call("POST", "stream", {"events_requested": ALL, **content})
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def poll(self, stream: Mapping[str, Any], **content: Any) -> dict[str, Answered]:
        """What is there, by `jti`; does not wait unless it says so."""
        answer = await self.call("POST", stream["delivery"]["endpoint_url"], {"returnImmediately": True, **content})
        assert answer.status_code == 200, answer.text
        assert answer.headers["cache-control"] == "no-store"
        return {name: await self.read(token) for name, token in answer.json()["sets"].items()}

    async def read(self, token: str) -> Answered:
        """An event, verified by another's library against the published keys."""
        keys = KeySet.import_key_set((await self.company.http.get("/jwks.json")).json())
        found = jwt.decode(token, keys, algorithms=["RS256", "ES256"])
        return Answered(found.header, found.claims)

    async def verified(self, stream: Mapping[str, Any], state: str) -> None:
        """Have the stream verified."""
        answer = await self.call("POST", "verify", {"stream_id": stream["stream_id"], "state": state})
        assert answer.status_code == 204, answer.text

    async def with_scopes(self, *scopes: str) -> str:
        """A token with these scopes alone."""
        return await token_for(self.company, self.name, *scopes)


class Signalling(Struct, frozen=True, kw_only=True):
    """The company, and its receivers by name."""

    company: Company
    shop: Receiver
    bank: Receiver

    async def entries(self, kind: str) -> list[Mapping[str, Any]]:
        """What the ledger holds of a kind."""
        async with foundation(load_config(self.company.folder / "mintwarden.toml", environ={}), read_only=True) as base:
            found = [msgspec.json.decode(one.entry) for one in await base.store.entries.by_index(0, 10_000)]
        return [entry for entry in found if entry["kind"] == kind]


async def token_for(company: Company, client: str, *scopes: str) -> str:
    """A receiver's token."""
    return await company.token(client, grant_type="client_credentials", scope=" ".join(scopes), resource=SSF)


def receiving(bundle: Path, *, algorithm: str = "RS256") -> None:
    """Let the company have receivers."""
    (bundle / "audiences/shared-signals.toml").write_text(AUDIENCE.format(algorithm=algorithm))
    for name in RECEIVERS:
        client = CLIENT.format(
            id=name, kind="service", method="client_secret_basic", grants='"client_credentials"',
            ceilings='shared-signals = "*"', more="",
        )  # fmt: skip
        (bundle / f"clients/{name}.toml").write_text(client)


async def receivers(company: Company) -> Signalling:
    """Those of a company that has them, each with a secret."""
    async with foundation(load_config(company.folder / "mintwarden.toml", environ={})) as base:
        for name in RECEIVERS:
            secret = generate_secret(secrets.token_bytes)
            digest = hash_secret(base.pepper, secret)
            made_at = base.clock.now()
            await base.store.credentials.add_secrets(
                [ClientSecret(client_id=name, scheme="hmac-sha256", digest=digest, created_at=made_at)]
            )
            company.secrets[name] = secret
    made = [
        Receiver(company=company, name=name, token=await token_for(company, name, "ssf.manage", "ssf.read"))
        for name in RECEIVERS
    ]
    return Signalling(company=company, shop=made[0], bank=made[1])


@contextlib.asynccontextmanager
async def signalling(
    folder: Path, *, extend: Callable[[Path], None] = lambda _bundle: None, algorithm: str = "RS256", **more: Any
) -> AsyncIterator[Signalling]:
    """The company with its receivers."""

    def edit(bundle: Path) -> None:
        receiving(bundle, algorithm=algorithm)
        extend(bundle)

    async with running(folder, edit=edit, rules=RULES, **more) as company:
        yield await receivers(company)


def verifications(found: Mapping[str, Answered]) -> Sequence[str]:
    """The states that verifications among them carry."""
    return [one.content["state"] for one in found.values() if one.event == VERIFICATION]


class Endpoint:
    """A receiver's push endpoint on loopback; answers with `answers` in order, then with 202."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []
        self.where = Loopback({"/events": self._take})
        self._heard: asyncio.Queue[tuple[bytes, str]] = asyncio.Queue()

    async def _take(self, _path: str, head: bytes, body: bytes) -> bytes:
        self._heard.put_nowait((head, body.decode()))
        return self.answers.pop(0) if self.answers else answer("202 Accepted", b"")

    @property
    def delivery(self) -> dict[str, str]:
        return {"method": PUSH, "endpoint_url": f"{self.where.url}/events"}

    @property
    def heard(self) -> int:
        return len(self.where.seen)

    async def next(self) -> tuple[str, str]:
        """The head of the next request in small letters, and the token; waits for it, but not for ever."""
        head, body = await asyncio.wait_for(self._heard.get(), 20)
        return head.decode().lower(), body


@contextlib.asynccontextmanager
async def pushed_to() -> AsyncIterator[Endpoint]:
    """One that runs."""
    made = Endpoint()
    async with made.where:
        yield made


@contextlib.asynccontextmanager
async def people_signalling(
    folder: Path, *, extend: Callable[[Path], None] = lambda _bundle: None, **more: Any
) -> AsyncIterator[tuple[Desk, Signalling]]:
    """The desk that people come to, and receivers beside it."""

    def edit(bundle: Path) -> None:
        receiving(bundle)
        extend(bundle)

    async with desk(folder, rules=RULES, edit=edit, **more) as at:
        yield at, await receivers(at.company)
