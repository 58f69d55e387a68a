"""`mintwarden exception statement | approve`: an approver's signature under exactly what was requested."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Annotated

import cyclopts

from mintwarden.app.cli.account import account
from mintwarden.app.cli.exception import AsJson, ConfigFile, Id, print_json, print_lines
from mintwarden.app.config import Config, load_config
from mintwarden.app.excepting import exceptions_of
from mintwarden.app.exceptions_told import Told, lines_of, told
from mintwarden.app.foundation import Foundation, foundation
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.policy.approve.refusal import SignatureRefused
from mintwarden.policy.approve.sshsig import NAMESPACE
from mintwarden.policy.exception_request import statement

Name = Annotated[str, cyclopts.Parameter(help="The approver's name in the bundle; whose `user` is yours if left out.")]


def state(exception: Id, /, *, name: Name = "", config: ConfigFile = Path("mintwarden.toml")) -> None:
    """Print the statement that an approver signs, to be signed elsewhere.

    Sign the file with `ssh-keygen -Y sign -n mintwarden-policy -f KEY FILE`, then approve with `--statement FILE`.
    """
    print(asyncio.run(_statement(load_config(config), exception, name)), end="")


def run(
    exception: Id,
    /,
    *,
    key: Annotated[
        Path | None, cyclopts.Parameter(help="An SSH key, or its public half where an agent holds it: sign now.")
    ] = None,
    signed: Annotated[
        Path | None,
        cyclopts.Parameter(name="--statement", help="The signed statement; its signature is beside it, in FILE.sig."),
    ] = None,
    name: Name = "",
    config: ConfigFile = Path("mintwarden.toml"),
    json: AsJson = False,
) -> None:
    """Approve an exception in your name. With the last approval that it needs, it begins."""
    if (key is None) == (signed is None):
        raise MintwardenError(
            ErrorKind.INVALID_REQUEST, "there is nothing to approve with", hint="`--key KEY`, or `--statement FILE`"
        )
    members = asyncio.run(_approved(load_config(config), exception, key, signed, name))
    if json:
        print_json(members)
    else:
        print_lines(lines_of(members))


async def _statement(config: Config, exception: str, name: str) -> str:
    async with foundation(config, read_only=True) as base:
        return await _text(base, exception, name)


async def _text(base: Foundation, exception: str, name: str) -> str:
    known = await exceptions_of(base).known(exception)
    return statement(known.request, name or _own_name(base), base.clock.now() // 1000)


async def _approved(config: Config, exception: str, key: Path | None, signed: Path | None, name: str) -> Told:
    async with foundation(config) as base:
        if key is not None:
            text = await _text(base, exception, name)
            armor = await asyncio.to_thread(_sign, key, text)
        else:
            text, armor = _read(signed or Path())
        try:
            known = await exceptions_of(base).approve(exception, f"{text}\n{armor}")
        except SignatureRefused as refused:
            raise MintwardenError(
                ErrorKind.INVALID_REQUEST,
                f"the approval does not count: {refused.detail}",
                hint="see docs/exceptions.md",
            ) from refused
        return told(known)


def _own_name(base: Foundation) -> str:
    user = account()
    name = next((one.name for one in base.bundle.approvals.approvers if one.user == user), "")
    if not name:
        what = f"no approver of the bundle is the user `{user}`"
        raise MintwardenError(ErrorKind.INVALID_REQUEST, what, hint="say who you are with `--name`")
    return name


def _read(file: Path) -> tuple[str, str]:
    try:
        return file.read_text(), Path(f"{file}.sig").read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise MintwardenError(
            ErrorKind.NOT_FOUND,
            f"`{file}` and `{file}.sig` cannot both be read",
            hint="sign it with `ssh-keygen -Y sign`",
        ) from error


def _sign(key: Path, text: str) -> str:
    """What `ssh-keygen` answers; it asks for a passphrase or a touch by itself."""
    program = shutil.which("ssh-keygen")
    if program is None:
        raise MintwardenError(ErrorKind.CONFIG, "there is no `ssh-keygen` here", hint="sign elsewhere: `--statement`")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "statement"
        file.write_text(text)
        words = [program, "-q", "-Y", "sign", "-n", NAMESPACE, "-f", str(key), str(file)]
        done = subprocess.run(words, check=False, stdout=subprocess.DEVNULL)  # noqa: S603 - fixed words, no shell
        if done.returncode:
            raise MintwardenError(ErrorKind.KEYS, f"`ssh-keygen` could not sign with `{key}`", hint="see what it said")
        return Path(f"{file}.sig").read_text()
