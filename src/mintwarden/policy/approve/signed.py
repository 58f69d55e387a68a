"""A statement and its signature in one text file: `signatures/<name>.sig` beside a bundle."""

from __future__ import annotations

import hashlib
import re

from msgspec import Struct

from mintwarden.policy.approve import own, sshsig
from mintwarden.policy.approve.keys import PublicKey
from mintwarden.policy.approve.statement import Statement, read_statement
from mintwarden.policy.approve.wire import MOST, malformed


class Signed(Struct, frozen=True, kw_only=True):
    """A statement with its signature, read and not yet believed. `text` is the whole file."""

    statement: Statement
    armor: str
    text: str

    @property
    def id(self) -> str:
        """The SHA-256 of the file, in hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def file(self) -> str:
        """A file name for it."""
        words = re.sub(r"[^a-z0-9]+", "-", self.statement.name.lower()).strip("-")[:40] or "someone"
        version = self.statement.digest.rpartition(":")[2][:12]
        return f"{version}-{self.statement.act}-{words}-{self.id[:8]}.sig"


def signed(statement: Statement, armor: str) -> Signed:
    """The two in one."""
    armor = armor.strip("\n") + "\n"
    return Signed(statement=statement, armor=armor, text=f"{statement.text()}\n{armor}")


def read_signed(text: str) -> Signed:
    """The statement and the signature of a file; raises `SignatureRefused("malformed")`."""
    if len(text) > MOST:
        raise malformed("the file is too long")
    head, separator, armor = text.replace("\r\n", "\n").partition("\n\n")
    if not separator:
        raise malformed("the signature does not follow after an empty line")
    return signed(read_statement(f"{head}\n"), armor)


def signer(one: Signed, known: tuple[PublicKey, ...]) -> PublicKey:
    """The key that signed it. Raises `SignatureRefused`: `malformed`, `wrong_key`, `bad_signature`."""
    message = one.statement.text().encode()
    if one.armor.startswith(own.BEGIN):
        return own.verify_own(one.armor, message, known)
    return sshsig.verify_sshsig(one.armor, message)
