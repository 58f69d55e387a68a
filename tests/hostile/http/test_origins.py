"""Scripts of other sites at the endpoints, over real HTTP: the page of a client may read, and nobody else's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
from joserfc.jwk import ECKey

from tests.flow.authorizing import Asking, Desk, client, desk
from tests.flow.browser import Browser
from tests.flow.test_dpop import proof

PAGE, EVIL = "https://map.example.com", "https://evil.example"
BACK = f"{PAGE}/signed-in"
QUESTION = {"access-control-request-method": "POST", "access-control-request-headers": "dpop,content-type"}


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Desk]:
    def edit(bundle: Path) -> None:
        client(bundle, "map", "none", BACK, authorization='consent = "implicit"')
        file = bundle / "clients/map.toml"
        file.write_text(file.read_text().replace("redirect_uris", f'origins = ["{PAGE}"]\nredirect_uris', 1))

    async with desk(tmp_path, edit=edit) as made:
        yield made


def told(answer: httpx2.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}


async def test_a_page_signs_its_person_in_renews_asks_who_it_is_and_gives_back(at: Desk) -> None:
    http, page, key = at.company.http, {"origin": PAGE}, ECKey.generate_key("P-256")
    for path in ("/token", "/userinfo", "/revoke", "/par"):
        question = await http.options(path, headers=page | QUESTION)
        assert (question.status_code, told(question)["access-control-allow-origin"]) == (204, PAGE)
        assert "access-control-allow-credentials" not in question.headers
    asked, browser = Asking("map", BACK, scope="openid payments:read"), Browser(at.company)
    answer = await at.through(await at.request(asked, browser), browser)
    code = dict(parse_qsl(urlsplit(answer.headers["location"]).query))["code"]
    form = {"grant_type": "authorization_code", "client_id": "map", "redirect_uri": BACK, "code": code}
    form |= {"code_verifier": asked.verifier, "resource": "https://tokens.example.com"}
    given = await http.post("/token", data=form, headers=page | proof(key))
    assert given.status_code == 200, given.text
    assert told(given)["access-control-allow-origin"] == PAGE
    assert "dpop-nonce" in told(given)["access-control-expose-headers"]
    token = given.json()["access_token"]
    who = await http.get("/userinfo", headers=page | {"authorization": f"Bearer {token}"})
    assert who.status_code == 401, "a bound token is no bearer token, and the page reads why"
    assert told(who)["access-control-allow-origin"] == PAGE
    back = await http.post("/revoke", data={"client_id": "map", "token": token}, headers=page)
    assert (back.status_code, told(back)["access-control-allow-origin"]) == (200, PAGE)


@pytest.mark.parametrize("origin", [EVIL, "null", f"{PAGE}.evil.example", PAGE.replace("https", "http"), f"{PAGE}:444"])
async def test_a_script_of_another_site_reads_nothing(at: Desk, origin: str) -> None:
    http, headers = at.company.http, {"origin": origin}
    form = {"grant_type": "authorization_code", "client_id": "map", "code": "stolen", "redirect_uri": BACK}
    for path in ("/token", "/revoke", "/par"):
        answers = [
            await http.post(path, data=form, headers=headers),
            await http.options(path, headers=headers | QUESTION),
        ]
        assert [told(answer) for answer in answers] == [{}, {}], path
    for answer in (
        await http.get("/userinfo", headers=headers),
        await http.options("/userinfo", headers=headers | QUESTION),
    ):
        assert told(answer) == {}


async def test_where_cookies_count_and_where_only_servers_ask_no_page_reads_anything(at: Desk) -> None:
    paths = (
        "/authorize",
        "/logout",
        "/device",
        "/approvals",
        "/introspect",
        "/bc-authorize",
        "/register",
        "/admin/v1/keys",
    )
    for path in paths:
        for method in ("GET", "POST", "OPTIONS"):
            answer = await at.company.http.request(method, path, headers={"origin": PAGE} | QUESTION)
            assert told(answer) == {}, (method, path)


BESIDE = """
[open_registration]
to = "anyone"
prefix = "self-"
kind = "web"
owner = "Payments"
environments = ["production"]
authentication = ["none", "client_secret_basic"]
grants = ["authorization_code"]
origins = true
[open_registration.ceilings]
payments = ["payments:read"]
[client_id_metadata]
hosts = ["pages.example"]
kind = "web"
owner = "Payments"
environments = ["production"]
grants = ["authorization_code"]
origins = true
[client_id_metadata.ceilings]
payments = ["payments:read"]
"""


async def test_pages_of_clients_beside_the_bundle_read_and_nobody_elses(tmp_path: Path) -> None:
    """Those that registered themselves for as long as they are there; those at hosts whose documents are read."""
    form = {"grant_type": "authorization_code", "client_id": "x", "code": "x"}

    async def reads(at: Desk, origin: str) -> bool:
        await at.company.http.post("/token", data=form)  # whatever is asked, the service looks at the store
        answer = await at.company.http.options("/token", headers={"origin": origin} | QUESTION)
        return told(answer).get("access-control-allow-origin") == origin

    async with desk(tmp_path, registration=BESIDE) as at:
        own = "https://spa.example:8443"
        said = {"token_endpoint_auth_method": "none", "redirect_uris": [f"{own}/cb", "http://127.0.0.1/cb"]}
        assert not await reads(at, own)
        made = (await at.company.http.post("/register", json=said)).json()
        assert await reads(at, own)
        secret = {"redirect_uris": ["https://server.example/cb"], "token_endpoint_auth_method": "client_secret_basic"}
        assert (await at.company.http.post("/register", json=secret)).status_code == 201
        for origin in ("https://server.example", "https://spa.example", "http://127.0.0.1", EVIL, "null"):
            assert not await reads(at, origin), origin
        assert await reads(at, "https://pages.example")
        for origin in ("http://pages.example", "https://a.pages.example", "https://pages.example.evil.example"):
            assert not await reads(at, origin), origin
        headers = {"authorization": f"Bearer {made['registration_access_token']}"}
        assert (await at.company.http.delete(f"/register/{made['client_id']}", headers=headers)).status_code == 204
        assert not await reads(at, own)
