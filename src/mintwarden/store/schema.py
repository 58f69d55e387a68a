"""Which schema revisions this code works with."""

from __future__ import annotations

from mintwarden.model.errors import ErrorKind, MintwardenError

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009", "0010")
"""Every revision, oldest first; the last is what `mintwarden store migrate` leads to."""

SUPPORTED = ("0006", "0007", "0008", "0009", "0010")
"""The revisions that this code runs on.

A schema change ships one release before code relies on it: the release that adds revision N still lists N-1 here,
so that old and new nodes run side by side before and after the migration.
"""

HEAD = REVISIONS[-1]


def check_revision(found: str | None) -> None:
    """Raise `MintwardenError(STORE)` unless this code works with a store at revision `found`."""
    if found in SUPPORTED:
        return
    if found is None:
        public, hint = "the store has no schema", "make it with `mintwarden store migrate`"
    elif found in REVISIONS:
        public = f"the store's schema `{found}` is older than this version needs (`{SUPPORTED[0]}`)"
        hint = "back it up with `mintwarden store backup`, then run `mintwarden store migrate`"
    else:
        public = f"the store's schema `{found}` is newer than this version knows (`{HEAD}`)"
        hint = "run the version that ran `mintwarden store migrate`, or a later one"
    raise MintwardenError(ErrorKind.STORE, public, hint=hint)
