"""`mintwarden demo company FOLDER`: the example company's policy, and keys to change it with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cyclopts

Folder = Annotated[Path, cyclopts.Parameter(help="Where to write it, new or empty.")]


Activate = Annotated[
    bool, cyclopts.Parameter(negative="", help="Have the first version signed, approved by everybody and activated.")
]


def run(folder: Folder, /, *, activate: Activate = False) -> None:
    """Write the example company's bundle, a configuration and a key for each of its people.

    It is no development server: as in earnest, nothing governs before a version was signed, approved and activated.
    """
    import asyncio

    from mintwarden.app.demo.premises import let_govern, make_premises

    keys = make_premises(folder)
    print(f"{folder}: the bundle in meridian/, mintwarden.toml and its master key")
    for name, path in keys.items():
        print(f"  {path.relative_to(folder)}: the key of {name}")
    if activate:
        active = asyncio.run(let_govern(folder, keys))
        print(f"{active.digest} governs: signed by its author, approved by all others")
