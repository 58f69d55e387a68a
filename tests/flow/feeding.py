"""A company whose directory an identity provider feeds over SCIM, and an identity provider that does."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
from msgspec import Struct

from tests.flow.company import ADMIN, PAYMENTS, Company, running

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"

SCOPES = """
[scopes."mintwarden:scim.read"]
meaning = "Read what was said over SCIM"
tier = "low"
[scopes."mintwarden:scim.write"]
meaning = "Say over SCIM who there is, and who is in which group"
tier = "high"
"""
FEED = """
[sources.directory.scim]
[sources.directory.scim.facts]
department = "department"
"""


def fed(bundle: Path, *, feed: str = FEED, rules: str = "", optional: bool = False) -> None:
    """Let SCIM feed the directory; with `optional`, people need no department."""
    sources = bundle / "sources.toml"
    text = sources.read_text().replace('max_age = "24h"\n', "", 1) + feed
    if optional:
        text = text.replace('department = "string"', 'department = { type = "string", optional = true }', 1)
    sources.write_text(text)
    audience = bundle / "audiences/mintwarden.toml"
    audience.write_text(audience.read_text() + SCOPES)
    if rules:
        (bundle / "rules/more.cedar").write_text(rules)


class Provider(Struct, frozen=True):
    """An identity provider with a token for SCIM."""

    company: Company
    token: str

    async def send(self, method: str, path: str, content: Any = None, **more: Any) -> httpx2.Response:
        """One request below `/scim/v2`."""
        headers = {"authorization": f"Bearer {self.token}", **more.pop("headers", {})}
        if content is not None:
            headers.setdefault("content-type", "application/scim+json")
            more["json"] = content
        return await self.company.http.request(method, f"/scim/v2{path}", headers=headers, **more)

    async def raw(self, path: str, body: bytes, *, method: str = "POST", **headers: str) -> httpx2.Response:
        """One request with a body as it is."""
        headers = {"content-type": "application/scim+json", "authorization": f"Bearer {self.token}", **headers}
        return await self.company.http.request(method, f"/scim/v2{path}", content=body, headers=headers)

    async def user(self, name: str, *, department: str = "finance", **more: Any) -> dict[str, Any]:
        """A user who is made."""
        content = {"schemas": [USER, ENTERPRISE], "userName": name, ENTERPRISE: {"department": department}, **more}
        made = await self.send("POST", "/Users", content)
        assert made.status_code == 201, made.text
        return dict(made.json())

    async def group(self, name: str, *members: str) -> dict[str, Any]:
        """A group that is made."""
        content = {"schemas": [GROUP], "displayName": name, "members": [{"value": one} for one in members]}
        made = await self.send("POST", "/Groups", content)
        assert made.status_code == 201, made.text
        return dict(made.json())

    async def patch(self, path: str, *operations: Mapping[str, Any], **more: Any) -> httpx2.Response:
        """Changes to a resource."""
        return await self.send("PATCH", path, {"schemas": [PATCH], "Operations": list(operations)}, **more)

    async def granted(self, person: str, scope: str = "payments:read") -> bool:
        """Whether the person gets a token for payments now."""
        signed_in = self.company.signed_in(person, int(time.time()))
        told = await self.company.exchange("helper", signed_in, scope=scope, resource=PAYMENTS)
        return told.status_code == 200


@contextlib.asynccontextmanager
async def provider(
    folder: Path, *, scope: str = "mintwarden:scim.write", people: tuple[str, ...] = (), **more: Any
) -> AsyncIterator[Provider]:
    """The company with its service running, and nobody in its directory."""
    edit = more.pop("edit", fed)
    async with running(folder, people=people, edit=edit, **more) as company:
        yield Provider(company, await token(company, scope))


async def token(company: Company, scope: str) -> str:
    """A token for SCIM, by the rules of the bundle."""
    return await company.token("operator", grant_type="client_credentials", scope=scope, resource=ADMIN)
