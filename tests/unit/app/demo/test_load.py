"""What `demo load` finds in answers and ledger: each fault that it looks for is found where it is planted."""

from __future__ import annotations

from typing import Any

import pytest

from mintwarden.app.demo.load import Answer, Seen, look
from mintwarden.app.demo.process import Finished
from mintwarden.model.ids import decision_id, decision_text

OLD, NEW = "sha256:old", "sha256:new"
AT = 1_795_000_000_000
ENDED = 10.0
DONE = Finished(("policy", "activate"), 0, "it governs\n", "")


def made(number: int, bundle: str, at: int = AT) -> dict[str, Any]:
    return {"kind": "decision", "id": f"d{number}", "bundle": bundle, "at": at}


def change() -> dict[str, Any]:
    name = decision_text(decision_id(AT, b"0123456789"))
    return {"kind": "policy_activation", "id": name, "at": AT - 4_000, "detail": {"bundle": NEW}}


ENTRIES = [made(0, OLD), made(1, OLD), change(), made(2, OLD), made(3, NEW, AT + 40), made(4, NEW, AT + 70)]
ANSWERS = [
    Answer(node, begun, begun + 0.1, 200, f"d{number}")
    for number, (node, begun) in enumerate([(0, 1.0), (1, 1.0), (0, 9.0), (0, 11.0), (1, 11.0)])
]


def seen(answers: list[Answer] = ANSWERS, entries: list[dict[str, Any]] = ENTRIES) -> Seen:
    return look(answers, entries, ("policy", "activate"), DONE, ENDED)


def test_nobody_noticed():
    found = seen()
    assert found.faults == ()
    assert (found.answered, found.refused, found.versions) == (5, 0, {OLD: 3, NEW: 2})
    assert found.effect == (40, 70), "from the entry of the activation, by node"


REFUSED = [*ANSWERS, Answer(0, 2.0, 2.1, 503, "")]
LOST = [*ANSWERS, Answer(0, 2.0, 2.1, 200, "d9")]
TWICE = [*ENTRIES, made(3, NEW)]
EARLY = [made(3, NEW), *[one for one in ENTRIES if one.get("id") != "d3"]]
LATE = [one._replace(begun=10.5) if one.decision == "d2" else one for one in ANSWERS]
THIRD = [one if one.get("id") != "d0" else made(0, "sha256:third") for one in ENTRIES]
ONE_NODE = [one._replace(node=0) for one in ANSWERS]


@pytest.mark.parametrize(
    ("answers", "entries", "fault"),
    [
        (REFUSED, ENTRIES, "1 requests were refused or failed, the first with 503"),
        (LOST, ENTRIES, "decision d9 stands in the ledger 0 times"),
        (ANSWERS, TWICE, "decision d3 stands in the ledger 2 times"),
        (ANSWERS, EARLY, "decision d3 was made before its version was activated"),
        (LATE, ENTRIES, "decision d2 was made under a version that had been replaced"),
        (ANSWERS, THIRD, "decisions were made under 3 versions"),
        (ONE_NODE, ENTRIES, "the new version governs on 1 of 2 nodes"),
        (ANSWERS[:2], ENTRIES[:2], "the command recorded 0 activations"),
        (ANSWERS, [*ENTRIES, change()], "the command recorded 2 activations"),
    ],
)
def test_a_fault_is_found(answers: list[Answer], entries: list[dict[str, Any]], fault: str):
    assert fault in seen(answers, entries).faults
