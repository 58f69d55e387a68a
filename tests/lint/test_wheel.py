"""What is installed from a wheel is all that the program needs, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import zipfile

import pytest

from mintwarden import __version__
from tools.findings import ROOT

METADATA = f"mintwarden-{__version__}.dist-info"


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The files in a freshly built wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    subprocess.run([*command, str(ROOT)], check=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


def test_the_example_company_comes_along(names: set[str]):
    source = ROOT / "examples" / "meridian"
    expected = {
        f"mintwarden/examples/meridian/{file.relative_to(source)}" for file in source.rglob("*") if file.is_file()
    }
    assert expected
    assert expected <= names


def test_every_file_of_the_package_comes_along(names: set[str]):
    source = ROOT / "src"
    files = (file for file in source.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    assert {str(file.relative_to(source)) for file in files} <= names


def test_nothing_else_does(names: set[str]):
    assert {name.split("/")[0] for name in names if not name.endswith("/")} <= {
        "mintwarden",
        "mintwarden-0.1.0.dist-info",
    }


def test_the_version_is_the_packages_and_it_has_a_command(names: set[str]):
    assert {f"{METADATA}/entry_points.txt", "mintwarden/py.typed"} <= names
