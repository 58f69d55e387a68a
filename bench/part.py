"""What a part of the benchmark gives: its figures, and whether they meet the targets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.plan import Plan


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A target, what was found, and whether that is enough."""

    what: str
    wanted: str
    found: str
    met: bool


@dataclass(frozen=True, kw_only=True)
class Found:
    """Figures by name, as JSON, and the verdicts over them."""

    figures: dict[str, Any]
    verdicts: tuple[Verdict, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {"figures": self.figures, "verdicts": [asdict(verdict) for verdict in self.verdicts]}


@dataclass(frozen=True, kw_only=True)
class Part:
    """One measurement: its name on the command line, what it is about, and the function that takes it."""

    name: str
    about: str
    measure: Callable[[Plan], Found] = field(repr=False)


def at_least(what: str, value: float, wanted: float) -> Verdict:
    """`value` is a number of times."""
    return Verdict(what=what, wanted=f"at least {wanted:g} x", found=f"{value:.2f} x", met=value >= wanted)


def no_dearer(what: str, small: dict[str, Any], large: dict[str, Any], *, percent: float) -> Verdict:
    """The processor time of a request grows by at most `percent` from one measurement to the other."""
    grown = (large["cpu_us"] / small["cpu_us"] - 1) * 100
    slower = (small["rate"] / large["rate"] - 1) * 100
    return Verdict(
        what=what,
        wanted=f"at most {percent:+g} %",
        found=f"{grown:+.1f} % CPU per request ({slower:+.1f} % time)",
        met=grown <= percent,
    )
