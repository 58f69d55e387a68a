"""The debt as a picture: open exceptions over time, and whose they are. SVG that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape

from mintwarden.review.debt import Debt, Point, day

WIDTH, LEFT, RIGHT = 860, 60, 30
PLOT, ROW, LABEL = 220, 24, 260
LINE, BAR, FAINT, TEXT = "#2b6cb0", "#2b6cb0", "#e2e8f0", "#1a202c"


def chart(debt: Debt) -> str:
    """The whole picture as SVG text. Every value in it is escaped."""
    parts = [
        _title(f"Open exceptions: {len(debt.open)}, of which never used: {len(debt.never_used)}", 24),
        *_plot(debt.burn_down, 40),
    ]
    y = 40 + PLOT + 60
    for title, values in (("By owner", debt.by_owner), ("By tier", debt.by_tier), ("By age", debt.by_age)):
        parts += [_title(title, y), *_bars(values, y + 12)]
        y += 12 + ROW * max(1, len(values)) + 30
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}" '
        f'font-family="sans-serif" font-size="13" fill="{TEXT}" role="img">\n'
        f"<title>{escape(f'Exceptions as debt on {day(debt.at)}')}</title>\n"
        f'<rect width="100%" height="100%" fill="white"/>\n{"".join(parts)}</svg>\n'
    )


def _title(text: str, y: int) -> str:
    return f'<text x="10" y="{y}" font-size="15" font-weight="bold">{escape(text)}</text>\n'


def _plot(points: Sequence[Point], top: int) -> Iterator[str]:
    """A step line: how many were open at the end of each day."""
    width, bottom = WIDTH - LEFT - RIGHT, top + PLOT
    if not points:
        yield f'<text x="{LEFT}" y="{top + 30}">no exception has ever been in force</text>\n'
        return
    most = max(point.open for point in points) or 1
    for step in range(5):
        value = most * step / 4
        y = bottom - PLOT * value / most
        yield f'<line x1="{LEFT}" x2="{LEFT + width}" y1="{y:.1f}" y2="{y:.1f}" stroke="{FAINT}"/>\n'
        if value == int(value):
            yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{int(value)}</text>\n'
    each = width / len(points)
    path = [f"M {LEFT} {bottom - PLOT * points[0].open / most:.1f}"]
    for index, point in enumerate(points):
        path.append(f"V {bottom - PLOT * point.open / most:.1f} H {LEFT + each * (index + 1):.1f}")
    yield f'<path d="{" ".join(path)}" fill="none" stroke="{LINE}" stroke-width="2"/>\n'
    yield f'<text x="{LEFT}" y="{bottom + 20}">{day(points[0].at - 1)}</text>\n'
    yield f'<text x="{LEFT + width}" y="{bottom + 20}" text-anchor="end">{day(points[-1].at)}</text>\n'


def _bars(values: Mapping[str, int], top: int) -> Iterator[str]:
    most, width = max(values.values(), default=1), WIDTH - LABEL - RIGHT - 50
    if not values:
        yield f'<text x="{LABEL}" y="{top + 14}">none</text>\n'
    for index, (name, value) in enumerate(values.items()):
        y, length = top + ROW * index, width * value / most
        yield f'<text x="{LABEL - 8}" y="{y + 14}" text-anchor="end">{escape(_short(name))}</text>\n'
        yield f'<rect x="{LABEL}" y="{y}" width="{length:.1f}" height="16" fill="{BAR}"/>\n'
        yield f'<text x="{LABEL + length + 6:.1f}" y="{y + 14}">{value}</text>\n'


def _short(name: str) -> str:
    shown = "".join(c if c.isprintable() else " " for c in name)
    return shown if len(shown) <= 34 else f"{shown[:33]}…"
