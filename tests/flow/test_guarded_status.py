"""An API that looks our tokens up in our status lists, as `docs/api.md` has it, over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from mintwarden.app.status import TTL
from mintwarden.consumer import Guard, KeyCache, ProtectedResource, StatusLists, TokenVerifier
from tests.docs.pages import blocks
from tests.flow.company import PAYMENTS, Company, running
from tests.flow.governed import change
from tests.flow.test_revocation import claims
from tests.flow.test_status_list import ISSUER, becomes, with_lists
from tests.flow.test_tokens_that_exist import OWN, post
from tools.findings import ROOT

EXAMPLE = next(
    "\n".join(block.lines) for block in blocks(ROOT / "docs" / "api.md") if block.info == ("python", "status")
)


def reachable(folder: Path, port: int) -> AbstractAsyncContextManager[Company]:
    """A company whose issuer is where it answers, so that nothing stands in for what an API would fetch."""

    def edit(bundle: Path) -> None:
        with_lists(bundle)
        change(bundle, "bundle.toml", ISSUER, f"http://127.0.0.1:{port}")

    return running(folder, port=port, edit=edit)


@pytest.fixture
async def listed(tmp_path: Path, free_port: Callable[[], int]) -> AsyncIterator[Company]:
    async with reachable(tmp_path, free_port()) as company:
        yield company


def api(verifier: TokenVerifier, issuer: str) -> httpx2.AsyncClient:
    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    resource = ProtectedResource(resource=PAYMENTS, authorization_servers=(issuer,))
    guard = Guard(application, resource=resource, verifier=verifier, needed=("payments:read",))
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=guard), base_url="https://api.example.com")


async def called(verifier: TokenVerifier, company: Company, token: str) -> httpx2.Response:
    async with api(verifier, company.base) as http:
        return await http.get("/payments", headers={"authorization": f"Bearer {token}"})


def as_documented(company: Company) -> TokenVerifier:
    """The verifier that the page's own lines make, for this issuer and this audience."""
    names: dict[str, Any] = {}
    text = EXAMPLE.replace(ISSUER, company.base).replace("https://api.example.com/orders", PAYMENTS)
    exec(compile(text, "docs/api.md", "exec"), names)
    return names["verifier"]


def looking_up(company: Company, monotonic: Callable[[], float], *, fail_open: bool = False) -> TokenVerifier:
    keys = KeyCache(company.base)
    lists = StatusLists(company.base, keys=keys, fail_open=fail_open, monotonic=monotonic)
    return TokenVerifier(issuer=company.base, audience=PAYMENTS, keys=keys, status=lists)


async def revoked(company: Company, token: str) -> None:
    assert (await post(company, "/revoke", "batch", token=token)).status_code == 200


async def test_a_revoked_token_is_refused_within_the_list_s_ttl(listed: Company) -> None:
    now = 0.0
    verifier = looking_up(listed, lambda: now)
    token, other = [await listed.token("batch", **OWN) for _ in range(2)]
    assert claims(token)["status"]["status_list"]["uri"] == f"{listed.base}/status/0"
    assert [(await called(verifier, listed, text)).status_code for text in (token, other)] == [200, 200]
    await revoked(listed, token)
    assert await becomes(listed, token, 1)
    assert (await called(verifier, listed, token)).status_code == 200, "what it has is still good"
    now += TTL
    refused = await called(verifier, listed, token)
    assert refused.status_code == 401
    assert "the token was revoked" in refused.headers["www-authenticate"]
    assert (await called(verifier, listed, other)).status_code == 200


async def test_the_page_s_example(listed: Company) -> None:
    token = await listed.token("batch", **OWN)
    assert (await called(as_documented(listed), listed, token)).status_code == 200
    await revoked(listed, token)
    assert await becomes(listed, token, 1)
    assert (await called(as_documented(listed), listed, token)).status_code == 401


async def test_an_issuer_that_is_gone(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """A list that was had counts until its time is over; then it counts what the API has said."""
    now = 0.0
    async with reachable(tmp_path, free_port()) as company:
        token = await company.token("batch", **OWN)
        apis = [looking_up(company, lambda: now, fail_open=fail_open) for fail_open in (False, True)]
        assert [(await called(at, company, token)).status_code for at in apis] == [200, 200]
    now += TTL - 1
    assert [(await called(at, company, token)).status_code for at in apis] == [200, 200]
    now += 10
    assert [(await called(at, company, token)).status_code for at in apis] == [503, 200]
