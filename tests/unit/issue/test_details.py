"""`authorization_details` as a request sends them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mintwarden.issue.details import MAX_BYTES, read_details
from mintwarden.issue.target import read_target
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.request import TokenRequest
from mintwarden.policy.bundle.model import Bundle
from tests.unit.policy.company import CLIENT
from tests.unit.policy.detailed import load_detailed, payment, statement

HERE = "https://api.example/payments"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    other = CLIENT.replace('id = "app"', 'id = "other"').replace(
        'payments = ["pay:read", "pay:write", "pay:approve"]\n', ""
    )
    return load_detailed(tmp_path_factory.mktemp("detailed"), files={"clients/other.toml": other})


def asking(text: str | None = None, **form: str) -> TokenRequest:
    sent = form if text is None else {"authorization_details": text, **form}
    return TokenRequest(unverified_form={name: (value,) for name, value in sent.items()}, received_at=0)


def told(*details: Any) -> str:
    return json.dumps([one if isinstance(one, dict) else one.said for one in details])


def refused(bundle: Bundle, text: str, client: str = "app") -> str:
    with pytest.raises(MintwardenError) as caught:
        read_details(asking(text), bundle.catalogue.clients[client], bundle.catalogue)
    assert caught.value.kind is ErrorKind.INVALID_AUTHORIZATION_DETAILS
    assert caught.value.hint
    return caught.value.public


def test_a_request_without_any_has_none(bundle: Bundle) -> None:
    assert read_details(asking(), bundle.catalogue.clients["app"], bundle.catalogue) == ()


def test_details_are_read_in_order(bundle: Bundle) -> None:
    found = read_details(asking(told(statement(), payment())), bundle.catalogue.clients["app"], bundle.catalogue)
    assert found == (statement(), payment())


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "x",
        "{}",
        '"payment"',
        "null",
        "[]",
        "[",
        '[{"type": "statement", "accounts": ["a"]},]',
        '[{"type": "statement", "accounts": ["a"]}] x',
        "[1.5]",
        "[NaN]",
        '[{"type": "statement", "type": "payment", "accounts": ["a"]}]',
        '[{"type": "statement", "accounts": ["a"], "accounts": ["b"]}]',
        '[{"type": "statement", "accounts": ["\\ud800"]}]',
        f"[{'9' * 5000}]",
        f"[{2**70}]",
        "[" * 4000,
        "[" * 4000 + "]" * 4000,
        json.dumps([{"type": "statement", "accounts": ["a"]}] * 17),
        json.dumps([{"type": "statement", "accounts": ["a" * MAX_BYTES]}]),
        json.dumps([{"type": "statement", "accounts": ["é" * (MAX_BYTES // 2)]}], ensure_ascii=False),
    ],
)
def test_what_is_no_array_of_objects_is_refused(bundle: Bundle, text: str) -> None:
    assert "authorization detail" in refused(bundle, text)


@pytest.mark.parametrize("said", [1, "payment", None, [], {}, {"type": 1}, {"type": None}, {"Type": "payment"}])
def test_an_element_without_a_type(bundle: Bundle, said: Any) -> None:
    assert refused(bundle, json.dumps([said])) == "an authorization detail has no `type`"


def test_an_unknown_type_and_one_where_the_client_may_not_go_look_alike(bundle: Bundle) -> None:
    one = refused(bundle, told({"type": "nothing"}))
    assert one == refused(bundle, told(statement()), client="other")
    assert one == refused(bundle, told({"type": "Payment"}))


def test_what_its_type_does_not_declare_is_named(bundle: Bundle) -> None:
    said = payment().said | {"more": 1}
    assert refused(bundle, told(said)) == "authorization detail `payment`: there is no field `more`"
    text = '[{"type": "payment", "note": ' + "[" * 300 + "]" * 300 + "}]"
    assert refused(bundle, text) == "authorization detail `payment`: the field `actions` is missing"


def test_details_settle_the_audience(bundle: Bundle) -> None:
    client, catalogue = bundle.catalogue.clients["app"], bundle.catalogue
    details = (payment(),)
    target = read_target(asking(), client, catalogue, details=details)
    assert (target.audience, target.scopes, target.defaulted) == ("payments", (), False)
    named = read_target(asking(resource=HERE, scope="pay:read"), client, catalogue, details=details)
    assert (named.audience, named.scopes) == ("payments", ("pay:read",))


@pytest.mark.parametrize("form", [{"audience": "legacy"}, {"scope": "old:use"}])
def test_a_detail_of_another_audience_is_refused(bundle: Bundle, form: dict[str, str]) -> None:
    with pytest.raises(MintwardenError) as caught:
        read_target(asking(**form), bundle.catalogue.clients["app"], bundle.catalogue, details=(payment(),))
    assert caught.value.kind is ErrorKind.INVALID_AUTHORIZATION_DETAILS
