"""Details against their types, and what is narrower than what."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintwarden.model.detail import Detail, detail_of
from mintwarden.model.values import Decimal4, Record
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.details import DetailRefused, carried, is_within, read_detail, record_of
from tests.unit.policy.detailed import load_detailed, payment, statement

HERE = "https://api.example/payments"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return load_detailed(tmp_path_factory.mktemp("detailed"))


def read(bundle: Bundle, detail: Detail) -> Record:
    audience = bundle.catalogue.audiences["payments"]
    return record_of(audience.details[detail.type], audience, detail.fields)


def test_every_kind_of_field_is_read(bundle: Bundle) -> None:
    said = payment("12.5", parts=3, urgent=True, note="für Zoë", locations=[HERE], creditor={"account": "DE01"})
    assert read(bundle, said) == Record(
        {
            "actions": frozenset({"initiate"}),
            "amount": Decimal4(125_000),
            "currency": "EUR",
            "parts": 3,
            "urgent": True,
            "note": "für Zoë",
            "locations": frozenset({HERE}),
            "creditor": Record({"account": "DE01"}),
        }
    )


def test_the_members_of_a_detail_stand_in_the_order_of_their_names() -> None:
    said = {"type": "t", "b": [{"y": 1, "x": 2}], "a": {"d": 1, "c": 2}}
    assert repr(detail_of(said).fields) == "{'a': {'c': 2, 'd': 1}, 'b': [{'x': 2, 'y': 1}]}"
    assert detail_of(said).said == said


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"more": 1}, "there is no field `more`"),
        ({"amount": 10}, "`amount` is not a decimal in a string"),
        ({"amount": "1e3"}, "`amount` is not a decimal"),
        ({"amount": "010.00"}, "`amount` is not a decimal"),
        ({"amount": "+1.00"}, "`amount` is not a decimal"),
        ({"amount": "-0.00"}, "`amount` is not a decimal"),
        ({"amount": "1.00001"}, "`amount` is not a decimal"),
        ({"amount": "999999999999999.9999"}, "`amount` is not a decimal"),
        ({"amount": "1٠.00"}, "`amount` is not a decimal"),
        ({"amount": " 1.00"}, "`amount` is not a decimal"),
        ({"parts": True}, "`parts` is not a whole number"),
        ({"parts": 1.0}, "`parts` is not a whole number"),
        ({"parts": "1"}, "`parts` is not a whole number"),
        ({"parts": 2**63}, "`parts` is out of range"),
        ({"urgent": 1}, "`urgent` is not a boolean"),
        ({"urgent": "true"}, "`urgent` is not a boolean"),
        ({"note": ""}, "`note` has 0 characters"),
        ({"note": "x" * 513}, "`note` has 513 characters"),
        ({"note": None}, "`note` is not a string"),
        ({"note": ["x"]}, "`note` is not a string"),
        ({"currency": "eur"}, "`currency` is none of those that it may be"),
        ({"actions": "initiate"}, "`actions` is not an array with elements"),
        ({"actions": []}, "`actions` is not an array with elements"),
        ({"actions": ["initiate", "initiate"]}, "`actions` has an element twice"),
        ({"actions": ["delete"]}, "`actions` is none of those that it may be"),
        ({"actions": [["initiate"]]}, "`actions` is not a string"),
        ({"actions": {"initiate": 1}}, "`actions` is not an array with elements"),
        ({"creditor": "DE01"}, "`creditor` is not an object"),
        ({"creditor": {"name": "x"}}, "the field `creditor.account` is missing"),
        ({"creditor": {"account": "DE01", "x": 1}}, "there is no field `creditor.x`"),
        ({"locations": ["https://elsewhere.example"]}, "`locations` names what is not of the audience"),
        ({"locations": [f"{HERE}/"]}, "`locations` names what is not of the audience"),
    ],
)
def test_what_does_not_fit_is_refused(bundle: Bundle, fields: dict[str, Any], what: str) -> None:
    with pytest.raises(DetailRefused) as caught:
        read(bundle, payment(**{"amount": "1.00", **fields}) if "amount" not in fields else payment(**fields))
    assert str(caught.value) == what
    assert caught.value.hint


def test_more_elements_than_a_set_may_have(bundle: Bundle) -> None:
    assert read(bundle, statement(*(f"a{n}" for n in range(100))))
    with pytest.raises(DetailRefused, match="more than 100 elements"):
        read(bundle, statement(*(f"a{n}" for n in range(101))))


def test_an_audience_reads_no_type_of_another(bundle: Bundle) -> None:
    assert read_detail(bundle.catalogue.audiences["legacy"], payment()) is None


@pytest.mark.parametrize(
    ("asked", "earlier", "is_less"),
    [
        (payment("10.00"), payment("10.0"), True),
        (payment("9.99"), payment("10.00"), True),
        (payment("10.01"), payment("10.00"), False),
        (payment("-1.00"), payment("10.00"), False),
        (payment("-1.00"), payment("-1.00"), True),
        (payment(actions=["initiate"]), payment(actions=["initiate", "cancel"]), True),
        (payment(actions=["initiate", "cancel"]), payment(actions=["cancel"]), False),
        (payment(currency="USD"), payment(), False),
        (payment(parts=1), payment(parts=2), True),
        (payment(parts=3), payment(parts=2), False),
        (payment(), payment(parts=2), False),
        (payment(parts=2), payment(), False),
        (payment(urgent=True), payment(urgent=False), False),
        (payment(note="a"), payment(note="b"), False),
        (payment(creditor={"account": "A"}), payment(creditor={"account": "A"}), True),
        (payment(creditor={"account": "A"}), payment(creditor={"account": "B"}), False),
        (payment(creditor={"account": "A"}), payment(creditor={"account": "A", "name": "N"}), False),
    ],
)
def test_what_is_within_an_earlier_one(bundle: Bundle, asked: Detail, earlier: Detail, *, is_less: bool) -> None:
    of = bundle.catalogue.details["payment"]
    assert is_within(of.fields, read(bundle, asked), read(bundle, earlier)) is is_less


def within(bundle: Bundle, asked: list[Detail], earlier: list[Detail]) -> frozenset[int]:
    audience = bundle.catalogue.audiences["payments"]
    return carried(audience, asked, [read_detail(audience, one) for one in asked], earlier)


def test_each_earlier_detail_stands_for_one(bundle: Bundle) -> None:
    assert within(bundle, [payment("1.0"), payment("1.0")], [payment("5.0")]) == {0}
    assert within(bundle, [payment("1.0"), payment("5.0")], [payment("5.0"), payment("2.0")]) == {0, 1}
    assert within(bundle, [payment("3.0"), payment("1.0")], [payment("2.0"), payment("3.0")]) == {0, 1}
    assert within(bundle, [statement("a")], [payment()]) == frozenset()
    assert within(bundle, [statement("a")], [statement("b", "a")]) == {0}


def test_an_earlier_detail_that_no_longer_fits_its_type_carries_nothing(bundle: Bundle) -> None:
    broken = Detail(type="payment", fields={"amount": "5.0"})
    assert within(bundle, [payment("1.0")], [broken]) == frozenset()
    assert within(bundle, [broken], [broken]) == frozenset()


amounts = st.integers(0, 30).map(lambda units: f"{units}.0")


@given(asked=st.lists(amounts, max_size=5), earlier=st.lists(amounts, max_size=5))
def test_as_many_are_carried_as_can_be(bundle: Bundle, asked: list[str], earlier: list[str]) -> None:
    """Against the greedy answer, which is right for amounts alone: the largest to the largest."""
    found = within(bundle, [payment(one) for one in asked], [payment(one) for one in earlier])
    count, held = 0, sorted(float(one) for one in earlier)
    for one in sorted(float(one) for one in asked):
        while held and held[0] < one:
            held.pop(0)
        if held:
            held.pop(0)
            count += 1
    assert len(found) == count
