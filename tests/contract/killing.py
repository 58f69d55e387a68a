"""Kills the writer at a moment that depends on nothing but how far it has come."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

WRITER = Path(__file__).with_name("writer.py")


def write_until(url: str, first: int, batches: int, then: Callable[[subprocess.Popen[str]], object]) -> list[int]:
    """Numbers that the writer was told are durable; `then` is called after `batches` of them and ends it."""
    acknowledged = []
    with subprocess.Popen(
        [sys.executable, str(WRITER), url, str(first)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            acknowledged.append(int(line))
            if len(acknowledged) == batches:
                then(process)
    return acknowledged
