"""What a page of grants reads of the store: one page, however many there are."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from mintwarden.authn.ports import Place, State
from mintwarden.authn.sign_in import SignIn
from mintwarden.issue.granted import Granted
from mintwarden.issue.memory import Memory
from mintwarden.issue.withdrawing import PAGE, Turn, Withdrawing
from mintwarden.mint.master import LocalMasterKey
from mintwarden.model.values import EntityUid
from mintwarden.store.migrate import migrate

NOW = 1_795_000_000_000
SEAL = LocalMasterKey(bytes(32), random_bytes=os.urandom)
ALICE = SignIn(subject=EntityUid("User", "alice"), provider="up", authenticated_at=NOW, session="s")


class Endless:
    """A store in which somebody allowed more than anybody counts; `read` is how much of it was asked for."""

    def __init__(self) -> None:
        self.read: list[int] = []
        self.memory = Memory(states=self, seal=SEAL, revocations=self)  # type: ignore[arg-type]

    async def lasting(
        self, _kind: str, _owner: str, limit: int, beyond: Place | None = None, *, back: bool = False
    ) -> Sequence[State]:
        self.read.append(limit)
        start = (NOW + 10**9 - beyond[0]) + (-limit if back else 1) if beyond is not None else 0
        return [self._state(number) for number in range(start, start + limit)]

    async def revoked(self, names: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
        assert len(names) < 10 * PAGE
        return {}

    def _state(self, number: int) -> State:
        granted = Granted(
            grant_id=f"g-{number}",
            client_id=f"client-{number % 7}",
            sign_in=ALICE,
            scopes={},
            granted_at=NOW - number,
            ends=NOW + 10**9 - number,
        )
        return self.memory.kept(granted)


async def nothing(*_what: Any) -> Any:
    return []


async def unknown(*_what: Any) -> None:
    return None


def withdrawing(memory: Memory) -> Withdrawing:
    force = SimpleNamespace(
        catalogue=None,
        sessions=SimpleNamespace(of_person=nothing),
        clients=SimpleNamespace(known=unknown),
    )

    async def now_in_force() -> Any:
        return force

    unused: Any = None
    return Withdrawing(
        issuer="https://tokens.example.com",
        now_in_force=now_in_force,
        memory=memory,
        consents=SimpleNamespace(of=nothing),  # type: ignore[arg-type]
        end_grants=unused,
        end_link=unused,
        sign_out=unused,
    )


async def test_a_page_reads_one_page() -> None:
    store = Endless()
    pages = withdrawing(store.memory)
    first = await pages.overview(ALICE, NOW)
    assert first.newer is None
    assert first.older is not None
    second = await pages.overview(ALICE, NOW, Turn(first.older))
    assert second.newer is not None
    assert second.older is not None
    back = await pages.overview(ALICE, NOW, Turn(second.newer, back=True))
    assert back.older == first.older
    for page, begin in ((first, 0), (second, PAGE), (back, 0)):
        found = {granted.grant_id for client in page.clients for granted in client.grants}
        assert found == {f"g-{number}" for number in range(begin, begin + PAGE)}
    assert store.read == [PAGE + 1] * 3


def test_the_store_looks_at_no_more_than_it_answers(tmp_path: Path) -> None:
    """Found in order by an index: nothing is sorted, whoever has how much."""
    migrate(f"sqlite:///{tmp_path}/store.db")
    for order, sign in (("DESC", "<"), ("ASC", ">")):
        with sqlite3.connect(tmp_path / "store.db") as connection:
            plan = connection.execute(
                "EXPLAIN QUERY PLAN SELECT * FROM states WHERE kind = ? AND owner = ? AND owner <> '' "
                f"AND (expires_at, key) {sign} (?, ?) ORDER BY expires_at {order}, key {order} LIMIT ?",
                ("grant", "User:alice", NOW, b"", 1),
            ).fetchall()
        connection.close()
        told = " ".join(str(row[3]) for row in plan)
        assert "USING INDEX states_lasting" in told
        assert "B-TREE" not in told
