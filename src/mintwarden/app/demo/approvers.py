"""Fresh keys for the people of a copied bundle: nobody has the private halves of those in the repository."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import tomlkit
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from mintwarden.app.signing import make_key


def give_keys(bundle: Path, folder: Path, *, ssh: bool = False) -> Mapping[str, Path]:
    """Replace the keys of every approver and author in `bundle/bundle.toml`; private key files in `folder`, by name.

    Keys of our own, which sign without any other program; or with `ssh` OpenSSH's, for `ssh-keygen` to sign with.
    """
    head = bundle / "bundle.toml"
    document: Any = tomlkit.parse(head.read_text(encoding="utf-8"))
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[str, Path] = {}
    for table in ("approvers", "authors"):
        for person in document.get(table, ()):
            name = str(person["name"])
            file = _free(folder, name)
            public = _ssh_key(file) if ssh else _own_key(file)
            person["keys"] = [public]
            files[name] = file
    head.write_text(tomlkit.dumps(document), encoding="utf-8")
    return files


def _free(folder: Path, name: str) -> Path:
    """A file that is named after somebody: by the first name, or by all of it where that is taken."""
    whole = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "someone"
    short = folder / whole.partition("-")[0]
    return folder / whole if short.exists() else short


def _own_key(file: Path) -> Any:
    members = tomlkit.inline_table()
    members.update(msgspec.json.decode(make_key(file, "Ed25519").text, type=dict[str, str]))
    return members


def _ssh_key(file: Path) -> str:
    private = ed25519.Ed25519PrivateKey.generate()
    content = private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(content)
    public = private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    file.with_name(f"{file.name}.pub").write_text(f"{public}\n", encoding="utf-8")
    return public
