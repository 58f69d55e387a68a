"""`mintwarden serve`: tokens over HTTP until SIGTERM."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import cyclopts

from mintwarden.app.cli.command import Command

app = Command(name="serve")


@app.default
def serve(
    *,
    config: Annotated[Path, cyclopts.Parameter(name=["--config", "-c"], help="The configuration file.")] = Path(
        "mintwarden.toml"
    ),
) -> None:
    """Serve tokens until SIGTERM or SIGINT, then finish what is under way.

    Logs go to standard error; once it takes requests, one line with its address goes to standard output.
    """
    from mintwarden.app.config import load_config
    from mintwarden.app.dangers import refuse_dangers
    from mintwarden.app.server import bind
    from mintwarden.app.server import serve as serve_until_told
    from mintwarden.app.wiring import open_service, rehearse

    loaded = load_config(config)
    refuse_dangers(loaded)
    with bind(loaded) as listening:
        if loaded.server.workers > 1:
            asyncio.run(rehearse(loaded))
        host, port = listening.getsockname()[:2]
        scheme = "https" if loaded.server.tls_certificate else "http"
        shown = f"[{host}]" if ":" in host else host
        serve_until_told(
            loaded, listening, open_service, ready=lambda: print(f"listening on {scheme}://{shown}:{port}", flush=True)
        )
