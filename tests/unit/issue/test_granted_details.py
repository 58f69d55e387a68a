"""What a person granted in detail, at the token endpoint: the same, or less."""

from __future__ import annotations

import json

import pytest

from mintwarden.authn.sign_in import SignIn
from mintwarden.issue.granted import Granted, Recalled, asked_of
from mintwarden.model.asked import Asked
from mintwarden.model.caller import Caller
from mintwarden.model.detail import Detail
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.request import TokenRequest
from mintwarden.policy.bundle.model import Bundle
from tests.unit.policy.company import ALICE, NOW
from tests.unit.policy.detailed import load_detailed, payment, statement

CALLER = Caller(client_id="app", method="client_secret_basic")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return load_detailed(tmp_path_factory.mktemp("detailed"))


def asked(bundle: Bundle, granted: tuple[Detail, ...], *wanted: Detail, scopes: tuple[str, ...] = ()) -> Asked:
    allowed = Granted(
        grant_id="g",
        client_id="app",
        sign_in=SignIn(subject=ALICE, provider="login", authenticated_at=NOW),
        scopes={"payments": scopes},
        details=granted,
        granted_at=NOW,
        ends=NOW + 60_000,
    )
    form = {"authorization_details": (json.dumps([one.said for one in wanted]),)} if wanted else {}
    request = TokenRequest(unverified_form=form, received_at=NOW)
    client, catalogue = bundle.catalogue.clients["app"], bundle.catalogue
    return asked_of("refresh_token", Recalled(granted=allowed), request, CALLER, client, catalogue, narrows=True)


def test_what_was_granted_is_asked_for_again(bundle: Bundle) -> None:
    question = asked(bundle, (payment("50.00"), statement()))
    assert question.details == (payment("50.00"), statement())
    assert question.scopes == ()
    assert question.parent is not None
    assert question.parent.details == question.details


def test_a_request_may_narrow_it(bundle: Bundle) -> None:
    question = asked(bundle, (payment("50.00"), statement("a", "b")), statement("a"), scopes=("pay:read",))
    assert (question.scopes, question.details) == (("pay:read",), (statement("a"),))
    assert question.parent is not None
    assert question.parent.details == (payment("50.00"), statement("a", "b"))


@pytest.mark.parametrize(
    "wanted",
    [(payment("50.01"),), (payment("1.00"), payment("1.00")), (statement(),), (payment("50.00", urgent=True),)],
)
def test_and_never_widen_it(bundle: Bundle, wanted: tuple[Detail, ...]) -> None:
    with pytest.raises(MintwardenError) as caught:
        asked(bundle, (payment("50.00"),), *wanted)
    assert caught.value.kind is ErrorKind.INVALID_AUTHORIZATION_DETAILS


def test_whoever_was_granted_scopes_alone_gets_no_details(bundle: Bundle) -> None:
    assert asked(bundle, (), scopes=("pay:read",)).details == ()
    with pytest.raises(MintwardenError):
        asked(bundle, (), payment("1.00"), scopes=("pay:read",))
