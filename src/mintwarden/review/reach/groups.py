"""Which groups of the directory carry which scopes, and which carry none.

A group carries a scope where its members lose the scope, or get it on worse terms, without it: shown by deciding with
and without it for some of its members. Where nobody tried loses anything, what is left is that a rule reads it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec import Struct

from mintwarden.context.assemble import SourceAnswer
from mintwarden.context.ports import FactDocument
from mintwarden.model.values import EntityUid
from mintwarden.policy.cedar.rules import Rule
from mintwarden.policy.plan import ACT, IMPERSONATE, ISSUE
from mintwarden.review.reach.acting import WITNESSES, Acting
from mintwarden.review.reach.question import Line, Question
from mintwarden.review.reach.reach import NOTHING_KNOWN, Found, Reach, World
from mintwarden.review.reach.subjects import Member, uid_of_key

if TYPE_CHECKING:
    from mintwarden.policy.bundle.model import Bundle

TRIED = 20
"""How many members of a group are decided with and without it."""
_WITNESSES_FROM = 2_000
"""Among how many subjects those are looked for for whom an actor is tried."""
_NOWHERE: frozenset[str] = frozenset()


class Carried(Struct, frozen=True, kw_only=True):
    """One scope that depends on a group.

    Attributes:
        by: the rules that read the group for it; `legacy` and `canary` for what the audience says of it.
        how: `decided`: members tried lose it, or get it on worse terms, without the group; `opened`: members tried get
            it, or on better terms, without; `read`: a rule reads the group, and nobody tried is answered otherwise.
        tried, changed: how many members were decided, and how many were answered otherwise.
        example: one of those.
    """

    scope: str
    by: tuple[str, ...]
    how: Literal["decided", "opened", "read"]
    tried: int
    changed: int
    example: str = ""


class GroupReport(Struct, frozen=True, kw_only=True):
    """One group.

    Attributes:
        members: how many entities the store names in it, near and far; those whose time is over included.
        carries: the scopes that depend on it.
        within: groups that carry something and that every member is in too: it may be nested there, and its members
            in those through it alone.
    """

    group: str
    members: int
    carries: tuple[Carried, ...] = ()
    within: tuple[str, ...] = ()

    @property
    def could_go(self) -> bool:
        """No rule, mapping or canary names it, and nobody is in a group that does through it as far as one can see."""
        return not self.carries and not self.within


class _Groups(Struct, frozen=True):
    groups: list[str] = []


class GroupCensus:
    """Takes in every member once, then tells of every group."""

    def __init__(self, bundle: Bundle, at: int, world: World = NOTHING_KNOWN, *, tried: int = TRIED) -> None:
        self._bundle, self._at, self._world, self._tried = bundle, at, world, tried
        self._decode = msgspec.json.Decoder(_Groups).decode
        self._with_groups = {source.id for source in bundle.catalogue.sources.values() if source.groups}
        self.read, self.open_rules = read_groups(bundle)
        self._carrying = frozenset(self.read)
        self._members: dict[str, int] = {}
        self._common: dict[str, frozenset[str]] = {}
        self._samples: dict[str, list[Member]] = {}
        self._first: list[Member] = []
        self._reaches: dict[str, Reach] = {}
        self._actings: dict[str, Acting] = {}

    def take(self, members: Iterable[Member]) -> None:
        """The next members of the directory."""
        for key, answers in members:
            if len(self._first) < _WITNESSES_FROM:
                self._first.append((key, answers))
            groups = self._groups_of(answers)
            carrying = groups & self._carrying
            for group in groups:
                self._members[group] = self._members.get(group, 0) + 1
                if group in carrying:
                    sample = self._samples.setdefault(group, [])
                    if len(sample) < self._tried:
                        sample.append((key, answers))
                else:
                    known = self._common.get(group)
                    self._common[group] = carrying if known is None else known & carrying

    def reports(self) -> Iterable[GroupReport]:
        """Every group that the directory or the bundle names, in order of name."""
        for group in sorted({*self._members, *self.read}):
            yield GroupReport(
                group=group,
                members=self._members.get(group, 0),
                carries=tuple(self._carried(group, scope, by) for scope, by in sorted(self._scopes(group).items())),
                within=tuple(sorted(self._common.get(group, _NOWHERE))),
            )

    def _scopes(self, group: str) -> Mapping[str, tuple[str, ...]]:
        return self.read.get(group, {})

    def _groups_of(self, answers: Mapping[str, SourceAnswer]) -> frozenset[str]:
        found: set[str] = set()
        for source, answer in answers.items():
            if source not in self._with_groups or answer.document is None:
                continue
            if isinstance(answer.document, FactDocument):
                found.update(answer.document.groups)
                continue
            try:
                found.update(self._decode(answer.document).groups)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue  # a document that lies says no groups
        return frozenset(found)

    def _carried(self, group: str, scope: str, by: tuple[str, ...]) -> Carried:
        changed: list[str] = []
        opened: list[str] = []
        sample = self._samples.get(group, [])
        for key, answers in sample:
            uid, without = uid_of_key(key), _without(answers, group)
            before, after = self._answers(scope, uid, answers), self._answers(scope, uid, without)
            if before == after:
                continue
            (changed if _is_worse(before, after) else opened).append(key)
        how: Literal["decided", "opened", "read"] = "decided" if changed else "opened" if opened else "read"
        shown = changed or opened
        return Carried(
            scope=scope, by=by, how=how, tried=len(sample), changed=len(shown), example=shown[0] if shown else ""
        )

    def _answers(
        self, scope: str, uid: EntityUid, answers: Mapping[str, SourceAnswer]
    ) -> tuple[Line | None, Line | None]:
        """As a subject, and as an actor."""
        if scope not in self._reaches:
            self._reaches[scope] = Reach(self._bundle, Question(scope=scope, at=self._at), self._world)
        subject = self._reaches[scope].best(uid, answers)
        actor = None
        if uid.type != "User":
            actor = self._acting(scope).best(uid, answers)
        return _bare(subject), _bare(actor)

    def _acting(self, scope: str) -> Acting:
        found = self._actings.get(scope)
        if found is None:
            reach = self._reaches[scope]
            witnesses: list[tuple[EntityUid, Mapping[str, SourceAnswer]]] = []
            for key, answers in self._first:
                uid = uid_of_key(key)
                if reach.best(uid, answers) is not None:
                    witnesses.append((uid, answers))
                if len(witnesses) >= WITNESSES:
                    break
            question = Question(scope=scope, at=self._at)
            found = self._actings[scope] = Acting(self._bundle, question, self._world, witnesses)
        return found


def _bare(found: Found | None) -> Line | None:
    """Without what is only shown: the groups that somebody is in are among the facts."""
    return None if found is None else msgspec.structs.replace(found.line, facts=())


def _is_worse(before: Sequence[Line | None], after: Sequence[Line | None]) -> bool:
    """Whether something is lost, or takes more, or lasts less; another way that is as good counts as worse too."""
    for one, other in zip(before, after, strict=True):
        if one != other and one is not None:
            return other is None or (len(one.needs), -one.lifetime) <= (len(other.needs), -other.lifetime)
    return False


def _without(answers: Mapping[str, SourceAnswer], group: str) -> Mapping[str, SourceAnswer]:
    found = dict(answers)
    for source, answer in answers.items():
        document = answer.document
        if isinstance(document, bytes):
            try:
                document = msgspec.json.decode(document, type=FactDocument)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
        if document is not None and group in document.groups:
            kept = [name for name in document.groups if name != group]
            without = FactDocument(facts=document.facts, groups=kept, spans=document.spans)
            found[source] = msgspec.structs.replace(answer, document=without)
    return found


def read_groups(bundle: Bundle) -> tuple[dict[str, dict[str, tuple[str, ...]]], tuple[str, ...]]:
    """Group to scope to what reads the group for it; and the rules that may read any group whatever."""
    found: dict[str, dict[str, dict[str, None]]] = {}
    open_rules: dict[str, None] = {}

    def note(group: str, scope: str, by: str) -> None:
        found.setdefault(group, {}).setdefault(scope, {})[by] = None

    for audience in bundle.catalogue.audiences.values():
        for scope in audience.scopes:
            for rule in _rules(bundle, scope):
                groups = rule.leans_on.get("groups", _NOWHERE)
                if groups is None:
                    open_rules[rule.id] = None
                for group in groups or ():
                    note(group, scope, rule.id)
            if audience.mode != "enforce":
                for group in audience.canary.groups if audience.canary is not None else ():
                    note(group, scope, "canary")
        if audience.mode != "enforce":
            for group, scopes in audience.legacy.items():
                for scope in scopes:
                    note(group, scope, "legacy")
    return {g: {s: tuple(by) for s, by in scopes.items()} for g, scopes in found.items()}, tuple(open_rules)


def _rules(bundle: Bundle, scope: str) -> list[Rule]:
    plan = bundle.plans.scope(scope)
    found = {rule.id: rule for action in (ISSUE, ACT, IMPERSONATE) for rule in plan.slice(action).rules}
    return [found[name] for name in sorted(found)]
