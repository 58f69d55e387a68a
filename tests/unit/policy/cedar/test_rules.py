"""Text to rules: ids, places, heads, slices, and every problem with its place."""

from __future__ import annotations

import pytest

from mintwarden.policy.cedar.rules import MAX_RULES, RuleSet, compile_rules
from tests.unit.policy.cedar.asking import SCOPES, question, rules_of

READ = 'resource == Scope::"payments:read"'


def problems_of(*files: str) -> list[tuple[str, int, int, str]]:
    made = compile_rules([(f"rules/{n}.cedar", text) for n, text in enumerate(files)], scopes=SCOPES)
    return [(p.file, p.line, p.column, p.message) for p in made.problems]


def ids(made: RuleSet, action: str, scope: str) -> list[str]:
    return [rule.id for rule in made.slice(action, scope).rules]


def test_a_rule_knows_what_it_says_and_where() -> None:
    made = rules_of(
        "// money\n\n"
        '  @id("pay") @owner("Payments") @reason("they need it")\n'
        '  permit(principal is User in Group::"staff", action in [Action::"issue", Action::"act"],\n'
        '         resource in Audience::"payments");\n'
    )
    rule = made.rules["pay"]
    assert (rule.file, rule.line, rule.column, rule.effect) == ("rules/a.cedar", 3, 3, "permit")
    assert rule.annotations == {"id": "pay", "owner": "Payments", "reason": "they need it"}
    assert (rule.scopes, rule.audiences, rule.head.is_global) == ((), ("payments",), False)
    assert rule.head.principal_type == "User"
    assert rule.head.actions == frozenset({"issue", "act"})


def test_a_slice_holds_what_can_decide_it() -> None:
    made = rules_of(
        f"""
        @id("e-scope")     permit(principal, action, {READ});
        @id("d-other")     permit(principal, action, resource == Scope::"payments:write");
        @id("c-audience")  permit(principal, action == Action::"issue", resource in Audience::"payments");
        @id("b-is-in")     permit(principal, action, resource is Scope in Audience::"payments");
        @id("a-global")    forbid(principal, action, resource) when {{ resource.tier == "high" }};
        @id("f-is")        forbid(principal, action == Action::"act", resource is Scope);
        @id("g-in-scope")  permit(principal, action, resource in Scope::"payments:read");
        @id("h-none")      permit(principal, action in [], {READ});
        @id("i-hr")        forbid(principal, action, resource in Audience::"hr");
        """
    )
    assert ids(made, "issue", "payments:read") == ["a-global", "b-is-in", "c-audience", "e-scope", "g-in-scope"]
    assert ids(made, "act", "payments:read") == ["a-global", "b-is-in", "e-scope", "f-is", "g-in-scope"]
    assert ids(made, "issue", "payments:write") == ["a-global", "b-is-in", "c-audience", "d-other"]
    assert ids(made, "issue", "hr:read") == ["a-global", "i-hr"]
    assert made.slice("issue", "hr:read") is made.slice("issue", "hr:read")
    with pytest.raises(KeyError):
        made.slice("issue", "unknown")


def test_the_order_of_files_and_rules_makes_no_difference() -> None:
    one = f'@id("one") permit(principal, action, {READ});'
    two = f'@id("two") forbid(principal, action, {READ});'
    for files in ([("a", one), ("b", two)], [("b", two), ("a", one)], [("a", two + one)]):
        made = compile_rules(files, scopes=SCOPES)
        assert ids(made, "issue", "payments:read") == ["one", "two"]
        permits, forbids, faulted = made.slice("issue", "payments:read").evaluate(*question())
        assert [[r.id for r in rules] for rules in (permits, forbids, faulted)] == [["one"], ["two"], []]


def test_a_rule_for_another_type_of_principal_is_not_asked() -> None:
    made = rules_of(f'@id("w") permit(principal is Workload, action, {READ}) when {{ principal.nothing }};')
    assert made.slice("issue", "payments:read").evaluate(*question()) == ((), (), ())


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        (f"permit(principal, action, {READ});", (1, 1), "the rule has no `@id`"),
        (f'\n@id("") permit(principal, action, {READ});', (2, 1), "the rule has no `@id`"),
        (f'@id("a b") permit(principal, action, {READ});', (1, 1), "the rule's id `a b` is not usable"),
        (
            '@id("r") permit(principal, action, resource);',
            (1, 1),
            "the permit's head names neither a scope nor an audience",
        ),
        (
            '@id("r") permit(principal, action, resource is Scope);',
            (1, 1),
            "the permit's head names neither a scope nor an audience",
        ),
        (
            '@id("r") forbid(principal, action, resource == Audience::"payments");',
            (1, 1),
            "the rule's head can match no scope",
        ),
        ('@id("r") forbid(principal, action, resource is Group);', (1, 1), "the rule's head can match no scope"),
        (
            '@id("r") forbid(principal, action, resource is Group in Audience::"hr");',
            (1, 1),
            "the rule's head can match no scope",
        ),
        ('@id("r") permit(principal, action, resource == Scope::"payments:raed");', (1, 55), "there is no scope `payments:raed`"),
        (
            '@id("r") permit(principal, action, resource in Audience::"payment");',
            (1, 58),
            "there is no audience `payment` with scopes",
        ),
        (f'@id("r") permit(principal == ?principal, action, {READ});', (1, 1), "the rule is a template"),
        (f'@id("r")\npermit(principal, action\n  {READ});', (2, 25), "a `,` is missing in the rule's head"),
        (f'@id("r") permit(principal, action, {READ}) when {{\n  principal.x + }};', (2, 17), "unexpected token `}`"),
        (
            f'@id("r") permit(principal, action, {READ}) when {{\n  principal.f(1) }};',
            (2, 13),
            "`f` is not a valid method",
        ),
        (f'@id("r") @id("s") permit(principal, action, {READ});', (1, 1), "duplicate annotation: @id"),
        ('@id("r") permit(principal, action, ', (1, 1), "the rule is not finished"),
        (
            f'@id("r") permit(principal, action, {READ}) when {{ {" && ".join(["true"] * 101)} }};',
            (1, 1),
            "expression nesting exceeds the supported limit of 100 levels",
        ),
        (f'@id("r") permit(principal, action, {READ}) when {{ "\ud800" == "" }};', (1, 1), "the rule is not valid Unicode"),
    ],
)  # fmt: skip
def test_a_problem_has_its_place_and_a_remedy(text: str, where: tuple[int, int], message: str) -> None:
    assert problems_of(text) == [("rules/0.cedar", *where, message)]
    made = compile_rules([("x", text)], scopes=SCOPES)
    assert all(problem.remedy for problem in made.problems)


def test_the_nearest_name_is_suggested() -> None:
    made = compile_rules(
        [("x", '@id("r") permit(principal, action, resource == Scope::"payments:raed");')], scopes=SCOPES
    )
    assert [p.remedy for p in made.problems] == ["did you mean `payments:read`?"]


def test_problems_of_all_files_come_at_once() -> None:
    good = f'@id("r") permit(principal, action, {READ});\n'
    assert problems_of(good, f"{good}{good.replace('permit', 'oops')}", "@id(") == [
        ("rules/1.cedar", 1, 1, "the id `r` is taken by the rule in rules/0.cedar, line 1"),
        ("rules/1.cedar", 2, 10, "invalid policy effect: oops"),
        ("rules/2.cedar", 1, 1, "the rule is not finished"),
    ]


def test_good_rules_beside_bad_ones_are_still_there() -> None:
    made = compile_rules([("x", f'@id("bad") permit(); @id("good") permit(principal, action, {READ});')], scopes=SCOPES)
    assert list(made.rules) == ["good"]
    assert len(made.problems) == 1


def test_ten_thousand_rules_and_no_slower_answer() -> None:
    text = "\n".join(
        f'@id("r{n}") permit(principal, action, resource == Scope::"s{n}") when {{ principal.level == {n} }};'
        for n in range(2_000)
    )
    scopes = {f"s{n}": "a" for n in range(2_000)}
    made = compile_rules([(f"f{n}", text.replace('"r', f'"f{n}-r')) for n in range(5)], scopes=scopes)
    assert made.problems == ()
    assert len(made.rules) == 10_000
    assert [rule.id for rule in made.slice("issue", "s7").rules] == [f"f{n}-r7" for n in range(5)]
    assert len(made.rules) < MAX_RULES
