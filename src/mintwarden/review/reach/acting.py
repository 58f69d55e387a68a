"""Who may act with a scope, tried for subjects that may be issued it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mintwarden.context.assemble import SourceAnswer
from mintwarden.model.ids import entity_key
from mintwarden.model.values import EntityUid
from mintwarden.policy.plan import ACT
from mintwarden.review.reach.question import Question
from mintwarden.review.reach.reach import Found, Reach, World
from mintwarden.review.reach.sight import Sight, touches
from mintwarden.review.reach.ways import Vouching

if TYPE_CHECKING:
    from mintwarden.policy.bundle.model import Bundle

WITNESSES = 16
"""For how many subjects an actor is tried, unless they are named."""


class Acting:
    """Answers for one actor after another. `witnesses` are subjects with what is known about them."""

    def __init__(
        self,
        bundle: Bundle,
        question: Question,
        world: World,
        witnesses: Sequence[tuple[EntityUid, Mapping[str, SourceAnswer]]],
    ) -> None:
        self._bundle, self._question, self._world = bundle, question, world
        self._witnesses = tuple(witnesses)
        self._vouching = Vouching(bundle.catalogue)
        scope = bundle.catalogue.scopes[question.scope]
        self._own = {
            EntityUid(client.principal, client.id)
            for client in (*bundle.catalogue.clients.values(), *world.clients)
            if scope.name in client.ceilings.get(scope.audience, ())
        }
        self._observed = bundle.catalogue.audiences[scope.audience].mode != "enforce"
        self._slice = bundle.plans.scope(question.scope).slice(ACT)

    @property
    def depends_on_subject(self) -> bool:
        """A rule about actors looks at whom the token speaks of: other subjects may be answered otherwise."""
        sight = Sight(self._bundle, (self._question.scope,))
        return any(
            touches(sight.acting, f"context.{path}")
            for path in ("subject.id", "request.tenant", "request.workspace", "request.project")
        )

    def best(self, actor: EntityUid, answers: Mapping[str, SourceAnswer]) -> Found | None:
        """The best way in which `actor` acts with the scope for some witness; None where it does for none."""
        if not self.may_matter(actor):
            return None
        documents = {**self._world.documents, entity_key(actor): answers}
        reach = Reach(self._bundle, self._question, self._world._replace(documents=documents), actor=actor)
        found = (reach.best(uid, said) for uid, said in self._witnesses if uid != actor)
        return min((one for one in found if one is not None), key=_order, default=None)

    def may_matter(self, actor: EntityUid) -> bool:
        """Whether it can come into a chain, and some rule could let it act."""
        if actor not in self._own and not self._vouching.of_actor(actor):
            return False
        if self._observed or any(grant.principal == actor for grant in self._world.exceptions):
            return True
        return any(rule.effect == "permit" for rule in self._slice.rules_for(actor.type))


def _order(one: Found) -> tuple[int, int, int, str]:
    line = one.line
    return len(line.needs), len(line.via), -line.lifetime, line.subject
