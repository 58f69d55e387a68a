"""Calls of the administration API in the ledger: written down before anything comes of them."""

from __future__ import annotations

from typing import Literal

from mintwarden.govern.scribe import Scribe
from mintwarden.ledger.ports import SubjectKeys
from mintwarden.model.caller import Evidence

Outcome = Literal["permitted", "refused", "malformed"]
"""`permitted`: it was taken up. `refused`: the token lacks a scope. `malformed`: it is not what the operation takes."""

_NAMED = ("Workload:", "Agent:", "client:", "world:")
"""Entities that are nobody and lead to nobody. A session and a device are somebody's."""


class CallRecorder:
    """Writes calls down, durably: which operation, by whom, with which token; nothing personal."""

    def __init__(self, *, scribe: Scribe, keys: SubjectKeys) -> None:
        self._scribe = scribe
        self._keys = keys

    async def __call__(
        self, *, operation: str, outcome: Outcome, who: Evidence, target: str = "", person: str = ""
    ) -> str:
        """The id of the entry.

        `target` names what the call is about, and nobody; `person` is an entity key, of which that of a person (or of a
        session, a device) is recorded as the number of their sealing key: while that exists, and no longer, it can be
        told whom the call was about. Of two that could be named in clear, it is `target`.
        """
        detail: dict[str, object] = {
            "operation": operation,
            "outcome": outcome,
            "client": who.client_id,
            "token": who.token_id,
        }
        if person and not person.startswith(_NAMED):
            key = await self._keys.get(person)
            if key is not None:
                detail["key"] = key[0]
        elif person:
            detail["target"] = person
        if target:
            detail["target"] = target
        return await self._scribe.write("administration", who.principal, detail)
