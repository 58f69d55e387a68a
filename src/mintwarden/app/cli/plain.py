"""Lines for people in which nothing moves a cursor, hides a word or begins another line."""

from __future__ import annotations


def plain(value: object) -> str:
    r"""`value` as one line: what is not printable is spelled `\u{..}`, so that it is seen."""
    return "".join(c if c.isprintable() else f"\\u{{{ord(c):x}}}" for c in str(value))


def tell(line: object) -> None:
    """Print one line."""
    print(plain(line))
