"""`mintwarden policy keygen FILE`: a key to sign with, for those without an SSH key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import cyclopts

from mintwarden.app.cli.command import Command

app = Command(name="keygen")

File = Annotated[Path, cyclopts.Parameter(help="Where to write the private key; readable by nobody else.")]
Algorithm = Annotated[Literal["Ed25519", "ES256"], cyclopts.Parameter(help="Which kind of key.")]


@app.default
def run(file: File, /, *, algorithm: Algorithm = "Ed25519") -> None:
    """Make a key to sign versions with, and print what `bundle.toml` takes of it."""
    import json

    from mintwarden.app.signing import make_key

    members = json.loads(make_key(file, algorithm).text)
    print(f"keys = [{{ {', '.join(f'{name} = {json.dumps(value)}' for name, value in members.items())} }}]")
