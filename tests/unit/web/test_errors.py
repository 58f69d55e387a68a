from __future__ import annotations

from collections import Counter

from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.web.errors import error_reply


def told(kind: ErrorKind, reference: str) -> str:
    return dict(error_reply(MintwardenError(kind, "not now"), reference).headers)[b"retry-after"].decode()


def test_those_for_whom_there_was_no_room_come_back_one_after_the_other():
    waits = Counter(told(ErrorKind.OVERLOADED, f"a1b2c3d4-{number:x}") for number in range(3_000))
    assert set(waits) == {"2", "3", "4", "5", "6"}
    assert min(waits.values()) > 450
    assert told(ErrorKind.OVERLOADED, "a1b2c3d4-7") == told(ErrorKind.OVERLOADED, "a1b2c3d4-7")


def test_what_is_not_there_may_be_there_again_in_a_second():
    assert {told(ErrorKind.UNAVAILABLE, f"a1b2c3d4-{number:x}") for number in range(50)} == {"1"}
