"""Findings in the Static Analysis Results Interchange Format, version 2.1.0, as code hosts show them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mintwarden.policy.lint.finding import PAGE, Finding
from mintwarden.policy.lint.kinds import KINDS
from mintwarden.policy.lint.lint import OWN

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def sarif(findings: Iterable[Finding], *, folder: str, version: str) -> dict[str, Any]:
    """One run with every finding; `folder` is put before each file, so that places are those of the repository."""
    told = {**{kind.id: kind.summary for kind in KINDS}, **OWN}
    rules = [
        {"id": name, "shortDescription": {"text": summary}, "help": {"text": f"{PAGE}#{name}"}}
        for name, summary in told.items()
    ]
    tool = {"name": "mintwarden policy lint", "version": version, "rules": rules}
    results = [_result(finding, folder) for finding in findings]
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [{"tool": {"driver": tool}, "results": results}]}


def _result(finding: Finding, folder: str) -> dict[str, Any]:
    uri = "/".join(part for part in (folder.strip("/"), finding.file) if part not in ("", "."))
    place = {"artifactLocation": {"uri": uri}, "region": {"startLine": finding.line}}
    result: dict[str, Any] = {
        "ruleId": finding.id,
        "level": finding.severity,
        "message": {"text": f"{finding.message}. {finding.remedy}."},
        "locations": [{"physicalLocation": place}],
    }
    if finding.suppressed:
        result["suppressions"] = [{"kind": "inSource", "justification": finding.suppressed}]
    return result
