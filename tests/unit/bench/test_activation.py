from __future__ import annotations

from bench.parts.activation import found
from mintwarden.app.demo.load import Seen


def seen(*effect: int, faults: tuple[str, ...] = (), refused: int = 0) -> Seen:
    return Seen(
        words=(), code=0, told="", answered=100, refused=refused, versions={"a": 60, "b": 40}, effect=effect, faults=faults
    )  # fmt: skip


def test_the_slowest_node_of_the_slowest_run_decides():
    good = found([seen(40, 80, 60), seen(50, 20, 990)])
    assert [verdict.met for verdict in good.verdicts] == [True, True]
    assert good.figures["in effect on all of 3 nodes"]["all"] == [0.08, 0.99]
    assert not found([seen(40, 80, 60), seen(50, 20, 1_000)]).verdicts[0].met


def test_a_fault_or_a_node_that_was_never_reached_is_a_miss():
    assert not found([seen(40, faults=("a decision under two versions",))]).verdicts[1].met
    assert not found([seen()]).verdicts[0].met
