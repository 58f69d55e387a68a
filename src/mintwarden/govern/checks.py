"""What a version must pass before it governs: its own scenarios, its lint, its assertions."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.lint.lint import lint
from mintwarden.review.scenarios import run_scenarios

LISTED = 20

Prover = Callable[[Bundle], Sequence[str]]
"""The ids of the assertions that a bundle violates. Handed in: nothing on the way of a token may load a solver."""


class Failing(Struct, frozen=True):
    """One check that a version does not pass: `scenario`, `lint` or `assertion`; where, and what is wrong."""

    check: str
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.check}: {self.where}: {self.what}"


def checked(bundle: Bundle, texts: Mapping[str, str], now: int, prover: Prover) -> tuple[Failing, ...]:
    """Every check that fails, at most `LISTED` of a kind; `now` in seconds. Takes a while: call it in a thread.

    A scenario that comes out otherwise, a finding of lint that is an error, an assertion that is violated. One that
    cannot be proved is no reason: it holds as far as anybody knows.
    """
    scenarios = [
        Failing("scenario", f"{result.file}:{result.line}", f"`{result.id}` comes out otherwise")
        for result in run_scenarios(bundle)
        if not result.passed
    ]
    today = datetime.datetime.fromtimestamp(now, datetime.UTC).date()
    errors = [
        Failing("lint", f"{finding.file}:{finding.line}", finding.message)
        for finding in lint(bundle, texts, today)
        if finding.severity == "error"
    ]
    places = {one.id: f"{one.file}:{one.line}" for one in bundle.assertions}
    violated = [Failing("assertion", places[name], f"`{name}` is violated") for name in prover(bundle)]
    return (*scenarios[:LISTED], *errors[:LISTED], *violated[:LISTED])
