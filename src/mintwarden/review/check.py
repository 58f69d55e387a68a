"""Everything that can be said about a bundle before it is used: is it well formed, and does it do what it says."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from mintwarden.policy.bundle.load import load_bundle
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.bundle.problem import BundleRefused, Problem
from mintwarden.review.scenarios import ScenarioResult, run_scenarios


class Report(Struct, frozen=True, kw_only=True):
    """What a check found.

    Attributes:
        problems: why the bundle cannot be used; the rest is then empty.
        digest: the bundle's name.
        counts: how much of everything it declares.
        results: every scenario's outcome.
    """

    problems: tuple[Problem, ...] = ()
    digest: str = ""
    counts: dict[str, int] = {}
    results: tuple[ScenarioResult, ...] = ()

    @property
    def failed(self) -> tuple[ScenarioResult, ...]:
        """The scenarios that came out otherwise."""
        return tuple(result for result in self.results if not result.passed)

    @property
    def exit_code(self) -> int:
        """2 for a bundle that cannot be used, 1 for a scenario that came out otherwise, 0 for neither."""
        return 2 if self.problems else 1 if self.failed else 0


def check(path: Path | str) -> Report:
    """Load the bundle in the folder `path` and run its scenarios. Never raises for anything in it."""
    try:
        bundle = load_bundle(path)
    except BundleRefused as refused:
        return Report(problems=refused.problems)
    return check_loaded(bundle)


def check_loaded(bundle: Bundle) -> Report:
    """The same for a bundle that is already loaded."""
    catalogue = bundle.catalogue
    counts = {
        "audiences": len(catalogue.audiences),
        "scopes": len(catalogue.scopes),
        "claims": len(catalogue.claims),
        "sources": len(catalogue.sources),
        "clients": len(catalogue.clients),
        "issuers": len(catalogue.issuers),
        "rules": len(bundle.rules.rules),
        "scenarios": len(bundle.scenarios),
    }
    return Report(digest=bundle.digest, counts=counts, results=run_scenarios(bundle))
