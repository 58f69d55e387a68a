"""What observing and enforcing are, as an audience declares them."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Mode = Literal["observe", "canary", "enforce"]


class Canary(Struct, frozen=True, kw_only=True):
    """For whom an audience in canary enforces already; for everybody else it observes.

    Attributes:
        share: the share of callers, 0 to 1; see `policy.modes.position` for how a caller's place is found.
        clients: clients of which every caller is enforced.
        groups: groups whose members are.
        salt: changes who the share falls on; empty is a salt like any other.
    """

    share: float = 0.0
    clients: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    salt: str = ""


class Downgrade(Struct, frozen=True, kw_only=True):
    """Why an audience that enforced does so less for a while.

    Attributes:
        reason: for people.
        until: from then on it is as `returns` says, `Millis`; nothing has to happen for that.
        returns: what it goes back to.
    """

    reason: str
    until: int
    returns: Literal["enforce", "canary"] = "enforce"


class Explained(Struct, frozen=True, kw_only=True):
    """A refusal to come that its owner knows of and accepts. Empty `client` or `scope` stands for any.

    Attributes:
        reason: for people.
        until: from then on it explains nothing any more, `Millis`.
    """

    reason: str
    until: int
    client: str = ""
    scope: str = ""


class Readiness(Struct, frozen=True, kw_only=True):
    """When an audience that observes is ready to enforce.

    Attributes:
        days: how long it must have been observed; only what was decided in these days counts.
        min_decisions: how many decisions that takes.
        unexplained: how many callers may still lose a scope without an explanation, counted by caller and scope.
        max_would_break: how many may in all, explained or not; None for any number.
        explained: what is known and accepted.
    """

    days: int = 14
    min_decisions: int = 1000
    unexplained: int = 0
    max_would_break: int | None = None
    explained: tuple[Explained, ...] = ()
