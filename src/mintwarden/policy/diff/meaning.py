"""Which requests two bundles decide otherwise: proved alike, or shown by an example that `decide` confirms.

For each scope and kind of subject the whole way to a grant is compared, and for each kind of actor what lets it act,
seen or hidden, where both bundles let the subject have the scope. What decides a chain is nothing else, so that where
these are alike for chains of any shape every chain is decided alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, NamedTuple

from msgspec import Struct

from mintwarden.model.values import EntityUid
from mintwarden.policy.amend import Situation
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.diff.beyond import beyond_rules, lent
from mintwarden.policy.diff.ends import ending_soon
from mintwarden.policy.diff.forms import Form, Forms, clients_alike, has_scope, shapes
from mintwarden.policy.diff.pair import Answer, Pair, Side
from mintwarden.policy.diff.shrink import shrink, told_apart, with_request
from mintwarden.policy.diff.slices import gates_alike, longest, resources_alike, routes_alike, rules_alike, rules_apart
from mintwarden.policy.plan import ACT, EXTERNAL_PRINCIPALS, IMPERSONATE, ISSUE
from mintwarden.policy.prove.request import ANYBODY, Shape
from mintwarden.policy.prove.solve import GaveUp
from mintwarden.policy.prove.terms import Formula, Untranslated, every, negated, some

Way = Literal["granted", "hidden", "lifetime", "beyond"]
MOST_CHAINS = 400
"""How many chains are looked at one by one for one question."""
LISTED = 3
TRIES = 12
"""How many examples that `decide` does not confirm are enough to leave a question open."""


class Difference(Struct, frozen=True, kw_only=True):
    """Inputs that come out otherwise.

    Attributes:
        kind: the type of the principal that it turns on: the subject for `issue`, the actor otherwise.
        way: `granted`: only one of the two grants; `hidden`: only one hides the client; `lifetime`: both grant, for
            another time; `beyond`: what the rules leave to an exception or to an older system's mapping.
        only: which of the two grants, hides, or lets live longer.
        situation: the inputs, as the sources of both together tell them.
        old, new: what `decide` said to them.
    """

    audience: str
    scope: str
    kind: str
    action: str
    way: Way
    only: Side
    situation: Situation
    old: Answer
    new: Answer


class Unproved(Struct, frozen=True, kw_only=True):
    """A question with neither a proof nor an example, and why."""

    audience: str
    scope: str
    kind: str
    action: str
    reason: str


class Meaning(Struct, frozen=True, kw_only=True):
    """What became of all questions.

    Attributes:
        questions: how many there are: scopes by kinds of principals and actions.
        alike: how many of them both bundles put in the same words; they need no solver.
        proved: how many others were proved to be answered alike.
    """

    differences: tuple[Difference, ...]
    unproved: tuple[Unproved, ...]
    questions: int
    alike: int
    proved: int


class _Case(NamedTuple):
    """One question: an action on a scope by principals of a kind."""

    scope: str
    action: EntityUid
    kind: str


Asked = Callable[[Forms, Side], Iterable[Formula]]
"""What must hold of inputs where only one of the two does it."""
Judge = Callable[[Situation], "tuple[Answer, Answer] | None"]
"""Both answers if they differ in the way that is looked for."""


def meaning(old: Bundle, new: Bundle, step: Callable[[int, int], None] = lambda _done, _all: None) -> Meaning:
    """What is decided otherwise under `new` than under `old`. Deterministic; `step` is told how far it is."""
    pair = Pair(old, new)
    comparison = _Comparison(pair, old, new)
    scopes = sorted(pair.both.catalogue.scopes)
    cases = [_Case(scope, action, kind) for scope in scopes for action in _ACTIONS for kind in EXTERNAL_PRINCIPALS]
    for done, case in enumerate(cases):
        step(done, len(cases))
        comparison.look(case)
    step(len(cases), len(cases))
    return Meaning(
        differences=tuple(comparison.differences),
        unproved=tuple(comparison.unproved),
        questions=len(cases),
        alike=comparison.alike,
        proved=comparison.proved,
    )


_ACTIONS = (ISSUE, ACT, IMPERSONATE)
_SIDES: tuple[Side, ...] = ("old", "new")


class _Comparison:
    def __init__(self, pair: Pair, old: Bundle, new: Bundle) -> None:
        self.pair = pair
        self._bundles = (old, new)
        self.differences: list[Difference] = []
        self.unproved: list[Unproved] = []
        self.alike = 0
        self.proved = 0

    def look(self, case: _Case) -> None:
        """Count the question as alike or proved, or note what differs or stays open."""
        pair, (scope, action, kind) = self.pair, case
        sides = [side for side in _SIDES if has_scope(pair, side, scope)]
        if len(sides) < 2 and action != ISSUE:
            self.alike += 1  # who may act with a scope that the other does not have says nothing more
            return
        both = len(sides) == 2
        same = both and rules_alike(pair, scope, action, kind) and (action != ISSUE or gates_alike(pair, scope))
        routed = not both or routes_alike(pair, scope, action, kind)
        if same and routed:
            self.alike += 1
            return
        before = len(self.differences) + len(self.unproved)
        if not same:
            self._compare(case, beyond=both and beyond_rules(self._bundles, scope))
        if not routed:
            self._routes(case)
        self.proved += before == len(self.differences) + len(self.unproved)

    # -- who is granted what -------------------------------------------------------------------------------------

    def _compare(self, case: _Case, *, beyond: bool) -> None:
        if self._apart_is_alike(case):
            return
        found: set[Side] = set()
        shown = False
        reasons: list[str] = []
        ask = _only(case.action)
        for subject in EXTERNAL_PRINCIPALS if case.action != ISSUE else (case.kind,):
            try:
                forms = Forms(self.pair, case.scope, subject, ANYBODY, None if case.action == ISSUE else case.kind)
                if forms.model(_differing(forms, case.action, beyond=beyond)) is None:
                    continue
                for side in _SIDES:
                    if side in found or forms.model(ask(forms, side)) is None:
                        continue
                    if self._example(case, subject, side, ask, "granted", reasons):
                        found.add(side)
                shown = shown or (beyond and not found and self._beyond(case, subject, reasons))
            except GaveUp:
                reasons.append("the solver gave up")
            except Untranslated as error:
                reasons.append(str(error))
        if reasons and not found and not shown:
            self._leave_open(case, reasons)

    def _apart_is_alike(self, case: _Case) -> bool:
        """Whether what the two slices have different adds the same to them: then the rest is no matter."""
        pair, (scope, action, kind) = self.pair, case
        if not (has_scope(pair, "old", scope) and has_scope(pair, "new", scope)):
            return False
        if not (clients_alike(pair) and resources_alike(pair, scope) and (action != ISSUE or gates_alike(pair, scope))):
            return False
        gone, come = rules_apart(pair, scope, action, kind)
        if any(
            path in ("context", "context.subject") or path.startswith("context.subject.")
            for rule in (*gone, *come)
            for path in rule.reads
        ):
            return False
        try:
            forms = Forms(pair, scope, kind, ANYBODY, None if action == ISSUE else kind)
            if forms.old is None or forms.new is None:
                return False
            one, other = forms.old.apart(action, forms.party, gone), forms.new.apart(action, forms.party, come)
            known = [form.guards_know(action, forms.party) for form in (forms.old, forms.new)]
            pairs = [*zip(one, other, strict=True), (known[0], known[1])]
            return forms.model([some(_unlike(before, after) for before, after in pairs)]) is None
        except (GaveUp, Untranslated):
            return False

    def _beyond(self, case: _Case, subject: str, reasons: list[str]) -> bool:
        """Whether what the rules leave to an exception or to an older system's mapping is shown to be otherwise."""
        tries = 0
        for looked, (shape, place) in enumerate(_chains(case, self.pair.most_actors)):
            if looked == MOST_CHAINS:
                reasons.append("there are too many chains to look at each")
                break
            forms = Forms(self.pair, case.scope, subject, shape, place)
            model = forms.model(_differing(forms, case.action, beyond=True))
            if model is None:
                continue
            for side in _SIDES:
                shown = self._confirmed(case, forms.situation(model), side, "beyond")
                if shown is not None:
                    self.differences.append(shown)
                    return True
            tries += 1
            if tries == TRIES:
                break
        if tries:
            reasons.append(
                "guardrails or needed facts differ in what an exception or an older system's mapping may show"
            )
        return False

    def _routes(self, case: _Case) -> None:
        """Where both grant: does the route that counts bound the token alike?"""
        reasons: list[str] = []
        found = False
        most = longest(self.pair, case.scope)

        def otherwise(forms: Forms) -> Iterator[Formula]:
            for form in _both(forms):
                yield from (form.gate(), form.lets(ISSUE, forms.shared.subject))
                if case.action != ISSUE:
                    yield form.lets(case.action, forms.party)
            one, other = (form.winners(case.action, forms.party, most) for form in _both(forms))
            yield some(_unlike(one.get(key, False), other.get(key, False)) for key in sorted({*one, *other}))

        for subject in EXTERNAL_PRINCIPALS if case.action != ISSUE else (case.kind,):
            try:
                forms = Forms(self.pair, case.scope, subject, ANYBODY, None if case.action == ISSUE else case.kind)
                if forms.model(otherwise(forms)) is None:
                    continue
                ask: Asked = lambda closed, _side: otherwise(closed)  # noqa: E731
                found = found or self._example(case, subject, "new", ask, "lifetime", reasons)
            except GaveUp:
                reasons.append("the solver gave up on the routes")
            except Untranslated as error:
                reasons.append(str(error))
        if reasons and not found:
            self._leave_open(case, reasons)

    # -- examples ------------------------------------------------------------------------------------------------

    def _example(self, case: _Case, subject: str, side: Side, ask: Asked, way: Way, reasons: list[str]) -> bool:
        """Whether an example was found. Otherwise `reasons` says why there may be one, if there may."""
        reason = ""
        tries = 0
        for looked, (shape, place) in enumerate(_chains(case, self.pair.most_actors)):
            if looked == MOST_CHAINS:
                reason = reason or "there are too many chains to look at each"
                break
            forms = Forms(self.pair, case.scope, subject, shape, place)
            model = forms.model([*ask(forms, side), *_rest_of_chain(forms, case, side, place)])
            if model is None:
                continue
            shown = self._confirmed(case, forms.situation(model), side, way)
            if shown is not None:
                self.differences.append(shown)
                return True
            reason, tries = reason or _why(forms), tries + 1
            if tries == TRIES:
                break
        if reason and reason not in reasons:
            reasons.append(reason)
        return False

    def _confirmed(self, case: _Case, situation: Situation, side: Side, way: Way) -> Difference | None:
        """The example, made small, if `decide` tells the two apart by it."""
        judge = self._judge(case, side, way)
        apart = told_apart(situation)
        variants = (apart,) if apart == situation else (apart, situation)
        for start in (start for variant in variants for start in self._starts(variant, case, way)):
            if judge(start) is None:
                continue
            small = shrink(self.pair.both.catalogue, start, lambda one: judge(one) is not None)
            answers = judge(small)
            if answers is None:
                return None
            old, new = answers
            if way == "lifetime":
                side = "old" if old.seconds > new.seconds else "new"
            return Difference(
                audience=self.pair.both.catalogue.scopes[case.scope].audience,
                scope=case.scope,
                kind=case.kind,
                action=case.action.id,
                way="hidden" if way == "granted" and old.granted and new.granted else way,
                only=side,
                situation=small,
                old=old,
                new=new,
            )
        return None

    def _starts(self, situation: Situation, case: _Case, way: Way) -> Iterator[Situation]:
        """The example itself; for lifetimes, asking for the longest one, and with something that ends soon."""
        if way == "beyond":
            yield from lent(self._bundles, situation, case.scope)
        elif way != "lifetime":
            yield situation
        else:
            asking = with_request(situation, lifetime=longest(self.pair, case.scope))
            yield asking
            yield from ending_soon(self.pair, asking, case.scope, case.action, case.kind)

    def _judge(self, case: _Case, side: Side, way: Way) -> Judge:
        def answers(situation: Situation) -> tuple[Answer, Answer] | None:
            principal = situation.facts.subject if case.action == ISSUE else None
            if principal is None and not any(actor.uid.type == case.kind for actor in situation.facts.actors):
                return None
            written = way == "beyond" and not situation.facts.exceptions
            old, new = (self.pair.ask(one, situation, as_written=written) for one in _SIDES)
            mine, other = (old, new) if side == "old" else (new, old)
            if way == "lifetime":
                shown = old.granted and new.granted and old.seconds != new.seconds
            elif case.action == IMPERSONATE:
                shown = mine.granted and not mine.actors and (not other.granted or bool(other.actors))
            else:
                shown = mine.granted and not other.granted
            return (old, new) if shown else None

        return answers

    def _leave_open(self, case: _Case, reasons: Iterable[str]) -> None:
        self.unproved.append(
            Unproved(
                audience=self.pair.both.catalogue.scopes[case.scope].audience,
                scope=case.scope,
                kind=case.kind,
                action=case.action.id,
                reason="; ".join(dict.fromkeys(reasons)),
            )
        )


# -- formulas -------------------------------------------------------------------------------------------------------


def _both(forms: Forms) -> tuple[Form, ...]:
    return tuple(form for form in (forms.old, forms.new) if form is not None)


def _unlike(one: Formula, other: Formula) -> Formula:
    return some((every((one, negated(other))), every((negated(one), other))))


def _differing(forms: Forms, action: EntityUid, *, beyond: bool) -> Iterator[Formula]:
    """When the two answer the question otherwise, for a chain of any shape."""
    old, new, party, subject = forms.old, forms.new, forms.party, forms.shared.subject
    if action == ISSUE:
        ways = [_unlike(*(_grants(form, subject) for form in (old, new)))]
        if beyond and old is not None and new is not None:
            ways.append(_unlike(*(every((form.gate(), form.clear(ISSUE, subject))) for form in (old, new))))
            ways.append(_unlike(*(every((form.gate(), form.leaves(ISSUE, subject))) for form in (old, new))))
        yield some(ways)
        return
    for form in _both(forms):
        yield form.gate()
        # Where an exception or a mapping can stand in for the subject's route, the actor's must be alike without it.
        yield form.leaves(ISSUE, subject) if beyond else form.lets(ISSUE, subject)
    asked: list[Callable[[Form], Formula]] = [lambda form: form.lets(action, party)]
    if beyond and action == ACT:  # nothing but a rule hides a client
        asked += [lambda form: form.clear(action, party), lambda form: form.leaves(action, party)]
    yield some(_unlike(*(one(form) for form in _both(forms))) for one in asked)


def _grants(form: Form | None, subject: Any) -> Formula:
    return False if form is None else every((form.gate(), form.lets(ISSUE, subject)))


def _only(action: EntityUid) -> Asked:
    """That only one side lets it be, all else being let by both."""

    def parts(forms: Forms, side: Side) -> Iterator[Formula]:
        mine, other = forms.form(side), forms.form("new" if side == "old" else "old")
        subject = forms.shared.subject
        if action == ISSUE:
            yield from (_grants(mine, subject), negated(_grants(other, subject)))
            return
        for form in _both(forms):
            yield _grants(form, subject)
        if mine is not None and other is not None:
            yield from (mine.lets(action, forms.party), negated(other.lets(action, forms.party)))

    return parts


def _chains(case: _Case, most: int) -> Iterator[tuple[Shape, int | None]]:
    """Every chain in which there is something to see, with the place of the actor that it turns on."""
    for shape in shapes(EXTERNAL_PRINCIPALS, most):
        actors = shape.actors or ()
        if case.action == ISSUE:
            yield shape, None
        elif shape.hidden == (case.action == IMPERSONATE):
            yield from ((shape, place) for place, kind in enumerate(actors) if kind == case.kind)


def _rest_of_chain(forms: Forms, case: _Case, side: Side, place: int | None) -> Iterator[Formula]:
    """The other actors are let by whoever is to grant."""
    granting = _both(forms) if case.action != ISSUE else [form for form in (forms.form(side),) if form is not None]
    for index, actor in enumerate(forms.shared.actors):
        if index == place:
            continue
        for form in granting:
            seen = form.lets(ACT, actor)
            yield some((seen, form.lets(IMPERSONATE, actor))) if forms.shared.shape.hidden else seen


def _why(forms: Forms) -> str:
    in_the_way = list(dict.fromkeys(forms.left_open))[:LISTED]
    if in_the_way:
        return f"cannot be translated: {', '.join(in_the_way)}"
    return "an example was found that `decide` does not confirm, for a reason that has no formula"
