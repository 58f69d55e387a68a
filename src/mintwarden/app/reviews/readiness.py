"""Whether an audience that observes may be enforced, for `review readiness` and for the administration API."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mintwarden.app.foundation import Foundation
from mintwarden.app.logs import when
from mintwarden.context.spelling import read_datetime
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.policy.bundle.kinds import seconds_of
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.bundle.problem import did_you_mean
from mintwarden.review.readiness.readiness import Look
from mintwarden.review.readiness.report import Report


async def readiness_of(
    base: Foundation,
    bundle: Bundle,
    audience: str,
    since: str = "",
    *,
    show_subjects: bool = False,
    told: Callable[[int, int], None] = lambda _done, _all: None,
) -> Report:
    """The report over the ledger as it is now, by the criteria of `bundle`. Raises `NOT_FOUND`, `INVALID_REQUEST`."""
    audiences = bundle.catalogue.audiences
    if audience not in audiences:
        hint = did_you_mean(audience, audiences, "see the bundle's `audiences/`")
        raise MintwardenError(ErrorKind.NOT_FOUND, f"there is no audience `{audience}`", hint=hint)
    now, store = base.clock.now(), base.store
    look = Look(bundle, entries=store.entries, keys=store.subject_keys, sealer=base.sealer, told=told)
    return await look.readiness(audience, now=now, since=_since(since, now), show_subjects=show_subjects)


def _since(text: str, now: int) -> int | None:
    if not text:
        return None
    seconds = seconds_of(text)
    if seconds is not None:
        return now - seconds * 1000
    try:
        return read_datetime(text).millis
    except ValueError:
        raise MintwardenError(
            ErrorKind.INVALID_REQUEST, f"`{text}` is neither a duration nor a time", hint="such as `14d`"
        ) from None


def as_markdown(report: Report) -> Iterator[str]:
    """The report as Markdown: a verdict, the criteria, the losses and the trend as tables."""
    yield f"# {_cell(report.audience)}: {'ready' if report.ready else 'not ready'} to enforce"
    yield ""
    yield f"{report.decisions} observed decisions, {when(report.since)} to {when(report.until)}."
    yield ""
    yield from ("| criterion | found | met |", "| --- | --- | --- |")
    for one in report.criteria:
        yield f"| {one.wanted} | {one.found} | {'yes' if one.met else '**no**'} |"
    if report.breaking:
        yield ""
        yield from ("| client | subject | scope | times | last | state | what would mend it |", "|" + " --- |" * 7)
        for loss in report.breaking:
            change = "; ".join(loss.change) if loss.change is not None else loss.note or "nothing found"
            cells = (loss.client, loss.subject, loss.scope, str(loss.count), when(loss.last), loss.state)
            yield (
                "| "
                + " | ".join(_cell(cell) for cell in (*cells, loss.note if loss.state == "explained" else change))
                + " |"
            )
    if report.trend:
        yield ""
        yield from ("| day | decisions | would lose | would gain |", "| --- | ---: | ---: | ---: |")
        for day in report.trend:
            yield f"| {day.day} | {day.decisions} | {day.would_lose} | {day.would_gain} |"


def _cell(text: str) -> str:
    """Names come from outside: nothing in them may end a cell, a table or a tag."""
    plain = "".join(char for char in text if char.isprintable())
    return "".join(f"\\{char}" if char in "\\`*_{}[]<>|#" else char for char in plain)
