"""Shared Signals out, over real HTTP: a receiver has a stream, and hears what ends (SSF 1.0, RFC 8417, RFC 8936)."""

from __future__ import annotations

import asyncio
import time

import pytest

from mintwarden.feeds.security_events import SESSION_REVOKED, VERIFICATION
from tests.flow.signals import BOTH, ISSUER, POLL, PUSH, SSF, signalling, verifications


@pytest.fixture
async def at(tmp_path):
    async with signalling(tmp_path) as at:
        yield at


async def test_the_document_says_where_everything_is(at):
    answer = await at.company.http.get("/.well-known/ssf-configuration")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "spec_version": "1_0",
        "issuer": ISSUER,
        "jwks_uri": f"{ISSUER}/jwks.json",
        "delivery_methods_supported": [PUSH, POLL],
        "configuration_endpoint": f"{SSF}/stream",
        "status_endpoint": f"{SSF}/status",
        "add_subject_endpoint": f"{SSF}/subjects/add",
        "remove_subject_endpoint": f"{SSF}/subjects/remove",
        "verification_endpoint": f"{SSF}/verify",
        "authorization_schemes": [{"spec_urn": "urn:ietf:rfc:6749"}],
        "default_subjects": "ALL",
    }


async def test_a_stream_without_a_delivery_is_polled(at):
    stream = await at.shop.stream()
    name = stream["stream_id"]
    assert stream == {
        "stream_id": name,
        "iss": ISSUER,
        "aud": "shop",
        "events_supported": BOTH,
        "events_requested": BOTH,
        "events_delivered": BOTH,
        "delivery": {"method": POLL, "endpoint_url": f"{SSF}/poll/{name}"},
        "min_verification_interval": 60,
    }


async def test_a_second_stream_is_a_conflict(at):
    await at.shop.stream()
    assert (await at.shop.call("POST", "stream", {})).status_code == 409
    assert (await at.bank.call("POST", "stream", {})).status_code == 201


async def test_what_is_not_known_is_ignored_and_not_delivered(at):
    asked = ["https://example.com/event-type/unheard-of", SESSION_REVOKED]
    stream = await at.shop.stream(events_requested=asked, something_new={"a": 1})
    assert stream["events_requested"] == asked
    assert stream["events_delivered"] == [SESSION_REVOKED]
    assert "something_new" not in stream


async def test_reading_gives_a_list_or_the_one(at):
    assert (await at.shop.call("GET", "stream")).json() == []
    stream = await at.shop.stream()
    assert (await at.shop.call("GET", "stream")).json() == [stream]
    assert (await at.shop.call("GET", f"stream?stream_id={stream['stream_id']}")).json() == stream
    assert (await at.shop.call("GET", "stream?stream_id=another")).status_code == 404


async def test_patch_changes_what_is_there_and_put_replaces(at):
    stream = await at.shop.stream(description="ours")
    name = {"stream_id": stream["stream_id"]}
    patched = await at.shop.call("PATCH", "stream", {**name, "events_requested": [SESSION_REVOKED]})
    assert patched.status_code == 200
    assert patched.json() == {**stream, "events_requested": [SESSION_REVOKED], "events_delivered": [SESSION_REVOKED]}
    # The whole of it, with what is the transmitter's to say as it was read.
    again = await at.shop.call("PUT", "stream", {**patched.json(), "description": "other"})
    assert (again.status_code, again.json()["description"]) == (200, "other")
    bare = await at.shop.call("PUT", "stream", name)
    assert bare.json()["events_delivered"] == []
    assert not {"events_requested", "description"} & bare.json().keys()
    assert (await at.shop.call("GET", "stream")).json() == [bare.json()]


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
@pytest.mark.parametrize(
    "wrong",
    [
        {"iss": "https://other.example.com"},
        {"aud": "bank"},
        {"events_supported": []},
        {"events_delivered": ["x"]},
        {"min_verification_interval": 1},
        {"delivery": {"method": POLL, "endpoint_url": "https://other.example.com/poll"}},
        {"delivery": {"method": "urn:example:carrier-pigeon"}},
        {"delivery": {"method": PUSH}},
        {"delivery": "urn:ietf:rfc:8936"},
        {"events_requested": "all"},
        {"events_requested": [1]},
        {"description": 1},
    ],
    ids=str,
)
async def test_what_is_the_transmitters_to_say_or_malformed_is_a_bad_request(at, method, wrong):
    stream = await at.shop.stream()
    answer = await at.shop.call(method, "stream", {"stream_id": stream["stream_id"], **wrong})
    assert answer.status_code == 400, answer.text
    assert (await at.shop.call("GET", "stream")).json() == [stream]


async def test_a_deleted_stream_is_gone_with_what_was_held(at):
    stream = await at.shop.stream()
    await at.shop.verified(stream, "x")
    answer = await at.shop.call("DELETE", f"stream?stream_id={stream['stream_id']}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await at.shop.call("DELETE", f"stream?stream_id={stream['stream_id']}")).status_code == 404
    assert (await at.shop.call("POST", stream["delivery"]["endpoint_url"], {})).status_code == 404
    assert await at.shop.poll(await at.shop.stream()) == {}
    assert (await at.shop.call("DELETE", "stream")).status_code == 400


async def test_a_verification_comes_as_an_event_of_the_stream_and_echoes_the_state(at):
    stream = await at.shop.stream()
    answer = await at.shop.call("POST", "verify", {"stream_id": stream["stream_id"], "state": "VGhpcw=="})
    assert (answer.status_code, answer.content) == (204, b"")
    ((name, found),) = (await at.shop.poll(stream)).items()
    assert (found.header["typ"], found.header["alg"]) == ("secevent+jwt", "RS256")
    claims = dict(found.claims)
    assert abs(claims.pop("iat") - time.time()) < 60
    assert claims == {
        "iss": ISSUER,
        "aud": "shop",
        "jti": name,
        "sub_id": {"format": "opaque", "id": stream["stream_id"]},
        "events": {VERIFICATION: {"state": "VGhpcw=="}},
    }


async def test_too_frequent_verifications_are_told_when_to_come_again(at):
    stream = await at.shop.stream()
    await at.shop.verified(stream, "x")
    answer = await at.shop.call("POST", "verify", {"stream_id": stream["stream_id"]})
    assert answer.status_code == 429
    assert 0 < int(answer.headers["retry-after"]) <= 60
    assert verifications(await at.shop.poll(stream)) == ["x"]


async def test_events_are_signed_as_the_audience_is_where_no_rsa_key_is_to_be_had(tmp_path):
    async with signalling(tmp_path, algorithm="ES256") as at:
        stream = await at.shop.stream()
        await at.shop.verified(stream, "x")
        ((_, found),) = (await at.shop.poll(stream)).items()
        assert found.header["alg"] == "ES256"


async def test_what_is_not_acknowledged_comes_again_and_what_is_never_again(at):
    stream = await at.shop.stream()
    await at.shop.verified(stream, "x")
    first = await at.shop.poll(stream)
    again = await at.shop.poll(stream)
    assert first.keys() == again.keys()
    assert await at.shop.poll(stream, ack=[*first, "nobody-knows-this"]) == {}
    assert await at.shop.poll(stream, ack=list(first)) == {}


async def test_an_error_of_the_receiver_is_an_answer_too(at):
    stream = await at.shop.stream()
    await at.shop.verified(stream, "x")
    (name,) = await at.shop.poll(stream)
    errors = {name: {"err": "invalid_key", "description": "no"}}
    assert await at.shop.poll(stream, setErrs=errors, maxEvents=0) == {}
    assert await at.shop.poll(stream) == {}


async def test_a_poll_for_nothing_only_acknowledges_and_says_that_there_is_more(at):
    stream = await at.shop.stream()
    await at.shop.verified(stream, "x")
    answer = await at.shop.call("POST", stream["delivery"]["endpoint_url"], {"maxEvents": 0})
    assert answer.json() == {"sets": {}, "moreAvailable": True}


async def test_a_poll_that_waits_gets_what_comes_meanwhile(at):
    stream = await at.shop.stream()
    waiting = asyncio.create_task(at.shop.poll(stream, returnImmediately=False))
    await at.shop.verified(stream, "x")
    assert verifications(await waiting) == ["x"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"maxEvents": -1},
        {"maxEvents": "1"},
        {"maxEvents": True},
        {"returnImmediately": "yes"},
        {"ack": "x"},
        {"ack": [1]},
        {"ack": ["x"] * 1_001},
        {"setErrs": []},
        {"setErrs": {"x": {}}},
    ],
    ids=lambda one: str(one)[:40],
)
async def test_a_malformed_poll_is_a_bad_request(at, wrong):
    stream = await at.shop.stream()
    assert (await at.shop.call("POST", stream["delivery"]["endpoint_url"], wrong)).status_code == 400
