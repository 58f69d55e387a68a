"""Holder, not bearer, on every grant: by DPoP (RFC 9449) and by certificate (RFC 8705), and never by neither.

INVARIANT: every grant of `issue.grants` has its way in `WAYS`; a new one without fails here.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from joserfc.jwk import ECKey
from msgspec import Struct

from mintwarden.authn.certificates import thumbprint
from mintwarden.issue.grants import GRANTS, ciba, device_code
from tests.flow import pki
from tests.flow.authorizing import BACK, LOOPBACK, Asking
from tests.flow.company import ACCESS_TOKEN, EXCHANGE, JWT_TYPE, PAYMENTS
from tests.flow.governed import change
from tests.flow.test_dpop import proof
from tests.flow.test_mtls import said
from tests.hostile.tokens import kinds
from tests.hostile.tokens.kinds import JWT_BEARER, KINDS, World, asking, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

ALIAS = "https://mtls.example.com"
PROXY = f'proxies = ["127.0.0.1/32"]\nclient_certificate_header = "Client-Cert"\nmtls_base = "{ALIAS}"'
BOUND = "tls_client_certificate_bound_access_tokens = true"
REQUEST = asking(scope="openid offline_access payments:read")


class Holder(Struct, frozen=True):
    """Somebody with a key, and how a request proves it."""

    show: Callable[[], Mapping[str, str]]
    cnf: Mapping[str, str]
    token_type: str


def by_key() -> Holder:
    key = ECKey.generate_key("P-256")
    return Holder(lambda: proof(key), {"jkt": key.thumbprint()}, "DPoP")


def by_certificate() -> Holder:
    pair = pki.certificate("CN=app")
    return Holder(lambda: said(pair), {"x5t#S256": thumbprint(pair.der)}, "Bearer")


HOLDERS = {"a key": by_key, "a certificate": by_certificate}
Prepare = Callable[[World, Holder], Awaitable[str]]


async def nothing(_world: World, _holder: Holder) -> str:
    return ""


def plain(make: Callable[[World], Awaitable[str]]) -> Prepare:
    """What is given out before anybody proves a key."""

    async def prepare(at: World, _holder: Holder) -> str:
        return await make(at)

    return prepare


def given(name: str, **form: Any) -> Prepare:
    """What came of an earlier request of the same holder, from a person's code."""

    async def prepare(at: World, holder: Holder) -> str:
        redeeming = {"grant_type": "authorization_code", "code": await at.code(REQUEST), "redirect_uri": BACK}
        sent = redeeming | {"code_verifier": REQUEST.verifier, "resource": PAYMENTS} | form
        answer = await at.token(holder.show(), **sent)
        assert answer.status_code == 200, answer.text
        return str(answer.json()[name])

    return prepare


class Way(Struct, frozen=True, kw_only=True):
    """A grant: what happens before, and its request; the value of `...` is what was prepared."""

    grant: str
    form: Mapping[str, Any]
    prepare: Prepare = nothing


CODE = {"grant_type": "authorization_code", "code": ..., "redirect_uri": BACK, "code_verifier": REQUEST.verifier}
WAYS = {
    "client_credentials": Way(
        grant="client_credentials", form={"grant_type": "client_credentials", "scope": "payments:read"}),
    "authorization_code": Way(
        grant="authorization_code", form=CODE | {"resource": PAYMENTS}, prepare=plain(lambda at: at.code(REQUEST))),
    "refresh_token": Way(
        grant="refresh_token", form={"grant_type": "refresh_token", "refresh_token": ..., "resource": PAYMENTS},
        prepare=given("refresh_token")),
    "token_exchange": Way(
        grant="token_exchange",
        form={"grant_type": EXCHANGE, "subject_token": ..., "subject_token_type": JWT_TYPE, "scope": "payments:read"},
        prepare=plain(KINDS["ID token of a trusted issuer"])),
    "token_exchange, of a bound token": Way(
        grant="token_exchange",
        form={"grant_type": EXCHANGE, "subject_token": ..., "subject_token_type": ACCESS_TOKEN, "scope": "payments:read"},
        prepare=given("access_token")),
    "jwt_bearer": Way(
        grant="jwt_bearer", form={"grant_type": JWT_BEARER, "assertion": ..., "scope": "payments:read"},
        prepare=plain(KINDS["assertion of a partner"])),
    "device_code": Way(
        grant="device_code",
        form={"grant_type": device_code.GRANT_TYPE, "device_code": ..., "resource": PAYMENTS},
        prepare=plain(kinds.device_code)),
    "ciba": Way(
        grant="ciba", form={"grant_type": ciba.GRANT_TYPE, "auth_req_id": ..., "resource": PAYMENTS},
        prepare=plain(kinds.auth_req_id)),
}  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """The company behind a proxy, where the client `app` may have no bearer tokens."""

    def edit(bundle: Any) -> None:
        change(bundle, "clients/app.toml", "redirect_uris", f"{BOUND}\nredirect_uris")

    async with world(tmp_path_factory.mktemp("held"), edit=edit, server=PROXY) as made:
        yield made


async def ask(at: World, way: Way, prepared: str, headers: Mapping[str, str]) -> httpx2.Response:
    form = {name: prepared if value is ... else value for name, value in way.form.items()}
    return await at.token(headers, **form)


async def told(at: World, token: str) -> dict[str, Any]:
    answer = await at.http.post("/introspect", data=at.assertion() | {"token": token})
    return dict(answer.json())


async def test_every_grant_has_its_way() -> None:
    ways = {way.grant for way in WAYS.values()}
    assert [grant.name for grant in GRANTS if grant.name not in ways] == []


@pytest.mark.parametrize("by", HOLDERS)
@pytest.mark.parametrize("name", WAYS)
async def test_what_is_issued_is_bound_and_a_bearer_token_is_not_to_be_had(name: str, by: str, here: World) -> None:
    way, holder = WAYS[name], HOLDERS[by]()
    prepared = await way.prepare(here, holder)
    bare = await ask(here, way, prepared, {})
    assert bare.status_code == 400, "nothing was proven"
    assert bare.json()["error"] in ("invalid_request", "invalid_grant"), bare.text
    # an assertion counts once, whatever came of it
    fresh = await way.prepare(here, holder) if name == "jwt_bearer" else prepared
    answer = await ask(here, way, fresh, holder.show())
    assert answer.status_code == 200, answer.text
    assert answer.json()["token_type"] == holder.token_type
    token = answer.json()["access_token"]
    assert kinds.payload(token)["cnf"] == holder.cnf
    introspected = await told(here, token)
    assert (introspected["active"], introspected["cnf"]) == (True, holder.cnf)
    assert introspected["token_type"] == holder.token_type


DEMANDS = {"a key": "dpop", "a certificate": "mtls"}
KEEP_A_KEY = ("refresh_token", "token_exchange, of a bound token")
"""Begin with something that is bound already: without any key, any is what is missing first."""
READS = re.compile(r'permit \([^)]*Action::"issue", resource == Scope::"payments:read"')


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=DEMANDS)
async def demanding(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[World, str]]:
    """The company where each rule by which somebody reads payments demands a key; `app` may have bearer tokens."""

    def edit(bundle: Any) -> None:
        rules = bundle / "rules/all.cedar"
        demand = f'@require_binding("{DEMANDS[request.param]}")\n'
        text, count = READS.subn(lambda found: demand + found[0], rules.read_text())
        assert count >= 4
        rules.write_text(text)

    async with world(tmp_path_factory.mktemp("demanded"), edit=edit, server=PROXY) as made:
        yield made, request.param


@pytest.mark.parametrize("name", WAYS)
async def test_a_key_that_a_rule_demands_is_proven_or_challenged(name: str, demanding: tuple[World, str]) -> None:
    at, by = demanding
    way, holder = WAYS[name], HOLDERS[by]()
    (other,) = HOLDERS.keys() - {by}
    prepared = await way.prepare(at, holder)
    for headers in ({}, HOLDERS[other]().show()):
        refused = (await ask(at, way, prepared, headers)).json()
        assert refused["error"] == "invalid_scope", refused
        (told,) = refused["required"]
        kept = not headers and name in KEEP_A_KEY and told["value"] == "any"
        assert told == {"name": "require_binding", "value": "any" if kept else DEMANDS[by]}
        if name == "jwt_bearer":
            prepared = await way.prepare(at, holder)
    answer = await ask(at, way, prepared, holder.show())
    assert answer.status_code == 200, answer.text
    assert kinds.payload(answer.json()["access_token"])["cnf"] == holder.cnf


@pytest.mark.parametrize("by", HOLDERS)
async def test_the_key_of_a_client_that_authenticates_may_change_with_a_refresh(by: str, here: World) -> None:
    holder, other, way = HOLDERS[by](), HOLDERS[by](), WAYS["refresh_token"]
    renewed = await ask(here, way, await way.prepare(here, holder), other.show())
    assert renewed.status_code == 200, renewed.text
    assert kinds.payload(renewed.json()["access_token"])["cnf"] == other.cnf


@pytest.mark.parametrize("by", HOLDERS)
async def test_the_refresh_token_of_a_public_client_is_its_key_s(by: str, here: World) -> None:
    """RFC 9449 section 5, RFC 8705 section 4: whoever stole it lacks the key, and so does a client that only says its name."""
    holder, thief = HOLDERS[by](), HOLDERS[by]()
    asked = Asking("native", LOOPBACK, scope="openid offline_access payments:read")
    form = {"client_id": "native", "resource": PAYMENTS}
    code = await here.desk.code(asked, here.browser)
    redeeming = {"grant_type": "authorization_code", "code": code, "redirect_uri": LOOPBACK}
    sent = form | redeeming | {"code_verifier": asked.verifier}
    first = await here.http.post("/token", data=sent, headers=holder.show())
    assert first.status_code == 200, first.text
    token = first.json()["refresh_token"]
    for _ in range(2):
        renewing = form | {"grant_type": "refresh_token", "refresh_token": token}
        for headers in ({}, thief.show()):
            refused = await here.http.post("/token", data=renewing, headers=headers)
            assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
        renewed = await here.http.post("/token", data=renewing, headers=holder.show())
        assert renewed.status_code == 200, renewed.text
        assert kinds.payload(renewed.json()["access_token"])["cnf"] == holder.cnf
        token = renewed.json()["refresh_token"]


BROWSERS, ANYBODY = "authorization_endpoint", "status_list_aggregation_endpoint"


async def test_every_endpoint_where_a_certificate_counts_has_its_alias(here: World) -> None:
    """RFC 8705 section 5: whoever comes by certificate is told of an address where it is asked for."""
    metadata = (await here.http.get("/.well-known/oauth-authorization-server")).json()
    announced = {name: url for name, url in metadata.items() if name.endswith("_endpoint")}
    assert announced.keys() >= {BROWSERS, ANYBODY}, "a person comes by one, and nobody proves anything at the other"
    assert metadata["mtls_endpoint_aliases"] == {
        name: f"{ALIAS}{url.removeprefix(kinds.ISSUER)}"
        for name, url in announced.items()
        if name not in (BROWSERS, ANYBODY)
    }


async def test_a_proof_may_name_the_alias_and_no_other_host(here: World) -> None:
    own = WAYS["client_credentials"].form
    for host, status in ((ALIAS, 200), (kinds.ISSUER, 200), ("https://elsewhere.example.com", 400)):
        shown = proof(ECKey.generate_key("P-256"), htu=f"{host}/token")
        assert (await here.token(shown, **own)).status_code == status, host
