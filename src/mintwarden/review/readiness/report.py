"""The answer: what would break and for whom, the trend, and a verdict by the criteria of the audience's own file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from msgspec import Struct

from mintwarden.model.catalogue import Audience
from mintwarden.model.modes import Readiness
from mintwarden.review.readiness.mend import Mended
from mintwarden.review.readiness.tally import Day, Loss, Tally

DAY = 86_400_000


class Breaking(Struct, frozen=True, kw_only=True):
    """Something that somebody would lose.

    Attributes:
        client, scope: whose program, and what.
        subject: `Workload:<id>`, or for a person how it stands in the entry of `decision`.
        count, first, last: how often and when, `Millis`.
        reason: why the rules refused it the last time.
        decision: that decision's id.
        state: `breaks`; `mended`, the rules of now would grant it; `explained`, the audience's file accepts it.
        change: the smallest change that would mend it, tried by deciding again; None where none was found.
        note: the explanation's reason, or why nothing more is known.
    """

    client: str
    subject: str
    scope: str
    count: int
    first: int
    last: int
    reason: str
    decision: str
    state: Literal["breaks", "mended", "explained"]
    change: tuple[str, ...] | None = None
    note: str = ""


class Gaining(Struct, frozen=True):
    """A scope that the rules would give to a client's callers and the mapping does not."""

    client: str
    scope: str
    count: int


class Trend(Struct, frozen=True):
    """One day, UTC."""

    day: str
    decisions: int
    would_lose: int
    would_gain: int


class Criterion(Struct, frozen=True, kw_only=True):
    """One of the conditions of the verdict, in words, and whether it is met."""

    name: str
    wanted: str
    found: str
    met: bool


class Report(Struct, frozen=True, kw_only=True):
    """Whether an audience is ready to enforce.

    Attributes:
        mode: what its file says now.
        since, until: what was looked at, `Millis`.
        decisions: while observing.
        enforced, refused: of the canary, and how many of those were refused something.
    """

    audience: str
    mode: str
    ready: bool
    since: int
    until: int
    decisions: int
    enforced: int
    refused: int
    criteria: tuple[Criterion, ...]
    breaking: tuple[Breaking, ...]
    gaining: tuple[Gaining, ...]
    trend: tuple[Trend, ...]


def report(
    audience: Audience, tally: Tally, losses: Sequence[tuple[Loss, Mended, str]], *, since: int, until: int
) -> Report:
    """Put together what was counted; `losses` come with what mends them and the name to show. Pure."""
    breaking = tuple(
        sorted(
            (_breaking(audience.readiness, loss, mended, name, until) for loss, mended, name in losses),
            key=lambda one: (one.state != "breaks", -one.count, one.client, one.scope, one.subject),
        )
    )
    criteria = tuple(_criteria(audience.readiness, tally, breaking, until))
    return Report(
        audience=audience.id,
        mode=audience.mode,
        ready=all(criterion.met for criterion in criteria),
        since=since,
        until=until,
        decisions=tally.decisions,
        enforced=tally.enforced,
        refused=tally.refused,
        criteria=criteria,
        breaking=breaking,
        gaining=tuple(
            Gaining(client, scope, count)
            for (client, scope), count in sorted(tally.gains.items(), key=lambda item: (-item[1], item[0]))
        ),
        trend=tuple(_trend(day, counts) for day, counts in sorted(tally.days.items())),
    )


def _breaking(criteria: Readiness, loss: Loss, mended: Mended, name: str, now: int) -> Breaking:
    explained = next(
        (
            one.reason
            for one in criteria.explained
            if now < one.until and one.client in ("", loss.caller.client) and one.scope in ("", loss.scope)
        ),
        None,
    )
    return Breaking(
        client=loss.caller.client,
        subject=name,
        scope=loss.scope,
        count=loss.count,
        first=loss.first,
        last=loss.last,
        reason=loss.reason,
        decision=loss.decision,
        state="mended" if mended.is_mended else "explained" if explained is not None else "breaks",
        change=mended.change,
        note=explained or mended.note,
    )


def _criteria(criteria: Readiness, tally: Tally, breaking: Iterable[Breaking], now: int) -> Iterable[Criterion]:
    states = [one.state for one in breaking]
    observed = (now - tally.first + DAY - 1) // DAY if tally.first else 0
    decisions = tally.decisions + tally.enforced
    unexplained, breaks = states.count("breaks"), len(states) - states.count("mended")
    yield _criterion("days", f"observed for {criteria.days} days", f"{observed}", observed >= criteria.days)
    yield _criterion(
        "min_decisions",
        f"at least {criteria.min_decisions} decisions",
        f"{decisions}",
        decisions >= criteria.min_decisions,
    )
    yield _criterion(
        "unexplained",
        f"at most {criteria.unexplained} losses without an explanation",
        f"{unexplained}",
        unexplained <= criteria.unexplained,
    )
    if criteria.max_would_break is not None:
        most = criteria.max_would_break
        yield _criterion("max_would_break", f"at most {most} losses in all", f"{breaks}", breaks <= most)
    if tally.others:
        yield _criterion("told_apart", "every loss told apart", f"{tally.others} more that were not", met=False)
    if tally.unread:
        yield _criterion("read", "every entry read", f"{tally.unread} that are not as they were written", met=False)


def _criterion(name: str, wanted: str, found: str, met: bool) -> Criterion:
    return Criterion(name=name, wanted=wanted, found=found, met=met)


def _trend(day: str, counts: Day) -> Trend:
    return Trend(day, counts.decisions, counts.lose, counts.gain)
