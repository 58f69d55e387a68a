"""Status lists (draft-ietf-oauth-status-list-21), over real HTTP: what a verifier offline learns of revocations."""

from __future__ import annotations

import asyncio
import itertools
import time
import zlib
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError
from joserfc.jwk import KeySet

from mintwarden.app.config import load_config
from mintwarden.app.status import LIFE, TTL
from mintwarden.app.wiring import open_service
from tests.flow.company import ACCESS_TOKEN, LEDGER, PAYMENTS, Company, running
from tests.flow.governed import change
from tests.flow.test_revocation import claims, kid_of
from tests.flow.test_tokens_that_exist import OWN, post, revoke

KIND = "application/statuslist+jwt"
ISSUER = "https://tokens.example.com"


def with_lists(bundle: Path) -> None:
    change(bundle, "audiences/payments.toml", "default_ttl", "status_list = true\ndefault_ttl")
    change(bundle, "audiences/ledger.toml", "default_ttl", "status_list = true\ndefault_ttl")


@pytest.fixture
async def listed(tmp_path: Path) -> AsyncIterator[Company]:
    async with running(tmp_path, edit=with_lists) as company:
        yield company


async def fetched(company: Company, uri: str, **headers: str) -> httpx2.Response:
    return await company.http.get(uri.removeprefix(ISSUER), headers=headers)


async def read(company: Company, uri: str) -> dict[str, Any]:
    """A list's claims, its signature checked by another's library."""
    answer = await fetched(company, uri, Accept=KIND)
    assert (answer.status_code, answer.headers["content-type"]) == (200, KIND), answer.text
    keys = KeySet.import_key_set((await company.http.get("/jwks.json")).json())
    decoded = jwt.decode(answer.text, keys, algorithms=["ES256", "PS256"])
    assert decoded.header["typ"] == "statuslist+jwt"
    return dict(decoded.claims)


async def status(company: Company, token: str) -> int:
    """As a verifier does it: the token's own list, unpacked, the bit at its index."""
    place = claims(token)["status"]["status_list"]
    found = await read(company, place["uri"])
    assert found["sub"] == place["uri"]
    text = found["status_list"]["lst"]
    packed = zlib.decompress(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    assert 0 <= place["idx"] < len(packed) * 8
    return packed[place["idx"] >> 3] >> (place["idx"] & 7) & 1


async def believed(company: Company, token: str) -> int | None:
    """None while the list is signed by a key that is gone."""
    try:
        return await status(company, token)
    except InvalidKeyIdError:
        return None


async def becomes(company: Company, token: str, wanted: int) -> bool:
    ends = asyncio.get_running_loop().time() + 10
    while await believed(company, token) != wanted:
        if asyncio.get_running_loop().time() > ends:
            return False
        await asyncio.sleep(0.05)
    return True


async def test_each_token_has_a_place_of_its_own_that_nobody_foresees(listed: Company) -> None:
    places = [claims(await listed.token("batch", **OWN))["status"]["status_list"] for _ in range(8)]
    assert {place["uri"] for place in places} == {f"{ISSUER}/status/0"}
    indices = [place["idx"] for place in places]
    assert len(set(indices)) == 8
    assert {b - a for a, b in itertools.pairwise(indices)} != {1}


async def test_two_nodes_never_give_out_the_same_place(listed: Company) -> None:
    second = await open_service(load_config(listed.folder / "mintwarden.toml", environ={}))
    try:
        transport = httpx2.ASGITransport(app=second.surface)
        async with httpx2.AsyncClient(transport=transport, base_url="http://second") as http:
            seen = []
            for client in (listed.http, http) * 5:
                answer = await client.post("/token", data=OWN, auth=("batch", listed.secrets["batch"]))
                seen.append(claims(answer.json()["access_token"])["status"]["status_list"]["idx"])
    finally:
        await second.close()
    assert len(set(seen)) == len(seen)


async def test_the_list_is_what_the_draft_says(listed: Company) -> None:
    token = await listed.token("batch", **OWN)
    uri = claims(token)["status"]["status_list"]["uri"]
    found = await read(listed, uri)
    assert (found["sub"], found["iss"], found["ttl"]) == (uri, ISSUER, TTL)
    assert found["exp"] == found["iat"] + LIFE
    assert found["status_list"]["bits"] == 1
    assert "=" not in found["status_list"]["lst"]
    assert found["status_list"]["aggregation_uri"] == f"{ISSUER}/status"
    assert "aud" not in found
    everything = (await listed.http.get("/status")).json()
    assert everything == {"status_lists": [uri]}
    metadata = (await listed.http.get("/.well-known/oauth-authorization-server")).json()
    assert metadata["status_list_aggregation_endpoint"] == f"{ISSUER}/status"


async def test_it_is_kept_as_long_as_it_says_and_asked_for_by_its_tag(listed: Company) -> None:
    uri = claims(await listed.token("batch", **OWN))["status"]["status_list"]["uri"]
    first = await fetched(listed, uri)
    assert first.headers["cache-control"] == f"public, max-age={TTL}, must-revalidate"
    assert first.headers["access-control-allow-origin"] == "*"
    again = await fetched(listed, uri, **{"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert (await fetched(listed, uri)).content == first.content, "signed once, served many times"
    other = await fetched(listed, uri, **{"If-None-Match": '"other"'})
    assert other.status_code == 200


@pytest.mark.parametrize("accept", ["", "*/*", "application/*", f"{KIND}, application/statuslist+cwt;q=0.5"])
async def test_accept_that_takes_it(listed: Company, accept: str) -> None:
    uri = claims(await listed.token("batch", **OWN))["status"]["status_list"]["uri"]
    answer = await fetched(listed, uri, Accept=accept)
    assert (answer.status_code, answer.headers["content-type"]) == (200, KIND)


async def test_what_is_not_there_and_what_is_not_done(listed: Company) -> None:
    uri = claims(await listed.token("batch", **OWN))["status"]["status_list"]["uri"]
    assert (await fetched(listed, uri, Accept="application/statuslist+cwt")).status_code == 406
    for query in ("?time=1686925000", "?time=", "?x=1&time=9999999999"):
        assert (await fetched(listed, uri + query)).status_code == 501
    for path in ("1", "4", "8", "00", "-1", "0/", "a", "999999999999999999999", "%30%30", ""):
        answer = await listed.http.get(f"/status/{path}")
        assert answer.status_code == 404, path
    assert (await listed.http.post("/status/0")).status_code == 405


async def test_with_a_token_falls_what_was_made_of_it(listed: Company) -> None:
    person = listed.signed_in("alice", int(time.time()))
    parent = (await listed.exchange("helper", person, scope="payments:read", resource=PAYMENTS)).json()["access_token"]
    child = (await listed.exchange("api", parent, ACCESS_TOKEN, resource=LEDGER)).json()["access_token"]
    other = await listed.token("batch", **OWN)
    assert [await status(listed, token) for token in (parent, child, other)] == [0, 0, 0]
    assert (await post(listed, "/revoke", "helper", token=parent)).status_code == 200
    assert await becomes(listed, parent, 1)
    assert await becomes(listed, child, 1)
    assert await status(listed, other) == 0
    assert await revoke(listed, "--client", "batch", "--reason", "its host was taken over") == 0
    assert await becomes(listed, other, 1)


async def test_with_a_client_falls_what_others_made_of_its_tokens(listed: Company) -> None:
    person = listed.signed_in("alice", int(time.time()))
    parent = (await listed.exchange("helper", person, scope="payments:read", resource=PAYMENTS)).json()["access_token"]
    child = (await listed.exchange("api", parent, ACCESS_TOKEN, resource=LEDGER)).json()["access_token"]
    grandchild = (await listed.exchange("api", child, ACCESS_TOKEN, resource=LEDGER)).json()["access_token"]
    own = (await listed.exchange("api", person, scope="ledger:read", resource=LEDGER)).json()["access_token"]
    assert await revoke(listed, "--client", "helper", "--reason", "its host was taken over") == 0
    for token in (parent, child, grandchild):
        assert await becomes(listed, token, 1)
    assert await status(listed, own) == 0


async def test_with_a_key_falls_what_it_signed_and_what_was_made_of_that(tmp_path: Path) -> None:
    def edit(bundle: Path) -> None:
        with_lists(bundle)
        change(bundle, "audiences/ledger.toml", "default_ttl", 'algorithm = "ES256"\ndefault_ttl')
        change(bundle, "audiences/payments.toml", "default_ttl", 'algorithm = "PS256"\ndefault_ttl')

    async with running(tmp_path, edit=edit) as company:
        person = company.signed_in("alice", int(time.time()))
        made = await company.exchange("helper", person, scope="payments:read", resource=PAYMENTS)
        parent = made.json()["access_token"]
        child = (await company.exchange("api", parent, ACCESS_TOKEN, resource=LEDGER)).json()["access_token"]
        other = (await company.exchange("api", person, scope="ledger:read", resource=LEDGER)).json()["access_token"]
        assert kid_of(parent) != kid_of(child) == kid_of(other)
        assert await revoke(company, "--key", kid_of(parent), "--reason", "it leaked") == 0
        for token in (parent, child):
            assert await becomes(company, token, 1)
        assert await status(company, other) == 0


async def test_an_audience_without_lists_has_tokens_without_a_place(company: Company) -> None:
    assert "status" not in claims(await company.token("batch", **OWN))
    assert (await company.http.get("/status/0")).status_code == 404
    metadata = (await company.http.get("/.well-known/oauth-authorization-server")).json()
    assert "status_list_aggregation_endpoint" not in metadata


async def test_a_status_list_passed_off_as_a_token(listed: Company) -> None:
    uri = claims(await listed.token("batch", **OWN))["status"]["status_list"]["uri"]
    text = (await fetched(listed, uri)).text
    said = await post(listed, "/introspect", "api", token=text)
    assert said.json() == {"active": False}
    refused = await listed.exchange("api", text, ACCESS_TOKEN, resource=LEDGER)
    assert refused.status_code == 400


async def test_a_token_is_replayed_with_its_place(listed: Company) -> None:
    """What was recorded is the token as it was signed, its place included."""
    from mintwarden.app.foundation import foundation
    from mintwarden.app.recorded import recorded_question
    from mintwarden.authn.presented import Presented

    token = await listed.token("batch", **OWN)
    said = claims(token)
    async with foundation(load_config(listed.folder / "mintwarden.toml", environ={})) as base:
        evidence: Any = type("E", (), {"token_id": said["jti"]})()
        found = await recorded_question(base, Presented(evidence, said))
    assert found is not None
    assert found.asked.status == (0, said["status"]["status_list"]["idx"])
