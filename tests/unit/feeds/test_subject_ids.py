from __future__ import annotations

import pytest

from mintwarden.feeds.subject_ids import (
    MOST_ALIASES,
    MOST_ROLES,
    BadSubjectId,
    complex_subject,
    iss_sub,
    matches,
    opaque,
    read_subject_id,
)

ALICE = iss_sub("https://id.example", "alice")
BOB = iss_sub("https://id.example", "bob")
MAIL = {"format": "email", "email": "alice@example.com"}
TENANT = opaque("north")


@pytest.mark.parametrize(
    "good",
    [
        ALICE,
        MAIL,
        TENANT,
        {"format": "account", "uri": "acct:alice@example.com"},
        {"format": "phone_number", "phone_number": "+12065550100"},
        {"format": "did", "url": "did:example:1"},
        {"format": "uri", "uri": "urn:uuid:1"},
        {"format": "jwt_id", "iss": "https://id.example", "jti": "1"},
        {"format": "saml_assertion_id", "issuer": "https://id.example", "assertion_id": "_1"},
        {"format": "ip-addresses", "ip-addresses": ["192.0.2.1"]},
        {"format": "aliases", "identifiers": [ALICE, MAIL]},
        complex_subject(user=ALICE, session=TENANT),
    ],
    ids=lambda one: one["format"],
)
def test_every_format_is_read_as_it_is(good):
    assert read_subject_id(good) == good


@pytest.mark.parametrize(
    "bad",
    [
        None,
        "alice",
        [],
        {},
        {"format": ""},
        {"format": 1},
        {"format": "email"},
        {"format": "email", "email": ""},
        {"format": "email", "email": 1},
        {"format": "email", "email": "x" * 1_001},
        {"format": "email", "email": "a@example.com", "sub": "alice"},
        {"format": "iss_sub", "iss": "https://id.example"},
        {"format": "catalog_item", "id": "1"},
        {"format": "complex"},
        {"format": "complex", "user": "alice"},
        {"format": "complex", "user": complex_subject(user=ALICE)},
        {"format": "complex", **{f"r{n}": ALICE for n in range(MOST_ROLES + 1)}},
        {"format": "aliases"},
        {"format": "aliases", "identifiers": []},
        {"format": "aliases", "identifiers": [ALICE], "more": 1},
        {"format": "aliases", "identifiers": [ALICE] * (MOST_ALIASES + 1)},
        {"format": "aliases", "identifiers": [{"format": "aliases", "identifiers": [ALICE]}]},
        {"format": "aliases", "identifiers": [complex_subject(user=ALICE)]},
        {"format": "ip-addresses", "ip-addresses": []},
        {"format": "ip-addresses", "ip-addresses": [1]},
    ],
)
def test_what_identifies_nobody_is_refused_without_its_value(bad):
    with pytest.raises(BadSubjectId) as refused:
        read_subject_id(bad)
    assert "alice" not in str(refused.value)


def test_a_format_of_others_stands_where_it_may_be_passed_on():
    theirs = {"format": "catalog_item", "id": "1"}
    assert read_subject_id(theirs, others=True) == theirs
    assert read_subject_id(complex_subject(user=theirs), others=True) == complex_subject(user=theirs)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (ALICE, dict(ALICE), True),
        (ALICE, BOB, False),
        (ALICE, iss_sub("https://other.example", "alice"), False),
        (ALICE, MAIL, False),
        (complex_subject(tenant=TENANT), complex_subject(tenant=TENANT, user=ALICE), True),
        (complex_subject(user=ALICE, device=opaque("d")), complex_subject(user=ALICE), True),
        (complex_subject(tenant=TENANT), complex_subject(user=ALICE), True),
        (complex_subject(user=ALICE, group=opaque("a")), complex_subject(user=ALICE, group=opaque("b")), False),
        (complex_subject(user=ALICE), ALICE, False),
        ({"format": "aliases", "identifiers": [MAIL, ALICE]}, ALICE, True),
        ({"format": "aliases", "identifiers": [MAIL]}, ALICE, False),
    ],
)
def test_matching_takes_a_role_that_is_not_defined_for_a_match(one, other, same):
    assert matches(one, other) is same
    assert matches(other, one) is same
