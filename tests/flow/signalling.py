"""A transmitter of the small company's: its provider tells by security event tokens what became of people there."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from tests.flow.authorizing import Desk
from tests.flow.browser import ISSUER
from tests.unit.authn.loopback import json_answer

CAEP = "https://schemas.openid.net/secevent/caep/event-type/"
RISC = "https://schemas.openid.net/secevent/risc/event-type/"
SSF = "https://schemas.openid.net/secevent/ssf/event-type/"
MEDIA_TYPE = "application/secevent+jwt"
SECRET = "Bearer what the transmitter pushes with"
CONFIG = '[transmitters.corp]\nsecret_file = "transmitter"\n'
REGISTRY = jws.JWSRegistry(algorithms=["RS256", "ES256", "PS256", "HS256", "EdDSA", "none"], strict_check_header=False)
EVENTS = (
    "session-revoked", "sessions-revoked", "credential-change", "credential-compromise", "account-disabled",
    "account-enabled", "account-purged", "device-compliance-change", "assurance-level-change", "risk-level-change",
)  # fmt: skip

SOURCES = """
[sources.accounts]
kind = "store"
about = ["User"]
missing = "absent"
[sources.accounts.facts]
account_status = "string"
account_reason = { type = "string", optional = true }
[sources.posture]
kind = "store"
about = ["User", "device"]
missing = "absent"
[sources.posture.facts]
device_compliance = "string"
[sources.levels]
kind = "store"
about = ["User"]
missing = "absent"
[sources.levels.facts]
risk_level = "string"
"""
RULES = """
@id("no-closed-accounts") @owner("Token Governance") @reason("the account is closed upstream")
forbid (principal is User, action == Action::"issue", resource in Audience::"payments")
when { principal has account_status && principal.account_status != "enabled" };
@id("no-bad-devices") @owner("Token Governance") @reason("their device is not looked after")
forbid (principal is User, action == Action::"issue", resource in Audience::"payments")
when { principal has device_compliance && principal.device_compliance == "not-compliant" };
@id("no-risk") @owner("Token Governance") @reason("their provider sees a risk")
forbid (principal is User, action == Action::"issue", resource in Audience::"payments")
when { principal has risk_level && principal.risk_level == "HIGH" };
"""


def issuer_of(bundle: Path) -> str:
    """The provider's issuer."""
    line = next(line for line in (bundle / "providers/corp.toml").read_text().splitlines() if line.startswith("issuer"))
    return str(json.loads(line.partition("=")[2]))


def with_transmitter(bundle: Path, **changes: Any) -> None:
    """Let the provider's transmitter be heard."""
    values = {
        "id": "corp",
        "issuer": issuer_of(bundle),
        "audiences": [ISSUER],
        "events": list(EVENTS),
        "speaks_of": ["user", "session", "device"],
        "provider": "corp",
    } | changes
    if values.get("poll_endpoint"):
        values["poll_endpoint"] = f"{values['issuer']}/{values['poll_endpoint']}"
    facts = {"account": "accounts", "device-compliance": "posture", "risk-level": "levels"}
    lines = [f"{name} = {json.dumps(value)}" for name, value in values.items() if value is not None]
    lines += ["[transmitter.emails]", '"example.com" = "{local}"', "[transmitter.facts]"]
    told = {f"{FAMILY[event]}" for event in values["events"]}
    lines += [f'{family} = "{source}"' for family, source in facts.items() if family in told]
    (bundle / "transmitters").mkdir()
    (bundle / "transmitters/corp.toml").write_text("[transmitter]\n" + "\n".join(lines) + "\n")
    sources = bundle / "sources.toml"
    sources.write_text(sources.read_text() + SOURCES)


FAMILY = dict.fromkeys(EVENTS, "") | {
    "account-disabled": "account", "account-enabled": "account", "account-purged": "account",
    "device-compliance-change": "device-compliance", "risk-level-change": "risk-level",
    "assurance-level-change": "assurance-level",
}  # fmt: skip


class Transmitting:
    """The transmitter, at the address of the provider."""

    def __init__(self, desk: Desk, folder: Path) -> None:
        self.desk = desk
        self.folder = folder
        self.key: ECKey | RSAKey | OKPKey | OctKey = RSAKey.generate_key(2048)
        self.published: list[dict[str, Any]] = [self._public(self.key)]
        self.metadata: dict[str, Any] = {
            "issuer": desk.corp.issuer,
            "jwks_uri": f"{desk.corp.issuer}/ssf/jwks",
            "spec_version": "1_0",
        }
        self.held: dict[str, str] = {}
        self.refused: dict[str, Any] = {}
        self.polls: list[tuple[bytes, dict[str, Any]]] = []
        self.times: list[float] = []
        self.answers: list[Any] = []
        self.news = asyncio.Event()
        desk.corp.server.routes["/.well-known/ssf-configuration"] = self._metadata
        desk.corp.server.routes["/ssf/jwks"] = self._keys
        desk.corp.server.routes["/ssf/poll"] = self._poll

    @property
    def issuer(self) -> str:
        return self.desk.corp.issuer

    def user(self, subject: str = "alice") -> dict[str, Any]:
        return {"format": "iss_sub", "iss": self.issuer, "sub": subject}

    def claims(self, event: str, subject: Mapping[str, Any] | None = None, **content: Any) -> dict[str, Any]:
        now = int(time.time())
        return {
            "iss": self.issuer,
            "aud": ISSUER,
            "iat": now,
            "jti": secrets.token_hex(8),
            "sub_id": subject or self.user(),
            "events": {event: content},
        }

    def signed(self, claims: Mapping[str, Any], key: Any = None, **header: Any) -> str:
        """As the transmitter signs; None in `header` leaves a member out."""
        head = {"alg": "RS256", "typ": "secevent+jwt", "kid": "t1"} | header
        said = {name: value for name, value in claims.items() if value is not None}
        kept = {name: value for name, value in head.items() if value is not None}
        return jws.serialize_compact(kept, json.dumps(said).encode(), key or self.key, registry=REGISTRY)

    async def push(
        self, token: str | bytes, authorization: str | None = SECRET, to: str = "corp", **headers: str
    ) -> httpx2.Response:
        sent = {"content-type": MEDIA_TYPE} | headers
        if authorization is not None:
            sent["authorization"] = authorization
        return await self.desk.company.http.post(f"/ssf/events/{to}", content=token, headers=sent)

    async def tell(self, event: str, subject: Mapping[str, Any] | None = None, **content: Any) -> str:
        """Push one that has to be taken; the token."""
        token = self.signed(self.claims(event, subject, **content))
        answer = await self.push(token)
        assert answer.status_code == 202, answer.text
        return token

    def hold(self, *sent: str) -> None:
        """Hold these until a receiver that polls has acknowledged them (RFC 8936)."""
        for token in sent:
            claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
            self.held[claims["jti"]] = token

    async def gone(self, *names: str) -> None:
        """Wait until those of these `jti`s, or all, are acknowledged or refused."""
        async with asyncio.timeout(20):
            while set(names or self.held) & self.held.keys():
                self.news.clear()
                await self.news.wait()

    async def asked(self, times: int) -> None:
        """Wait until it was polled so often."""
        async with asyncio.timeout(20):
            while len(self.polls) < times:
                self.news.clear()
                await self.news.wait()

    async def _poll(self, _path: str, head: bytes, body: bytes) -> bytes:
        question = json.loads(body)
        self.polls.append((head, question))
        self.times.append(time.monotonic())
        if self.answers:
            return json_answer(self.answers.pop())
        for name in (*question.get("ack", ()), *question.get("setErrs", {})):
            self.held.pop(name, None)
        self.refused |= question.get("setErrs", {})
        self.news.set()
        most = question.get("maxEvents", 100)
        given = dict([*self.held.items()][:most])
        return json_answer({"sets": given, "moreAvailable": len(given) < len(self.held)})

    def publish(self, *keys: Any) -> None:
        self.published = [self._public(key, f"t{number}") for number, key in enumerate(keys, 1)]

    @staticmethod
    def _public(key: Any, kid: str = "t1") -> dict[str, Any]:
        return {**key.as_dict(private=False), "kid": kid, "use": "sig"}

    async def _metadata(self, _path: str, _head: bytes, _body: bytes) -> bytes:
        return json_answer(self.metadata)

    async def _keys(self, _path: str, _head: bytes, _body: bytes) -> bytes:
        return json_answer({"keys": self.published})
