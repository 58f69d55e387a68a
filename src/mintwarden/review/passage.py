"""From one bundle to another: what was recorded under the one, as it would have come before the other.

The ledger keeps the facts that the recording bundle's rules could read, as its catalogue declares them. Another bundle
may read more, or may have had its facts read otherwise.

INVARIANT: where the record does not tell what the other would have been given, there is a `Cause` and no answer. A fact
that was kept if it was there, and is not there, was absent.

Authentication is taken as it happened. That a source keeps to the types that a catalogue adds is taken for granted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from msgspec.structs import replace

from mintwarden.context.project import EVERYTHING, GROUPS, Projection
from mintwarden.model.asked import Asked, RegisteredClient
from mintwarden.model.catalogue import Audience, Catalogue, Client, ClientDocuments, Source
from mintwarden.model.facts import Facts, Reading
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.details import read_detail
from mintwarden.policy.plan import ACT, IMPERSONATE, ISSUE
from mintwarden.policy.registered import bounds_of, client_of
from mintwarden.review.cause import Cause
from mintwarden.review.draft import CLIENT_OWN, NAMESPACES, FactsDraft, required, roles_of

MAX_ROUTES = 10_000
"""Kinds of request remembered; callers choose them, so they are forgotten beyond that."""

_APPROVALS = "principal.approvals"
_CONFINES = ("tenant", "workspace", "project")
AnyClient = Client | RegisteredClient
_Step = Callable[[FactsDraft, int], Cause | None]


class Question(NamedTuple):
    """What is decided: what is asked, and what is true."""

    asked: Asked
    facts: Facts


class _Need(NamedTuple):
    """A fact that is read: of whom, by which name, and how the reading rule spells it."""

    role: str
    about: str
    name: str
    path: str


class _Route(NamedTuple):
    """What all requests of one kind have in common: why they cannot be carried over, or what has to be done."""

    cause: Cause | None
    scopes: tuple[str, ...]
    steps: tuple[_Step, ...]


class Passage:
    """Carries questions that were decided under `old` over to `new`. A memo over two immutable bundles."""

    def __init__(self, old: Bundle, new: Bundle) -> None:
        self.old = old
        self._new = new
        self._same = old.digest == new.digest
        self._routes: dict[tuple[object, ...], _Route] = {}
        self._sides = _Sides(old, new, _said(old.catalogue), _said(new.catalogue), {})

    def cross(self, asked: Asked, facts: Facts, at: int) -> Question | Cause:
        """The question as the new bundle would have been asked it at `at`, or why that is not known."""
        if self._same:
            return Question(asked, facts)
        if asked.details and not _fit(asked, self._new.catalogue):
            return Cause("request_refused", "authorization details that the candidate does not declare so")
        route = self._route(asked, facts)
        if route.cause is not None:
            return route.cause
        if route.scopes != asked.scopes:
            asked = replace(asked, scopes=route.scopes)
        if route.steps:
            draft = FactsDraft(facts, self._new.catalogue)
            for step in route.steps:
                cause = step(draft, at)
                if cause is not None:
                    return cause
            facts = draft.done()
        return Question(asked, facts)

    def _route(self, asked: Asked, facts: Facts) -> _Route:
        parent, registered = asked.parent, asked.registered
        key = (
            asked.client_id, asked.audience, asked.scopes, asked.grant, asked.environment, asked.purpose,
            asked.subject.type, tuple([actor.uid.type for actor in facts.actors]), len(asked.actors), asked.impersonate,
            asked.tenant != "", asked.workspace != "", asked.project != "",
            None if parent is None else parent.scopes is None,
            None if registered is None else (
                registered.kind, registered.owner, registered.principal, registered.environments,
                tuple(registered.ceilings.get(asked.audience, ())),
            ),
            asked.defaulted and (True if parent is None or parent.scopes is None else parent.scopes),
            asked.details and _types(asked),
        )  # fmt: skip
        found = self._routes.get(key)
        if found is None:
            if len(self._routes) >= MAX_ROUTES:
                self._routes.clear()
            found = self._routes[key] = _Survey(self._sides, asked, facts).route()
        return found


def _types(asked: Asked) -> tuple[str, ...]:
    return tuple([detail.type for detail in asked.details])


def _fit(asked: Asked, catalogue: Catalogue) -> bool:
    """Whether the catalogue has these types of details, with such fields."""
    audience = catalogue.audiences.get(asked.audience)
    return audience is not None and all(read_detail(audience, detail) is not None for detail in asked.details)


_Said = Mapping[tuple[str, str], Source]
"""The source of each fact, by what it is about and the fact's name."""


class _Sides(NamedTuple):
    """Both bundles, who says what in each, and what was found so far of how their reading differs."""

    old: Bundle
    new: Bundle
    old_said: _Said
    new_said: _Said
    ways: dict[tuple[object, ...], _Route]


class _Survey:
    """One kind of request, looked at under both bundles."""

    def __init__(self, sides: _Sides, asked: Asked, facts: Facts) -> None:
        self.old, self.new = sides.old.catalogue, sides.new.catalogue
        self.old_plans, self.new_plans = sides.old.plans, sides.new.plans
        self.old_said, self.new_said = sides.old_said, sides.new_said
        self.ways = sides.ways
        self.asked = asked
        self.roles = roles_of(facts)

    def route(self) -> _Route:
        asked = self.asked
        client, audience = client_of(self.new, asked), self.new.audiences.get(asked.audience)
        was_client, was_audience = client_of(self.old, asked), self.old.audiences.get(asked.audience)
        if client is None:
            return _blocked("unknown_client", asked.client_id)
        if audience is None:
            return _blocked("unknown_audience", asked.audience)
        if was_client is None or was_audience is None:
            return _blocked("bundle_unknown", "the recorded bundle has no such client or audience")
        cause = self._request(client, was_client, audience, was_audience)
        if cause is not None:
            return _Route(cause, (), ())
        scopes = self._scopes(client, audience)
        if isinstance(scopes, Cause):
            return _Route(scopes, (), ())
        types = tuple([kind for _, kind in self.roles[1:]])
        # Many requests ask for facts in the same way, whoever makes them and in whichever order.
        names = frozenset(_types(asked)) if asked.details else frozenset[str]()
        key = (audience.id, names.union(asked.scopes), names.union(scopes), asked.subject.type, types)
        way = self.ways.get(key)
        if way is None:
            if len(self.ways) >= MAX_ROUTES:
                self.ways.clear()
            more = _types(asked)
            kept = Projection(self.old_plans.reads(was_audience, (*asked.scopes, *more), asked.subject.type, types))
            way = self.ways[key] = self._facts(self._reads(audience, (*scopes, *more), types), kept)
        if way.cause is not None:
            return way
        steps = way.steps
        described = {name: getattr(client, name) for name in CLIENT_OWN}
        if described != {name: getattr(was_client, name) for name in CLIENT_OWN}:
            steps += (_describe(described),)
        return _Route(None, scopes, steps)

    # -- the request ----------------------------------------------------------------------------------------------

    def _request(self, client: AnyClient, was: AnyClient, audience: Audience, was_at: Audience) -> Cause | None:
        """What the grants make of a request with the help of the catalogue, where that is another one."""
        asked = self.asked
        if asked.grant not in _grants(self.new, client):
            return Cause("request_refused", f"grant `{asked.grant}` is not the client's")
        if isinstance(client, RegisteredClient) and not _admits_as_much(self.new, self.old, client.id):
            return Cause("request_unclear", "whether the registered client would still be admitted")
        if asked.environment not in client.environments:
            return Cause("request_refused", f"environment `{asked.environment}` is not the client's")
        if asked.purpose and asked.purpose not in self.new.purposes:
            return Cause("request_refused", f"purpose `{asked.purpose}` is unknown")
        if len(asked.actors) > self.new.max_actors:
            return Cause("request_refused", "the chain of actors is too long")
        if client.principal != was.principal:
            return Cause("request_unclear", "the client is another kind of principal")
        if asked.environment == was.environments[0] and client.environments[0] != was.environments[0]:
            return Cause("request_unclear", "whether `environment` was stated or left to the client's first one")
        taken, was_taken = ({tenancy.parameter for tenancy in one.tenancy} for one in (audience, was_at))
        for name in _CONFINES:
            if getattr(asked, name) and name in was_taken and name not in taken:
                if asked.parent is None:
                    return Cause("request_refused", f"the audience takes no `{name}`")
                return Cause("request_unclear", f"whether `{name}` was stated or the earlier token's")
        return None

    def _scopes(self, client: AnyClient, audience: Audience) -> tuple[str, ...] | Cause:
        asked, parent = self.asked, self.asked.parent
        within = None if parent is None else parent.scopes
        scopes = asked.scopes
        if asked.defaulted:
            ceiling = client.ceilings.get(audience.id, ())
            scopes = tuple(
                scope.name
                for scope in audience.scopes.values()
                if scope.default and scope.name in ceiling and (within is None or scope.name in within)
            )
            if not scopes:
                return Cause("request_refused", "the audience has no default scope for the client")
            more = [name for name in scopes if name not in asked.scopes]
            if more:
                return Cause("facts_not_recorded", f"other default scopes: {_listed(more)}")
        else:
            unknown = [name for name in scopes if name not in audience.scopes]
            if unknown:
                return Cause("unknown_scope", _listed(unknown))
        if within is not None:
            moved = [name for name in scopes if _carriers(self.old, name) != _carriers(self.new, name, self.old)]
            if moved:
                return Cause("request_unclear", f"whether the earlier token carried {_listed(moved)}")
        return scopes

    def _reads(self, audience: Audience, scopes: tuple[str, ...], types: tuple[str, ...]) -> frozenset[str]:
        reads = self.new_plans.reads(audience, scopes, self.asked.subject.type, types)
        return reads if self._wants_approvals(scopes) else reads - {_APPROVALS}

    def _wants_approvals(self, scopes: Iterable[str]) -> bool:
        """Whether approvals, which are always kept, are of any consequence."""
        for name in scopes:
            plan = self.new_plans.scope(name)
            for action in (ISSUE, ACT, IMPERSONATE):
                rules = plan.slice(action).rules
                if any("require_approval" in rule.annotations or _APPROVALS in rule.reads for rule in rules):
                    return True
        return False

    # -- the facts ------------------------------------------------------------------------------------------------

    def _facts(self, reads: Iterable[str], kept: Projection) -> _Route:
        """What is to be done with the facts, or why nothing can be; `scopes` is left empty."""
        lost: set[str] = set()
        changed: set[str] = set()
        used: set[tuple[str, str, str]] = set()
        steps = list(self._undeclared())
        for need in self._needs(reads):
            if need.name == GROUPS:
                self._groups(need, kept, lost, changed, used)
            else:
                self._fact(need, kept, lost, changed, used)
        for role, about, name in sorted(used):
            self._source(role, about, name, kept, lost, changed, steps)
        if lost:
            return _blocked("facts_not_recorded", _listed(lost))
        if changed:
            return _blocked("facts_declared_otherwise", _listed(changed))
        return _Route(None, (), tuple(steps))

    def _needs(self, reads: Iterable[str]) -> Iterator[_Need]:
        for path in sorted(reads):
            head, _, rest = path.partition(".")
            first, _, second = rest.partition(".")
            if head in ("principal", "subject"):
                for role, about in self.roles if head == "principal" else self.roles[:1]:
                    yield from self._named(role, about, first, path)
            elif head == "context":
                for space in (first,) if first else NAMESPACES:
                    if space in NAMESPACES:
                        yield from self._named(space, space, second.partition(".")[0], path)

    def _named(self, role: str, about: str, name: str, path: str) -> Iterator[_Need]:
        """The fact, or all that there are where the path ends early."""
        if name and name != EVERYTHING:
            yield _Need(role, about, name, path)
            return
        facts = [fact for of, fact in self.new_said if of == about]
        for fact in facts or ([EVERYTHING] if role in NAMESPACES else []):
            yield _Need(role, about, fact, f"{path}.{fact}")
        if role not in NAMESPACES:
            yield _Need(role, about, GROUPS, f"{path}.{GROUPS}")

    def _fact(
        self, need: _Need, kept: Projection, lost: set[str], changed: set[str], used: set[tuple[str, str, str]]
    ) -> None:
        role, about, name, path = need
        if role == "client" and name in CLIENT_OWN:
            return
        source, was = self.new_said.get((about, name)), self.old_said.get((about, name))
        if name == EVERYTHING and _speakers(self.new, about):
            # Of sources without any fact all that can be asked is whether one of them says anything.
            lost.add(path)
        if source is None:
            return  # nobody says it: it is never there
        if was is None or not kept.keeps(f"{role}/{name}"):
            lost.add(path)
            return
        if source.id != was.id or (role in NAMESPACES and _speakers(self.new, about) != _speakers(self.old, about)):
            changed.add(path)
            return
        used.add((role, about, source.id))

    def _groups(
        self, need: _Need, kept: Projection, lost: set[str], changed: set[str], used: set[tuple[str, str, str]]
    ) -> None:
        now, was = (
            [source.id for source in catalogue.sources.values() if source.groups and need.about in source.about]
            for catalogue in (self.new, self.old)
        )
        if not now:
            return
        if not kept.keeps(f"{need.role}/groups"):
            lost.add(need.path)
        elif sorted(now) != sorted(was):
            changed.add(need.path)
        else:
            used.update((need.role, need.about, source) for source in now)

    def _source(
        self, role: str, about: str, name: str, kept: Projection, lost: set[str], changed: set[str], steps: list[_Step]
    ) -> None:
        """A source that is read, and declared in both: would it have been read the same way?"""
        source, was = self.new.sources[name], self.old.sources[name]
        if source == was and source.kind != "token":
            return
        if _asked_of(source) != _asked_of(was) or (source.kind == "token" and _tokens(self.new) != _tokens(self.old)):
            changed.add(f"source `{name}`")
            return
        both = source.facts.keys() & was.facts.keys()
        retyped = [fact for fact in both if source.facts[fact].type != was.facts[fact].type]
        if retyped:
            changed.update(f"source `{name}`, fact `{fact}`" for fact in retyped)
            return
        more = required(source) - required(was)
        unseen = [fact for fact in more if fact not in was.facts or not kept.keeps(f"{role}/{fact}")]
        lost.update(f"source `{name}`, fact `{fact}`" for fact in unseen)
        less = _Less(bool(required(was) - required(source)), bool(was.facts.keys() - source.facts.keys()))
        if source.max_age != was.max_age or more or any(less):
            steps.append(_judge_again(role, about, source, more, less))

    def _undeclared(self) -> Iterator[_Step]:
        spaces = [(space, space) for space in NAMESPACES]
        for role, about in (*self.roles, *spaces):
            gone = {name for of, name in self.old_said if of == about and (of, name) not in self.new_said}
            if gone:
                yield _forget(role, frozenset(gone))
            if role in NAMESPACES:
                if role != "client" and _speakers(self.old, about) and not _speakers(self.new, about):
                    yield _forget_namespace(role)
            elif self._names_groups(self.old, about) and not self._names_groups(self.new, about):
                yield _forget_groups(role)

    @staticmethod
    def _names_groups(catalogue: Catalogue, about: str) -> bool:
        return any(source.groups and about in source.about for source in catalogue.sources.values())


def _grants(catalogue: Catalogue, client: AnyClient) -> tuple[str, ...]:
    """The client's grants; of a registered one, whose own are not recorded, those that any may have."""
    if isinstance(client, Client):
        return client.grants
    bounds = bounds_of(catalogue, client.id)
    return bounds.grants if bounds is not None else ()


def _admits_as_much(new: Catalogue, old: Catalogue, client_id: str) -> bool:
    """Whether what is not recorded of registered clients can be no reason to admit one no more."""
    now, was = bounds_of(new, client_id), bounds_of(old, client_id)
    if now is None or was is None or not set(was.methods) <= set(now.methods) or not set(was.grants) <= set(now.grants):
        return False
    if isinstance(now, ClientDocuments) and isinstance(was, ClientDocuments):
        return set(was.redirects) <= set(now.redirects)
    return True


class _Less(NamedTuple):
    """What a source need not do any more: say some fact at all, say another one in its type."""

    required: bool
    declared: bool


def _judge_again(role: str, about: str, source: Source, more: frozenset[str], less: _Less) -> _Step:
    """The source's reading under its new age limit, and with `more` that it must say, as `context.assemble` would."""
    key = f"{role}/{source.id}"

    def step(draft: FactsDraft, at: int) -> Cause | None:
        reading = draft.readings.get(key)
        if reading is None:
            return Cause("facts_not_recorded", f"source `{source.id}`")
        observed = reading.observed_at
        if observed and source.max_age and at - observed > source.max_age:
            again = Reading("stale", observed, source.max_age)
        elif reading.state == "stale":
            return Cause("facts_not_recorded", f"source `{source.id}`, too old then")
        elif reading.state == "missing" and observed and less.required:
            return Cause("facts_not_recorded", f"source `{source.id}`, incomplete then")
        elif reading.state == "failing" and observed and less.declared:
            return Cause("facts_not_recorded", f"source `{source.id}`, malformed then")
        elif reading.state == "present" and (absent := sorted(name for name in more if not draft.has(role, name))):
            again = Reading("missing", observed, source.max_age, f"fact `{absent[0]}` is absent")
        else:
            again = replace(reading, max_age=source.max_age)
            draft.readings[key] = again
            return None
        if not draft.silence(role, about, source, again):
            return Cause("facts_not_recorded", f"which groups source `{source.id}` named")
        return None

    return step


def _describe(client: Mapping[str, str]) -> _Step:
    def step(draft: FactsDraft, _at: int) -> None:
        draft.describe_client(client)

    return step


def _forget(role: str, names: frozenset[str]) -> _Step:
    def step(draft: FactsDraft, _at: int) -> None:
        draft.forget(role, names)

    return step


def _forget_groups(role: str) -> _Step:
    def step(draft: FactsDraft, _at: int) -> None:
        draft.forget_groups(role)

    return step


def _forget_namespace(name: str) -> _Step:
    def step(draft: FactsDraft, _at: int) -> None:
        draft.forget_namespace(name)

    return step


def _blocked(kind: str, detail: str) -> _Route:
    return _Route(Cause(kind, detail), (), ())


def _said(catalogue: Catalogue) -> _Said:
    return {
        (about, fact): source
        for source in catalogue.sources.values()
        for about in source.about
        for fact in source.facts
    }


def _speakers(catalogue: Catalogue, about: str) -> frozenset[str]:
    return frozenset(source.id for source in catalogue.sources.values() if about in source.about)


def _asked_of(source: Source) -> tuple[object, ...]:
    """What a source's answer depends on, beside the age and the completeness of it."""
    return source.kind, source.connection, source.query, source.groups


def _tokens(catalogue: Catalogue) -> Mapping[str, object]:
    """How facts are made of the claims of tokens."""
    issuers: dict[str, object] = {
        name: (issuer.issuer, issuer.principal, issuer.subject, issuer.subject_prefix, issuer.facts)
        for name, issuer in catalogue.issuers.items()
    }
    return issuers | {
        f"provider {name}": (provider.issuer, provider.subject, provider.subject_prefix, provider.facts)
        for name, provider in catalogue.providers.items()
    }


def _carriers(catalogue: Catalogue, scope: str, among: Catalogue | None = None) -> frozenset[str]:
    """The scopes, of those known to `among`, with which a token may be turned into one with `scope`."""
    names = (among or catalogue).scopes
    carrying = {name for name, other in catalogue.scopes.items() if scope in other.carries and name in names}
    return frozenset(carrying | ({scope} if scope in catalogue.scopes else set()))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
