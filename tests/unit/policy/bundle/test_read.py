"""What is a file of a bundle, and what is not. The hostile ones among them: `tests/hostile/bundles`."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mintwarden.policy.bundle import read
from mintwarden.policy.bundle.load import build_bundle
from mintwarden.policy.bundle.problem import BundleRefused, Problems
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
    with pytest.raises(BundleRefused, match="is not a folder"):
        _read(tmp_path / "a")


def sent() -> dict[str, str]:
    return dict(read_bundle(STARTER, Problems()))


RULE = '@id("x") @owner("o") @reason("r") permit (principal, action == Action::"issue", resource);'


@pytest.mark.parametrize(
    "name",
    [
        "hidden/rules.cedar", "rules/../../up.cedar", "/etc/rules.cedar", "rules/\x1b[2J.cedar", "rules//x.cedar", "x.cedar",
        "rules/a.b/x.cedar", "rules/.hidden.cedar", "signatures/x.cedar", "tests/x.cedar", "rules/x.cedar\n", "",
        "rules/" + "a/" * 8 + "x.cedar", "RULES/x.cedar", "rules\\x.cedar", "rules/x.Cedar",
    ],
)  # fmt: skip
def test_what_no_folder_could_hold_is_no_part_of_a_bundle_that_is_sent(name):
    """Whoever hands a version in over the network hides no rules in it, and leads nobody who unpacks it astray."""
    with pytest.raises(BundleRefused) as refused:
        build_bundle({**sent(), name: RULE})
    assert [problem.message for problem in refused.value.problems] == ["not a file of a bundle"]
    assert all(problem.file.isprintable() for problem in refused.value.problems)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# \ud800", "is not UTF-8"),
        ("# \x00", "holds a NUL character"),
        ("# " + "x" * read.MAX_FILE, "is larger than 1 MiB"),
        ("# " + "é" * (read.MAX_FILE // 2), "is larger than 1 MiB"),
    ],
    ids=["half of a pair", "nul", "large", "large in bytes"],
)
def test_what_is_no_text_of_a_bundle_is_not_taken_from_the_network_either(text, message):
    with pytest.raises(BundleRefused) as refused:
        build_bundle({**sent(), "claims.toml": f"{sent()['claims.toml']}\n{text}\n"})
    assert message in {problem.message for problem in refused.value.problems}


def test_more_than_fits_is_not_taken_from_the_network():
    many = {f"tests/{number}.toml": "" for number in range(read.MAX_FILES + 1)}
    large = {f"tests/{number}.toml": "#" * read.MAX_FILE for number in range(33)}
    for texts, message in ((many, "more than 5000 files"), (large, "larger than 32 MiB")):
        with pytest.raises(BundleRefused) as refused:
            build_bundle({**sent(), **texts})
        assert any(message in problem.message for problem in refused.value.problems)
