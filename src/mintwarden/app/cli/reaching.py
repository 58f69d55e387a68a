"""What `policy who-can`, `what-can` and `groups` share: words in, lines out."""

from __future__ import annotations

import csv
import io
import json as json_text
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import cyclopts
import msgspec

from mintwarden.app.reach import Ended
from mintwarden.app.reviews.reach import line_json, supposed
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.explain_text import spell_seconds
from mintwarden.policy.explained import FactShown
from mintwarden.review.reach.overlay import Overlay
from mintwarden.review.reach.question import Line

ConfigFile = Annotated[Path, cyclopts.Parameter(name=["--config", "-c"], help="The configuration file.")]
AsJson = Annotated[bool, cyclopts.Parameter(name="--json", negative="", help="For a machine to read, a line each.")]
OtherBundle = Annotated[
    Path | None, cyclopts.Parameter(name="--bundle", help="A bundle to answer by instead of the configuration's.")
]
Under = Annotated[
    Path | None,
    cyclopts.Parameter(name="--under", help="Facts to suppose, as a scenario's `facts`: a TOML or JSON file."),
]
At = Annotated[str, cyclopts.Parameter(name="--at", help="When, such as `2026-11-24T02:30:00Z`; now when left out.")]
ThroughClient = Annotated[str, cyclopts.Parameter(help="Only through this client.")]
InEnvironment = Annotated[str, cyclopts.Parameter(help="Only there.")]
ForPurpose = Annotated[str, cyclopts.Parameter(help="Only for this purpose.")]
SignedIn = Annotated[str, cyclopts.Parameter(help="They have signed in so.")]
InTenant = Annotated[str, cyclopts.Parameter(help="Only for this tenant.")]
InSession = Annotated[str, cyclopts.Parameter(help="The session that pushed facts may speak of.")]
OnDevice = Annotated[str, cyclopts.Parameter(help="The device that pushed facts may speak of.")]
FromAddress = Annotated[str, cyclopts.Parameter(help="They ask from there.")]
Brief = Annotated[bool, cyclopts.Parameter(negative="", help="Leave out reasons and facts.")]
AsCsv = Annotated[bool, cyclopts.Parameter(name="--csv", negative="", help="For a spreadsheet.")]
DEFAULT = Path("mintwarden.toml")
LARGEST = 16 << 20
"""Bytes of a file of suppositions."""

COLUMNS = (
    "principal", "role", "subject", "scope", "client", "environment", "grant", "method", "actors", "via", "purpose",
    "tenant", "workspace", "project", "address", "route", "acting", "needs", "lifetime", "bounded_by", "mode", "would",
    "facts",
)  # fmt: skip
_FORMULA = tuple("=+-@\t\r")


def overlay_from(file: Path | None) -> Callable[[Bundle], Overlay] | None:
    """What a file supposes, once its bundle is there; raises `INVALID_REQUEST` for a file that cannot be read."""
    if file is None:
        return None
    text, content = _content(file)
    return supposed(content, file=str(file), text=text)


def _content(file: Path) -> tuple[str, dict[str, Any]]:
    """The text, and what it says."""
    try:
        if file.stat().st_size > LARGEST:
            raise MintwardenError(ErrorKind.TOO_LARGE, f"`{file}` is larger than {LARGEST >> 20} MiB")
        text = file.read_text(encoding="utf-8")
        found = json_text.loads(text, object_pairs_hook=_once) if file.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        what = f"`{file}` cannot be read: {(error.strerror or 'unknown reason').lower()}"
        raise MintwardenError(ErrorKind.INVALID_REQUEST, what) from error
    except (ValueError, RecursionError) as error:
        what = f"`{file}` cannot be read: {str(error)[:200]}"
        raise MintwardenError(ErrorKind.INVALID_REQUEST, what, hint="write TOML, or JSON in a `.json` file") from None
    if not isinstance(found, dict):
        raise MintwardenError(ErrorKind.INVALID_REQUEST, f"`{file}` holds no table")
    return text, found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


@contextmanager
def counting(*, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A line on the terminal that says how far the search is; nothing elsewhere."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bars:
        task = bars.add_task("looking")
        yield lambda looked, found: bars.update(task, description=f"{looked:,} looked at, {found:,} found")


class Printer:
    """Prints lines as they come: text, JSON lines or CSV."""

    def __init__(self, bundle: Bundle, *, json: bool, csv: bool, facts: bool) -> None:
        if json and csv:
            raise MintwardenError(ErrorKind.INVALID_REQUEST, "`--json` and `--csv` exclude each other")
        self._rules = bundle.rules.rules
        self._json, self._csv, self._facts = json, csv, facts
        if csv:
            print(_row(COLUMNS))

    def line(self, line: Line) -> None:
        """One line of the answer."""
        if self._json:
            print(msgspec.json.encode(line_json(line)).decode())
        elif self._csv:
            print(_row([_cell(line, name) for name in COLUMNS]))
        else:
            print(_printable(_told(line)))
            for rule in (line.route, *line.acting) if self._facts else ():
                reason = self._rules[rule].annotations.get("reason", "") if rule in self._rules else ""
                print(_printable(f"  {rule}{': ' if reason else ''}{reason}"))
            for fact in map(_fact, line.facts if self._facts else ()):
                print(_printable(f"    {fact}"))

    def ended(self, ended: Ended, *, again: str) -> None:
        """What there is to say at the end; `again` is how to ask on."""
        if self._json:
            print(msgspec.json.encode(line_json(ended)).decode())
        elif not self._csv:
            print(f"{ended.found} found, {ended.looked_at} looked at")
            for remark in ended.remarks:
                print(_printable(f"note: {remark}"))
            if ended.next:
                print(_printable(f"there may be more: {again} --after {ended.next}"))


def _told(line: Line) -> str:
    parts = [line.principal]
    if line.role == "actor":
        parts.append(f"for {line.subject}")
    parts.append(f"through {line.client} in {line.environment}")
    if line.actors and line.role == "subject":
        parts.append(f"with {', '.join(line.actors)} acting")
    if line.via:
        parts.append(f"from a token with {', '.join(line.via)}")
    stated = ("purpose", "tenant", "workspace", "project", "address")
    parts += (f"{name} {getattr(line, name)}" for name in stated if getattr(line, name))
    parts.append(f"by {', '.join(route for route in (line.route, *line.acting) if route)}")
    if line.needs:
        parts.append(f"with {' '.join(f'{need.name}={need.value}' for need in line.needs)}")
    parts.append(f"for {spell_seconds(line.lifetime)} ({line.bounded_by})")
    if line.mode != "enforce":
        parts.append(f"observed{f', the rules say {line.would}' if line.would else ''}")
    return "  ".join(parts)


def _fact(fact: FactShown) -> str:
    value = json_text.dumps(fact.value, ensure_ascii=False)
    told = f"{fact.path} = {value}" if fact.present else f"{fact.path} is absent"
    if fact.source == "request":
        return told
    age = f", {spell_seconds(fact.age)} old" if fact.age is not None else ""
    return f"{told}  ({fact.source}{age})"


def _cell(line: Line, name: str) -> str:
    value = getattr(line, name)
    if name == "needs":
        return " ".join(f"{need.name}={need.value}" for need in line.needs)
    if name == "facts":
        return msgspec.json.encode(line.facts).decode()
    return " ".join(value) if isinstance(value, tuple) else str(value)


def _row(cells: Any) -> str:
    """One line of CSV; a cell that a spreadsheet would take for a formula begins with an apostrophe."""
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow([f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in cells])
    return out.getvalue()


def _printable(text: str) -> str:
    """Names come from outside: nothing in them may move the cursor or turn the text around."""
    return "".join(c if c.isprintable() else f"\\u{{{ord(c):x}}}" for c in text)
