"""A table of groups and scopes: `group,scope` and, where they are known, `audience`, `client` and `meaning`."""

from __future__ import annotations

import csv
import io

from mintwarden.app.bootstrap import strict
from mintwarden.app.bootstrap.collect import Collector
from mintwarden.app.bootstrap.mapping import Mapping

COLUMNS = ("group", "scope", "audience", "client", "meaning")
SHAPE = "a table of groups and scopes (CSV)"


def read(content: bytes, *, name: str) -> Mapping:
    """One row gives one scope to one group, through one client where it names one.

    Raises `INVALID_REQUEST` naming the line.
    """
    try:
        text = content.decode("utf-8-sig")
        rows = list(csv.reader(io.StringIO(text), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise strict.invalid(f"the table cannot be read: {str(error)[:100]}", "save it as CSV in UTF-8") from None
    if not rows:
        raise strict.invalid("the table is empty", f"its first line names the columns: {','.join(COLUMNS)}")
    head = [cell.strip().lower() for cell in rows[0]]
    unknown = [cell for cell in head if cell not in COLUMNS]
    if unknown or len(set(head)) != len(head) or not {"group", "scope"} <= set(head):
        raise strict.invalid("the first line does not name the columns", f"known are {', '.join(COLUMNS)}")
    strict.listed(rows, "the table")
    found = Collector(name=name, shape=SHAPE)
    for number, row in enumerate(rows[1:], start=2):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != len(head):
            raise strict.invalid(f"line {number} has {len(row)} cells instead of {len(head)}", "is a quote missing?")
        cells = dict(zip(head, row, strict=True))
        audience = strict.name(cells.get("audience") or name, f"`audience` in line {number}")
        scope = strict.name(cells["scope"], f"`scope` in line {number}")
        group = strict.name(cells["group"], f"`group` in line {number}")
        found.audience(audience)
        found.scope(audience, scope, meaning=strict.told(cells.get("meaning")))
        client = (cells.get("client") or "").strip()
        if client:
            found.client(strict.name(client, f"`client` in line {number}"), for_people=True)
            found.ceiling(audience, scope, [client])
        found.give(audience, scope, "group", group, through=[client] if client else None)
    found.gap_clients_unknown("the table", all_known=bool(found.clients))
    return found.mapping()
