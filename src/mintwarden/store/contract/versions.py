"""What every store's bundle versions do."""

# ruff: noqa: S101

from __future__ import annotations

import asyncio

from mintwarden.govern.ports import Activation, ActivationKind, Intent, OpenFinding, StoredSignature, StoredVersion
from mintwarden.store.contract.samples import NOW, MakeStore

A, B = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"


def activation(number: int, digest: str, previous: str, *, by: str = "ann", kind: ActivationKind = "activate",
               entry: int = 0) -> Activation:  # fmt: skip
    """An activation; entry ids differ by number and `entry`."""
    return Activation(
        number=number, digest=digest, previous=previous, kind=kind, at=NOW + number, by=by, reason="because",
        entry_id=number.to_bytes(8, "big") + entry.to_bytes(8, "big"),
    )  # fmt: skip


class VersionsContract:
    """Content as it was put; activations one after the other, each seen by every node at once."""

    async def test_a_version_and_its_signatures_are_kept_as_they_came_first(self, make_store: MakeStore) -> None:
        one, other = await make_store(), await make_store()
        signatures = [StoredSignature(A, name, name.encode(), NOW) for name in ("y", "x")]
        assert await one.versions.put_version(StoredVersion(A, b"content", NOW), signatures) == 2
        assert await other.versions.put_version(StoredVersion(A, b"other", NOW + 9), [
            *signatures, StoredSignature(A, "x", b"another", NOW), StoredSignature(A, "z", b"z", NOW)
        ]) == 1  # fmt: skip
        assert await other.versions.version(A) == StoredVersion(A, b"content", NOW)
        assert [(s.id, s.content) for s in await one.versions.signatures(A)] == [(n, n.encode()) for n in "xyz"]
        assert await one.versions.version(B) is None
        assert list(await one.versions.signatures(B)) == []

    async def test_versions_are_listed_newest_first(self, make_store: MakeStore) -> None:
        store = await make_store()
        for number, digest in enumerate((A, B)):
            await store.versions.put_version(StoredVersion(digest, b"", NOW + number), [])
        assert [name.digest for name in await store.versions.versions(9)] == [B, A]
        (newest,) = await store.versions.versions(1)
        assert newest.digest == B

    async def test_versions_are_listed_page_by_page_those_of_one_moment_too(self, make_store: MakeStore) -> None:
        store = await make_store()
        digests = [f"sha256:{letter * 64}" for letter in "dbeac"]
        for number, digest in enumerate(digests):
            await store.versions.put_version(StoredVersion(digest, b"", NOW + number // 4), [])
        listed = await store.versions.versions(9)
        assert [name.digest[7] for name in listed] == list("cabde")
        for number, name in enumerate(listed):
            assert list(await store.versions.versions(2, name)) == list(listed[number + 1 : number + 3])

    async def test_an_activation_moves_the_epoch_on_every_node(self, make_store: MakeStore) -> None:
        one, other = await make_store(), await make_store()
        assert await one.versions.active() is None
        before = await other.epoch()
        first = activation(1, A, "")
        assert await one.versions.activate(first)
        assert await other.versions.active() == first
        assert (await other.facts.read(["User:a"])).epoch == before + 1
        read = await other.credentials.credentials()
        assert (read.epoch, read.activation) == (before + 1, 1)

    async def test_only_the_next_number_after_the_present_version_counts(self, make_store: MakeStore) -> None:
        store = await make_store()
        await store.versions.activate(activation(1, A, ""))
        before = await store.epoch()
        for wrong in (activation(1, B, ""), activation(3, B, A), activation(2, B, B), activation(2, B, "")):
            assert not await store.versions.activate(wrong, _finding("f"))
        assert (await store.epoch(), await store.versions.findings()) == (before, [])
        assert await store.versions.activate(activation(2, B, A, kind="rollback"))
        assert [a.number for a in await store.versions.activations(9)] == [2, 1]
        assert [a.number for a in await store.versions.activations(9, 2)] == [1]
        assert list(await store.versions.activations(9, 1)) == []

    async def test_of_two_nodes_one_activates(self, make_store: MakeStore) -> None:
        nodes = [await make_store(), await make_store()]
        for number in range(1, 11):
            last = await nodes[0].versions.active()
            wanted = [activation(number, d, last.digest if last else "", entry=n) for n, d in enumerate((A, B))]
            done = await asyncio.gather(*(node.versions.activate(one) for node, one in zip(nodes, wanted, strict=True)))
            assert sorted(done) == [False, True]
            active = await nodes[1].versions.active()
            assert active == wanted[done.index(True)]

    async def test_break_glass_keeps_its_end_and_opens_a_finding(self, make_store: MakeStore) -> None:
        one, other = await make_store(), await make_store()
        await one.versions.activate(activation(1, A, ""))
        glass = Activation(
            number=2, digest=B, previous=A, kind="break_glass", at=NOW, until=NOW + 5, returns_to=A, reason="r", by="x",
            entry_id=b"e",
        )  # fmt: skip
        assert await one.versions.activate(glass, _finding("glass-2"))
        assert await other.versions.active() == glass
        assert list(await other.versions.findings()) == [_finding("glass-2")]

    async def test_a_finding_is_closed_once_and_stays(self, make_store: MakeStore) -> None:
        store = await make_store()
        await store.versions.activate(activation(1, A, ""), _finding("f"))
        assert not await store.versions.close_finding("g", at=NOW, by="bob", note="")
        assert await store.versions.close_finding("f", at=NOW + 1, by="bob", note="looked at")
        assert not await store.versions.close_finding("f", at=NOW + 2, by="eve", note="again")
        assert list(await store.versions.findings()) == []
        (kept,) = await store.versions.findings(closed=True)
        assert (kept.closed_at, kept.closed_by, kept.note) == (NOW + 1, "bob", "looked at")

    async def test_findings_come_page_by_page_in_order_of_id_open_or_not(self, make_store: MakeStore) -> None:
        one, other = await make_store(), await make_store()
        for number, name in enumerate(("f-3", "f-1", "f-4", "f-2"), start=1):
            await one.versions.activate(
                activation(number, A if number % 2 else B, ("", A, B, A)[number - 1]), _finding(name)
            )
        await one.versions.close_finding("f-2", at=NOW + 1, by="bob", note="looked at")

        async def names(limit: int, after: str = "") -> list[str]:
            return [found.id for found in await other.versions.findings_page(limit, after)]

        assert await names(9) == ["f-1", "f-2", "f-3", "f-4"]
        assert await names(2) == ["f-1", "f-2"]
        assert await names(2, "f-2") == ["f-3", "f-4"]
        assert await names(2, "f-4") == []
        assert await other.versions.finding("f-1") == _finding("f-1")
        closed = await other.versions.finding("f-2")
        assert closed is not None
        assert (closed.closed_at, closed.note) == (NOW + 1, "looked at")
        assert await other.versions.finding("f") is None

    async def test_an_intent_without_its_activation_is_told(self, make_store: MakeStore) -> None:
        one, other = await make_store(), await make_store()
        for number in (1, 2):
            await one.versions.intend(
                Intent(entry_id=b"%d" % number, number=number, digest=A, kind="activate", at=NOW + number)
            )
        first = activation(1, A, "")
        await one.versions.activate(
            Activation(number=1, digest=A, previous="", kind="activate", at=first.at, entry_id=b"1")
        )
        assert [(i.number, i.entry_id) for i in await other.versions.abandoned(9)] == [(2, b"2")]


def _finding(name: str) -> OpenFinding:
    return OpenFinding(id=name, kind="break_glass", about="2", opened_at=NOW)
