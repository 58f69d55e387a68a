"""The kinds, their documentation, and what a code host reads."""

from __future__ import annotations

import re

import msgspec

from mintwarden.policy.lint.kinds import KINDS
from mintwarden.policy.lint.lint import OWN
from mintwarden.policy.lint.sarif import sarif
from tests.docs.pages import headings
from tests.unit.policy.lint.conftest import STARTER, looked_over

PAGE = STARTER.parents[4] / "docs/policy-lint.md"
TOLD = {**{kind.id: (kind.severity, kind.summary) for kind in KINDS}, **{i: ("warning", s) for i, s in OWN.items()}}


def test_every_kind_has_its_heading_and_its_row_and_nothing_else_has():
    text = PAGE.read_text()
    rows = dict(re.findall(r"^\| \[`([a-z-]+)`\]\(#\1\) \| (\w+ \| .*) \|$", text, flags=re.MULTILINE))
    assert rows == {name: " | ".join(told) for name, told in TOLD.items()}
    assert {heading for heading in headings(PAGE) if re.fullmatch(r"[a-z-]+-[a-z-]+", heading)} == set(TOLD)
    assert len(TOLD) == len(KINDS) + len(OWN)


def test_findings_come_in_order_of_place():
    changes = (
        ("clients/shop-web.toml", "Shop Platform", "tbd"),
        ("rules/orders.cedar", '@max_ttl("5m")', '@max_ttl("6m")'),
    )
    findings = looked_over(*changes)
    assert [(f.file, f.id, f.severity) for f in findings] == [
        ("clients/shop-web.toml", "client-without-owner", "warning"),
        ("rules/orders.cedar", "lifetime-over-cap", "warning"),
    ]
    assert all(f.documentation == f"docs/policy-lint.md#{f.id}" and f.remedy for f in findings)


def test_sarif_names_rule_place_and_suppression():
    allow = "# lint: allow client-without-owner until 2026-11-30: sold"
    findings = looked_over(("clients/shop-web.toml", 'owner = "Shop Platform"', f'owner = "tbd" {allow}'))
    document = msgspec.json.decode(msgspec.json.encode(sarif(findings, folder="policy/", version="1")))
    (run,) = document["runs"]
    assert document["version"] == "2.1.0"
    assert {rule["id"] for rule in run["tool"]["driver"]["rules"]} == set(TOLD)
    assert run["results"] == [
        {
            "ruleId": "client-without-owner",
            "level": "warning",
            "message": {"text": "client `shop-web` has no owner: `tbd`. name the team that answers for it."},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": "policy/clients/shop-web.toml"},
                        "region": {"startLine": 7},
                    }
                }
            ],
            "suppressions": [{"kind": "inSource", "justification": "sold"}],
        }
    ]
