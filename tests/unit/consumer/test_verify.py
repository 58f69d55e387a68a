"""Tokens at a protected resource: what is taken, and every hostile one by its name."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Any

import pytest

from mintwarden.consumer import AccessToken, Proofs, Refused
from mintwarden.consumer.jws import Compact, Malformed
from mintwarden.consumer.keys import FLOOR, FRESH, LAST_GOOD, NoKeys
from mintwarden.consumer.proof import LEEWAY, MOST, OLDEST
from tests.unit.consumer.tokens import (
    ISSUER,
    KEY,
    NOW,
    OTHER,
    RESOURCE,
    Site,
    b64,
    bound,
    presented,
    proof,
    published,
    token,
    verifier,
)

CERTIFICATE = b"certificate in DER"
X5T = b64(hashlib.sha256(CERTIFICATE).digest())


async def taken(text: str, **more: Any) -> AccessToken:
    return await verifier().verify(presented(text, **more))


async def refused(text: str, code: str = "invalid_token", **more: Any) -> str:
    with pytest.raises(Refused) as caught:
        await taken(text, **more)
    assert caught.value.code == code, caught.value
    return str(caught.value)


async def test_a_good_token():
    found = await taken(token())
    assert (found.subject, found.client_id, found.scopes) == ("app", "app", frozenset({"tools:read"}))
    assert (await taken(token({"typ": "application/at+jwt"}, scope=...))).scopes == frozenset()
    assert await taken(token(aud=["https://other.example", RESOURCE]))


def unsigned(header: dict[str, Any]) -> str:
    return ".".join(b64(json.dumps(part).encode()) for part in (header, {"iss": ISSUER})) + "."


def tampered() -> str:
    head, _, tail = token().split(".")
    return f"{head}.{b64(json.dumps({'iss': ISSUER, 'sub': 'admin'}).encode())}.{tail}"


HOSTILE = {
    "an ID token": token({"typ": "JWT"}),
    "a transaction token": token({"typ": "txntoken+jwt"}),
    "an assertion of a client": token({"typ": "client-authentication+jwt"}),
    "a token without a type": token({"typ": ...}),
    "no algorithm": unsigned({"typ": "at+jwt", "alg": "none", "kid": "one"}),
    "no algorithm in other letters": unsigned({"typ": "at+jwt", "alg": "nOnE", "kid": "one"}),
    "a symmetric algorithm": unsigned({"typ": "at+jwt", "alg": "HS256", "kid": "one"}) + "AA",
    "a list for an algorithm": unsigned({"typ": "at+jwt", "alg": ["ES256"], "kid": "one"}) + "AA",
    "an object for an algorithm": unsigned({"typ": "at+jwt", "alg": {"ES256": 1}, "kid": "one"}) + "AA",
    "a list for a type": unsigned({"typ": ["at+jwt"], "alg": "ES256", "kid": "one"}) + "AA",
    "a list for a key": unsigned({"typ": "at+jwt", "alg": "ES256", "kid": ["one"]}) + "AA",
    "another's signature": token(key=OTHER),
    "a body that was changed": tampered(),
    "an unknown key": token({"kid": "two"}),
    "no key": token({"kid": ...}),
    "a key of its own": token({"jwk": OTHER.as_dict(private=False)}, key=OTHER),
    "a key somewhere else": token({"jku": "https://evil.example/jwks"}, key=OTHER),
    "something critical": unsigned({"typ": "at+jwt", "alg": "ES256", "crit": ["x"]}) + "AA",
    "another issuer": token(iss="https://evil.example"),
    "the issuer with a slash": token(iss=ISSUER + "/"),
    "another audience": token(aud="https://other.example"),
    "an audience that begins alike": token(aud=RESOURCE + "/more"),
    "the audience with a slash": token(aud=RESOURCE + "/"),
    "no audience": token(aud=...),
    "no end": token(exp=...),
    "an end that is no time": token(exp="never"),
    "an end that is true": token(exp=True),
    "its end": token(exp=NOW),
    "a beginning to come": token(nbf=NOW + 120),
    "a time to come": token(iat=NOW + 120),
    "no subject": token(sub=...),
    "no client": token(client_id=...),
    "no name": token(jti=...),
    "an unknown binding": token(cnf={"kid": "x"}),
    "a binding that is none": token(cnf="x"),
    "two dots too many": token() + ".x.y",
    "padding": token() + "=",
    "a line": token() + "\n",
    "nothing": "",
    "no end of it": "a" * 20_000,
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_token_with(name: str):
    await refused(HOSTILE[name])


async def test_members_that_stand_twice_are_refused():
    head = b64(b'{"typ":"at+jwt","alg":"ES256","kid":"one","kid":"one"}')
    await refused(f"{head}.{token().split('.')[1]}.AA")


async def test_a_bound_token_without_its_key_is_no_good():
    text = bound()
    assert "scheme `DPoP`" in await refused(text)
    await refused(text, proofs=(proof(text),))  # as `Bearer`, whatever else comes with it
    await refused(text, "invalid_dpop_proof", scheme="dpop")
    await refused(text, "invalid_dpop_proof", scheme="dpop", proofs=(proof(text), proof(text, jti="p2")))
    assert await taken(text, scheme="dpop", proofs=(proof(text),))


def test_one_key_that_makes_proofs_without_end_keeps_no_other_out() -> None:
    """Told what a key's proof is called, without the signatures, which take their time."""
    clock = Site()
    proofs = Proofs(clock=clock.clock)

    def once(key: str, name: str) -> str:
        try:
            proofs._once(Compact("", {}, {"iat": clock.now, "jti": name}), key)
        except Malformed as error:
            return str(error)
        return "taken"

    assert {once("busy", f"{number}") for number in range(MOST)} == {"taken"}
    assert once("busy", "more") == "too many proofs at once"
    assert once("another", "1") == "taken"
    assert once("another", "1") == "the proof was used before"
    clock.now += OLDEST + LEEWAY + 1
    assert once("busy", "more") == "taken"
    assert (len(proofs._seen), proofs._by) == (1, {"busy": 1})


async def test_a_token_that_is_not_bound_does_not_pass_for_one():
    text = token()
    await refused(text, scheme="dpop", proofs=(proof(text),))
    with pytest.raises(Refused):
        await verifier(dpop_required=True).verify(presented(text))


PROOFS: dict[str, dict[str, Any]] = {
    "no type": {"header": {"typ": "JWT"}},
    "another method": {"htm": "GET"},
    "another address": {"htu": "https://mcp.example/other"},
    "no address": {"htu": ...},
    "another token": {"ath": "AAAA"},
    "no token": {"ath": ...},
    "no name": {"jti": ...},
    "an old time": {"iat": NOW - 3600},
    "a time to come": {"iat": NOW + 3600},
    "no time": {"iat": ...},
    "another key": {"key": OTHER},
    "another key in its header": {"header": {"jwk": OTHER.as_dict(private=False)}},
    "a private key in its header": {"header": {"jwk": KEY.as_dict(private=True)}},
    "a list for a kind of key": {"header": {"jwk": {"kty": ["EC"]}}},
    "an object for a kind of key": {"header": {"jwk": {"kty": {"EC": 1}}}},
}


@pytest.mark.parametrize("name", PROOFS)
async def test_a_proof_with(name: str):
    text = bound()
    await refused(text, "invalid_dpop_proof", scheme="dpop", proofs=(proof(text, **PROOFS[name]),))


@pytest.mark.parametrize(
    "changes",
    [
        {"htu": RESOURCE + "?a=b#c"},
        {"htu": "HTTPS://MCP.example:443/mcp"},
        {"iat": NOW - 10},
        {"iat": NOW + 10},
        {"x": 1},
    ],
)
async def test_a_proof_that_is_good(changes: dict[str, Any]):
    text = bound()
    assert await taken(text, scheme="dpop", proofs=(proof(text, **changes),))


async def test_a_proof_counts_once():
    site = Site()
    at, text = verifier(site), bound(exp=NOW + 3600)
    once = presented(text, scheme="dpop", proofs=(proof(text),))
    assert await at.verify(once)
    for later in (0, 60, 119, 151):
        site.now = NOW + later
        with pytest.raises(Refused):
            await at.verify(once)


async def test_a_token_bound_to_a_certificate_needs_that_certificate():
    text = token(cnf={"x5t#S256": X5T})
    await refused(text)
    await refused(text, certificate=b"another")
    assert await taken(text, certificate=CERTIFICATE)


async def test_a_token_bound_to_both_needs_both():
    text = bound()
    claims = {**(await taken(text, scheme="dpop", proofs=(proof(text),))).claims}
    both = token(cnf={**claims["cnf"], "x5t#S256": X5T})
    await refused(both, scheme="dpop", proofs=(proof(both),))
    await refused(both, certificate=CERTIFICATE)
    assert await taken(both, scheme="dpop", proofs=(proof(both),), certificate=CERTIFICATE)


async def test_keys_are_found_by_discovery_kept_and_fetched_again_above_a_floor():
    site = Site()
    at, other = verifier(site), token({"kid": "two"}, key=OTHER, exp=NOW + 90_000, iat=NOW)
    await at.verify(presented(token()))
    await at.verify(presented(token()))
    assert site.fetched == [f"{ISSUER}/.well-known/oauth-authorization-server", f"{ISSUER}/jwks.json"]
    site.documents[f"{ISSUER}/jwks.json"] = published(("one", KEY), ("two", OTHER))
    for _ in range(20):
        with pytest.raises(Refused):
            await at.verify(presented(other))
    assert len(site.fetched) == 2
    site.now += FLOOR
    assert await at.verify(presented(other))
    assert len(site.fetched) == 4
    site.documents.clear()
    site.now += FRESH
    assert await at.verify(presented(other))
    site.now += LAST_GOOD
    with pytest.raises(NoKeys):
        await at.verify(presented(other))


class Slow(Site):
    """Answers once it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.open = asyncio.Event(), asyncio.Event()

    async def fetch(self, url: str) -> bytes:
        self.begun.set()
        await self.open.wait()
        return await super().fetch(url)


async def test_requests_that_come_while_the_first_keys_are_fetched_wait_for_them():
    site = Slow()
    at = verifier(site)
    first = asyncio.create_task(at.verify(presented(token())))
    await site.begun.wait()
    others = [asyncio.create_task(at.verify(presented(token()))) for _ in range(5)]
    for _ in range(5):
        await asyncio.sleep(0)
    site.open.set()
    assert len(await asyncio.gather(first, *others)) == 6
    assert len(site.fetched) == 2


async def test_whoever_asked_for_keys_first_may_go_away():
    site = Slow()
    at = verifier(site)
    first = asyncio.create_task(at.verify(presented(token())))
    await site.begun.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    site.open.set()
    assert await at.verify(presented(token()))


async def test_whoever_has_a_key_that_is_good_enough_does_not_wait_for_another_s_fetch():
    site = Slow()
    at, text = verifier(site), token(exp=NOW + 90_000)
    site.open.set()
    assert await at.verify(presented(text))
    site.open.clear()
    site.begun.clear()
    site.now += FRESH
    first = asyncio.create_task(at.verify(presented(text)))
    await site.begun.wait()
    assert await at.verify(presented(text))
    assert not first.done()
    site.open.set()
    assert await first


async def test_metadata_of_another_issuer_leads_to_no_keys():
    site = Site()
    site.documents[f"{ISSUER}/.well-known/oauth-authorization-server"] = json.dumps(
        {"issuer": "https://evil.example", "jwks_uri": f"{ISSUER}/jwks.json"}
    ).encode()
    with pytest.raises(NoKeys):
        await verifier(site).verify(presented(token()))


async def test_two_keys_of_one_name_are_none():
    site = Site()
    site.documents[f"{ISSUER}/jwks.json"] = published(("one", KEY), ("one", OTHER))
    with pytest.raises(Refused):
        await verifier(site).verify(presented(token()))
