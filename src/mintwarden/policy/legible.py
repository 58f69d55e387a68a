"""Text of others that people read and compare: what nobody sees in it, or what makes it look like something else.

Which letters look like which, no table says for every typeface: pages show more of a client than the name that it has
chosen.
"""

from __future__ import annotations

import unicodedata
from typing import Final

MOST_MARKS: Final = 4
"""Marks on one letter: as many as languages write, too few to cover the line above it."""

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""General categories of characters that nobody sees, or that turn what is seen around."""
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0\U0001d159")
"""Letters, marks and symbols that are drawn as nothing (`Default_Ignorable_Code_Point`, save those of `_UNSEEN`)."""
_SELECTORS = frozenset(map(chr, [*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)]))
"""They choose between forms of the letter before; most letters have but one."""


def all_seen(text: str) -> bool:
    """Whether each character of `text` is one that is seen, and seen where it stands.

    False as well where marks are heaped on a letter, or stand before the first one.
    """
    if text.isascii():
        return text.isprintable()
    marks = MOST_MARKS  # a first letter has none before it to stand on
    for character in text:
        category = unicodedata.category(character)
        if category in _UNSEEN or character in _BLANK or character in _SELECTORS:
            return False
        marks = marks + 1 if category[0] == "M" else 0
        if marks > MOST_MARKS:
            return False
    return True
