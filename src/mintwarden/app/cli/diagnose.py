"""The only place where an error becomes a diagnostic: what happened, what to do, and an exit code."""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
import traceback
from pathlib import Path

import cyclopts
import msgspec

from mintwarden.model.errors import ErrorKind, MintwardenError

OK, CHECK_FAILED, BAD_INPUT, UNAVAILABLE, INTERNAL = 0, 1, 2, 3, 70

_CODES = {
    ErrorKind.UNAVAILABLE: UNAVAILABLE,
    ErrorKind.OVERLOADED: UNAVAILABLE,
    ErrorKind.STORE: UNAVAILABLE,
    ErrorKind.SOURCE: UNAVAILABLE,
    ErrorKind.LEDGER: CHECK_FAILED,
    ErrorKind.INTERNAL: INTERNAL,
}
"""Every other kind is bad input."""


def diagnose(error: Exception, *, as_json: bool = False, folder: Path | None = None) -> int:
    """Print what happened and the remedy to standard error; the exit code.

    An error that carries `problems` (each with a text and a `remedy`) has each of them printed. The trace of an
    unforeseen one goes to a file in `folder`, by default that of temporary files.
    """
    if isinstance(error, MintwardenError):
        code = _CODES.get(error.kind, BAD_INPUT)
        report = _report(error)
    elif isinstance(error, cyclopts.CycloptsError):
        code, report = BAD_INPUT, {"error": "usage", "message": _misused(error), "remedy": _usage(error)}
    else:
        code, report = INTERNAL, _internal(error, folder or Path(tempfile.gettempdir()))
    print(_json(report) if as_json else _text(report), file=sys.stderr)
    return code


def _report(error: MintwardenError) -> dict[str, object]:
    report: dict[str, object] = {"error": error.kind.value, "message": error.public, "remedy": error.hint}
    problems = getattr(error, "problems", ())
    if problems:
        report["problems"] = [
            {"message": _one_line(problem), "remedy": getattr(problem, "remedy", "")} for problem in problems
        ]
    return report


def _internal(error: Exception, folder: Path) -> dict[str, object]:
    """A reference for the user, and the traceback in a file that only they can read."""
    reference = secrets.token_hex(6)
    path = folder / f"mintwarden-{reference}.log"
    remedy = "report it with this reference"
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.writelines(traceback.format_exception(error))
        remedy = f"report it with this reference and the file {path}"
    except OSError:
        pass
    return {"error": "internal", "message": f"internal error, reference {reference}", "remedy": remedy}


def _text(report: dict[str, object]) -> str:
    problems = report.get("problems")
    if not isinstance(problems, list):
        problems = [report]
    lines = []
    for problem in problems:
        lines.append(f"mintwarden: {_one_line(problem['message'])}")
        if problem["remedy"]:
            lines.append(f"  {_one_line(problem['remedy'])}")
    return "\n".join(lines)


def _json(report: dict[str, object]) -> str:
    return msgspec.json.encode(report).decode()


def _misused(error: cyclopts.CycloptsError) -> str:
    """What is wrong with a command line: in the words of the parser, but for those that only it understands."""
    if isinstance(error, cyclopts.UnusedCliTokensError):
        left = " ".join(f"`{word}`" for word in error.unused_tokens or ())
        return _one_line(f"{left} is more than the command takes")
    if isinstance(error, cyclopts.MissingArgumentError) and error.argument is not None:
        return _one_line(f"`{error.argument.name}` is missing, or has no value")
    return _one_line(error)


def _usage(error: cyclopts.CycloptsError) -> str:
    command = " ".join(("mintwarden", *(error.command_chain or ())))
    return f"see `{command} --help`"


def _one_line(thing: object) -> str:
    """Text of others' making, safe on a terminal: one line, no control characters."""
    return "".join(c if c.isprintable() else " " * c.isspace() for c in str(thing))
