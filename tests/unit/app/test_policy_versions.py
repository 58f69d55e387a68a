"""`mintwarden policy sign | approve | activate | rollback | history | show | findings | keygen`, as somebody types them."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mintwarden.app.acting import versions_of
from mintwarden.app.cli import main
from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from tests.unit.policy.approve.signing import KEYGEN, ssh_sign

Run = Callable[..., tuple[int, str, str]]
pytestmark = pytest.mark.skipif(KEYGEN is None, reason="explained: OpenSSH's client is not installed")

HEAD = """
[approvals]
required = 1
[approvals.higher_risk]
required = 2
[approvals.break_glass]
required = 1
max = "1h"
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The starter bundle with Ann and Bob as approvers (SSH keys) and Cem as an author (a key of ours)."""
    monkeypatch.chdir(tmp_path)

    def command(*words: str) -> tuple[int, str, str]:
        code = main(list(words))
        out, err = capsys.readouterr()
        return code, out, err

    assert command("init", ".")[0] == 0
    head = HEAD
    for name in ("ann", "bob"):
        subprocess.run([str(KEYGEN), "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", name], check=True)
        head += f'[[approvers]]\nname = "{name.title()}"\nkeys = ["{Path(f"{name}.pub").read_text().strip()}"]\n'
    code, out, _ = command("policy", "keygen", "cem", "--algorithm", "ES256")
    assert code == 0
    with Path("bundle/bundle.toml").open("a") as file:
        file.write(f'{head}[[authors]]\nname = "Cem"\n{out}')
    return command


def read(run: Run, *words: str, code: int = 0) -> Any:
    found, out, err = run("policy", *words, "--json")
    assert found == code, (out, err)
    return json.loads(out)


def edit(old: str, new: str) -> None:
    path = next(path for path in Path("bundle").rglob("*.toml") if old in path.read_text())
    path.write_text(path.read_text().replace(old, new, 1))


def first(run: Run) -> str:
    assert run("policy", "sign", "bundle", "--key", "cem")[0] == 0
    for name in ("ann", "bob"):
        assert run("policy", "approve", "bundle", "--key", name)[0] == 0
    done = read(run, "activate", "bundle")
    assert done["activation"]["number"] == 1
    return str(done["activation"]["digest"])


def test_from_a_folder_to_what_governs_and_back(run: Run):
    code, out, _ = run("policy", "activate", "bundle")
    assert code == 1
    assert "lacking   its author has not signed it" in out
    digest = first(run)
    assert sorted(path.name.split("-")[1] for path in Path("bundle/signatures").iterdir()) == [
        "approve",
        "approve",
        "author",
    ]
    edit("Changes to money or to people's data.", "Changes to money.")
    assert run("policy", "sign", "bundle", "--key", "cem")[0] == 0
    assert read(run, "activate", "bundle", "--dry-run", code=1)["standing"]["quorum"] == "ordinary"
    shown = read(run, "approve", "bundle", "--key", "ann")
    assert (shown["standing"]["approved"], shown["standing"]["counted"]) == (True, ["Ann"])
    assert read(run, "activate", "bundle", "--dry-run")["activation"] is None
    second = read(run, "activate", "bundle")["activation"]
    assert (second["number"], second["previous"]) == (2, digest)
    assert read(run, "rollback", "--reason", "x", code=1)["standing"]["quorum"] == "undo"
    back = read(run, "rollback", "--reason", "it went wrong", "--key", "bob")["activation"]
    assert (back["kind"], back["digest"], back["reason"]) == ("rollback", digest, "it went wrong")
    history = read(run, "history")
    assert [one["kind"] for one in history["activations"]] == ["rollback", "activate", "activate"]
    assert history["abandoned"] == []
    assert f"governs   {digest}@3 of `starter`" in run("policy", "show")[1]
    assert read(run, "show", second["digest"][7:19])["governs"] is False


def test_a_change_of_higher_risk_is_named_with_its_reasons(run: Run):
    first(run)
    edit('max_ttl = "5m"', 'max_ttl = "50m"')
    for words in (("sign", "bundle", "--key", "cem"), ("approve", "bundle", "--key", "ann")):
        assert run("policy", *words)[0] == 0
    code, out, _ = run("policy", "activate", "bundle")
    assert code == 1
    assert "quorum    2: a change of higher risk\n  because tier `high` changes its `max_ttl`" in out
    assert "could     Bob\nlacking   1 more approval is needed" in out


def test_break_glass_and_its_finding(run: Run, monkeypatch: pytest.MonkeyPatch):
    first(run)
    edit("Changes to money or to people's data.", "Changes to money.")
    assert run("policy", "sign", "bundle", "--key", "cem")[0] == 0
    assert run("policy", "approve", "bundle", "--key", "ann", "--break-glass")[0] == 0
    for words in (["--break-glass"], ["--break-glass", "--for", "1h"], ["--for", "1h"], ["--break-glass", "--for", "x",
                  "--reason", "y"]):  # fmt: skip
        assert run("policy", "activate", "bundle", *words)[0] == 2
    done = read(run, "activate", "bundle", "--break-glass", "--for", "1h", "--reason", "keys leak")["activation"]
    assert done["kind"] == "break_glass"
    assert f"as an emergency version until {done['until']}; then {done['returns_to']}" in run("policy", "show")[1]
    assert [one["id"] for one in read(run, "findings", code=1)] == ["break-glass-2"]
    assert run("policy", "findings", "--close", "break-glass-2", "--note", "fine")[0] == 2, "by whoever did it"
    monkeypatch.setenv("LOGNAME", "auditor")
    assert run("policy", "findings", "--close", "break-glass-2", "--note", "fine")[0] == 2, "the environment is no word"

    async def reviewed_by_another() -> None:
        async with foundation(load_config(Path("mintwarden.toml"), environ={})) as base:
            await versions_of(base).close("break-glass-2", by="auditor", note="fine", now=base.clock.now())

    asyncio.run(reviewed_by_another())
    assert read(run, "findings") == []
    assert [one["closed_by"] for one in read(run, "findings", "--all")] == ["auditor"]


def test_what_is_signed_elsewhere_comes_by_files(run: Run, tmp_path: Path):
    """`--statement-only` on one machine, `ssh-keygen` on another, and a folder that carries the rest."""
    base = ("--base", "none")
    code, text, _ = run("policy", "approve", "bundle", "--as", "Ann", "--statement-only", *base)
    assert (code, text.splitlines()[1]) == (0, "act: approve")
    (tmp_path / "said").write_text(text)
    (tmp_path / "said.sig").write_text(ssh_sign(tmp_path / "ann", text))
    files = ("--statement", "said", "--signature", "said.sig")
    assert run("policy", "approve", "bundle", *files, *base)[0] == 0
    code, _, err = run("policy", "sign", "bundle", *files, *base)
    assert (code, "the statement says `approve`" in err) == (2, True)
    (tmp_path / "said").write_text(text.replace("Ann", "Bob"))
    assert "the signature is not good" in run("policy", "approve", "bundle", *files, *base)[2]
    assert run("policy", "approve", "bundle", "--key", "bob", *base)[0] == 0
    assert run("policy", "sign", "bundle", "--key", "cem", *base)[0] == 0
    assert not Path("mintwarden.db").exists()
    assert read(run, "activate", "bundle")["activation"]["number"] == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("sign", "bundle"), "it is not said what signs"),
        (("sign", "bundle", "--signature", "x", "--key", "ann"), "it is not said what signs"),
        (("sign", "bundle", "--key", "nothing"), "the key `nothing` cannot be used"),
        (("sign", "bundle", "--key", "mintwarden.toml"), "cannot be used"),
        (("sign", "bundle", "--key", "ann", "--base", "x"), "`x` is not what governs"),
        (("sign", "sha256:0", "--key", "ann"), "there is no version `sha256:0`"),
        (("sign", "nowhere", "--key", "ann", "--base", "none"), "is not a folder"),
        (("approve", "bundle", "--key", "ann", "--break-glass", "--rollback"), "two different words"),
        (("show", "active"), "no version was activated yet"),
        (("rollback", "--reason", "x"), "no other version governed before"),
        (("keygen", "ann"), "`ann` exists already"),
    ],
)
def test_each_refusal_says_why_and_what_to_do(run: Run, words: tuple[str, ...], told: str):
    code, _, err = run("policy", *words)
    assert code == 2
    assert told in err
    assert len(err.splitlines()) >= 2


def test_a_key_that_the_active_bundle_does_not_know_needs_a_name_and_does_not_count(run: Run):
    subprocess.run([str(KEYGEN), "-q", "-t", "ed25519", "-N", "", "-f", "eve"], check=True)
    assert "does not say whose key that is" in run("policy", "approve", "bundle", "--key", "eve")[2]
    code, out, _ = run("policy", "approve", "bundle", "--key", "eve", "--as", "Ann")
    assert code == 1
    assert "not Ann (approve): it was made with a key that is not one of `Ann`" in out


def test_a_word_that_does_not_count_is_an_exit_code_and_said_once(run: Run):
    assert read(run, "approve", "bundle", "--key", "ann")["counts"] is True
    assert read(run, "approve", "bundle", "--key", "cem", code=1)["counts"] is False
    assert read(run, "sign", "bundle", "--key", "ann")["counts"] is True
    for _ in range(2):
        code, out, _ = run("policy", "approve", "bundle", "--key", "ann")
        assert code == 1
    assert out.count("not Ann (approve): `Ann` is the author, and nobody approves their own work") == 1


def test_an_own_key_that_others_can_read_signs_nothing(run: Run):
    Path("cem").chmod(0o644)
    assert "others can read it" in run("policy", "sign", "bundle", "--key", "cem")[2]


def test_what_lies_in_the_folder_of_signatures_is_looked_at(run: Run, tmp_path: Path):
    folder = tmp_path / "bundle" / "signatures"
    folder.mkdir()
    (folder / "junk.sig").write_text("junk")
    code, _, err = run("policy", "sign", "bundle", "--key", "cem")
    assert (code, "signatures/junk.sig: is no signature" in err) == (2, True)
    assert run("check", "bundle")[0] == 0, "they are no part of the bundle"
