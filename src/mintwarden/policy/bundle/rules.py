"""`rules/*.cedar` against the catalogue: annotations, obligations, names, types, and scopes without a route."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import cedarpy

from mintwarden.model.catalogue import Catalogue
from mintwarden.policy.bundle.draft import Draft
from mintwarden.policy.bundle.kinds import seconds_of
from mintwarden.policy.bundle.problem import Problems, did_you_mean, quote
from mintwarden.policy.bundle.schema import REQUEST_FACTS, cedar_schema, facts_about
from mintwarden.policy.bundle.sources import BUILT_IN, PRINCIPALS
from mintwarden.policy.bundle.types_told import explain_types
from mintwarden.policy.cedar.named import compared, entities
from mintwarden.policy.cedar.rules import Rule, RuleSet, compile_rules
from mintwarden.policy.modes import ANNOTATIONS as MODE
from mintwarden.policy.modes import lent_scopes
from mintwarden.policy.obligations import BOUNDS, DEMANDS

FOLDER = "rules"
REQUIRED = ("id", "owner", "reason")
ANNOTATIONS = (*REQUIRED, *BOUNDS, *DEMANDS, *MODE)
"""Every annotation that a rule may carry."""

_BATCH = 500
_NOWHERE = "unable to find an applicable action"
_MEMBERSHIP = ("groups", "group", "roles", "role", "memberOf")
_ACTIONS = ("issue", "act", "impersonate")
_NO_ATTRIBUTE = re.compile(r"attribute `([^`]*)` (?:on entity type `(\w+)`|in context(?: for .*)?) not found")
_UNSAFE = re.compile(r"unable to guarantee safety of access to optional attribute `([^`]*)`")
_TYPE = re.compile(r"unrecognized entity type `([^`]*)`")
_ACTION = re.compile(r'unrecognized action `Action::"([^`]*)"`')
_FOR_POLICY = re.compile(r"for policy `[^`]*`, ")
_DID = re.compile(r"[.,;]? ?did you mean `([^`]*)`\??")


def read_rules(draft: Draft, catalogue: Catalogue, texts: Mapping[str, str], schema: str) -> RuleSet:
    """The rules of `texts` (path to text), each held against the catalogue and the schema."""
    problems = draft.problems
    scopes = {name: scope.audience for name, scope in catalogue.scopes.items()}
    details = {name: detail.audience for name, detail in catalogue.details.items()}
    rules = compile_rules(sorted(texts.items()), scopes=scopes, details=details)
    for problem in rules.problems:
        problems.put(problem.file, problem.line, problem.column, problem.message, problem.remedy)
    for rule in rules.rules.values():
        _check_annotations(problems, catalogue, rule)
        _check_names(problems, catalogue, rule)
    _validate(problems, catalogue, tuple(r for r in rules.rules.values() if not r.details), schema)
    for name, detail in catalogue.details.items():
        # Its own schema: what `context.detail` holds depends on the type.
        about = tuple(rule for rule in rules.rules.values() if name in rule.details)
        _validate(problems, catalogue, about, cedar_schema(catalogue.sources, of=detail))
    if not rules.problems:
        _check_routes(draft, catalogue, rules)
    return rules


def _put(problems: Problems, rule: Rule, message: str, remedy: str, *, word: str = "") -> None:
    """A finding about a rule, at `word` inside it if it is there."""
    found = re.search(rf"(?<!\w){re.escape(word)}(?!\w)", rule.text) if word else None
    offset = found.start() if found else 0
    before = rule.text[:offset]
    line = rule.line + before.count("\n")
    column = offset - before.rfind("\n") if "\n" in before else rule.column + offset
    problems.put(rule.file, line, column, f"rule `{rule.id}`: {message}", remedy)


# -- annotations ------------------------------------------------------------------------------------------------------


def _check_annotations(problems: Problems, catalogue: Catalogue, rule: Rule) -> None:
    for name in REQUIRED:
        if not rule.annotations.get(name, "").strip():
            _put(problems, rule, f"`@{name}` is missing or empty", f'add `@{name}("...")`')
    for name, value in rule.annotations.items():
        if name not in ANNOTATIONS:
            _put(problems, rule, f"unknown annotation `@{name}`", problems.near(name, ANNOTATIONS), word=f"@{name}")
        elif name in (*BOUNDS, *DEMANDS):
            _check_obligation(problems, catalogue, rule, name, value)
    _check_mode(problems, rule)


def _check_mode(problems: Problems, rule: Rule) -> None:
    mode, until = rule.annotations.get("mode"), rule.annotations.get("observe_until")
    if mode is not None and mode != "observe":
        _put(problems, rule, f"unknown value {quote(mode)} for `@mode`", "`observe`, or leave it out", word="@mode")
    if until is None:
        return
    if rule.observed_until is None:
        what = f"{quote(until)} is neither a day nor a time with its zone"
        _put(problems, rule, what, 'write `@observe_until("2026-11-24")`', word="@observe_until")
    if mode != "observe":
        what = "`@observe_until` has no meaning on a rule that is not observed"
        _put(problems, rule, what, 'remove it, or add `@mode("observe")`', word="@observe_until")


def _check_obligation(problems: Problems, catalogue: Catalogue, rule: Rule, name: str, value: str) -> None:
    word = f"@{name}"
    if rule.effect == "forbid":
        _put(problems, rule, f"`@{name}` has no meaning on a forbid", "put it on the permits", word=word)
        return
    words = value.split()
    if name in ("max_ttl", "require_auth_age"):
        if not seconds_of(value):
            _put(problems, rule, f"{quote(value)} is not a duration", "write `300s`, `15m`, `1h` or `2d`", word=word)
    elif name == "require_binding":
        if value not in ("dpop", "mtls", "any"):
            _put(
                problems,
                rule,
                f"unknown binding {quote(value)}",
                problems.near(value, ("dpop", "mtls", "any")),
                word=word,
            )
    elif not words:
        _put(problems, rule, f"`@{name}` says nothing", "give it a value", word=word)
    elif name == "require_purpose":
        for purpose in words:
            if purpose not in catalogue.purposes:
                remedy = problems.near(purpose, catalogue.purposes, "declare it under `[purposes]`")
                _put(problems, rule, f"unknown purpose {quote(purpose)}", remedy, word=word)
    elif name == "require_approval":
        _check_approval(problems, catalogue, rule, words)


def _check_approval(problems: Problems, catalogue: Catalogue, rule: Rule, words: list[str]) -> None:
    """An approval is an element `<kind>:<scope>` of the principal's fact `approvals`."""
    value = words[0]
    if len(words) != 1 or not re.fullmatch(r"[A-Za-z0-9._-]+", words[0]):
        what = "`@require_approval` names one kind of approval"
        _put(problems, rule, what, 'write `@require_approval("manager")`', word="@require_approval")
    wanted = (rule.head.principal_type,) if rule.head.principal_type else PRINCIPALS
    for about in wanted:
        fact = facts_about(catalogue.sources, about).get("approvals")
        if fact is None or fact[0].type.kind != "set":
            what = f"`@require_approval` reads the fact `approvals`, which no source provides about `{about}`"
            remedy = 'declare `approvals = "set<string>"` in a source, or narrow the rule\'s principal'
            _put(problems, rule, what, remedy, word="@require_approval")
            return
    for source in catalogue.sources.values():
        if source.approvers and not set(source.about).isdisjoint(wanted) and value not in source.approvers:
            what = f"nobody gives approvals of the kind {quote(value)}"
            remedy = problems.near(value, source.approvers, f"add `[sources.{source.id}.approvers.{value}]`")
            _put(problems, rule, what, remedy, word="@require_approval")


# -- names ------------------------------------------------------------------------------------------------------------


def _check_names(problems: Problems, catalogue: Catalogue, rule: Rule) -> None:
    """Scopes, details, audiences and client ids that conditions name (heads are checked where they are read)."""
    for uid in entities(clause.expr for clause in rule.template.clauses):
        kind = str(uid.type)
        known: Mapping[str, object] | None = {
            "Scope": catalogue.scopes, "Audience": catalogue.audiences, "Detail": catalogue.details,
        }.get(kind)  # fmt: skip
        if known is not None and uid.id not in known:
            remedy = problems.near(uid.id, known, f"declare the {kind.lower()}")
            _put(problems, rule, f"unknown {kind.lower()} {quote(uid.id)}", remedy, word=f'{kind}::"{uid.id}"')
    for value, name in compared(clause.expr for clause in rule.template.clauses):
        known_values = {
            "context.client.id": catalogue.clients,
            "context.request.environment": frozenset(catalogue.environments),
            "context.request.purpose": catalogue.purposes,
            "resource.tier": catalogue.tiers,
            "resource.audience": catalogue.audiences,
            "resource.name": {**catalogue.scopes, **catalogue.details},
        }.get(name)
        # A client may also be registered while running, so that only the closed lists are held here.
        if known_values is not None and name != "context.client.id" and value not in known_values:
            what = f"`{name}` can never be {quote(value)}"
            _put(problems, rule, what, problems.near(value, known_values, "declare it"), word=f'"{value}"')


# -- types ------------------------------------------------------------------------------------------------------------


def _validate(problems: Problems, catalogue: Catalogue, rules: tuple[Rule, ...], schema: str) -> None:
    """Cedar's strict validation of all rules. A fact that no source provides is found here.

    In batches: the validator's time grows with the square of its findings.
    """
    parsed = cedarpy.Schema.from_str(schema)
    for start in range(0, len(rules), _BATCH):
        if problems.is_full:
            return
        _validate_batch(problems, catalogue, rules[start : start + _BATCH], parsed)


def _validate_batch(problems: Problems, catalogue: Catalogue, rules: tuple[Rule, ...], schema: cedarpy.Schema) -> None:
    try:
        result = cedarpy.validate_policies("\n".join(rule.text for rule in rules), schema)
    except ValueError as error:
        problems.put(FOLDER, 0, 0, f"the rules cannot be validated: {str(error).splitlines()[0]}", "simplify them")
        return
    seen: set[tuple[str, str]] = set()
    for fault in sorted(result.errors, key=lambda one: _NOWHERE in one.error):
        index = fault.policy_id.removeprefix("policy")
        if not index.isdigit() or int(index) >= len(rules):
            problems.put(FOLDER, 0, 0, f"the rules are not valid: {fault.error.splitlines()[0]}", "correct them")
            continue
        rule = rules[int(index)]
        if _NOWHERE in fault.error and (_is_misnamed(catalogue, rule) or any(rule.id == told for told, _ in seen)):
            continue  # it follows from what is told already
        mistyped = explain_types(fault.error)
        message, remedy, word = mistyped or _explain(catalogue, fault.error)
        kind = "types" if mistyped else message
        if (rule.id, kind) not in seen:
            seen.add((rule.id, kind))
            _put(problems, rule, message, remedy, word=word if word in rule.text else "")


def _is_misnamed(catalogue: Catalogue, rule: Rule) -> bool:
    """Whether the head is refused already, since it names nothing that there is."""
    head = rule.head
    known = head.scope in catalogue.scopes or head.detail in catalogue.details or head.audience in catalogue.audiences
    return not known and not head.is_global


def _explain(catalogue: Catalogue, error: str) -> tuple[str, str, str]:
    """What Cedar's validator means, the remedy, and the word to point at."""
    text = _FOR_POLICY.sub("", error.splitlines()[0])
    missing = _NO_ATTRIBUTE.search(text)
    if missing is not None:
        return _no_attribute(catalogue, missing[1], missing[2])
    unsafe = _UNSAFE.search(text)
    if unsafe is not None:
        name = unsafe[1]
        what = f"`{name}` may be absent, and the rule does not ask"
        return what, f"put `has {name.rpartition('.')[2]} && ...` before it", name.rpartition(".")[2]
    kind = _TYPE.search(text)
    if kind is not None:
        known = (*PRINCIPALS, "Group", "Scope", "Detail", "Audience")
        return f"unknown entity type `{kind[1]}`", did_you_mean(kind[1], known), kind[1]
    action = _ACTION.search(text)
    if action is not None:
        return f"unknown action `{action[1]}`", did_you_mean(action[1], _ACTIONS), f'"{action[1]}"'
    if _NOWHERE in text:
        what = "no request has such a principal, action and resource"
        return what, "write `principal is User`, `Workload` or `Agent`, and a scope or an audience", "principal"
    hint = _DID.search(text)
    remedy = f"did you mean `{hint[1]}`?" if hint else 'see `docs/bundle.md`, "Rules"'
    return _DID.sub("", text), remedy, ""


def _no_attribute(catalogue: Catalogue, name: str, entity: str | None) -> tuple[str, str, str]:
    last = name.rpartition(".")[2]
    if entity in PRINCIPALS and last in _MEMBERSHIP:
        return f"a `{entity}` has no fact `{name}`", 'write `principal in Group::"..."`', last
    if entity is not None:
        known = (
            {*facts_about(catalogue.sources, entity)} if entity in PRINCIPALS else {"name", "audience", "tier", "rank"}
        )
        what = (
            f"no source provides the fact `{name}` of a `{entity}`"
            if entity in PRINCIPALS
            else f"a `{entity}` has no `{name}`"
        )
        elsewhere = [kind for kind in PRINCIPALS if name in facts_about(catalogue.sources, kind)]
        if elsewhere:
            return what, f"narrow the rule: `principal is {elsewhere[0]}`", last
        return what, did_you_mean(name, known, "declare it in `sources.toml`"), last
    space = name.rpartition(".")[0]
    known = {full.rpartition(".")[2] for full in _context_names(catalogue) if full.rpartition(".")[0] == space}
    what = f"no source provides `context.{name}`"
    if name == "detail" or name.startswith("detail."):
        what = f"there is no `context.{name}` here"
        remedy = 'declare the field in the detail\'s type; only rules with `resource == Detail::"..."` see it'
        return what, remedy, last
    return what, did_you_mean(last, known, "declare it in `sources.toml`"), last


def _context_names(catalogue: Catalogue) -> Iterator[str]:
    yield from ("request", "client", "chain", "subject", "chain.depth", "chain.actors", "subject.type", "subject.id")
    yield from (f"request.{name}" for name in REQUEST_FACTS)
    yield from (f"client.{name}" for name in BUILT_IN)
    for namespace in ("client", "session", "device", "world"):
        facts = facts_about(catalogue.sources, namespace)
        if facts:
            yield namespace
        yield from (f"{namespace}.{name}" for name in facts)


# -- routes -----------------------------------------------------------------------------------------------------------


def _check_routes(draft: Draft, catalogue: Catalogue, rules: RuleSet) -> None:
    """Every scope needs a permit to issue it, or the mapping of the system that it is still observed beside.

    Every type of authorization detail needs a permit that names it.
    """
    reachable: set[str] = set()
    for rule in rules.rules.values():
        if rule.effect == "permit" and (rule.head.actions is None or "issue" in rule.head.actions):
            reachable.update((*rule.scopes, *rule.details))
            for named in rule.audiences:
                reachable.update(catalogue.audiences[named].scopes)
    for audience in catalogue.audiences.values():
        for name in audience.details:
            if name not in reachable:
                remedy = f'add a permit with `resource == Detail::"{name}"`, or remove the type'
                what = f"no rule can grant authorization detail `{name}`"
                draft.problems.add(draft.place("detail", name), what, remedy, key=True)
        lent = lent_scopes(audience)
        for name in audience.scopes:
            if name not in reachable and name not in lent:
                remedy = f'add a permit with `resource == Scope::"{name}"`, or remove the scope'
                draft.problems.add(draft.place("scope", name), f"no rule can grant scope `{name}`", remedy, key=True)
