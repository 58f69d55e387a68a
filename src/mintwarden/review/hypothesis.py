"""Facts as they would be if something else had been true: a group gone, a source down."""

from __future__ import annotations

from msgspec import Struct

from mintwarden.model.asked import Asked
from mintwarden.model.catalogue import Catalogue, Source
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.facts import Facts, Reading
from mintwarden.model.values import EntityUid
from mintwarden.review.cause import Cause
from mintwarden.review.draft import NAMESPACES, FactsDraft, roles_of


class Hypothesis(Struct, frozen=True, kw_only=True):
    """What is supposed.

    Attributes:
        without_groups: nobody is in these; whoever is in another one through them still is.
        sources_down: these do not answer.
    """

    without_groups: tuple[str, ...] = ()
    sources_down: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.without_groups or self.sources_down)

    def check(self, catalogue: Catalogue) -> None:
        """Raise `MintwardenError(CONFIG)` for a source that `catalogue` does not know."""
        for name in self.sources_down:
            if name not in catalogue.sources:
                known = ", ".join(f"`{source}`" for source in sorted(catalogue.sources))
                raise MintwardenError(ErrorKind.CONFIG, f"there is no source `{name}`", hint=f"known here: {known}")
            if catalogue.sources[name].kind == "token":
                what = f"source `{name}` is the token that comes with the request: it cannot be down"
                raise MintwardenError(ErrorKind.CONFIG, what, hint="name a source that is asked")

    def suppose(self, asked: Asked, facts: Facts, catalogue: Catalogue) -> Facts | Cause:
        """The facts of `asked`, of sources as `catalogue` declares them, under the hypothesis; or why not."""
        if not self._concerns(facts):
            return facts
        draft = FactsDraft(facts, catalogue)
        # Nobody is asked about a session or a device that is not named.
        unnamed = {name for name, of in (("session", asked.session), ("device", asked.device)) if not of}
        spaces = [(space, space) for space in NAMESPACES if space not in unnamed]
        for name in self.sources_down:
            source = catalogue.sources[name]
            for role, about in (*roles_of(facts), *spaces):
                if about in source.about and not _silence(draft, role, about, source):
                    return Cause("facts_not_recorded", f"which groups source `{name}` named")
        for group in self.without_groups:
            draft.leave_group(group)
        return draft.done()

    def _concerns(self, facts: Facts) -> bool:
        if self.sources_down:
            return True
        everyone = facts.subject.ancestors.union(*(actor.ancestors for actor in facts.actors))
        return any(EntityUid("Group", group) in everyone for group in self.without_groups)


def _silence(draft: FactsDraft, role: str, about: str, source: Source) -> bool:
    if f"{role}/{source.id}" not in draft.readings:
        return True
    return draft.silence(role, about, source, Reading("failing", 0, source.max_age, "supposed to be down"))
