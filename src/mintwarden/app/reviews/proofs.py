"""Whether a bundle's assertions hold over all inputs, for `policy prove` and for the administration API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.prove.prove import Verdict
from mintwarden.policy.prove.scenario import given_of


def as_json(bundle: Bundle, verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """The verdicts for a machine; names are fixed and documented in `docs/policy-prove.md`."""
    return {
        "ok": all(verdict.outcome == "holds" for verdict in verdicts),
        "digest": bundle.digest,
        "assertions": [
            {
                "id": verdict.assertion.id,
                "file": verdict.assertion.file,
                "line": verdict.assertion.line,
                "says": verdict.assertion.says,
                "outcome": verdict.outcome,
                "reason": verdict.reason,
                "left_open": list(verdict.left_open),
                "questions": verdict.questions,
                "examples": [given_of(bundle.catalogue, situation) for situation in verdict.examples],
            }
            for verdict in verdicts
        ],
    }
