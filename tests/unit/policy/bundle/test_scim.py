"""How the bundle says what SCIM feeds: what is taken, and each mistake by its place and remedy."""

from __future__ import annotations

import pytest

from mintwarden.model.scim import ScimFeed

S = "sources.toml"
PEOPLE = """
[sources.people]
kind = "store"
about = ["User"]
missing = "absent"
[sources.people.facts]
title = "string"
badge = { type = "long", optional = true }
enabled = { type = "bool", optional = true }
mail = { type = "set<string>", optional = true }
[sources.people.scim]
[sources.people.scim.facts]
title = "title"
"""


def test_a_source_that_is_fed(loaded):
    source = loaded(
        (S, "", PEOPLE + 'badge = "employeeNumber"\nenabled = "active"\nmail = "emails"\n')
    ).catalogue.sources["people"]
    assert source.scim == ScimFeed(
        facts={"title": "title", "badge": "employeeNumber", "enabled": "active", "mail": "emails"}
    )
    more = PEOPLE.replace(
        "scim]", 'scim]\nidentifier = "externalId"\nsubject_prefix = "corp/"\nadministrators = true', 1
    )
    fed = loaded((S, "", more)).catalogue.sources["people"].scim
    assert (fed.identifier, fed.subject_prefix, fed.administrators) == ("externalId", "corp/", True)


def test_a_source_that_is_not(loaded):
    assert loaded().catalogue.sources["directory"].scim is None


@pytest.mark.parametrize(
    ("old", "new", "message", "remedy"),
    [
        ('about = ["User"]', 'about = ["User", "Agent"]', "about `User` alone", "a source of their own"),
        ('kind = "store"', 'kind = "token"', "of kind `store`", "a source of their own"),
        ('missing = "absent"', 'max_age = "1d"\nmissing = "absent"', "would all become too old", "remove it"),
        ('title = "title"', 'title = "tittle"', "unknown value `tittle`", "`title`"),
        ('title = "title"', 'title = "title"\ntitel = "title"', "`titel` is not a fact", "`title`"),
        ('title = "title"', 'title = "emails"', "`emails` is not a `string`", "another attribute"),
        ('title = "title"', 'title = "active"', "`active` is not a `string`", "another attribute"),
        ('title = "title"', 'title = "title"\nenabled = "title"', "`title` is not a `bool`", "change the type"),
        ('title = "title"', 'title = "title"\nmail = "title"', "`title` is not a `set<string>`", "change the type"),
        ('title = "title"', "", "fact `title` is not optional", "scim.facts"),
        ("scim]", 'scim]\nidentifier = "id"', "unknown value `id` for `identifier`", "`userName`"),
        ("scim]", "scim]\nwrites = true", "unknown key `writes`", ""),
        ("[sources.people.scim]", "[sources.directory.scim]\n[sources.people.scim]", "SCIM feeds source", "remove one"),
    ],
    ids=lambda value: value[:40],
)  # fmt: skip
def test_mistakes(refused, old, new, message, remedy):
    assert old in PEOPLE
    found = [one for one in refused((S, "", PEOPLE.replace(old, new, 1))) if message in one.message]
    assert len(found) == 1
    assert remedy in found[0].remedy
    assert found[0].line > 1


AUDIENCE = """
[audience]
id = "mintwarden"
identifier = "https://tokens.example.com/admin"
description = "This service"
owner = "o"
environments = ["production"]
max_ttl = "15m"
[scopes."mintwarden:policy.read"]
meaning = "Read the policy"
tier = "low"
"""
APPROVED = """
[sources.approved]
kind = "approvals"
about = ["User"]
[sources.approved.approvers.lead]
meaning = "It is right"
groups = ["leads"]
[sources.approved.approvers.other]
meaning = "It is right, too"
groups = ["others"]
"""
CHIEFS = """
@id("chiefs") @owner("o") @reason("r") @require_approval("lead")
permit (principal is User, action == Action::"issue", resource == Scope::"mintwarden:policy.read")
when { principal in Group::"chiefs" };
@id("no-interns") @owner("o") @reason("r")
forbid (principal is User, action == Action::"issue", resource in Audience::"mintwarden")
when { principal in Group::"interns" };
@id("readers") @owner("o") @reason("r")
permit (principal is User, action == Action::"issue", resource in Audience::"orders")
when { principal in Group::"readers" };
"""


def administered(rules: str, feed: str = PEOPLE) -> tuple[tuple[str, str, str], ...]:
    """The starter with administration, whose people SCIM feeds."""
    fed = feed.replace('kind = "store"', 'kind = "store"\ngroups = true', 1)
    return (S, "", fed + APPROVED), ("audiences/mintwarden.toml", "", AUDIENCE), ("rules/own.cedar", "", rules)


def test_what_administration_looks_at_is_not_believed_of_a_feed(loaded):
    """Groups of rules about it, and of those who approve what such a rule wants approved; and of nobody else."""
    sources = loaded(*administered(CHIEFS)).catalogue.sources
    assert sources["people"].withheld == {"chiefs", "interns", "leads"}
    assert sources["directory"].withheld == frozenset(), "imports may say it"
    assert [sources["people"].names(group) for group in ("chiefs", "readers")] == [False, True]
    trusted = PEOPLE.replace("scim]", "scim]\nadministrators = true", 1)
    assert loaded(*administered(CHIEFS, trusted)).catalogue.sources["people"].withheld == frozenset()


def test_where_a_rule_may_look_at_any_group_a_feed_is_believed_about_none(loaded):
    either = 'in (if context.request.grant == "code" then Group::"chiefs" else Group::"interns")'
    rules = CHIEFS.replace('in Group::"chiefs"', either, 1)
    people = loaded(*administered(rules)).catalogue.sources["people"]
    assert (people.withheld, people.names("readers")) == (None, False)


@pytest.mark.parametrize("effect", ["permit", "forbid"])
def test_a_rule_about_administration_reads_nothing_that_a_feed_says(refused, effect):
    rule = CHIEFS.replace('principal in Group::"chiefs"', 'principal has title && principal.title == "chief"', 1)
    if effect == "forbid":
        rule = rule.replace(' @require_approval("lead")\npermit', "\nforbid", 1)
    found = [one for one in refused(*administered(rule)) if "`chiefs` is about administration" in one.message]
    assert len(found) == 1
    assert "reads `title`, which SCIM feeds" in found[0].message
    assert "administrators = true" in found[0].remedy
    assert found[0].file == "rules/own.cedar"
