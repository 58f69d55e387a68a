"""Text that stands where something should be said, and says nothing."""

from __future__ import annotations

WORDS = frozenset(
    {"", "-", "?", "fixme", "n/a", "na", "nobody", "none", "owner", "reason", "tba", "tbc", "tbd", "to do", "todo",
     "unknown", "xxx"}
)  # fmt: skip


def is_placeholder(text: str) -> bool:
    """Whether it is one of the words that people write to have something there."""
    return text.strip().strip(".!?:").strip().casefold() in WORDS
