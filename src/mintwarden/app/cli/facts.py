"""`mintwarden facts push | show`: what the store says about somebody or something."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import cyclopts
import msgspec

from mintwarden.app.clock import SystemClock
from mintwarden.app.config import load_config
from mintwarden.app.foundation import governing_catalogue
from mintwarden.app.spelling import millis_of
from mintwarden.context.ports import FactDocument, FactRow, Span
from mintwarden.context.push import Pushed, PushGate
from mintwarden.model.catalogue import Source
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.policy.bundle.sources import NAMESPACES, PRINCIPALS
from mintwarden.store import Store, open_store

app = cyclopts.App(name="facts", help="Push facts.")

ConfigFile = Annotated[Path, cyclopts.Parameter(name=["--config", "-c"], help="The configuration file.")]
AsJson = Annotated[bool, cyclopts.Parameter(name="--json", negative="", help="For a machine to read.")]
Entity = Annotated[
    str,
    cyclopts.Parameter(help="An entity key: `User:alice`, `Agent:refunds`, `session:<id>`, `client:<id>`, `world:`."),
]
DEFAULT = Path("mintwarden.toml")
_LONGEST_INPUT = 1 << 20


@app.command
def push(
    entity: Entity,
    source: Annotated[str, cyclopts.Parameter(help="A source of kind `store` in the bundle.")],
    facts: Annotated[
        str,
        cyclopts.Parameter(
            allow_leading_hyphen=True, help="The facts as a JSON object; `-` reads it from standard input."
        ),
    ],
    /,
    *,
    groups: Annotated[
        tuple[str, ...], cyclopts.Parameter(name="--group", negative="", help="A group it is in, near or far.")
    ] = (),
    spans: Annotated[
        str, cyclopts.Parameter(help='Spans as JSON: `{"<fact>": {"<element>": [<start ms>, <end ms>]}}`.')
    ] = "{}",
    observed_at: Annotated[
        str, cyclopts.Parameter(help="When it was observed, such as `2026-11-24T02:30:00Z`; now when left out.")
    ] = "",
    config: ConfigFile = DEFAULT,
    json: AsJson = False,
) -> None:
    """Replace what a source says about an entity. The next decision sees it, on every node.

    What was observed earlier than what is stored changes nothing.
    """
    loaded = load_config(config)
    now = SystemClock().now()
    pushed = Pushed(
        entity=entity,
        source=source,
        facts=_parsed(facts, dict[str, Any], "facts"),
        groups=sorted(set(groups)),
        spans=_parsed(spans, dict[str, dict[str, Span]], "spans"),
        observed_at=millis_of(observed_at) if observed_at else None,
    )
    rows = _checked(PushGate(asyncio.run(governing_catalogue(loaded))), pushed, now)
    stands = asyncio.run(_push(loaded.store.url, rows))
    if json:
        _print_json({"entity": entity, "source": source, "observed_at": rows[0][1].observed_at, "stands": stands})
    elif stands:
        print(f"{entity} {source}: pushed")
    else:
        print(f"{entity} {source}: unchanged, what is stored was observed later")


@app.command
def show(entity: Entity, /, *, config: ConfigFile = DEFAULT, json: AsJson = False) -> None:
    """Show everything that the store says about an entity, with the age of each document."""
    if ":" not in entity or entity.partition(":")[0] not in (*PRINCIPALS, *NAMESPACES):
        what = f"`{entity[:100]}` is not an entity key"
        raise MintwardenError(ErrorKind.INVALID_REQUEST, what, hint="write it as `User:alice`, or `session:<id>`")
    loaded = load_config(config)
    sources = asyncio.run(governing_catalogue(loaded)).sources
    rows, sealed = asyncio.run(_read(loaded.store.url, entity))
    now = SystemClock().now()
    found = [_described(row, sources.get(row.source), now) for row in sorted(rows, key=lambda row: row.source)]
    if json:
        _print_json({"entity": entity, "sealing_key": sealed, "documents": found})
        return
    if not found:
        print(f"{entity}: nothing is stored")
    for document in found:
        print(f"{document['source']}  {document['state']}, observed {document['observed_at']} ({document['age']} ago)")
        for name, value in document["facts"].items():
            print(f"  {name} = {msgspec.json.encode(value).decode()}")
        if document["groups"]:
            print(f"  groups: {', '.join(document['groups'])}")
        for name, spans in document["spans"].items():
            for element, (start, end) in spans.items():
                print(f"  {name} `{element}`: from {start or 'always'} until {end or 'further notice'}")


def _checked(gate: PushGate, pushed: Pushed, now: int) -> list[tuple[str, FactRow]]:
    try:
        return gate.rows([pushed], now)
    except MintwardenError as error:
        # of one document there is no need to say which
        raise MintwardenError(error.kind, error.public.removeprefix("document 0: "), hint=error.hint) from None


async def _push(url: str, rows: list[tuple[str, FactRow]]) -> bool:
    """Whether what was pushed is what is stored now."""
    store: Store = await open_store(url)
    try:
        await store.facts.put(rows)
        entity, row = rows[0]
        return row in (await store.facts.read([entity])).rows.get(entity, ())
    finally:
        await store.close()


async def _read(url: str, entity: str) -> tuple[list[FactRow], bool]:
    store = await open_store(url, read_only=True)
    try:
        batch = await store.facts.read([entity])
        return list(batch.rows.get(entity, ())), entity in batch.subject_keys
    finally:
        await store.close()


def _described(row: FactRow, source: Source | None, now: int) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(row.document, type=FactDocument)
    except msgspec.DecodeError:
        document = FactDocument()
    age = max(0, now - row.observed_at)
    state = "not in the bundle"
    if source is not None:
        state = "stale" if source.max_age and age > source.max_age else "present"
    return {
        "source": row.source,
        "state": state,
        "observed_at": _date(row.observed_at),
        "age": _age(age),
        "facts": document.facts,
        "groups": document.groups,
        "spans": {
            name: {element: [_date(start), _date(end)] for element, (start, end) in spans.items()}
            for name, spans in document.spans.items()
        },
    }


def _parsed(text: str, kind: Any, what: str) -> Any:
    data = sys.stdin.buffer.read(_LONGEST_INPUT + 1) if text == "-" else text.encode(errors="surrogateescape")
    if len(data) > _LONGEST_INPUT:
        raise MintwardenError(ErrorKind.TOO_LARGE, f"the {what} are longer than {_LONGEST_INPUT} bytes")
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        reason = str(error)
        raise MintwardenError(
            ErrorKind.INVALID_REQUEST,
            f"the {what} are not what was expected: {reason[:1].lower()}{reason[1:]}",
            hint='write a JSON object, such as `{"risk_score": 20}`',
        ) from None


def _date(millis: int | None) -> str | None:
    if millis is None:
        return None
    return datetime.fromtimestamp(millis / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _age(millis: int) -> str:
    seconds = millis // 1000
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _print_json(value: object) -> None:
    print(msgspec.json.format(msgspec.json.encode(value)).decode())
