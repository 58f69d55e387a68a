from __future__ import annotations

import msgspec
import pytest

from mintwarden.feeds.security_events import (
    KNOWN,
    OF_CAEP,
    OF_RISC,
    OF_STREAMS,
    SESSION_REVOKED,
    VERIFICATION,
    BadEvent,
    SecurityEvent,
    claims_of,
    read_event,
)
from mintwarden.feeds.subject_ids import iss_sub, opaque

EVENT = SecurityEvent(
    issuer="https://id.example",
    audience=("receiver",),
    token_id="1",
    issued_at=1_700_000_000,
    event=SESSION_REVOKED,
    subject=iss_sub("https://id.example", "alice"),
    content={"event_timestamp": 1_700_000_000},
    transaction="t",
)


def _without(claims, name):
    return {key: value for key, value in claims.items() if key != name}


def test_what_is_said_is_what_is_read():
    claims = msgspec.json.decode(msgspec.json.encode(claims_of(EVENT)))
    assert read_event(claims) == EVENT
    assert set(claims) == {"iss", "aud", "iat", "jti", "sub_id", "events", "txn"}
    assert claims["aud"] == "receiver"
    assert list(claims["events"]) == [SESSION_REVOKED]


def test_several_audiences_are_a_list_and_no_cause_is_no_claim():
    event = SecurityEvent(
        issuer="i", audience=("a", "b"), token_id="1", issued_at=0, event=VERIFICATION, subject=opaque("s")
    )
    claims = claims_of(event)
    assert claims["aud"] == ["a", "b"]
    assert "txn" not in claims
    assert read_event(claims) == event


def test_the_types_are_apart():
    assert not OF_CAEP & OF_RISC
    assert not OF_STREAMS & (OF_CAEP | OF_RISC)
    assert len(KNOWN) == 2 + 8 + 14


def test_a_time_may_have_a_fraction():
    assert read_event({**claims_of(EVENT), "iat": 12.5}).issued_at == 12


@pytest.mark.parametrize("name", ["iss", "aud", "iat", "jti", "sub_id", "events"])
def test_nothing_that_it_needs_may_be_missing(name):
    with pytest.raises(BadEvent):
        read_event(_without(claims_of(EVENT), name))


@pytest.mark.parametrize(
    "wrong",
    [
        {"sub": "alice"},
        {"exp": 1_800_000_000},
        {"nonce": "n"},
        {"events": {}},
        {"events": {SESSION_REVOKED: {}, VERIFICATION: {}}},
        {"events": {SESSION_REVOKED: "x"}},
        {"events": {"": {}}},
        {"events": [SESSION_REVOKED]},
        {"iat": "1"},
        {"iat": True},
        {"iat": -1},
        {"iat": float("inf")},
        {"aud": []},
        {"aud": [1]},
        {"aud": ""},
        {"jti": ""},
        {"jti": "x" * 1_001},
        {"txn": 1},
        {"sub_id": "alice"},
    ],
    ids=str,
)
def test_what_could_be_another_token_or_says_nothing_is_refused(wrong):
    with pytest.raises(BadEvent):
        read_event({**claims_of(EVENT), **wrong})
