"""Servers for other people's tools: a small deployment with a witness, and the quickstart's company."""

from __future__ import annotations

import importlib.util
import json
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from interop.browsing import application, chromium, context, page
from interop.deployment import Deployment, Process, prepare, run
from tests.guards import loopback_only, pytest_runtest_makereport

__all__ = ["application", "chromium", "context", "loopback_only", "page", "pytest_runtest_makereport"]

HAS_WITNESS = importlib.util.find_spec("aics_witness") is not None


class Witness(NamedTuple):
    """A witness of somebody else's making."""

    name: str
    vkey: str
    url: str
    folder: Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The results as counts, file by file, and what suites with counts of their own have counted."""
    found: dict[str, Counter[str]] = {}
    told: dict[str, list[str]] = {}
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in terminalreporter.stats.get(outcome, ()):
            file = report.nodeid.partition("::")[0]
            found.setdefault(file, Counter())[outcome] += 1
            told.setdefault(file, []).extend(str(said) for name, said in report.user_properties if name == "counts")
    terminalreporter.section("other people's tools, as counts")
    for file in sorted(found):
        counted = ", ".join(f"{number} {outcome}" for outcome, number in found[file].items())
        terminalreporter.write_line("; ".join((f"{file}: {counted}", *told[file])))


@pytest.fixture(scope="session")
def witness(tmp_path_factory: pytest.TempPathFactory) -> Witness | None:
    """A witness, set up but not yet running; None on a Python that it does not support."""
    if not HAS_WITNESS:
        return None
    folder, port = tmp_path_factory.mktemp("witness"), free_port()
    name = "witness.example/w1"
    said = run("aics-witness", "init", "--name", name, "--listen", f"127.0.0.1:{port}", folder=folder)
    vkey = next(word for word in said.split() if word.startswith(f"{name}+"))
    return Witness(name, vkey, f"http://127.0.0.1:{port}", folder)


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory, witness: Witness | None) -> Iterator[Deployment]:
    """A running server with an audience for each algorithm, whose log the witness watches."""
    folder = tmp_path_factory.mktemp("deployment")
    made = prepare(folder, free_port(), witness=witness[:3] if witness else None)
    server = Process("mintwarden", "serve", "--config", str(folder / "mintwarden.toml"), folder=folder)
    try:
        server.wait_until(lambda: made.get("/readyz"), "the server is ready")
        yield made
    finally:
        server.stop()


@pytest.fixture(scope="session")
def watched(deployment: Deployment, witness: Witness | None) -> Iterator[Deployment]:
    """The same, once the witness knows the log and runs."""
    if witness is None:
        pytest.skip("explained: aics-witness needs Python 3.12")
    run(
        "aics-witness",
        "add-log",
        "--origin",
        deployment.issuer.removeprefix("http://"),
        "--vkey",
        deployment.vkey(),
        folder=witness.folder,
    )
    process = Process("aics-witness", "serve", folder=witness.folder)
    try:
        process.wait_until(lambda: any("1" in line for line in process.output), "the witness runs")
        yield deployment
    finally:
        process.stop()


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The quickstart's manifest, with its server running."""
    folder = tmp_path_factory.mktemp("quickstart")
    path = folder / "manifest.json"
    server = Process(
        "mintwarden", "quickstart", "--serve", "--port", str(free_port()), "--manifest", str(path), folder=folder
    )
    try:
        server.wait_until(path.exists, "the quickstart serves")
        yield {**json.loads(path.read_text()), "path": str(path)}
    finally:
        server.stop()
