"""The guards guard."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.guards import is_local
from tools.findings import ROOT


def test_another_machine_is_not_reached():
    with socket.socket() as probe, pytest.raises(AssertionError, match="only loopback"):
        probe.connect(("192.0.2.1", 9))


@pytest.mark.parametrize(
    ("address", "local"),
    [
        (("127.0.0.1", 1), True),
        (("127.8.8.8", 1), True),
        (("::1", 1, 0, 0), True),
        (("localhost", 1), True),
        ("/run/socket", True),
        (("10.0.0.1", 1), False),
        (("example.com", 1), False),
        (("::ffff:10.0.0.1", 1, 0, 0), False),
    ],
)
def test_what_is_local(address: object, *, local: bool):
    assert is_local(address) is local


@pytest.mark.parametrize(
    ("reason", "ci", "outcome"),
    [
        ("explained: needs Python 3.12", "true", "1 skipped"),
        ("does not work here", "true", "1 failed"),
        ("does not work here", "", "1 skipped"),
    ],
)
def test_a_skip_must_be_explained_in_ci(tmp_path: Path, reason: str, ci: str, outcome: str):
    (tmp_path / "conftest.py").write_text("from tests.guards import pytest_runtest_makereport\n")
    (tmp_path / "test_it.py").write_text(f"import pytest\ndef test_it():\n    pytest.skip({reason!r})\n")
    environment = {**os.environ, "CI": ci, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tmp_path),
        str(tmp_path),
    ]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert outcome in done.stdout.splitlines()[-1], done.stdout
