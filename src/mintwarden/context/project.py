"""The part of some facts that a decision read, which is all that the ledger keeps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mintwarden.model.facts import Facts
from mintwarden.model.values import Entity, EntityUid, Record, Value

GROUPS = "<groups>"
"""`principal.<groups>` is the read path of group membership."""

EVERYTHING = "*"

_NO_ANCESTORS: frozenset[EntityUid] = frozenset()
_OWN = ("id", "kind", "owner", "principal")


class Projection:
    """What a set of read paths keeps; built once for a read set, used for many facts.

    Kept: of the subject and each actor the attributes `principal.<fact>` (also spelled `subject.<fact>`, for the
    subject alone, as claims do) and the groups if `principal.<groups>` is read; of each namespace of
    sources the facts `context.<namespace>.<fact>`; whole what comes from the request itself (`request`, `chain`,
    `subject`, the client's own description); every reading, which holds no value. A path that ends early, such as
    `context.session` or `principal`, keeps all that is below it.
    Deciding again over what is kept gives the same decision.
    """

    def __init__(self, reads: Iterable[str]) -> None:
        acting: set[str] = set()
        own: set[str] = set()
        spaces: dict[str, set[str]] = {"client": set(_OWN)}
        self._whole = {"request", "chain", "subject"}
        for path in reads:
            head, _, rest = path.partition(".")
            first, _, second = rest.partition(".")
            if head == "principal":
                acting.add(first or EVERYTHING)
            elif head == "subject":
                own.add(first or EVERYTHING)
            elif head == "context" and second:
                spaces.setdefault(first, set()).add(second.partition(".")[0])
            elif head == "context":
                self._whole.add(first or EVERYTHING)
        self._acting, self._subject = frozenset(acting), frozenset(acting | own)
        self._spaces = {name: frozenset(names) for name, names in spaces.items()}

    def apply(self, facts: Facts) -> Facts:
        """Only what was read of `facts`."""
        subject = _entity(facts.subject, self._subject)
        context = self._context(facts.context)
        if subject is facts.subject and context is facts.context and not facts.actors and not facts.ends:
            return facts
        return Facts(
            subject=subject,
            actors=tuple([_entity(actor, self._acting) for actor in facts.actors]) if facts.actors else (),
            context=context,
            readings=facts.readings,
            ends=self._ends(facts.ends) if facts.ends else facts.ends,
            epoch=facts.epoch,
            exceptions=facts.exceptions,
        )

    def _context(self, context: Record) -> Record:
        whole, spaces = self._whole, self._spaces
        if EVERYTHING in whole:
            return context
        kept: dict[str, Value] | None = None
        for name, value in context.items():
            if name in whole or not isinstance(value, Record):
                continue
            names = spaces.get(name)
            if names is not None and names.issuperset(value):
                continue
            if kept is None:
                kept = dict(context)
            if names is None:
                del kept[name]
            else:
                kept[name] = Record({n: value[n] for n in names if n in value})
        return context if kept is None else Record(kept)

    def _ends(self, ends: Mapping[str, Mapping[str, int]]) -> Mapping[str, Mapping[str, int]]:
        return {where: by_element for where, by_element in ends.items() if self.keeps(where)}

    def keeps(self, where: str) -> bool:
        """Whether a fact is kept where it is there: `subject/department`, `actor:0/groups`, `session/risk`.

        INVARIANT: a fact that is kept is kept whole, with its ends: its absence from what is kept is its absence.
        """
        role, _, fact = where.partition("/")
        name = GROUPS if fact == "groups" else fact
        if role == "subject":
            return name in self._subject or EVERYTHING in self._subject
        if role.startswith("actor:"):
            return name in self._acting or EVERYTHING in self._acting
        return role in self._whole or EVERYTHING in self._whole or fact in self._spaces.get(role, ())


def project(facts: Facts, reads: Iterable[str]) -> Facts:
    """`Projection(reads).apply(facts)`; keep the `Projection` where the same read set comes again."""
    return Projection(reads).apply(facts)


def _entity(entity: Entity, names: frozenset[str]) -> Entity:
    if EVERYTHING in names:
        return entity
    attrs = entity.attrs
    if names.issuperset(attrs) and (GROUPS in names or not entity.ancestors):
        return entity
    return Entity(
        entity.uid,
        {name: attrs[name] for name in names if name in attrs},
        entity.ancestors if GROUPS in names else _NO_ANCESTORS,
    )
