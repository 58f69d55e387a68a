"""The guard in front of an application, over ASGI."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from mintwarden.consumer import Guard, InsufficientScope, token_of
from mintwarden.consumer.keys import KeyCache
from mintwarden.consumer.verify import TokenVerifier
from tests.unit.consumer.tokens import ISSUER, RESOURCE, Site, bound, proof, resource, token, verifier

PLACE = 'resource_metadata="https://mcp.example/.well-known/oauth-protected-resource/mcp"'


class Tools:
    """An application that says who called it."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []
        self.guard: Guard | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        self.seen.append(dict(scope))
        if scope["path"].endswith("/write"):
            assert self.guard is not None
            self.guard.demand(scope, "tools:read", "tools:write")
        if scope["path"].endswith("/late"):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            raise InsufficientScope(["tools:write"])
        body = token_of(scope).subject.encode() if "mintwarden.token" in scope else b"open"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})


def guarded(**more: Any) -> tuple[httpx2.AsyncClient, Tools]:
    tools = Tools()
    what = {"resource": resource(), "verifier": verifier(), "needed": ("tools:read",), **more}
    tools.guard = Guard(tools, **what)
    transport = httpx2.ASGITransport(app=tools.guard)
    return httpx2.AsyncClient(transport=transport, base_url="https://mcp.example"), tools


def bearer(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


async def test_metadata_is_served_where_it_belongs():
    client, _ = guarded()
    answer = await client.get("/.well-known/oauth-protected-resource/mcp")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert (answer.json()["resource"], answer.json()["authorization_servers"]) == (RESOURCE, [ISSUER])
    head = await client.head("/.well-known/oauth-protected-resource/mcp")
    assert (head.status_code, head.content) == (200, b"")
    assert (await client.post("/.well-known/oauth-protected-resource/mcp")).status_code == 405


async def test_without_a_token_the_challenge_leads_on_and_names_no_error():
    client, tools = guarded()
    for headers in ({}, {"authorization": "Basic YTpi"}):
        answer = await client.post("/mcp", headers=headers)
        bearer_, dpop = answer.headers.get_list("www-authenticate")
        assert (answer.status_code, bearer_) == (401, f'Bearer scope="tools:read", {PLACE}')
        assert dpop.startswith("DPoP ")
    assert tools.seen == []


@pytest.mark.parametrize("text", ["x", token(exp=1), token(aud="https://other.example")])
async def test_a_bad_token_is_401_with_its_error(text: str):
    client, tools = guarded()
    answer = await client.post("/mcp", headers=bearer(text))
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    assert PLACE in answer.headers["www-authenticate"]
    assert tools.seen == []


@pytest.mark.parametrize("value", ["Bearer", "Bearer ", "Bearer a b", "Bearer a,b", "DPoP"])
async def test_a_malformed_header_is_400(value: str):
    client, tools = guarded()
    answer = await client.post("/mcp", headers={"authorization": value})
    assert (answer.status_code, answer.json()) == (400, {"error": "invalid_request"})
    assert tools.seen == []


async def test_two_headers_are_400():
    client, _ = guarded()
    headers = [("authorization", f"Bearer {token()}"), ("authorization", f"Bearer {token()}")]
    assert (await client.post("/mcp", headers=headers)).status_code == 400


@pytest.mark.parametrize("query", ["access_token=x", "a=b&access_token=", "%61ccess_token=x"])
async def test_a_token_in_the_address_is_400_even_beside_a_good_one(query: str):
    client, tools = guarded()
    assert (await client.post(f"/mcp?{query}", headers=bearer(token()))).status_code == 400
    assert tools.seen == []


async def test_a_good_token_reaches_the_application_as_claims_alone():
    client, tools = guarded()
    text = token()
    answer = await client.post("/mcp", headers={**bearer(text), "DPoP": "x"})
    assert (answer.status_code, answer.text) == (200, "app")
    assert text not in str(tools.seen)  # nothing to pass on to anybody
    assert token_of(tools.seen[0]).claims["aud"] == RESOURCE


async def test_a_bound_token_with_its_proof():
    client, _ = guarded()
    text = bound()
    headers = {"authorization": f"DPoP {text}", "dpop": proof(text)}
    assert (await client.post("/mcp", headers=headers)).status_code == 200
    again = await client.post("/mcp", headers=headers)
    (challenge,) = again.headers.get_list("www-authenticate")
    assert (again.status_code, challenge.startswith("DPoP "), "invalid_dpop_proof" in challenge) == (401, True, True)
    assert (await client.post("/mcp", headers=bearer(text))).status_code == 401


async def test_a_lacking_scope_is_403_with_every_scope_that_is_needed():
    client, tools = guarded(needed=("tools:read", "tools:list"))
    answer = await client.post("/mcp", headers=bearer(token()))
    assert answer.status_code == 403
    challenge = answer.headers["www-authenticate"]
    assert 'error="insufficient_scope"' in challenge
    assert 'scope="tools:read tools:list"' in challenge
    assert PLACE in challenge
    assert tools.seen == []


async def test_an_application_asks_for_more_by_what_is_asked_of_it():
    client, _ = guarded()
    answer = await client.post("/mcp/write", headers=bearer(token()))
    assert (answer.status_code, 'scope="tools:read tools:write"' in answer.headers["www-authenticate"]) == (403, True)
    both = token(scope="tools:read tools:write")
    assert (await client.post("/mcp/write", headers=bearer(both))).status_code == 200


async def test_scopes_by_request():
    client, _ = guarded(needed=lambda scope: ("tools:write",) if scope["method"] == "DELETE" else ())
    assert (await client.post("/mcp", headers=bearer(token(scope=...)))).status_code == 200
    assert (await client.delete("/mcp", headers=bearer(token()))).status_code == 403


async def test_hierarchies_count():
    implies = {"tools:admin": ("tools:write",), "tools:write": ("tools:read", "tools:admin")}
    client, _ = guarded(implies=implies)
    assert (await client.post("/mcp", headers=bearer(token(scope="tools:admin")))).status_code == 200
    assert (await client.post("/mcp", headers=bearer(token(scope="tools:list")))).status_code == 403


@pytest.mark.parametrize(
    ("claims", "good"),
    [
        ({"acr": "phr", "auth_time": 940}, True),
        ({"acr": "phr", "auth_time": 939}, False),
        ({"acr": "pwd", "auth_time": 1000}, False),
        ({"acr": "phr", "auth_time": "1000"}, False),
        ({"acr": "phr", "auth_time": True}, False),
        ({"acr": "phr"}, False),
        ({"auth_time": 1000}, False),
    ],
)
async def test_a_sign_in_that_is_too_weak_or_too_old_is_challenged(claims: dict[str, Any], good: bool):
    async def pay(request: Request) -> Response:
        guard.demand_sign_in(request.scope, acr_values=("phr", "phrh"), max_age=60)
        return PlainTextResponse("paid")

    guard = Guard(
        Starlette(routes=[Route("/pay", pay)]), resource=resource(), verifier=verifier(), clock=lambda: 1000.0
    )
    transport = httpx2.ASGITransport(app=guard, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="https://mcp.example") as client:
        answer = await client.get("/pay", headers=bearer(token(**claims)))
    assert answer.status_code == (200 if good else 401)
    if not good:
        challenge = answer.headers.get_list("www-authenticate")[0]
        assert challenge.startswith('Bearer error="insufficient_user_authentication", error_description=')
        assert f'{PLACE}, acr_values="phr phrh", max_age="60"' in challenge


@pytest.mark.parametrize(("path", "status"), [("/write", 403), ("/broken", 500), ("/told", 500)])
async def test_a_framework_that_answers_before_it_raises(path: str, status: int):
    async def write(request: Request) -> Response:
        guard.demand(request.scope, "tools:write")
        return PlainTextResponse("written")

    async def broken(_request: Request) -> Response:
        raise ValueError("broken")

    async def told(_request: Request) -> Response:
        return PlainTextResponse("told", status_code=500)

    routes = [Route("/write", write), Route("/broken", broken), Route("/told", told)]
    guard = Guard(Starlette(routes=routes), resource=resource(), verifier=verifier(), needed=("tools:read",))
    transport = httpx2.ASGITransport(app=guard, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="https://mcp.example") as client:
        answer = await client.get(path, headers=bearer(token()))
    assert answer.status_code == status
    assert answer.text == {"/broken": "Internal Server Error", "/told": "told"}.get(path, answer.text)
    assert ('scope="tools:write"' in answer.headers.get("www-authenticate", "")) is (status == 403)


async def test_a_page_of_another_origin_is_answered_around_the_guard_and_not_behind_it():
    page = "https://map.example.com"
    asks = {
        "origin": page,
        "access-control-request-method": "GET",
        "access-control-request-headers": "authorization,dpop",
    }

    async def things(request: Request) -> Response:
        return PlainTextResponse(token_of(request.scope).subject)

    def cors(app: Any) -> CORSMiddleware:
        allowed = ["Authorization", "DPoP", "Content-Type"]
        return CORSMiddleware(app, [page], ["GET"], allowed, expose_headers=["WWW-Authenticate"])

    def guard(app: Any) -> Guard:
        return Guard(app, resource=resource(), verifier=verifier(), needed=("tools:read",))

    routes = Starlette(routes=[Route("/things", things)])
    for app, status in ((cors(guard(routes)), 200), (guard(cors(routes)), 401)):
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="https://mcp.example") as client:
            asked = await client.options("/things", headers=asks)
            refused = await client.get("/things", headers={"origin": page})
            good = await client.get("/things", headers={"origin": page, **bearer(token())})
        assert (asked.status_code, refused.status_code, good.status_code) == (status, 401, 200)
        readable = refused.headers.get("access-control-allow-origin") == page
        assert readable is (status == 200)
        assert ("WWW-Authenticate" in refused.headers.get("access-control-expose-headers", "")) is readable


async def test_who_raises_too_late_is_heard():
    client, _ = guarded()
    with pytest.raises(InsufficientScope):
        await client.post("/mcp/late", headers=bearer(token()))


async def test_no_keys_is_not_the_token_s_fault():
    site = Site()
    site.documents.clear()
    cache = KeyCache(ISSUER, fetch=site.fetch, monotonic=site.clock)
    at = TokenVerifier(issuer=ISSUER, audience=RESOURCE, keys=cache, clock=site.clock)
    client, _ = guarded(verifier=at)
    answer = await client.post("/mcp", headers=bearer(token()))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


async def test_what_is_open_and_what_is_no_http():
    client, tools = guarded(open_paths=("/health",))
    assert (await client.get("/health", headers=bearer("x"))).text == "open"
    assert b"authorization" not in dict(tools.seen[0]["headers"])
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    assert tools.guard is not None
    await tools.guard({"type": "websocket", "path": "/mcp"}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]
    await tools.guard({"type": "lifespan"}, receive, send)
