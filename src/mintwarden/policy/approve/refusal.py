"""Why a signature does not count."""

from __future__ import annotations

from typing import Literal

Why = Literal[
    "malformed",
    "bad_signature",
    "wrong_key",
    "not_an_approver",
    "other_issuer",
    "other_bundle",
    "other_version",
    "stale",
    "too_old",
    "from_the_future",
    "other_act",
    "own_work",
    "counted_already",
]


class SignatureRefused(Exception):
    """A signature that does not count. `why` is one of the closed list, `detail` one line for people."""

    def __init__(self, why: Why, detail: str) -> None:
        super().__init__(detail)
        self.why: Why = why
        self.detail = detail
