"""What is in the repository is the same for everyone: no index addresses, no paths of one machine."""

from __future__ import annotations

import re
import subprocess
from importlib.metadata import distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.findings import ROOT


def tracked(*patterns: str) -> list[Path]:
    done = subprocess.run(["git", "ls-files", "-z", *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in done.stdout.split("\0") if name]


def test_requirements_name_versions_and_hashes_and_no_index():
    for file in tracked("requirements/*.txt"):
        text = file.read_text()
        assert "://" not in text, file
        assert not re.search(r"^--?\w", text, flags=re.MULTILINE), file
        packages = re.findall(r"^[a-z0-9].*?(?=^[a-z0-9]|\Z)", text, flags=re.MULTILINE | re.DOTALL)
        assert packages
        assert [p.split()[0] for p in packages if "==" not in p or "--hash=sha256:" not in p] == []


def test_what_a_package_demands_with_extras_is_pinned_with_them():
    """A pip of before 24, as Python 3.11 and 3.12 bring it, takes `coverage==7` for no pin of `coverage[toml]`."""
    pinned = {}
    for line in re.findall(r"^[a-z0-9].*?==", (ROOT / "requirements/dev.txt").read_text(), flags=re.MULTILINE):
        package = Requirement(line.removesuffix("=="))
        pinned[canonicalize_name(package.name)] = package.extras
    demanded = [
        Requirement(text)
        for found in distributions()
        if canonicalize_name(found.name) in pinned
        for text in found.requires or ()
    ]
    assert [
        str(demand)
        for demand in demanded
        if demand.extras and (demand.marker is None or demand.marker.evaluate({"extra": ""}))
        if not demand.extras <= pinned[canonicalize_name(demand.name)]
    ] == []


def test_lock_files_of_node_name_no_registry():
    for file in tracked("*package-lock.json"):
        assert '"resolved"' not in file.read_text(), f"{file}: npm install --omit-lockfile-registry-resolved=true"


def test_no_path_of_one_machine():
    home = re.compile(rb"(?<![\w.])/(?:home|Users)/[a-z]\w+/")
    found = [file for file in tracked() if file.is_file() and home.search(file.read_bytes())]
    assert found == []


def test_scripts_can_be_run():
    done = subprocess.run(["git", "ls-files", "-s", ".ci/run"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("100755 ")
