"""The whole comparison of two bundles, and its verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal

from msgspec import Struct

from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.diff.beyond import excepts
from mintwarden.policy.diff.edition import Edition
from mintwarden.policy.diff.effects import Effect, effects
from mintwarden.policy.diff.meaning import Meaning, meaning
from mintwarden.policy.diff.slices import exceptional
from mintwarden.policy.diff.structure import Change, structure
from mintwarden.policy.plan import ACT, EXTERNAL_PRINCIPALS, ISSUE

Verdict = Literal["equal", "changed", "not proved"]


class Diff(Struct, frozen=True, kw_only=True):
    """What a change changes.

    Attributes:
        verdict: `equal`: every request gets the same token, proved; `changed`: some do not, as `effects` and
            `meaning.differences` say; `not proved`: neither.
        structure: what is written otherwise, whether or not it changes a token.
        effects: what changes tokens without changing who is granted what.
        meaning: who is granted what, and for how long.
    """

    old: Bundle
    new: Bundle
    structure: tuple[Change, ...]
    effects: tuple[Effect, ...]
    meaning: Meaning

    @property
    def verdict(self) -> Verdict:
        """See above."""
        if self.meaning.differences or any(effect.certain for effect in self.effects):
            return "changed"
        return "not proved" if self.meaning.unproved or self.effects else "equal"


def diff(old: Edition, new: Edition, step: Callable[[int, int], None] = lambda _done, _all: None) -> Diff:
    """Compare two bundles. Deterministic; `step` is told how many of the questions are done."""
    one, other = old.bundle, new.bundle
    return Diff(
        old=one,
        new=other,
        structure=structure(old, new),
        effects=merged((*effects(one, other), *_exceptions(one, other))),
        meaning=meaning(one, other, step),
    )


def merged(found: Iterable[Effect]) -> tuple[Effect, ...]:
    """The same change of several things told once."""
    about: dict[tuple[str, str, str, bool], dict[str, None]] = {}
    for effect in found:
        key = (effect.what, effect.old, effect.new, effect.certain)
        about.setdefault(key, {}).update(dict.fromkeys(effect.about))
    return tuple(
        Effect(what=what, about=tuple(names), old=before, new=after, certain=certain)
        for (what, before, after, certain), names in about.items()
    )


def _exceptions(old: Bundle, new: Bundle) -> Iterator[Effect]:
    """What an exception must meet is what every permit demands, so that it moves with them."""
    for name in sorted(old.catalogue.scopes.keys() & new.catalogue.scopes.keys()):
        if not (excepts(old, name) and excepts(new, name)):
            continue
        for action in (ISSUE, ACT):
            for kind in EXTERNAL_PRINCIPALS:
                before, after = (exceptional(bundle, name, action, kind) for bundle in (old, new))
                about = (f"scope {name} ({action.id}, {kind})",)
                if before[0] != after[0]:
                    yield Effect(what="demands on an exception", about=about, old=before[0], new=after[0])
                if before[1] != after[1]:
                    yield Effect(what="lifetime under an exception", about=about, old=before[1], new=after[1])
