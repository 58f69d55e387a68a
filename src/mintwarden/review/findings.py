"""Findings: what reviews turned up, as a person sees them, and what was said about each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, Protocol

from msgspec import Struct
from msgspec.structs import replace

from mintwarden.policy.lint.finding import Finding as LintFinding
from mintwarden.review.finding_states import FindingState
from mintwarden.review.owners import OwnerReport

FindingKind = Literal["lint", "owner", "break_glass"]
BEGINS: Final[Mapping[FindingKind, str]] = {"break_glass": "break-glass-", "lint": "lint-", "owner": "owner-"}
"""How the ids of each kind begin, in their order: a list by id goes from kind to kind."""
_WHAT = {
    "left": "the owner has left the directory",
    "unknown": "the directory knows no such owner",
    "unnamed": "nobody is named as the owner",
}


class Finding(Struct, frozen=True, kw_only=True):
    """Something that a review turned up.

    Attributes:
        id: the same for the same finding, whenever it is looked for.
        kind: which review.
        about: what it is about: a place in the bundle, or what the owner owns.
        severity: `error` or `warning`.
        remedy: what to do about it.
        state: what was said about it.
        closed: it was looked at by a named person; only for what stays until then.
    """

    id: str
    kind: FindingKind
    about: str
    message: str
    severity: str
    remedy: str
    state: FindingState
    closed: bool = False

    def is_open(self, now: int) -> bool:
        """Nobody has closed or accepted it, or the time for which it was accepted is over.

        INVARIANT: an emergency is open until a person has closed it; nothing that is said about it takes that person's
        place.
        """
        if self.closed or self.kind == "break_glass":
            return not self.closed
        until = self.state.until
        return not (self.state.state == "accepted" and (until is None or now < until))


class Emergency(Protocol):
    """What is looked at of a finding that stays until a named person has closed it."""

    @property
    def id(self) -> str: ...

    @property
    def kind(self) -> str: ...

    @property
    def about(self) -> str: ...

    @property
    def closed_at(self) -> int | None: ...


def finding_id(kind: FindingKind, *parts: str) -> str:
    """The name of a finding, from what it is about."""
    text = "\0".join((kind, *parts))
    return f"{BEGINS[kind]}{hashlib.sha256(text.encode()).hexdigest()[:20]}"


def kind_of(name: str) -> FindingKind | None:
    """The kind of the finding of that id; None for what is no id."""
    return next((kind for kind, begins in BEGINS.items() if name.startswith(begins)), None)


def as_said(findings: Iterable[Finding], said: Mapping[str, FindingState]) -> list[Finding]:
    """The same, with what was said about each."""
    return [replace(one, state=said[one.id]) if one.id in said else one for one in findings]


def from_lint(findings: Iterable[LintFinding]) -> list[Finding]:
    """What the lint found and the bundle does not suppress. Lines move; the finding stays the same."""
    return [
        Finding(
            id=(name := finding_id("lint", one.id, one.file, one.message)),
            kind="lint",
            about=f"{one.file}:{one.line}",
            message=f"{one.message} ({one.id})",
            severity=one.severity,
            remedy=one.remedy,
            state=FindingState(id=name),
        )
        for one in findings
        if not one.suppressed
    ]


def from_owners(reports: Sequence[OwnerReport]) -> list[Finding]:
    """Those who own something and are gone."""
    return [
        Finding(
            id=(name := finding_id("owner", report.owner, report.state)),
            kind="owner",
            about=", ".join(f"{thing.kind} {thing.id}" for thing in report.owns[:5])
            + (f" and {len(report.owns) - 5} more" if len(report.owns) > 5 else ""),
            message=_WHAT[report.state],
            severity="warning",
            remedy="name somebody who answers for it",
            state=FindingState(id=name),
        )
        for report in reports
        if report.state != "present"
    ]


def from_emergencies(findings: Iterable[Emergency]) -> list[Finding]:
    """Emergencies that somebody has to look at."""
    return [
        Finding(
            id=one.id,
            kind="break_glass",
            about=f"activation {one.about}",
            message="an emergency version was let govern",
            severity="error",
            remedy="somebody else looks at it and closes the finding",
            state=FindingState(id=one.id),
            closed=one.closed_at is not None,
        )
        for one in findings
        if one.kind == "break_glass"
    ]
