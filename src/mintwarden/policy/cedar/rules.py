"""Reads the rules of a bundle: text in, `RuleSet` out, and every problem of every file at once."""

from __future__ import annotations

import bisect
import difflib
import re
from collections.abc import Mapping, Sequence

from cedarpy import PolicySet, pst

from mintwarden.policy.cedar.compile import environment_of
from mintwarden.policy.cedar.heads import DETAIL, SCOPE, head_of
from mintwarden.policy.cedar.locate import locate
from mintwarden.policy.cedar.operators import STANDARD, Operators
from mintwarden.policy.cedar.rule import Rule, RuleProblem
from mintwarden.policy.cedar.scan import MAX_FILE, Chunk, scan
from mintwarden.policy.cedar.slice import Compiler, Slice
from mintwarden.policy.cedar.slips import foreign_comments, remedy_for, slip_in

__all__ = ["Rule", "RuleProblem", "RuleSet", "compile_rules"]

MAX_RULES = 50_000
MAX_TOTAL = 64 << 20
MAX_PROBLEMS = 250
"""Reading stops there: a flood of mistakes must not be slow."""
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}\Z")


class RuleSet:
    """All the rules of a bundle, indexed by what their heads name.

    Attributes:
        rules: by id.
        problems: what is wrong; rules with problems are left out, so a set with problems is not for deciding with.
        aside: ids of the rules that are only observed: no slice holds them.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        *,
        scopes: Mapping[str, str],
        details: Mapping[str, str] = {},
        problems: Sequence[RuleProblem] = (),
        operators: Operators = STANDARD,
        aside: frozenset[str] | None = None,
    ) -> None:
        self.rules: Mapping[str, Rule] = {rule.id: rule for rule in sorted(rules, key=lambda rule: rule.id)}
        self.problems = tuple(problems)
        observed = (rule.id for rule in self.rules.values() if rule.is_observed)
        self.aside = frozenset(observed) if aside is None else aside
        self._scopes = dict(scopes)
        self._details = dict(details)
        self._audience_of = {**scopes, **details}
        self._operators = operators
        self._compiler = Compiler(environment_of(operators), operators)
        self._slices: dict[tuple[str, str], Slice] = {}
        self._of_scope: dict[str, list[Rule]] = {}
        self._of_detail: dict[str, list[Rule]] = {}
        self._of_audience: dict[str, list[Rule]] = {}
        self._of_all: list[Rule] = []
        for rule in self.rules.values():
            if rule.id in self.aside:
                continue
            if rule.head.scope:
                self._of_scope.setdefault(rule.head.scope, []).append(rule)
            elif rule.head.detail:
                self._of_detail.setdefault(rule.head.detail, []).append(rule)
            elif rule.head.audience:
                self._of_audience.setdefault(rule.head.audience, []).append(rule)
            elif rule.head.is_global:
                self._of_all.append(rule)

    def slice(self, action: str, scope: str) -> Slice:
        """The rules that can decide `Action::"<action>"` on a scope, or on a type of authorization detail.

        Names of the two never meet. Raises `KeyError` for one that is unknown.
        """
        found = self._slices.get((action, scope))
        if found is None:
            found = self._slices[action, scope] = self._make(action, scope)
        return found

    def counting(self, rules: frozenset[str]) -> RuleSet:
        """The same rules, those that are named counting although they are only observed."""
        return RuleSet(
            tuple(self.rules.values()),
            scopes=self._scopes,
            details=self._details,
            problems=self.problems,
            operators=self._operators,
            aside=self.aside - rules,
        )

    def having(self, rules: Sequence[Rule]) -> RuleSet:
        """Other rules for the same scopes and details."""
        return RuleSet(rules, scopes=self._scopes, details=self._details)

    def aside_reads(self, scope: str) -> frozenset[str]:
        """The paths that rules which are only observed can read to judge a scope or a type of detail."""
        heads = ((self.rules[rule_id], self.rules[rule_id].head) for rule_id in self.aside)
        own = (scope, self._audience_of[scope])
        reads = (r.reads for r, h in heads if own[0] in (h.scope, h.detail) or h.audience == own[1] or h.is_global)
        return frozenset[str]().union(*reads)

    def _make(self, action: str, scope: str) -> Slice:
        audience = self._audience_of[scope]
        wider = (*self._of_audience.get(audience, ()), *self._of_all)
        if scope in self._details:
            # INVARIANT: only a permit that names it grants a detail: one for an audience was written for its scopes.
            named = [*self._of_detail.get(scope, ()), *(r for r in wider if _guards_details(r))]
        else:
            named = [*self._of_scope.get(scope, ()), *(r for r in wider if r.head.kind in ("", SCOPE))]
        rules = sorted((r for r in named if r.head.actions is None or action in r.head.actions), key=lambda r: r.id)
        return Slice(action, scope, tuple(rules), self._compiler)


def _guards_details(rule: Rule) -> bool:
    return rule.effect == "forbid" and rule.head.kind in ("", DETAIL)


def compile_rules(
    files: Sequence[tuple[str, str]],
    *,
    scopes: Mapping[str, str],
    details: Mapping[str, str] = {},
    operators: Operators = STANDARD,
) -> RuleSet:
    """The rules in `files` (name and text), for `scopes` (scope name to audience id) and `details` (type to the same).

    Never raises for bad text: what is wrong stands in `RuleSet.problems`, by file and line. `operators` is for
    showing that a wrong operator is noticed. The order of files makes no difference.
    """
    reader = _Reader(scopes, details)
    for name, text in sorted(files):
        reader.read(name, text)
    problems = sorted(reader.problems, key=lambda p: (p.file, p.line, p.column))
    return RuleSet(reader.rules, scopes=scopes, details=details, problems=problems, operators=operators)


class _Reader:
    def __init__(self, scopes: Mapping[str, str], details: Mapping[str, str]) -> None:
        self._scopes = scopes
        self._details = details
        self._audiences = frozenset((*scopes.values(), *details.values()))
        self._size = 0
        self._by_id: dict[str, Rule] = {}
        self.problems: list[RuleProblem] = []

    @property
    def rules(self) -> list[Rule]:
        return list(self._by_id.values())

    def read(self, file: str, text: str) -> None:
        self._size += len(text)
        if self._size > MAX_TOTAL:
            self._problem(file, (1, 1), "the rules are larger than 64 MiB in all", "split the bundle")
            return
        lines = _Lines(text)
        text, slips = foreign_comments(text) if len(text) <= MAX_FILE else (text, [])
        chunks, troubles = scan(text)
        for slip in slips:
            self._problem(file, lines.at(slip.offset), slip.message, slip.remedy)
        for trouble in troubles:
            self._problem(file, lines.at(trouble.offset), trouble.message, trouble.remedy)
        for chunk in chunks:
            if len(self.problems) >= MAX_PROBLEMS:
                return
            if len(self._by_id) >= MAX_RULES:
                what = f"there are more than {MAX_RULES} rules"
                self._problem(file, lines.at(chunk.offset), what, "split the bundle")
                return
            self._read_chunk(file, chunk, lines)

    def _read_chunk(self, file: str, chunk: Chunk, lines: _Lines) -> None:
        at = lines.at(chunk.offset)
        try:
            parsed = PolicySet.from_str(chunk.text)
            tree = parsed.to_pst()
        except ValueError as error:
            offset, message = locate(chunk.text, error)
            remedy, slip = remedy_for(message), slip_in(chunk.text)
            if slip is not None and (slip.offset <= offset or not offset):
                offset, message, remedy = slip.offset, slip.message, slip.remedy
            self._problem(file, lines.at(chunk.offset + offset), message, remedy)
            return
        if tree.templates:
            self._problem(file, at, "the rule is a template", "name a principal and a resource instead of a slot")
            return
        for template in tree.static_policies.values():
            self._add(file, at, chunk, template)

    def _add(self, file: str, at: tuple[int, int], chunk: Chunk, template: pst.Template) -> None:
        rule_id = template.annotations.get("id", "")
        if not _ID.match(rule_id):
            what = f"the rule's id `{rule_id}` is not usable" if rule_id else "the rule has no `@id`"
            self._problem(file, at, what, 'give it one, such as `@id("payments-read-staff")`')
            return
        other = self._by_id.get(rule_id)
        if other is not None:
            what = f"the id `{rule_id}` is taken by the rule in {other.file}, line {other.line}"
            self._problem(file, at, what, "give it another id")
            return
        head = head_of(template)
        rule = Rule(
            id=rule_id,
            effect=template.effect,
            annotations=dict(template.annotations),
            file=file,
            line=at[0],
            column=at[1],
            text=chunk.text,
            permit_text=_as_permit(chunk),
            template=template,
            head=head,
        )
        self._by_id[rule_id] = rule
        self._check_head(rule)

    def _check_head(self, rule: Rule) -> None:
        head, at = rule.head, (rule.line, rule.column)
        if head.scope and head.scope not in self._scopes:
            at = _place_of(rule, head.scope)
            self._problem(rule.file, at, f"there is no scope `{head.scope}`", _did_you_mean(head.scope, self._scopes))
        elif head.detail and head.detail not in self._details:
            at = _place_of(rule, head.detail)
            what = f"there is no type of authorization detail `{head.detail}`"
            self._problem(rule.file, at, what, _did_you_mean(head.detail, self._details))
        elif head.audience and head.audience not in self._audiences:
            at = _place_of(rule, head.audience)
            remedy = _did_you_mean(head.audience, self._audiences)
            self._problem(rule.file, at, f"there is no audience `{head.audience}` with scopes", remedy)
        elif head.kind == DETAIL and not head.detail and rule.effect == "permit":
            what = "a permit for authorization details names their type"
            self._problem(rule.file, at, what, 'write `resource == Detail::"..."`')
        elif not (head.scope or head.detail or head.audience or (head.is_global and rule.effect == "forbid")):
            remedy = 'write `resource == Scope::"..."` or `resource in Audience::"..."`'
            what = "the permit's head names neither a scope nor an audience"
            if not head.is_global:
                what = "the rule's head can match no scope"
            self._problem(rule.file, at, what, remedy)

    def _problem(self, file: str, at: tuple[int, int], message: str, remedy: str) -> None:
        self.problems.append(RuleProblem(file, *at, message, remedy))


def _place_of(rule: Rule, name: str) -> tuple[int, int]:
    """Where the rule names it, behind its annotations; where it begins if it writes the name in another way."""
    offset = rule.text.find(f'"{name}"', rule.text.find(rule.effect))
    if offset < 0:
        return rule.line, rule.column
    before = rule.text[:offset]
    column = offset - before.rfind("\n") if "\n" in before else rule.column + offset
    return rule.line + before.count("\n"), column


def _as_permit(chunk: Chunk) -> str:
    if not chunk.text.startswith("forbid", chunk.effect_at):
        return chunk.text
    return f"{chunk.text[: chunk.effect_at]}permit{chunk.text[chunk.effect_at + len('forbid') :]}"


def _did_you_mean(name: str, known: Mapping[str, str] | frozenset[str]) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=1)
    return f"did you mean `{close[0]}`?" if close else "declare it in audiences/"


class _Lines:
    """Offsets to lines and columns, both from 1."""

    def __init__(self, text: str) -> None:
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def at(self, offset: int) -> tuple[int, int]:
        line = bisect.bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1
