"""Types of authorization details: what a bundle may declare, and what refuses it."""

from __future__ import annotations

import pytest

A, R, K = "audiences/orders.toml", "rules/orders.cedar", "clients/shop-web.toml"

DETAIL = """
[details."order_line"]
meaning = "Order one line"
tier = "low"
[details."order_line".fields]
quantity = { type = "long", required = true, narrows = "at_most" }
colour = { type = "string", one_of = ["red", "blue"] }
tags = "set<string>"
address = { type = "record", required = true, fields = { street = { type = "string", required = true }, floor = "long" } }
"""
DEEP = "a = " + '{ type = "record", fields = { x = ' * 5 + '"long"' + " } }" * 5
HEAD = '\n@id("{name}") @owner("O") @reason("r")\n{effect} ({principal}, action == Action::"issue", {resource})\n'
GOOD = HEAD.format(
    name="lines", effect="permit", principal="principal is User", resource='resource == Detail::"order_line"'
)
ADDED = ((A, "", DETAIL), (R, "", GOOD + "when { context.detail.quantity < 10 };"))


def rule(condition: str, *, effect: str = "permit", resource: str = 'resource == Detail::"order_line"') -> str:
    return HEAD.format(name="more", effect=effect, principal="principal is User", resource=resource) + condition + ";"


def test_a_type_with_its_fields(loaded):
    bundle = loaded(*ADDED)
    detail = bundle.catalogue.details["order_line"]
    assert (detail.audience, detail.tier, detail.meaning) == ("orders", "low", "Order one line")
    assert {name: (field.type.kind, field.required) for name, field in detail.fields.items()} == {
        "quantity": ("long", True),
        "colour": ("string", False),
        "tags": ("set", False),
        "address": ("record", True),
    }
    assert detail.fields["address"].fields["floor"].type.kind == "long"
    assert detail.fields["quantity"].narrows == "at_most"
    assert detail.fields["colour"].one_of == ("red", "blue")


def test_a_bundle_without_details_has_the_schema_that_it_had(loaded):
    assert "Detail" not in loaded().schema
    assert "resource: [Scope, Detail]" in loaded(*ADDED).schema


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('tier = "low"\n[details', 'tier = "lower"\n[details', "unknown tier `lower`"),
        ('"order_line"]\nmeaning = "Order one line"\n', '"order_line"]\n', "`meaning` is missing"),
        ('tags = "set<string>"', 'tags = "set<bool>"', "unknown type `set<bool>`"),
        ('tags = "set<string>"', 'tags = "datetime"', "unknown type `datetime`"),
        ('tags = "set<string>"', "tags = 1", "`tags` is neither a type nor a table"),
        ('tags = "set<string>"', 'type = "string"', "`type` is the name of the type itself"),
        ('tags = "set<string>"', '"a-b" = "string"', "`a-b` is not a fact name"),
        ('tags = "set<string>"', 'principal = "string"', "`principal` is not a fact name"),
        ('tags = "set<string>"', 'actions = "string"', "`actions` is `set<string>` by RFC 9396"),
        ('tags = "set<string>"', 'locations = "set<long>"', "`locations` is `set<string>` by RFC 9396"),
        ('tags = "set<string>"', 'identifier = "long"', "`identifier` is `string` by RFC 9396"),
        ('tags = "set<string>"', 'tags = { type = "long", one_of = ["1"] }', "`one_of` has no meaning for `long`"),
        ('tags = "set<string>"', 'tags = { type = "string", one_of = [] }', "`one_of` has 0 elements"),
        ('tags = "set<string>"', 'tags = { type = "string", narrows = "at_most" }', "`narrows` has no meaning"),
        ('tags = "set<string>"', 'tags = { type = "long", narrows = "at_least" }', "unknown value `at_least`"),
        ('tags = "set<string>"', 'tags = { type = "record" }', "a `record` has `fields`, and nothing else has"),
        ('tags = "set<string>"', 'tags = { type = "long", fields = { x = "long" } }', "a `record` has `fields`"),
        ('tags = "set<string>"', 'tags = { type = "long", optional = true }', "unknown key `optional`"),
        ('tags = "set<string>"', "tags = { required = true }", "`type` is missing"),
        (
            'tags = "set<string>"',
            DEEP,
            "records lie more than 4 deep",
        ),
        ('"order_line"', '"orders:read"', "`orders:read` is also a scope of audience `orders`"),
        ('"order_line"', '"order line"', "is not a type of authorization detail"),
        ('"order_line"', '"order#1"', "is not a type of authorization detail"),
    ],
)
def test_what_a_type_may_not_be(refused, old, new, message):
    problems = refused((A, "", DETAIL.replace(old, new)), *ADDED[1:])
    assert any(message in problem.message for problem in problems), [problem.message for problem in problems]


def test_a_type_is_declared_once(refused, starter):
    other = starter[A].replace('"orders"', '"other"').replace("com/orders", "com/other").replace('"orders:', '"other:')
    problems = refused(*ADDED, ("audiences/other.toml", "", other + DETAIL))
    assert any(problem.message == "detail `order_line` is declared twice" for problem in problems)


def test_a_type_that_no_permit_names_is_refused(refused):
    for more in (
        "",
        rule("when { true }", effect="forbid"),
        rule("when { true }", resource='resource in Audience::"orders"'),
    ):
        problems = refused((A, "", DETAIL), (R, "", more))
        assert "no rule can grant authorization detail `order_line`" in [problem.message for problem in problems]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (rule("", resource='resource == Detail::"nothing"'), "there is no type of authorization detail `nothing`"),
        (rule("", resource="resource is Detail"), "a permit for authorization details names their type"),
        (rule("", resource='resource is Detail in Audience::"orders"'), "a permit for authorization details names"),
        (rule("", resource='resource is Scope in Detail::"order_line"'), "the rule's head can match no scope"),
        (rule("when { context.detail.size > 1 }"), "there is no `context.detail.size` here"),
        (rule('when { context.detail.colour == "red" }'), "`detail.colour` may be absent"),
        (rule("when { context.detail.quantity == true }"), "is compared with"),
        (
            rule("when { context.detail.quantity > 1 }", resource='resource == Scope::"orders:read"'),
            "there is no `context.detail` here",
        ),
        (
            rule("when { context.detail.quantity > 1 }", effect="forbid", resource="resource"),
            "there is no `context.detail` here",
        ),
        (rule('when { resource == Detail::"nothing" }'), "unknown detail `nothing`"),
        (rule('when { resource.name == "order_lines" }'), "`resource.name` can never be `order_lines`"),
    ],
)
def test_what_a_rule_about_details_may_not_say(refused, text, message):
    problems = refused(*ADDED, (R, "", text))
    assert any(message in problem.message for problem in problems), [problem.message for problem in problems]


@pytest.mark.parametrize(
    "text",
    [
        rule('when { context.detail has colour && context.detail.colour == "red" && resource.name == "order_line" }'),
        rule('when { context.detail.address.street like "A*" }'),
        rule("when { resource.rank > 1 }", effect="forbid", resource="resource is Detail"),
        rule("when { resource is Detail && resource.rank > 1 }", effect="forbid", resource="resource"),
        rule('when { resource == Scope::"orders:read" }', effect="forbid", resource="resource"),
    ],
)
def test_what_it_may(loaded, text):
    assert loaded(*ADDED, (R, "", text))


def test_what_a_client_may_ask_for_is_declared_where_it_may_go(loaded, refused):
    may = (K, "[client.ceilings]", 'details = ["order_line"]\n[client.ceilings]')
    assert loaded(*ADDED, may).catalogue.clients["shop-web"].details == ("order_line",)
    (problem,) = refused(*ADDED, (K, "[client.ceilings]", 'details = ["order_lines"]\n[client.ceilings]'))
    assert problem.message == "unknown type of authorization detail `order_lines`"
    elsewhere = (K, 'orders = ["orders:read", "orders:write"]', "")
    (problem,) = refused(*ADDED, may, elsewhere)
    assert problem.message == "`order_line` is of audience `orders`, which `ceilings` does not name"


SCENARIO = """
[[scenario]]
id = "a-line"
why = "w"
[scenario.given]
client = "shop-web"
audience = "orders"
now = "2026-11-24T09:00:00Z"
details = [{ type = "order_line", quantity = 2, address = { street = "A" } }]
[scenario.expect]
granted = []
refused = { order_line = "no_route" }
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('type = "order_line", ', "", "an authorization detail is a table with a `type`"),
        ('"order_line", quantity', '"order_lines", quantity', "unknown type of authorization detail `order_lines`"),
        ("quantity = 2", 'quantity = "2"', "`quantity` is not a whole number"),
        ("quantity = 2, ", "", "the field `quantity` is missing"),
        ('refused = { order_line = "no_route" }', "", "a refusal is expected and no reason"),
    ],
)
def test_a_scenario_says_what_its_details_are(refused, loaded, old, new, message):
    assert loaded(*ADDED, ("tests/details.toml", "", SCENARIO))
    problems = refused(*ADDED, ("tests/details.toml", "", SCENARIO.replace(old, new)))
    assert any(message in problem.message for problem in problems), [problem.message for problem in problems]


@pytest.mark.parametrize("kind", ["identity", "transaction"])
def test_which_tokens_carry_no_details(refused, kind):
    problems = refused((A, 'id = "orders"\n', f'id = "orders"\nkind = "{kind}"\n'), *ADDED)
    message = f"tokens for an audience of kind `{kind}` carry no authorization details"
    assert message in [problem.message for problem in problems]


def test_the_servers_of_another_domain_are_listed(refused):
    """Its identifier is its authorization server's, so that nothing else says which servers are meant."""
    domain = (A, 'id = "orders"\n', 'id = "orders"\nkind = "domain"\n')
    message = "`locations` at another domain may be anything"
    open_ = (A, 'tags = "set<string>"', 'locations = "set<string>"')
    assert message in [problem.message for problem in refused(domain, *ADDED, open_)]
    listed = (A, 'tags = "set<string>"', 'locations = { type = "set<string>", one_of = ["https://a.example"] }')
    messages = [problem.message for problem in refused(domain, *ADDED, listed, (R, "", "nonsense"))]
    assert message not in messages
    assert not [text for text in messages if "authorization details" in text]
