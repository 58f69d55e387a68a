"""Hostile answers to a sign-in at a provider, by the attack's name. The provider is real; so are HTTP and the store."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey

from mintwarden.authn.fetch import GuardedFetcher
from mintwarden.authn.issuers.keys import FLOOR
from mintwarden.authn.jose import JoseError
from mintwarden.authn.shelf import Shelf
from mintwarden.authn.sign_in import Demand, SignIn
from mintwarden.authn.upstream.broker import ATTEMPT, LIFE, Attempt, Broker
from mintwarden.authn.upstream.id_token import OLDEST
from mintwarden.authn.upstream.logout import verify_logout_token
from mintwarden.authn.upstream.provider import Reach, ReadyProvider
from mintwarden.mint.master import LocalMasterKey
from mintwarden.model.catalogue import Provider
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.store import open_store
from tests.conftest import FrozenClock
from tests.flow.upstream import SECRET, Upstream, half_hash, upstream
from tests.unit.authn.loopback import answer

NOTHING = Demand()
OURS = "https://tokens.example.com"


class Desk:
    """A broker with two providers, `corp` and `other`, and the browser's part of a sign-in."""

    def __init__(self, store: Any, clock: FrozenClock, corp: Upstream, other: Upstream) -> None:
        self.clock, self.corp, self.other = clock, corp, other
        self.store = store
        self.own = ECKey.generate_key("P-256")
        self.reaches = {
            one: Reach(issuer=one.issuer, fetcher=GuardedFetcher(development=True)) for one in (corp, other)
        }
        self.broker = self.with_data()

    def with_data(self, secret: str = SECRET, **changes: Any) -> Broker:
        providers = {
            name: self.provider(name, one, secret, **changes)
            for name, one in (("corp", self.corp), ("other", self.other))
        }
        seal = LocalMasterKey(bytes(32), random_bytes=os.urandom)
        attempts = Shelf(ATTEMPT, Attempt, states=self.store.states, seal=seal)
        return Broker(base=OURS, providers=providers, attempts=attempts, entropy=os.urandom)

    def provider(self, name: str, one: Upstream, secret: str = SECRET, **changes: Any) -> ReadyProvider:
        values = {
            "id": name,
            "name": name.title(),
            "issuer": one.issuer,
            "client_id": "mintwarden",
            "authentication": "client_secret_basic",
            "acr": {"mfa": "phr"},
            "amr": {"otp": "mfa"},
        } | changes

        async def sign(claims: Any) -> str:
            return jwt.encode({"alg": "ES256"}, dict(claims), self.own, algorithms=["ES256"])

        return ReadyProvider(Provider(**values), reach=self.reaches[one], secret=lambda: secret, sign=sign)

    async def begin(self, demand: Demand = NOTHING, name: str = "corp") -> dict[str, str]:
        """What the browser brings back from an honest provider."""
        where = await self.broker.begin(name, "interaction", demand, self.clock.now())
        return (self.corp if name == "corp" else self.other).authorize(where)

    async def finish(self, returned: dict[str, str], name: str = "corp") -> SignIn:
        query = {key: (value,) for key, value in returned.items()}
        attempt = await self.broker.returned(name, query, self.clock.now())
        return await self.broker.finish(attempt, query, self.clock.now())

    async def refused(self, returned: dict[str, str], name: str = "corp") -> str:
        with pytest.raises(MintwardenError) as caught:
            await self.finish(returned, name)
        assert caught.value.kind is ErrorKind.INVALID_REQUEST, caught.value
        return caught.value.public


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with nothing in it, made once."""
    path = tmp_path_factory.mktemp("empty") / "mintwarden.db"

    async def make() -> None:
        await (await open_store(f"sqlite:///{path}", create=True)).close()

    asyncio.run(make())
    return path


@pytest.fixture
async def desk(tmp_path: Path, empty: Path, clock: FrozenClock) -> AsyncIterator[Desk]:
    shutil.copy(empty, tmp_path)
    store = await open_store(f"sqlite:///{tmp_path}/mintwarden.db")
    seconds: Callable[[], int] = lambda: clock.now() // 1000  # noqa: E731
    async with upstream(seconds) as corp, upstream(seconds) as other:
        yield Desk(store, clock, corp, other)
    await store.close()


async def test_an_honest_provider_is_believed(desk: Desk) -> None:
    sign_in = await desk.finish(await desk.begin())
    assert (str(sign_in.subject), sign_in.provider, sign_in.acr, sign_in.amr) == (
        'User::"alice"',
        "corp",
        "phr",
        ("mfa",),
    )
    assert sign_in.authenticated_at == desk.clock.now() // 1000 * 1000
    assert sign_in.upstream_session == "upstream-session"


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "private_key_jwt", "none"])
async def test_each_way_to_prove_who_we_are(desk: Desk, method: str) -> None:
    desk.corp.authentication = method
    desk.broker = desk.with_data(authentication=method)
    await desk.finish(await desk.begin())
    (form,) = desk.corp.forms
    assert ("client_secret" in form) is (method == "client_secret_post")
    if method == "private_key_jwt":
        claims = jwt.decode(form["client_assertion"], desk.own, algorithms=["ES256"]).claims
        assert (claims["iss"], claims["sub"], claims["aud"]) == ("mintwarden", "mintwarden", desk.corp.issuer)
        assert 0 < claims["exp"] - claims["iat"] <= 60
        assert claims["jti"]


async def test_a_provider_whose_addresses_were_known_and_that_is_down(desk: Desk) -> None:
    """What was found out is used for a day; after that nobody guesses."""
    returned = await desk.begin()
    desk.corp.server.routes["/.well-known/openid-configuration"] = answer("503 Service Unavailable")
    await desk.finish(returned)
    desk.clock.advance(seconds=7200)
    await desk.begin()
    desk.clock.advance(seconds=86_400)
    with pytest.raises(MintwardenError) as caught:
        await desk.begin()
    assert caught.value.kind is ErrorKind.UNAVAILABLE


async def test_mix_up(desk: Desk) -> None:
    """The answer of one provider is brought to the callback of another (RFC 9700 section 4.4)."""
    returned = await desk.begin()
    assert "another provider" in await desk.refused(returned, "other")
    # Used up by the attempt: the honest provider's code is lost, and nobody's.
    assert "has ended" in await desk.refused(returned)
    returned = await desk.begin()
    assert "does not name" in await desk.refused(returned | {"iss": desk.other.issuer})
    returned = await desk.begin()
    del returned["iss"]
    assert "does not name" in await desk.refused(returned)
    assert [path for path, _, _ in desk.corp.server.seen if path == "/token"] == []


async def test_a_provider_that_never_names_itself_may_leave_iss_out_but_not_lie(desk: Desk) -> None:
    desk.corp.names_itself = False
    await desk.finish(await desk.begin())
    assert "does not name" in await desk.refused(await desk.begin() | {"iss": desk.other.issuer})


async def test_state_of_nobody_replayed_or_late(desk: Desk) -> None:
    returned = await desk.begin()
    assert "has ended" in await desk.refused(returned | {"state": "x" * 43})
    assert "has ended" in await desk.refused({"code": returned["code"]})
    await desk.finish(returned)
    assert "has ended" in await desk.refused(returned)
    returned = await desk.begin()
    desk.clock.advance(millis=LIFE)
    assert "has ended" in await desk.refused(returned)


async def test_code_injection(desk: Desk) -> None:
    """A code that was stolen from another's sign-in is put into one's own answer: PKCE and nonce (RFC 9700 4.5)."""
    stolen, own = await desk.begin(), await desk.begin()
    assert "did not take its code back" in await desk.refused(own | {"code": stolen["code"]})


async def test_nonce_replay(desk: Desk) -> None:
    """An ID token of another sign-in, or without the nonce of this one."""
    for nonce in ("another", "", 7, None, ["x"]):
        desk.corp.claims = {"nonce": nonce}
        assert "`nonce`" in await desk.refused(await desk.begin())
    desk.corp.claims, desk.corp.left_out = {}, {"nonce"}
    assert "`nonce`" in await desk.refused(await desk.begin())


@pytest.mark.parametrize(
    ("claims", "named"),
    [
        ({"iss": "https://evil.example"}, "`iss`"),
        ({"iss": None}, "`iss`"),
        ({"aud": "another"}, "`aud`"),
        ({"aud": ["mintwarden", "another"], "azp": "mintwarden"}, "`aud`"),
        ({"aud": []}, "`aud`"),
        ({"azp": "another"}, "`azp`"),
        ({"exp": 1_795_000_000 - 61}, "expired"),
        ({"exp": "soon"}, "`exp`"),
        ({"iat": 1_795_000_000 + 120}, "not valid yet"),
        ({"iat": 1_795_000_000 - OLDEST // 1000 - 1}, "`iat`"),
        ({"nbf": 1_795_000_000 + 120}, "not valid yet"),
        ({"at_hash": half_hash("another")}, "`at_hash`"),
        ({"at_hash": ""}, "`at_hash`"),
        ({"sub": ""}, "subject"),
        ({"sub": "a\nb"}, "subject"),
        ({"sub": "x" * 600}, "subject"),
        ({"sub": 7}, "subject"),
        ({"auth_time": 1_795_000_000 + 120}, "`auth_time`"),
        ({"amr": "otp"}, "`amr`"),
        ({"acr": 1}, "`acr`"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_claims_that_prove_nothing(desk: Desk, claims: dict[str, Any], named: str) -> None:
    desk.corp.claims = claims
    assert named in await desk.refused(await desk.begin())


@pytest.mark.parametrize("claim", ["iss", "sub", "aud", "exp", "iat"])
async def test_claims_that_are_missing(desk: Desk, claim: str) -> None:
    desk.corp.left_out = {claim}
    await desk.refused(await desk.begin())


async def test_an_audience_as_a_list_of_us_alone_is_us(desk: Desk) -> None:
    desk.corp.claims = {"aud": ["mintwarden"]}
    await desk.finish(await desk.begin())


@pytest.mark.parametrize("typ", ["at+jwt", "logout+jwt", "secevent+jwt", "dpop+jwt"])
async def test_a_token_of_another_kind(desk: Desk, typ: str) -> None:
    desk.corp.header = {"typ": typ}
    assert "another kind" in await desk.refused(await desk.begin())


async def test_algorithm_confusion(desk: Desk) -> None:
    """`none`, a MAC with the public key or the secret, an algorithm off the list, a key of the token's own."""
    returned = await desk.begin()
    honest = desk.corp.id_token(desk.corp.codes[returned["code"]], "at")
    head, payload, signature = honest.split(".")
    claims = jwt.decode(honest, desk.corp.keys["k1"], algorithms=["ES256"]).claims

    def headed(algorithm: str) -> str:
        header = json.dumps({"alg": algorithm}).encode()
        return base64.urlsafe_b64encode(header).rstrip(b"=").decode()

    own = ECKey.generate_key("P-256")
    embedded = jwt.encode({"alg": "ES256", "jwk": own.as_dict(private=False)}, claims, own, algorithms=["ES256"])
    hostile = [
        f"{headed('none')}.{payload}.",
        f"{headed('None')}.{payload}.{signature}",
        jwt.encode({"alg": "HS256", "kid": "k1"}, claims, OctKey.import_key(SECRET), algorithms=["HS256"]),
        jwt.encode({"alg": "ES256", "kid": "k1"}, claims, own, algorithms=["ES256"]),
        embedded,
        f"{head}.{payload}.{signature[:-4]}AAAA",
        f"{head}.{payload}",
        "x" * 20_000,
    ]
    for token in hostile:
        desk.corp.answer = {"id_token": token}
        assert "proved nothing" in await desk.refused(await desk.begin())
    desk.corp.answer = {}
    desk.broker = desk.with_data(algorithms=("PS256",))
    assert "algorithm" in await desk.refused(await desk.begin())


async def test_keys_that_change_in_mid_flow(desk: Desk) -> None:
    """A key that signs for the first time is fetched, at most once in a while; one that was withdrawn signs nothing."""
    await desk.finish(await desk.begin())
    returned = await desk.begin()
    desk.corp.rotate("k2", withdraw="k1")
    desk.clock.advance(millis=FLOOR)
    await desk.finish(returned)
    desk.corp.keys["k1"], desk.corp.signing = ECKey.generate_key("P-256"), "k1"
    fetches = len([path for path, _, _ in desk.corp.server.seen if path == "/jwks"])
    for _ in range(3):
        assert "no key fits" in await desk.refused(await desk.begin())
    assert len([path for path, _, _ in desk.corp.server.seen if path == "/jwks"]) == fetches
    desk.clock.advance(millis=FLOOR)
    await desk.finish(await desk.begin())


async def test_a_stale_sign_in_at_the_provider(desk: Desk) -> None:
    now = desk.clock.now() // 1000
    desk.corp.claims = {"auth_time": now - 400}
    await desk.finish(await desk.begin())
    assert "older" in await desk.refused(await desk.begin(Demand(max_age=300)))
    assert desk.corp.sent[-1]["max_age"] == "300"
    await desk.finish(await desk.begin(Demand(max_age=400)))
    desk.corp.claims, desk.corp.left_out = {}, {"auth_time"}
    assert "missing" in await desk.refused(await desk.begin(Demand(max_age=300)))
    assert (await desk.finish(await desk.begin())).authenticated_at == 0


async def test_a_sign_in_that_was_to_be_anew(desk: Desk) -> None:
    desk.corp.claims = {"auth_time": desk.clock.now() // 1000 - 100}
    assert "anew" in await desk.refused(await desk.begin(Demand(again=True, max_age=3600)))
    assert (desk.corp.sent[-1]["prompt"], desk.corp.sent[-1]["max_age"]) == ("login", "0")
    desk.corp.claims = {}
    returned = await desk.begin(Demand(again=True))
    desk.clock.advance(seconds=200)  # the person took a while to find the key
    desk.corp.claims = {"auth_time": desk.clock.now() // 1000 - 190}
    await desk.finish(returned)


async def test_what_is_passed_on_is_encoded(desk: Desk) -> None:
    hint = "alice@example.com&scope=everything#\r\nx: y"
    await desk.begin(Demand(login_hint=hint, acr_values=("phr", "unknown"), ui_locales=("de", "en"), choose=True))
    sent = desk.corp.sent[-1]
    assert sent["login_hint"] == hint
    assert sent["scope"] == "openid"
    assert (sent["acr_values"], sent["ui_locales"], sent["prompt"]) == ("mfa", "de en", "select_account")


async def test_a_level_that_nobody_mapped_is_none(desk: Desk) -> None:
    desk.corp.claims = {"acr": "phr", "amr": ["hwk"]}  # our own word in the provider's mouth
    sign_in = await desk.finish(await desk.begin())
    assert (sign_in.acr, sign_in.amr) == ("", ())


async def test_an_error_is_told_without_the_words_that_came_with_it(desk: Desk) -> None:
    returned = await desk.begin()
    error = {"error": "access_denied", "error_description": "Call 555-0100 to restore access", "code": returned["code"]}
    told = await desk.refused(returned | error)
    assert "`access_denied`" in told
    assert "555" not in told
    returned = await desk.begin()
    assert "<b>" not in await desk.refused(returned | {"error": "<b>x</b>"})


@pytest.mark.parametrize(
    "content", [{"id_token": None}, {"access_token": None}, {"id_token": 7}, {"token_type": None}, {"access_token": []}]
)
async def test_a_token_response_that_is_incomplete(desk: Desk, content: dict[str, Any]) -> None:
    desk.corp.answer = content
    assert "proved nothing" in await desk.refused(await desk.begin())


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (answer("307 Temporary Redirect", location="http://127.0.0.1:1/token"), ErrorKind.SOURCE),
        (answer("500 Internal Server Error"), ErrorKind.SOURCE),
        (answer(body=b"x" * 70_000), ErrorKind.SOURCE),
        (answer(body=b'{"id_token":"a","id_token":"b"}'), ErrorKind.INVALID_REQUEST),
        (answer(body=b"<html>"), ErrorKind.INVALID_REQUEST),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n{", ErrorKind.SOURCE),
    ],
    ids=["redirect", "error", "endless", "duplicate members", "html", "cut off"],
)
async def test_a_token_endpoint_that_misbehaves(desk: Desk, response: bytes, kind: ErrorKind) -> None:
    returned = await desk.begin()
    desk.corp.server.routes["/token"] = response
    with pytest.raises(MintwardenError) as caught:
        await desk.finish(returned)
    assert caught.value.kind is kind


async def test_a_secret_that_is_wrong_or_missing_is_the_operators_matter(desk: Desk) -> None:
    for secret in ("wrong", ""):
        desk.broker = desk.with_data(secret)
        with pytest.raises(MintwardenError) as caught:
            await desk.finish(await desk.begin())
        assert caught.value.kind is ErrorKind.CONFIG


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "ftp://127.0.0.1/token"},
        {"token_endpoint": "http://user@127.0.0.1/token"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": "http://127.0.0.1/authorize#x"},
        {"jwks_uri": None},
    ],
    ids=str,
)
async def test_a_discovery_document_that_leads_astray(desk: Desk, changes: dict[str, Any]) -> None:
    honest = json.loads((await desk.corp._discovery("", b"", b"")).partition(b"\r\n\r\n")[2])
    desk.corp.server.routes["/.well-known/openid-configuration"] = answer(body=json.dumps(honest | changes).encode())
    with pytest.raises(MintwardenError) as caught:
        await desk.begin()
    assert caught.value.kind is ErrorKind.UNAVAILABLE


async def test_a_condition_of_the_bundle(desk: Desk) -> None:
    desk.broker = desk.with_data(conditions=("claims.email_verified == true",))
    assert "condition" in await desk.refused(await desk.begin())
    desk.corp.claims = {"email_verified": True}
    await desk.finish(await desk.begin())


async def test_a_logout_token_that_is_one(desk: Desk) -> None:
    provider = desk.provider("corp", desk.corp)
    both = await verify_logout_token(provider, desk.corp.logout_token(sid="s"), desk.clock.now())
    assert (both.subject, both.session) == ("alice", "s")
    session = await verify_logout_token(
        provider, desk.corp.logout_token(sid="s", sub=None, typ="JWT"), desk.clock.now()
    )
    assert (session.subject, session.session) == ("", "s")


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://evil.example"},
        {"aud": "another"},
        {"nonce": "x"},
        {"events": {}},
        {"events": {"http://schemas.openid.net/event/backchannel-logout": True}},
        {"events": None},
        {"jti": None},
        {"iat": None},
        {"exp": None},
        {"exp": 1_795_000_000 - 61},
        {"iat": 1_795_000_000 - OLDEST // 1000 - 1},
        {"sub": None},
        {"typ": "at+jwt"},
        {"typ": "secevent+jwt"},
    ],
    ids=str,
)
async def test_a_logout_token_that_is_none(desk: Desk, changes: dict[str, Any]) -> None:
    with pytest.raises(JoseError):
        await verify_logout_token(desk.provider("corp", desk.corp), desk.corp.logout_token(**changes), desk.clock.now())


async def test_an_id_token_is_no_logout_token(desk: Desk) -> None:
    returned = await desk.begin()
    id_token = desk.corp.id_token(desk.corp.codes[returned["code"]], "at")
    with pytest.raises(JoseError):
        await verify_logout_token(desk.provider("corp", desk.corp), id_token, desk.clock.now())
    other = desk.other.logout_token(iss=desk.corp.issuer)
    with pytest.raises(JoseError):
        await verify_logout_token(desk.provider("corp", desk.corp), other, desk.clock.now())
