"""A claim whose expression fails is left out, and the decision says so."""

from __future__ import annotations

from pathlib import Path

from mintwarden.policy.decide import decide
from mintwarden.policy.explain import explain
from mintwarden.policy.explain_text import explain_text
from tests.unit.policy.company import CLAIMS, NOW, PAYMENTS, asked, facts, load_company

BROKEN = """[claims.first]
type = "string"
source = "directory"
derive = "[subject.department][scopes.size()]"
description = "beyond the end"
"""


def test_a_failing_expression_is_visible_and_widens_nothing(tmp_path: Path) -> None:
    audience = PAYMENTS.replace("[claims]\n", '[claims]\nfirst = "*"\n')
    bundle = load_company(tmp_path, files={"claims.toml": CLAIMS + BROKEN, "audiences/payments.toml": audience})
    decision = decide(bundle, asked(), facts(), NOW)
    assert decision.granted
    assert decision.claim_faults == ("first",)
    assert [claim.name for claim in decision.claims] == ["department"]
    assert "claim `first` is left out" in explain_text(explain(bundle, asked(), facts(), NOW))
