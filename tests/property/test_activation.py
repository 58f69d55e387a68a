"""While versions change, each decision is made under exactly one of them: one that governed while it was asked for."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from mintwarden.model.asked import Asked
from mintwarden.model.decision import Decision
from mintwarden.model.errors import MintwardenError
from mintwarden.store import open_store
from tests.property.quorum import ASKED, CHANGES, PEOPLE, REASON, Node, Stage, change_of, store_of

QUORUM = 2
SAFE = sorted(change for change in CHANGES if change not in ("one is enough", "another owner"))


class Answer(NamedTuple):
    """A decision, and which versions could have made it: those that governed between question and answer."""

    asked: Asked
    decision: Decision
    possible: tuple[str, ...]


class History:
    """Which versions were begun to be activated, and how many of them certainly govern or did."""

    def __init__(self) -> None:
        self.begun = ["as it is"]
        self.done = 1

    async def ask(self, node: Node, asked: Asked) -> Answer:
        first = self.done - 1
        decision = await node.issued(asked)
        return Answer(asked, decision, tuple(self.begun[first:]))


async def change(stage: Stage, history: History, plan: list[tuple[str, str]], pauses: list[int]) -> None:
    """Activate, go back and break the glass as planned, each by its quorum."""
    for number, (act, name) in enumerate(plan):
        for _ in range(pauses[number % len(pauses)]):
            await asyncio.sleep(0)
        if act == "back":
            state = await stage.versions.state(stage.now)
            try:
                name = change_of(await stage.versions.before(state), QUORUM)
            except MintwardenError:
                continue  # nothing to go back to yet
        if name == history.begun[-1]:
            continue
        said = {"back": "rollback", "glass": "break_glass"}.get(act, "approve")
        state = await stage.versions.state(stage.now)
        if said == "break_glass" and state.active is not None and state.active.kind == "break_glass":
            continue
        await stage.hand_in(name, PEOPLE[:QUORUM], said)
        history.begun.append(name)
        digest = stage.digest(name)
        if act == "back":
            await stage.versions.rollback(digest, by="op", reason=REASON, now=stage.now)
        elif act == "glass":
            await stage.versions.break_glass(digest, by="op", reason=REASON, seconds=3600, now=stage.now)
        else:
            await stage.versions.activate(digest, by="op", now=stage.now)
        history.done = len(history.begun)


async def under_load(plan: list[tuple[str, str]], pauses: list[int]) -> None:
    with tempfile.TemporaryDirectory(prefix="mintwarden-activation-") as folder:
        store = await open_store(store_of(Path(folder)), create=True)
        try:
            stage, history, answers = Stage(store, QUORUM), History(), list[Answer]()
            await stage.begin()
            over, loop = asyncio.Event(), asyncio.get_running_loop()

            async def keep_asking(node: Node, asked: Asked) -> None:
                while not over.is_set():
                    answers.append(await history.ask(node, asked))
                    # The store's threads have their turn: a loop that never rests would only wait for them longer.
                    await loop.run_in_executor(None, int)

            asking = [asyncio.create_task(keep_asking(node, asked)) for node in stage.nodes for asked in ASKED[::2]]
            await change(stage, history, plan, pauses)
            last = [await history.ask(node, asked) for node in stage.nodes for asked in ASKED]
            over.set()
            await asyncio.gather(*asking)
            expected: dict[tuple[str, int], Decision] = {}
            for answer in (*answers, *last):
                named = change_of(answer.decision.bundle, QUORUM)
                assert named in answer.possible, f"{named} governed neither before nor after: {answer.possible}"
                case = named, id(answer.asked)
                if case not in expected:
                    expected[case] = stage.expected(stage.bundle(named), (), answer.asked)
                assert answer.decision == expected[case], "a part of it is another version's"
            assert {change_of(answer.decision.bundle, QUORUM) for answer in last} == {history.begun[-1]}
        finally:
            await store.close()


@settings(max_examples=max(3, settings.get_profile("default").max_examples // 16))
@given(
    plan=st.lists(
        st.tuples(st.sampled_from(["activate", "activate", "back", "glass"]), st.sampled_from(SAFE)),
        min_size=3,
        max_size=8,
    ),
    pauses=st.lists(st.integers(0, 40), min_size=1, max_size=5),
)
def test_each_decision_is_made_under_exactly_one_version(plan: list[tuple[str, str]], pauses: list[int]):
    asyncio.run(under_load(plan, pauses))
