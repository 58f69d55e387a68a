"""The exact text that is signed: what is said, about which version, and on top of which one."""

from __future__ import annotations

import datetime
from typing import Literal

from msgspec import Struct

from mintwarden.policy.approve.wire import malformed

Act = Literal["author", "approve", "break_glass", "rollback"]
ACTS: tuple[str, ...] = Act.__args__  # type: ignore[attr-defined]
TITLE = "mintwarden policy statement v1"
NONE = "none"
LONGEST = 4096
_KEYS = ("act", "issuer", "bundle", "digest", "base", "after", "name", "at")


class Statement(Struct, frozen=True, kw_only=True):
    """One person's word about one version.

    Attributes:
        act: `author` (this is my work), `approve`, `break_glass` (govern with it in an emergency), `rollback`.
        issuer, bundle: whose policy, by the bundle's own words.
        digest: the version.
        base, after: the version that governed when it was signed (empty: none), and the number of its activation (0).
        name: who says it, as the bundle now active names them.
        at: when, seconds since the epoch.

    INVARIANT: `after` makes a word good for one moment of history. Without it, a version that was rolled back could be
    activated again by the approvals that it once had.
    """

    act: Act
    issuer: str
    bundle: str
    digest: str
    base: str
    after: int
    name: str
    at: int

    def text(self) -> str:
        """What is signed: a title and one line for each thing said, with a line feed after each."""
        at = datetime.datetime.fromtimestamp(self.at, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        values = (
            self.act, self.issuer, self.bundle, self.digest, self.base or NONE, str(self.after), self.name, at
        )  # fmt: skip
        return "\n".join((TITLE, *(f"{key}: {value}" for key, value in zip(_KEYS, values, strict=True)), ""))


def read_statement(text: str) -> Statement:
    """The statement of a text. One statement has one text: anything else is refused as `malformed`."""
    if len(text) > LONGEST:
        raise malformed("the statement is too long")
    lines = text.split("\n")
    if len(lines) != len(_KEYS) + 2 or lines[0] != TITLE or lines[-1]:
        raise malformed(f"it does not begin with `{TITLE}` and its {len(_KEYS)} lines")
    values = {}
    for key, line in zip(_KEYS, lines[1:-1], strict=True):
        if not line.startswith(f"{key}: ") or not line.isprintable():
            raise malformed(f"there is no line `{key}: ...` where it belongs")
        values[key] = line.removeprefix(f"{key}: ")
    if values["act"] not in ACTS:
        raise malformed("it says something that nobody understands")
    try:
        at = datetime.datetime.strptime(values["at"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.UTC)
        found = Statement(
            act=values["act"],  # type: ignore[arg-type]
            issuer=values["issuer"],
            bundle=values["bundle"],
            digest=values["digest"],
            base="" if values["base"] == NONE else values["base"],
            after=int(values["after"]),
            name=values["name"],
            at=int(at.timestamp()),
        )
    except (ValueError, OverflowError):
        raise malformed("a number or time of it cannot be read") from None
    if found.text() != text:
        raise malformed("it is not written as it should be")
    return found
