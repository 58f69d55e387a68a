"""More clients than the server admits: `python -m bench.flood URL FILE --connections N --seconds S --first K`.

Each connection sends a request, waits for the answer, sends the next. One that is told 503 comes back after
`Retry-After`, as RFC 9110 section 10.2.3 asks, or at once with `--impatient`. Prints JSON: how many tokens, how many
refusals, and the latencies of both apart (`wrk` would mix them).
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvloop

SPREAD_SECONDS = 1.0
"""Connections are opened over this time."""


class Flood:
    """Counts what all connections see. Only what ends between `begin` and `end` counts."""

    def __init__(self, requests: Iterator[bytes], *, impatient: bool) -> None:
        self.requests = requests
        self.impatient = impatient
        self.granted: list[float] = []
        self.refused: list[float] = []
        self.broken = 0
        self.others: dict[int, int] = {}
        self.sent = 0
        self.counting = False

    def next(self) -> bytes:
        """The next request."""
        self.sent += 1
        return next(self.requests)

    def count(self, status: int, seconds: float) -> None:
        """An answer."""
        if not self.counting:
            return
        if status == 200:
            self.granted.append(seconds)
        elif status == 503:
            self.refused.append(seconds)
        else:
            self.others[status] = self.others.get(status, 0) + 1


class Connection(asyncio.Protocol):
    """One client: one request at a time over one connection."""

    def __init__(self, flood: Flood) -> None:
        self._flood = flood
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        answer = parse_answer(self._received)
        if answer is None:
            return
        status, retry_after = answer
        self._received = b""
        self._flood.count(status, time.perf_counter() - self._sent_at)
        if status == 503 and not self._flood.impatient:
            asyncio.get_running_loop().call_later(retry_after, self._send)
        else:
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._flood.broken += self._flood.counting

    def _send(self) -> None:
        if self._transport is not None:
            self._sent_at = time.perf_counter()
            self._transport.write(self._flood.next())


def parse_answer(data: bytes) -> tuple[int, float] | None:
    """Status and `Retry-After` (0 without one) of an answer that is there as a whole, else None."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    length, retry_after = 0, 0.0
    for line in data[:end].lower().split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name == b"content-length":
            length = int(value)
        elif name == b"retry-after":
            retry_after = float(value)
    if len(data) < end + 4 + length:
        return None
    return int(data[9:12]), retry_after


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all do not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def read_requests(path: Path, first: int, host: str, target: str) -> Iterator[bytes]:
    """The requests of a file from line `first` on, as sent; the file begins again when it ends."""
    common = f"POST {target} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/x-www-form-urlencoded\r\n".encode()
    while True:
        with path.open("rb") as file:
            for line in itertools.islice(file, first, None):
                authorization, _, body = line.rstrip(b"\n").partition(b"\t")
                secret = b"" if authorization == b"-" else b"Authorization: %s\r\n" % authorization
                yield b"%s%sContent-Length: %d\r\n\r\n%s" % (common, secret, len(body), body)
        first = 0


async def flood(url: str, path: Path, *, connections: int, seconds: float, first: int, impatient: bool) -> Any:
    """Keep `connections` busy for `seconds` after they are all open; what they saw."""
    parts = urlsplit(url)
    seen = Flood(read_requests(path, first, parts.netloc, parts.path), impatient=impatient)
    loop = asyncio.get_running_loop()
    for _ in range(connections):
        await loop.create_connection(lambda: Connection(seen), parts.hostname or "", parts.port or 80)
        await asyncio.sleep(SPREAD_SECONDS / connections)
    await asyncio.sleep(4.0)  # the first refused are back
    seen.counting = True
    begun, used = time.perf_counter(), time.process_time()
    await asyncio.sleep(seconds)
    seen.counting = False
    took = time.perf_counter() - begun
    used = time.process_time() - used
    return {
        "rate": round(len(seen.granted) / took),
        "refusals": round(len(seen.refused) / took),
        "p50_ms": round(percentile(seen.granted, 0.50) * 1000, 1),
        "p99_ms": round(percentile(seen.granted, 0.99) * 1000, 1),
        "worst_ms": round(percentile(seen.granted, 1.0) * 1000, 1),
        "refused_p99_ms": round(percentile(seen.refused, 0.99) * 1000, 1),
        "broken": seen.broken,
        "others": seen.others,
        "sent": seen.sent,
        "busy": round(used / took, 2),
    }


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench.flood", description=__doc__)
    parser.add_argument("url")
    parser.add_argument("file", type=Path)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--impatient", action="store_true")
    told = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(
            flood(
                told.url,
                told.file,
                connections=told.connections,
                seconds=told.seconds,
                first=told.first,
                impatient=told.impatient,
            )
        )
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
