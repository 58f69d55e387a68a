"""The next step of an audience, as a change of one line of its file."""

from __future__ import annotations

from pathlib import Path

import pytest

from mintwarden.app.promote import prepare_step, write_step
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.policy.bundle.load import load_bundle
from mintwarden.policy.bundle.problem import BundleRefused
from tests.unit.policy.company import LEGACY, NOW, write_company
from tests.unit.policy.test_mode_changes import HOUR, downgrade

CANARY = "[canary]\nshare = 0.1\n"


def company(folder: Path, text: str = LEGACY) -> Path:
    return write_company(folder, files={"audiences/legacy.toml": text})


def test_one_line_changes_and_all_else_stays(tmp_path: Path) -> None:
    odd = LEGACY.replace('mode = "observe"', "# why\nmode   =   'observe' # soon") + "\n\n# the end\n"
    folder = company(tmp_path, odd)
    step = prepare_step(folder, "legacy")
    assert (step.before, step.after, step.file) == ("observe", "enforce", folder / "audiences/legacy.toml")
    assert step.file.read_text() == odd
    write_step(step)
    changed = [(a, b) for a, b in zip(odd.splitlines(), step.file.read_text().splitlines(), strict=True) if a != b]
    assert changed == [("mode   =   'observe' # soon", 'mode   =   "enforce" # soon')]
    assert load_bundle(folder).catalogue.audiences["legacy"].mode == "enforce"
    assert [path.name for path in step.file.parent.iterdir() if path.name.startswith("tmp")] == []


def test_the_canary_comes_first_where_there_is_one(tmp_path: Path) -> None:
    folder = company(tmp_path, LEGACY.replace("[legacy]", CANARY + "[legacy]"))
    assert prepare_step(folder, "legacy").after == "canary"
    assert prepare_step(folder, "legacy", "enforce").after == "enforce"
    write_step(prepare_step(folder, "legacy"))
    assert prepare_step(folder, "legacy").after == "enforce"


def test_a_reason_stands_beside_the_mode(tmp_path: Path) -> None:
    step = prepare_step(company(tmp_path), "legacy", despite='T-1: "now"')
    assert 'mode = "enforce"  # not ready, and promoted because: T-1: "now"\n' in step.text


def test_a_downgrade_goes_with_what_it_was_for(tmp_path: Path) -> None:
    folder = company(tmp_path, LEGACY.replace("[legacy]", downgrade(NOW + HOUR) + "[legacy]"))
    step = prepare_step(folder, "legacy")
    assert step.dropped == ("[downgrade]",)
    assert "downgrade" not in step.text


def test_other_ways_to_write_it(tmp_path: Path) -> None:
    dotted = LEGACY.replace("[audience]\n", "").replace("[legacy]\neveryone", "legacy.everyone")
    lines = [
        line if line.startswith(("[", "legacy")) or not line else f"audience.{line}" for line in dotted.splitlines()
    ]
    text = "\n".join(lines[:9] + [line.removeprefix("audience.") for line in lines[9:]]) + "\n"
    folder = company(tmp_path, text)
    step = prepare_step(folder, "legacy")
    assert 'audience.mode = "enforce"' in step.text
    crlf = company(tmp_path / "two", "")
    (crlf / "audiences/legacy.toml").write_bytes(LEGACY.replace("\n", "\r\n").encode())
    step = prepare_step(crlf, "legacy")
    write_step(step)
    assert load_bundle(crlf).catalogue.audiences["legacy"].mode == "enforce"
    assert step.file.read_bytes() == LEGACY.replace('"observe"', '"enforce"').replace("\n", "\r\n").encode()


def test_what_cannot_be_promoted(tmp_path: Path) -> None:
    folder = company(tmp_path)
    with pytest.raises(MintwardenError, match="there is no audience `legcy`") as raised:
        prepare_step(folder, "legcy")
    assert "legacy" in raised.value.hint
    with pytest.raises(MintwardenError, match="is in `enforce`") as raised:
        prepare_step(folder, "payments")
    assert raised.value.kind is ErrorKind.CONFLICT
    with pytest.raises(BundleRefused, match="does not say for whom"):
        prepare_step(folder, "legacy", "canary")
    (folder / "bundle.toml").write_text("")
    with pytest.raises(BundleRefused):
        prepare_step(folder, "legacy")
