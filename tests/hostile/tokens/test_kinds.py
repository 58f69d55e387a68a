"""Every kind of token, assertion and proof at every place that takes one: all but the diagonal is refused.

A new kind is one line in `kinds.KINDS`, a new place one line in `PLACES`; what browsers hold has both in `held`.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from importlib import resources
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
import pytest_asyncio
from msgspec import Struct

from mintwarden.authn.evidence import ACCESS_TOKEN, ID_TOKEN, JWT, TOKEN_TYPES, TXN_TOKEN
from mintwarden.authn.methods import METHOD_NAMES
from mintwarden.authn.sessions import COOKIE
from mintwarden.issue.grants import GRANTS, ciba, device_code
from mintwarden.issue.grants.token_exchange import KINDS as REQUESTED
from mintwarden.mint.prepare import _PROFILES
from mintwarden.mint.statement import SHAPES
from tests.flow import test_across_domains
from tests.flow.authorizing import BACK
from tests.flow.browser import PREFIX, Browser
from tests.flow.company import ASSERTION, EXCHANGE
from tests.hostile.tokens.apis import at_an_api, for_a_status_list
from tests.hostile.tokens.held import FORMS, HANDLES, HELD, NOBODY_S, PASSKEYS, TAKE, called_back, gone_on, typed_in
from tests.hostile.tokens.kinds import (
    AFTER,
    ID_JAG,
    JWT_BEARER,
    REGISTERED,
    SVID_TYPE,
    VERIFIED,
    World,
    another_node,
    asked_out_of_band,
    asking,
    attestation,
    attestation_proof,
    dpop_proof,
    listed,
    searched,
    world,
)
from tests.hostile.tokens.kinds import KINDS as SHOWN

pytestmark = pytest.mark.asyncio(loop_scope="module")

KINDS = {**SHOWN, **HELD}
DEVICE, CIBA = device_code.GRANT_TYPE, ciba.GRANT_TYPE
OWN = {"grant_type": "client_credentials", "scope": "payments:read"}
Answer = tuple[bool, str]
"""Was it taken; if not, the error by which it was refused."""


class Place(Struct, frozen=True, kw_only=True):
    """Somewhere that takes something: what, how it is offered there, and how the rest is refused.

    `decided`: kinds that are right as such, and which of them leads on is the decision's (`invalid_scope`).
    """

    offer: Callable[[World, str], Awaitable[Answer]]
    takes: frozenset[str]
    errors: frozenset[str]
    decided: frozenset[str] = frozenset()


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


def for_an_approval(kind: str) -> Callable[[World, str], Awaitable[Answer]]:
    """As the subject of an exchange that somebody has to approve first."""

    async def offer(world: World, text: str) -> Answer:
        form = {"grant_type": EXCHANGE, "subject_token": text, "subject_token_type": kind, "scope": "payments:hold"}
        return _of(await world.http.post("/approval-requests", data=world.assertion() | form))

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


async def by_attested_dpop(world: World, text: str) -> Answer:
    headers = {"OAuth-Client-Attestation": await attestation(world), "DPoP": text}
    return _of(await world.token(headers, client="wallet", **OWN))


async def by_challenge(world: World, text: str) -> Answer:
    """As the challenge that the proof of an instance answers."""
    return await by_attestation_proof(world, await attestation_proof(world, challenge=text))


async def by_secret(world: World, text: str) -> Answer:
    form = {"grant_type": JWT_BEARER, "assertion": await KINDS["assertion of a partner"](world)}
    answer = await world.http.post("/token", data=form, auth=("web", text))
    error = answer.json()["error"]  # that client may not use the grant, which is said to who has proven to be it
    return error == "unauthorized_client", error


async def by_posted_secret(world: World, text: str) -> Answer:
    form = {"grant_type": JWT_BEARER, "assertion": await KINDS["assertion of a partner"](world)}
    answer = await world.http.post("/token", data=form | {"client_id": "web", "client_secret": text})
    error = answer.json()["error"]
    return error == "unauthorized_client", error


async def by_cookie(world: World, text: str) -> Answer:
    """As the session of a browser, at the authorization endpoint."""
    browser = Browser(world.company)
    browser.cookies = {PREFIX + COOKIE: text}
    answer = await browser.get("/authorize", asking(prompt="none").parameters)
    found = dict(parse_qsl(urlsplit(answer.headers["location"]).query))
    return "code" in found, found.get("error", "")


async def by_nonce(world: World, text: str) -> Answer:
    """As the nonce of a DPoP proof."""
    return await by_dpop(world, await dpop_proof(world, nonce=text))


async def listed_on(world: World, text: str) -> Answer:
    answer = await listed(world, cursor=text)
    return answer.is_success, str(answer.status_code)


async def searched_on(world: World, text: str) -> Answer:
    answer = await searched(world, token=text)
    return answer.is_success, str(answer.status_code)


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


async def told_by_the_provider(world: World, text: str) -> Answer:
    answer = await world.http.post("/signin/backchannel-logout/corp", data={"logout_token": text})
    return answer.is_success, "" if answer.is_success else str(answer.json()["error"])


async def told_by_the_transmitter(world: World, text: str) -> Answer:
    headers = {"content-type": "application/secevent+jwt"}
    answer = await world.http.post("/ssf/events/corp", content=text, headers=headers)
    return answer.is_success, "" if answer.is_success else str(answer.json()["err"])


def place(
    offer: Callable[[World, str], Awaitable[Answer]],
    *takes: str,
    errors: tuple[str, ...] = ("invalid_request",),
    decided: tuple[str, ...] = (),
) -> Place:
    return Place(offer=offer, takes=frozenset(takes), errors=frozenset(errors), decided=frozenset(decided))


CLIENT, GRANT = ("invalid_client",), ("invalid_grant",)
ATTESTATION = ("invalid_client_attestation",)
PAYMENT = ("access token", "access token about a person", "access token after a sign-in")
CHALLENGE = ("401", "403")

SAID = {
    ACCESS_TOKEN: "an access token",
    JWT: "a JWT",
    ID_TOKEN: "an ID token",
    TXN_TOKEN: "a transaction token",
}
"""Every type that a subject or actor token may be said to have."""
LEADS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    ACCESS_TOKEN: ("", {"scope": "payments:read"}),
    JWT: (", for a JWT", {"scope": "payments:read"}),
    ID_JAG: (", for an identity assertion", {"audience": test_across_domains.ELSEWHERE}),
    TXN_TOKEN: (", for a transaction", {"audience": test_across_domains.DOMAIN, "scope": "payment:settle"}),
}
"""Every type that may come of an exchange, and how it is asked for."""
ABOUT_A_PERSON = ("access token about a person", "access token after a sign-in")
FOREIGN = "ID token of a trusted issuer"
SUBJECTS: Mapping[tuple[str, str], tuple[str, ...]] = {
    (ACCESS_TOKEN, ACCESS_TOKEN): PAYMENT,
    (ACCESS_TOKEN, JWT): PAYMENT,
    (ACCESS_TOKEN, TXN_TOKEN): ABOUT_A_PERSON,
    (JWT, ACCESS_TOKEN): (*PAYMENT, FOREIGN),
    (JWT, JWT): (*PAYMENT, FOREIGN),
    (JWT, TXN_TOKEN): ABOUT_A_PERSON,
    (ID_TOKEN, ACCESS_TOKEN): (FOREIGN,),
    (ID_TOKEN, JWT): (FOREIGN,),
    (ID_TOKEN, ID_JAG): ("ID token",),
    (TXN_TOKEN, TXN_TOKEN): ("transaction token",),
}
"""By what a token is said to be and what is to come of it, the kinds that lead there; of all other pairs none does."""
APPROVABLE = {ACCESS_TOKEN: ABOUT_A_PERSON, JWT: (*ABOUT_A_PERSON, FOREIGN), ID_TOKEN: (FOREIGN,)}
OURS = tuple(kind for kind in KINDS if kind.startswith("access token"))
DECIDED = {ACCESS_TOKEN: OURS, JWT: (*OURS, "JWT-SVID")}
"""What is no other kind than what it is said to be, and who or what it is about, the rules decide."""
ACTORS = {ACCESS_TOKEN: ("access token",), JWT: ("access token",)}

PLACES = {
    "client_assertion": place(
        token(client_assertion_type=ASSERTION, client_assertion=..., **OWN),
        "client assertion", "typed client assertion", errors=CLIENT,
    ),
    "client_assertion, as a JWT-SVID": place(by_svid, "JWT-SVID", errors=CLIENT),
    "OAuth-Client-Attestation": place(by_attestation, "client attestation", errors=ATTESTATION),
    "OAuth-Client-Attestation-PoP": place(by_attestation_proof, "attestation proof", errors=ATTESTATION),
    "OAuth-Client-Attestation, with a DPoP proof": place(
        by_attested_dpop, "DPoP proof", errors=(*ATTESTATION, "invalid_dpop_proof")),
    "challenge, in an attestation proof": place(
        by_challenge, "attestation challenge", errors=("use_attestation_challenge",)),
    "client_secret": place(by_secret, "client secret", errors=CLIENT),
    "client_secret, posted": place(by_posted_secret, "client secret", errors=CLIENT),
    "session": place(by_cookie, "session", errors=("login_required",)),
    "DPoP": place(by_dpop, "DPoP proof", errors=("invalid_dpop_proof",)),
    "nonce, in a DPoP proof": place(by_nonce, "DPoP nonce", errors=("use_dpop_nonce",)),
    "user_code": place(typed_in, "user code", errors=("no device",)),
    "interaction": place(gone_on, "interaction", errors=("page",)),
    **{
        f"subject_token, as {SAID[kind]}{LEADS[wanted][0]}": place(
            exchange("subject", kind, requested_token_type=wanted, **LEADS[wanted][1]),
            *SUBJECTS.get((kind, wanted), ()),
            decided=DECIDED.get(kind, ()) if wanted != ID_JAG else (),
        )
        for kind, wanted in product(TOKEN_TYPES, REQUESTED)
    },
    **{
        f"subject_token, as {SAID[kind]}, for an approval": place(
            for_an_approval(kind), *APPROVABLE.get(kind, ()))
        for kind in TOKEN_TYPES
    },
    **{
        f"actor_token, as {SAID[kind]}": place(
            exchange("actor", kind, scope="payments:read"),
            *ACTORS.get(kind, ()),
            decided=DECIDED.get(kind, ()),
        )
        for kind in TOKEN_TYPES
    },
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
    "people over SCIM": place(bearer("GET", "/scim/v2/Users"), "access token for SCIM", errors=CHALLENGE),
    "registration": place(
        bearer("POST", "/register", json=REGISTERED), "access token for registering", errors=CHALLENGE),
    "software_statement": place(with_statement, "software statement", errors=("invalid_software_statement", "unapproved_software_statement")),
    "page of a search": place(searched_on, "page of a search", errors=("400",)),
    "page of grants": place(listed_on, "page of grants", errors=("400",)),
    "a client's own registration": place(managed, "registration access token", errors=CHALLENGE),
    "the decision point": place(
        bearer("POST", "/access/v1/evaluation", json={
            "subject": {"type": "User", "id": "alice"}, "action": {"name": "issue"},
            "resource": {"type": "scope", "id": "payments:read"}}),
        "access token for the decision point", errors=CHALLENGE),
    "a stream of events": place(bearer("GET", "/ssf/stream"), "access token for receivers", errors=CHALLENGE),
    "user info": place(bearer("GET", "/userinfo"), "access token for user info", errors=CHALLENGE),
    "introspection": place(introspected, *PAYMENT, "access token for user info", errors=("inactive",)),
    "revocation": place(
        revoked, *PAYMENT, "access token for user info", "refresh token", errors=("nothing", "unsupported_token_type", "unauthorized_client")),
    "the provider's ID token": place(from_the_provider, errors=("page",)),
    "code, from the provider": place(called_back("code"), errors=("page",)),
    "logout_token, from the provider": place(told_by_the_provider, "logout token of the provider"),
    "security event, pushed": place(
        told_by_the_transmitter, "security event", errors=("invalid_request", "invalid_issuer")
    ),
    "an API with our verifier": place(at_an_api, *PAYMENT, errors=("invalid_token",)),
    "an API's status list": place(for_a_status_list, "status list", errors=("no list",)),
    **{name: place(offer, takes, errors=(error,)) for name, (offer, takes, error) in TAKE.items()},
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
PROVES = {
    "client_secret_basic": "client_secret",
    "client_secret_post": "client_secret, posted",
    "private_key_jwt": "client_assertion",
    "spiffe_jwt": "client_assertion, as a JWT-SVID",
    "attest_jwt_client_auth": "OAuth-Client-Attestation-PoP",
    "attest_jwt_client_auth_dpop": "OAuth-Client-Attestation, with a DPoP proof",
}
"""By way to authenticate, the place that takes its proof."""
PROVES_NOTHING_IN_TEXT = frozenset({"tls_client_auth", "self_signed_tls_client_auth", "spiffe_x509", "none"})
"""A certificate is shown by TLS; whoever proves nothing shows nothing."""
ASKED = {
    "token_endpoint": ("code", "subject_token", "assertion", "client_assertion", "DPoP"),
    "introspection_endpoint": ("introspection",),
    "revocation_endpoint": ("revocation",),
    "authorization_endpoint": ("request", "request_uri", "id_token_hint", "session"),
    "pushed_authorization_request_endpoint": ("request, pushed",),
    "end_session_endpoint": ("id_token_hint, signing out",),
    "registration_endpoint": ("registration", "software_statement", "a client's own registration"),
    "backchannel_authentication_endpoint": ("id_token_hint, out of band", "login_hint_token", "request, out of band"),
    "approval_request_endpoint": ("subject_token, as an access token, for an approval",),
    "userinfo_endpoint": ("user info",),
    "access_evaluation_endpoint": ("the decision point",),
    "search_subject_endpoint": ("page of a search",),
    "configuration_endpoint": ("a stream of events",),
}
"""By endpoint that metadata announces, places there that take something."""
ALIKE = {
    "access_evaluations_endpoint": "access_evaluation_endpoint",
    "search_resource_endpoint": "search_subject_endpoint",
    "search_action_endpoint": "search_subject_endpoint",
    "status_endpoint": "configuration_endpoint",
    "add_subject_endpoint": "configuration_endpoint",
    "remove_subject_endpoint": "configuration_endpoint",
    "verification_endpoint": "configuration_endpoint",
    "device_authorization_endpoint": "",
    "challenge_endpoint": "",
    "status_list_aggregation_endpoint": "",
}
"""Endpoints behind the same door as another, and those that take nothing but proofs of who asks, or not even these."""


def with_passkeys(bundle: Path) -> None:
    head = bundle / "bundle.toml"
    head.write_text(head.read_text() + PASSKEYS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    folder, busy = tmp_path_factory.mktemp("kinds"), "visit_rate = 100000\nvisit_burst = 1000000\n"
    async with world(folder, server=f"{busy}dpop_nonces = true", edit=with_passkeys) as made:
        await made.code(asking())  # somebody is signed in
        made.initial = await KINDS["access token for registering"](made)
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def minted(here: World) -> dict[str, str]:
    """One of each kind, for where it is not taken."""
    return {name: await make(here) for name, make in KINDS.items()}


@pytest.mark.parametrize("name", PLACES)
async def test_nothing_is_taken_for_another_kind(name: str, here: World, minted: dict[str, str]) -> None:
    at, wrong = PLACES[name], []
    right = await KINDS[TAKE[name][1]](here) if name in TAKE else ""
    before = await here.counted("granted")
    for kind, text in minted.items():
        if kind not in at.takes:
            taken, error = await at.offer(here, text)
            told = at.errors | ({"invalid_scope"} if kind in at.decided else set())
            if taken or error not in told:
                wrong.append((kind, "taken" if taken else error))
    assert wrong == []
    assert await here.counted("granted") == before, "a refusal that issued something"
    if right:
        assert (await at.offer(here, right))[0], "something else was wrong with all of them"


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
    opens_nothing = {
        "software statement",  # it is told with what was registered (RFC 7592)
        "approval of another",  # a name in the ledger, of use to whoever may approve and is signed in
    }
    assert kept == opens_nothing


async def test_everything_that_is_minted_is_offered(minted: dict[str, str]) -> None:
    """A `typ` of ours that no kind bears would be one that nobody tried."""
    heads = [text.split(".")[0] for text in minted.values() if text.count(".") == 2]
    types = {json.loads(urlsafe_b64decode(head + "==")).get("typ", "") for head in heads}
    ours = {shape.typ for shape in SHAPES.values()} | {profile.typ for profile in _PROFILES.values()}
    assert ours - types == set()


async def test_everything_that_is_remembered_is_found_by_something_that_is_offered(
    here: World, minted: dict[str, str]
) -> None:
    with contextlib.closing(sqlite3.connect(here.company.folder / "mintwarden.db")) as file:
        kinds = {kind for (kind,) in file.execute("SELECT DISTINCT kind FROM states")}
    assert kinds - HANDLES.keys() - NOBODY_S == set()
    assert set(HANDLES.values()) <= minted.keys()
    assert HANDLES.keys() <= kinds, "all of them were made"


async def test_every_form_of_a_page_is_a_place() -> None:
    folder = resources.files("mintwarden") / "web" / "pages" / "templates"
    assert {file.name for file in folder.iterdir() if 'name="csrf"' in file.read_text()} == FORMS.keys()


async def test_every_grant_is_a_place() -> None:
    """What a grant takes is offered everything."""
    for grant in GRANTS:
        for parameter in CARRIERS[grant.name]:
            assert any(name.split(",")[0] == parameter for name in PLACES), (grant.name, parameter)


async def test_every_type_of_an_exchange_is_a_place() -> None:
    """Of what is given, and of what is to come of it: `PLACES` has each with each."""
    assert set(SAID) == set(TOKEN_TYPES)
    assert set(LEADS) == set(REQUESTED)


async def test_every_way_to_authenticate_is_a_place() -> None:
    assert PROVES.keys() | PROVES_NOTHING_IN_TEXT == set(METHOD_NAMES)
    assert set(PROVES.values()) <= PLACES.keys()


async def test_every_endpoint_that_is_announced_is_a_place(here: World) -> None:
    announced: set[str] = set()
    for name in ("oauth-authorization-server", "openid-configuration", "authzen-configuration", "ssf-configuration"):
        document = (await here.http.get(f"/.well-known/{name}")).json()
        announced |= {one for one in document if one.endswith("_endpoint")}
    assert announced == ASKED.keys() | ALIKE.keys()
    for places in ASKED.values():
        assert {name for name in places if not any(one.split(",")[0] == name for one in PLACES)} <= PLACES.keys()
    assert {name for name in ALIKE.values() if name} <= ASKED.keys()
