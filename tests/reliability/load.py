"""Clients that keep asking on several connections and remember every token that they were given."""

from __future__ import annotations

import asyncio
import hashlib
import time
from base64 import urlsafe_b64decode
from collections.abc import Iterable, Mapping
from typing import Any

import httpx2
import msgspec

from mintwarden.app.foundation import Foundation
from mintwarden.ledger.seal import token_digest
from mintwarden.ledger.tree import leaf_hash
from mintwarden.model.ids import decision_bytes
from tests.flow.company import PAYMENTS, Company

CONNECTIONS = 8


class Load:
    """`CONNECTIONS` clients of the company. They stop when the server does not answer any more."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.spent: list[Mapping[str, str]] = []
        self.refused: dict[int, int] = {}
        self._turn = 0
        self._changed = asyncio.Event()

    async def run(
        self, company: Company, *, until: asyncio.Event | None = None, connections: int = CONNECTIONS
    ) -> None:
        """Ask until `until` is set or the connections break."""
        await asyncio.gather(*(self._keep_asking(company, until) for _ in range(connections)))

    async def received(self, count: int) -> None:
        """Return once that many tokens have come in all."""
        while len(self.tokens) < count:
            self._changed.clear()
            await self._changed.wait()

    async def _keep_asking(self, company: Company, until: asyncio.Event | None) -> None:
        async with httpx2.AsyncClient(base_url=company.base, timeout=30) as http:
            asking = msgspec.structs.replace(company, http=http)
            while until is None or not until.is_set():
                try:
                    await self._ask(asking)
                except httpx2.HTTPError:
                    return

    async def _ask(self, company: Company) -> None:
        self._turn += 1
        now = int(time.time())
        proof: Mapping[str, str] | None = None
        if self._turn % 3 == 0:
            proof = company.assertion(now)
            answer = await company.http.post("/token", data={"grant_type": "client_credentials", **proof})
        elif self._turn % 3 == 1:
            person = company.signed_in("alice", now)
            answer = await company.exchange("helper", person, resource=PAYMENTS, scope="payments:read")
        else:
            answer = await company.ask("batch", grant_type="client_credentials")
        if answer.status_code != 200:
            self.refused[answer.status_code] = self.refused.get(answer.status_code, 0) + 1
            return
        self.tokens.append(answer.json()["access_token"])
        if proof is not None:
            self.spent.append(proof)
        self._changed.set()


def claims_of(token: str) -> dict[str, Any]:
    """What a token says; nobody checks the signature here."""
    return dict(msgspec.json.decode(part(token, 1)))


def header_of(token: str) -> dict[str, Any]:
    """Its header, likewise."""
    return dict(msgspec.json.decode(part(token, 0)))


def part(token: str, number: int) -> bytes:
    """Header, payload or signature of a token."""
    text = token.split(".")[number]
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


async def check_recorded(base: Foundation, tokens: Iterable[str]) -> None:
    """Each token has its entry, under its `jti`, with its `ledger_leaf`, and the entry is of this very token."""
    for token in tokens:
        claims = claims_of(token)
        stored = await base.store.entries.by_decision(decision_bytes(claims["jti"]))
        assert stored is not None, f"{claims['jti']} was given to a client and is not in the ledger"
        leaf = urlsafe_b64decode(claims["ledger_leaf"] + "=")
        assert stored.leaf_hash == leaf == leaf_hash(stored.entry)
        entry = msgspec.json.decode(stored.entry)
        assert (entry["id"], entry["granted"]) == (claims["jti"], True)
        prepared, _, last = part(token, 1).rpartition(b',"ledger_leaf":"')
        assert last
        digest = hashlib.sha256(part(token, 0) + b"." + prepared + b"}").digest()
        key = await base.store.subject_keys.by_id(stored.key_id)
        assert key is not None
        assert entry["prepared"] == token_digest(base.sealer.blinding(key[1], stored.decision_id), digest)


async def check_replays(company: Company, spent: Iterable[Mapping[str, str]]) -> None:
    """Each assertion that brought a token brings no other one."""
    for proof in spent:
        answer = await company.http.post("/token", data={"grant_type": "client_credentials", **proof})
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client"), answer.text
