"""What the assembly lists, leaves out and converts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import pytest

from mintwarden.context.assemble import Assembler, Assembly, SourceAnswer, TokenFacts
from mintwarden.context.ports import ExternalSource, FactBatch, FactDocument, FactRow, Observation, SubjectKey
from mintwarden.model.asked import Asked
from mintwarden.model.caller import Binding, Caller, Evidence
from mintwarden.model.catalogue import Catalogue, Client, Source
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.fact_type import Fact, FactType
from mintwarden.model.facts import Facts, Reading
from mintwarden.model.values import (
    Datetime,
    Decimal4,
    Duration,
    EntityUid,
    Record,
)

NOW = 1_790_000_000_000
ALICE = EntityUid("User", "alice")
BOT = EntityUid("Agent", "bot")
STRING = FactType(kind="string")
STRINGS = FactType(kind="set", element=STRING)


def fact(name: str, kind: FactType, *, optional: bool = False) -> Fact:
    return Fact(name=name, type=kind, optional=optional)


def source(name: str, about: tuple[str, ...], *facts: Fact, **settings: object) -> Source:
    return Source(
        id=name,
        kind=settings.pop("kind", "store"),  # type: ignore[arg-type]
        about=about,
        facts={f.name: f for f in facts},
        **settings,  # type: ignore[arg-type]
    )


def catalogue(*sources: Source) -> Catalogue:
    client = Client(
        id="bot",
        name="Bot",
        kind="agent",
        owner="Support",
        principal="Agent",
        methods=("client_secret_basic",),
        grants=(),
        ceilings={},
        environments=("production",),
    )
    return Catalogue(
        name="test",
        issuer="https://issuer.example",
        owner="o",
        owner_contact="c",
        environments=("production",),
        tiers={},
        purposes={},
        audiences={},
        scopes={},
        claims={},
        sources={s.id: s for s in sources},
        clients={"bot": client},
        issuers={},
    )


def asked(**changes: object) -> Asked:
    base: dict[str, object] = {
        "grant": "token_exchange",
        "client_id": "bot",
        "subject": ALICE,
        "audience": "payments",
        "scopes": (),
        "environment": "production",
        "method": "private_key_jwt",
    }
    return Asked(**{**base, **changes})  # type: ignore[arg-type]


def built(
    catalogue_: Catalogue,
    documents: Mapping[str, Mapping[str, SourceAnswer]],
    tokens: Mapping[str, TokenFacts] | None = None,
    **changes: object,
) -> Facts:
    return Assembly(catalogue_).build(asked(**changes), documents, tokens or {}, NOW)


def answer(facts: dict[str, object], *, age: int = 0, **more: object) -> SourceAnswer:
    return SourceAnswer(document=FactDocument(facts=facts, **more), observed_at=NOW - age)  # type: ignore[arg-type]


def test_every_type_becomes_its_model_value():
    kinds = {
        "b": FactType(kind="bool"),
        "l": FactType(kind="long"),
        "s": STRING,
        "d": FactType(kind="decimal"),
        "t": FactType(kind="datetime"),
        "u": FactType(kind="duration"),
        "i": FactType(kind="ipaddr"),
        "ss": STRINGS,
        "ls": FactType(kind="set", element=FactType(kind="long")),
        "ds": FactType(kind="set", element=FactType(kind="decimal")),
        "r": FactType(kind="record", fields={"x": FactType(kind="long"), "at": FactType(kind="datetime")}),
        "rs": FactType(kind="set", element=FactType(kind="record", fields={"x": FactType(kind="long")})),
        "e": FactType(kind="entity", entity="User"),
    }
    cat = catalogue(source("all", ("User",), *(fact(n, k) for n, k in kinds.items())))
    document = {
        "b": True,
        "l": -5,
        "s": "x",
        "d": "1.25",
        "t": "2026-11-24T02:30:00.500Z",
        "u": "1h30m",
        "i": "10.0.0.1/8",
        "ss": ["a", "b", "a"],
        "ls": [1, 2],
        "ds": ["1.0", "1.00"],
        "r": {"x": 1, "at": "1970-01-02"},
        "rs": [{"x": 1}],
        "e": {"type": "User", "id": "ines"},
    }
    for told in (answer(document), SourceAnswer(document=msgspec.json.encode({"facts": document}), observed_at=NOW)):
        facts = built(cat, {"User:alice": {"all": told}})
        assert facts.readings == {"subject/all": Reading("present", NOW)}
        attrs = dict(facts.subject.attrs)
        ip = attrs.pop("i")
        assert (str(ip.network), ip.host, ip.text) == ("10.0.0.0/8", 0x0A000001, "10.0.0.1/8")
        assert attrs == {
            "b": True,
            "l": -5,
            "s": "x",
            "d": Decimal4(12_500),
            "t": Datetime(1_795_487_400_500),
            "u": Duration(5_400_000),
            "ss": frozenset({"a", "b"}),
            "ls": frozenset({1, 2}),
            "ds": frozenset({Decimal4(10_000)}),
            "r": Record({"x": 1, "at": Datetime(86_400_000)}),
            "rs": frozenset({Record({"x": 1})}),
            "e": EntityUid("User", "ines"),
        }


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (FactType(kind="bool"), 1),
        (FactType(kind="bool"), "true"),
        (FactType(kind="long"), True),
        (FactType(kind="long"), 1.0),
        (FactType(kind="long"), 2**63),
        (FactType(kind="long"), "1"),
        (STRING, None),
        (STRING, 3),
        (STRINGS, "a"),
        (STRINGS, ["a", 1]),
        (FactType(kind="decimal"), "1"),
        (FactType(kind="decimal"), "1.23456"),
        (FactType(kind="datetime"), "2026-13-01"),
        (FactType(kind="datetime"), 0),
        (FactType(kind="duration"), "5"),
        (FactType(kind="ipaddr"), "10.0.0.1/33"),
        (FactType(kind="ipaddr"), "::ffff:10.0.0.1"),
        (FactType(kind="record", fields={"x": STRING}), {}),
        (FactType(kind="record", fields={"x": STRING}), {"x": 1}),
        (FactType(kind="entity", entity="User"), 'Group::"a"'),
        (FactType(kind="entity", entity="User"), "alice"),
    ],
)
def test_a_wrong_type_is_a_lie_and_leaves_no_fact_behind(kind: FactType, value: object):
    cat = catalogue(source("liar", ("User",), fact("x", kind), fact("fine", STRING)))
    for told in (
        answer({"x": value, "fine": "yes"}, groups=["staff"]),
        SourceAnswer(document=msgspec.json.encode({"facts": {"x": value, "fine": "yes"}}), observed_at=NOW),
    ):
        facts = built(cat, {"User:alice": {"liar": told}})
        assert facts.readings["subject/liar"].state == "failing"
        assert facts.readings["subject/liar"].detail
        assert dict(facts.subject.attrs) == {}
        assert facts.subject.ancestors == frozenset()


@pytest.mark.parametrize("broken", [b"", b"{", b"[]", b'{"facts": []}', b"\xff", b'{"spans": {"x": [1]}}'])
def test_a_broken_document_is_a_lie(broken: bytes):
    cat = catalogue(source("liar", ("User",), fact("x", STRINGS, optional=True)))
    told = SourceAnswer(document=broken, observed_at=NOW)
    assert built(cat, {"User:alice": {"liar": told}}).readings["subject/liar"].state == "failing"


def test_missing_stale_and_failing_are_three_listed_things():
    cat = catalogue(
        source("gone", ("User",), fact("a", STRING)),
        source("old", ("User",), fact("b", STRING), max_age=1000),
        source("down", ("User",), fact("c", STRING)),
        source("fine", ("User",), fact("d", STRING), max_age=1000),
    )
    facts = built(
        cat,
        {
            "User:alice": {
                "old": answer({"b": "x"}, age=1001),
                "down": SourceAnswer(state="failing", detail="no answer"),
                "fine": answer({"d": "x"}, age=1000),
            }
        },
    )
    assert facts.readings == {
        "subject/gone": Reading("missing"),
        "subject/old": Reading("stale", NOW - 1001, 1000),
        "subject/down": Reading("failing", 0, 0, "no answer"),
        "subject/fine": Reading("present", NOW - 1000, 1000),
    }
    assert facts.subject.attrs == {"d": "x"}


def test_an_observation_from_the_future_is_a_lie():
    cat = catalogue(source("eager", ("User",), fact("a", STRING), max_age=1000))
    readings = [
        built(cat, {"User:alice": {"eager": answer({"a": "x"}, age=-ahead)}}).readings["subject/eager"].state
        for ahead in (60_000, 60_001)
    ]
    assert readings == ["present", "failing"]


def test_a_document_without_a_required_fact_counts_as_missing():
    strict = source("s", ("User",), fact("a", STRING), fact("b", STRING, optional=True))
    lax = source("s", ("User",), fact("a", STRING), missing="absent")
    told = {"User:alice": {"s": answer({"b": "x"})}}
    reading = built(catalogue(strict), told).readings["subject/s"]
    assert (reading.state, reading.detail) == ("missing", "fact `a` is absent")
    assert built(catalogue(lax), told).readings["subject/s"].state == "present"


def test_elements_outside_their_span_do_not_hold_and_ends_are_kept():
    cat = catalogue(source("dir", ("User",), fact("roles", STRINGS), groups=True))
    spans = {
        "roles": {"over": (None, NOW), "later": (NOW + 1, None), "now": (NOW, NOW + 1), "absent": (None, NOW + 9)},
        "groups": {"g1": (None, NOW - 1), "g2": (None, NOW + 5)},
    }
    told = answer({"roles": ["over", "later", "now", "always"]}, groups=["g1", "g2", "g3"], spans=spans)
    facts = built(cat, {"User:alice": {"dir": told}})
    assert facts.subject.attrs == {"roles": frozenset({"now", "always"})}
    assert facts.subject.ancestors == {EntityUid("Group", "g2"), EntityUid("Group", "g3")}
    assert facts.ends == {"subject/roles": {"now": NOW + 1}, "subject/groups": {"g2": NOW + 5}}


def test_a_group_that_two_sources_name_lasts_as_long_as_the_last():
    cat = catalogue(source("one", ("User",), groups=True), source("two", ("User",), groups=True))
    facts = built(
        cat,
        {
            "User:alice": {
                "one": answer({}, groups=["a", "b"], spans={"groups": {"a": (None, NOW + 5), "b": (None, NOW + 5)}}),
                "two": answer({}, groups=["a", "b"], spans={"groups": {"a": (None, NOW + 9)}}),
            }
        },
    )
    assert facts.ends == {"subject/groups": {"a": NOW + 9}}


def test_a_span_on_what_is_no_set_is_a_lie():
    cat = catalogue(source("dir", ("User",), fact("boss", STRING)))
    told = answer({"boss": "ines"}, spans={"boss": {"ines": (None, NOW - 1)}})
    facts = built(cat, {"User:alice": {"dir": told}})
    assert facts.readings["subject/dir"].state == "failing"
    assert facts.subject.attrs == {}


@pytest.mark.parametrize(
    ("element", "values", "over", "kept"),
    [
        (FactType(kind="long"), [1, 2], "1", {2}),
        (FactType(kind="decimal"), ["1.0", "2.0"], "1.00", {Decimal4(20_000)}),
        (FactType(kind="entity", entity="User"), [{"type": "User", "id": "a"}], 'User::"a"', set()),
    ],
)
def test_spans_of_other_elements_go_by_their_spelling(
    element: FactType, values: list[object], over: str, kept: set[object]
):
    cat = catalogue(source("dir", ("User",), fact("x", FactType(kind="set", element=element))))
    facts = built(cat, {"User:alice": {"dir": answer({"x": values}, spans={"x": {over: (None, NOW)}})}})
    assert facts.subject.attrs == {"x": frozenset(kept)}


@pytest.mark.parametrize("kind", [FactType(kind="long"), FactType(kind="record", fields={"a": STRING})])
def test_a_span_that_cannot_be_read_is_a_lie(kind: FactType):
    cat = catalogue(source("dir", ("User",), fact("x", FactType(kind="set", element=kind))))
    facts = built(cat, {"User:alice": {"dir": answer({"x": []}, spans={"x": {"?": (None, NOW)}})}})
    assert facts.readings["subject/dir"].state == "failing"


def test_spans_of_what_the_catalogue_does_not_know_are_left_aside():
    cat = catalogue(source("dir", ("User",), fact("x", STRINGS)))
    told = answer({"x": ["a"], "old": "y"}, spans={"old_set": {"a": (None, NOW)}, "x": {}})
    facts = built(cat, {"User:alice": {"dir": told}})
    assert facts.subject.attrs == {"x": frozenset({"a"})}


def test_a_set_without_element_type_is_no_type():
    with pytest.raises(ValueError, match="element"):
        Assembly(catalogue(source("dir", ("User",), fact("x", FactType(kind="set")))))


def test_the_context_is_the_schema_s():
    facts = built(
        catalogue(),
        {},
        actors=(BOT,),
        address="::ffff:10.0.0.9",
        purpose="fraud-review",
        tenant="t1",
        workspace="w",
        project="p",
        acr="phr",
        amr=("mfa", "pwd"),
        authenticated_at=NOW - 90_500,
        binding=Binding(kind="dpop", thumbprint="x"),
    )
    request = dict(facts.context["request"])  # type: ignore[arg-type]
    assert str(request.pop("address").network) == "10.0.0.9/32"
    assert request == {
        "time": Datetime(NOW),
        "grant": "token_exchange",
        "environment": "production",
        "method": "private_key_jwt",
        "purpose": "fraud-review",
        "tenant": "t1",
        "workspace": "w",
        "project": "p",
        "acr": "phr",
        "amr": frozenset({"mfa", "pwd"}),
        "auth_age": 90,
        "binding": "dpop",
    }
    assert facts.context["chain"] == {"depth": 1, "actors": frozenset({"Agent:bot"})}
    assert facts.context["subject"] == {"type": "User", "id": "alice"}
    assert facts.context["client"] == {"id": "bot", "kind": "agent", "owner": "Support", "principal": "Agent"}
    assert set(facts.context) == {"request", "client", "chain", "subject"}


def test_what_was_not_said_is_not_in_the_request():
    request = built(catalogue(), {}, address="unix:").context["request"]
    assert set(request) == {"time", "grant", "environment", "method", "amr"}  # type: ignore[arg-type]


def test_impersonation_is_asked_about_the_client_s_own_principal():
    facts = built(catalogue(source("dir", ("Agent",), fact("a", STRING))), {"Agent:bot": {"dir": answer({"a": "x"})}},
                  impersonate=True)  # fmt: skip
    assert [actor.uid for actor in facts.actors] == [BOT]
    assert facts.actors[0].attrs == {"a": "x"}
    assert facts.readings == {"actor:0/dir": Reading("present", NOW)}
    assert facts.context["chain"]["depth"] == 1  # type: ignore[index, call-overload]


def test_namespaces_hold_their_facts_and_a_client_s_facts_never_hide_its_own():
    cat = catalogue(
        source("cl", ("client",), fact("kind2", STRING)),
        source("risk", ("session",), fact("risk", FactType(kind="long"))),
        source("posture", ("device",), fact("healthy", FactType(kind="bool"))),
        source("world", ("world",), fact("incident", FactType(kind="bool"))),
    )
    told = {
        "client:bot": {"cl": answer({"kind2": "x"})},
        "session:s1": {"risk": answer({"risk": 3})},
        "world:": {"world": answer({"incident": True})},
    }
    facts = built(cat, told, session="s1")
    assert facts.context["client"]["kind2"] == "x"  # type: ignore[index, call-overload]
    assert facts.context["session"] == {"risk": 3}
    assert facts.context["world"] == {"incident": True}
    assert "device" not in facts.context
    assert facts.readings["device/posture"] == Reading("missing")


def test_token_facts_come_from_the_principal_s_own_token():
    cat = catalogue(source("claims", ("User", "Agent"), fact("repo", STRING), kind="token"))
    tokens = {"User:alice": TokenFacts({"repo": "a/b", "other": 1}, NOW)}
    facts = built(cat, {"Agent:bot": {"claims": answer({"repo": "forged"})}}, tokens, actors=(BOT,))
    assert facts.subject.attrs == {"repo": "a/b"}
    assert facts.actors[0].attrs == {}
    assert facts.readings["actor:0/claims"].state == "missing"


class Store:
    """A store in memory."""

    def __init__(self, rows: Mapping[str, Sequence[FactRow]]) -> None:
        self.rows = rows
        self.asked: list[tuple[str, ...]] = []

    async def read(self, entities: Sequence[str]) -> FactBatch:
        self.asked.append(tuple(entities))
        return FactBatch(
            {k: self.rows[k] for k in entities if k in self.rows}, {"User:alice": SubjectKey(7, b"s" * 32)}, 42
        )


class Outside:
    """An external source that answers, or fails as told."""

    def __init__(self, told: Mapping[str, Observation] | Exception) -> None:
        self.told = told
        self.asked: list[tuple[str, ...]] = []

    async def read(self, entities: Sequence[str], now: int) -> Mapping[str, Observation]:
        self.asked.append(tuple(entities))
        if isinstance(self.told, Exception):
            raise self.told
        return self.told


async def test_the_driver_reads_everything_at_once():
    cat = catalogue(
        source("dir", ("User", "Agent"), fact("a", STRING)),
        source("hr", ("User", "Agent"), fact("b", STRING), kind="sql", max_age=1000),
        source("dead", ("User",), fact("c", STRING), kind="http"),
        source("odd", ("User",), fact("d", STRING), kind="http"),
        source("unset", ("session",), fact("e", STRING), kind="http"),
    )
    store = Store({"User:alice": [FactRow("dir", b'{"facts":{"a":"x"}}', NOW)]})
    hr = Outside({"User:alice": Observation(FactDocument(facts={"b": "y"}))})
    external: dict[str, ExternalSource] = {
        "hr": hr,
        "dead": Outside(MintwardenError(ErrorKind.SOURCE, "took too long")),
        "odd": Outside(RuntimeError("secret detail")),
    }
    assembler = Assembler(catalogue=cat, facts=store, external=external)
    caller = Caller(client_id="bot", method="private_key_jwt")
    assembled = await assembler.assemble(asked(actors=(BOT,), session="s1"), caller, NOW)
    assert store.asked == [("User:alice", "Agent:bot", "session:s1")]
    assert hr.asked == [("User:alice", "Agent:bot")]
    assert assembled.subject_keys == {"User:alice": SubjectKey(7, b"s" * 32)}
    assert assembled.facts.epoch == 42
    assert assembled.facts.subject.attrs == {"a": "x", "b": "y"}
    assert {key: reading.state for key, reading in assembled.facts.readings.items()} == {
        "subject/dir": "present",
        "subject/hr": "present",
        "subject/dead": "failing",
        "subject/odd": "failing",
        "actor:0/dir": "missing",
        "actor:0/hr": "missing",
        "session/unset": "failing",
    }
    assert assembled.facts.readings["subject/dead"].detail == "took too long"
    assert "secret" not in assembled.facts.readings["subject/odd"].detail


async def test_the_driver_asks_about_each_namespace_that_a_source_describes():
    store = Store({})
    names = ("client", "session", "device", "world")
    cat = catalogue(*(source(name, (name,), fact("x", STRING)) for name in names))
    caller = Caller(client_id="bot", method="private_key_jwt")
    assembler = Assembler(catalogue=cat, facts=store, external={})
    await assembler.assemble(asked(session="s", device="d", actors=(ALICE, BOT)), caller, NOW)
    await assembler.assemble(asked(), caller, NOW)
    assert store.asked == [
        ("User:alice", "Agent:bot", "client:bot", "session:s", "device:d", "world:"),
        ("User:alice", "client:bot", "world:"),
    ]


async def test_external_sources_about_nobody_here_are_not_asked():
    outside = Outside({})
    cat = catalogue(source("hr", ("Agent",), fact("x", STRING), kind="sql"))
    caller = Caller(client_id="bot", method="private_key_jwt")
    await Assembler(catalogue=cat, facts=Store({}), external={"hr": outside}).assemble(asked(), caller, NOW)
    assert outside.asked == []


async def test_the_driver_takes_token_facts_from_the_evidence():
    cat = catalogue(source("claims", ("User",), fact("repo", STRING), kind="token", max_age=1000))
    store = Store({})
    evidence = Evidence(principal=ALICE, issuer="https://i", own=False, issued_at=NOW - 500, facts={"repo": "a/b"})
    caller = Caller(client_id="bot", method="private_key_jwt", subject=evidence)
    assembled = await Assembler(catalogue=cat, facts=store, external={}).assemble(asked(), caller, NOW)
    assert assembled.facts.readings == {"subject/claims": Reading("present", NOW - 500, 1000)}
    assert assembled.facts.subject.attrs == {"repo": "a/b"}


async def test_too_long_a_chain_or_an_unknown_client_is_an_error():
    assembler = Assembler(catalogue=catalogue(), facts=Store({}), external={})
    caller = Caller(client_id="bot", method="private_key_jwt")
    for bad in (asked(actors=(BOT,) * 5), asked(client_id="other")):
        with pytest.raises(MintwardenError):
            await assembler.assemble(bad, caller, NOW)
