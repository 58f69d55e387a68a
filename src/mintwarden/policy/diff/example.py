"""An example of a difference as a scenario that runs: what to put into `tests/` of the bundle that it is for."""

from __future__ import annotations

import re
from typing import Any

from msgspec import Struct

from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.decide import decide
from mintwarden.policy.diff.meaning import Difference
from mintwarden.policy.diff.pair import Side, not_admitted, project
from mintwarden.policy.prove.scenario import given_of, scenarios_text


class Runnable(Struct, frozen=True):
    """A scenario, and the bundle that it runs under: NEW, unless only OLD knows what it names."""

    side: Side
    scenario: dict[str, Any]

    @property
    def text(self) -> str:
        """TOML for a file in `tests/`."""
        return scenarios_text([self.scenario])


def runnable(old: Bundle, new: Bundle, difference: Difference) -> Runnable | None:
    """The example as a scenario; None where it leans on an exception, which no scenario has."""
    asked, facts, _ = difference.situation
    if facts.exceptions:
        return None
    side: Side = "old" if not_admitted(new.catalogue, asked) or difference.scope not in new.catalogue.scopes else "new"
    bundle = new if side == "new" else old
    seen = project(bundle.catalogue, difference.situation)
    decision = decide(bundle, *seen)
    scope = decision.scopes[0]
    expect: dict[str, Any] = {"granted": list(decision.granted_scopes) if decision.granted else []}
    if not decision.granted:
        expect["refused"] = {difference.scope: scope.reason}
    elif difference.way == "lifetime" and decision.lifetime is not None:
        expect["lifetime"] = decision.lifetime.seconds
    return Runnable(
        side,
        {
            "id": _name(difference),
            "why": f"{title(difference)}; old: {difference.old.text}; new: {difference.new.text}",
            "given": given_of(bundle.catalogue, seen),
            "expect": expect,
        },
    )


def title(difference: Difference) -> str:
    """What differs, in a line."""
    only = "NEW" if difference.only == "new" else "OLD"
    what = {
        "granted": f"permitted only by {only}",
        "hidden": f"the client stays hidden only under {only}",
        "lifetime": f"lasts longer under {only}",
        "beyond": f"{only} alone leaves it to an exception or to the older system's mapping",
    }[difference.way]
    return f"{difference.scope} of {difference.audience}, {difference.action}, {difference.kind}: {what}"


def _name(difference: Difference) -> str:
    words = (difference.scope, difference.action, difference.kind, difference.way, difference.only)
    return re.sub(r"[^a-z0-9]+", "-", "-".join(words).lower()).strip("-")
