"""One rule of a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Literal

from cedarpy import pst
from msgspec import Struct

from mintwarden.policy.cedar.heads import Head
from mintwarden.policy.cedar.reads import leans_on, reads_of


class Rule(Struct, frozen=True, kw_only=True, eq=False, dict=True):
    """One rule.

    Attributes:
        id: its `@id`, unique in the bundle.
        annotations: all of them, by name without `@`.
        file, line, column: where it starts.
        text: its source.
        permit_text: its source with `permit` as its effect: how Cedar is asked whether it holds.
        template: its policy tree.
        head: what it applies to.
    """

    id: str
    effect: Literal["permit", "forbid"]
    annotations: Mapping[str, str]
    file: str
    line: int
    column: int
    text: str
    permit_text: str
    template: pst.Template
    head: Head

    @cached_property
    def reads(self) -> frozenset[str]:
        """The paths that it can read; see `reads_of`."""
        return reads_of(self.template)

    @cached_property
    def leans_on(self) -> Mapping[str, frozenset[str] | None]:
        """The principal's attributes that it reads, with the elements that it tests for; see `leans_on`."""
        return leans_on(self.template)

    @property
    def is_observed(self) -> bool:
        """It does not count for what is issued; what it would have done is recorded."""
        return self.annotations.get("mode") == "observe"

    @cached_property
    def observed_until(self) -> int | None:
        """When that should end, `Millis`: a time, or the end of a day in UTC. None where it does not say."""
        return _until(self.annotations.get("observe_until", ""))

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes that its head names."""
        return (self.head.scope,) if self.head.scope else ()

    @property
    def details(self) -> tuple[str, ...]:
        """The types of authorization details that its head names."""
        return (self.head.detail,) if self.head.detail else ()

    @property
    def audiences(self) -> tuple[str, ...]:
        """The audiences that its head names."""
        return (self.head.audience,) if self.head.audience else ()


_DAY = 86_400_000


def _until(text: str) -> int | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    is_day = len(text) == len("2026-11-24")
    if at.tzinfo is None and not is_day:
        return None
    past = at.replace(tzinfo=at.tzinfo or UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return past // timedelta(milliseconds=1) + (_DAY if is_day else 0)


class RuleProblem(Struct, frozen=True):
    """What is wrong with a rule: where, what, and what to do about it. Lines and columns count from 1."""

    file: str
    line: int
    column: int
    message: str
    remedy: str
