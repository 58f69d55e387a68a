"""Mistakes of people who know other languages: each is told where it stands, with what to write."""

from __future__ import annotations

import pytest

from mintwarden.policy.cedar.rules import compile_rules
from mintwarden.policy.cedar.slips import LOOKED_AT, slip_in

RULE = """@id("x")
@owner("Shop")
@reason("it\'s # so; and so")
permit (
  principal is User,
  action == Action::"issue",
  resource == Scope::"orders:read"
)
when { principal in Group::"desk" && principal.department == "support" };
"""


def problems(text):
    rules = compile_rules([("rules/x.cedar", text)], scopes={"orders:read": "orders"})
    return [((one.line, one.column), one.message, one.remedy) for one in rules.problems]


def test_the_rule_is_good_as_it_is():
    assert problems(RULE) == []


@pytest.mark.parametrize(
    ("old", "new", "place", "message", "remedy"),
    [
        ("permit (", "# why\npermit (", (4, 1), "`#` begins no comment", "`//`"),
        ("is User,", "is User, # people; only", (5, 22), "`#` begins no comment", "`//`"),
        ("permit (", "/* why\n so */ permit (", (4, 1), "`/*` begins no comment", "`//`"),
        ("permit (", "-- why\npermit (", (4, 1), "`--` begins no comment", "`//`"),
        (" };", " }", (9, 72), "the rule is not finished", "`;`"),
        ("department ==", "department =", (9, 59), "`=` is no comparison", "`==`"),
        ("action ==", "action =", (6, 10), "`=` is no comparison", "`==`"),
        ("department ==", "department ===", (9, 59), "`===` is no comparison", "`==`"),
        ("department ==", "department <>", (9, 59), "`<>` is no comparison", "`!=`"),
        ("&&", "and", (9, 35), "`and` joins no conditions", "`&&`"),
        ("&&", "OR", (9, 35), "`OR` joins no conditions", "`||`"),
        ("&&", "&", (9, 35), "a single `&`", "`&&`"),
        ("&&", "|", (9, 35), "a single `|`", "`||`"),
        ("principal in", "not principal in", (9, 8), "`not` joins no conditions", "`!`"),
        ('"support"', "'support'", (9, 62), "straight double quotes", '`"support"`'),
        ('"support"', "\u201csupport\u201d", (9, 62), "straight double quotes", '`"support"`'),
        ('"support"', "null", (9, 62), "there is no `null`", "`has`"),
        ('"support"', "True", (9, 62), "`True` is not known", "`true`"),
        ('"support"', "1.5", (9, 62), "`1.5` is no whole number", '`decimal("1.5")`'),
        (' == "support"', '.startsWith("s")', (9, 58), "`startsWith` is nothing", "`like"),
        ("Group::", "Group:", (9, 21), "`Group:` lacks a colon", '`Group::"..."`'),
        ("permit (", "allow (", (4, 1), "`allow` begins no rule", "`permit`"),
        ("permit (", "Forbid (", (4, 1), "`Forbid` begins no rule", "`forbid`"),
        ("when {", "if {", (9, 1), "`if` begins no conditions", "`when`"),
        ("when {", "when (", (9, 1), "the conditions of `when` stand in braces", "`when { ... }`"),
        ("User,", "User", (5, 20), "a `,` is missing", "with the commas"),
        ('@owner("Shop")', "@owner(Shop)", (2, 1), "the value of an annotation", '`@owner("...")`'),
        ('@owner("Shop")', '@owner = "Shop"', (2, 1), "the value of an annotation", '`@owner("...")`'),
        ('Action::"issue"', '"issue"', (6, 13), "expected an entity uid", '`Action::"..."`'),
        ('Scope::"orders:read"', 'Scope::"orders:reed"', (7, 22), "there is no scope `orders:reed`", "`orders:read`?"),
        ("department ==", "x ==", None, "", ""),
    ],
)
def test_a_slip_is_told_where_it_stands(old, new, place, message, remedy):
    assert old in RULE
    found = problems(RULE.replace(old, new, 1))
    if place is None:
        assert found == []
        return
    ((at, told, do),) = found
    assert at == place
    assert message in told
    assert remedy in do


def test_a_rule_without_its_end_is_told_at_its_end_when_another_follows():
    ((at, told, do),) = problems(RULE.replace(" };", " }") + "// and\n" + RULE.replace('"x"', '"y"'))
    assert (at, told, do) == ((9, 72), "the rule does not end with `;`", "write `;` behind it")


def test_an_annotation_takes_no_end():
    found = problems(RULE.replace('@owner("Shop")', '@owner("Shop");'))
    assert found[0][1] == "the `;` ends the rule behind its annotation"


def test_comments_of_other_languages_hide_nothing_of_the_rest():
    text = f'# who may; read\n# "orders\n\n{RULE}\n# more\n{RULE}'
    assert [(line, told) for (line, _), told, _ in problems(text)] == [
        (1, "`#` begins no comment in Cedar"),
        (14, "`#` begins no comment in Cedar"),
        (15, "the id `x` is taken by the rule in rules/x.cedar, line 4"),
    ]


@pytest.mark.parametrize("text", ['{"effect": "permit"}', "package shop\n", "User may read"])
def test_what_is_no_rule_is_told_so(text):
    assert [told for _, told, _ in problems(text)] == ["no rule begins here"]


def test_an_apostrophe_before_a_string_that_never_ends_is_told_first():
    ((at, told, _),) = problems(RULE.replace('"support"', "'support\""))
    assert (at, told) == ((9, 70), "the string is never closed")
    ((at, told, _),) = problems(RULE.replace("&&", "and").replace('"support"', '"support'))
    assert (at, told) == ((9, 35), "`and` joins no conditions")


@pytest.mark.parametrize("part", ["}", "} ", "@a(", "@a ", "when ", "'", "a ", "1.", "}//x\n", '"', "\\"])
def test_a_long_text_is_looked_at_in_its_beginning_only(part):
    long = part * LOOKED_AT
    assert slip_in(long) == slip_in(long[:LOOKED_AT])
