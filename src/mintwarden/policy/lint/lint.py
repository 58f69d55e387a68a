"""Looks a bundle over for what is well formed and probably not meant."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.cedar.rule import Rule
from mintwarden.policy.lint.finding import PAGE, Finding, Hit, Kind
from mintwarden.policy.lint.kinds import KINDS
from mintwarden.policy.lint.kinds.exception_near_end import KIND as _NEAR_END
from mintwarden.policy.lint.subject import Outstanding, Subject
from mintwarden.policy.lint.suppress import Suppression, read_suppressions

NEAR_END = _NEAR_END.id
MALFORMED, ENDED, UNUSED = "suppression-malformed", "suppression-ended", "suppression-unused"
OWN: Mapping[str, str] = {
    MALFORMED: "A suppression without a known id, an end or a reason",
    ENDED: "A suppression whose end has passed",
    UNUSED: "A suppression of something that is not found",
}
"""Findings about suppressions themselves, and what each is."""


def lint(
    bundle: Bundle,
    texts: Mapping[str, str],
    today: datetime.date,
    *,
    exceptions: tuple[Outstanding, ...] | None = None,
    now: int = 0,
) -> tuple[Finding, ...]:
    """Every finding in order of file and line, suppressed ones included; `texts` are the bundle's own, by path.

    `exceptions` are those in force at `now` (`Millis`); None where nobody has looked, and then nothing is said of them.
    """
    subject = Subject(bundle, texts, exceptions, now)
    found = [_finding(subject, kind, hit) for kind in KINDS for hit in kind.look(subject)]
    suppressions = tuple(read_suppressions(texts))
    if exceptions is None:
        suppressions = tuple(one for one in suppressions if one.id != NEAR_END)
    return tuple(sorted(_suppress(found, suppressions, today)))


def _finding(subject: Subject, kind: Kind, hit: Hit) -> Finding:
    return Finding(
        file=hit.at.file,
        line=hit.at.line if isinstance(hit.at, Rule) else subject.line(hit.at),
        id=kind.id,
        message=hit.message,
        severity=kind.severity,
        remedy=hit.remedy,
        documentation=kind.documentation,
    )


def _suppress(found: list[Finding], suppressions: tuple[Suppression, ...], today: datetime.date) -> Iterator[Finding]:
    may_be = {kind.id for kind in KINDS if kind.severity != "error"}
    good = {(s.file, s.covers, s.id): s for s in suppressions if s.id in may_be and today <= s.until}
    used: set[Suppression] = set()
    for finding in found:
        suppression = good.get((finding.file, finding.line, finding.id))
        if suppression is not None:
            used.add(suppression)
        yield replace(finding, suppressed=suppression.reason) if suppression is not None else finding
    for suppression in suppressions:
        if suppression.id not in may_be:
            remedy = "write `lint: allow <id> until <YYYY-MM-DD>: <reason>`; errors cannot be suppressed"
            yield _about(suppression, MALFORMED, "the suppression names no id that can be, no end or no reason", remedy)
        elif suppression.until < today:
            yield _about(suppression, ENDED, f"the suppression of `{suppression.id}` has ended", "mend what it hides")
        elif suppression not in used:
            yield _about(suppression, UNUSED, f"there is no `{suppression.id}` here to suppress", "remove it")


def _about(suppression: Suppression, kind: str, message: str, remedy: str) -> Finding:
    return Finding(
        file=suppression.file,
        line=suppression.line,
        id=kind,
        message=message,
        severity="warning",
        remedy=remedy,
        documentation=f"{PAGE}#{kind}",
    )
