"""Pure rooms stay pure: no clock, no randomness, no I/O, no logging, no waiting.

The same inputs must give the same decision, byte for byte, on any machine and at any later date. So the rooms that
decide may not even import what could make a difference. Import contracts cannot say this of the standard library
or of builtins; this lint can.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tools.findings import Finding, Source, dotted, imported_names, sources

PURE = ("model/", "policy/", "mint/prepare.py")
READERS = frozenset({"policy/bundle/read.py"})
"""The one function that reads a bundle from disk stands here; everything else gets bytes."""

CLOCK = {"time", "sched", "zoneinfo"}
RANDOM = {"random", "secrets", "numpy"}
INPUT_OUTPUT = set(
    "os io socket ssl select selectors subprocess tempfile shutil glob fileinput mmap http urllib.request ftplib "
    "smtplib sqlite3 shelve dbm signal platform getpass ctypes importlib locale httpx2 requests starlette uvicorn "
    "sqlalchemy asyncpg psycopg opentelemetry prometheus_client rich cyclopts obstore".split()
)
WAITING = {"asyncio", "threading", "multiprocessing", "concurrent", "queue", "anyio", "trio"}
LOGGING = {"logging", "structlog", "warnings", "syslog", "traceback"}
BANNED_MODULES = {
    **dict.fromkeys(CLOCK, "reads the clock"),
    **dict.fromkeys(RANDOM, "is random"),
    **dict.fromkeys(INPUT_OUTPUT, "does input or output"),
    **dict.fromkeys(WAITING, "waits for others"),
    **dict.fromkeys(LOGGING, "logs"),
}

BANNED_BUILTINS = {
    **dict.fromkeys(("open", "print", "input", "breakpoint"), "does input or output"),
    "__import__": "imports past this lint",
}
BANNED_NAMES = {
    **dict.fromkeys(
        (f"datetime.{kind}.{call}" for kind in ("datetime", "date") for call in ("now", "utcnow", "today")),
        "reads the clock",
    ),
    **dict.fromkeys(
        ("uuid.uuid1", "uuid.uuid4", "uuid.uuid6", "uuid.uuid7", "uuid.uuid8", "uuid.getnode"), "is random"
    ),
    **dict.fromkeys(("sys.stdin", "sys.stdout", "sys.stderr", "sys.argv", "sys.path"), "does input or output"),
    "codecs.open": "does input or output",
    "pathlib.Path.cwd": "does input or output",
    "pathlib.Path.home": "does input or output",
}
BANNED_METHODS = {
    **dict.fromkeys(("now", "utcnow", "today"), "reads the clock: let `now` be handed in"),
    **dict.fromkeys(
        (
            "read_text",
            "read_bytes",
            "write_text",
            "write_bytes",
            "iterdir",
            "rglob",
            "mkdir",
            "unlink",
            "is_file",
            "is_dir",
        ),
        "does input or output",
    ),
}


def is_pure(source: Source) -> bool:
    """Whether the rule holds for this file."""
    room_path = source.room_path
    return room_path.startswith(PURE) and room_path not in READERS


def check(source: Source) -> Iterator[Finding]:
    """Every place of one pure file that could make two runs differ."""
    names = imported_names(source.tree)
    for node in ast.walk(source.tree):
        for text in _faults(node, names):
            yield Finding(source.path, getattr(node, "lineno", 1), f"{text}; {source.room_path} must stay pure")


def _faults(node: ast.AST, names: dict[str, str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield from _module_fault(alias.name)
    elif isinstance(node, ast.ImportFrom):
        if node.module and not node.level:
            yield from _module_fault(node.module)
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield from _module_fault(whole, exactly=True)
                yield from _name_fault(whole)
    elif isinstance(node, (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)):
        if not isinstance(node, ast.AsyncFunctionDef) or not _is_stub(node):
            yield "`async` waits for others"
    elif isinstance(node, ast.Attribute):
        yield from _name_fault(dotted(node, names))
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        whole = names.get(node.id, node.id)
        if whole in BANNED_BUILTINS:
            yield f"`{node.id}` {BANNED_BUILTINS[whole]}"
    elif isinstance(node, ast.Call):
        yield from _call_faults(node)


def _module_fault(name: str, *, exactly: bool = False) -> Iterator[str]:
    parts = name.split(".")
    for length in [len(parts)] if exactly else range(1, len(parts) + 1):
        module = ".".join(parts[:length])
        if module in BANNED_MODULES:
            yield f"module `{module}` {BANNED_MODULES[module]}"


def _name_fault(name: str) -> Iterator[str]:
    if name in BANNED_NAMES:
        yield f"`{name}` {BANNED_NAMES[name]}"


def _call_faults(node: ast.Call) -> Iterator[str]:
    function = node.func
    if isinstance(function, ast.Attribute) and function.attr in BANNED_METHODS:
        yield f"`.{function.attr}()` {BANNED_METHODS[function.attr]}"
    if isinstance(function, ast.Name) and function.id in ("getattr", "vars") and len(node.args) > 1:
        wanted = node.args[1]
        if isinstance(wanted, ast.Constant) and wanted.value in BANNED_METHODS:
            yield f"`{function.id}` reaches for `{wanted.value}`, which {BANNED_METHODS[wanted.value]}"


def _is_stub(node: ast.AsyncFunctionDef) -> bool:
    """A method of a Protocol: nothing but a docstring and `...`."""
    return all(isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant) for statement in node.body)


def findings(root: Path) -> Iterator[Finding]:
    """What is wrong in all pure rooms under `root`."""
    for source in sources(root):
        if is_pure(source):
            yield from check(source)
