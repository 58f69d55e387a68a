"""Batch after batch of members in, the lines of the answer out: the same in this process and in any other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from mintwarden.model.values import EntityUid
from mintwarden.policy.cedar.render import spell_datetime
from mintwarden.policy.plan import ISSUE
from mintwarden.review.reach.question import Line, Question
from mintwarden.review.reach.reach import Reach, World
from mintwarden.review.reach.skip import Skip
from mintwarden.review.reach.subjects import Member, uid_of_key

if TYPE_CHECKING:
    from mintwarden.policy.bundle.model import Bundle

_KINDS = ("Agent", "User", "Workload")
_NOBODY = "nobody-whom-any-source-knows"


class Judge:
    """Answers a question for whoever it is shown. `each_client`: a line for each client instead of the best one."""

    def __init__(
        self,
        bundle: Bundle,
        question: Question,
        world: World,
        *,
        each_client: bool = False,
        actor: EntityUid | None = None,
    ) -> None:
        self._bundle, self._question, self._world = bundle, question, world
        self._each_client = each_client
        self.reach = Reach(bundle, question, world, actor=actor)
        self._skip = Skip(bundle, question.scope)
        self._always = {*world.tokens, *(f"{g.principal.type}:{g.principal.id}" for g in world.exceptions)}

    def lines(self, members: Iterable[Member]) -> list[Line]:
        """The lines about `members`, in their order."""
        found: list[Line] = []
        for key, answers in members:
            uid = uid_of_key(key)
            if key not in self._always and not self._skip.may_matter(uid, answers):
                continue
            if self._each_client:
                found += (one.line for one in self.reach.each_client(uid, answers))
            else:
                best = self.reach.best(uid, answers)
                if best is not None:
                    found.append(best.line)
        return found

    def remarks(self) -> tuple[str, ...]:
        """What the answer holds fixed or leaves open, for its reader."""
        sight, question, sources = self.reach.sight, self._question, self._bundle.catalogue.sources
        found = list(self.reach.notes)
        if sight.sees("context.request.time"):
            found.append(f"rules look at the time: this is the answer for {spell_datetime(question.at)}")
        spaces = [space for space in ("session", "device") if sight.sees(f"context.{space}")]
        unnamed = [space for space in spaces if not getattr(question, space)]
        found += (f"rules look at the {space}: none is named, so nothing is known of it" for space in unnamed)
        if sight.sees("context.request.address") and not question.address:
            found.append("rules look at the address: one out of each network that they name was tried")
        scope = self._bundle.plans.scope(question.scope)
        needed = {key.rpartition("/")[2] for kind in _KINDS for key in scope.needs(ISSUE, kind, "subject")}
        by_kind = {kind: [n for n in sorted(needed) if sources[n].kind == kind] for kind in ("token", "sql", "http")}
        if not self._world.tokens:
            found += (f"facts of `{name}` come with a token, and none was shown" for name in by_kind["token"])
        outside = (*by_kind["sql"], *by_kind["http"])
        found += (f"whoever only `{name}` knows is not listed; ask about them by name" for name in outside)
        found += (f"any {kind} gets it, known to a source or not" for kind in _KINDS if self._gives_anybody(kind))
        return tuple(found)

    def _gives_anybody(self, kind: str) -> bool:
        beginnings = self.reach.vouching.beginnings(kind)
        return any(self.reach.best(EntityUid(kind, f"{beginning}{_NOBODY}"), {}) for beginning in beginnings)
