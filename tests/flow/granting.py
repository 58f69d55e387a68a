"""The small company with clients that people allow something: what they allowed is put into the memory directly."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import secrets
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx2
import msgspec
from msgspec import Struct

from mintwarden.app.config import load_config
from mintwarden.app.foundation import Foundation, foundation
from mintwarden.app.memory import memory_of
from mintwarden.app.wiring import open_service
from mintwarden.authn.ports import ClientSecret, Revocation
from mintwarden.authn.secrets import generate_secret, hash_secret
from mintwarden.authn.sign_in import SignIn
from mintwarden.issue.granted import Granted
from mintwarden.issue.memory import Code
from mintwarden.model.values import EntityUid
from mintwarden.store.store import DocumentChange
from tests.flow.company import CLIENT, Company, running

BACK = "https://app.example.com/back"
VERIFIER = "v" * 50
CHALLENGE = urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
EVERYTHING = {"payments": ("payments:read", "payments:write"), "ledger": ("ledger:read",)}
WITH_SECRET = ("app", "keeper", "helper-app")

IDENTITY = """
[audience]
id = "identity"
kind = "identity"
identifier = "https://tokens.example.com"
description = "Who signed in"
owner = "Token Governance"
environments = ["production"]
max_ttl = "15m"
[scopes.openid]
meaning = "Sign you in"
tier = "low"
"""

RULES = """
@id("sign-in") @owner("Token Governance") @reason("people sign in")
permit (principal is User, action == Action::"issue", resource == Scope::"openid");
@id("payers-write") @owner("Payments") @reason("payers pay")
permit (principal is User, action == Action::"issue", resource == Scope::"payments:write")
when { principal in Group::"payers" };
@id("barred") @owner("Token Governance") @reason("the account is closed")
forbid (principal is User, action, resource)
when { principal has score && principal.score >= 99 };
"""


def with_clients(bundle: Path) -> None:
    """Put in clients that people take part with: `app`, `other`, `keeper` (keeps its token), `phone` (public)."""
    (bundle / "audiences" / "identity.toml").write_text(IDENTITY)
    ceilings = 'payments = "*"\nledger = "*"\nidentity = "*"'
    more = f'redirect_uris = ["{BACK}"]'
    for name, kind, method, refresh in (
        ("app", "web", "client_secret_basic", 'idle = "1h"\nabsolute = "10d"'),
        ("keeper", "web", "client_secret_basic", "rotate = false"),
        ("helper-app", "agent", "client_secret_basic", ""),
        ("phone", "native", "none", ""),
    ):
        grants = '"authorization_code", "refresh_token"'
        text = CLIENT.format(id=name, kind=kind, method=method, grants=grants, ceilings=ceilings, more=more)
        (bundle / "clients" / f"{name}.toml").write_text(f"{text}\n[client.refresh]\n{refresh}\n")


class House(Struct, frozen=True, kw_only=True):
    """The company, what it stands on, a second node of it in this process, and somebody who allows something.

    `since`: entries of the ledger before that somebody came.
    """

    company: Company
    base: Foundation
    there: httpx2.AsyncClient
    person: str = "alice"
    since: int = 0

    async def with_somebody(self) -> House:
        """The same house with another person, of the usual groups."""
        person = f"p-{secrets.token_hex(4)}"
        made = msgspec.structs.replace(self, person=person, since=await self.base.store.entries.count())
        await made.put_in("finance", "payers")
        return made

    @property
    def session(self) -> str:
        """The session that they signed in with."""
        return f"session-of-{self.person}"

    async def code(
        self,
        client: str = "app",
        *,
        scopes: Any = None,
        identity: Sequence[str] = ("openid",),
        renewable: bool = True,
        begun: int = 0,
        **granted: Any,
    ) -> str:
        """What `/authorize` answers once the person allowed it, `begun` seconds before now."""
        now = self.base.clock.now() - begun * 1000
        code = secrets.token_urlsafe(16)
        sign_in = SignIn(
            subject=EntityUid("User", self.person),
            provider="upstream",
            authenticated_at=now - 5000,
            acr="phr",
            amr=("pwd", "otp"),
            session=self.session,
        )
        made = {
            "grant_id": secrets.token_hex(8),
            "client_id": client,
            "sign_in": sign_in,
            "scopes": EVERYTHING if scopes is None else scopes,
            "identity": tuple(identity),
            "granted_at": now,
            "ends": now + 10 * 86_400_000,
            **granted,
        }
        memory = memory_of(self.base)
        kept = Granted(**made)
        ends = self.base.clock.now() + 60_000
        value = Code(granted=kept, redirect_uri=BACK, challenge=CHALLENGE, ends=ends, nonce="n-1", renewable=renewable)
        assert await memory.codes.add(code, value, ends=ends)
        if renewable:
            await memory.keep(kept)
        return code

    async def redeem(self, code: str, client: str = "app", **more: Any) -> httpx2.Response:
        """The code for its tokens."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK, "code_verifier": VERIFIER}
        return await self.ask(client, **{"resource": "https://api.example.com/payments", **form, **more})

    async def refresh(self, token: str, client: str = "app", **more: Any) -> httpx2.Response:
        """One refresh."""
        form = {"grant_type": "refresh_token", "refresh_token": token}
        return await self.ask(client, **{"resource": "https://api.example.com/payments", **form, **more})

    async def ask(self, client: str, *, headers: Any = None, there: bool = False, **form: Any) -> httpx2.Response:
        """One token request, here or at the other node."""
        http = self.there if there else self.company.http
        secret = self.company.secrets.get(client)
        if secret is None:
            return await http.post("/token", data={**form, "client_id": client}, headers=headers)
        return await http.post("/token", data=form, auth=(client, secret), headers=headers)

    async def is_active(self, token: str, client: str = "app", *, there: bool = False) -> bool:
        """What introspection says."""
        http = self.there if there else self.company.http
        answer = await http.post("/introspect", data={"token": token}, auth=(client, self.company.secrets[client]))
        assert answer.status_code == 200
        return bool(answer.json()["active"])

    async def put_in(self, *groups: str) -> None:
        """The person is in these groups from now on."""
        row = json.dumps({"facts": {"department": "finance"}, "groups": groups}).encode()
        await self.directory(row)

    async def directory(self, row: bytes | None, source: str = "directory") -> None:
        """What the directory says of the person; None: nothing any more."""
        change = DocumentChange(f"User:{self.person}", source, row, self.base.clock.now())
        await self.base.store.directory.apply([change])

    async def end_session(self) -> None:
        """What signing out does."""
        now = self.base.clock.now()
        revocation = Revocation(about="session", value=self.session, before=now, until=now + 86_400_000)
        await self.base.store.revocations.revoke([revocation])

    async def acts(self, kind: str = "revocation") -> list[dict[str, Any]]:
        """The details of the ledger's acts of a kind."""
        return [entry["detail"] for entry in await self.entries(kind)]

    async def entries(self, kind: str) -> list[dict[str, Any]]:
        """The ledger's entries of a kind."""
        while await self.base.store.tree.sequence(1_000):
            pass
        entries = [
            msgspec.json.decode(stored.entry) for stored in await self.base.store.entries.by_index(self.since, 10_000)
        ]
        return [entry for entry in entries if entry["kind"] == kind]


async def known(nodes: Sequence[httpx2.AsyncClient], auth: tuple[str, str]) -> None:
    """Wait until the nodes have heard of the last secret that was added."""
    async with asyncio.timeout(30):
        for node in nodes:
            while (await node.post("/introspect", data={"token": "x"}, auth=auth)).status_code == 401:
                await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def house(folder: Path, *, store: str = "", **bundle: Any) -> AsyncIterator[House]:
    """The company with those clients, on two nodes."""
    more = f'[store]\nurl = "{store}"\n' if store else ""
    bundle.setdefault("rules", RULES)
    bundle.setdefault("edit", with_clients)
    async with running(folder, more=more, **bundle) as company:
        config = load_config(folder / "mintwarden.toml", environ={})
        async with foundation(config) as base:
            given = {name: generate_secret(secrets.token_bytes) for name in WITH_SECRET}
            rows = [
                ClientSecret(client_id=n, scheme="hmac-sha256", digest=hash_secret(base.pepper, s), created_at=0)
                for n, s in given.items()
            ]
            await base.store.credentials.add_secrets(rows)
            company = msgspec.structs.replace(company, secrets={**company.secrets, **given})
            other = await open_service(config)
            try:
                transport = httpx2.ASGITransport(app=other.surface)
                async with httpx2.AsyncClient(transport=transport, base_url="http://other") as there:
                    await known((company.http, there), ("app", given["app"]))
                    yield House(company=company, base=base, there=there)
            finally:
                await other.close()
