"""Why a recorded decision cannot be replayed: a closed list, so that none is dropped without a word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

CAUSES: Mapping[str, str] = {
    "facts_not_recorded": "the candidate reads facts that the ledger did not keep",
    "facts_declared_otherwise": "the candidate has facts read in another way than they were",
    "request_refused": "under the candidate such a request is refused before anything is decided",
    "request_unclear": "what the candidate would make of the request depends on what was not recorded",
    "unknown_client": "the candidate has no such client",
    "unknown_audience": "the candidate has no such audience",
    "unknown_scope": "the candidate has no such scope in that audience",
    "bundle_unknown": "the bundle that decided is not at hand",
    "subject_erased": "the subject was erased, and the facts with them",
    "nothing_sealed": "no facts were recorded beside the entry",
    "evaluators_disagreed": "Cedar and the compiled rules disagreed when it was decided",
    "damaged": "the entry or what is sealed beside it was changed; run `mintwarden ledger audit`",
    "unknown_form": "the entry or what is sealed beside it is of a form that this version does not know",
}
"""Every cause, and what it means."""


class Cause(NamedTuple):
    """Why not: a key of `CAUSES`, and what it is about, without personal data."""

    kind: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}" if self.detail else self.kind
