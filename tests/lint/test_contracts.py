"""The import contracts find what they are for: planted imports, and a folder without a place."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tools.findings import ROOT

ROOMS = "app authn consumer context feeds govern issue ledger mint model policy review store web".split()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """An empty package with every room, beside the repository's own contracts."""
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    root = tmp_path / "mintwarden"
    for room in ("", *ROOMS):
        (root / room).mkdir()
        (root / room / "__init__.py").touch()
    return root


def lint(package: Path) -> tuple[int, str]:
    script = (
        "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports;"
        "sys.exit(lint_imports(config_filename='pyproject.toml', no_cache=True))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=package.parent, capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def test_empty_rooms_keep_every_contract(package: Path):
    code, text = lint(package)
    assert (code, "0 broken" in text) == (0, True), text


def test_a_folder_without_a_place_fails(package: Path):
    (package / "utils").mkdir()
    (package / "utils" / "__init__.py").touch()
    code, text = lint(package)
    assert code == 1
    assert "utils" in text


PLANTED = {
    "upward": ("policy/decide.py", "import mintwarden.issue"),
    "upward-from-model": ("model/caller.py", "import mintwarden.policy"),
    "siblings-below": ("mint/sign.py", "import mintwarden.ledger"),
    "siblings-issue": ("issue/pipeline.py", "import mintwarden.review"),
    "line-changes-rules": ("issue/pipeline.py", "import mintwarden.govern"),
    "rules-issue": ("govern/versions.py", "import mintwarden.issue"),
    "siblings-web": ("web/token.py", "import mintwarden.store"),
    "siblings-consumer": ("consumer/verify.py", "import mintwarden.web"),
    "consumer-of-server": ("consumer/verify.py", "import mintwarden.policy"),
    "model-external": ("model/token.py", "import cryptography"),
    "policy-network": ("policy/explain.py", "import httpx2"),
    "sql-in-web": ("web/admin.py", "import sqlalchemy"),
    "sql-in-ledger": ("ledger/record.py", "import asyncpg"),
    "http-client-in-web": ("web/token.py", "import httpx2"),
    "server-in-issue": ("issue/pipeline.py", "import starlette"),
    "terminal-in-store": ("store/migrate.py", "import rich"),
}


@pytest.mark.parametrize(("file", "line"), PLANTED.values(), ids=PLANTED)
def test_a_planted_import_is_found(package: Path, file: str, line: str):
    (package / file).write_text(line + "\n")
    code, text = lint(package)
    assert code == 1, text
    assert f"mintwarden.{file.removesuffix('.py').replace('/', '.')}" in text
