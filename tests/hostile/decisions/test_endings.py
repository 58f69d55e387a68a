"""Whatever a decision leans on and that has an end: the token does not outlive it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mintwarden.model.facts import Reading
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.decide import decide
from tests.unit.policy.company import LEGACY, NOW, asked, facts, load_company


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return load_company(tmp_path_factory.mktemp("ending"))


def test_a_membership_that_ends_ends_what_the_old_mapping_gave(bundle: Bundle) -> None:
    question = asked("old:use", audience="legacy")
    ending = facts(groups=("everyone",), ends={"subject/groups": {"everyone": NOW + 20_500}})
    lifetime = decide(bundle, question, ending, NOW).lifetime
    assert lifetime is not None
    assert (lifetime.seconds, lifetime.bounded_by) == (20, "entitlement:groups/everyone")


def test_a_tenant_membership_that_ends_ends_the_token(tmp_path: Path) -> None:
    tenancy = '[[tenancy]]\nparameter = "tenant"\nmember_of = "subject.tenants"\n'
    files = {"audiences/legacy.toml": LEGACY + tenancy}
    judged = load_company(tmp_path, files=files)
    question = asked("old:use", audience="legacy", tenant="t1")
    ending = facts(groups=("everyone",), ends={"subject/tenants": {"t1": NOW + 9_999, "t2": NOW + 1_000}})
    lifetime = decide(judged, question, ending, NOW).lifetime
    assert lifetime is not None
    assert (lifetime.seconds, lifetime.bounded_by) == (9, "entitlement:tenants/t1")


def test_an_approval_that_ends_ends_the_token(bundle: Bundle) -> None:
    known = facts(
        attrs={"approvals": frozenset({"manager:pay:approve"}), "manager": "bob"},
        readings={"subject/approvals": Reading("present")},
        ends={"subject/approvals": {"manager:pay:approve": NOW + 30_000, "manager:pay:write": NOW + 1_000}},
    )
    lifetime = decide(bundle, asked("pay:approve"), known, NOW).lifetime
    assert lifetime is not None
    assert (lifetime.seconds, lifetime.bounded_by) == (30, "entitlement:approvals/manager:pay:approve")
