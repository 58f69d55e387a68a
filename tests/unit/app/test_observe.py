from __future__ import annotations

import io
import json

from mintwarden.app.logs import MAX_WAITING, LineWriter, Logs, when
from mintwarden.app.observe import Watch
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.ids import decision_bytes
from mintwarden.web.metrics import Metrics
from mintwarden.web.observe import Served
from tests.unit.web.stand_ins import DECISION_ID, FixedClock, decision


class Heard:
    def __init__(self, *, level="info", form="json"):
        self.out = io.BytesIO()
        self.metrics = Metrics(shared="")
        self.logs = Logs(LineWriter(self.out), level=level, form=form)
        self.watch = Watch(metrics=self.metrics, logs=self.logs, clock=FixedClock())

    def lines(self):
        self.logs.writer.flush()
        return [json.loads(line) for line in self.out.getvalue().splitlines()]

    def exposed(self):
        return self.metrics.render()[1].decode()


def test_a_request_is_one_line_and_counted():
    heard = Heard()
    heard.watch.served(
        Served(
            route="token", status=400, seconds=0.01, reference="r", audience="payments", grant="client_credentials",
            decision=DECISION_ID, outcome="refused", reasons=("no_route",),
        )
    )  # fmt: skip
    (line,) = heard.lines()
    assert line["request"]["decision"] == DECISION_ID
    assert line["timestamp"] == "2026-11-18T11:06:40.000Z"
    assert 'mintwarden_refusals_total{audience="payments",reason="no_route"} 1.0' in heard.exposed()


def test_the_size_of_each_commit_is_exposed():
    heard = Heard()
    for entries in (1, 20, 27):
        heard.watch.committed(entries)
    exposed = heard.exposed()
    assert "mintwarden_ledger_batch_entries_sum 48.0" in exposed
    assert 'mintwarden_ledger_batch_entries_bucket{le="16.0"} 1.0' in exposed
    assert 'mintwarden_ledger_batch_entries_bucket{le="32.0"} 3.0' in exposed
    assert 'mintwarden_ledger_batch_entries_bucket{le="512.0"} 3.0' in exposed


def test_above_the_level_nothing_is_written():
    heard = Heard(level="error")
    heard.watch.served(Served(route="token", status=200, seconds=0.01, reference="r"))
    heard.watch.not_ready("store", MintwardenError(ErrorKind.UNAVAILABLE, "gone"))
    assert heard.lines() == []


def test_failures_carry_kind_and_hint():
    heard = Heard()
    heard.watch.failed("r", MintwardenError(ErrorKind.STORE, "the disk is full", hint="make room"))
    heard.watch.stumbled("sequencer", MintwardenError(ErrorKind.STORE, "the disk is full", hint="make room"))
    heard.watch.stumbled("sequencer", ValueError("secret"))
    heard.watch.not_ready("store", ValueError("secret"))
    first, second, third, fourth = heard.lines()
    assert (first["kind"], first["hint"], first["reference"]) == ("store", "make room", "r")
    assert (second["task"], second["what"]) == ("sequencer", "the disk is full")
    assert third["what"] == fourth["what"] == "ValueError"
    assert 'mintwarden_background_failures_total{task="sequencer"} 2.0' in heard.exposed()


def test_a_disagreement_is_an_alarm():
    heard = Heard()
    heard.watch.disagreement("sha256:1", decision_bytes(DECISION_ID), decision(), decision())
    (line,) = heard.lines()
    assert (line["level"], line["decision"]) == ("error", DECISION_ID)
    assert "mintwarden_disagreements_total 1.0" in heard.exposed()
    assert "mintwarden_cedar_alone 1.0" in heard.exposed()


def test_lines_that_nobody_takes_are_dropped_and_counted():
    dropped: list[int] = []
    writer = LineWriter(io.BytesIO(), dropped=dropped.append)
    for _ in range(MAX_WAITING + 3):
        writer.write(b"x")
    assert len(dropped) == 3


def test_a_closed_output_loses_lines_and_nothing_else():
    dropped: list[int] = []
    out = io.BytesIO()
    out.close()
    writer = LineWriter(out, dropped=dropped.append)
    writer.write(b"x")
    writer.flush()
    assert dropped == [1]


def test_times_are_rfc_3339():
    assert when(0) == "1970-01-01T00:00:00.000Z"
