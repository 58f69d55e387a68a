"""A folder in which the example company's policy can be changed as in earnest: its bundle, and its approvers' keys."""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomlkit

from mintwarden.app.demo.stage import meridian
from mintwarden.app.signing import make_key
from mintwarden.model.errors import ErrorKind, MintwardenError

CONFIG = """# The example company, to change its policy. No development server: a version governs by its quorum alone.

[server]
host = "127.0.0.1"
port = 8080

[store]
url = "sqlite:///mintwarden.db"

[bundle]
path = "meridian"

[keys]
master_key_file = "master.key"

[telemetry]
log_level = "warning"
"""


def make_premises(folder: Path) -> Mapping[str, Path]:
    """Write the bundle, a configuration and a key for each approver into `folder`; the key files by name.

    The bundle is that of the example company with these keys in place of the approvers' own, whose private halves
    nobody has. Raises `CONFLICT` for a folder that holds something.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise MintwardenError(
            ErrorKind.CONFLICT, f"`{folder}` is not an empty folder", hint="name a new one: nothing is overwritten"
        )
    (folder / "keys").mkdir(parents=True)
    shutil.copytree(meridian(), folder / "meridian")
    key = base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=") + b"\n"
    with os.fdopen(os.open(folder / "master.key", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(key)
    (folder / "mintwarden.toml").write_text(CONFIG, encoding="utf-8")
    return _give_keys(folder / "meridian" / "bundle.toml", folder / "keys")


def _give_keys(head: Path, keys: Path) -> Mapping[str, Path]:
    document = tomlkit.parse(head.read_text(encoding="utf-8"))
    given: dict[str, Path] = {}
    approvers: Any = document["approvers"]
    for approver in approvers:
        name = str(approver["name"])
        path = keys / name.partition(" ")[0].lower()
        public: dict[str, str] = json.loads(make_key(path, "Ed25519").text)
        item = tomlkit.inline_table()
        item.update(public)
        fresh = tomlkit.array()
        fresh.append(item)
        approver["keys"] = fresh
        given[name] = path
    head.write_text(tomlkit.dumps(document), encoding="utf-8")
    return given
