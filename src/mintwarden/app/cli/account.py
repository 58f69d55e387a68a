"""Who types a command, by the operating system's word."""

from __future__ import annotations

import os
import pwd

from mintwarden.model.values import EntityUid


def account() -> str:
    """The name of the account that runs this process, `uid-<number>` where it has none, as in some containers.

    INVARIANT: never what the environment says (`LOGNAME`, `USER`): with it whoever asks could approve in their own
    name, and whoever broke the glass could review it.
    """
    uid = os.getuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid-{uid}"


def typed_by() -> EntityUid:
    """The same as a principal."""
    return EntityUid("User", account())
