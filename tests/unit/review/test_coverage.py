"""Coverage: what scenarios have seen true and false, and only what Cedar would have looked at."""

from __future__ import annotations

from mintwarden.review.coverage import coverage
from mintwarden.review.watch import watch_scenarios

R, T = "rules/orders.cedar", "tests/orders.toml"


def _scenario(
    number: int, given: str, document: str = "", expect: str = 'refused = { "orders:read" = "no_route" }'
) -> str:
    facts = f"""[scenario.given.facts."User:ada".directory]
facts = {{ department = "sales", tenants = [] }}
{document}
"""
    return f"""
[[scenario]]
id = "more-{number}"
why = "to see"
[scenario.given]
{given}
audience = "orders"
now = "2026-11-24T02:30:00Z"
{facts}
[scenario.expect]
{expect}
"""


ADA = """client = "shop-web"
grant = "token_exchange"
subject = 'User::"ada"'
scopes = ["orders:read"]"""


def _of(bundle, rule):
    found = {one.id: one for one in coverage(bundle.rules.rules.values(), watch_scenarios(bundle))}[rule]
    return (found.rule.true, found.rule.false), {c.text: (c.true, c.false) for c in found.conditions}


def test_a_rule_and_its_conditions(loaded):
    held, conditions = _of(loaded(), "orders-export-night")
    assert held == (True, True)
    assert conditions == {
        'principal == Workload::"order-export"': (True, False),
        'context.request.time.toTime() >= duration("1h")': (True, False),
        'context.request.time.toTime() < duration("4h")': (True, True),
    }


def test_the_principals_type_is_no_condition_and_what_decided_hides_the_rest(loaded):
    more = _scenario(1, ADA, 'groups = ["order-desk"]', 'granted = ["orders:read"]')
    _, conditions = _of(loaded(), "orders-read-staff")
    assert set(conditions) == {'principal in Group::"order-desk"', 'principal.department == "support"'}
    _, after = _of(loaded((T, "", more)), "orders-read-staff")
    assert after['principal in Group::"order-desk"'][0] is True
    assert after['principal.department == "support"'] == (False, False)
    held, both = _of(loaded((T, "", _scenario(1, ADA))), "orders-read-staff")
    assert held == (True, True)
    assert both == {
        'principal in Group::"order-desk"': (True, True),
        'principal.department == "support"': (False, True),
    }


def test_negations_and_choices_are_seen_through_to_their_conditions(loaded):
    rule = """
@id("extra") @owner("O") @reason("because")
permit (principal is User, action == Action::"issue", resource == Scope::"orders:read")
when { !(principal.department == "sales" && principal.tenants.contains("a")) }
when { if principal.department == "nowhere" then principal.tenants.contains("b") else principal.tenants.contains("c") };
"""
    _, conditions = _of(loaded((R, "", rule), (T, "", _scenario(1, ADA))), "extra")
    assert conditions['principal.tenants.contains("a")'] == (False, True)
    assert conditions['principal.tenants.contains("b")'] == (False, False)
    assert conditions['principal.tenants.contains("c")'] == (False, True)


def test_a_rule_that_nobody_asked(loaded):
    rule = """
@id("extra") @owner("O") @reason("because")
permit (principal is Agent, action == Action::"issue", resource == Scope::"orders:read")
when { context.chain.depth > 0 };
"""
    assert _of(loaded((R, "", rule)), "extra") == ((False, False), {"context.chain.depth > 0": (False, False)})


def test_it_is_told_in_order_of_place(loaded):
    bundle = loaded()
    found = coverage(bundle.rules.rules.values(), watch_scenarios(bundle))
    assert [one.line for one in found] == sorted(one.line for one in found)
    assert len(found) == len(bundle.rules.rules)
