"""What is a file of a bundle, and what is not. The hostile ones among them: `tests/hostile/bundles`."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mintwarden.policy.bundle import read
from mintwarden.policy.bundle.problem import Problems
from mintwarden.policy.bundle.read import read_bundle
from tests.hostile.bundles.test_bundles import STARTER, TEXTS

NAMES = [name for name in TEXTS if name.split("-")[0] in {"bytes", "file", "folder", "folders", "link", "unknown", "hidden",
         "name", "pipe", "device", "bundle", "too"}]  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return Path(shutil.copytree(STARTER, tmp_path / "bundle"))


def _read(root: Path) -> tuple[set[str], list[str]]:
    problems = Problems()
    texts = read_bundle(root, problems)
    return set(texts), [str(problem) for problem in problems.all()]


def test_every_file_is_read_under_its_path(root):
    files = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    assert _read(root) == (files, [])


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_file_of_a_bundle_is_named(name, root):
    make, message = TEXTS[name]
    make(root)
    _, problems = _read(root)
    assert any(message in problem for problem in problems), problems


@pytest.mark.parametrize("name", sorted(read.LEFT_ALONE))
def test_what_stands_beside_a_bundle_is_left_alone(name, root):
    before = _read(root)
    (root / name).write_bytes(b"\xff\x00")
    assert _read(root) == before


def test_a_byte_order_mark_is_no_text(root):
    (root / "claims.toml").write_bytes(b"\xef\xbb\xbf" + (root / "claims.toml").read_bytes())
    problems = Problems()
    assert read_bundle(root, problems)["claims.toml"].startswith("# Every claim")


def test_a_position_is_that_of_the_first_bad_byte(root):
    (root / "claims.toml").write_bytes(b"# one\n# tw\xff\n")
    (root / "rules/n.cedar").write_bytes(b"//\n\n//\x00")
    assert _read(root)[1] == ["claims.toml:2:5: is not UTF-8", "rules/n.cedar:3:3: holds a NUL character"]


def test_too_many_entries_stop_the_reading(root):
    for number in range(read.MAX_ENTRIES + 1):
        (root / f"tests/{number}").touch()
    assert any("files and folders" in problem for problem in _read(root)[1])


def test_links_inside_are_followed(root):
    (root / "rules/orders.cedar").rename(root / "rules/real.cedar")
    (root / "rules/orders.cedar").symlink_to("real.cedar")
    assert {"rules/real.cedar", "rules/orders.cedar"} <= _read(root)[0]


def test_a_bundle_may_be_reached_by_a_link(root, tmp_path):
    (tmp_path / "current").symlink_to(root)
    assert _read(tmp_path / "current") == _read(root)


def test_a_path_that_leads_in_a_circle_is_no_folder(tmp_path):
    (tmp_path / "a").symlink_to("a")
    assert "is not a folder" in _read(tmp_path / "a")[1][0]
