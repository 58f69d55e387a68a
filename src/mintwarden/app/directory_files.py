"""Reads directory files record by record: JSON, JSON Lines and CSV, in bounded memory."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from msgspec import Struct

from mintwarden.app.problem import Problem
from mintwarden.context.directory import KINDS, PLURALS
from mintwarden.model.errors import ErrorKind, MintwardenError

LARGEST_JSON = 64 * 1024 * 1024
LONGEST_LINE = 1024 * 1024
LIST_SEPARATOR = ";"
_TEXT_COLUMNS = frozenset({"id", "kind", "entity", "fact", "element", "start", "end"})
_LIST_COLUMNS = frozenset({"groups", "member_of"})


class Record(Struct, frozen=True):
    """One record as it stands in a file. `kind` is one of `KINDS`, `group` or `entitlement`."""

    kind: str
    fields: dict[str, Any]
    file: str
    line: int


def read_records(paths: Sequence[Path], sets: frozenset[str]) -> Iterator[Record | Problem]:
    """Every record of the files, in order, and what cannot be read as one.

    `sets` names the facts that are sets: their CSV cells are lists separated by `;`. Raises
    `MintwardenError(NOT_FOUND)` for a file that cannot be read.
    """
    for path in paths:
        suffix = path.suffix.lower()
        try:
            if suffix == ".csv":
                yield from _csv(path, sets)
            elif suffix in (".jsonl", ".ndjson"):
                yield from _json_lines(path)
            elif suffix == ".json":
                yield from _json(path)
            else:
                yield Problem(str(path), 0, "not a directory file", "name it `.json`, `.jsonl` or `.csv`")
        except OSError as error:
            reason = (error.strerror or "unknown reason").lower()
            raise MintwardenError(ErrorKind.NOT_FOUND, f"`{path}` cannot be read: {reason}") from error


def _json_lines(path: Path) -> Iterator[Record | Problem]:
    with path.open("rb") as lines:
        for number, line in _lines(lines):
            if line is None:
                yield Problem(str(path), number, f"longer than {LONGEST_LINE} bytes", "one record per line")
                return
            if not line.strip():
                continue
            try:
                fields = _parsed(line.rstrip())
            except ValueError as error:
                yield Problem(str(path), number, str(error), "each line is one JSON object")
                continue
            yield _record(path, number, None, fields)


def _lines(file: IO[bytes]) -> Iterator[tuple[int, bytes | None]]:
    """Lines with their numbers; None for one that is too long."""
    for number in itertools.count(1):
        line = file.readline(LONGEST_LINE + 1)
        if not line:
            return
        yield number, None if len(line) > LONGEST_LINE else line.removeprefix(b"\xef\xbb\xbf" if number == 1 else b"")


def _json(path: Path) -> Iterator[Record | Problem]:
    with path.open("rb") as file:
        data = file.read(LARGEST_JSON + 1)
    if len(data) > LARGEST_JSON:
        yield Problem(
            str(path), 0, f"longer than {LARGEST_JSON} bytes", "write JSON Lines (`.jsonl`): one record a line"
        )
        return
    try:
        lists = _parsed(data)
    except ValueError as error:
        yield Problem(str(path), 0, str(error), "see docs/directory.md")
        return
    if not isinstance(lists, dict):
        yield Problem(str(path), 0, "not a JSON object", "lists under `people`, `groups`, ...; see docs/directory.md")
        return
    for name, records in lists.items():
        if name not in PLURALS or not isinstance(records, list):
            known = ", ".join(f"`{known}`" for known in PLURALS)
            yield Problem(str(path), 0, f"`{name}` is not a list of records", f"known are {known}")
            continue
        for number, fields in enumerate(records, start=1):
            yield _record(Path(f"{path} {name}"), number, PLURALS[name], fields)


def _csv(path: Path, sets: frozenset[str]) -> Iterator[Record | Problem]:
    kind = _kind_of(path)
    with path.open(encoding="utf-8-sig", newline="") as lines:
        table = csv.DictReader(lines, strict=True)
        try:
            columns = list(table.fieldnames or ())
            problem = _header_problem(columns, kind)
            if problem:
                yield Problem(str(path), 1, *problem)
                return
            for row in table:
                if None in row or None in row.values():
                    yield Problem(str(path), table.line_num, f"expected {len(columns)} values", "quote values with `,`")
                    continue
                fields = {column: _cell(column, text, sets) for column, text in row.items()}
                yield _record(path, table.line_num, kind, fields)
        except csv.Error as error:
            yield Problem(str(path), table.line_num, f"not CSV: {error}".replace("\n", " "), "see RFC 4180")
        except UnicodeDecodeError:
            yield Problem(str(path), table.line_num, "not UTF-8", "save it in UTF-8")


def _kind_of(path: Path) -> str | None:
    """The kind that a CSV file's name says: `people.csv`, `2026-11-people.csv`."""
    last = path.stem.replace("_", "-").rpartition("-")[2].lower()
    return PLURALS.get(last)


def _header_problem(columns: list[str], kind: str | None) -> tuple[str, str] | None:
    if not columns:
        return "the file is empty", "the first line names the columns"
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        return f"column `{twice[0]}` is there twice", "remove one"
    if kind is None and "kind" not in columns:
        names = ", ".join(f"`{name}.csv`" for name in PLURALS)
        return "the file does not say what its records are", f"name it one of {names}, or add a column `kind`"
    return None


def _cell(column: str, text: str, sets: frozenset[str]) -> Any:
    if column in _LIST_COLUMNS or column.endswith(".groups") or (column in sets and column not in _TEXT_COLUMNS):
        return [item.strip() for item in text.split(LIST_SEPARATOR) if item.strip()]
    return text or None


def _record(path: Path, line: int, kind: str | None, fields: object) -> Record | Problem:
    if not isinstance(fields, dict):
        return Problem(str(path), line, "not a JSON object", "a record is an object with an `id`")
    said = fields.pop("kind", None) if kind is None or "kind" in fields else kind
    if said not in KINDS and said not in ("group", "entitlement"):
        known = ", ".join(f"`{known}`" for known in (*KINDS, "group", "entitlement"))
        return Problem(str(path), line, f"unknown kind `{str(said)[:40]}`", f"known are {known}")
    if kind is not None and said != kind:
        return Problem(str(path), line, f"a `{said}` among records of kind `{kind}`", "put it where it belongs")
    return Record(said, fields, str(path), line)


def _parsed(data: bytes) -> Any:
    """The JSON value; raises `ValueError` with what is wrong. A member that is there twice is wrong."""
    try:
        return json.loads(data, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        where = f" in line {error.lineno}" if error.lineno > 1 else ""
        raise ValueError(f"not JSON: {error.msg.lower()}{where}, column {error.colno}") from None
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"member `{twice}` is there twice")
    return found


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"`{text}` is not JSON")


def set_facts(facts: Iterable[tuple[str, str, bool]]) -> frozenset[str]:
    """Names, plain and with their source, of the facts that are sets, from (source, fact, is a set)."""
    return frozenset(name for source, fact, is_set in facts if is_set for name in (fact, f"{source}.{fact}"))
