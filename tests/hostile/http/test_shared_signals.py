"""Receivers that want more than is theirs: streams of others, people, our network, our memory, our log."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from mintwarden.app.signals_out import SignalsOut, StoredEvents, StoredStreams
from mintwarden.feeds.security_events import SESSION_REVOKED, STREAM_UPDATED
from mintwarden.feeds.transmitter import MOST_WAITING, Waiting
from mintwarden.model.values import EntityUid
from tests.flow.company import running
from tests.flow.signals import ISSUER, PUSH, RULES, pushed_to, receivers, receiving, signalling
from tests.unit.authn.loopback import answer

ALICE = {"format": "iss_sub", "iss": ISSUER, "sub": "alice"}


@pytest.fixture
async def at(tmp_path):
    async with signalling(tmp_path) as at:
        yield at


def everything(stream_id):
    """Each way to ask about a stream: method, path, body."""
    named = {"stream_id": stream_id}
    return [
        ("GET", f"stream?stream_id={stream_id}", None),
        ("PATCH", "stream", {**named, "description": "mine"}),
        ("PUT", "stream", named),
        ("DELETE", f"stream?stream_id={stream_id}", None),
        ("GET", f"status?stream_id={stream_id}", None),
        ("POST", "status", {**named, "status": "disabled"}),
        ("POST", "subjects/add", {**named, "subject": ALICE}),
        ("POST", "subjects/remove", {**named, "subject": ALICE}),
        ("POST", "verify", named),
        ("POST", f"poll/{stream_id}", {"returnImmediately": True}),
    ]


async def test_a_stream_of_another_receiver_is_none(at):
    """404 whether it is there or not: nobody learns that there is one."""
    stream = await at.shop.stream(description="ours")
    await at.shop.verified(stream, "secret")
    for who in ("has none", "has one"):
        if who == "has one":
            await at.bank.stream()
        for method, path, body in everything(stream["stream_id"]):
            theirs = await at.bank.call(method, path, body)
            nobodys = await at.bank.call(method, path.replace(stream["stream_id"], "x"), body)
            assert (theirs.status_code, theirs.text) == (404, nobodys.text), (who, method, path)
    assert (await at.shop.call("GET", "stream")).json() == [stream]
    assert len(await at.shop.poll(stream)) == 1


async def test_an_event_of_another_stream_is_acknowledged_by_nobody_else(at):
    stream, other = await at.shop.stream(), await at.bank.stream()
    await at.shop.verified(stream, "x")
    names = list(await at.shop.poll(stream))
    await at.bank.poll(other, ack=names)
    await at.bank.poll(other, setErrs={name: {"err": "invalid_key"} for name in names})
    assert list(await at.shop.poll(stream)) == names


async def test_without_a_good_token_there_is_nothing(at):
    stream = await at.shop.stream()
    elsewhere = await at.company.token("operator", grant_type="client_credentials", scope="mintwarden:keys.read")
    for method, path, body in everything(stream["stream_id"]):
        for token in ("", "x", elsewhere):
            refused = await at.shop.call(method, path, body, token=token)
            assert refused.status_code == 401, (method, path)
            assert refused.headers["www-authenticate"].startswith("Bearer ")
    assert (await at.shop.call("GET", f"stream?access_token={at.shop.token}", token="")).status_code == 401


async def test_a_revoked_token_is_let_in_no_more(at):
    await at.shop.stream()
    auth = ("shop", at.company.secrets["shop"])
    assert (await at.company.http.post("/revoke", data={"token": at.shop.token}, auth=auth)).status_code == 200
    assert (await at.shop.call("GET", "stream")).status_code == 401


async def test_reading_scopes_change_nothing(at):
    stream = await at.shop.stream()
    reads, manages = await at.shop.with_scopes("ssf.read"), await at.shop.with_scopes("ssf.manage")
    for method, path, body in [("POST", "stream", {}), *everything(stream["stream_id"])]:
        allowed = method == "GET" or path.startswith("poll/")
        answered = await at.shop.call(method, path, body, token=reads)
        assert answered.status_code == (200 if allowed else 403), (method, path)
        if not allowed:
            assert 'scope="ssf.manage"' in answered.headers["www-authenticate"]
    for path in ("stream", f"status?stream_id={stream['stream_id']}"):
        assert (await at.shop.call("GET", path, token=manages)).status_code == 200


async def test_nobody_learns_who_there_is_by_naming_them(at):
    stream = await at.shop.stream()
    for path, status in (("subjects/add", 200), ("subjects/remove", 204)):
        answers = []
        for name in ("alice", "nobody-of-this-name"):
            body = {"stream_id": stream["stream_id"], "subject": {**ALICE, "sub": name}}
            found = await at.shop.call("POST", path, body)
            answers.append((found.status_code, found.content, sorted(found.headers.keys())))
        assert answers[0] == answers[1]
        assert answers[0][:2] == (status, b"")


@pytest.mark.parametrize(
    "url",
    [
        "https://169.254.169.254/latest/meta-data",
        "https://[::ffff:169.254.169.254]/latest",
        "https://10.0.0.1/events",
        "https://168.63.129.16/",
        "ftp://receiver.example.com/events",
        "https://user:secret@receiver.example.com/events",
        "https://receiver.example.com/events#here",
        "https://receiver.example.com/\r\nx-injected: yes",
        "https://receiver.example.com:0/",
        "https://" + "x" * 2_000,
        "",
        7,
    ],
    ids=lambda url: str(url)[:50].strip(),
)
async def test_a_push_endpoint_in_our_network_or_none_is_refused(at, url):
    """Loopback and plain http too, outside development: `unit/app/test_signal_notices.py`."""
    delivery = {"method": PUSH, "endpoint_url": url}
    assert (await at.shop.call("POST", "stream", {"delivery": delivery})).status_code == 400
    stream = await at.shop.stream()
    changed = await at.shop.call("PATCH", "stream", {"stream_id": stream["stream_id"], "delivery": delivery})
    assert changed.status_code == 400
    assert (await at.shop.call("GET", "stream")).json() == [stream]


@pytest.mark.parametrize(
    "header", ["Bearer x\r\nx-injected: yes", "Bearer x\n", "Bearer \x00", "Bearer é", " Bearer x", "x" * 4_001, 7]
)
async def test_what_is_no_header_authorizes_nobody(at, header):
    delivery = {"method": PUSH, "endpoint_url": "https://receiver.example.com/", "authorization_header": header}
    assert (await at.shop.call("POST", "stream", {"delivery": delivery})).status_code == 400


async def test_what_authorizes_us_at_one_address_goes_to_no_other(at):
    async with pushed_to() as there, pushed_to() as elsewhere:
        stream = await at.shop.stream(delivery={**there.delivery, "authorization_header": "Bearer of-the-shop"})
        moved = {"stream_id": stream["stream_id"], "delivery": elsewhere.delivery}
        assert (await at.shop.call("PUT", "stream", moved)).status_code == 200
        await at.shop.verified(stream, "x")
        head, _ = await elsewhere.next()
        assert "authorization" not in head
        assert "of-the-shop" not in head
        assert there.heard == 0


async def test_a_redirect_is_not_followed(at):
    async with pushed_to() as there, pushed_to() as elsewhere:
        there.answers = [answer("302 Found", location=elsewhere.delivery["endpoint_url"])]
        stream = await at.shop.stream(delivery=there.delivery)
        await at.shop.verified(stream, "x")
        for _ in range(2):
            await there.next()
        assert elsewhere.heard == 0


async def test_a_queue_is_bounded_and_its_receiver_hears_why(at):
    stream = await at.shop.stream()
    async with foundation(load_config(at.company.folder / "mintwarden.toml", environ={})) as base:
        kept = await StoredStreams(base).find("shop")
        assert kept is not None
        events, now = StoredEvents(base), base.clock.now()
        for number in range(MOST_WAITING - 1):
            waiting = Waiting(token_id=str(number), at=now, event=SESSION_REVOKED, subject=ALICE)
            await events.put(kept, waiting)
        out = SignalsOut(base, lambda: base.bundle.catalogue)
        for _ in range(3):
            await out.revoked("subject", "User:alice", EntityUid("Workload", "operator"))
        assert await events.count(kept.id) == MOST_WAITING
    status = (await at.shop.call("GET", f"status?stream_id={stream['stream_id']}")).json()
    assert status["status"] == "paused"
    (heard,) = (await at.shop.poll(stream)).values()
    assert (heard.event, heard.claims["sub_id"]["id"]) == (STREAM_UPDATED, stream["stream_id"])
    assert heard.content == {"status": "paused", "reason": status["reason"]}
    await at.shop.call("POST", "status", {"stream_id": stream["stream_id"], "status": "enabled"})
    assert len(await at.shop.poll(stream)) == 100


async def test_a_body_that_is_too_long_is_refused_and_what_is_long_in_it_too(at):
    stream = await at.shop.stream()
    named = {"stream_id": stream["stream_id"]}
    assert (await at.shop.call("POST", "stream", b'{"a": "' + b"x" * 70_000 + b'"}')).status_code == 413
    for path, body in (
        ("stream", {"events_requested": [f"urn:{n}" for n in range(65)]}),
        ("verify", {**named, "state": "x" * 501}),
        ("subjects/remove", {**named, "subject": {**ALICE, "sub": "x" * 1_001}}),
        ("subjects/remove", {**named, "subject": {"format": "aliases", "identifiers": [ALICE] * 17}}),
        ("status", {**named, "status": "paused", "reason": "x" * 501}),
    ):
        assert (await at.shop.call("POST", path, body)).status_code == 400, path
    assert (await at.shop.call("GET", "stream?stream_id=" + "x" * 3_000)).status_code == 400


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"a": 1, "a": 2}', b"\xff", b'"x"', b"[" * 5_000])
async def test_what_is_no_object_is_a_bad_request(at, body):
    assert (await at.shop.call("POST", "stream", body)).status_code == 400


async def test_another_media_type_and_another_method_are_refused(at):
    sent = await at.shop.call("POST", "stream", b"{}", **{"content-type": "text/plain"})
    assert sent.status_code == 400
    assert (await at.shop.call("GET", "verify")).status_code == 405
    assert (await at.shop.call("GET", "verify")).headers["allow"] == "POST"
    assert (await at.shop.call("POST", "streams", {})).status_code == 404
    assert (await at.shop.call("GET", "stream?stream_id=a&stream_id=b")).status_code == 400


async def test_nothing_that_a_receiver_writes_is_a_line_of_the_log(tmp_path, capfd):
    forged = 'x"}\n{"event": "forged", "level": "info"}\r\n\x1b[31m'
    async with signalling(tmp_path) as at:
        stream = await at.shop.stream()
        named = {"stream_id": stream["stream_id"]}
        await at.shop.verified(stream, "x")
        (name,) = await at.shop.poll(stream)
        await at.shop.poll(stream, setErrs={name: {"err": forged, "description": forged}, forged: {"err": "x"}})
        for path, body in (
            ("stream", {"description": forged}),
            ("status", {**named, "status": "paused", "reason": forged}),
            ("status", {"stream_id": forged, "status": "paused"}),
            ("subjects/add", {**named, "subject": {**ALICE, "sub": forged}}),
            ("subjects/add", {**named, "subject": {"format": forged}}),
        ):
            await at.shop.call("POST", path, body)
    said = "".join(capfd.readouterr())
    assert '"route":"ssf"' in said, "the log was looked at"
    assert "forged" not in said
    assert "can make nothing of events: `other`" in said
    assert all(json.loads(line) for line in said.splitlines() if line.startswith("{"))


async def test_nothing_is_kept_or_told_where_nobody_may_hear(tmp_path):
    """Off: no document, no endpoint, and nothing in the store for what ends."""
    async with running(tmp_path) as company:
        for path in ("/.well-known/ssf-configuration", "/ssf/stream", "/ssf/poll/x", "/ssf/status"):
            assert (await company.http.get(path)).status_code == 404, path
        async with foundation(load_config(tmp_path / "mintwarden.toml", environ={})) as base:
            await SignalsOut(base, lambda: base.bundle.catalogue).revoked("subject", "User:a", EntityUid("User", "b"))
            assert await base.store.states.owned("signal_event", "signals", 10) == []


async def test_a_client_that_may_hear_no_more_hears_no_more(tmp_path):
    async with running(tmp_path, edit=receiving, rules=RULES) as company:
        at = await receivers(company)
        await at.shop.stream()
        await at.bank.stream()
        async with foundation(load_config(tmp_path / "mintwarden.toml", environ={})) as base:
            clients = base.bundle.catalogue.clients
            barred = {**clients, "shop": replace(clients["shop"], ceilings={})}
            out = SignalsOut(base, lambda: replace(base.bundle.catalogue, clients=barred))
            await out.revoked("subject", "User:alice", EntityUid("Workload", "operator"))
            streams = {one.client_id: one.id for one in await out.streams.all()}
            assert await out.events.count(streams["shop"]) == 0
            assert await out.events.count(streams["bank"]) == 1


async def test_a_receiver_that_calls_without_end_is_told_to_wait(tmp_path):
    async with signalling(tmp_path, server="admin_rate = 0.01\nadmin_burst = 3\n") as at:
        stream = await at.shop.stream()
        named = {"stream_id": stream["stream_id"], "status": "paused"}
        answers = [await at.shop.call("POST", "status", named) for _ in range(4)]
        assert [one.status_code for one in answers] == [200, 200, 429, 429]
        assert int(answers[-1].headers["retry-after"]) > 1
        assert (await at.bank.call("GET", "stream")).status_code == 200, "each has its own"
        assert len([one for one in await at.entries("administration") if one["detail"].get("stream")]) == 3


async def test_a_verification_goes_out_with_the_rest_or_not_at_all(at):
    stream = await at.shop.stream()
    named = {"stream_id": stream["stream_id"]}
    await at.shop.call("POST", "status", {**named, "status": "paused"})
    await at.shop.verified(stream, "x")
    assert await at.shop.poll(stream) == {}
    await at.shop.call("POST", "status", {**named, "status": "enabled"})
    assert len(await at.shop.poll(stream)) == 1
    await at.shop.call("POST", "status", {**named, "status": "disabled"})
    assert (await at.shop.call("POST", "verify", named)).status_code == 400
    await at.shop.call("POST", "status", {**named, "status": "enabled"})
    assert await at.shop.poll(stream) == {}
