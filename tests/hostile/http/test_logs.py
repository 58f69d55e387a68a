"""What is logged: one line per request whatever is sent, and never a secret."""

from __future__ import annotations

import base64
import io
import json

from mintwarden.app.logs import LineWriter, Logs
from mintwarden.app.observe import Watch
from mintwarden.web.metrics import Metrics
from mintwarden.web.observe import Served
from tests.flow.company import EXCHANGE, running
from tests.unit.web.stand_ins import FixedClock

INJECTION = 'x"}\n{"level":"error","event":"forged"}\r\n\x1b[2J\u2028\u202e'


def watch(form):
    out = io.BytesIO()
    logs = Logs(LineWriter(out), level="info", form=form)
    return Watch(metrics=Metrics(shared=""), logs=logs, clock=FixedClock()), logs, out


def lines(logs, out):
    logs.writer.flush()
    return out.getvalue().decode().rstrip("\n").split("\n")


def test_nothing_that_is_logged_begins_a_line():
    for form in ("json", "console"):
        watched, logs, out = watch(form)
        watched.served(
            Served(route="token", status=400, seconds=0.1, reference="r", address=INJECTION, client_id=INJECTION)
        )
        watched.failed(INJECTION, ValueError(INJECTION))
        logs.logger.info(INJECTION, odd=INJECTION)
        written = lines(logs, out)
        assert len(written) == 3, written
        assert "\x1b" not in "".join(written)
        if form == "json":
            assert {json.loads(line)["event"] for line in written} >= {"request", "failed"}


def test_the_text_of_an_unforeseen_error_is_not_logged():
    watched, logs, out = watch("json")
    watched.failed("r", ValueError("password=hunter2"))
    assert "hunter2" not in "".join(lines(logs, out))


async def test_secrets_stay_out_of_logs_answers_and_metrics(capfd, tmp_path):
    async with running(tmp_path) as company:  # after `capfd`: it writes to where we look
        hidden, metrics = await asked_with_secrets(company)
    logged = capfd.readouterr().err
    assert '"route":"token"' in logged, "the log was looked at"
    for text in hidden:
        assert text not in logged
        assert text not in metrics


async def asked_with_secrets(company):
    secret = company.secrets["batch"]
    token = await company.token("batch", grant_type="client_credentials")
    basic = base64.b64encode(f"batch:{secret}".encode()).decode()
    assertion = company.assertion(1)["client_assertion"]
    await company.ask("batch", grant_type="client_credentials", client_secret=secret)
    await company.ask("helper", grant_type=EXCHANGE, subject_token=token, subject_token_type="urn:x")
    await company.http.post("/token", data={"grant_type": "client_credentials", "client_assertion": assertion})
    await company.http.get("/admin/v1/decisions/x", headers={"authorization": f"Bearer {token}"})
    metrics = (await company.http.get("/metrics")).text
    await company.http.get("/readyz")
    return (secret, token, token.rpartition(".")[2], basic, assertion), metrics
