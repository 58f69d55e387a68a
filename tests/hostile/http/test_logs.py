"""What is logged: one line per request whatever is sent, and never a secret."""

from __future__ import annotations

import base64
import io
import json

import pytest

from mintwarden.app.logs import LineWriter, Logs
from mintwarden.app.observe import Watch
from mintwarden.web.metrics import Metrics
from mintwarden.web.observe import Served
from tests.flow.company import EXCHANGE, running
from tests.flow.test_open_registration import CREDENTIALS, RULES, table
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


@pytest.mark.parametrize("form", ["json", "console"])
def test_what_a_client_got_wrong_tells_a_terminal_nothing(form):
    """JSON lets pass what terminals obey (U+009B begins a sequence) and what turns lines around."""
    watched, logs, out = watch(form)
    said = "`https://\x9b2J\x7f\u2028\u202e\u2066.example`"
    watched.served(Served(route="register", status=400, seconds=0.1, reference="r", what=said, hint=said))
    (line,) = lines(logs, out)
    assert line.isprintable(), ascii(line)
    assert "\\x9b2J" in line


async def test_what_registers_itself_tells_a_terminal_nothing(capfd, tmp_path):
    async with running(tmp_path, registration=table(), rules=RULES) as company:
        said = {**CREDENTIALS, "grant_types": ["authorization_code"], "redirect_uris": ["https://\x9b2J\u202e.example"]}
        assert (await company.http.post("/register", json=said)).status_code == 400
    logged = [line for line in capfd.readouterr().err.splitlines() if '"register"' in line]
    assert logged
    assert all(line.isprintable() for line in logged), ascii(logged)


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
