"""Does one review, in the process that is there for it, with what the commands call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from mintwarden.app.acting import versions_of
from mintwarden.app.bundle_texts import texts_named
from mintwarden.app.config import Config
from mintwarden.app.excepting import outstanding_of
from mintwarden.app.foundation import Foundation, foundation
from mintwarden.app.impact import replayer_of, run_ranges
from mintwarden.app.promote import as_json as promotion_json
from mintwarden.app.promote import one_line, step_in
from mintwarden.app.reach import Search, census, ground
from mintwarden.app.reviews.apart import Progress
from mintwarden.app.reviews.debt import as_json as debt_json
from mintwarden.app.reviews.debt import debt_of
from mintwarden.app.reviews.impact import kinds_named, prepared, reported, time_named
from mintwarden.app.reviews.lint import as_json as lint_json
from mintwarden.app.reviews.lint import as_sarif, linted
from mintwarden.app.reviews.proofs import as_json as proofs_json
from mintwarden.app.reviews.reach import (
    checked,
    found,
    found_for,
    groups_json,
    line_json,
    only_unused,
    principal,
    supposed,
)
from mintwarden.app.reviews.readiness import as_markdown as readiness_markdown
from mintwarden.app.reviews.readiness import readiness_of
from mintwarden.app.reviews.scenarios import as_json as scenarios_json
from mintwarden.app.reviews.scenarios import tried
from mintwarden.govern.content import built, texts_of
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.policy.bundle.load import build_bundle
from mintwarden.policy.diff.diff import diff
from mintwarden.policy.diff.edition import edition_of
from mintwarden.policy.diff.text import markdown_of, plain_of
from mintwarden.policy.prove.prove import prove
from mintwarden.review.debt_chart import chart
from mintwarden.review.hypothesis import Hypothesis
from mintwarden.review.impact.examples import Show
from mintwarden.review.impact.render import markdown as impact_markdown
from mintwarden.review.impact.walk import Filters
from mintwarden.review.junit import junit
from mintwarden.review.reach.question import Question
from mintwarden.web.admin.resources import reviews as asked_for
from mintwarden.web.admin.times import millis

FOLDER = "bundle"
"""What stands before the files of a version in SARIF: a version has no folder of its own."""


class Told(Struct, frozen=True, kw_only=True):
    """What came of it: whether all is well, what the command prints with `--json`, and other forms of that."""

    ok: bool | None = None
    result: Any
    renderings: Mapping[str, Any] = {}


def work(config: Config, kind: str, asked: bytes, progress: Progress) -> tuple[bool | None, bytes]:
    """Whether all is well, and an encoded `Found`. Raises what the command raises."""
    shape, do = _WORK[kind]
    told = do(config, msgspec.json.decode(asked, type=shape), progress)
    return told.ok, msgspec.json.encode({"result": told.result, "renderings": told.renderings})


async def _texts(base: Foundation, digest: str) -> Mapping[str, str]:
    """The texts of a version. INVARIANT: what is looked at is what has that digest, whatever the store says."""
    stored = await base.store.versions.version(digest)
    if stored is not None:
        built(stored)
        return texts_of(stored.content)
    if digest == base.bundle.digest:  # a folder that a development server stands on
        return texts_named(base.config.bundle.path)
    raise MintwardenError(ErrorKind.NOT_FOUND, f"there is no version `{digest}`", hint="look at the list")


def _version(config: Config, digest: str) -> Mapping[str, str]:
    async def read() -> Mapping[str, str]:
        async with foundation(config, read_only=True) as base:
            return await _texts(base, digest)

    return asyncio.run(read())


def _lint(config: Config, asked: asked_for.LintAsked, _progress: Progress) -> Told:
    async def look() -> Told:
        async with foundation(config, read_only=True) as base:
            texts = await _texts(base, asked.version)
            outstanding = await outstanding_of(base) if asked.exceptions else None
        findings = linted(build_bundle(texts), texts, datetime.now(UTC), outstanding)
        result = lint_json(findings)
        return Told(ok=result["ok"], result=result, renderings={"sarif": as_sarif(findings, FOLDER)})

    return asyncio.run(look())


def _test(config: Config, asked: asked_for.TestAsked, progress: Progress) -> Told:
    texts = _version(config, asked.version)
    bundle = build_bundle(texts)
    outcome = tried(
        bundle, texts, mutants=asked.mutants, at_least=asked.at_least, progress=lambda made: progress(made, 0)
    )
    xml = junit(outcome.results, name=bundle.catalogue.name).decode()
    return Told(ok=outcome.ok, result=scenarios_json(outcome), renderings={"junit": xml})


def _prove(config: Config, asked: asked_for.ProofAsked, _progress: Progress) -> Told:
    bundle = build_bundle(_version(config, asked.version))
    result = proofs_json(bundle, prove(bundle))
    return Told(ok=result["ok"], result=result)


def _diff(config: Config, asked: asked_for.DiffAsked, progress: Progress) -> Told:
    old, new = (edition_of(_version(config, digest)) for digest in (asked.base, asked.version))
    compared = diff(old, new, progress)
    return Told(
        ok=compared.verdict == "equal", result=plain_of(compared), renderings={"markdown": markdown_of(compared)}
    )


def _impact(config: Config, asked: asked_for.ImpactAsked, progress: Progress) -> Told:
    now = round(datetime.now(UTC).timestamp() * 1000)
    wanted = kinds_named(",".join(asked.fail_on))
    filters = Filters(
        since=time_named(asked.since, now), until=time_named(asked.until, now), clients=frozenset(asked.clients),
        audiences=frozenset(asked.audiences), scopes=frozenset(asked.scopes),
    )  # fmt: skip
    hypothesis = Hypothesis(without_groups=asked.without_groups, sources_down=asked.sources_down)
    replayed, state = asyncio.run(
        prepared(config, asked.version, (), filters, hypothesis, (asked.version,), asked.limit, None)
    )
    replayer, whole = replayer_of(replayed), state.end - state.first
    run_ranges(replayed, state, workers=1, each=lambda one: progress(one.leaves_done, whole), replayer=replayer)
    show = Show(asked.show_subjects, asked.show_values)
    result = asyncio.run(reported(config, state, replayer, hypothesis, show, wanted))
    return Told(ok=result["ok"], result=result, renderings={"markdown": impact_markdown(result)})


def _question(asked: asked_for._Circumstances, scope: str, at: int, **more: Any) -> Question:
    return Question(
        scope=scope, at=at, client=asked.client, environment=asked.environment, purpose=asked.purpose, acr=asked.acr,
        tenant=asked.tenant, session=asked.session, device=asked.device, address=asked.address, **more,
    )  # fmt: skip


def _line(one: Any, *, facts: bool) -> dict[str, Any]:
    line = line_json(one)
    return line if facts or "facts" not in line else {**line, "facts": []}


def _ground(config: Config, asked: asked_for._Reach) -> Any:
    at = round(datetime.now(UTC).timestamp() * 1000) if asked.at is None else millis(asked.at)
    over = supposed({"facts": asked.suppose} if asked.suppose else {})
    return ground(config, at=at, version=lambda base: _texts(base, asked.version), overlay=over)


def _who_can(config: Config, asked: asked_for.WhoCanAsked, progress: Progress) -> Told:
    if asked.act and asked.actor:
        raise MintwardenError(ErrorKind.INVALID_REQUEST, "`act` and `actor` exclude each other")
    search = Search(
        after=asked.after,
        limit=asked.limit,
        each_client=asked.each_client,
        actor=principal(asked.actor) if asked.actor else None,
    )
    named = [principal(one) for one in asked.subjects] if asked.act else None

    async def look() -> list[dict[str, Any]]:
        async with _ground(config, asked) as base:
            question = checked(
                _question(
                    asked, asked.scope, base.at, amr=asked.amr, workspace=asked.workspace, project=asked.project,
                    hops=asked.hops,
                ),
                base,
            )  # fmt: skip
            lines = found(base, question, search, named, lambda looked, _found: progress(looked, 0))
            return [_line(one, facts=asked.facts) async for one in lines]

    return Told(result=asyncio.run(look()))


def _what_can(config: Config, asked: asked_for.WhatCanAsked, _progress: Progress) -> Told:
    named = [principal(one) for one in asked.subjects]

    async def look() -> list[dict[str, Any]]:
        async with _ground(config, asked) as base:
            lines = found_for(
                base,
                principal(asked.principal),
                lambda scope: _question(asked, scope, base.at),
                asked.audiences,
                named,
            )
            return [_line(one, facts=asked.facts) async for one in lines]

    return Told(result=asyncio.run(look()))


def _groups(config: Config, asked: asked_for.GroupsAsked, progress: Progress) -> Told:
    async def look() -> dict[str, Any]:
        async with _ground(config, asked) as base:
            reports, rules = await census(base, tried=asked.tried, progress=lambda looked, _: progress(looked, 0))
            return groups_json(only_unused(reports) if asked.unused else reports, rules)

    return Told(result=asyncio.run(look()))


def _readiness(config: Config, asked: asked_for.ReadinessAsked, progress: Progress) -> Told:
    async def look() -> Told:
        async with foundation(config, read_only=True) as base:
            bundle = build_bundle(await _texts(base, asked.version))
            report = await readiness_of(
                base, bundle, asked.audience, asked.since, show_subjects=asked.show_subjects, told=progress
            )
        return Told(ok=report.ready, result=report, renderings={"markdown": "\n".join(readiness_markdown(report))})

    return asyncio.run(look())


def _promote(config: Config, asked: asked_for.PromotionAsked, progress: Progress) -> Told:
    async def take() -> Told:
        async with foundation(config) as base:
            reason = one_line(asked.despite)
            texts = await _texts(base, asked.version)
            step = step_in(texts, asked.audience, asked.to or "", despite=reason)
            report = await readiness_of(base, build_bundle(texts), asked.audience, told=progress)
            result = promotion_json(step, report, reason)
            if result["written"]:
                await versions_of(base).submit(step.texts, (), now=base.clock.now())
            return Told(ok=result["written"], result=result)

    return asyncio.run(take())


def _debt(config: Config, _asked: asked_for.DebtAsked, progress: Progress) -> Told:
    async def look() -> Told:
        async with foundation(config, read_only=True) as base:
            whole = await base.store.entries.count()
            debt = await debt_of(base, lambda count: progress(count, whole))
        return Told(result=debt_json(debt), renderings={"svg": chart(debt)})

    return asyncio.run(look())


_WORK: Mapping[str, tuple[type[asked_for.Asked], Callable[[Config, Any, Progress], Told]]] = {
    shape.kind: (shape, do)
    for shape, do in (
        (asked_for.LintAsked, _lint),
        (asked_for.TestAsked, _test),
        (asked_for.ProofAsked, _prove),
        (asked_for.DiffAsked, _diff),
        (asked_for.ImpactAsked, _impact),
        (asked_for.WhoCanAsked, _who_can),
        (asked_for.WhatCanAsked, _what_can),
        (asked_for.GroupsAsked, _groups),
        (asked_for.ReadinessAsked, _readiness),
        (asked_for.PromotionAsked, _promote),
        (asked_for.DebtAsked, _debt),
    )
}
"""How each kind is done, in the order in which they are asked for."""
