"""The two ways in which a rule gives no answer of its own."""

from __future__ import annotations


class Fault(Exception):
    """The rule cannot be evaluated on these inputs: a missing attribute, a wrong type, an overflow.

    INVARIANT: a rule that faults is never satisfied.
    """


class Uncovered(Exception):
    """A construct or a value that only Cedar itself can judge: the rule is put to Cedar instead."""
