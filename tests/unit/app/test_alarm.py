from __future__ import annotations

import asyncio
import json

import pytest
from joserfc.jwk import ECKey

from mintwarden.app.alarm import RecordedAlarm
from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from mintwarden.model.decision import Decision, ScopeDecision
from mintwarden.model.errors import FatalLedgerError
from mintwarden.model.values import EntityUid
from tests.flow.company import write_company

ID = bytes(15) + b"\1"


def decision(*granted: str) -> Decision:
    scopes = tuple(ScopeDecision(scope=name, granted=name in granted, route="r") for name in ("a", "b"))
    return Decision(
        bundle="sha256:x",
        decided_at=1,
        audience="payments",
        subject=EntityUid("User", "alice"),
        actors=(),
        scopes=scopes,
        granted=bool(granted),
    )


class Heard:
    def __init__(self):
        self.told = []
        self.stumbles = []

    def disagreement(self, *what):
        self.told.append(what)

    def stumbled(self, task, error):
        self.stumbles.append((task, error))


@pytest.fixture
async def base(tmp_path):
    config = write_company(tmp_path, ECKey.generate_key("P-256"), ECKey.generate_key("P-256"))
    async with foundation(load_config(config, environ={}), create=True) as opened:
        yield opened


async def recorded(base):
    await base.store.tree.sequence(100)
    return [json.loads(stored.entry) for stored in await base.store.entries.by_index(0, 100)]


async def test_a_disagreement_is_told_and_recorded(base):
    heard = Heard()
    alarm = RecordedAlarm(base, watch=heard, stumbled=heard.stumbled)
    what = ("sha256:x", ID, decision("a", "b"), decision("b"))
    alarm.disagreement(*what)
    await asyncio.to_thread(alarm.disagreement, *what)
    await alarm.close()
    assert heard.told == [what, what]
    assert heard.stumbles == []
    first, second = await recorded(base)
    assert first["kind"] == second["kind"] == "evaluator_disagreement"
    assert first["detail"] == {
        "bundle": "sha256:x",
        "cedar": ["b"],
        "compiled": ["a", "b"],
        "decision": "00000000-0000-0000-0000-000000000001",
    }


async def test_what_cannot_be_recorded_is_told(base):
    heard = Heard()
    alarm = RecordedAlarm(base, watch=heard, stumbled=heard.stumbled)
    base.recorder.stop(FatalLedgerError("gone"))
    alarm.disagreement("sha256:x", ID, decision("a"), decision())
    await alarm.close()
    assert len(heard.told) == 1
    assert [task for task, _ in heard.stumbles] == ["alarm"]
    assert await recorded(base) == []
