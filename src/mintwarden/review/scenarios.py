"""A bundle's own scenarios, run through the compiled rules and through Cedar, and what came out otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from mintwarden.context.assemble import Assembly
from mintwarden.model.decision import Decision, ScopeDecision
from mintwarden.model.facts import Facts
from mintwarden.policy.bundle.model import Bundle, ScenarioDocument
from mintwarden.policy.decide import decide
from mintwarden.policy.modes import said_of
from mintwarden.review.given import asked_of, facts_of


class Difference(Struct, frozen=True):
    """One thing that is not as expected; `note` says what else a reader should know."""

    what: str
    expected: str
    got: str
    note: str = ""

    def __str__(self) -> str:
        return f"{self.what}: expected {self.expected}, got {self.got}" + (f" ({self.note})" if self.note else "")


class ScenarioResult(Struct, frozen=True, kw_only=True):
    """How one scenario came out; `differences` is empty when it passed."""

    id: str
    file: str
    line: int
    why: str
    differences: tuple[Difference, ...]
    decision: Decision

    @property
    def passed(self) -> bool:
        """Everything was as expected."""
        return not self.differences


def run_scenarios(bundle: Bundle, scenarios: Sequence[ScenarioDocument] | None = None) -> tuple[ScenarioResult, ...]:
    """Every scenario of the bundle (or of `scenarios`), in order. Pure: no clock, no I/O, no randomness."""
    chosen = bundle.scenarios if scenarios is None else scenarios
    assembly = Assembly(bundle.catalogue)
    return tuple(run_scenario(bundle, scenario, assembly) for scenario in chosen)


def run_scenario(bundle: Bundle, scenario: ScenarioDocument, assembly: Assembly) -> ScenarioResult:
    """One scenario, decided twice: by the compiled rules and by Cedar alone."""
    asked = asked_of(scenario, bundle.catalogue)
    facts = facts_of(scenario, asked, bundle.catalogue, assembly)
    now = scenario.given["now"]
    decision = decide(bundle.on_compiled(), asked, facts, now)
    cedar = decide(bundle.on_cedar(), asked, facts, now)
    differences = (
        *_lying(scenario, facts),
        *_unlike(decision, cedar),
        *_compare(scenario.expect, decision),
    )
    return ScenarioResult(
        id=scenario.id,
        file=scenario.file,
        line=scenario.line,
        why=scenario.why,
        differences=differences,
        decision=decision,
    )


def differences_of(scenario: ScenarioDocument, decision: Decision) -> tuple[Difference, ...]:
    """What a decision on the scenario has otherwise than expected."""
    return tuple(_compare(scenario.expect, decision))


def _lying(scenario: ScenarioDocument, facts: Facts) -> Iterator[Difference]:
    """A document that does not have the declared types counts as failing: here it is the scenario's own mistake."""
    stated = {
        source: entry["state"] for by_source in scenario.given["facts"].values() for source, entry in by_source.items()
    }
    for key, reading in facts.readings.items():
        source = key.rpartition("/")[2]
        if reading.state == "failing" and stated.get(source) == "present":
            yield Difference(f"facts of {key}", "a document of the declared types", reading.detail or "failing")


def _unlike(compiled: Decision, cedar: Decision) -> Iterator[Difference]:
    """INVARIANT: the two evaluators agree on everything, explanations included."""
    if replace(cedar, evaluator=compiled.evaluator) == compiled:
        return
    for ours, theirs in zip((*compiled.scopes, *compiled.details), (*cedar.scopes, *cedar.details), strict=True):
        if ours != theirs:
            yield Difference(
                f"compiled rules on {ours.scope}", f"what Cedar says: {_told(theirs)}", _told(ours), "report this"
            )
            return
    yield Difference("compiled rules", "what Cedar says", "another claim or lifetime", "report this")


def _compare(expect: Mapping[str, Any], decision: Decision) -> Iterator[Difference]:
    by_name = {scope.scope: scope for scope in decision.scopes} | _by_type(decision)
    granted = tuple(name for name, scope in by_name.items() if scope.granted) if decision.granted else ()
    if expect["granted"] is not None and sorted(expect["granted"]) != sorted(granted):
        wrong = sorted(set(expect["granted"]) ^ set(granted))
        note = "; ".join(_told(by_name[name]) if name in by_name else f"{name} was not asked for" for name in wrong)
        yield Difference("granted", _shown(sorted(expect["granted"])), _shown(sorted(granted)), note)
    for name, reason in expect["refused"].items():
        scope = by_name.get(name)
        if scope is None or scope.granted or scope.reason != reason:
            got = "not asked for" if scope is None else "granted" if scope.granted else str(scope.reason)
            yield Difference(f"refused {name}", reason, got, "" if scope is None else _told(scope))
    for name, answer in expect["would"].items():
        scope = by_name.get(name)
        got = "not asked for" if scope is None else _answer(said_of(scope))
        if got != answer:
            yield Difference(f"what the rules would say of {name}", answer, got)
    if expect["mode"] and decision.mode != expect["mode"]:
        yield Difference("mode", expect["mode"], decision.mode)
    yield from _compare_claims(expect, decision)
    for name, rule in expect["route"].items():
        got = by_name[name].route if name in by_name else ""
        if got != rule:
            yield Difference(f"route of {name}", rule, got or "none")
    lifetime = decision.lifetime
    if expect["lifetime"] is not None and (lifetime is None or lifetime.seconds != expect["lifetime"]):
        got = "none" if lifetime is None else f"{lifetime.seconds}s by {lifetime.bounded_by}"
        yield Difference("lifetime", f"{expect['lifetime']}s", got)
    if expect["bounded_by"] and (lifetime is None or lifetime.bounded_by != expect["bounded_by"]):
        got = "nothing" if lifetime is None else lifetime.bounded_by
        yield Difference("lifetime bounded by", expect["bounded_by"], got, _bounds(decision))


def _by_type(decision: Decision) -> dict[str, ScopeDecision]:
    """The details by their types; several of one type as `type#1`, `type#2`. No type is called like a scope."""
    types = [detail.scope for detail in decision.details]
    numbers = [types[: place + 1].count(name) for place, name in enumerate(types)]
    names = [f"{name}#{number}" if types.count(name) > 1 else name for name, number in zip(types, numbers, strict=True)]
    return dict(zip(names, decision.details, strict=True))


def _answer(scope: ScopeDecision) -> str:
    return "granted" if scope.granted else str(scope.reason)


def _compare_claims(expect: Mapping[str, Any], decision: Decision) -> Iterator[Difference]:
    claims = {claim.name: claim.value for claim in decision.claims}
    for name, value in expect["claims"].items():
        if name not in claims:
            yield Difference(f"claim {name}", _shown(value), "absent")
        elif not _same(claims[name], value):
            yield Difference(f"claim {name}", _shown(value), _shown(claims[name]))
    for name in expect["absent_claims"]:
        if name in claims:
            yield Difference(f"claim {name}", "absent", _shown(claims[name]))


def _same(got: Any, wanted: Any) -> bool:
    """Equal, and of one type: `true` is not `1`. Lists are sets, so their order does not matter."""
    if isinstance(got, list) and isinstance(wanted, list):
        return sorted(map(_shown, got)) == sorted(map(_shown, wanted))
    return type(got) is type(wanted) and bool(got == wanted)


def _told(scope: ScopeDecision) -> str:
    if scope.granted:
        return f"{scope.scope} granted by {scope.route}"
    details = [
        *scope.determining,
        *(f"@{duty.name}({duty.value})" for duty in scope.unmet),
        *scope.facts,
        *(f"{fault.rule} failed" for fault in scope.faults),
    ]
    return f"{scope.scope} {scope.reason}" + (f": {', '.join(details)}" if details else "")


def _bounds(decision: Decision) -> str:
    if decision.lifetime is None:
        return ""
    return ", ".join(f"{name} {seconds}s" for name, seconds in decision.lifetime.bounds)


def _shown(value: Any) -> str:
    return msgspec.json.encode(value, enc_hook=str).decode()
