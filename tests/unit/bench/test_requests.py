from __future__ import annotations

import base64
import json
from urllib.parse import parse_qs

import jwt

from bench.company import SCOPES
from bench.flood import read_requests
from bench.inline import read_wire
from bench.requests import Key, exchange, with_assertion, with_secret, write


def claims(token):
    return json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))


def test_each_secret_request_is_of_another_client_than_the_one_before(tmp_path):
    file = write(tmp_path / "r", with_secret(7, [f"secret{index}" for index in range(7)], 14))
    seen = [base64.b64decode((authorization or b"")[6:]).decode() for authorization, _ in read_wire(file)]
    assert len(set(seen[:7])) == len(set(seen)) == 7
    assert all(f"secret{name[1:]}" == secret for name, _, secret in (one.partition(":") for one in seen))


def test_clients_take_turns():
    shown = [form for form, _ in with_secret(1_000, ["x"] * 1_000, 1_000)]
    assert len(set(shown)) == 1_000


def test_no_assertion_is_used_twice_and_each_verifies():
    keys = [Key.generate("a"), Key.generate("b")]
    forms = [form for _, form in with_assertion(4, keys, "https://issuer.example", 8, "salt")]
    tokens = [form["client_assertion"] for form in forms]
    assert len({claims(token)["jti"] for token in tokens}) == 8
    for token in tokens:
        key = keys[int(claims(token)["sub"][1:]) % 2]
        jwt.decode(token, jwt.PyJWK(key.jwk).key, algorithms=["ES256"], audience="https://issuer.example")


def test_people_who_take_turns_are_spread_over_all():
    forms = [form for _, form in exchange(3, ["x"] * 3, 1_000, Key.generate("k"), 40, turns=10)]
    people = [claims(form["subject_token"])["sub"] for form in forms]
    assert set(people) == {f"u{index}" for index in range(0, 1_000, 100)}
    assert people[0] != people[1]


def test_all_people_take_turns_by_default():
    forms = [form for _, form in exchange(3, ["x"] * 3, 20, Key.generate("k"), 20)]
    assert len({claims(form["subject_token"])["sub"] for form in forms}) == 20


def test_a_file_is_read_as_it_was_written(tmp_path):
    lines = [("Basic abc", {"scope": "a b"}), ("-", {"grant_type": "x"})]
    file = write(tmp_path / "r", iter(lines))
    assert list(read_wire(file)) == [(b"Basic abc", b"scope=a+b"), (None, b"grant_type=x")]


def test_every_request_asks_for_the_five_scopes():
    _, form = next(iter(with_secret(1, ["x"], 1)))
    assert form["scope"].split() == list(SCOPES)
    assert parse_qs("resource=x")["resource"] == ["x"]


def test_a_flood_reads_the_file_again_when_it_ends(tmp_path):
    file = write(tmp_path / "r", iter([("Basic one", {"n": "1"}), ("-", {"n": "2"})]))
    read = read_requests(file, 1, "127.0.0.1:1", "/token")
    second, first, again = next(read), next(read), next(read)
    assert second == again
    assert second.endswith(b"Content-Length: 3\r\n\r\nn=2")
    assert b"Authorization" not in second
    assert first.startswith(b"POST /token HTTP/1.1\r\nHost: 127.0.0.1:1\r\n")
    assert b"\r\nAuthorization: Basic one\r\n" in first
