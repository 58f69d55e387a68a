"""A long ledger, quickly: the service's own parts append entries like those of a server, which then sequences them."""

from __future__ import annotations

import time
from pathlib import Path

from bench.inline import Decided, Inline, opened, read_wire, together
from bench.plan import Plan
from bench.requests import with_secret, write
from bench.servers import Site, metric, ours
from mintwarden.model.request import TokenRequest

GROUP = 512
"""Entries of one commit."""

PART = 50_000
CATCH_UP_SECONDS = 300.0


async def fill_ledger(config: Path, site: Site, entries: int, plan: Plan) -> None:
    """Append entries of decisions about every client in turn, each with an id, a token and a seal of its own.

    The server must not run. The decisions are made once and recorded again and again: what an entry holds and how
    it is stored is the same as with a server, only the deciding is saved.
    """
    async with opened(config) as line:
        decided = await _decide(line, site)
        begun = time.monotonic()
        for start in range(0, entries, PART):
            count = min(PART, entries - start)
            await together(count, GROUP, lambda index: _record(line, decided[index % len(decided)]))
            plan.tell(f"ledger: {start + count:,} of {entries:,} entries after {time.monotonic() - begun:.0f} s")


async def _decide(line: Inline, site: Site) -> list[Decided]:
    """A decision about each client, whose subject has its sealing key."""
    file = write(site.root / "fill.txt", with_secret(site.size.clients, site.secrets, site.size.clients))
    requests = [line.parse(wire) for wire in read_wire(file)]
    first = [await _walk(line, request) for request in requests]
    await together(len(first), GROUP, lambda index: _record(line, first[index]))  # brings the keys
    return [await _walk(line, request) for request in requests]


async def _walk(line: Inline, request: TokenRequest) -> Decided:
    caller = await line.authenticate(request)
    asked = line.resolve(request, caller)
    return line.decide(caller, asked, await line.assemble(asked, caller), line.new_id())


async def _record(line: Inline, decided: Decided) -> None:
    again = decided._replace(raw_id=line.new_id())
    await line.record(again, line.prepare(again))


def sequence(config: Path, site: Site, entries: int, plan: Plan) -> None:
    """Let a server give the new entries their place in the tree, until its checkpoint covers `entries`."""
    begun = time.monotonic()
    with ours(config, site, core=None):
        while metric(site, "mintwarden_tree_size") < entries:
            if time.monotonic() - begun > CATCH_UP_SECONDS:
                raise SystemExit("bench: the sequencer does not catch up")
            time.sleep(0.5)
    plan.tell(f"ledger: sequenced within {time.monotonic() - begun:.0f} s")
