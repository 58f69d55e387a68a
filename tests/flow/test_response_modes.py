"""Every way in which an answer comes back from the authorization endpoint, a good one and a bad one (RFC 9207, JARM)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
import pytest_asyncio
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.flow.authorizing import OWN, Asking, Desk, desk
from tests.flow.browser import ISSUER, Browser, Form

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    async with desk(tmp_path_factory.mktemp("desk")) as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(at: Desk) -> Browser:
    """Somebody's who is signed in."""
    found = at.another()
    await at.code(Asking("api", OWN), found)
    return found


def by_query(answer: httpx2.Response) -> dict[str, str]:
    parts = urlsplit(answer.headers["location"])
    assert (answer.status_code, parts.fragment) == (303, "")
    return dict(parse_qsl(parts.query))


def by_fragment(answer: httpx2.Response) -> dict[str, str]:
    parts = urlsplit(answer.headers["location"])
    assert (answer.status_code, parts.query) == (303, "")
    return dict(parse_qsl(parts.fragment))


def by_form(answer: httpx2.Response) -> dict[str, str]:
    assert (answer.status_code, "location" in answer.headers) == (200, False)
    assert f'action="{OWN}"' in answer.text
    return Form(answer.text).fields


MODES: dict[str, Callable[[httpx2.Response], dict[str, str]]] = {
    "query": by_query,
    "fragment": by_fragment,
    "form_post": by_form,
    "jwt": by_query,
    "query.jwt": by_query,
    "fragment.jwt": by_fragment,
    "form_post.jwt": by_form,
}
ANSWERS = {
    "a code": ({}, ""),
    "nobody may ask so": ({"response_type": "token"}, "unsupported_response_type"),
    "a scope that nobody knows": ({"scope": "nonsense"}, "invalid_scope"),
    "somebody would have to be asked": ({"prompt": "none", "max_age": "0"}, "login_required"),
}


async def test_every_mode_that_is_announced_is_tried(at: Desk) -> None:
    metadata = (await at.company.http.get("/.well-known/openid-configuration")).json()
    assert set(metadata["response_modes_supported"]) == set(MODES)


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("mode", MODES)
async def test_whatever_comes_of_it_comes_so_and_says_whose_it_is(
    mode: str, name: str, at: Desk, browser: Browser
) -> None:
    changes, error = ANSWERS[name]
    asked = Asking("api", OWN, response_mode=mode)
    found = MODES[mode](await at.request(asked, browser, **changes))
    if mode.endswith("jwt"):
        assert found.keys() == {"response"}, "nothing stands beside what is signed"
        keys = KeySet.import_key_set((await at.company.http.get("/jwks.json")).json())
        found = jwt.decode(found["response"], keys, algorithms=["ES256"]).claims
        assert found["aud"] == "api"
    assert (found["iss"], found["state"]) == (ISSUER, asked.state)
    assert ("code" in found, found.get("error", "")) == (not error, error)
