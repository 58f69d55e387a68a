"""A bar chart as SVG: a title, a bar and a figure a row."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

ROW, LABEL, WIDTH = 26, 330, 420


def bars(title: str, values: Mapping[str, float], *, pale: str = "oidc-provider") -> str:
    """The chart as SVG text; rows whose name begins with `pale` are drawn so."""
    top = max(values.values(), default=1.0) or 1.0
    height = 50 + ROW * len(values)
    rows = []
    for index, (name, value) in enumerate(values.items()):
        y, length = 40 + ROW * index, max(0.0, WIDTH * value / top)
        colour = "#a0aec0" if name.startswith(pale) else "#2b6cb0"
        rows.append(
            f'<text x="{LABEL - 8}" y="{y + 14}" text-anchor="end">{escape(name)}</text>\n'
            f'<rect x="{LABEL}" y="{y}" width="{length:.1f}" height="18" fill="{colour}"/>\n'
            f'<text x="{LABEL + length + 6:.1f}" y="{y + 14}">{value:,.0f}</text>\n'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LABEL + WIDTH + 90}" height="{height}" '
        f'font-family="sans-serif" font-size="13">\n<rect width="100%" height="100%" fill="white"/>\n'
        f'<text x="10" y="24" font-size="15" font-weight="bold">{escape(title)}</text>\n{"".join(rows)}</svg>\n'
    )
