"""Authorization details that would say more than was granted, or read differently to a rule, a person and an API."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from mintwarden.authn.claims import details as read_claim
from mintwarden.authn.jose import JoseError
from mintwarden.issue.details import MAX_BYTES, read_details
from mintwarden.model.asked import Asked, Parent
from mintwarden.model.detail import Detail
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.request import TokenRequest
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.decide import decide
from mintwarden.policy.details import read_detail
from tests.unit.policy.company import NOW, asked, facts
from tests.unit.policy.detailed import load_detailed, payment, statement


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return load_detailed(tmp_path_factory.mktemp("detailed"))


def read(bundle: Bundle, text: str) -> tuple[Detail, ...]:
    request = TokenRequest(unverified_form={"authorization_details": (text,)}, received_at=0)
    return read_details(request, bundle.catalogue.clients["app"], bundle.catalogue)


def refused(bundle: Bundle, text: str) -> None:
    with pytest.raises(MintwardenError) as caught:
        read(bundle, text)
    assert caught.value.kind is ErrorKind.INVALID_AUTHORIZATION_DETAILS
    assert len(caught.value.public) < 700


def saying(**fields: Any) -> str:
    return json.dumps([payment(**fields).said])


# -- what is read -----------------------------------------------------------------------------------------------------


def test_injected_fields_beside_the_declared_ones(bundle: Bundle) -> None:
    for field in ("scope", "limit", "Amount", "amount ", "amоunt", "__proto__", "constructor", "$ref", "", "aud"):
        refused(bundle, json.dumps([payment().said | {field: "1.00"}]))


def test_injected_fields_inside_a_record(bundle: Bundle) -> None:
    refused(bundle, saying(creditor={"account": "DE01", "amount": "1.00"}))


def test_a_member_twice_at_any_depth_so_that_two_readers_see_two_amounts(bundle: Bundle) -> None:
    one = '"actions":["initiate"],"currency":"EUR"'
    refused(bundle, f'[{{"type":"payment",{one},"amount":"1.00","amount":"9999.00"}}]')
    refused(bundle, f'[{{"type":"payment",{one},"amount":"1.00","\\u0061mount":"9999.00"}}]')
    refused(bundle, f'[{{"type":"payment",{one},"amount":"1.00","creditor":{{"account":"A","account":"B"}}}}]')
    refused(bundle, f'[{{"type":"statement","type":"payment",{one},"amount":"1.00"}}]')


@pytest.mark.parametrize("amount", [100, 100.0, True, None, ["1.00"], {"value": "1.00"}])
def test_a_number_is_no_decimal_and_a_decimal_no_number(bundle: Bundle, amount: Any) -> None:
    refused(bundle, json.dumps([{**payment().said, "amount": amount}]))


@pytest.mark.parametrize(
    "amount",
    [
        "1,00",
        "1.000,00",
        "1e2",
        "0x10",
        "١.٠٠",
        "1.00 ",
        "\u200b1.00",
        "−1.00",
        "+1",
        "1.",
        ".5",
        "1_0",
        "NaN",
        "∞",
        "",
    ],
)
def test_amounts_that_two_readers_could_read_differently(bundle: Bundle, amount: str) -> None:
    refused(bundle, saying(amount=amount))


@pytest.mark.parametrize("parts", ["1", 1.0, True, -(2**63) - 1, 2**64])
def test_a_whole_number_is_nothing_else(bundle: Bundle, parts: Any) -> None:
    refused(bundle, saying(parts=parts))


@pytest.mark.parametrize(
    "text",
    [
        "pay\u202eDE01",  # turns what follows around
        "pay\u2066x\u2069",
        "pay\u200bDE01",  # is not seen
        "pay\u00adDE01",
        "pay\ufeffDE01",
        "pay\x00DE01",
        "pay\nDE01",
        "pay\u2028DE01",
        "pay\ue000DE01",  # means what each font wants
        "pay\U000e0041DE01",
        "\u3164",  # a letter that is drawn as nothing
        "pay\u115fDE01",
        "pay\u2800DE01",
        "pay\ufe0eDE01",  # the same letter once more
        "p" + "\u0336" * 5 + "ay",  # marks that cover it
        "\u0301pay",
        "Zoe\u0308",  # the same as the one before, in other characters
    ],
)
def test_characters_that_nobody_sees_or_that_read_like_others(bundle: Bundle, text: str) -> None:
    refused(bundle, saying(note=text))
    refused(bundle, json.dumps([payment(note="x").said | {"note": text}], ensure_ascii=True))


def test_half_of_a_pair_of_surrogates(bundle: Bundle) -> None:
    refused(bundle, '[{"type":"statement","accounts":["\\ud83d"]}]')
    assert read(bundle, '[{"type":"statement","accounts":["\\ud83d\\ude00"]}]') == (statement("😀"),)


def test_huge_nesting_and_huge_numbers_and_huge_texts(bundle: Bundle) -> None:
    for text in (
        "[" * (MAX_BYTES + 1),
        "[" * MAX_BYTES,
        '[{"type":' * 800,
        "[" * 4_000 + "]" * 4_000,
        '{"a":' * 1_500 + "1" + "}" * 1_500,
        '[{"type":"payment","note":' + "[" * 3_000 + "]" * 3_000 + "}]",
        "[" + "9" * (MAX_BYTES - 10) + "]",
        '[{"type":"payment","parts":' + "9" * 5_000 + "}]",
        saying(note="x" * 20_000),
        json.dumps([statement().said] * 1_000),
    ):
        refused(bundle, text)


def test_a_detail_for_the_servers_of_somebody_else(bundle: Bundle) -> None:
    for location in ("https://api.example/legacy", "https://api.example/payments#x", "HTTPS://api.example/payments"):
        refused(bundle, saying(locations=[location]))


# -- what is granted --------------------------------------------------------------------------------------------------


def exchanging(*details: Detail, earlier: tuple[Detail, ...] = (), scopes: tuple[str, ...] | None = ()) -> Asked:
    parent = Parent(token_id="t", scopes=scopes, expires_at=NOW + 60_000, details=earlier)
    return msgspec.structs.replace(asked(), scopes=(), details=details, parent=parent)


def answers(bundle: Bundle, question: Asked) -> list[str]:
    return [detail.reason or "granted" for detail in decide(bundle, question, facts(), NOW).details]


def test_widening_a_detail_by_an_exchange(bundle: Bundle) -> None:
    held = payment("10.00", parts=2, creditor={"account": "A"}, actions=["initiate"])
    for wider in (
        payment("10.01", parts=2, creditor={"account": "A"}),
        payment("10.00", parts=3, creditor={"account": "A"}),
        payment("10.00", parts=2, creditor={"account": "B"}),
        payment("10.00", parts=2, creditor={"account": "A"}, actions=["initiate", "cancel"]),
        payment("10.00", parts=2, creditor={"account": "A"}, currency="USD"),
        payment("10.00", creditor={"account": "A"}),  # without its limit
        payment("10.00", parts=2),  # to anybody
        payment("10.00", parts=2, creditor={"account": "A"}, urgent=True),
        payment("-10.00", parts=2, creditor={"account": "A"}),
        statement(),
    ):
        assert answers(bundle, exchanging(wider, earlier=(held,))) == ["wider_than_parent"]
    assert answers(bundle, exchanging(held, earlier=(held,))) == ["granted"]


def test_one_payment_does_not_become_two(bundle: Bundle) -> None:
    twice = exchanging(payment("10.00"), payment("10.00"), earlier=(payment("10.00"),))
    assert answers(bundle, twice) == ["granted", "wider_than_parent"]


def test_a_part_of_each_of_two_details_is_not_one_that_neither_has(bundle: Bundle) -> None:
    held = (payment("90.00", creditor={"account": "A"}), payment("5.00", creditor={"account": "B"}))
    assert answers(bundle, exchanging(payment("90.00", creditor={"account": "B"}), earlier=held)) == [
        "wider_than_parent"
    ]


def test_an_earlier_token_of_ours_without_details_carries_none(bundle: Bundle) -> None:
    assert answers(bundle, exchanging(payment("1.00"))) == ["wider_than_parent"]
    assert answers(bundle, exchanging(payment("1.00"), scopes=("pay:read", "pay:write"))) == ["wider_than_parent"]


def test_a_scope_does_not_stand_for_a_detail_nor_a_detail_for_a_scope(bundle: Bundle) -> None:
    question = msgspec.structs.replace(asked("payment", "statement"), details=(Detail(type="pay:read"),))
    decision = decide(bundle, question, facts(), NOW)
    assert [scope.reason for scope in decision.scopes] == ["unknown_scope", "unknown_scope"]
    assert [detail.reason for detail in decision.details] == ["unknown_detail"]
    assert not decision.granted


def test_what_rules_see_is_what_the_request_says_and_not_what_the_facts_say(bundle: Bundle) -> None:
    """Facts of a context that bring a detail of their own are overruled."""
    small = read_detail(bundle.catalogue.audiences["payments"], payment("1.00"))
    held = facts(context={"detail": small})
    question = msgspec.structs.replace(asked(acr=""), scopes=(), details=(payment("900.00"),))
    assert decide(bundle, question, held, NOW).details[0].reason == "obligation_unmet"


@pytest.mark.parametrize("claim", [{}, "x", [1], [[]], [{"amount": "1.00"}], [{"type": 1}], None])
def test_a_token_whose_details_are_not_understood_is_no_evidence(claim: Any) -> None:
    with pytest.raises(JoseError):
        read_claim({"authorization_details": claim})
