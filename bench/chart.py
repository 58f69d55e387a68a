"""A bar chart as SVG: a title, a bar and a figure a row."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

ROW, LABEL, WIDTH = 26, 300, 420


def bars(title: str, values: Mapping[str, float]) -> str:
    """The chart as SVG text."""
    top = max(values.values(), default=1.0) or 1.0
    height = 50 + ROW * len(values)
    rows = []
    for index, (name, value) in enumerate(values.items()):
        y = 40 + ROW * index
        colour = "#2b6cb0" if name.startswith("mintwarden") else "#a0aec0"
        rows.append(
            f'<text x="{LABEL - 8}" y="{y + 14}" text-anchor="end">{escape(name)}</text>'
            f'<rect x="{LABEL}" y="{y}" width="{WIDTH * value / top:.1f}" height="18" fill="{colour}"/>'
            f'<text x="{LABEL + WIDTH * value / top + 6:.1f}" y="{y + 14}">{value:,.0f}</text>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LABEL + WIDTH + 90}" height="{height}" '
        f'font-family="sans-serif" font-size="13"><rect width="100%" height="100%" fill="white"/>'
        f'<text x="10" y="24" font-size="15" font-weight="bold">{escape(title)}</text>{"".join(rows)}</svg>\n'
    )
