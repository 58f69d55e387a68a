from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mintwarden.store.postgres.embedded import executables

PROGRAM = """
from mintwarden.store.postgres.embedded import EmbeddedPostgres, executables
with EmbeddedPostgres() as server:
    print(executables(), server.url())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="explained: only root hands it over to another user")
def test_it_runs_from_an_environment_that_only_root_can_enter(tmp_path: Path):
    """As in a clone under `/root`: the executables are copied, with the libraries that they look for beside them."""
    found = executables()
    if found is None:
        pytest.skip("explained: the wheel is not installed")
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    package = found.parents[1]
    for folder in (package, package.with_name(f"{package.name}.libs")):
        if folder.exists():
            shutil.copytree(folder, private / folder.name, symlinks=True)
    environment = {**os.environ, "PYTHONPATH": str(private)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(private))
