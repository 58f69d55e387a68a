"""Security event tokens by attack: each is refused by name, nothing ends by it, nothing of it is logged or kept."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from joserfc.jwk import ECKey, RSAKey
from msgspec import Struct

from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from mintwarden.app.signals_in import DONE
from mintwarden.authn.fetch import GuardedFetcher
from mintwarden.authn.jose import parse
from mintwarden.authn.security_events import TransmitterReach, metadata_url
from mintwarden.authn.shelf import Shelf
from mintwarden.context.ports import FactBatch
from mintwarden.model.errors import ErrorKind, MintwardenError
from tests.flow.authorizing import Desk
from tests.flow.browser import ISSUER
from tests.flow.signalling import CAEP, RISC, SECRET, Transmitting
from tests.flow.test_signals_in import active, acts, known, tokens, told

pytestmark = pytest.mark.asyncio(loop_scope="module")

REVOKED = CAEP + "session-revoked"
DISABLED = RISC + "account-disabled"
FORGER = RSAKey.generate_key(2048)
SHORT = rsa.generate_private_key(65537, 1024)


class House(Struct, frozen=True):
    """The company, its transmitter, and somebody who is signed in with tokens that must stay good."""

    at: Desk
    transmitter: Transmitting
    given: dict[str, Any]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with told(tmp_path_factory.mktemp("signals"), speaks_of=["user", "session"]) as (at, transmitter):
        yield House(at, transmitter, await tokens(at))


def segment(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def by_hand(header: Mapping[str, Any], body: bytes, sign: Callable[[bytes], bytes]) -> str:
    head = segment(json.dumps({"typ": "secevent+jwt", "kid": "t1"} | dict(header)).encode()) + "." + segment(body)
    return f"{head}.{segment(sign(head.encode()))}"


def with_public_key_as_secret(t: Transmitting) -> str:
    """Algorithm confusion (RFC 8725 section 2.1)."""
    public = t.key.as_pem(private=False)
    body = json.dumps(t.claims(REVOKED)).encode()
    return by_hand({"alg": "HS256"}, body, lambda signed: hmac.new(public, signed, hashlib.sha256).digest())


def with_a_short_key(t: Transmitting) -> str:
    numbers = SHORT.public_key().public_numbers()
    t.published.append(
        {"kty": "RSA", "kid": "short", "n": segment(numbers.n.to_bytes(128, "big")), "e": "AQAB", "use": "sig"}
    )
    body = json.dumps(t.claims(REVOKED)).encode()
    return by_hand(
        {"alg": "RS256", "kid": "short"}, body, lambda signed: SHORT.sign(signed, padding.PKCS1v15(), hashes.SHA256())
    )


def changed(**changes: Any) -> Callable[[Transmitting], str]:
    """Signed by the transmitter; None takes a claim away."""
    return lambda t: t.signed(t.claims(REVOKED) | changes)


def headed(**header: Any) -> Callable[[Transmitting], str]:
    return lambda t: t.signed(t.claims(REVOKED), **header)


def about(event: str, subject: Mapping[str, Any], **content: Any) -> Callable[[Transmitting], str]:
    return lambda t: t.signed(t.claims(event, subject, **content))


def written(body: Callable[[Transmitting], bytes], **header: Any) -> Callable[[Transmitting], str]:
    """A payload, or a header, that no JSON writer of ours would write, signed by the transmitter."""

    def make(t: Transmitting) -> str:
        key = serialization.load_pem_private_key(t.key.as_pem(private=True), None)
        assert isinstance(key, rsa.RSAPrivateKey)
        return by_hand(
            {"alg": "RS256"} | header, body(t), lambda signed: key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
        )

    return make


def said(t: Transmitting, **content: Any) -> bytes:
    return json.dumps(t.claims(REVOKED, **content)).encode()


NOW = int(time.time())
DAY = 86_400
ADMIN = {"format": "iss_sub", "iss": ISSUER, "sub": "alice"}
HOSTILE: Mapping[str, tuple[Callable[[Transmitting], str], str]] = {
    "no token": (lambda _t: "not a token", "invalid_request"),
    "empty": (lambda _t: "", "invalid_request"),
    "forged by another's key": (lambda t: t.signed(t.claims(REVOKED), FORGER), "invalid_key"),
    "forged under an unknown kid": (lambda t: t.signed(t.claims(REVOKED), FORGER, kid="t9"), "invalid_key"),
    "a key of 1024 bits": (with_a_short_key, "invalid_key"),
    "the public key as a secret": (with_public_key_as_secret, "invalid_key"),
    "no signature": (
        lambda t: by_hand({"alg": "none"}, said(t), lambda _signed: b""), "invalid_request"),
    "none with a signature": (lambda t: by_hand({"alg": "none"}, said(t), lambda _signed: b"x"), "invalid_key"),
    "an algorithm of another kind of key": (
        lambda t: t.signed(t.claims(REVOKED), ECKey.generate_key("P-256"), alg="ES256"), "invalid_key"),
    "a key of its own in the header": (headed(jwk=FORGER.as_dict(private=False)), "invalid_request"),
    "keys of its own elsewhere": (headed(jku="https://evil.example/keys"), "invalid_request"),
    "an unknown critical header": (written(said, crit=["x"], x=1), "invalid_request"),
    "no type": (headed(typ=None), "invalid_request"),
    "an ID token's type": (headed(typ="JWT"), "invalid_request"),
    "an access token's type": (headed(typ="at+jwt"), "invalid_request"),
    "a logout token's type": (headed(typ="logout+jwt"), "invalid_request"),
    "another issuer": (changed(iss="https://evil.example"), "invalid_issuer"),
    "the issuer with a slash": (lambda t: t.signed(t.claims(REVOKED) | {"iss": t.issuer + "/"}), "invalid_issuer"),
    "no issuer": (changed(iss=None), "invalid_issuer"),
    "another audience": (changed(aud="https://another.example"), "invalid_audience"),
    "an audience that begins like ours": (changed(aud=ISSUER + ".evil.example"), "invalid_audience"),
    "no audience": (changed(aud=None), "invalid_request"),
    "an audience that is none": (changed(aud=[1]), "invalid_request"),
    "a subject on top": (changed(sub="alice"), "invalid_request"),
    "an end": (changed(exp=NOW + DAY), "invalid_request"),
    "a nonce": (changed(nonce="n"), "invalid_request"),
    "no jti": (changed(jti=None), "invalid_request"),
    "no time": (changed(iat=None), "invalid_request"),
    "a time that is none": (changed(iat="now"), "invalid_request"),
    "a time ahead": (changed(iat=NOW + 2 * DAY), "invalid_request"),
    "a time before anything is remembered": (changed(iat=NOW - 15 * DAY), "invalid_request"),
    "no event": (changed(events={}), "invalid_request"),
    "two events": (changed(events={REVOKED: {}, DISABLED: {}}), "invalid_request"),
    "events in a list": (changed(events=[REVOKED]), "invalid_request"),
    "an event that is no object": (changed(events={REVOKED: "x"}), "invalid_request"),
    "no subject": (changed(sub_id=None), "invalid_request"),
    "a subject without a format": (changed(sub_id={"iss": "x", "sub": "alice"}), "invalid_request"),
    "an event in milliseconds": (
        lambda t: t.signed(t.claims(REVOKED, event_timestamp=int(time.time() * 1000))), "invalid_request"),
    "a person of another issuer": (
        about(REVOKED, {"format": "iss_sub", "iss": "https://evil.example", "sub": "alice"}), "access_denied"),
    "an administrator, by our own name": (about(DISABLED, ADMIN), "access_denied"),
    "somebody of another's domain": (
        about(DISABLED, {"format": "email", "email": "alice@other.example"}), "access_denied"),
    "a device, of which it does not speak": (
        about(CAEP + "device-compliance-change", {"format": "opaque", "id": "d"}, current_status="not-compliant"),
        "access_denied"),
    "a member twice": (
        written(lambda t: said(t)[:-1] + b', "aud": "https://another.example"}'), "invalid_request"),
    "an event twice": (
        written(lambda t: said(t).replace(b'"events": {', f'"events": {{"{REVOKED}": {{}}, '.encode())),
        "invalid_request"),
    "JSON that is nested deeply": (
        written(lambda t: said(t, x="@").replace(b'"@"', b"[" * 3000 + b"]" * 3000)), "invalid_request"),
    "no JSON": (written(lambda t: said(t)[:-1]), "invalid_request"),
    "NaN": (written(lambda t: said(t, x="@").replace(b'"@"', b"NaN")), "invalid_request"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
async def test_the_hostile_token_is_refused(name: str, house: House) -> None:
    make, err = HOSTILE[name]
    before = len(await acts(house.at))
    answer = await house.transmitter.push(make(house.transmitter))
    assert (answer.status_code, answer.json()["err"]) == (400, err), answer.text
    assert answer.json().keys() == {"err", "description"}
    assert answer.headers["content-language"] == "en"
    assert len(await acts(house.at)) == before
    assert await active(house.at, house.given)


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer something else", SECRET + "x", SECRET[:-1], SECRET.lower()]
)
async def test_who_does_not_know_the_secret_is_not_heard(authorization: str | None, house: House) -> None:
    good = house.transmitter.signed(house.transmitter.claims(REVOKED))
    answer = await house.transmitter.push(good, authorization)
    assert (answer.status_code, answer.json()["err"]) == (400, "authentication_failed")
    assert await active(house.at, house.given)


@pytest.mark.parametrize(
    ("headers", "body", "to", "status"),
    [
        ({"content-type": "application/json"}, b"{}", "corp", 415),
        ({"content-type": "application/x-www-form-urlencoded"}, b"a=b", "corp", 415),
        ({}, b"x" * 17_000, "corp", 413),
        ({}, "ä".encode(), "corp", 400),
        ({}, b"x.y.z", "nobody", 404),
        ({}, b"x.y.z", "../corp", 404),
        ({}, b"x.y.z", "", 404),
        ({"content-type": "APPLICATION/SECEVENT+JWT; charset=utf-8"}, b"x.y.z", "corp", 400),
    ],
)
async def test_a_request_that_is_none(headers: dict[str, str], body: bytes, to: str, status: int, house: House) -> None:
    assert (await house.transmitter.push(body, to=to, **headers)).status_code == status


async def test_other_methods_are_not_taken(house: House) -> None:
    answer = await house.at.company.http.get("/ssf/events/corp")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_a_replay_does_nothing_whatever_it_says(tmp_path: Path) -> None:
    """A `jti` counts once: of the same token, and of another one that its transmitter gave the same name."""
    async with told(tmp_path) as (at, transmitter):
        await tokens(at)
        claims = transmitter.claims(REVOKED)
        for _ in range(2):
            assert (await transmitter.push(transmitter.signed(claims))).status_code == 202
        given = await tokens(at)
        twin = transmitter.claims(DISABLED) | {"jti": claims["jti"]}
        assert (await transmitter.push(transmitter.signed(twin))).status_code == 202
        assert await active(at, given)
        assert len(await acts(at)) == 1


async def test_of_several_at_once_one_is_written_down(tmp_path: Path) -> None:
    async with told(tmp_path) as (at, transmitter):
        given = await tokens(at)
        token = transmitter.signed(transmitter.claims(REVOKED))
        answers = await asyncio.gather(*(transmitter.push(token) for _ in range(8)))
        assert {answer.status_code for answer in answers} == {202}
        assert len(await acts(at)) == 1
        assert not await active(at, given)


async def test_a_clock_that_runs_ahead_neither_loses_an_event_nor_stands_before_later_ones(tmp_path: Path) -> None:
    """Both clocks of a transmitter are forgiven a minute; what is known of is never dated later than its token."""
    async with told(tmp_path) as (at, transmitter):
        given, now = await tokens(at), int(time.time())
        early = transmitter.claims(DISABLED, event_timestamp=now + 105) | {"iat": now + 50}
        answer = await transmitter.push(transmitter.signed(early))
        assert (answer.status_code, answer.content) == (202, b"")
        assert not await active(at, given)
        later = transmitter.claims(RISC + "account-enabled", event_timestamp=now + 55) | {"iat": now + 55}
        assert (await transmitter.push(transmitter.signed(later))).status_code == 202
        assert (await known(at, "User:alice"))["accounts"]["account_status"] == "enabled"


async def test_nothing_follows_from_a_token_that_is_not_written_down(tmp_path: Path) -> None:
    """One was written down and the rest of it not reached; then another by its name comes, and tells of more."""
    async with told(tmp_path) as (at, transmitter):
        given = await tokens(at)
        claims = transmitter.claims(CAEP + "risk-level-change", principal="USER", current_level="LOW")
        first, twin = transmitter.signed(claims), transmitter.claims(DISABLED) | {"jti": claims["jti"]}
        assert (await transmitter.push(first)).status_code == 202
        await unfinished(at, f"{transmitter.issuer} {claims['jti']}")
        assert (await transmitter.push(first)).status_code == 202
        assert len(await acts(at)) == 1, "one that comes again is the same entry"
        await unfinished(at, f"{transmitter.issuer} {claims['jti']}")
        assert (await transmitter.push(transmitter.signed(twin))).status_code == 202
        assert not await active(at, given)
        assert [one["event"] for one in await acts(at)] == ["risk-level-change", "account-disabled"]


async def unfinished(at: Desk, name: str) -> None:
    """As if the process had died before it noted that everything of a token was done."""
    async with foundation(load_config(at.company.folder / "mintwarden.toml", environ={})) as base:
        states = base.store.states
        assert await states.remove(DONE, Shelf(DONE, str, states=states, seal=base.master).key(name))


async def test_a_forgotten_replay_does_no_harm_either(tmp_path: Path) -> None:
    """What bounds an event is when it happened, so that one which is read as new ends nothing that began since."""
    async with told(tmp_path) as (at, transmitter):
        given = await tokens(at)
        old = transmitter.claims(REVOKED, event_timestamp=int(time.time()) - 300)
        assert (await transmitter.push(transmitter.signed(old))).status_code == 202
        assert await active(at, given)


async def test_nothing_of_it_is_logged_or_kept(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Neither the token nor what is in it: lines that somebody wrote into names would be lines of our log."""
    mark = secrets.token_hex(12)
    forged = f'\n{{"level":"info","event":"{mark}"}}'
    async with told(tmp_path) as (at, t):
        sent = [
            t.signed(t.claims(REVOKED) | {"jti": forged, "sub_id": {"format": forged, "x": forged}}),
            t.signed(t.claims("https://example.com/" + forged)),
            t.signed(t.claims(REVOKED) | {"iss": forged}),
            t.signed(t.claims(REVOKED) | {"aud": forged}),
            t.signed(t.claims(REVOKED), kid=forged),
            t.signed(t.claims(CAEP + "risk-level-change", principal=forged, current_level="HIGH")),
            t.signed(t.claims(DISABLED) | {"jti": forged}),
        ]
        statuses = [(await t.push(token)).status_code for token in sent]
        assert statuses == [400, 202, 400, 400, 400, 400, 202]
        await t.push(sent[0], to="corp" + mark)
        (entry,) = await acts(at)
        assert mark not in json.dumps(entry), "the log is public"
        stored = b"".join(file.read_bytes() for file in at.company.folder.glob("mintwarden.db*"))
    lines = "".join(capfd.readouterr())
    assert '"route":"signals"' in lines
    assert mark not in lines
    assert not any(token.rpartition(".")[2].encode() in stored for token in sent)


class Told:
    """Fetches a transmitter's description from the test, and everything else as a server in production does."""

    def __init__(self, jwks_uri: str) -> None:
        self.document = json.dumps({"issuer": "https://t.example.com/one", "jwks_uri": jwks_uri}).encode()
        self.real = GuardedFetcher()
        self.asked: list[str] = []

    async def fetch(self, url: str) -> bytes:
        self.asked.append(url)
        if url == metadata_url("https://t.example.com/one"):
            return self.document
        return await self.real.fetch(url)


@pytest.mark.parametrize(
    "where", ["https://127.0.0.1/keys", "http://127.0.0.1/keys", "https://169.254.169.254/latest", "file:///etc/passwd"]
)
async def test_keys_are_not_fetched_from_within(where: str, house: House) -> None:
    """A transmitter chooses where its keys are, and not what we reach."""
    fetcher = Told(where)
    reach = TransmitterReach(issuer="https://t.example.com/one", jwks_uri="", fetcher=fetcher)
    token = parse(house.transmitter.signed(house.transmitter.claims(REVOKED)))
    with pytest.raises(MintwardenError) as caught:
        await reach.keys(token, 1_000_000)
    assert caught.value.kind is ErrorKind.UNAVAILABLE
    assert fetcher.asked == ["https://t.example.com/.well-known/ssf-configuration/one", where]


async def test_facts_come_of_nothing_that_was_refused(house: House) -> None:
    config = load_config(house.at.company.folder / "mintwarden.toml", environ={})
    async with foundation(config) as base:
        batch: FactBatch = await base.store.facts.read(["User:alice", "device:d"])
    assert {row.source for rows in batch.rows.values() for row in rows} == {"directory"}
