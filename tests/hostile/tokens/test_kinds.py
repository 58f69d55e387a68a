"""Every kind of token, assertion and proof at every place that takes one: all but the diagonal is refused.

A new kind is one line in `kinds.KINDS`, a new place one line in `PLACES`.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
import pytest_asyncio
from msgspec import Struct

from mintwarden.authn.evidence import ACCESS_TOKEN, ID_TOKEN, JWT, TXN_TOKEN
from mintwarden.consumer import KeyCache, Refused, TokenVerifier
from mintwarden.consumer.verify import Presented
from mintwarden.issue.grants import GRANTS, ciba, device_code
from mintwarden.mint.prepare import _PROFILES
from mintwarden.mint.statement import SHAPES
from tests.flow import test_across_domains
from tests.flow.authorizing import BACK
from tests.flow.browser import Browser
from tests.flow.company import ASSERTION, EXCHANGE, PAYMENTS
from tests.hostile.tokens.kinds import (
    AFTER,
    ID_JAG,
    ISSUER,
    JWT_BEARER,
    KINDS,
    REGISTERED,
    SVID_TYPE,
    VERIFIED,
    World,
    another_node,
    asked_out_of_band,
    asking,
    attestation,
    attestation_proof,
    world,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

DEVICE, CIBA = device_code.GRANT_TYPE, ciba.GRANT_TYPE
OWN = {"grant_type": "client_credentials", "scope": "payments:read"}
Answer = tuple[bool, str]
"""Was it taken; if not, the error by which it was refused."""


class Place(Struct, frozen=True, kw_only=True):
    """Somewhere that takes something: what, how it is offered there, and how the rest is refused."""

    offer: Callable[[World, str], Awaitable[Answer]]
    takes: frozenset[str]
    errors: frozenset[str]


def _of(answer: httpx2.Response) -> Answer:
    if answer.is_success:
        return True, ""
    return False, str(answer.json()["error"])


def token(**form: Any) -> Callable[[World, str], Awaitable[Answer]]:
    """At the token endpoint; the value of `...` is what is offered."""

    async def offer(world: World, text: str) -> Answer:
        sent = {name: text if value is ... else value for name, value in form.items()}
        return _of(await world.token(**sent))

    return offer


def exchange(role: str, kind: str, **more: Any) -> Callable[[World, str], Awaitable[Answer]]:
    async def offer(world: World, text: str) -> Answer:
        form = {"grant_type": EXCHANGE, f"{role}_token": text, f"{role}_token_type": kind, **more}
        if role == "actor":
            subject = await KINDS["ID token of a trusted issuer"](world)
            form |= {"subject_token": subject, "subject_token_type": JWT}
        return _of(await world.token(**form))

    return offer


async def by_svid(world: World, text: str) -> Answer:
    form = {"client_id": "settler", "client_assertion_type": SVID_TYPE, "client_assertion": text}
    return _of(await world.token(client="settler", **form, **OWN))


async def by_attestation(world: World, text: str) -> Answer:
    headers = {"OAuth-Client-Attestation": text, "OAuth-Client-Attestation-PoP": await attestation_proof(world)}
    return _of(await world.token(headers, client="wallet", **OWN))


async def by_attestation_proof(world: World, text: str) -> Answer:
    headers = {"OAuth-Client-Attestation": await attestation(world), "OAuth-Client-Attestation-PoP": text}
    return _of(await world.token(headers, client="wallet", **OWN))


async def by_secret(world: World, text: str) -> Answer:
    form = {"grant_type": JWT_BEARER, "assertion": await KINDS["assertion of a partner"](world)}
    answer = await world.http.post("/token", data=form, auth=("web", text))
    error = answer.json()["error"]  # that client may not use the grant, which is said to who has proven to be it
    return error == "unauthorized_client", error


async def by_dpop(world: World, text: str) -> Answer:
    return _of(await world.token({"DPoP": text}, **OWN))


async def pushed_object(world: World, text: str) -> Answer:
    return _of(await world.http.post("/par", data=world.assertion() | {"client_id": "app", "request": text}))


def authorized(name: str, **more: str) -> Callable[[World, str], Awaitable[Answer]]:
    """At the authorization endpoint, by a person who is signed in."""

    async def offer(world: World, text: str) -> Answer:
        base = {} if name in ("request", "request_uri") else asking().parameters
        answer = await world.browser.get("/authorize", base | {"client_id": "app", name: text} | more)
        if answer.status_code == 303 and answer.headers["location"].startswith(BACK):
            found = dict(parse_qsl(urlsplit(answer.headers["location"]).query))
            return "code" in found, found.get("error", "")
        return answer.status_code == 303, "page"

    return offer


async def hinted(world: World, text: str) -> Answer:
    return _of(await asked_out_of_band(world, id_token_hint=text))


async def named_by_a_partner(world: World, text: str) -> Answer:
    return _of(await asked_out_of_band(world, login_hint_token=text))


async def questioned(world: World, text: str) -> Answer:
    return _of(await world.http.post("/bc-authorize", data=world.assertion() | {"request": text}))


async def signs_out(world: World, text: str) -> Answer:
    """A hint that is one needs no question."""
    query = {"id_token_hint": text, "client_id": "app", "post_logout_redirect_uri": AFTER}
    taken = (await world.browser.get("/logout", query)).status_code == 303
    if taken:
        await world.code(asking())  # and in again
    return taken, "page"


def bearer(method: str, path: str, **more: Any) -> Callable[[World, str], Awaitable[Answer]]:
    async def offer(world: World, text: str) -> Answer:
        headers = {"Authorization": f"Bearer {text}"}
        answer = await world.http.request(method, path, headers=headers, **more)
        return answer.is_success, str(answer.status_code)

    return offer


async def with_statement(world: World, text: str) -> Answer:
    headers = {"Authorization": f"Bearer {world.initial}"}
    return _of(await world.http.post("/register", json=REGISTERED | {"software_statement": text}, headers=headers))


async def managed(world: World, text: str) -> Answer:
    return await bearer("GET", world.registered)(world, text)


async def introspected(world: World, text: str) -> Answer:
    answer = await world.http.post("/introspect", data=world.assertion() | {"token": text})
    assert answer.status_code == 200
    if not answer.json()["active"]:
        assert answer.json() == {"active": False}
    return answer.json()["active"], "inactive"


async def revoked(world: World, text: str) -> Answer:
    """Taken is what is good no more afterwards; what is not taken is either nothing, or of another kind."""
    before = await world.counted("revocation")
    answer = await world.http.post("/revoke", data=world.assertion() | {"token": text})
    if answer.status_code == 200:
        return await world.counted("revocation") > before, "nothing"
    return False, str(answer.json()["error"])


async def from_the_provider(world: World, text: str) -> Answer:
    """As the ID token that the provider answers with."""
    browser = Browser(world.company)
    world.desk.corp.answer = {"id_token": text}
    try:
        answer = await world.desk.through(await browser.get("/authorize", asking().parameters), browser)
    finally:
        world.desk.corp.answer = {}
    return answer.status_code == 303, "page"


def called_back(name: str) -> Callable[[World, str], Awaitable[Answer]]:
    async def offer(world: World, text: str) -> Answer:
        browser = Browser(world.company)
        first = await browser.get("/authorize", asking().parameters)
        sent = await browser.get(first.headers["location"])
        query = world.desk.corp.authorize(sent.headers["location"])
        answer = await browser.get("/signin/callback/corp", query | {name: text})
        return answer.status_code == 303 and "error" not in answer.headers["location"], "page"

    return offer


async def told_by_the_provider(world: World, text: str) -> Answer:
    answer = await world.http.post("/signin/backchannel-logout/corp", data={"logout_token": text})
    return answer.is_success, "" if answer.is_success else str(answer.json()["error"])


async def at_an_api(world: World, text: str) -> Answer:
    keys = (await world.http.get("/jwks.json")).content

    async def fetch(_url: str) -> bytes:
        return keys

    cache = KeyCache(issuer=ISSUER, jwks_uri=f"{ISSUER}/jwks.json", fetch=fetch)
    try:
        await TokenVerifier(issuer=ISSUER, audience=PAYMENTS, keys=cache).verify(
            Presented(token=text, scheme="bearer", method="GET", url=PAYMENTS)
        )
    except Refused as refused:
        return False, refused.code
    return True, ""


def place(
    offer: Callable[[World, str], Awaitable[Answer]], *takes: str, errors: tuple[str, ...] = ("invalid_request",)
) -> Place:
    return Place(offer=offer, takes=frozenset(takes), errors=frozenset(errors))


CLIENT, GRANT = ("invalid_client",), ("invalid_grant",)
ATTESTATION = ("invalid_client_attestation",)
SUBJECT = ("invalid_request", "invalid_scope")
"""The second is the decision's, about a token of the right kind."""
PAYMENT = ("access token", "access token about a person", "access token after a sign-in")
CHALLENGE = ("401", "403")

PLACES = {
    "client_assertion": place(
        token(client_assertion_type=ASSERTION, client_assertion=..., **OWN),
        "client assertion", "typed client assertion", errors=CLIENT,
    ),
    "client_assertion, as a JWT-SVID": place(by_svid, "JWT-SVID", errors=CLIENT),
    "OAuth-Client-Attestation": place(by_attestation, "client attestation", errors=ATTESTATION),
    "OAuth-Client-Attestation-PoP": place(by_attestation_proof, "attestation proof", errors=ATTESTATION),
    "client_secret": place(by_secret, "client secret", errors=CLIENT),
    "DPoP": place(by_dpop, "DPoP proof", errors=("invalid_dpop_proof",)),
    "subject_token, as an access token": place(
        exchange("subject", ACCESS_TOKEN, scope="payments:read"), *PAYMENT, errors=SUBJECT),
    "subject_token, as a JWT": place(
        exchange("subject", JWT, scope="payments:read"), *PAYMENT, "ID token of a trusted issuer", errors=SUBJECT),
    "subject_token, as an ID token": place(
        exchange("subject", ID_TOKEN, scope="payments:read"), "ID token of a trusted issuer", errors=SUBJECT),
    "subject_token, as an ID token, for an identity assertion": place(
        exchange("subject", ID_TOKEN, requested_token_type=ID_JAG, audience=test_across_domains.ELSEWHERE), "ID token"),
    "subject_token, as an access token, for a transaction": place(
        exchange("subject", ACCESS_TOKEN, requested_token_type=TXN_TOKEN, audience=test_across_domains.DOMAIN,
                 scope="payment:settle"),
        "access token about a person", "access token after a sign-in", errors=SUBJECT),
    "subject_token, as a transaction token": place(
        exchange("subject", TXN_TOKEN, requested_token_type=TXN_TOKEN, audience=test_across_domains.DOMAIN,
                 scope="payment:settle"),
        "transaction token"),
    "actor_token, as an access token": place(
        exchange("actor", ACCESS_TOKEN, scope="payments:read"), "access token", errors=SUBJECT),
    "actor_token, as a JWT": place(exchange("actor", JWT, scope="payments:read"), "access token", errors=SUBJECT),
    "assertion": place(
        token(grant_type=JWT_BEARER, assertion=..., scope="payments:read"),
        "assertion of a partner", "identity assertion of a partner", errors=GRANT,
    ),
    "refresh_token": place(token(grant_type="refresh_token", refresh_token=...), "refresh token", errors=GRANT),
    "code": place(
        token(grant_type="authorization_code", code=..., redirect_uri=BACK, code_verifier=VERIFIED.verifier),
        "authorization code", errors=GRANT,
    ),
    "device_code": place(token(grant_type=DEVICE, device_code=...), "device code", errors=GRANT),
    "auth_req_id": place(token(grant_type=CIBA, auth_req_id=...), "request out of band", errors=GRANT),
    "id_token_hint, out of band": place(hinted, "ID token", errors=("invalid_request", "unknown_user_id")),
    "login_hint_token": place(named_by_a_partner, "login hint of a partner", errors=("invalid_request",)),
    "request, out of band": place(questioned, "signed question", errors=("invalid_request",)),
    "request, pushed": place(pushed_object, "request object", errors=("invalid_request_object",)),
    "request": place(authorized("request"), "request object", errors=("invalid_request_object", "page")),
    "request_uri": place(authorized("request_uri"), "pushed request", errors=("page",)),
    "id_token_hint": place(authorized("id_token_hint"), "ID token"),
    "id_token_hint, signing out": place(signs_out, "ID token", errors=("page",)),
    "administration": place(
        bearer("GET", "/admin/v1/keys"), "access token for administration", errors=CHALLENGE),
    "registration": place(
        bearer("POST", "/register", json=REGISTERED), "access token for registering", errors=CHALLENGE),
    "software_statement": place(with_statement, "software statement", errors=("invalid_software_statement", "unapproved_software_statement")),
    "a client's own registration": place(managed, "registration access token", errors=CHALLENGE),
    "the decision point": place(
        bearer("POST", "/access/v1/evaluation", json={
            "subject": {"type": "User", "id": "alice"}, "action": {"name": "issue"},
            "resource": {"type": "scope", "id": "payments:read"}}),
        "access token for the decision point", errors=CHALLENGE),
    "user info": place(bearer("GET", "/userinfo"), "access token for user info", errors=CHALLENGE),
    "introspection": place(introspected, *PAYMENT, "access token for user info", errors=("inactive",)),
    "revocation": place(
        revoked, *PAYMENT, "access token for user info", "refresh token", errors=("nothing", "unsupported_token_type", "unauthorized_client")),
    "the provider's ID token": place(from_the_provider, errors=("page",)),
    "code, from the provider": place(called_back("code"), errors=("page",)),
    "state, from the provider": place(called_back("state"), errors=("page",)),
    "logout_token, from the provider": place(told_by_the_provider, "logout token of the provider"),
    "an API with our verifier": place(at_an_api, *PAYMENT, errors=("invalid_token",)),
}  # fmt: skip


CARRIERS = {
    "client_credentials": (),
    "authorization_code": ("code",),
    "refresh_token": ("refresh_token",),
    "token_exchange": ("subject_token", "actor_token"),
    "jwt_bearer": ("assertion",),
    "device_code": ("device_code",),
    "ciba": ("auth_req_id",),
}
"""By grant, the parameters that carry what somebody was given before."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("kinds")) as made:
        await made.code(asking())  # somebody is signed in
        made.initial = await KINDS["access token for registering"](made)
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def minted(here: World) -> dict[str, str]:
    """One of each kind, for where it is not taken."""
    return {name: await make(here) for name, make in KINDS.items()}


@pytest.mark.parametrize("name", PLACES)
async def test_nothing_is_taken_for_another_kind(name: str, here: World, minted: dict[str, str]) -> None:
    at, before, wrong = PLACES[name], await here.counted("granted"), []
    for kind, text in minted.items():
        if kind not in at.takes:
            taken, error = await at.offer(here, text)
            if taken or error not in at.errors:
                wrong.append((kind, "taken" if taken else error))
    assert wrong == []
    assert await here.counted("granted") == before, "a refusal that issued something"


@pytest.mark.parametrize(("name", "kind"), [(name, kind) for name, at in PLACES.items() for kind in sorted(at.takes)])
async def test_the_right_kind_is_taken(name: str, kind: str, here: World) -> None:
    taken, error = await PLACES[name].offer(here, await KINDS[kind](here))
    assert taken, error


async def test_none_of_it_is_kept_or_logged(here: World, capfd: pytest.CaptureFixture[str]) -> None:
    """Neither of what we mint nor of what we take, transaction tokens and codes among them (invariant 8)."""
    seen: dict[str, str] = {}
    async with another_node(here) as node:  # one that begins now writes to where we look
        for kind, make in KINDS.items():
            seen[f"{kind} {len(seen)}"] = await make(node)
            for at in [at for at in PLACES.values() if kind in at.takes]:
                text = seen[f"{kind} {len(seen)}"] = await make(node)
                await at.offer(node, text)
    told = "".join(capfd.readouterr())
    assert '"route"' in told, "the log was looked at"
    files = [file for file in here.company.folder.rglob("*") if file.is_file()]
    heaps = [told.encode(), *(file.read_bytes() for file in files)]
    kept = set()
    for kind, text in seen.items():
        # A lookup goes by the whole of it; what leaks may be the signature alone.
        needles = {text.encode(), text.rpartition(".")[2].encode()}
        if any(needle in heap for needle in needles for heap in heaps if len(needle) > 15):
            kept.add(kind.rpartition(" ")[0])
    assert kept == {"software statement"}, "which opens nothing, and is told with what was registered (RFC 7592)"


async def test_everything_that_is_minted_is_offered(minted: dict[str, str]) -> None:
    """A `typ` of ours that no kind bears would be one that nobody tried."""
    heads = [text.split(".")[0] for text in minted.values() if text.count(".") == 2]
    types = {json.loads(urlsafe_b64decode(head + "==")).get("typ", "") for head in heads}
    ours = {shape.typ for shape in SHAPES.values()} | {profile.typ for profile in _PROFILES.values()}
    assert ours - types == set()


async def test_every_grant_is_a_place() -> None:
    """What a grant takes is offered everything."""
    for grant in GRANTS:
        for parameter in CARRIERS[grant.name]:
            assert any(name.split(",")[0] == parameter for name in PLACES), (grant.name, parameter)
