"""INVARIANT 4: facts written down and read again are the same facts, and the same bytes when written again."""

from __future__ import annotations

import ipaddress
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mintwarden.ledger.document import decision_document, facts_document, read_document, read_facts
from mintwarden.ledger.seal import Sealer, commitment
from mintwarden.model.asked import Asked, Parent
from mintwarden.model.caller import Binding
from mintwarden.model.facts import Facts, Reading
from mintwarden.model.values import (
    LONG_MAX,
    LONG_MIN,
    Datetime,
    Decimal4,
    Duration,
    Entity,
    EntityUid,
    IpAddress,
    Record,
)
from tests.unit.ledger import samples

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NAMES = TEXT | st.sampled_from(["$entity", "$ip", "$record", "$datetime", "$", "request"])
LONGS = st.integers(LONG_MIN, LONG_MAX)
UIDS = st.builds(EntityUid, st.sampled_from(["User", "Workload", "Agent", "Group"]), TEXT)


@st.composite
def addresses(draw: Any) -> IpAddress:
    host = draw(st.ip_addresses())
    length = draw(st.integers(0, host.max_prefixlen))
    network = ipaddress.ip_network((host.packed, length), strict=False)
    return IpAddress(network, int(host), str(host) if length == host.max_prefixlen else f"{host}/{length}")


KINDS = (
    st.booleans(),
    LONGS,
    TEXT,
    UIDS,
    st.builds(Decimal4, LONGS),
    st.builds(Datetime, LONGS),
    st.builds(Duration, LONGS),
    addresses(),
)


def deeper(inner: Any) -> Any:
    return st.one_of(
        st.frozensets(inner, max_size=3),
        *(st.frozensets(kind, max_size=4) for kind in KINDS),
        st.dictionaries(NAMES, inner, max_size=3).map(Record),
    )


VALUES = st.recursive(st.one_of(*KINDS), deeper, max_leaves=8)
ENTITIES = st.builds(Entity, UIDS, st.dictionaries(NAMES, VALUES, max_size=5), st.frozensets(UIDS, max_size=4))
READINGS = st.builds(
    Reading, st.sampled_from(["present", "missing", "stale", "failing"]), LONGS.map(abs), LONGS.map(abs), TEXT
)
FACTS = st.builds(
    Facts,
    subject=ENTITIES,
    actors=st.lists(ENTITIES, max_size=2).map(tuple),
    context=st.dictionaries(NAMES, VALUES, max_size=4).map(Record),
    readings=st.dictionaries(TEXT, READINGS, max_size=3),
    ends=st.dictionaries(TEXT, st.dictionaries(TEXT, LONGS, max_size=2), max_size=2),
    epoch=st.integers(0, 2**40),
)
BINDINGS = st.none() | st.builds(Binding, kind=st.sampled_from(["dpop", "mtls"]), thumbprint=TEXT)
ASKED = st.builds(
    Asked,
    grant=TEXT,
    client_id=TEXT,
    subject=UIDS,
    actors=st.lists(UIDS, max_size=3).map(tuple),
    audience=TEXT,
    scopes=st.lists(TEXT, max_size=3).map(tuple),
    amr=st.lists(TEXT, max_size=2).map(tuple),
    lifetime=st.none() | LONGS,
    authenticated_at=st.none() | LONGS,
    binding=BINDINGS,
    parent=st.none()
    | st.builds(
        Parent,
        token_id=TEXT,
        scopes=st.none() | st.lists(TEXT, max_size=2).map(tuple),
        expires_at=LONGS,
        binding=BINDINGS,
    ),
)


@given(FACTS)
def test_facts_survive_exactly(facts):
    written = facts_document(facts)
    back = read_facts(written)
    assert back == facts
    assert facts_document(back) == written
    assert hash(back.context) == hash(facts.context)


@given(VALUES)
def test_values_keep_their_type(value):
    facts = samples.facts()
    facts = Facts(subject=Entity(facts.subject.uid, {"v": value}), context=Record({"v": value}))
    back = read_facts(facts_document(facts))
    assert type(back.subject.attrs["v"]) is type(value)
    assert type(back.context["v"]) is type(value)
    assert back.subject.attrs["v"] == value


@given(FACTS, ASKED)
def test_a_sealed_decision_can_be_made_again(facts, asked):
    document = decision_document(asked, facts, samples.decision())
    back = read_document(document)
    assert (back.asked, back.facts) == (asked, facts)
    assert decision_document(back.asked, back.facts, samples.decision()) == document


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=16, max_size=16), st.binary(max_size=300))
def test_sealing_and_opening(salt, decision_id, document):
    sealer = Sealer(secret=samples.SECRET, random_bytes=samples.counting_bytes())
    sealed = sealer.seal(salt, decision_id, document)
    assert sealer.open(salt, decision_id, sealed.blob, sealed.commitment) == document
    assert sealed.commitment == commitment(sealer.blinding(salt, decision_id), document)
