"""One audience, and only scopes that exist there."""

from __future__ import annotations

import msgspec
import pytest

from mintwarden.issue.target import read_target, read_targets
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.request import TokenRequest
from tests.unit.issue.catalogue import BOOK, CATALOGUE, PAY, client

WEB = CATALOGUE.clients["web"]


def asking(**form: str | tuple[str, ...]) -> TokenRequest:
    return TokenRequest(
        unverified_form={name: value if isinstance(value, tuple) else (value,) for name, value in form.items()},
        received_at=0,
    )


def refused(kind: ErrorKind, **form: str | tuple[str, ...]) -> None:
    with pytest.raises(MintwardenError) as caught:
        read_target(asking(**form), WEB, CATALOGUE)
    assert caught.value.kind is kind


def test_resource_and_audience_name_the_same() -> None:
    target = read_target(asking(resource=PAY, audience="payments", scope="pay:write pay:read"), WEB, CATALOGUE)
    assert (target.audience, target.scopes, target.defaulted) == ("payments", ("pay:write", "pay:read"), False)


def test_an_audience_of_several_servers_is_still_one_audience() -> None:
    several = msgspec.structs.replace(CATALOGUE.audiences["payments"], also=("https://eu.example/payments",))
    catalogue = msgspec.structs.replace(CATALOGUE, audiences={**CATALOGUE.audiences, "payments": several})
    for resource in (PAY, "https://eu.example/payments", (PAY, "https://eu.example/payments")):
        assert read_target(asking(resource=resource), WEB, catalogue).audience == "payments"
    with pytest.raises(MintwardenError):
        read_target(asking(resource=("https://eu.example/payments", BOOK)), WEB, catalogue)


def test_scopes_alone_settle_the_audience() -> None:
    assert read_target(asking(scope="book:read"), WEB, CATALOGUE).audience == "ledger"


def test_nothing_asked_means_the_defaults_never_everything() -> None:
    target = read_target(asking(resource=PAY), WEB, CATALOGUE)
    assert (target.scopes, target.defaulted) == (("pay:read",), True)


def test_defaults_stay_within_the_ceiling() -> None:
    narrow = client("narrow", ceilings={"payments": ("pay:write",)})
    with pytest.raises(MintwardenError) as caught:
        read_target(asking(resource=PAY), narrow, CATALOGUE)
    assert caught.value.kind is ErrorKind.INVALID_SCOPE


def test_scopes_out_of_reach_look_like_unknown_ones() -> None:
    narrow = client("narrow", ceilings={"payments": ("pay:read",)})
    answers = set()
    for scope in ("book:read", "no:where"):
        with pytest.raises(MintwardenError) as caught:
            read_target(asking(scope=scope), narrow, CATALOGUE)
        answers.add((caught.value.kind, caught.value.public))
    assert len(answers) == 1


def test_repeated_scopes_count_once() -> None:
    assert read_target(asking(scope="pay:read pay:read"), WEB, CATALOGUE).scopes == ("pay:read",)


@pytest.mark.parametrize(
    "resource", ["https://api.example/other", PAY + "/", PAY + "#x", "payments", "//api.example/payments", PAY.upper()]
)
def test_other_resources_are_invalid_targets(resource: str) -> None:
    refused(ErrorKind.INVALID_TARGET, resource=resource, scope="pay:read")


def test_two_audiences_are_one_too_many() -> None:
    refused(ErrorKind.INVALID_TARGET, resource=(PAY, BOOK))
    refused(ErrorKind.INVALID_TARGET, scope="pay:read book:read")
    refused(ErrorKind.INVALID_TARGET)


def test_an_audience_beyond_the_ceiling_looks_like_an_unknown_one() -> None:
    narrow = client("narrow", ceilings={"payments": ("pay:read",)})
    messages = set()
    for target in (BOOK, "https://nowhere.example"):
        with pytest.raises(MintwardenError) as caught:
            read_target(asking(resource=target), narrow, CATALOGUE)
        messages.add(caught.value.public)
    assert len(messages) == 1


@pytest.mark.parametrize(
    "scope", ["pay:nothing", "book:read pay:x", "pay:read  pay:write", 'pay"read', "pay\\read", "é", "x" * 129]
)
def test_scopes_that_do_not_exist(scope: str) -> None:
    refused(ErrorKind.INVALID_SCOPE, resource=PAY, scope=scope)


@pytest.mark.parametrize("of", ["client", "audience"])
def test_the_profile_of_mcp_has_the_server_named(of: str) -> None:
    known, catalogue = WEB, CATALOGUE
    if of == "client":
        known = client("web", profile="mcp")
    else:
        audience = msgspec.structs.replace(CATALOGUE.audiences["payments"], profile="mcp")
        catalogue = msgspec.structs.replace(CATALOGUE, audiences={**CATALOGUE.audiences, "payments": audience})
    for read in (read_target, read_targets):
        for form in ({"scope": "pay:read"}, {"scope": "pay:read", "audience": "payments"}):
            with pytest.raises(MintwardenError) as caught:
                read(asking(**form), known, catalogue)
            assert caught.value.kind is ErrorKind.INVALID_TARGET
        assert read(asking(scope="pay:read", resource=PAY), known, catalogue)
