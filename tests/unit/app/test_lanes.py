"""Whose turn it is among hosts: those that answer never wait for those that do not."""

from __future__ import annotations

from mintwarden.app.lanes import APART, AT_ONCE, EACH, MOST, QUICK, Lane, Lanes


def lane(host: str, client: str = "", *, ours: bool = False) -> Lane:
    return Lane(host, client or host, ours)


def entered(lanes: Lanes, one: Lane, most: int = 100) -> int:
    """How many attempts there are places for."""
    count = 0
    while count < most and lanes.free(one):
        lanes.enter(one)
        count += 1
    return count


def test_a_host_has_one_place_until_it_answers_at_once_and_again_when_it_does_not() -> None:
    for said, places in ((None, 1), (QUICK, EACH), (QUICK + 1, 1)):
        lanes = Lanes()
        if said is not None:
            lanes.heard("h", said)
        assert entered(lanes, lane("h")) == places
    lanes = Lanes()
    lanes.heard("h", 0)
    lanes.unheard("h")
    assert entered(lanes, lane("h")) == 1


def test_those_that_let_us_wait_have_some_of_the_places_together() -> None:
    lanes = Lanes()
    assert sum(entered(lanes, lane(f"h{number}")) for number in range(100)) == APART
    assert entered(lanes, lane("ours", ours=True)) == 1
    lanes.heard("known", 1)
    assert entered(lanes, lane("known")) == EACH
    lanes.unheard("slow")
    assert entered(lanes, lane("slow", ours=True)) == 0


def test_there_are_no_more_places_than_there_are() -> None:
    lanes = Lanes()
    assert sum(entered(lanes, lane(f"h{number}", ours=True)) for number in range(100)) == AT_ONCE
    assert lanes.full


def test_a_place_is_free_again_when_an_attempt_is_over_whatever_became_of_its_host_meanwhile() -> None:
    lanes = Lanes()
    leave = lanes.enter(lane("h"))
    lanes.heard("h", 0)
    leave(None)
    assert sum(entered(lanes, lane(f"h{number}")) for number in range(100)) == APART


def test_whoever_was_told_longest_ago_comes_first_and_one_of_each() -> None:
    lanes = Lanes()
    for host in ("b", "a"):
        lanes.enter(lane(host))(None)
    waiting = [(lane("a"), 1), (lane("a"), 2), (lane("b"), 3), (lane("c"), 4), (lane("b"), 5)]
    assert [what for _, what in lanes.in_turn(waiting)] == [4, 3, 1, 5, 2]


def test_of_the_clients_at_one_host_none_comes_before_each_had_its_turn() -> None:
    lanes = Lanes()
    lanes.enter(lane("h", "one"))(None)
    waiting = [(lane("h", "one"), 1), (lane("h", "one"), 2), (lane("h", "other"), 3)]
    assert [what for _, what in lanes.in_turn(waiting)] == [3, 1, 2]


def test_what_is_remembered_is_bounded() -> None:
    lanes = Lanes()
    for number in range(MOST + 1):
        lanes.heard(f"h{number}", 0)
        lanes.enter(lane(f"h{number}"))(None)
    assert not lanes.quick(lane("h0"))
    assert lanes.quick(lane(f"h{MOST}"))
    assert len(lanes._served) <= MOST
