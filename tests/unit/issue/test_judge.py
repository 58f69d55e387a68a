"""Cedar keeps the compiled rules honest: a planted wrong operator is refused, told and put out of use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mintwarden.issue.judge import SHARE, Judge
from mintwarden.model.decision import Decision
from mintwarden.policy.bundle.model import Bundle
from tests.unit.policy.company import BUNDLE, NOW, asked, facts, load_company, write_company
from tests.unit.policy.planted import load_with_wrong_less


class Bell:
    """Counts alarms."""

    def __init__(self) -> None:
        self.heard: list[tuple[Decision, Decision]] = []

    def disagreement(self, bundle: str, decision_id: bytes, compiled: Decision, cedar: Decision) -> None:
        assert bundle == compiled.bundle
        assert len(decision_id) == 16
        self.heard.append((compiled, cedar))


class Later:
    """Keeps what is to run behind the answer."""

    def __init__(self) -> None:
        self.work: list[Callable[[], object]] = []

    def __call__(self, work: Callable[[], object]) -> bool:
        self.work.append(work)
        return True


def judge_over(bundle: Bundle) -> tuple[Judge, Bell, Later]:
    bell, later = Bell(), Later()
    return Judge(bundle, alarm=bell, later=later), bell, later


def test_agreement_is_silent(tmp_path: Path) -> None:
    judge, bell, later = judge_over(load_company(tmp_path))
    assert judge.decide(asked("pay:write", acr="phr"), facts(), NOW, bytes(16)).granted
    assert (bell.heard, later.work) == ([], [])


def test_a_wrong_operator_refuses_alarms_and_falls_back(tmp_path: Path) -> None:
    judge, bell, _ = judge_over(load_with_wrong_less(write_company(tmp_path, files={"bundle.toml": always()})))
    wrong = facts(risk=60)  # `60 < 50` is false; the planted operator says otherwise
    refused = judge.decide(asked(), wrong, NOW, bytes(16))
    assert (refused.granted, refused.scopes[0].reason) == (False, "unverified")
    assert [(compiled.granted, cedar.granted) for compiled, cedar in bell.heard] == [(True, False)]
    after = judge.decide(asked(), facts(), NOW, bytes(16))
    assert (after.granted, after.evaluator) == (True, "cedar")
    assert judge.decide(asked(), wrong, NOW, bytes(16)).scopes[0].reason == "no_route"
    assert len(bell.heard) == 1


@pytest.mark.parametrize(("bits", "sampled"), [(0, True), (SHARE // 2, False), (SHARE - 1, False)])
def test_a_share_is_asked_behind_the_answer(tmp_path: Path, bits: int, sampled: bool) -> None:
    bundle = load_with_wrong_less(write_company(tmp_path, files={"bundle.toml": always("sampled", 0.25)}))
    judge, bell, later = judge_over(bundle)
    decision = judge.decide(asked(), facts(risk=60), NOW, bytes(14) + bits.to_bytes(2, "big"))
    assert (decision.granted, len(later.work)) == (True, int(sampled))
    for work in later.work:
        work()
    assert len(bell.heard) == int(sampled)
    assert judge.bundle.evaluator == ("cedar" if sampled else "compiled")


def always(verify: str = "always", share: float | None = None) -> str:
    text = f'verify = "{verify}"' + (f"\nverify_share = {share}" if share else "")
    return BUNDLE.replace('verify = "off"', text)
