from __future__ import annotations

import pytest

from tests.flow.process import made, run

SCENARIO = """
[[scenario]]
id = "batch-pays"
why = "it never does"
[scenario.given]
client = "batch"
audience = "payments"
scopes = ["payments:read"]
now = "2026-11-24T02:30:00Z"
[scenario.expect]
granted = []
refused = { "payments:read" = "no_route" }
"""


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_bundle_that_fails_its_own_scenarios_does_not_govern(tmp_path, workers):
    config, _ = await made(tmp_path, f"port = 0\nworkers = {workers}")
    (tmp_path / "bundle/tests").mkdir()
    (tmp_path / "bundle/tests/batch.toml").write_text(SCENARIO)
    code, out, err = await run("serve", "--config", str(config))
    assert (code, out) == (2, "")
    assert "mintwarden: tests/batch.toml:2:1: scenario `batch-pays` comes out otherwise: " in err
    assert "Traceback" not in err
