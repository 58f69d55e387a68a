"""Notices behind an answer: what is given up is given up with what follows from it, whatever keeps it from its end."""

from __future__ import annotations

import asyncio

from mintwarden.app.notices import Notices


class Told(Notices):
    def __init__(self) -> None:
        self.stumbles: list[BaseException] = []
        super().__init__("test", stumbled=lambda _name, error: self.stumbles.append(error), pauses=())

    def begin(self, *, waits: asyncio.Event, then: list[str], name: str) -> None:
        async def attempt() -> None:
            await waits.wait()

        async def lost() -> None:
            then.append(name)
            if name == "broken":
                raise RuntimeError(name)

        assert self._deliver(attempt, lost=lost)


async def test_what_is_under_way_when_a_node_stops_is_given_up() -> None:
    """Tokens that are being pushed then: nobody knows whether their client has them."""
    told, never, at_once = Told(), asyncio.Event(), asyncio.Event()
    then: list[str] = []
    at_once.set()
    told.begin(waits=at_once, then=then, name="delivered")
    for _ in range(5):
        await asyncio.sleep(0)
    told.begin(waits=never, then=then, name="broken")
    told.begin(waits=never, then=then, name="begun")
    await asyncio.sleep(0)
    told.begin(waits=never, then=then, name="not begun")
    await told.close()
    assert then == ["broken", "begun", "not begun"]
    assert [str(error) for error in told.stumbles] == ["broken"], "and one that fails keeps none from its turn"
