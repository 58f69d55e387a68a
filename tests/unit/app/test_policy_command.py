"""`mintwarden policy`, as a person and as a machine see it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mintwarden.app.cli import main

STARTER = Path(__file__).parents[3] / "src/mintwarden/app/starter/bundle"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A copy of the starter bundle."""
    return Path(shutil.copytree(STARTER, tmp_path / "bundle"))


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_lint_of_a_good_bundle_exits_0(bundle, capsys):
    assert main(["policy", "lint", str(bundle)]) == 0
    assert capsys.readouterr().out == "0 findings, 0 suppressed\n"


def test_lint_tells_place_remedy_and_documentation_and_exits_1(bundle, capsys):
    _replace(bundle / "clients/shop-web.toml", "Shop Platform", "todo")
    assert main(["policy", "lint", str(bundle)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{bundle}/clients/shop-web.toml:7: warning: client `shop-web` has no owner: `todo`",
        "  name the team that answers for it (docs/policy-lint.md#client-without-owner)",
        "1 finding, 0 suppressed",
    ]


def test_lint_for_machines(bundle, tmp_path, capsys):
    _replace(bundle / "clients/shop-web.toml", "Shop Platform", "todo")
    assert main(["policy", "lint", str(bundle), "--json", "--sarif", str(tmp_path / "out.sarif")]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is False
    assert [finding["id"] for finding in told["findings"]] == ["client-without-owner"]
    assert json.loads((tmp_path / "out.sarif").read_text())["runs"][0]["results"][0]["ruleId"] == "client-without-owner"


def test_lint_of_what_is_no_bundle_exits_2(tmp_path, bundle, capsys):
    assert main(["policy", "lint", str(tmp_path / "gone")]) == 2
    assert main(["policy", "lint", str(bundle), "--sarif", str(tmp_path / "no/where")]) == 2
    assert "cannot be written" in capsys.readouterr().err
