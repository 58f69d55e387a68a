"""What every store's revocations and claims do."""

# ruff: noqa: S101

from __future__ import annotations

import asyncio

from mintwarden.authn.ports import Revocation
from mintwarden.model.caller import OnceKey
from mintwarden.store.contract.samples import NOW, MakeStore


def _token(value: str, *, before: int = NOW, until: int = NOW + 1000) -> Revocation:
    return Revocation(about="token", value=value, before=before, until=until)


class RevocationsContract:
    """What is revoked stays so on every node until it has ended; a claim is taken once."""

    async def test_what_one_node_revokes_every_node_knows(self, make_store: MakeStore) -> None:
        one, other = await make_store(), await make_store()
        names = [("token", "a"), ("token", "b"), ("client", "a")]
        assert await other.revocations.revoked(names) == {}
        assert await other.revocations.revoked([]) == {}
        await one.revocations.revoke([_token("a"), Revocation(about="client", value="c", before=NOW, until=NOW)])
        assert await other.revocations.revoked(names) == {("token", "a"): NOW}
        assert await other.revocations.revoked([("client", "c")]) == {("client", "c"): NOW}

    async def test_nothing_becomes_good_again_by_being_revoked_again(self, make_store: MakeStore) -> None:
        store = await make_store()
        await store.revocations.revoke([_token("a", before=NOW + 5, until=NOW + 5)])
        await store.revocations.revoke([_token("a", before=NOW, until=NOW)])
        assert await store.revocations.revoked([("token", "a")]) == {("token", "a"): NOW + 5}
        await store.purge(NOW + 4)
        assert await store.revocations.revoked([("token", "a")])

    async def test_what_was_revoked_lately_is_listed(self, make_store: MakeStore) -> None:
        store = await make_store()
        old, new = _token("a", before=NOW - 1), _token("b", before=NOW)
        await store.revocations.revoke([old, new])
        assert await store.revocations.since(NOW) == [new]
        assert sorted(await store.revocations.since(NOW - 1), key=lambda one: one.value) == [old, new]
        assert await store.revocations.since(NOW + 1) == []

    async def test_what_has_ended_is_forgotten(self, make_store: MakeStore) -> None:
        store = await make_store()
        await store.revocations.revoke([_token("a", until=NOW), _token("b", until=NOW + 10)])
        await store.purge(NOW + 5)
        assert await store.revocations.revoked([("token", "a"), ("token", "b")]) == {("token", "b"): NOW}

    async def test_of_many_that_claim_a_proof_one_has_it(self, make_store: MakeStore) -> None:
        nodes = [await make_store(), await make_store()]
        proof = OnceKey(b"p" * 16, NOW + 1000)
        claims = await asyncio.gather(*(nodes[number % 2].revocations.claim([proof]) for number in range(6)))
        assert sorted(claims) == [False] * 5 + [True]
        assert await nodes[0].revocations.claim([])

    async def test_all_of_several_proofs_are_claimed_or_none(self, make_store: MakeStore) -> None:
        store = await make_store()
        used, fresh = OnceKey(b"u" * 16, NOW), OnceKey(b"f" * 16, NOW)
        assert await store.revocations.claim([used])
        assert not await store.revocations.claim([fresh, used])
        assert not await store.revocations.claim([used, fresh])
        assert await store.revocations.claim([fresh]), "it was not claimed with the other"
