"""What is well formed in a bundle and probably not meant, for `policy lint` and for the administration API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from mintwarden import __version__
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.lint.finding import Finding
from mintwarden.policy.lint.lint import lint
from mintwarden.policy.lint.sarif import sarif
from mintwarden.policy.lint.subject import Outstanding


def linted(
    bundle: Bundle, texts: Mapping[str, str], now: datetime, outstanding: Sequence[Outstanding] | None
) -> Sequence[Finding]:
    """Every finding; `outstanding` are the exceptions in force, where they are to be looked at."""
    kept = None if outstanding is None else tuple(outstanding)
    return lint(bundle, texts, now.date(), exceptions=kept, now=round(now.timestamp() * 1000))


def as_json(findings: Sequence[Finding]) -> dict[str, Any]:
    """The findings for a machine; names are fixed and documented in `docs/policy-lint.md`."""
    return {
        "ok": all(finding.suppressed for finding in findings),
        "findings": [msgspec.structs.asdict(finding) for finding in findings],
    }


def as_sarif(findings: Sequence[Finding], folder: str) -> dict[str, Any]:
    """The findings as SARIF 2.1.0, their places below `folder`."""
    return dict(sarif(findings, folder=folder, version=__version__))
