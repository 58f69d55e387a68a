"""The projection keeps what was read and nothing else."""

from __future__ import annotations

from mintwarden.context.project import Projection, project
from mintwarden.model.facts import Facts, Reading
from mintwarden.model.values import Entity, EntityUid, Record

GROUP = EntityUid("Group", "g")


def facts() -> Facts:
    return Facts(
        subject=Entity(EntityUid("User", "a"), {"department": "x", "salary": 9}, frozenset({GROUP})),
        actors=(Entity(EntityUid("Agent", "b"), {"department": "y", "salary": 8}, frozenset({GROUP})),),
        context=Record(
            {
                "request": Record({"grant": "g"}),
                "client": Record({"id": "c", "kind": "k", "owner": "o", "principal": "Agent", "score": 1, "x": 2}),
                "session": Record({"risk": 1, "secret": 2}),
                "device": Record({"ok": True}),
            }
        ),
        readings={"subject/dir": Reading("present")},
        ends={
            "subject/department": {"x": 1},
            "subject/groups": {"g": 2},
            "actor:0/groups": {"g": 3},
            "session/risk": {"a": 4},
            "device/ok": {"a": 5},
        },
        epoch=3,
    )


def test_only_what_was_read_is_kept():
    kept = project(facts(), {"principal.department", "context.session.risk", "context.client.score"})
    assert kept.subject == Entity(EntityUid("User", "a"), {"department": "x"})
    assert kept.actors == (Entity(EntityUid("Agent", "b"), {"department": "y"}),)
    assert kept.context == {
        "request": {"grant": "g"},
        "client": {"id": "c", "kind": "k", "owner": "o", "principal": "Agent", "score": 1},
        "session": {"risk": 1},
    }
    assert kept.ends == {"subject/department": {"x": 1}, "session/risk": {"a": 4}}
    assert kept.readings == facts().readings
    assert kept.epoch == 3


def test_groups_and_claims_paths():
    kept = project(facts(), {"principal.<groups>", "subject.salary", "context.device"})
    assert kept.subject == Entity(EntityUid("User", "a"), {"salary": 9}, frozenset({GROUP}))
    assert kept.actors == (Entity(EntityUid("Agent", "b"), {}, frozenset({GROUP})),)
    assert kept.context["device"] == {"ok": True}
    assert set(kept.ends) == {"subject/groups", "actor:0/groups", "device/ok"}


def test_projecting_twice_changes_nothing():
    projection = Projection({"principal.department", "context.session.risk"})
    once = projection.apply(facts())
    assert projection.apply(once) == once


def test_a_path_that_ends_early_keeps_all_below_it():
    assert project(facts(), {"principal", "context"}) == facts()
    kept = project(facts(), {"subject"})
    assert kept.subject == facts().subject
    assert kept.actors == (Entity(EntityUid("Agent", "b"), {}),)
    assert set(kept.ends) == {"subject/department", "subject/groups"}
