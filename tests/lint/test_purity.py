"""Planted violations: each must be found, and what pure rooms may do must not be."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tools import purity
from tools.findings import ROOT, Finding, Source

PLANTED = {
    "clock-import": "import time",
    "clock-from": "from time import monotonic",
    "clock-alias": "import time as t",
    "clock-now": "from datetime import datetime\nx = datetime.now()",
    "clock-now-alias": "import datetime as d\nx = d.datetime.utcnow",
    "clock-today": "from datetime import date as day\nx = day.today()",
    "clock-reference": "from datetime import datetime\nf = datetime.now\nx = f()",
    "clock-by-port": "def f(clock):\n    return clock.now()",
    "clock-getattr": "from datetime import datetime\nx = getattr(datetime, 'now')()",
    "random-import": "import random",
    "random-secrets": "from secrets import token_bytes",
    "random-uuid": "import uuid\nx = uuid.uuid4()",
    "random-uuid-from": "from uuid import uuid4",
    "io-os": "import os",
    "io-os-path": "import os.path",
    "io-environ": "from os import environ",
    "io-open": "x = open('a')",
    "io-open-alias": "f = open",
    "io-io": "import io",
    "io-print": "print(1)",
    "io-pathlib": "from pathlib import Path\nx = Path('a').read_text()",
    "io-pathlib-handed-in": "def f(p):\n    return p.read_bytes()",
    "io-cwd": "import pathlib\nx = pathlib.Path.cwd()",
    "io-socket": "import socket",
    "io-urllib": "import urllib.request",
    "io-urllib-from": "from urllib import request",
    "io-stdout": "import sys\nsys.stdout.write('x')",
    "io-http": "import httpx2",
    "io-inside-function": "def f():\n    import subprocess",
    "io-importlib": "import importlib",
    "io-dunder-import": "__import__('os')",
    "log-logging": "import logging",
    "log-structlog": "import structlog",
    "wait-asyncio": "import asyncio",
    "wait-async": "async def f():\n    return 1",
    "wait-thread": "from concurrent.futures import ThreadPoolExecutor",
}

ALLOWED = {
    "parse-time": "from datetime import datetime, time\nx = datetime.fromisoformat('2026-01-01T00:00:00Z')",
    "uuid-parse": "import uuid\nx = uuid.UUID('0' * 32)",
    "url-parse": "from urllib.parse import urlsplit",
    "hash": "import hashlib\nx = hashlib.sha256(b'').digest()",
    "path-annotation": "from pathlib import Path\ndef f(p: Path) -> str:\n    return p.name",
    "port": "class P:\n    async def read(self):\n        '''What.'''\n        ...",
    "own-now": "def f(now):\n    return now + 1",
}


def plant(code: str, where: str = "src/mintwarden/policy/decide.py") -> list[Finding]:
    return list(purity.check(Source(Path(where), ast.parse(code))))


@pytest.mark.parametrize("code", PLANTED.values(), ids=PLANTED)
def test_a_planted_violation_is_found(code: str):
    assert plant(code)


@pytest.mark.parametrize("code", ALLOWED.values(), ids=ALLOWED)
def test_what_is_pure_is_left_alone(code: str):
    assert plant(code) == []


@pytest.mark.parametrize(
    ("room_path", "pure"),
    [
        ("model/ids.py", True),
        ("policy/decide.py", True),
        ("policy/bundle/load.py", True),
        ("policy/bundle/read.py", False),
        ("mint/prepare.py", True),
        ("mint/sign.py", False),
        ("authn/fetch.py", False),
    ],
)
def test_which_files_must_be_pure(room_path: str, *, pure: bool):
    assert purity.is_pure(Source(Path("src/mintwarden") / room_path, ast.parse(""))) is pure


def test_it_walks_a_tree_of_files(tmp_path: Path):
    folder = tmp_path / "src/mintwarden/policy/deep"
    folder.mkdir(parents=True)
    (folder / "bad.py").write_text("import time\n")
    (folder.parent / "good.py").write_text("import hashlib\n")
    found = list(purity.findings(tmp_path))
    assert [(f.path.name, f.line) for f in found] == [("bad.py", 1)]
    assert str(found[0]).startswith("src/mintwarden/policy/deep/bad.py:1: module `time` reads the clock")


def test_the_repository_is_clean():
    assert list(purity.findings(ROOT)) == []
