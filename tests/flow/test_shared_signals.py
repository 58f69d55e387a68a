"""Shared Signals out, over real HTTP: a receiver has a stream, and hears what ends (SSF 1.0, RFC 8417, RFC 8936)."""

from __future__ import annotations

import asyncio
import base64
import time

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from mintwarden.app.cli import main
from mintwarden.app.foundation import foundation
from mintwarden.app.sign_in import passkeys_of
from mintwarden.feeds.security_events import (
    ACCOUNT_DISABLED,
    ACCOUNT_ENABLED,
    ACCOUNT_PURGED,
    CREDENTIAL_CHANGE,
    SESSION_REVOKED,
    VERIFICATION,
)
from tests.flow.authenticator import Authenticator
from tests.flow.authorizing import Asking
from tests.flow.browser import Browser
from tests.flow.feeding import Provider, fed
from tests.flow.feeding import token as scim_token
from tests.flow.signals import (
    ALL,
    ISSUER,
    POLL,
    PUSH,
    SSF,
    people_signalling,
    pushed_to,
    signalling,
    verifications,
)
from tests.flow.test_admin_clients import fresh
from tests.flow.test_passkeys import ALICE
from tests.flow.test_passkeys import Desk as PasskeyDesk
from tests.flow.test_revocation import asked
from tests.unit.authn.loopback import answer


@pytest.mark.xdist_group("postgres")
async def test_streams_and_events_on_postgresql(tmp_path, new_database):
    store = f'[store]\nurl = "{new_database()}"\n'
    async with people_signalling(tmp_path, config=store) as (desk, at), pushed_to() as there:
        stream, _ = await at.shop.stream(), await at.bank.stream(delivery=there.delivery)
        assert (await at.shop.call("POST", "stream", {})).status_code == 409
        for name in ("one", "two", "three"):
            assert (await revoke(desk.company, session=name)).status_code == 200
        found = await at.shop.poll(stream, maxEvents=2)
        assert [one.claims["sub_id"]["session"]["id"] for one in found.values()] == ["one", "two"]
        found = await at.shop.poll(stream, ack=list(found))
        assert [one.claims["sub_id"]["session"]["id"] for one in found.values()] == ["three"]
        heard = [await at.bank.read((await there.next())[1]) for _ in range(3)]
        assert {one.claims["sub_id"]["session"]["id"] for one in heard} == {"one", "two", "three"}
        assert (await at.shop.call("DELETE", f"stream?stream_id={stream['stream_id']}")).status_code == 204
        assert await at.shop.poll(await at.shop.stream()) == {}


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
        "events_supported": ALL,
        "events_requested": ALL,
        "events_delivered": ALL,
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


async def test_a_poll_takes_no_more_than_it_asks_for(tmp_path):
    async with people_signalling(tmp_path) as (desk, at):
        stream = await at.shop.stream()
        for name in ("one", "two", "three"):
            assert (await revoke(desk.company, session=name)).status_code == 200
        answer = await at.shop.call(
            "POST", stream["delivery"]["endpoint_url"], {"maxEvents": 2, "returnImmediately": True}
        )
        assert answer.json()["moreAvailable"] is True
        first = {name: await at.shop.read(token) for name, token in answer.json()["sets"].items()}
        assert [one.claims["sub_id"]["session"]["id"] for one in first.values()] == ["one", "two"]
        last = await at.shop.poll(stream, ack=list(first), maxEvents=2)
        assert [one.claims["sub_id"]["session"]["id"] for one in last.values()] == ["three"]


async def test_a_sign_out_is_heard_of(tmp_path):
    async with people_signalling(tmp_path) as (desk, at):
        stream, unasked = await at.shop.stream(), await at.bank.stream(events_requested=[])
        browser, asked = Browser(desk.company), Asking()
        tokens = (await desk.redeem(asked, await desk.code(asked, browser))).json()
        keys = KeySet.import_key_set((await desk.company.http.get("/jwks.json")).json())
        identity = jwt.decode(tokens["id_token"], keys, algorithms=["ES256"]).claims
        await browser.get("/logout", {"id_token_hint": tokens["id_token"], "client_id": "web"})
        found = await at.shop.poll(stream)
        ((name, heard),) = found.items()
        assert (heard.header["typ"], heard.header["alg"]) == ("secevent+jwt", "RS256")
        claims = dict(heard.claims)
        assert abs(claims.pop("iat") - time.time()) < 60
        assert claims.pop("txn")
        assert abs(claims["events"][SESSION_REVOKED].pop("event_timestamp") - time.time()) < 60
        assert claims == {
            "iss": ISSUER,
            "aud": "shop",
            "jti": name,
            "sub_id": {
                "format": "complex",
                "user": {"format": "iss_sub", "iss": ISSUER, "sub": identity["sub"]},
                "session": {"format": "opaque", "id": identity["sid"]},
            },
            "events": {SESSION_REVOKED: {"initiating_entity": "user", "reason_admin": {"en": "the session has ended"}}},
        }
        published = (await desk.company.http.get("/jwks.json")).json()["keys"]
        (modulus,) = [key["n"] for key in published if key["kid"] == heard.header["kid"]]
        assert len(base64.urlsafe_b64decode(modulus + "==")) * 8 >= 2048
        assert await at.bank.poll(unasked) == {}


async def test_a_grant_that_ends_is_heard_of_once(tmp_path):
    async with people_signalling(tmp_path) as (desk, at):
        stream = await at.shop.stream()
        browser, asked = Browser(desk.company), Asking(scope="openid payments:read offline_access")
        first = (await desk.redeem(asked, await desk.code(asked, browser))).json()["refresh_token"]
        assert (await desk.company.ask("web", grant_type="refresh_token", refresh_token=first)).status_code == 200
        for _ in range(2):  # a thief, or whoever was robbed
            again = await desk.company.ask("web", grant_type="refresh_token", refresh_token=first)
            assert again.json()["error"] == "invalid_grant"
        (heard,) = (await at.shop.poll(stream)).values()
        subject = dict(heard.claims["sub_id"])
        assert subject.pop("grant")["format"] == "opaque"
        assert subject == {
            "format": "complex",
            "user": {"format": "iss_sub", "iss": ISSUER, "sub": "alice"},
            "application": {"format": "iss_sub", "iss": ISSUER, "sub": "web"},
        }
        assert heard.content["initiating_entity"] == "policy"


@pytest.mark.parametrize(
    ("about", "subject"),
    [
        ({"subject": "User:alice"}, {"format": "iss_sub", "iss": ISSUER, "sub": "alice"}),
        ({"session": "s1"}, {"format": "complex", "session": {"format": "opaque", "id": "s1"}}),
        (
            {"client": "web"},
            {"format": "complex", "application": {"format": "iss_sub", "iss": ISSUER, "sub": "web"}},
        ),
    ],
    ids=lambda one: next(iter(one)),
)
async def test_a_revocation_is_heard_of_without_what_was_written(tmp_path, about, subject):
    async with people_signalling(tmp_path) as (desk, at):
        stream = await at.shop.stream()
        assert (await revoke(desk.company, **about)).status_code == 200
        assert (await revoke(desk.company, subject="Agent:helper")).status_code == 200
        (heard,) = (await at.shop.poll(stream)).values()
        assert heard.claims["sub_id"] == subject
        assert heard.content["initiating_entity"] == "admin"
        assert heard.content["reason_admin"] == {"en": "revoked at the token service"}


async def test_an_erased_person_is_a_purged_account(tmp_path):
    async with people_signalling(tmp_path) as (desk, at):
        stream = await at.shop.stream()
        asked = Asking()
        await desk.redeem(asked, await desk.code(asked, Browser(desk.company)))
        token = await desk.company.token("operator", grant_type="client_credentials", scope="mintwarden:subjects.erase")
        answer = await desk.company.http.post(
            "/admin/v1/erasures",
            json={"subject": "User:alice", "ticket": "T-1"},
            headers={"authorization": f"Bearer {token}", **fresh()},
        )
        assert answer.status_code == 200, answer.text
        (heard,) = (await at.shop.poll(stream)).values()
        assert (heard.event, heard.claims["sub_id"]["sub"]) == (ACCOUNT_PURGED, "alice")


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("platform", "fido2-platform"),
        ("cross-platform", "fido2-roaming"),
        (None, "fido2"),
        ("moon", "fido2"),
        ([], "fido2"),
    ],
)
async def test_a_passkey_that_is_made_or_removed_is_a_changed_credential(tmp_path, said, kind, capsys):
    registration = '[passkeys]\nenabled = true\nacr = "phr"\namr = ["hwk", "user", "mfa"]\n'
    async with signalling(tmp_path, registration=registration) as at:
        stream, desk = await at.shop.stream(), PasskeyDesk(at.company)
        made = await desk.make(Authenticator(), ALICE, authenticatorAttachment=said)
        assert made.status_code == 200, made.text
        (heard,) = (await at.shop.poll(stream)).values()
        assert (heard.event, heard.claims["sub_id"]["sub"]) == (CREDENTIAL_CHANGE, "alice")
        content = dict(heard.content)
        assert abs(content.pop("event_timestamp") - time.time()) < 60
        assert content == {
            "credential_type": kind,
            "change_type": "create",
            "initiating_entity": "user",
            "reason_admin": {"en": "a passkey was made"},
        }
        async with foundation(desk.config) as base:
            (held,) = await passkeys_of(base).of(ALICE, base.clock.now())
        config = str(at.company.folder / "mintwarden.toml")
        command = ["passkeys", "remove", "User:alice", held.value.id, "--config", config]
        assert await asyncio.to_thread(main, command) == 0, capsys.readouterr().err
        (heard,) = (await at.shop.poll(stream, ack=[heard.claims["jti"]])).values()
        assert (heard.content["change_type"], heard.content["initiating_entity"]) == ("delete", "admin")
        assert heard.content["credential_type"] == kind


async def test_what_an_identity_provider_says_of_accounts_is_heard_of(tmp_path):
    async with signalling(tmp_path, extend=fed) as at:
        stream = await at.shop.stream()
        idp = Provider(at.company, await scim_token(at.company, "mintwarden:scim.write"))
        made = await idp.user("carol", active=True)
        at_carol = f"/Users/{made['id']}"
        for active in (False, False, True):
            assert (await idp.patch(at_carol, {"op": "replace", "path": "active", "value": active})).is_success
        await idp.patch(at_carol, {"op": "replace", "path": "displayName", "value": "Carol"})
        assert (await idp.send("DELETE", at_carol)).status_code == 204
        found = (await at.shop.poll(stream)).values()
        assert [one.event for one in found] == [ACCOUNT_DISABLED, ACCOUNT_ENABLED, ACCOUNT_PURGED]
        assert [one.content for one in found] == [{}, {}, {}]
        assert {one.claims["sub_id"]["sub"] for one in found} == {"carol"}


async def test_paused_holds_and_disabled_drops(tmp_path):
    async with people_signalling(tmp_path) as (desk, at):
        stream = await at.shop.stream()
        name = {"stream_id": stream["stream_id"]}

        async def status(wanted: str) -> None:
            answer = await at.shop.call("POST", "status", {**name, "status": wanted, "reason": "at night"})
            assert (answer.status_code, answer.json()) == (200, {**name, "status": wanted, "reason": "at night"})

        await status("paused")
        await revoke(desk.company, session="held")
        assert await at.shop.poll(stream) == {}
        seen = await at.shop.call("GET", f"status?stream_id={stream['stream_id']}")
        assert seen.json() == {**name, "status": "paused", "reason": "at night"}
        await status("enabled")
        held = await at.shop.poll(stream)
        assert [one.claims["sub_id"]["session"]["id"] for one in held.values()] == ["held"]
        await status("disabled")
        await revoke(desk.company, session="dropped")
        await status("enabled")
        assert await at.shop.poll(stream) == {}
        wrong = await at.shop.call("POST", "status", {**name, "status": "asleep"})
        assert wrong.status_code == 400


async def test_subjects_are_left_out_and_taken_back(tmp_path):
    async with people_signalling(tmp_path) as (desk, at):
        stream = await at.shop.stream()
        alice = {"stream_id": stream["stream_id"], "subject": {"format": "iss_sub", "iss": ISSUER, "sub": "alice"}}
        removed = await at.shop.call("POST", "subjects/remove", alice)
        assert (removed.status_code, removed.content) == (204, b"")
        await revoke(desk.company, subject="User:alice")
        await revoke(desk.company, subject="User:bob")
        heard = await at.shop.poll(stream)
        assert [one.claims["sub_id"]["sub"] for one in heard.values()] == ["bob"]
        added = await at.shop.call("POST", "subjects/add", {**alice, "verified": True})
        assert (added.status_code, added.content) == (200, b"")
        await revoke(desk.company, subject="User:alice")
        heard = await at.shop.poll(stream, ack=list(heard))
        assert [one.claims["sub_id"]["sub"] for one in heard.values()] == ["alice"]


async def test_what_a_receiver_changes_is_written_down(at):
    stream = await at.shop.stream()
    name = {"stream_id": stream["stream_id"]}
    await at.shop.call("PATCH", "stream", {**name, "description": "x"})
    await at.shop.call("POST", "status", {**name, "status": "paused"})
    subject = {"format": "iss_sub", "iss": ISSUER, "sub": "alice"}
    await at.shop.call("POST", "subjects/remove", {**name, "subject": subject})
    await at.shop.call("POST", "subjects/add", {**name, "subject": subject})
    await at.shop.call("DELETE", f"stream?stream_id={stream['stream_id']}")
    entries = [one for one in await at.entries("administration") if one["detail"].get("stream")]
    assert [one["detail"]["what"] for one in entries] == [
        "stream_created",
        "stream_changed",
        "stream_status",
        "stream_subject_removed",
        "stream_subject_added",
        "stream_deleted",
    ]
    assert {one["detail"]["client"] for one in entries} == {"shop"}
    assert "alice" not in str(entries)


async def test_events_are_pushed_with_what_authorizes_us(at):
    async with pushed_to() as there:
        stream = await at.shop.stream(delivery={**there.delivery, "authorization_header": "Bearer of-the-shop"})
        assert stream["delivery"] == there.delivery, "what authorizes us is told to nobody"
        await at.shop.verified(stream, "x")
        head, token = await there.next()
        assert head.startswith("post /events ")
        assert "\r\ncontent-type: application/secevent+jwt\r\n" in head
        assert "\r\nauthorization: bearer of-the-shop\r\n" in head
        assert (await at.shop.read(token)).content == {"state": "x"}
        assert (await at.shop.call("POST", f"poll/{stream['stream_id']}", {})).status_code == 404


async def test_a_push_that_failed_is_tried_again(at):
    async with pushed_to() as there:
        there.answers = [answer("500 Oops"), answer("307 Elsewhere", location="/elsewhere")]
        stream = await at.shop.stream(delivery=there.delivery)
        await at.shop.verified(stream, "x")
        tokens = [(await there.next())[1] for _ in range(3)]
        names = {(await at.shop.read(token)).claims["jti"] for token in tokens}
        assert len(names) == 1, "the same event, however often"
        assert {path for path, _, _ in there.where.seen} == {"/events"}, "and no redirect followed"


async def test_an_event_that_the_receiver_can_make_nothing_of_is_not_pushed_again(tmp_path):
    async with people_signalling(tmp_path) as (desk, at), pushed_to() as there:
        there.answers = [answer("400 Bad Request", b'{"err": "invalid_audience", "description": "who?"}')]
        await at.shop.stream(delivery=there.delivery)
        await revoke(desk.company, session="first")
        assert (await at.shop.read((await there.next())[1])).claims["sub_id"]["session"]["id"] == "first"
        await revoke(desk.company, session="second")
        assert (await at.shop.read((await there.next())[1])).claims["sub_id"]["session"]["id"] == "second"


async def test_a_stream_that_comes_to_be_pushed_gets_what_was_held(tmp_path):
    async with people_signalling(tmp_path) as (desk, at), pushed_to() as there:
        stream = await at.shop.stream()
        await revoke(desk.company, session="held")
        await at.shop.call("PATCH", "stream", {"stream_id": stream["stream_id"], "delivery": there.delivery})
        assert (await at.shop.read((await there.next())[1])).claims["sub_id"]["session"]["id"] == "held"


async def revoke(company, **about):
    return await asked(company, "mintwarden:tokens.revoke", reason="alice wrote to us about bob", **about)
