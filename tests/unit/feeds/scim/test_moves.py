"""Who comes and goes, read by ids alone: the same as the library makes of it, or left to the library."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scim2_models import Context, PatchOp

from mintwarden.feeds.scim.description import described
from mintwarden.feeds.scim.moves import Move, moved, split

IDS = ["a", "b", "c", "d"]
PROVIDER = described()
GROUP: Any = PROVIDER.model_for("Group")

members = st.lists(st.sampled_from(IDS), min_size=1, max_size=4)
operations = st.one_of(
    st.builds(
        lambda op, ids: {"op": op, "path": "members", "value": [{"value": one} for one in ids]},
        st.sampled_from(["add", "Add", "replace", "remove"]),
        members,
    ),
    st.builds(lambda one: {"op": "Remove", "path": f'members[value eq "{one}"]'}, st.sampled_from(IDS)),
    st.just({"op": "remove", "path": "members"}),
)


@given(st.lists(st.sampled_from(IDS), unique=True), st.lists(operations, min_size=1, max_size=5))
def test_it_is_what_the_library_makes_of_it(before: list[str], asked: list[dict[str, Any]]) -> None:
    found = split(asked)
    assert found is not None
    assert found[1] == []
    message = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": asked}
    with PROVIDER:
        group = GROUP.model_validate(
            {"schemas": [str(GROUP.__schema__)], "displayName": "g", "members": [{"value": one} for one in before]}
        )
        patch = PatchOp[GROUP].model_validate_json(json.dumps(message), scim_ctx=Context.RESOURCE_PATCH_REQUEST)
        patch.patch(group)
    assert set(moved(found[0], before)) == {one.value for one in group.members or ()}


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": 'members[value eq "a" or value eq "b"]'},
        {"op": "remove", "path": 'members[value eq "a\\"b"]'},
        {"op": "remove", "path": 'members[type eq "User"]'},
        {"op": "remove", "path": 'members[value eq "a"]', "value": None},
        {"op": "replace", "path": 'members[value eq "a"]', "value": {"value": "b"}},
        {"op": "add", "path": "members.value", "value": "a"},
        {"op": "add", "path": "members", "value": {"value": "a"}},
        {"op": "add", "path": "members", "value": [{"value": "a", "type": "Group"}]},
        {"op": "add", "path": "members", "value": [{"value": "a", "role": "x"}]},
        {"op": "add", "path": "members", "value": [{"value": 5}]},
        {"op": "add", "path": "members", "value": [{"display": "a"}]},
        {"op": "add", "path": "members"},
        {"op": "move", "path": "members", "value": [{"value": "a"}]},
        {"op": 5, "path": "members"},
        {"op": "add", "value": {"Members": [{"value": "a"}]}},
        {"op": "add", "OP": "remove", "path": "members", "value": [{"value": "a"}]},
        "members",
    ],
    ids=str,
)
def test_whatever_else_is_about_members_is_left_to_the_library(operation: Any) -> None:
    easy = {"op": "add", "path": "members", "value": [{"value": "a"}]}
    assert split([easy, operation]) is None


def test_what_is_about_nobody_is_told_apart() -> None:
    rename = {"op": "replace", "path": "displayName", "value": "x"}
    more = {"op": "replace", "value": {"id": "1", "displayName": "x"}}
    gone = {"op": "remove", "path": "urn:ietf:params:scim:schemas:core:2.0:Group:members"}
    assert split([rename, gone, more]) == ([Move("remove", None)], [rename, more])
