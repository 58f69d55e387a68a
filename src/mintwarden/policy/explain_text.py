"""An explanation as a page for people, and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator

import msgspec

from mintwarden.policy.cedar.render import spell_datetime
from mintwarden.policy.explained import (
    ConditionShown,
    ExceptionShown,
    Explanation,
    FactShown,
    Route,
    RuleShown,
    ScopeExplained,
)

_MODES = {
    ("enforce", ""): "",
    ("enforce", "canary"): " (canary: enforced for this caller)",
    ("enforce", "returned"): " (enforced again: the time to observe is over)",
    ("observe", ""): " (observed: the mapping of the older system decides, not the rules)",
    (
        "observe",
        "canary",
    ): " (canary: not yet for this caller: the mapping of the older system decides, not the rules)",
    ("observe", "downgrade"): " (observed for a while; the mapping of the older system decides, not the rules)",
    ("observe", "returned"): " (back in canary: observed for this caller)",
    ("enforce", "downgrade"): " (canary for a while: enforced for this caller)",
}
_TRUTHS = {"true": "yes  ", "false": "NO   ", "fault": "ERROR"}


def explain_json(explanation: Explanation) -> bytes:
    """The explanation as JSON, its members in a fixed order."""
    return msgspec.json.encode(explanation)


def explain_text(explanation: Explanation) -> str:
    """The explanation as lines of text."""
    return "".join(f"{_printable(line)}\n" for line in _page(explanation))


def _printable(line: str) -> str:
    """Names come from outside: nothing in them may move the cursor or turn the text around."""
    return "".join(c if c.isprintable() else f"\\u{{{ord(c):x}}}" for c in line)


def _page(whole: Explanation) -> Iterator[str]:
    under = " under observe" if whole.mode == "observe" else ""
    yield f"{'granted' if whole.granted else 'refused'}{under} at {spell_datetime(whole.decided_at)}"
    yield f"  subject    {whole.subject}"
    for index, actor in enumerate(whole.actors):
        yield f"  {'actor' if index == 0 else '  by '}      {actor}"
    yield f"  client     {whole.client}"
    yield f"  audience   {whole.audience}{_MODES[whole.mode, whole.stage]}"
    yield f"  policy     {whole.name}, owned by {whole.owner} ({whole.contact})"
    yield f"  bundle     {whole.bundle}{' (answered by Cedar alone)' if whole.evaluator == 'cedar' else ''}"
    if not whole.scopes and not whole.details:
        yield ""
        yield "nothing was decided of what it asked for: the audience is unknown, or none that the request may be for"
    for scope in whole.scopes:
        yield ""
        yield from _scope(scope, observed=whole.mode == "observe")
    for detail in whole.details:
        yield ""
        yield from _scope(detail, observed=whole.mode == "observe", what="authorization detail ")
    for name in whole.claim_faults:
        yield ""
        yield f"claim `{name}` is left out: its expression failed"
    if whole.claims:
        yield ""
        yield "claims"
        for claim in whole.claims:
            age = f", {spell_seconds(claim.age)} old" if claim.age is not None else ""
            yield f"  {claim.name} = {_json(claim.value)}  from {claim.origin} ({claim.source}{age})"
    if whole.lifetime is not None:
        yield ""
        yield f"lifetime {spell_seconds(whole.lifetime)}"
        for bound in whole.bounds:
            yield f"  {spell_seconds(bound.seconds):>8}  {bound.name}{'  <- decided' if bound.decided else ''}"
    if whole.binding:
        yield ""
        yield f"bound to {whole.binding}"


def _scope(scope: ScopeExplained, *, observed: bool, what: str = "") -> Iterator[str]:
    answer = "granted" if scope.granted else "refused"
    because = _why(scope)
    if scope.granted and scope.mapped:
        because = f" by the mapping of the older system ({scope.mapped[0]})"
    yield f"{what}{scope.scope} {answer}{because}"
    if scope.meaning:
        yield f"  {scope.meaning} (risk tier {scope.tier})"
    if scope.mapped and not scope.granted:
        yield f"  it gives it by {', '.join(scope.mapped)}"
    # Under observe no fact that rules read turns what is issued: what they would have said has its own change.
    yield from _reasons(scope, turns=not observed or scope.would is None)
    if scope.would is not None:
        yield from _would(scope.would, observed=observed)


def _would(would: ScopeExplained, *, observed: bool) -> Iterator[str]:
    answer = "granted" if would.granted else "refused"
    if observed:
        yield f"  issued under observe: the rules would have {answer} it{_why(would)}"
    else:
        yield f"  with the rules that are only observed it would have been {answer}{_why(would)}"
    yield from (f"  {line}" for line in _reasons(would))
    if would.would is not None:
        yield from (f"  {line}" for line in _would(would.would, observed=False))


def _why(scope: ScopeExplained) -> str:
    return f": {scope.because}" if scope.because else ""


def _reasons(scope: ScopeExplained, *, turns: bool = True) -> Iterator[str]:
    for rule in scope.carried:
        yield from _rule("permitted by", rule)
    for exception in scope.exceptions:
        yield from _exception(exception)
    for rule in scope.deciding:
        yield from _rule("forbidden by", rule)
    for rule in scope.faults:
        yield f"  could not be evaluated: {_where(rule)}"
    for fact in scope.lacking:
        yield f"  lacking {fact.path} ({_told(fact)})"
    if scope.route is not None:
        yield from _route(scope.route)
    elif scope.reason in ("no_route", "actor_not_permitted"):
        yield "  there is no rule that could permit it to such a principal"
    if scope.reason is not None and turns:
        yield from _change(scope)


def _rule(how: str, rule: RuleShown) -> Iterator[str]:
    whom = "" if rule.role == "subject" else f" for {rule.role}"
    yield f"  {how} {_where(rule)}{whom}"
    if rule.reason:
        yield f"    because {rule.reason}"
    for fact in rule.facts:
        yield f"    {_fact(fact)}"


def _exception(shown: ExceptionShown) -> Iterator[str]:
    whom = "" if shown.role == "subject" else f" for {shown.role}"
    how = "would be permitted" if shown.unmet else "permitted"
    yield f"  {how} by exception {shown.id}{whom}, which no rule does"
    approvals = f"{shown.approvals} approval{'' if shown.approvals == 1 else 's'}"
    yield f"    for {shown.principal} from {shown.starts_at} until {shown.expires_at}, {approvals}"
    if shown.waives:
        yield f"    without {', '.join(shown.waives)}"
    for demand in shown.unmet:
        yield f"    NO    demands {demand.name} {demand.value}"


def _where(rule: RuleShown) -> str:
    owner = f", {rule.owner}" if rule.owner else ""
    return f"{rule.id} ({rule.file}:{rule.line}{owner})"


def _route(route: Route) -> Iterator[str]:
    whom = "" if route.rule.role == "subject" else f" for {route.rule.role}"
    yield f"  nearest rule {_where(route.rule)}{whom}"
    for condition in route.conditions:
        yield from _condition(condition, 2)
    for demand in route.unmet:
        yield f"    NO    demands {demand.name} {demand.value}"


def _condition(condition: ConditionShown, depth: int) -> Iterator[str]:
    indent = "  " * depth
    label = condition.text if condition.kind == "test" else {"any": "any of"}.get(condition.kind, condition.kind)
    fault = f": {condition.fault}" if condition.fault and not condition.parts else ""
    yield f"{indent}{_TRUTHS[condition.truth]} {label}{fault}"
    if condition.truth != "true":
        for fact in condition.facts:
            yield f"{indent}        {_fact(fact)}"
    for part in condition.parts:
        yield from _condition(part, depth + 1)


def _change(scope: ScopeExplained) -> Iterator[str]:
    if scope.change is None:
        yield "  no change of facts or of the request was found that would turn it"
        return
    yield "  it would be granted if"
    for change in scope.change:
        yield f"    {change.text}"


def _fact(fact: FactShown) -> str:
    value = f" = {_json(fact.value)}" if fact.present else " is absent"
    if fact.source == "request":
        return f"{fact.path}{value}"
    return f"{fact.path}{value}  ({_told(fact)})"


def _told(fact: FactShown) -> str:
    told = [fact.source]
    if fact.state not in ("", "present"):
        told.append(fact.state)
    if fact.age is not None:
        limit = f" of at most {spell_seconds(fact.max_age)}" if fact.max_age is not None else ""
        told.append(f"{spell_seconds(fact.age)} old{limit}")
    return ", ".join(told)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def spell_seconds(seconds: int) -> str:
    """`1d2h`, `15m`, `90s`: at most two units, the larger first."""
    left, parts = abs(seconds), []
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return ("-" if seconds < 0 else "") + ("".join(parts[:2]) or "0s")
