"""`mintwarden policy pack PATH`: a bundle as the administration API takes it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cyclopts

from mintwarden.app.cli.command import Command

app = Command(name="pack")

Folder = Annotated[Path, cyclopts.Parameter(help="The bundle: a folder with a `bundle.toml`.")]


@app.default
def run(path: Folder, /) -> None:
    """Print a bundle, with the signatures beside it, as the body of `POST /admin/v1/versions`."""
    import msgspec

    from mintwarden.app.word import read_candidate

    candidate = read_candidate(path)
    body = {"files": candidate.texts, "signatures": [one.text for one in candidate.signatures]}
    print(msgspec.json.encode(body).decode())
