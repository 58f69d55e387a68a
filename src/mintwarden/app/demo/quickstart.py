"""Puts the demonstration together: folder, store, upstreams, server, story, manifest."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import httpx2
from msgspec import Struct
from rich.console import Console

from mintwarden.app.demo.calls import Broken, Caller, send
from mintwarden.app.demo.cast import PEOPLE
from mintwarden.app.demo.front import Front
from mintwarden.app.demo.identified import LEDGER_WORKLOAD, MESH
from mintwarden.app.demo.importing import import_directory
from mintwarden.app.demo.manifest import Manifest, require_writable
from mintwarden.app.demo.process import last_lines, serving
from mintwarden.app.demo.script import Script
from mintwarden.app.demo.stage import Stage, free_port, set_stage
from mintwarden.app.demo.story import Story
from mintwarden.app.demo.tell import Teller
from mintwarden.app.demo.upstreams import Upstreams, open_upstreams
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.store.postgres.embedded import EmbeddedPostgres

RENEWAL = 600.0
"""Seconds after which the tokens in the manifest are made anew."""
SOON = 30.0
"""The same after they could not be."""


class Wishes(Struct, frozen=True, kw_only=True):
    """What the user wants of it; see `mintwarden quickstart --help`."""

    serve: bool = False
    port: int = 0
    manifest: Path | None = None
    store: str = "sqlite"
    folder: Path | None = None


def run_quickstart(wishes: Wishes, *, console: Console | None = None) -> int:
    """Tell the story and, if wished, keep serving; 0 when every step held, 1 when one did not."""
    if wishes.manifest is not None:
        require_writable(wishes.manifest)
    console = console or Console(highlight=False)
    told = Signals()
    try:
        with (
            told,
            _folder(wishes) as folder,
            _store(wishes) as store,
            _upstreams() as upstreams,
            contextlib.closing(Front()) as front,
        ):
            return _on_stage(wishes, folder, store, upstreams, front, console, told)
    except Broken as error:
        console.print(f"\nthe story does not hold: {error.public}", style="bold red", markup=False)
        if error.hint:
            console.print(f"  {error.hint}", markup=False)
        return 1


def _on_stage(
    wishes: Wishes, folder: Path, store: str, upstreams: Upstreams, front: Front, console: Console, told: Signals
) -> int:
    begun = time.monotonic()
    teller = Teller(console)
    teller.opening(
        "Meridian Payments: its tokens, decided by rules, recorded before they are signed",
        (f"folder  {folder}", f"store   {wishes.store}"),
    )
    port = wishes.port or free_port()
    stage = asyncio.run(set_stage(folder, port=port, store=store, upstreams=upstreams, front=front.base))
    imported = import_directory(stage, int(time.time() * 1000))
    teller.ran(imported.words)
    teller.quote(imported.output, most=8)
    caller = Caller(stage=stage, upstreams=upstreams)
    with serving(stage.config, log=stage.log) as server, httpx2.Client(timeout=20.0) as http:
        try:
            admin = str(send(http, Script(caller).administrator()).json()["access_token"])
            script = Script(caller, admin_token=admin)
            story = Story(stage=stage, script=script, server=server, http=http, teller=teller)
            story.tell()
        except (Broken, httpx2.HTTPError) as error:
            console.print("\n".join(last_lines(stage.log, 5)), style="dim", markup=False)
            raise error if isinstance(error, Broken) else Broken(f"the server did not answer: {error}") from error
        manifest = Manifest(
            stage=stage,
            caller=caller,
            upstreams=upstreams,
            http=http,
            vkey=story.vkey,
            decision=story.decision,
            pid=server.pid,
            front=front,
            own=stage.own,
        )
        front.start(stage.issuer, shows=stage.front, trusts=[stage.authority, caller.authority(MESH), stage.own])
        told.serve()
        if wishes.manifest is not None:
            manifest.write(wishes.manifest)
        teller.closing((f"Every step held, in {time.monotonic() - begun:.0f} seconds.", *_ways_on(wishes, stage)))
        pause = RENEWAL
        while wishes.serve and not told.wait(pause):
            if server.poll() is not None:
                raise Broken("the server ended by itself", hint=" ".join(last_lines(stage.log, 3))[-300:])
            if wishes.manifest is not None:
                pause = renewed(functools.partial(manifest.write, wishes.manifest), console)
    return 0


def renewed(write: Callable[[], None], console: Console) -> float:
    """Write the manifest anew; in how many seconds the next time is. A busy server ends no demonstration."""
    try:
        write()
    except (Broken, httpx2.HTTPError) as error:
        console.print(f"the manifest stays as it was for now: {error}", style="dim", markup=False)
        return SOON
    return RENEWAL


def _ways_on(wishes: Wishes, stage: Stage) -> tuple[str, ...]:
    if not wishes.serve:
        return ("Go on with `mintwarden quickstart --serve`, or with a bundle of your own: `mintwarden init`.",)
    return (
        f"Serving on {stage.issuer} until it is interrupted.",
        *((f"Manifest: {wishes.manifest}",) if wishes.manifest is not None else ()),
        f"Ask it:   mintwarden explain <decision or token> --config {stage.config}",
    )


class Signals:
    """SIGTERM and SIGINT end the demonstration in order: at once during the story, politely while it serves."""

    def __init__(self) -> None:
        self._told = threading.Event()
        self._waiting = False

    def wait(self, seconds: float) -> bool:
        """Wait until told to end, or for `seconds`; True when told."""
        return self._told.wait(seconds)

    def serve(self) -> None:
        """From now on a first signal is an end in order and no interruption."""
        self._waiting = True

    def __enter__(self) -> None:
        self._before = {number: signal.signal(number, self._hear) for number in (signal.SIGTERM, signal.SIGINT)}

    def __exit__(self, *_error: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _hear(self, _number: int, _frame: FrameType | None) -> None:
        again = self._told.is_set()
        self._told.set()
        if again or not self._waiting:
            raise KeyboardInterrupt


@contextlib.contextmanager
def _folder(wishes: Wishes) -> Iterator[Path]:
    """The working folder: the user's, which stays, or a temporary one, which goes."""
    if wishes.folder is not None:
        folder = wishes.folder.resolve()
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise MintwardenError(
                ErrorKind.CONFLICT,
                f"`{wishes.folder}` is not an empty folder",
                hint="name a new one: nothing is overwritten",
            )
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        return
    folder = Path(tempfile.mkdtemp(prefix="mintwarden-quickstart-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _store(wishes: Wishes) -> Iterator[str]:
    """The URL of a fresh PostgreSQL, or nothing: then it is SQLite."""
    if wishes.store == "sqlite":
        yield ""
        return
    with EmbeddedPostgres() as server:
        yield server.url()


def _upstreams() -> Upstreams:
    return open_upstreams(
        people=[person.name for person in PEOPLE],
        jobs=[f"repo:meridian-pay/checkout:environment:{place}" for place in ("production", "staging")],
        accounts=["system:serviceaccount:payments:checkout"],
        agents=["refunds-agent", "research-agent"],
        workloads=[LEDGER_WORKLOAD],
    )
