"""Environment variables that override keys of the configuration: how they are called, and which were meant to be."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Final

PREFIX: Final = "MINTWARDEN_"
NEAR: Final = 0.8
"""How alike, as `difflib` counts, a name is to the one that was meant: one or two letters in it are wrong."""

_KUBERNETES = re.compile(
    r"MINTWARDEN_(?:SERVICE_(?:HOST|PORT(?:_[A-Z0-9_]+)?)|PORT(?:_[0-9]+_(?:TCP|UDP|SCTP)(?:_[A-Z]+)?)?)", re.ASCII
)
"""What Kubernetes tells every pod of a service that is called `mintwarden` (`enableServiceLinks`)."""


def override_name(path: tuple[str, ...]) -> str:
    """The environment variable that overrides a key."""
    return PREFIX + "_".join(re.sub(r"[^A-Za-z0-9]", "_", step).upper() for step in path)


def misspelt(name: str, overrides: Sequence[str]) -> str:
    """Which of `overrides` the variable called `name` was meant to be; empty where it is somebody else's.

    Others may have variables with our prefix: an image's, a template's, Kubernetes' own. So what is not almost one of
    ours is left alone.
    """
    written = name.upper()
    if not written.startswith(PREFIX) or _KUBERNETES.fullmatch(written):
        return ""
    # Without what they all begin with, which would make everything alike.
    tails = [override.removeprefix(PREFIX) for override in overrides]
    near = difflib.get_close_matches(written.removeprefix(PREFIX), tails, n=1, cutoff=NEAR)
    return PREFIX + near[0] if near else ""
