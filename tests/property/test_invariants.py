"""What must always hold, each by its number in `docs/life-of-a-token.md`.

2 (no signature without a durable receipt) is `tests/unit/mint/test_order.py` and `tests/reliability`; 7 (a change
shapes the next decision) and 8 (nothing secret is kept) need a whole server: `tests/flow`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import event, given
from hypothesis import strategies as st
from joserfc.jwk import ECKey

from mintwarden.authn.jose import decode_json, parse
from mintwarden.authn.own import OwnTokens
from mintwarden.issue.grants import token_exchange
from mintwarden.mint.prepare import PROTOCOL_CLAIMS, prepare
from mintwarden.mint.sign import sign
from mintwarden.mint.signers import LocalSigner
from mintwarden.model.asked import Asked, Parent
from mintwarden.model.caller import Evidence
from mintwarden.model.decision import Decision
from mintwarden.model.errors import MintwardenError
from mintwarden.model.facts import Facts
from mintwarden.model.ids import decision_id, decision_text
from mintwarden.model.token import Receipt
from mintwarden.model.values import EntityUid
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.decide import decide
from mintwarden.policy.plan import ACT, ISSUE
from tests.property.company import FILES, NOW, RULES, exchanges, first_asked, scope_lists, truths
from tests.unit.policy.company import load_company

ALICE = EntityUid("User", "alice")
CHAINS = [(), (EntityUid("Agent", "bot"),), (EntityUid("Workload", "tool"), EntityUid("Agent", "bot"))]


class Mint:
    """Signs what was decided, as the line does."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.signer = LocalSigner(kid="k", algorithm="ES256", private_key=self.private)
        self.algorithm = "ES256"
        self.jwk = ECKey.import_key(self.private.public_key()).as_dict(private=False)
        self.tokens = OwnTokens(issuer=bundle.catalogue.issuer, keys=self)
        self._numbers: Iterator[int] = count()

    def public_key(self, kid: str) -> Mint | None:
        return self if kid == "k" else None

    def mint(self, decision: Decision, asked: Asked) -> str:
        catalogue = self.bundle.catalogue
        name = decision_text(decision_id(NOW, next(self._numbers).to_bytes(10, "big")))
        prepared = prepare(
            decision,
            asked,
            catalogue.clients[asked.client_id],
            catalogue.audiences[asked.audience],
            issuer=catalogue.issuer,
            key=self.signer,
            now=decision.decided_at,
            decision_id=name,
        )
        receipt = Receipt(decision_id=name, position=0, leaf_hash=bytes(32), prepared=prepared.digest)
        coroutine = sign(prepared, receipt, self.signer)
        try:
            coroutine.send(None)
        except StopIteration as done:
            return str(done.value.compact)
        raise AssertionError("signing with a local key does not wait")

    def read(self, compact: str, now: int) -> Evidence:
        token = parse(compact)
        return self.tokens.verify(token, decode_json(token.payload), now)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return load_company(tmp_path_factory.mktemp("company"), rules=RULES, files=FILES)


@pytest.fixture(scope="module")
def mint(bundle: Bundle) -> Mint:
    return Mint(bundle)


questions = st.builds(
    first_asked,
    scope_lists,
    actors=st.sampled_from(CHAINS),
    acr=st.sampled_from(["", "phr"]),
    lifetime=st.none() | st.integers(1, 5_000),
    audience=st.sampled_from(["payments", "payments", "legacy"]),
    parent=st.none()
    | st.builds(
        Parent,
        token_id=st.just("t"),
        scopes=st.none() | scope_lists,
        expires_at=st.integers(NOW - 1_000, NOW + 600_000),
    ),
)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Asked, Facts]:
    asked = draw(questions)
    return asked, draw(truths(asked.subject, asked.actors))


@given(case=cases())
def test_1_nothing_without_a_rule_that_permits_it(bundle: Bundle, mint: Mint, case: tuple[Asked, Facts]) -> None:
    asked, facts = case
    decision = decide(bundle, asked, facts, NOW)
    audience = bundle.catalogue.audiences[asked.audience]
    for scope in decision.scopes:
        if not scope.granted or scope.route.startswith("legacy:"):
            continue
        plan = bundle.plans.scope(scope.scope)
        permits, forbids, _ = plan.slice(ISSUE).oracle.evaluate(facts.subject, ISSUE, plan.resource, facts.context)
        assert scope.route in {rule.id for rule in permits}
        assert forbids == ()
        for actor, route in zip(facts.actors, scope.acting, strict=True):
            permits, forbids, _ = plan.slice(ACT).oracle.evaluate(actor, ACT, plan.resource, facts.context)
            assert route in {rule.id for rule in permits}
            assert forbids == ()
    if decision.granted:
        claims = decode_json(parse(mint.mint(decision, asked)).payload)
        assert set(claims) <= PROTOCOL_CLAIMS | {"environment", "purpose"} | set(audience.claims)
        assert claims["scope"].split() == list(decision.granted_scopes)
        assert {claim.name for claim in decision.claims} <= set(audience.claims)


@given(data=st.data())
def test_3_a_chain_never_widens(bundle: Bundle, mint: Mint, data: st.DataObject) -> None:
    asked = first_asked(
        data.draw(scope_lists),
        acr="phr",
        session="s1",
        device="laptop-7",
        client_id=data.draw(st.sampled_from(["app", "bot"])),
    )
    decision = decide(bundle, asked, data.draw(truths(ALICE, (), friendly=True)), NOW)
    now, hops = NOW, 0
    while decision.granted and hops < 5:
        earlier = mint.read(mint.mint(decision, asked), now)
        now += data.draw(st.integers(0, 10_000))
        if now >= earlier.expires_at:
            return
        request, caller, client = data.draw(exchanges(bundle, earlier))
        try:
            asked = token_exchange.resolve(request, caller, bundle.catalogue.clients[client], bundle.catalogue)
        except MintwardenError:
            return
        decision = decide(bundle, asked, data.draw(truths(asked.subject, asked.actors, now, friendly=True)), now)
        hops += 1
        event(f"hop {hops} {'granted' if decision.granted else 'refused'}")
        if decision.granted:
            assert_narrower(bundle, earlier, mint.read(mint.mint(decision, asked), now))


def assert_narrower(bundle: Bundle, earlier: Evidence, later: Evidence) -> None:
    carried = {c for s in earlier.scopes or () for c in (s, *bundle.catalogue.scopes[s].carries)}
    assert set(later.scopes or ()) <= carried
    assert later.expires_at <= earlier.expires_at
    assert later.principal == earlier.principal
    assert len(later.audiences) == 1
    for confine in ("tenant", "workspace", "project", "purpose", "environment"):
        if getattr(earlier, confine):
            assert getattr(later, confine) == getattr(earlier, confine)
    assert later.actors[-len(earlier.actors) :] == earlier.actors if earlier.actors else True
    assert len(later.actors) <= len(earlier.actors) + 1
    assert later.may_act == earlier.may_act
    assert (later.acr, later.authenticated_at) == (earlier.acr, earlier.authenticated_at)
    assert (later.session, later.device) == (earlier.session, earlier.device) == ("s1", "laptop-7")


@given(case=cases())
def test_4_the_same_inputs_give_the_same_decision(bundle: Bundle, case: tuple[Asked, Facts]) -> None:
    asked, facts = case
    first = msgspec.json.encode(decide(bundle, asked, facts, NOW))
    turned = msgspec.structs.replace(
        facts,
        readings=dict(reversed(list(facts.readings.items()))),
        ends={k: dict(reversed(list(v.items()))) for k, v in reversed(list(facts.ends.items()))},
    )
    assert msgspec.json.encode(decide(bundle, asked, turned, NOW)) == first


def test_4_on_any_machine(tmp_path: Path) -> None:
    """Another process, another hash seed, another order of files: the same digest and the same bytes."""
    program = (
        "import sys, pathlib, msgspec\n"
        "from tests.unit.policy.company import load_company, asked, facts, NOW\n"
        "from mintwarden.policy.decide import decide\n"
        "bundle = load_company(pathlib.Path(sys.argv[1]))\n"
        "held = facts(attrs={'entitlements': frozenset('abcdefgh')}, groups=('x', 'finance', 'y'))\n"
        "decision = decide(bundle, asked('pay:read', 'pay:write', acr='phr'), held, NOW)\n"
        "sys.stdout.buffer.write(msgspec.json.encode(decision))\n"
    )
    answers = set()
    for seed in ("1", "2", "3"):
        folder = tmp_path / seed
        folder.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", program, str(folder)],
            capture_output=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[2],
        )
        answers.add(done.stdout)
    assert len(answers) == 1
    assert json.loads(answers.pop())["granted"]


@given(case=cases())
def test_5_what_is_not_known_refuses_and_is_named(bundle: Bundle, case: tuple[Asked, Facts]) -> None:
    asked, facts = case
    for scope in decide(bundle, asked, facts, NOW).scopes:
        if scope.scope not in bundle.catalogue.audiences[asked.audience].scopes:
            continue
        plan = bundle.plans.scope(scope.scope)
        needed = set(plan.needs(ISSUE, "User", "subject"))
        for index, actor in enumerate(facts.actors):
            needed |= plan.needs(ACT, actor.uid.type, f"actor:{index}")
        unknown = {key for key in needed if facts.readings[key].state != "present"}
        if unknown and scope.granted:
            sources = bundle.catalogue.sources
            assert {getattr(sources[k.split("/")[1]], facts.readings[k].state) for k in unknown} == {"absent"}
        if scope.reason in ("fact_missing", "fact_stale", "source_failing"):
            if bundle.catalogue.audiences[asked.audience].mode != "enforce":  # its mapping reads groups as well
                unknown |= {key for key, reading in facts.readings.items() if reading.state != "present"}
            assert scope.facts
            assert set(scope.facts) <= unknown


@given(case=cases())
def test_9_a_token_has_one_issuer_an_end_an_audience_and_a_kind(
    bundle: Bundle, mint: Mint, case: tuple[Asked, Facts]
) -> None:
    asked, facts = case
    decision = decide(bundle, asked, facts, NOW)
    if not decision.granted:
        return
    token = parse(mint.mint(decision, asked))
    claims = decode_json(token.payload)
    audience = bundle.catalogue.audiences[asked.audience]
    assert (token.typ, claims["iss"], claims["aud"]) == ("at+jwt", bundle.catalogue.issuer, audience.identifier)
    assert 0 < claims["exp"] - claims["iat"] <= min(audience.max_ttl, asked.lifetime or audience.max_ttl)


@given(case=cases())
def test_compiled_rules_and_cedar_decide_alike(bundle: Bundle, case: tuple[Asked, Facts]) -> None:
    asked, facts = case
    compiled = decide(bundle, asked, facts, NOW)
    cedar = decide(bundle.on_cedar(), asked, facts, NOW)
    assert msgspec.structs.replace(cedar, evaluator="compiled") == compiled


def test_6_every_path_to_a_token_uses_the_same_decide() -> None:
    """`decide` has callers in few places; `prepare` those of the line and the replay, which signs nothing; `sign` one."""
    source = Path(__file__).parents[2] / "src" / "mintwarden"
    users: dict[str, set[str]] = {"decide": set(), "prepare": set(), "sign": set()}
    for path in source.rglob("*.py"):
        text, name = path.read_text(), path.relative_to(source).as_posix()
        for verb, module in (("decide", "policy.decide"), ("prepare", "mint.prepare"), ("sign", "mint.sign")):
            if f"from mintwarden.{module} import" in text and f"import {verb}" in text:
                users[verb].add(name)
    assert users["prepare"] == {"issue/pipeline.py", "review/replay.py"}
    assert users["sign"] == {"app/wiring.py", "app/demo/traffic.py"}, "each hands it to a `Line`, and to nothing else"
    assert all(
        name.startswith(("issue/judge", "review/", "policy/", "app/asking", "app/story")) for name in users["decide"]
    )
