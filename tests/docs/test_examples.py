"""The documentation's commands exist, and the blocks marked `run` do what they say."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from mintwarden.app.cli import build
from tests.docs.pages import Block, blocks, pages, prose
from tests.sizes import FULL_SIZE
from tools.findings import ROOT

BLOCKS = [block for page in pages() for block in blocks(page)]
SHELL = [block for block in BLOCKS if block.info[0] in ("bash", "console", "sh")]
RUN = [block for block in SHELL if "run" in block.info]
STORIES: list[list[Block]] = []
"""Blocks that are run in one folder, one after the other: those marked `run on` go on where the block before ended."""
for _block in RUN:
    if "on" in _block.info:
        STORIES[-1].append(_block)
    else:
        STORIES.append([_block])
DECISIONS = "50000" if FULL_SIZE else "500"
"""How many recorded decisions `docs/changing-policy.md` looks back over: as many as it says in `make scale`."""
INLINE = [
    (f"{page.relative_to(ROOT)}: {code}", code)
    for page in pages()
    if page.name != "cli.md"
    for code in sorted(set(re.findall(r"`(mintwarden [^`|]+|make [^`|]+)`", prose(page).replace("\n", " "))))
]


def words_of(command: str) -> list[str]:
    """The first command of a line as words; variables that are set before it are taken off."""
    words = shlex.split(re.split(r" [|&>;] ?| \|\| | && ", command)[0], comments=True)
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words.pop(0)
    return words


def check(words: list[str], *, whole: bool) -> None:
    """That such a command exists; `whole` when it must be complete, not the name of a group."""
    if words[:1] == ["make"]:
        targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
        assert not whole or words[1:], "make without a target"
        assert {word for word in words[1:] if "=" not in word} <= set(targets)
    elif "--" in words:  # a command that runs another one of ours
        cut = words.index("--")
        check(words[:cut], whole=whole)
        check(["mintwarden", *words[cut + 1 :]], whole=whole)
    elif words[:1] == ["mintwarden"] and not {"--version", "--help"} & set(words):
        chain, apps, _ = build().parse_commands(words[1:])
        assert chain, f"no such command: {shlex.join(words)}"
        given = {word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        if apps[-1].default_command is None:
            assert not whole, f"an incomplete command: {shlex.join(words)}"
            assert not given
            rest = [word for word in words[1 + len(chain) :] if word != "..."]
            assert not rest, f"no such command: {shlex.join(words)}"
        else:
            known = {name for argument in apps[-1].assemble_argument_collection() for name in argument.names}
            assert given <= known, f"unknown options {given - known}"


@pytest.mark.parametrize("block", SHELL, ids=lambda block: block.name)
def test_commands_in_blocks_exist(block: Block):
    for command in block.commands:
        check(words_of(command), whole=True)


@pytest.mark.parametrize("code", [code for _, code in INLINE], ids=[name for name, _ in INLINE])
def test_commands_in_prose_exist(code: str):
    check(words_of(code.replace("<", "").replace(">", "")), whole=False)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story[0].name)
def test_blocks_marked_run_do_what_they_say(story: list[Block], tmp_path: Path):
    assert len({block.page for block in story}) == 1, "a page goes on where another one ended"
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "120",
        "DECISIONS": DECISIONS,
    }
    for block in story:
        run_block(block, tmp_path, environment)


def run_block(block: Block, folder: Path, environment: dict[str, str]) -> None:
    if block.info[0] == "console":
        for command, expected in steps_of(block):
            done = run(command, folder, environment)
            assert re.fullmatch(pattern(expected), done.stdout.rstrip("\n") + "\n"), f"{command}\n{done.stdout}"
    else:
        done = run("set -euo pipefail\n" + "\n".join(block.lines), folder, environment)
        assert done.returncode == 0, done.stdout


def run(script: str, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600 if FULL_SIZE else 120,
        check=False,
    )


def steps_of(block: Block) -> list[tuple[str, list[str]]]:
    steps: list[tuple[str, list[str]]] = []
    for line in block.lines:
        if line.startswith("$ "):
            steps.append((line[2:], []))
        else:
            steps[-1][1].append(line)
    return steps


def pattern(expected: list[str]) -> str:
    """`...` alone on a line is any lines, within a line anything."""
    parts = []
    for line in expected:
        if line.strip() == "...":
            parts.append(r"(?:.*\n)*?")
        else:
            parts.append(re.escape(line.rstrip()).replace(re.escape("..."), ".*") + r" *\n")
    return "".join(parts) or r"\n"


def test_the_readme_leads_with_the_two_commands():
    first = next(block for block in BLOCKS if block.page == ROOT / "README.md")
    assert first.commands == ["make quickstart", "make test"]


def test_help_fits_one_screen():
    done = run("make help", ROOT, dict(os.environ))
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert len(lines) <= 20
    assert max(map(len, lines)) <= 110
    for target in ("help", "quickstart", "test", "lint", "bench", "interop", "docs"):
        assert any(line.split()[:2] == ["make", target] for line in lines), target
