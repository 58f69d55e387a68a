"""What people have said about findings: seen, accepted until a day, or nothing yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from msgspec import Struct

State = Literal["open", "acknowledged", "accepted"]


class FindingState(Struct, frozen=True, kw_only=True):
    """What was said about the finding `id`.

    Attributes:
        state: `acknowledged` is being worked on; `accepted` is let be until `until` (`Millis`).
        ticket: where the reason stands; nothing personal.
        version: grows with each change; 0 for what nobody has said anything about.
    """

    id: str
    state: State = "open"
    ticket: str = ""
    until: int | None = None
    version: int = 0
    changed_at: int = 0


class FindingStates(Protocol):
    """Keeps what was said."""

    async def of(self, names: Sequence[str]) -> Mapping[str, FindingState]:
        """What was said about these, by finding; costs what it answers, whatever else was ever said."""
        ...

    async def say(self, state: FindingState) -> bool:
        """Keep `state` if it follows the stored version by one; False, and nothing changed, otherwise."""
        ...
