"""Who can get what: nothing is missed and nothing is invented, held against trying everything by hand."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from mintwarden.context.assemble import Assembly, SourceAnswer
from mintwarden.context.ports import FactDocument, FactRow
from mintwarden.model.asked import Asked
from mintwarden.model.caller import Binding
from mintwarden.model.ids import entity_key
from mintwarden.model.values import Entity, EntityUid
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.decide import decide
from mintwarden.review.reach.judge import Judge
from mintwarden.review.reach.question import Question
from mintwarden.review.reach.reach import Reach, World
from mintwarden.review.reach.skip import Skip
from mintwarden.review.reach.subjects import subjects, uid_of_key
from mintwarden.review.reach.ways import Vouching
from tests.unit.policy.company import NOW
from tests.unit.review.reach.firm import FILES, Documents, Pages, client, firm, said

MANY = client("many", "third_party", 'environments = ["production", "staging"]').replace(
    'environments = ["production"]\n', "", 1
)
MORE_FILES = {
    "clients/public.toml": client("public", "native", grants='["token_exchange"]').replace(
        '["client_secret_basic"]', '["none"]'
    ),
    "clients/many.toml": MANY,
    "audiences/payments.toml": FILES["audiences/payments.toml"].replace(
        '[scopes."pay:read"]\n',
        '[[tenancy]]\nparameter = "tenant"\nmember_of = "subject.tenants"\nrequired = false\n[scopes."pay:read"]\n',
    ),
}
RULES = """
@id("read") @owner("o") @reason("r")
permit (principal is User, action == Action::"issue", resource == Scope::"pay:read")
when { principal in Group::"finance" && principal.risk < 50 };
@id("read-tenant") @owner("o") @reason("r") @max_ttl("70s")
permit (principal is User, action == Action::"issue", resource == Scope::"pay:read")
when { context.request has tenant && context.request.tenant == "t2" && context.client.kind != "native" };
@id("read-itself") @owner("o") @reason("r")
permit (principal, action == Action::"issue", resource == Scope::"pay:read")
when { principal == Workload::"app" || (principal is Agent && principal.risk < 5) };
@id("write") @owner("o") @reason("r") @max_ttl("60s") @require_acr("phr") @require_auth_age("5m")
permit (principal is User, action == Action::"issue", resource == Scope::"pay:write")
when { principal in Group::"finance" };
@id("write-held") @owner("o") @reason("r") @require_amr("mfa otp") @require_binding("any")
permit (principal is User, action == Action::"issue", resource == Scope::"pay:write")
when { principal.entitlements.contains("writer") };
@id("approve") @owner("o") @reason("r") @require_approval("manager") @require_purpose("support")
permit (principal is User, action == Action::"issue", resource == Scope::"pay:approve")
when { principal.department == "money" };
@id("old") @owner("o") @reason("r")
permit (principal is User, action == Action::"issue", resource == Scope::"old:use")
when { principal in Group::"finance" };
@id("book") @owner("o") @reason("r")
permit (principal is User, action == Action::"issue", resource == Scope::"book:read") when { principal.risk < 10 };
@id("hides") @owner("o") @reason("r")
permit (principal, action == Action::"impersonate", resource in Audience::"payments")
when { principal == Workload::"web" || principal == Workload::"public" };
@id("acts") @owner("o") @reason("r") @max_ttl("30s")
permit (principal is Agent, action == Action::"act", resource in Audience::"payments") when { principal.risk < 20 };
@id("app-acts") @owner("o") @reason("r") @require_acr("phr")
permit (principal == Workload::"app", action == Action::"act", resource in Audience::"payments");
@id("many-acts") @owner("o") @reason("r")
permit (principal == Workload::"many", action == Action::"act", resource in Audience::"payments")
when { context.subject.id != "u0" };
@id("api-acts") @owner("o") @reason("r")
permit (principal == Workload::"api", action == Action::"act", resource in Audience::"ledger");
@id("freeze") @owner("o") @reason("r")
forbid (principal is User, action, resource) when { principal.risk > 90 };
@id("no-public-writes") @owner("o") @reason("r")
forbid (principal, action, resource) when { context.request.method == "none" && resource.tier == "high" };
@id("no-weak-staging") @owner("o") @reason("r")
forbid (principal, action, resource)
when { context.request.environment == "staging" && !(context.request has acr) };
"""
SCOPES = ("pay:read", "pay:write", "pay:approve", "old:use", "book:read")
ACTORS = ("Agent:bot", "Workload:api", "Workload:app", "Workload:web", "Workload:many", "Workload:public")


@lru_cache(maxsize=1)
def bundle() -> Bundle:
    with TemporaryDirectory() as folder:
        return firm(Path(folder), rules=RULES, files=MORE_FILES)


@st.composite
def directories(draw: st.DrawFn) -> Documents:
    found: Documents = {}
    for number in range(draw(st.integers(1, 4))):
        groups = draw(st.sets(st.sampled_from(["finance", "everyone", 'fi"n\\ance'])))
        spans = draw(
            st.sampled_from([{}, {"groups": {"finance": (None, NOW)}}, {"groups": {"finance": (None, NOW + 45_000)}}])
        )
        answers = {
            "directory": said(
                {
                    "department": draw(st.sampled_from(["money", "other"])),
                    "tenants": sorted(draw(st.sets(st.sampled_from(["t1", "t2"])))),
                    **draw(st.sampled_from([{}, {"manager": "m"}])),
                },
                sorted(groups),
                spans,
            ),
            "entitlements": said({"entitlements": draw(st.sampled_from([[], ["writer"], ["wri"]]))}),
            "risk": said({"risk": draw(st.sampled_from([5, 60, 95]))}, at=draw(st.sampled_from([NOW, NOW - 600_000]))),
            "approvals": said({"approvals": draw(st.sampled_from([[], ["manager:pay:approve"]]))}),
        }
        for source in draw(st.sets(st.sampled_from(sorted(answers)), max_size=1)):
            del answers[source]
        found[f"User:u{number}"] = answers
    for key in draw(st.sets(st.sampled_from([*ACTORS, "Agent:helper"]))):
        risk = draw(st.sampled_from([1, 15, 30]))
        found[key] = {"directory": said({"department": "it", "tenants": []})}
        if key.startswith("Agent:"):
            found[key]["risk"] = said({"risk": risk})
    return found


def by_hand(
    documents: Mapping[str, Mapping[str, SourceAnswer]], uid: EntityUid, scope: str
) -> Iterator[tuple[Any, ...]]:
    """Every direct request there is, decided: client, whether it took nothing special, lifetime."""
    catalogue = bundle().catalogue
    audience = catalogue.audiences[catalogue.scopes[scope].audience]
    assembly = Assembly(catalogue)
    vouched = Vouching(catalogue).of_subject(uid)
    for one in catalogue.clients.values():
        own = EntityUid(one.principal, one.id)
        ways: list[dict[str, Any]] = []
        if own == uid and "client_credentials" in one.grants:
            ways.append({"grant": "client_credentials"})
        if vouched and "token_exchange" in one.grants:
            acting = {} if own == uid else {"actors": (own,), "impersonate": True}
            ways.append({"grant": "token_exchange", **acting})
        circumstances = itertools.product(
            one.environments,
            one.methods,
            ("", "support"),
            ("", "t1", "t2"),
            ("", "phr"),
            ((), ("mfa", "otp")),
            (None, NOW),
            (None, Binding(kind="dpop", thumbprint="x")),
            (False, True),
        )
        for way, (place, method, purpose, tenant, acr, amr, since, binding, approved) in itertools.product(
            ways, list(circumstances)
        ):
            itself = way["grant"] == "client_credentials"
            if itself and (acr or amr or since or method == "none"):
                continue
            asked = Asked(
                client_id=one.id, subject=uid, audience=audience.id, scopes=(scope,), environment=place, method=method,
                purpose=purpose, tenant=tenant, acr=acr, amr=amr, authenticated_at=since, binding=binding, **way,
            )  # fmt: skip
            facts = assembly.build(asked, documents, {}, NOW)
            if approved:
                held: Any = facts.subject.attrs.get("approvals", frozenset())
                attrs: dict[str, Any] = {**facts.subject.attrs, "approvals": held | {f"manager:{scope}"}}
                facts = msgspec.structs.replace(facts, subject=Entity(uid, attrs, facts.subject.ancestors))
            decision = decide(bundle(), asked, facts, NOW)
            if decision.granted:
                bare = not (acr or amr or since or binding or approved)
                yield one.id, bare, decision.lifetime.seconds


def stored(documents: Documents) -> dict[tuple[str, str], FactRow]:
    encode = msgspec.json.Encoder().encode
    return {
        (entity, source): FactRow(source, encode(answer.document), answer.observed_at)
        for entity, answers in documents.items()
        for source, answer in answers.items()
    }


async def paged(documents: Documents, judge: Judge, page: int) -> list[Any]:
    found: list[Any] = []
    pages = Pages(stored(documents))
    async for batch in subjects(pages, bundle().catalogue, also=ACTORS, page=page):
        found += judge.lines(batch)
    return found


@given(documents=directories(), scope=st.sampled_from(SCOPES), page=st.integers(1, 3))
@settings(max_examples=12, deadline=None)
def test_the_paged_answer_is_that_of_every_request_there_is(documents, scope, page):
    question = Question(scope=scope, at=NOW, hops=0)
    judge = Judge(bundle(), question, World(documents), each_client=True)
    lines = asyncio.run(paged(documents, judge, page))
    expected: dict[tuple[str, str], list[tuple[Any, ...]]] = {}
    for key in {*documents, *ACTORS}:
        for found in by_hand(documents, uid_of_key(key), scope):
            expected.setdefault((key, found[0]), []).append(found)
    assert [(line.principal, line.client) for line in lines] == sorted(expected)
    for line in lines:
        ways = expected[line.principal, line.client]
        needs_nothing = any(bare for _, bare, _ in ways)
        assert (not line.needs) == needs_nothing
        if needs_nothing:
            assert line.lifetime <= max(seconds for _, bare, seconds in ways if bare)
    best = asyncio.run(paged(documents, Judge(bundle(), question, World(documents)), page))
    assert [line.principal for line in best] == sorted({principal for principal, _ in expected})
    assert all(line in lines for line in best)


@given(documents=directories(), scope=st.sampled_from(SCOPES))
@settings(max_examples=25, deadline=None)
def test_every_line_is_confirmed_by_deciding_over_facts_assembled_anew(documents, scope):
    reach = Reach(bundle(), Question(scope=scope, at=NOW), World(documents))
    assembly = Assembly(bundle().catalogue)
    for key in sorted({*documents, *ACTORS}):
        uid = uid_of_key(key)
        for found in reach.each_client(uid, documents.get(key, {})):
            asked, facts, now = found.situation
            anew = assembly.build(asked, documents, {}, now)
            if not any(need.name == "require_approval" for need in found.line.needs):
                assert found.decision == decide(bundle(), asked, anew, now)
                assert (anew.subject.uid, anew.context, anew.readings) == (
                    facts.subject.uid,
                    facts.context,
                    facts.readings,
                )
            assert found.decision.granted_scopes == (scope,)
            assert entity_key(asked.subject) == key


@given(documents=directories(), scope=st.sampled_from(SCOPES))
@settings(max_examples=60, deadline=None)
def test_nobody_is_skipped_who_gets_it(documents, scope):
    skip = Skip(bundle(), scope)
    reach = Reach(bundle(), Question(scope=scope, at=NOW), World(documents))
    rows = stored(documents)
    for key in sorted({*documents, *ACTORS}):
        answers = {
            source: SourceAnswer(document=row.document, observed_at=row.observed_at)
            for (entity, source), row in rows.items()
            if entity == key
        }
        uid = uid_of_key(key)
        if not skip.may_matter(uid, answers):
            assert reach.best(uid, answers) is None


def test_documents_of_another_spelling_are_not_skipped():
    skip = Skip(bundle(), "pay:approve")
    uid = EntityUid("User", "u")
    plain = FactDocument(facts={"department": "money", "tenants": []})
    others = {name: SourceAnswer(document=b"{}", observed_at=NOW) for name in ("entitlements", "risk")}
    odd = msgspec.json.encode(plain).replace(b"money", b"mone\\u0079")
    assert skip.may_matter(uid, {**others, "directory": SourceAnswer(document=odd, observed_at=NOW)})
    other = msgspec.json.encode(plain).replace(b"money", b"honey")
    assert not skip.may_matter(uid, {**others, "directory": SourceAnswer(document=other, observed_at=NOW)})
