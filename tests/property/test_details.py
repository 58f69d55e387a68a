"""Invariants 1, 3 and 4 for authorization details, over random details and random chains of exchanges."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from mintwarden.authn.jose import decode_json, parse
from mintwarden.issue.grants import token_exchange
from mintwarden.model.asked import Asked
from mintwarden.model.caller import Caller
from mintwarden.model.detail import Detail, detail_of
from mintwarden.model.errors import MintwardenError
from mintwarden.model.facts import Facts
from mintwarden.model.request import TokenRequest
from mintwarden.model.values import EntityUid, Record
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.decide import decide
from mintwarden.policy.details import read_detail
from mintwarden.policy.plan import ACT, ISSUE
from tests.property.company import FILES, NOW, RULES, first_asked, truths
from tests.property.test_invariants import Mint
from tests.unit.policy.company import load_company
from tests.unit.policy.detailed import DETAIL_RULES, DETAILS

ALICE = EntityUid("User", "alice")
BOT = EntityUid("Agent", "bot")
MORE = """
@id("act-statement") @owner("o") @reason("r")
permit (principal, action == Action::"act", resource == Detail::"statement");
@id("act-some") @owner("o") @reason("r")
permit (principal, action == Action::"act", resource == Detail::"payment")
when { context.detail.amount.lessThan(decimal("60.0")) };
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    files = {
        name: text.replace("[client.ceilings]", 'details = ["payment", "statement"]\n[client.ceilings]')
        for name, text in FILES.items()
    }
    files["audiences/payments.toml"] += DETAILS
    return load_company(tmp_path_factory.mktemp("company"), rules=RULES + DETAIL_RULES + MORE, files=files)


@pytest.fixture(scope="module")
def mint(bundle: Bundle) -> Mint:
    return Mint(bundle)


amounts = st.sampled_from(["1.0", "10.00", "10.0", "49.99", "60.00", "100.00", "500.0", "2000.00", "-5.0"])
payments = st.fixed_dictionaries(
    {
        "type": st.just("payment"),
        "actions": st.lists(st.sampled_from(["initiate", "cancel"]), min_size=1, max_size=2, unique=True),
        "amount": amounts,
        "currency": st.sampled_from(["EUR", "EUR", "USD"]),
    },
    optional={
        "parts": st.integers(-1, 3),
        "urgent": st.booleans(),
        "creditor": st.fixed_dictionaries({"account": st.sampled_from(["A", "B", "XX1"])}),
    },
)
statements = st.fixed_dictionaries(
    {
        "type": st.just("statement"),
        "accounts": st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True),
    }
)
anything = st.one_of(payments, payments, statements)


@st.composite
def derived(draw: st.DrawFn, earlier: Sequence[Detail]) -> list[dict[str, Any]]:
    """What somebody with a token might ask for: of what it carries, the same, less, more, twice, or something else."""
    found = []
    for _ in range(draw(st.integers(1, 3))):
        if not earlier or draw(st.integers(0, 9)) == 0:
            found.append(draw(anything))
            continue
        said = dict(draw(st.sampled_from(list(earlier))).said)
        for name in ("amount", "actions", "accounts", "parts", "currency", "creditor"):
            if name in said and draw(st.integers(0, 3)) == 0:
                other: dict[str, Any] = dict(draw(payments if name != "accounts" else statements))
                said[name] = other.get(name, said[name])
        if draw(st.integers(0, 9)) == 0:
            said.pop(draw(st.sampled_from(["parts", "urgent", "creditor"])), None)
        found.append(said)
    return found


@given(said=st.lists(anything, min_size=1, max_size=3), data=st.data())
def test_1_no_detail_without_a_rule_that_permits_it(
    bundle: Bundle, mint: Mint, said: list[dict[str, Any]], data: st.DataObject
) -> None:
    actors = data.draw(st.sampled_from([(), (BOT,)]))
    asked = msgspec.structs.replace(
        first_asked(data.draw(st.sampled_from([(), ("pay:read",)])), acr="phr", actors=actors),
        details=tuple(map(detail_of, said)),
    )
    facts: Facts = data.draw(truths(ALICE, actors))
    decision = decide(bundle, asked, facts, NOW)
    assert msgspec.structs.replace(decide(bundle.on_cedar(), asked, facts, NOW), evaluator="compiled") == decision
    audience = bundle.catalogue.audiences["payments"]
    for detail, answer in zip(asked.details, decision.details, strict=True):
        if not answer.granted:
            continue
        event(f"granted {detail.type}")
        record = read_detail(audience, detail)
        assert record is not None
        context = Record({**facts.context, "detail": record})
        plan = bundle.plans.scope(detail.type)
        permits, forbids, _ = plan.slice(ISSUE).oracle.evaluate(facts.subject, ISSUE, plan.resource, context)
        assert answer.route in {rule.id for rule in permits if rule.details == (detail.type,)}
        assert forbids == ()
        for actor, route in zip(facts.actors, answer.acting, strict=True):
            permits, forbids, _ = plan.slice(ACT).oracle.evaluate(actor, ACT, plan.resource, context)
            assert route in {rule.id for rule in permits}
            assert forbids == ()
    if decision.granted:
        claims = decode_json(parse(mint.mint(decision, asked)).payload)
        granted = [one for one, answer in zip(said, decision.details, strict=True) if answer.granted]
        assert claims.get("authorization_details", []) == granted
        assert claims.get("scope", "").split() == list(decision.granted_scopes)


@given(data=st.data())
def test_3_a_chain_never_widens_its_details(bundle: Bundle, mint: Mint, data: st.DataObject) -> None:
    said = data.draw(st.lists(anything, min_size=1, max_size=4))
    asked: Asked = msgspec.structs.replace(first_asked((), acr="phr"), details=tuple(map(detail_of, said)))
    decision = decide(bundle, asked, data.draw(truths(ALICE, (), friendly=True)), NOW)
    hops = 0
    while decision.granted and hops < 4:
        earlier = mint.read(mint.mint(decision, asked), NOW)
        wanted = data.draw(derived(earlier.details))
        form = {"authorization_details": (json.dumps(wanted),), "resource": ("https://api.example/payments",)}
        client = data.draw(st.sampled_from(["app", "bot"]))
        caller = Caller(client_id=client, method="client_secret_basic", subject=earlier)
        request = TokenRequest(unverified_form=form, received_at=NOW)
        try:
            asked = token_exchange.resolve(request, caller, bundle.catalogue.clients[client], bundle.catalogue)
        except MintwardenError:
            return
        decision = decide(bundle, asked, data.draw(truths(asked.subject, asked.actors, friendly=True)), NOW)
        hops += 1
        event(f"hop {hops} {'granted' if decision.granted else 'refused'}")
        if decision.granted:
            later = mint.read(mint.mint(decision, asked), NOW)
            assert is_carried([d.said for d in later.details], [d.said for d in earlier.details])


def is_carried(later: list[dict[str, Any]], earlier: list[dict[str, Any]]) -> bool:
    """Said once more, without the code that is tested: some way to give each its own earlier one."""
    return any(all(map(is_less, later, chosen)) for chosen in itertools.permutations(earlier, len(later)))


def is_less(later: Mapping[str, Any], earlier: Mapping[str, Any]) -> bool:
    if later.keys() != earlier.keys():
        return False
    for name, value in later.items():
        held = earlier[name]
        if name in ("actions", "accounts"):
            good = set(value) <= set(held)
        elif name == "amount":
            good = Decimal(value) == Decimal(held) or 0 <= Decimal(value) <= Decimal(held)
        elif name == "parts":
            good = value == held or 0 <= value <= held
        else:
            good = value == held
        if not good:
            return False
    return True


@given(said=st.lists(anything, min_size=1, max_size=3))
def test_4_the_order_of_members_makes_no_difference(bundle: Bundle, said: list[dict[str, Any]]) -> None:
    turned = [dict(reversed(list(one.items()))) for one in said]
    details, others = tuple(map(detail_of, said)), tuple(map(detail_of, turned))
    assert msgspec.json.encode(details) == msgspec.json.encode(others)
