"""Before a bundle governs: it does what its own scenarios say, by the compiled rules and by Cedar alike."""

from __future__ import annotations

from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.bundle.problem import BundleRefused, Problem
from mintwarden.review.scenarios import run_scenarios


def refuse_failing(bundle: Bundle) -> None:
    """Return when every scenario comes out as written; raise `BundleRefused` with each one that does not."""
    problems = [
        Problem(
            result.file,
            result.line,
            1,
            f"scenario `{result.id}` comes out otherwise: {result.differences[0]}",
            "mend the rule or the scenario; `mintwarden check PATH` shows every difference",
        )
        for result in run_scenarios(bundle)
        if not result.passed
    ]
    if problems:
        raise BundleRefused(problems)
