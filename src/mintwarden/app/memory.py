"""What grants remember between requests, in the store of this deployment."""

from __future__ import annotations

from mintwarden.app.foundation import Foundation
from mintwarden.issue.memory import Memory


def memory_of(base: Foundation) -> Memory:
    """The memory of grants, sealed under the master key."""
    return Memory(states=base.store.states, seal=base.master, revocations=base.store.revocations)
