"""Options that name a file to write a report to; `-` is standard output, which then holds the report alone."""

from __future__ import annotations

import sys
from pathlib import Path

import cyclopts

from mintwarden.model.errors import ErrorKind, MintwardenError

STANDARD_OUTPUT = Path("-")


def report_option(*names: str, help: str) -> cyclopts.Parameter:  # noqa: A002 - as cyclopts calls it
    """The parameter of such an option. Its value is held by `is_streamed`, which is to be called first."""
    return cyclopts.Parameter(
        name=list(names), allow_leading_hyphen=True, help=f"{help.removesuffix('.')}; `-` is standard output."
    )


def is_streamed(option: str, file: Path | None, *, json: bool = False) -> bool:
    """Whether the report takes the place of what is printed otherwise.

    Raises `INVALID_REQUEST` where the option has taken another option for its file, or `--json` wants the same place.
    """
    if file is None:
        return False
    if file != STANDARD_OUTPUT and str(file).startswith("-"):
        what = f"`{option}` needs a file, and `{file}` is an option"
        raise MintwardenError(ErrorKind.INVALID_REQUEST, what, hint="name a file, or `-` for standard output")
    if file == STANDARD_OUTPUT and json:
        what = f"`{option} -` and `--json` both want standard output"
        raise MintwardenError(ErrorKind.INVALID_REQUEST, what, hint="give one of them a file, or leave one out")
    return file == STANDARD_OUTPUT


def write_report(file: Path, content: str | bytes) -> None:
    """Write it to the file, or to standard output for `-`. Raises `CONFIG` where it cannot be written."""
    data = content.encode() if isinstance(content, str) else content
    if file == STANDARD_OUTPUT:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    try:
        file.write_bytes(data)
    except OSError as error:
        what = f"`{file}` cannot be written: {(error.strerror or 'unknown reason').lower()}"
        raise MintwardenError(ErrorKind.CONFIG, what, hint="name a file in a folder that exists") from error
