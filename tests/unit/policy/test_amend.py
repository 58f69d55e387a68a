"""A situation with one thing changed: what is asked and what rules see of it move together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from mintwarden.model.caller import Binding
from mintwarden.model.facts import Facts, Reading
from mintwarden.model.values import Datetime, Entity, EntityUid, Record
from mintwarden.policy.amend import Amendment, Situation, amend, amendment_of, ask_for
from mintwarden.policy.cedar.change import Change, Kind
from mintwarden.policy.cedar.literals import read_ip
from mintwarden.policy.plan import SourceIndex
from tests.unit.policy.company import NOW, asked, bot, facts, load_company


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> SourceIndex:
    return SourceIndex(load_company(tmp_path_factory.mktemp("company")).catalogue)


def start(**changes: Any) -> Situation:
    return Situation(asked(**changes), facts(actors=(bot(),)), NOW)


def request_of(known: Facts) -> Record:
    request = known.context["request"]
    assert isinstance(request, Record)
    return request


def request(kind: Kind, name: str, value: Any = None) -> Amendment:
    return Amendment("request", Change(kind, ("context", "request", name), value))


def test_words_of_the_request(sources: SourceIndex) -> None:
    after = amend(start(), ask_for("purpose", "support"), sources)
    assert after is not None
    assert (after.asked.purpose, request_of(after.facts)["purpose"]) == ("support", "support")
    again = amend(after, request("unset", "purpose"), sources)
    assert again is not None
    assert again.asked.purpose == ""
    assert "purpose" not in request_of(again.facts)


def test_how_the_subject_signed_in(sources: SourceIndex) -> None:
    after = amend(start(amr=("pwd",)), ask_for("amr", "hwk", add=True), sources)
    assert after is not None
    assert after.asked.amr == ("hwk",)  # as the rules saw it: the facts of this test know of no other
    after = amend(after, request("remove", "amr", "hwk"), sources)
    assert after is not None
    assert (after.asked.amr, request_of(after.facts)["amr"]) == ((), frozenset())
    after = amend(after, ask_for("auth_age", 60), sources)
    assert after is not None
    assert after.asked.authenticated_at == NOW - 60_000
    later = amend(after, ask_for("time", Datetime(NOW + 60_000)), sources)
    assert later is not None
    assert (later.now, request_of(later.facts)["auth_age"]) == (NOW + 60_000, 120)
    never = amend(after, request("unset", "auth_age"), sources)
    assert never is not None
    assert never.asked.authenticated_at is None


def test_the_binding_and_the_address(sources: SourceIndex) -> None:
    after = amend(start(binding=Binding(kind="mtls", thumbprint="abc")), ask_for("binding", "dpop"), sources)
    assert after is not None
    assert after.asked.binding == Binding(kind="dpop", thumbprint="abc")
    after = amend(after, request("unset", "binding"), sources)
    assert after is not None
    assert after.asked.binding is None
    after = amend(after, ask_for("address", read_ip("192.0.2.7")), sources)
    assert after is not None
    assert (after.asked.address, request_of(after.facts)["address"]) == ("192.0.2.7", read_ip("192.0.2.7"))
    after = amend(after, request("unset", "address"), sources)
    assert after is not None
    assert after.asked.address == ""


@pytest.mark.parametrize(
    "amendment",
    [
        request("set", "purpose", 5),
        request("set", "time", 5),
        request("set", "auth_age", -1),
        request("set", "amr", frozenset({1})),
        request("set", "binding", "x"),
        request("set", "unknown", "x"),
        Amendment("request", Change("set", ("context", "request"), Record())),
        Amendment("subject", Change("add", ("principal", "risk"), "x")),
    ],
)
def test_what_cannot_be_is_none(sources: SourceIndex, amendment: Amendment) -> None:
    assert amend(start(), amendment, sources) is None


def test_without_a_request_nothing_can_be_asked(sources: SourceIndex) -> None:
    asks, known, now = start()
    assert amend(Situation(asks, replace(known, context=Record()), now), ask_for("acr", "phr"), sources) is None


def test_facts_of_each_role_and_of_the_context(sources: SourceIndex) -> None:
    after = amend(start(), Amendment("subject", Change("set", ("principal", "risk"), 1)), sources)
    assert after is not None
    assert after.facts.subject.attrs["risk"] == 1
    after = amend(
        after, Amendment("actor:0", Change("join", ("principal", "<groups>"), EntityUid("Group", "x"))), sources
    )
    assert after is not None
    assert after.facts.actors[0].ancestors == {EntityUid("Group", "x")}
    after = amend(after, Amendment("context", Change("set", ("context", "session", "risk"), 1)), sources)
    assert after is not None
    assert after.facts.context["session"] == Record(risk=1)


def test_a_fact_that_is_given_comes_from_a_source_that_answers(sources: SourceIndex, tmp_path: Path) -> None:
    asks, known, now = start()
    readings = {**known.readings, "subject/risk": Reading("stale", 1, 300_000)}
    before = Situation(asks, replace(known, readings=readings), now)
    after = amend(before, Amendment("subject", Change("set", ("principal", "risk"), 1)), sources)
    assert after is not None
    assert after.facts.readings["subject/risk"] == Reading("present", NOW, 300_000)
    fresh = amend(before, Amendment("source", Change("set", ("subject/risk",))), sources)
    assert fresh is not None
    assert fresh.facts.readings["subject/risk"].state == "present"


def test_an_end_is_taken_away(sources: SourceIndex) -> None:
    asks, known, now = start()
    ends = {"subject/groups": {"finance": 1, "ops": 2}}
    amendment = Amendment("end", Change("unset", ("subject/groups", "finance")))
    after = amend(Situation(asks, replace(known, ends=ends), now), amendment, sources)
    assert after is not None
    assert after.facts.ends == {"subject/groups": {"ops": 2}}
    assert (amendment.text, amendment.cost) == ("subject/groups finance ends later, or never", 1)


def test_who_is_asking_is_no_fact() -> None:
    for path in (("context", "subject", "id"), ("context", "chain", "depth"), ("context", "client", "kind")):
        assert amendment_of("subject", Change("set", path, "x")) is None
    told = amendment_of("actor:1", Change("set", ("principal", "risk"), 1))
    assert told is not None
    assert told.text == "actor:1.risk = 1"
    client = amendment_of("subject", Change("set", ("context", "client", "quota"), 1))
    assert client is not None
    assert (client.about, client.text) == ("context", "context.client.quota = 1")
    assert Entity(EntityUid("a", "b"), {}).ancestors == frozenset()
