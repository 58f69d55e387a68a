from __future__ import annotations

import asyncio
import re

import pytest

from mintwarden.model.decision import Obligation
from mintwarden.model.errors import ErrorKind, MintwardenError
from tests.unit.web.stand_ins import DECISION_ID, FORM_TYPE, NOW, bench, granted, refused, speak


async def test_a_grant_is_answered_with_the_token():
    b = bench()
    answer = await speak(b.endpoint, b"grant_type=client_credentials&scope=payments%3Aread")
    assert answer.status == 200
    assert answer.json() == {
        "access_token": "aaa.bbb.ccc",
        "token_type": "Bearer",
        "expires_in": 300,
        "scope": "payments:read",
    }
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/json"
    (request,) = b.stub.requests
    assert request.one("scope") == "payments:read"
    assert request.received_at == NOW
    assert request.address == "192.0.2.7"


async def test_an_exchange_names_the_type_of_what_it_issued():
    answer = await speak(bench(granted(grant="token_exchange")).endpoint, b"a=b")
    assert answer.json()["issued_token_type"] == "urn:ietf:params:oauth:token-type:access_token"


@pytest.mark.parametrize(("defaulted", "error"), [(False, "invalid_scope"), (True, "invalid_target")])
async def test_a_refusal_names_its_decision_and_nothing_more(defaulted, error):
    answer = await speak(bench(refused(Obligation("require_acr", "phr"), defaulted=defaulted)).endpoint, b"a=b")
    assert answer.status == 400
    assert answer.json() == {"error": error, "error_description": "refused by policy", "decision": DECISION_ID}


async def test_a_challenge_is_told_where_the_audience_discloses_it():
    outcome = refused(Obligation("require_acr", "phr"), Obligation("require_amr", "mfa"))
    answer = await speak(bench(outcome, disclose="challenge").endpoint, b"a=b")
    assert answer.json() == {
        "error": "unmet_authentication_requirements",
        "error_description": "the subject must sign in again as required",
        "decision": DECISION_ID,
        "required": [{"name": "require_acr", "value": "phr"}, {"name": "require_amr", "value": "mfa"}],
        "acr_values": "phr",
    }


async def test_a_demand_on_the_key_is_told_too():
    answer = await speak(bench(refused(Obligation("require_binding", "dpop")), disclose="challenge").endpoint, b"a=b")
    assert answer.json()["error"] == "invalid_scope"
    assert answer.json()["required"] == [{"name": "require_binding", "value": "dpop"}]


@pytest.mark.parametrize("kind", list(ErrorKind))
async def test_every_kind_of_error_has_an_answer(kind):
    b = bench(MintwardenError(kind, 'the `scope` is "odd"', hint="secret hint", authenticate=True))
    answer = await speak(b.endpoint, b"a=b")
    assert 400 <= answer.status <= 503
    assert "secret hint" not in answer.body.decode()
    assert answer.headers["cache-control"] == "no-store"
    if answer.status >= 500:
        assert "odd" not in answer.body.decode()
        assert answer.json()["reference"] == "ref-1"
    else:
        assert re.fullmatch(r"[\x20-\x21\x23-\x5b\x5d-\x7e]+", answer.json()["error_description"])
        assert (b.recorder.lines[0].what, b.recorder.lines[0].hint) == ('the `scope` is "odd"', "secret hint")
    if answer.status == 503:
        assert answer.headers["retry-after"] == "1" or kind is ErrorKind.OVERLOADED
    if kind is ErrorKind.INVALID_CLIENT:
        assert answer.headers["www-authenticate"].startswith("Basic ")


async def test_a_401_without_the_header_has_no_challenge():
    answer = await speak(bench(MintwardenError(ErrorKind.INVALID_CLIENT, "no")).endpoint, b"a=b")
    assert answer.status == 401
    assert "www-authenticate" not in answer.headers


async def test_an_unforeseen_error_yields_a_reference_alone():
    b = bench(ValueError("password=hunter2"))
    answer = await speak(b.endpoint, b"a=b")
    assert answer.status == 500
    assert answer.json() == {
        "error": "server_error",
        "error_description": "something went wrong here",
        "reference": "ref-1",
    }
    assert b.recorder.errors[0][0] == "ref-1"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ((), 415),
        (((b"content-type", b"application/json"),), 415),
        (((b"content-type", b"application/x-www-form-urlencoded; charset=latin-1"),), 415),
        (((b"content-type", b"multipart/form-data; boundary=x"),), 415),
        ((FORM_TYPE, (b"content-encoding", b"gzip")), 415),
        ((FORM_TYPE, FORM_TYPE), 400),
        ((FORM_TYPE, (b"authorization", b"Basic a"), (b"authorization", b"Basic b")), 400),
        (((b"content-type", b"Application/x-www-form-urlencoded; charset=UTF-8"),), 200),
        (((b"content-type", b'application/x-www-form-urlencoded;charset="utf-8"'),), 200),
    ],
)
async def test_heads(headers, status):
    answer = await speak(bench().endpoint, b"a=b", headers=headers)
    assert answer.status == status
    if status != 200:
        assert answer.json()["error"] == "invalid_request"


async def test_parameters_in_the_query_are_refused():
    answer = await speak(bench().endpoint, b"a=b", query=b"client_secret=x")
    assert (answer.status, answer.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("chunks", [[b"a" * 4097], [b"a" * 4000, b"b" * 97], [b"a"] * 4097])
async def test_a_body_beyond_the_limit_is_refused(chunks):
    assert (await speak(bench().endpoint, chunks)).status == 413


async def test_a_body_in_pieces_is_put_together():
    b = bench()
    assert (await speak(b.endpoint, [b"scope=a%", b"3Ar", b"ead"])).status == 200
    assert b.stub.requests[0].one("scope") == "a:read"


async def test_a_body_that_does_not_end_is_timed_out():
    b = bench()
    slow = asyncio.ensure_future(speak(b.endpoint, [b"scope="], hang=True))
    await asyncio.sleep(0)
    b.monotonic.seconds = 9.0
    b.gate.sweep()
    await asyncio.sleep(0)
    assert not slow.done()
    b.monotonic.seconds = 10.0
    b.gate.sweep()
    assert (await slow).status == 408
    assert b.gate.begun == 0


async def test_work_that_does_not_end_is_answered_503():
    never = asyncio.Event()

    async def work(_request):
        await never.wait()

    b = bench(work)
    slow = asyncio.ensure_future(speak(b.endpoint, b"a=b"))
    await asyncio.sleep(0)
    b.monotonic.seconds = 11.0
    b.gate.sweep()
    answer = await slow
    assert (answer.status, answer.json()["error"]) == (503, "temporarily_unavailable")
    assert b.recorder.lines[0].outcome == "timeout"


async def test_beyond_the_queue_the_answer_is_503_with_retry_after():
    opened = asyncio.Event()

    async def work(_request):
        await opened.wait()
        return granted()

    b = bench(work, in_flight=2, queued=2)
    held = [asyncio.ensure_future(speak(b.endpoint, b"a=b")) for _ in range(4)]
    await asyncio.sleep(0)
    assert (b.gate.in_flight, b.gate.waiting) == (2, 2)
    answer = await speak(b.endpoint, b"a=b")
    assert answer.status == 503
    assert answer.headers["retry-after"] in ("2", "3", "4", "5", "6")
    opened.set()
    assert [a.status for a in await asyncio.gather(*held)] == [200] * 4
    assert (b.gate.in_flight, b.gate.waiting) == (0, 0)


async def test_a_request_that_waits_too_long_for_its_turn_is_timed_out():
    never = asyncio.Event()

    async def work(_request):
        await never.wait()

    b = bench(work, in_flight=1, queued=2)
    first, second = (asyncio.ensure_future(speak(b.endpoint, b"a=b")) for _ in range(2))
    await asyncio.sleep(0)
    b.monotonic.seconds = 10.0
    b.gate.sweep()
    assert [(await r).status for r in (first, second)] == [503, 503]
    assert (b.gate.in_flight, b.gate.waiting) == (0, 0)


async def test_one_observation_per_request_without_secrets():
    b = bench()
    secret = (b"authorization", b"Basic c2VjcmV0")
    await speak(b.endpoint, b"client_secret=hunter2&scope=x", headers=(FORM_TYPE, secret))
    (line,) = b.recorder.lines
    assert (line.decision, line.client_id, line.outcome, line.status) == (DECISION_ID, "batch", "granted", 200)
    assert "hunter2" not in repr(line)
    assert "c2VjcmV0" not in repr(line)


async def test_cancelled_from_outside_stays_cancelled():
    never = asyncio.Event()

    async def work(_request):
        await never.wait()

    b = bench(work)
    task = asyncio.ensure_future(speak(b.endpoint, b"a=b"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert b.gate.in_flight == 0
