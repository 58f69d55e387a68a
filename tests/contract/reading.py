"""How much a store reads for an answer: rows that PostgreSQL looked at, steps that SQLite took; never time."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

Work = Callable[[], Awaitable[object]]


async def steps(part: Any, work: Work) -> int:
    """Steps of SQLite's machine while the part of a store reads for `work`: they grow with the rows that it visits."""
    taken = 0

    def one() -> int:
        nonlocal taken
        taken += 1
        return 0

    await work()  # what is prepared once is prepared
    connection = await part._reader_thread.run(part._reader.use)
    connection.set_progress_handler(one, 1)
    try:
        await work()
    finally:
        connection.set_progress_handler(None, 0)
    return taken


async def rows(part: Any, url: str, work: Work) -> int:
    """Rows of tables and indexes that PostgreSQL visits for what the part of a store asks while it does `work`."""
    asked: list[Any] = []
    await work()
    (link,) = part._reads._idle
    link.add_query_logger(asked.append)
    try:
        await work()
    finally:
        link.remove_query_logger(asked.append)
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("ANALYZE")
        await connection.execute("SET enable_seqscan = off")  # as with tables too large for it to be cheaper
        plans = [
            json.loads(await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {one.query}", *one.args))
            for one in asked
            if one.query.lstrip().startswith("SELECT")
        ]
    finally:
        await connection.close()
    assert plans
    return sum(_visited(plan[0]["Plan"]) for plan in plans)


def _visited(node: dict[str, Any]) -> int:
    own = 0
    if "Scan" in node["Node Type"]:
        own = round((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"])
    return own + sum(_visited(below) for below in node.get("Plans", ()))
