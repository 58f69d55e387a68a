"""Authorization details (RFC 9396 sections 2 to 6) wherever a grant begins, and wherever one goes on."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
import pytest_asyncio

from mintwarden.issue.grants import GRANTS, ciba, device_code
from tests.flow.authorizing import BACK
from tests.flow.browser import Form
from tests.flow.company import EXCHANGE, JWT_TYPE, PAYMENTS
from tests.flow.test_authorization_details import DETAILS, transfer
from tests.flow.test_details_across_domains import ENTRIES, entry
from tests.hostile.tokens.kinds import ISSUER, JWT_BEARER, KINDS, World, allowed, asking, payload, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

RULES = """
@id("transfers") @owner("Payments") @reason("small amounts")
permit (principal, action == Action::"issue", resource == Detail::"transfer")
when { context.detail.amount.lessThanOrEqual(decimal("100.00")) };
@id("transfers-through") @owner("Payments") @reason("by the application")
permit (principal == Workload::"app", action == Action::"act", resource == Detail::"transfer");
@id("entries") @owner("Payments") @reason("a few")
permit (principal is User, action == Action::"issue", resource == Detail::"calendar_entry")
when { context.detail.most <= 10 };
"""
Said = dict[str, Any]
"""The answer of the token endpoint, or the error that was told before."""


def edit(bundle: Path) -> None:
    for name, text in (("payments", DETAILS), ("elsewhere", ENTRIES)):
        file = bundle / "audiences" / f"{name}.toml"
        file.write_text(file.read_text() + text)
    file = bundle / "clients" / "app.toml"
    types = 'details = ["transfer", "calendar_entry"]\n[client.ceilings]'
    file.write_text(file.read_text().replace("[client.ceilings]", types))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("details"), rules=RULES, edit=edit) as made:
        await made.code(asking())  # somebody is signed in
        yield made


# -- where a grant begins ---------------------------------------------------------------------------------------------


async def token(world: World, **form: Any) -> Said:
    return dict((await world.token(**{"resource": PAYMENTS, **form})).json())


async def arrived(world: World, asked: Any, answer: httpx2.Response) -> Said:
    """On from the authorization endpoint to the token, if the client is given a code."""
    answer = await world.desk.through(answer, world.browser)
    if answer.status_code == 200 and "/authorize/continue" in answer.text:
        answer = await world.desk.allow(answer, world.browser)
    assert answer.status_code == 303, answer.text
    found = dict(parse_qsl(urlsplit(answer.headers["location"]).query))
    if "error" in found:
        return found
    form = {"grant_type": "authorization_code", "code": found["code"], "redirect_uri": BACK}
    return await token(world, code_verifier=asked.verifier, **form)


async def asked_plainly(world: World, details: str) -> Said:
    asked = asking(scope="openid", authorization_details=details)
    return await arrived(world, asked, await world.browser.get("/authorize", asked.parameters))


async def pushed(world: World, asked: Any, form: Any) -> Said:
    answer = await world.http.post("/par", data=world.assertion() | form)
    if answer.status_code != 201:
        assert answer.status_code == 400
        return dict(answer.json())
    query = {"client_id": "app", "request_uri": answer.json()["request_uri"]}
    return await arrived(world, asked, await world.browser.get("/authorize", query))


async def asked_by_pushing(world: World, details: str) -> Said:
    asked = asking(scope="openid", authorization_details=details)
    return await pushed(world, asked, asked.parameters)


def signed(world: World, asked: Any, details: str) -> str:
    """In an object they are JSON, and no text with JSON in it (RFC 9396 section 3)."""
    try:
        said = json.loads(details)
    except ValueError:
        said = details
    claims = world.claims("app", nbf=int(time.time()), **asked.parameters, authorization_details=said)
    return world.signed({"typ": "oauth-authz-req+jwt"}, claims)


async def asked_by_pushing_an_object(world: World, details: str) -> Said:
    asked = asking(scope="openid")
    return await pushed(world, asked, {"client_id": "app", "request": signed(world, asked, details)})


async def asked_by_an_object(world: World, details: str) -> Said:
    asked = asking(scope="openid")
    query = {"client_id": "app", "request": signed(world, asked, details), "redirect_uri": BACK}
    return await arrived(world, asked, await world.browser.get("/authorize", query))


async def asked_by_a_device(world: World, details: str) -> Said:
    form = world.assertion() | {"scope": "openid", "authorization_details": details}
    answer = await world.http.post("/device_authorization", data=form)
    if answer.status_code != 200:
        return dict(answer.json())
    page = await world.desk.through(await world.browser.get("/device"), world.browser)
    typed = Form(page.text).fields | {"user_code": answer.json()["user_code"]}
    page = await world.browser.post("/device", typed)
    assert "20.00" in page.text, "whoever allows it sees what it is"
    await allowed(world, page)
    return await token(world, grant_type=device_code.GRANT_TYPE, device_code=answer.json()["device_code"])


async def asked_out_of_band(world: World, details: str) -> Said:
    form = {"scope": "openid", "login_hint": "corp/alice", "authorization_details": details}
    answer = await world.http.post("/bc-authorize", data=world.assertion() | form)
    if answer.status_code != 200:
        return dict(answer.json())
    query = {"r": answer.json()["auth_req_id"].partition(".")[0]}
    page = await world.desk.through(await world.browser.get("/approvals", query), world.browser)
    assert "20.00" in page.text, "whoever allows it sees what it is"
    await allowed(world, page)
    return await token(world, grant_type=ciba.GRANT_TYPE, auth_req_id=answer.json()["auth_req_id"])


async def by_its_own_credentials(world: World, details: str) -> Said:
    return await token(world, grant_type="client_credentials", authorization_details=details)


async def by_an_assertion(world: World, details: str) -> Said:
    assertion = await KINDS["assertion of a partner"](world)
    return await token(world, grant_type=JWT_BEARER, assertion=assertion, authorization_details=details)


async def by_an_exchange(world: World, details: str) -> Said:
    subject = await KINDS["ID token of a trusted issuer"](world)
    form = {"grant_type": EXCHANGE, "subject_token": subject, "subject_token_type": JWT_TYPE}
    return await token(world, authorization_details=details, **form)


async def renewed(world: World, details: str) -> Said:
    """Held by the grant, asked for again by its refresh."""
    first = await asked_plainly(world, json.dumps([transfer("20.00")]))
    assert "refresh_token" in first, first
    form = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    return await token(world, authorization_details=details, **form)


BEGINNINGS: dict[str, tuple[str, Callable[[World, str], Awaitable[Said]]]] = {
    "a request": ("authorization_code", asked_plainly),
    "a pushed request": ("authorization_code", asked_by_pushing),
    "a signed and pushed request": ("authorization_code", asked_by_pushing_an_object),
    "a signed request": ("authorization_code", asked_by_an_object),
    "a device": ("device_code", asked_by_a_device),
    "out of band": ("ciba", asked_out_of_band),
    "a client's own": ("client_credentials", by_its_own_credentials),
    "an assertion": ("jwt_bearer", by_an_assertion),
    "an exchange": ("token_exchange", by_an_exchange),
    "a refresh": ("refresh_token", renewed),
}
WRONG = {
    "nonsense": "x",
    "an object": "{}",
    "nothing in it": "[]",
    "no type": '[{"amount": "1.00"}]',
    "an unknown type": '[{"type": "unheard_of"}]',
    "an unknown field": json.dumps([transfer(more=1)]),
    "a number for a decimal": json.dumps([transfer(amount=20)]),
    "a field that is missing": '[{"type": "transfer"}]',
    "one good and one bad": json.dumps([transfer(), {"type": "unheard_of"}]),
}


async def test_every_grant_is_among_them() -> None:
    assert {grant.name for grant in GRANTS} == {name for name, _ in BEGINNINGS.values()}


@pytest.mark.parametrize("name", BEGINNINGS)
async def test_what_is_asked_for_is_in_the_answer_and_in_the_token(name: str, here: World) -> None:
    wanted = [transfer("20.00")]
    said = await BEGINNINGS[name][1](here, json.dumps(wanted))
    assert said.get("authorization_details") == wanted, said
    claims = payload(said["access_token"])
    assert (claims["authorization_details"], claims["iss"]) == (wanted, ISSUER)
    assert "scope" not in claims, "a detail is no scope"


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("name", BEGINNINGS)
async def test_what_is_not_as_declared_is_refused_at_once(name: str, wrong: str, here: World) -> None:
    """Where it is asked for, before anybody is bothered with it."""
    said = await BEGINNINGS[name][1](here, WRONG[wrong])
    expected = {"invalid_authorization_details"}
    if "signed" in name:  # a claim of another type is no parameter
        expected.add("invalid_request_object")
    assert said.get("error") in expected, said


@pytest.mark.parametrize("name", BEGINNINGS)
async def test_details_of_another_domain_begin_nothing(name: str, here: World) -> None:
    said = await BEGINNINGS[name][1](here, json.dumps([entry()]))
    assert said.get("error") in ("invalid_authorization_details", "invalid_target"), said


@pytest.mark.parametrize("name", ["a request", "a pushed request", "a signed request", "a device", "out of band"])
async def test_a_refresh_narrows_what_was_allowed_and_never_widens_it(name: str, here: World) -> None:
    first = await BEGINNINGS[name][1](here, json.dumps([transfer("20.00")]))
    form = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    for wider in ([transfer("20.01")], [transfer(creditor={"account": "DE99"})], [transfer(actions=["cancel"])]):
        said = await token(here, authorization_details=json.dumps(wider), **form)
        assert said.get("error") == "invalid_authorization_details", said
    less = await token(here, authorization_details=json.dumps([transfer("5.00")]), **form)
    assert less["authorization_details"] == [transfer("5.00")]
    again = await token(here, **(form | {"refresh_token": less["refresh_token"]}))
    assert again["authorization_details"] == [transfer("20.00")], "one token was narrowed, and not the grant"
