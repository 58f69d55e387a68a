"""openid-client, certified by the OpenID Foundation, against the quickstart's company: people come with it too."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from interop.deployment import run

SCRIPT = Path(__file__).parent / "openid.mjs"
CHECKS = re.findall(r"^  '([^']+)':", SCRIPT.read_text(encoding="utf-8"), flags=re.MULTILINE)


@pytest.fixture(scope="session")
def results(manifest: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every check's result, from one run of the client."""
    lines = run("node", str(SCRIPT), manifest["path"]).splitlines()
    return {result["name"]: result for result in map(json.loads, lines)}


@pytest.mark.parametrize("check", CHECKS)
def test_openid_client(results: dict[str, dict[str, Any]], check: str):
    assert results[check]["ok"], results[check]["detail"]


def test_no_check_was_left_out(results: dict[str, dict[str, Any]]):
    assert set(results) == set(CHECKS)
