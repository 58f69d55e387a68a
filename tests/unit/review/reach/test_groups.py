"""Which groups carry which scopes: shown by deciding with and without them."""

from __future__ import annotations

import pytest

from mintwarden.review.reach.groups import GroupCensus, GroupReport
from mintwarden.review.reach.reach import World
from tests.unit.policy.company import NOW
from tests.unit.review.reach.firm import RULES, agent, firm, person, said

MORE = """@id("no-temps") @owner("o") @reason("r")
forbid (principal is User, action, resource == Scope::"pay:write") when { principal in Group::"temps" };
@id("bots") @owner("o") @reason("r")
permit (principal is Agent in Group::"bots", action == Action::"act", resource == Scope::"pay:write");
@id("never") @owner("o") @reason("r")
permit (principal is User in Group::"ghosts", action == Action::"issue", resource == Scope::"pay:write");
"""


def reports(folder, members, rules=RULES + MORE) -> dict[str, GroupReport]:
    taken = GroupCensus(firm(folder, rules=rules), NOW, World(dict(members)))
    taken.take(sorted(members.items()))
    return {report.group: report for report in taken.reports()}


@pytest.fixture
def found(tmp_path) -> dict[str, GroupReport]:
    return reports(
        tmp_path,
        {
            "User:ann": person(groups=["finance", "team-a", "lunch"]),
            "User:bea": person(groups=["finance", "temps", "team-a"]),
            "User:cem": person(groups=["lunch", "everyone"]),
            "Agent:bot": agent(groups=["bots"], risk=50),
        },
    )


def carried(report: GroupReport) -> dict[str, tuple[str, int, int]]:
    return {one.scope: (one.how, one.changed, one.tried) for one in report.carries}


def test_a_group_carries_what_its_members_lose_without_it(found):
    assert carried(found["finance"])["pay:read"] == ("decided", 2, 2)
    assert found["finance"].members == 2
    assert found["finance"].carries[-1].example == "User:ann"


def test_a_mapping_counts_as_well_as_a_rule(found):
    assert carried(found["everyone"]) == {"old:use": ("decided", 1, 1)}


def test_a_group_that_a_guardrail_names_keeps_its_members_from_something(found):
    assert carried(found["temps"]) == {"pay:write": ("opened", 1, 1)}


def test_a_group_of_agents_carries_what_they_may_act_with(found):
    assert carried(found["bots"]) == {"pay:write": ("decided", 1, 1)}


def test_a_group_that_a_rule_names_and_nobody_is_in_says_so(found):
    assert found["ghosts"].members == 0
    assert carried(found["ghosts"]) == {"pay:write": ("read", 0, 0)}
    assert not found["ghosts"].could_go


def test_a_group_that_may_be_nested_in_one_that_carries_is_not_said_to_be_able_to_go(found):
    assert found["team-a"].within == ("finance",)
    assert not found["team-a"].could_go


def test_a_group_that_nothing_reads_could_go(found):
    assert found["lunch"].could_go
    assert found["lunch"].members == 2


def test_a_rule_that_may_read_any_group_is_told(tmp_path):
    rules = RULES.replace("context.chain.depth >= 2", "principal in resource || true")
    open_ones = GroupCensus(firm(tmp_path, rules=rules), NOW, World()).open_rules
    assert open_ones == ("book",)


def test_documents_that_lie_say_no_groups(tmp_path):
    assert "finance" in reports(tmp_path, {"User:x": {"directory": said({"department": 1}, ["finance"])}})
