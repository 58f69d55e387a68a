"""An example loses what it does not need, and keeps what it shows."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from mintwarden.model.caller import Binding
from mintwarden.model.facts import Reading
from mintwarden.model.values import Datetime, Entity, EntityUid, Record
from mintwarden.policy.amend import Situation
from mintwarden.policy.diff.shrink import _toward_nought, renamed, shrink, told_apart
from mintwarden.policy.prove.example import request_record
from tests.unit.policy.company import NOW, asked, bot, facts
from tests.unit.policy.diff.editions import edition

CATALOGUE = edition().bundle.catalogue


def situation() -> Situation:
    question = asked(
        "pay:write", acr="phr", amr=("pwd", "otp"), authenticated_at=NOW - 7_000, purpose="support", tenant="t1",
        binding=Binding(kind="dpop", thumbprint="x"), address="192.0.2.1",
    )  # fmt: skip
    given = facts(risk=77, groups=("finance", "staff"), attrs={"manager": "mia", "entitlements": frozenset({"a", "b"})})
    context = {
        **given.context,
        "request": request_record(question, NOW),
        "subject": Record({"type": "User", "id": "alice"}),
    }
    return Situation(
        question, type(given)(subject=given.subject, context=Record(context), readings=given.readings), NOW
    )


def request_of(one: Situation) -> Any:
    return one.facts.context["request"]


def test_what_shows_anything_shrinks_to_nothing():
    small = shrink(CATALOGUE, situation(), lambda _one: True)
    question, given, _ = small
    assert (question.acr, question.amr, question.authenticated_at, question.purpose, question.tenant) == (
        "",
        (),
        None,
        "",
        "",
    )
    assert (question.binding, question.address) == (None, "")
    assert given.subject == Entity(EntityUid("User", "example"), Record(), frozenset())
    assert {reading.state for reading in given.readings.values()} == {"missing"}
    assert given.context["request"] == request_record(question, small.now)
    assert given.context["subject"] == {"type": "User", "id": "example"}


def test_what_is_needed_stays_and_comes_as_near_to_nought_as_it_can():
    def shows(one: Situation) -> bool:
        risk = one.facts.subject.attrs.get("risk")
        return isinstance(risk, int) and risk >= 41 and EntityUid("Group", "finance") in one.facts.subject.ancestors

    small = shrink(CATALOGUE, situation(), shows)
    assert small.facts.subject.attrs["risk"] == 41
    assert small.facts.subject.ancestors == {EntityUid("Group", "finance")}
    assert small.facts.readings["subject/directory"].state == "present"  # who is in which group
    assert small.facts.readings["subject/entitlements"] == Reading("missing")
    assert small.facts.subject.attrs["department"] == "example"
    assert "manager" not in small.facts.subject.attrs


def test_a_request_and_its_facts_keep_the_same_word():
    def shows(one: Situation) -> bool:
        tenants = one.facts.subject.attrs.get("tenants")
        return isinstance(tenants, frozenset) and one.asked.tenant in tenants

    small = shrink(CATALOGUE, situation(), shows)
    assert (small.asked.tenant, small.facts.subject.attrs["tenants"]) == ("example", frozenset({"example"}))
    assert request_of(small)["tenant"] == "example"


def test_another_moment_keeps_every_distance():
    small = shrink(CATALOGUE, situation(), lambda one: one.asked.authenticated_at == one.now - 7_000)
    assert small.now != NOW
    assert request_of(small)["auth_age"] == 7
    assert request_of(small)["time"] == Datetime(small.now)


def test_what_ends_is_held():
    start = situation()
    ending = start._replace(facts=replace(start.facts, ends={"subject/entitlements": {"a": NOW + 60_000}}))
    small = shrink(CATALOGUE, ending, lambda one: bool(one.facts.ends))
    assert small.facts.subject.attrs["entitlements"] == frozenset({"a"})
    assert small.facts.ends == {"subject/entitlements": {"a": small.now + 60_000}}


def test_steps_toward_nought():
    assert list(_toward_nought(9)) == [0, 5, 7, 8]
    assert list(_toward_nought(-3)) == [0, -2]
    assert list(_toward_nought(0)) == []


def test_actors_who_are_called_alike_are_told_apart():
    given = facts(actors=(bot(), bot()))
    alike = Situation(asked(actors=(bot().uid, bot().uid)), given, NOW)
    apart = told_apart(alike)
    assert [actor.id for actor in apart.asked.actors] == ["bot", "example"]
    assert [actor.uid.id for actor in apart.facts.actors] == ["bot", "example"]
    assert apart.facts.context["chain"] == {"depth": 2, "actors": frozenset({"Agent:bot", "Agent:example"})}
    assert told_apart(apart) == apart
    assert renamed(apart, "subject", EntityUid("User", "zoe")).asked.subject.id == "zoe"
