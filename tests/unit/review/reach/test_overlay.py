"""Suppositions: laid over what is stored, refused where they name what is not there."""

from __future__ import annotations

import tomllib

import msgspec
import pytest

from mintwarden.context.assemble import SourceAnswer
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.review.reach.overlay import OverlayRefused, read_overlay
from tests.unit.policy.company import NOW
from tests.unit.review.reach.firm import firm


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    return firm(tmp_path_factory.mktemp("firm")).catalogue


STORED = {
    "directory": SourceAnswer(
        document=msgspec.json.encode({"facts": {"department": "it", "tenants": []}, "groups": ["old"]}), observed_at=1
    )
}


def over(catalogue, entry, entity="User:mo", stored=STORED):
    return read_overlay({"facts": {"User:mo": entry}}, catalogue).over(entity, stored, NOW)


def test_a_fact_replaces_the_stored_one_and_the_others_stay(catalogue):
    answer = over(catalogue, {"directory": {"facts": {"department": "money"}}})["directory"]
    assert answer.document.facts == {"department": "money", "tenants": []}
    assert answer.document.groups == ["old"]
    assert answer.observed_at == NOW


def test_groups_replace_the_stored_ones_also_when_there_are_none_left(catalogue):
    assert over(catalogue, {"directory": {"groups": ["new"]}})["directory"].document.groups == ["new"]
    assert over(catalogue, {"directory": {"groups": []}})["directory"].document.groups == []


def test_an_age_and_a_state_are_taken(catalogue):
    assert over(catalogue, {"risk": {"facts": {"risk": 1}, "age": "10m"}})["risk"].observed_at == NOW - 600_000
    assert over(catalogue, {"directory": {"state": "failing"}})["directory"].state == "failing"


def test_mistakes_in_a_file_are_told_by_its_lines_all_of_them(catalogue):
    text = (
        '[facts."User:mo".directory]\nfact = {}\n[facts."User:mo".directory.facts]\nshoe = 1\n\n[facts."User:x".hr]\n'
    )
    with pytest.raises(OverlayRefused) as refused:
        read_overlay(tomllib.loads(text), catalogue, file="what-if.toml", text=text)
    assert [str(problem) for problem in refused.value.problems] == [
        'what-if.toml:2:1: unknown key `fact` in `[facts."<entity key>".<source>]`',
        "what-if.toml:4:1: source `directory` provides no fact `shoe`",
        "what-if.toml:6:17: no source `hr` is about `User`",
    ]


def test_others_stay_as_they_are(catalogue):
    assert over(catalogue, {"directory": {"groups": []}}, "User:other") is STORED


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({}, "nothing is supposed"),
        ({"fact": {}}, "unknown key `fact`"),
        ({"facts": {"mo": {"directory": {}}}}, "`mo` is not an entity key"),
        ({"facts": {"User:mo": {"nowhere": {}}}}, "no source `nowhere` is about `User`"),
        ({"facts": {"User:mo": {"directory": {"facts": {"shoe": 1}}}}}, "source `directory` provides no fact `shoe`"),
        ({"facts": {"User:mo": {"directory": {"state": "odd"}}}}, "unknown value `odd` for `state`"),
        ({"facts": {f"User:{number}": {"risk": {}} for number in range(10_001)}}, "more than 10000 entries"),
    ],
)
def test_what_cannot_be_supposed_is_refused(catalogue, content, said):
    with pytest.raises(MintwardenError) as refused:
        read_overlay(content, catalogue)
    assert refused.value.kind is ErrorKind.INVALID_REQUEST
    assert said in refused.value.public
