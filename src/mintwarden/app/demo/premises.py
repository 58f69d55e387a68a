"""A folder in which the example company's policy can be changed as in earnest: its bundle, and its people's keys."""

from __future__ import annotations

import base64
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from mintwarden.app.demo.approvers import give_keys
from mintwarden.app.demo.stage import meridian
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
    """Write the bundle, a configuration and keys for its approvers and authors into `folder`; the key files by name.

    The bundle is that of the example company with these keys in place of their own, whose private halves
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
    return give_keys(folder / "meridian", folder / "keys")
