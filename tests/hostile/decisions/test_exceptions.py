"""Names and rules that would like to be taken for an exception, or to make one of theirs wider."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec
import pytest
from cedarpy import pst
from hypothesis import given
from hypothesis import strategies as st

from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.exception import ExceptionGrant
from mintwarden.model.values import EntityUid
from mintwarden.policy.approve.refusal import SignatureRefused
from mintwarden.policy.bundle.problem import BundleRefused
from mintwarden.policy.exception_request import TITLE, read_approval, read_request
from mintwarden.policy.exceptions import rule_of
from tests.unit.policy.company import NOW, RULES, load_company


def grant(principal: str, client: str = "") -> ExceptionGrant:
    return ExceptionGrant(
        id="0199-x",
        principal=EntityUid("User", principal),
        scope="pay:read",
        audience="payments",
        tier="low",
        starts_at=NOW,
        expires_at=NOW + 3_600_000,
        approvals=1,
        client=client,
    )


HOSTILE = (
    'alice"',
    'alice", action, resource);//',
    '") || (principal == User::"mallory',
    "alice\\",
    'alice\n", action, resource) when { true };\npermit (principal, action, resource); //',
    "alice\u202e",
    "\0",
)


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_a_principals_name_stays_a_name_in_cedar(name: str):
    head = rule_of(grant(name), NOW + 3_600_000).template.principal
    assert isinstance(head, pst.ScopeEq)
    assert isinstance(head.entity, pst.EntityUid)
    assert (str(head.entity.type), head.entity.id) == ("User", name)


@given(st.text(), st.text(min_size=1))
def test_whatever_the_names_it_is_one_policy(principal: str, client: str):
    rule = rule_of(grant(principal, client), NOW + 3_600_000)
    assert (rule.effect, rule.head.scope, rule.head.actions) == ("permit", "pay:read", frozenset({"issue"}))
    assert len(rule.template.clauses) == 1


def test_no_rule_can_be_called_like_an_exception(tmp_path: Path):
    rules = RULES.replace('@id("read")', '@id("exception:0199-x")')
    with pytest.raises(BundleRefused) as caught:
        load_company(tmp_path, rules=rules)
    assert "`exception:0199-x` is not usable" in str(caught.value)


@given(st.text() | st.text().map(lambda text: f"{TITLE}\nname: a\nat: 2026-11-18T11:06:40Z\n\n{text}"))
def test_no_text_is_an_approval_by_accident(text: str):
    """Whatever is handed in is refused as what it is, and breaks nothing."""
    with contextlib.suppress(SignatureRefused):
        approval = read_approval(text)
        assert approval.text.startswith(TITLE)


@given(st.binary() | st.recursive(st.none() | st.booleans() | st.text(), st.lists).map(msgspec.json.encode))
def test_no_bytes_are_a_request_by_accident(document: bytes):
    with pytest.raises(MintwardenError) as caught:
        read_request(document)
    assert caught.value.kind is ErrorKind.STORE
