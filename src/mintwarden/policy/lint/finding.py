"""What a lint finds: its kinds, and where and how each finding is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from msgspec import Struct

from mintwarden.policy.bundle.problem import Place
from mintwarden.policy.cedar.rule import Rule
from mintwarden.policy.lint.subject import Subject

PAGE = "docs/policy-lint.md"
Severity = Literal["error", "warning"]


class Hit(Struct, frozen=True):
    """Something found by a kind: where (a rule, or a value in a TOML file), what, and what to do about it."""

    at: Rule | Place
    message: str
    remedy: str


class Kind(Struct, frozen=True, kw_only=True):
    """One kind of finding.

    Attributes:
        id: its name: in output, in suppressions, and as its heading in the documentation.
        severity: `error` cannot be suppressed: the bundle does not say what its author means.
        summary: one line for people.
        look: every place in a bundle where it is found.
    """

    id: str
    severity: Severity
    summary: str
    look: Callable[[Subject], Iterator[Hit]]

    @property
    def documentation(self) -> str:
        """Page and heading."""
        return f"{PAGE}#{self.id}"


class Finding(Struct, frozen=True, order=True, kw_only=True):
    """One finding.

    Attributes:
        file, line: where it is, inside the bundle; lines count from 1.
        documentation: page and heading.
        suppressed: the reason for which it is let be, or empty.
    """

    file: str
    line: int
    id: str
    message: str
    severity: Severity
    remedy: str
    documentation: str
    suppressed: str = ""
