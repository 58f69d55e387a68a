"""Hostile files where signatures lie: bounded, told by name, and no part of the digest."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mintwarden.policy.bundle.problem import Problems
from mintwarden.policy.bundle.read import MAX_SIGNATURE, MAX_SIGNATURES, read_bundle, read_signatures


def _link(target: str) -> Callable[[Path], None]:
    return lambda folder: (folder / "a.sig").symlink_to(target)


CASES: dict[str, tuple[Callable[[Path], object], str]] = {
    "too-large": (lambda folder: (folder / "a.sig").write_bytes(b"x" * (MAX_SIGNATURE + 1)), "larger than 16 KiB"),
    "too-many": (
        lambda folder: [(folder / f"{n}.sig").write_text("x") for n in range(MAX_SIGNATURES + 1)],
        f"more than {MAX_SIGNATURES} files",
    ),
    "another-ending": (lambda folder: (folder / "a.txt").write_text("x"), "only `*.sig` files"),
    "hidden": (lambda folder: (folder / ".a.sig").write_text("x"), "the name is not letters"),
    "leads-out": (_link("/etc/passwd"), "leads out of the bundle"),
    "leads-nowhere": (_link("nothing"), "cannot be read"),
    "leads-to-itself": (_link("a.sig"), "cannot be read"),
    "a-pipe": (lambda folder: os.mkfifo(folder / "a.sig"), "not a regular file"),
    "a-folder": (lambda folder: (folder / "a" / "b").mkdir(parents=True), "nested deeper"),
    "binary": (lambda folder: (folder / "a.sig").write_bytes(b"\xff\xfe"), "is not UTF-8"),
    "nul": (lambda folder: (folder / "a.sig").write_bytes(b"a\0"), "NUL"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_hostile_signature_is_refused(tmp_path: Path, case: tuple[Callable[[Path], object], str]) -> None:
    make, words = case
    folder = tmp_path / "signatures"
    folder.mkdir()
    make(folder)
    problems = Problems()
    read_signatures(tmp_path, problems)
    assert any(words in problem.message for problem in problems.all()), problems.all()
    inside = Problems()
    assert read_bundle(tmp_path, inside) == {}
    assert len(inside) == 0


def test_signatures_that_are_a_file_or_a_link_elsewhere_are_refused(tmp_path: Path) -> None:
    for make in (lambda p: p.write_text("x"), lambda p: p.symlink_to("/etc"), lambda p: p.symlink_to(p)):
        target = tmp_path / "signatures"
        make(target)
        problems = Problems()
        assert read_signatures(tmp_path, problems) == {}
        assert len(problems) == 1
        target.unlink()


def test_a_bundle_without_signatures_has_none(tmp_path: Path) -> None:
    problems = Problems()
    assert read_signatures(tmp_path, problems) == {}
    assert len(problems) == 0
