from __future__ import annotations

from bench.parts.status import full_list
from mintwarden.mint.status_list import SIZE


def test_a_list_of_a_million_tokens_is_small_and_quickly_changed():
    figures, verdicts = full_list()
    assert figures["tokens of a list"] == SIZE > 1_000_000
    assert [verdict.met for verdict in verdicts] == [True, True], verdicts
    assert figures["the list with none, KiB"] < 1
