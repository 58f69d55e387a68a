"""Versions of the small company's bundle, one change at a time."""

from __future__ import annotations

from functools import cache

from mintwarden.policy.bundle.problem import Problems
from mintwarden.policy.bundle.read import read_bundle
from mintwarden.policy.diff.diff import Diff, diff
from mintwarden.policy.diff.edition import Edition, edition_of
from tests.unit.policy.company import BUNDLE, CLAIMS, CLIENT, LEGACY, PAYMENTS, RULES, SOURCES
from tools.findings import ROOT

COMPANY = {
    "bundle.toml": BUNDLE,
    "sources.toml": SOURCES,
    "claims.toml": CLAIMS,
    "audiences/payments.toml": PAYMENTS,
    "audiences/legacy.toml": LEGACY,
    "clients/app.toml": CLIENT,
    "rules/all.cedar": RULES,
}
RULE = '@id("{id}") @owner("o") @reason("r")'
Replaced = tuple[str, str, str]


@cache
def meridian() -> dict[str, str]:
    return dict(read_bundle(ROOT / "examples/meridian", Problems()))


def with_changes(texts: dict[str, str], *changes: Replaced) -> dict[str, str]:
    """The texts with `(file, old, new)` replaced, each of which must be there."""
    changed = dict(texts)
    for file, old, new in changes:
        assert old in changed[file], old
        changed[file] = changed[file].replace(old, new)
    return changed


def edition(*changes: Replaced, texts: dict[str, str] | None = None) -> Edition:
    return edition_of(with_changes(COMPANY if texts is None else texts, *changes))


def company_diff(*changes: Replaced) -> Diff:
    return diff(edition(), edition(*changes))
