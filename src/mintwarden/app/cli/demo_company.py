"""`mintwarden demo company FOLDER`: the example company's policy, and keys to change it with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cyclopts

Folder = Annotated[Path, cyclopts.Parameter(help="Where to write it, new or empty.")]


def run(folder: Folder, /) -> None:
    """Write the example company's bundle, a configuration and a key for each of its approvers.

    It is no development server: as in earnest, nothing governs before a version was signed, approved and activated.
    """
    from mintwarden.app.demo.premises import make_premises

    keys = make_premises(folder)
    print(f"{folder}: the bundle in meridian/, mintwarden.toml and its master key")
    for name, path in keys.items():
        print(f"  {path.relative_to(folder)}: the key of {name}")
