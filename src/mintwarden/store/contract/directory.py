"""What every store's bulk reading and writing does."""

# ruff: noqa: S101

from __future__ import annotations

from mintwarden.context.ports import FactRow
from mintwarden.store.contract.samples import MakeStore, pending, salt
from mintwarden.store.store import DocumentChange


class DirectoryContract:
    """Pages in code point order, changes in one transaction."""

    async def test_pages_cover_everything_in_order(self, make_store: MakeStore) -> None:
        store = await make_store()
        names = [f"User:{name}" for name in ("a", "B", "ä", "Z", "b", "a b", "李", "zz", "😀")]
        await store.directory.apply([DocumentChange(name, "directory", name.encode(), 1) for name in names])
        await store.directory.apply([DocumentChange(name, "risk", b"{}", 1) for name in names[:3]])
        found: list[tuple[str, FactRow]] = []
        after = ""
        while page := await store.directory.page("directory", after, 2):
            found += page
            after = page[-1][0]
        assert [name for name, _ in found] == sorted(names)
        assert all(row == FactRow("directory", name.encode(), 1) for name, row in found)

    async def test_changes_replace_and_forget(self, make_store: MakeStore) -> None:
        one, other = await make_store(), await make_store()
        names = [f"User:u{number}" for number in range(1200)]
        await one.directory.apply([DocumentChange(name, "directory", b"one", 5) for name in names])
        await one.directory.apply(
            [DocumentChange(n, "directory", b"two" if at % 2 else None, 4) for at, n in enumerate(names)]
        )
        found = await other.directory.stored("directory", names)
        assert found == {name: FactRow("directory", b"two", 4) for name in names[1::2]}
        assert await other.directory.stored("risk", names) == {}

    async def test_sealing_keys_are_not_documents(self, make_store: MakeStore) -> None:
        store = await make_store()
        await store.entries.append([pending(1, entity="User:a", new_salt=salt(1))])
        await store.directory.apply([DocumentChange("User:a", "directory", b"{}", 1)])
        await store.directory.apply([DocumentChange("User:a", "directory", None, 1)])
        assert await store.subject_keys.get("User:a") is not None
        assert list(await store.directory.page("directory", "", 10)) == []
