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
