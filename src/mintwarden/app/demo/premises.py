"""A folder in which the example company's policy can be changed as in earnest: its bundle, and its people's keys."""

from __future__ import annotations

import base64
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from mintwarden.app.acting import versions_of
from mintwarden.app.config import load_config
from mintwarden.app.demo.approvers import give_keys
from mintwarden.app.demo.stage import meridian
from mintwarden.app.foundation import foundation
from mintwarden.app.word import Moment, lay_beside, read_candidate, sign, statement_of
from mintwarden.govern.ports import Activation
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.policy.approve.statement import Act

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


async def let_govern(folder: Path, keys: Mapping[str, Path]) -> Activation:
    """Have the first version signed by its author, approved by every approver and activated; `keys` by name.

    The signatures are laid into the folder's bundle, as `mintwarden policy sign` and `approve` do.
    """
    candidate = read_candidate(folder / "meridian")
    approvals = candidate.bundle.approvals
    words: list[tuple[Act, str]] = [("author", approvals.authors[0].name)]
    words += [("approve", one.name) for one in approvals.approvers]
    async with foundation(load_config(folder / "mintwarden.toml"), create=True) as base:
        now, versions = base.clock.now(), versions_of(base)
        said = [
            sign(statement_of(candidate, act, name, Moment("", 0), now // 1000), keys[name], by=candidate.bundle)
            for act, name in words
        ]
        for one in said:
            lay_beside(one, folder / "meridian")
        await versions.submit(candidate.texts, said, now=now)
        return await versions.activate(candidate.bundle.digest, by=approvals.authors[0].name, now=now)
