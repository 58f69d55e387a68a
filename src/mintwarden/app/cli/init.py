"""`mintwarden init PATH`: a small commented bundle, a configuration, a master key and a first administrator."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated

import cyclopts

from mintwarden.app.cli.command import Command
from mintwarden.app.first_administrator import FILE, new_key, with_public_key, write_sealed
from mintwarden.mint.master import create_file, from_file
from mintwarden.model.errors import ErrorKind, MintwardenError

app = Command(name="init")

Folder = Annotated[Path, cyclopts.Parameter(help="Where to write them; the folder is made if it is missing.")]

MASTER_KEY = "master.key"
FIRST = "bundle/clients/first-administrator.toml"
_RENAMED = {"gitignore": ".gitignore"}


@app.default
def run(path: Folder = Path(), /) -> None:
    """Write a bundle, a configuration, a fresh master key and a first administrator's sealed key, which works once.

    Nothing that exists is overwritten.
    """
    planned = dict(_starter(files("mintwarden.app") / "starter", ""))
    planned |= dict(_starter(files("mintwarden.app") / "starter_administration", ""))
    taken = sorted(name for name in (*planned, MASTER_KEY, FILE) if os.path.lexists(path / name))
    if (path / "bundle").is_dir() and any((path / "bundle").iterdir()):
        taken = sorted({*taken, "bundle"})
    if taken:
        raise MintwardenError(
            ErrorKind.CONFLICT,
            f"`{path / taken[0]}` exists already, nothing was written",
            hint="name another folder, or move what is there away",
        )
    try:
        _write(path, planned)
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise MintwardenError(
            ErrorKind.CONFIG, f"`{path}` cannot be written: {reason}", hint="check its rights"
        ) from error
    print(_next_steps(path, planned))


def _starter(folder: Traversable, inside: str) -> Iterator[tuple[str, str]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        name = f"{inside}{_RENAMED.get(entry.name, entry.name)}"
        if entry.is_dir():
            yield from _starter(entry, f"{name}/")
        else:
            yield name, entry.read_text(encoding="utf-8")


def _write(path: Path, planned: dict[str, str]) -> None:
    path.mkdir(parents=True, exist_ok=True)
    first = new_key()
    planned[FIRST] = with_public_key(planned[FIRST], first)
    for name, text in planned.items():
        target = path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8", newline="\n") as out:
            out.write(text)
    create_file(path / MASTER_KEY, random_bytes=secrets.token_bytes)
    write_sealed(path / FILE, first, from_file(path / MASTER_KEY, random_bytes=secrets.token_bytes))


def _next_steps(path: Path, planned: dict[str, str]) -> str:
    return "\n".join(
        (
            f"wrote {len(planned) + 2} files to {path}",
            "next:",
            f"  mintwarden check {path / 'bundle'}",
            f"  mintwarden config check --config {path / 'mintwarden.toml'}",
            f"  MINTWARDEN_SERVER_DEV=true mintwarden serve --config {path / 'mintwarden.toml'}",
            "in development the folder governs; anywhere else an activated version (docs/versions.md): name the",
            "`[[approvers]]` in bundle.toml, then:",
            f"  mintwarden policy sign {path / 'bundle'} --key ~/.ssh/id_ed25519 --config {path / 'mintwarden.toml'}",
            "  `policy approve` by them, and `policy activate`",
        )
    )
