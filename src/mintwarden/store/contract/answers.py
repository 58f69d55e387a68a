"""What every store's answers do."""

# ruff: noqa: S101

from __future__ import annotations

import asyncio

from mintwarden.govern.answers import Answer, Standing
from mintwarden.store.contract.samples import NOW, MakeStore

END = NOW + 1000


class AnswersContract:
    """A key is one request's, on all nodes, until it ends."""

    async def test_a_key_is_claimed_once(self, make_store: MakeStore) -> None:
        one, other = await make_store(), await make_store()
        assert await one.answers.claim(b"k", b"f", NOW, END) is None
        assert await other.answers.claim(b"k", b"g", NOW, END) == Standing(b"f", None)
        await one.answers.settle(b"k", Answer(201, b"sealed"))
        assert await other.answers.claim(b"k", b"f", NOW, END) == Standing(b"f", Answer(201, b"sealed"))
        assert await other.answers.claim(b"other", b"f", NOW, END) is None

    async def test_of_several_at_once_one_gets_it(self, make_store: MakeStore) -> None:
        one, other = await make_store(), await make_store()
        claims = await asyncio.gather(*(s.answers.claim(b"k", b"f", NOW, END) for s in (one, other) * 4))
        assert sum(claim is None for claim in claims) == 1

    async def test_what_came_to_nothing_is_free_again(self, make_store: MakeStore) -> None:
        store = await make_store()
        assert await store.answers.claim(b"k", b"f", NOW, END) is None
        await store.answers.forget(b"k")
        assert await store.answers.claim(b"k", b"g", NOW, END) is None

    async def test_it_ends(self, make_store: MakeStore) -> None:
        store = await make_store()
        await store.answers.claim(b"k", b"f", NOW, END)
        await store.answers.settle(b"k", Answer(200, b"x"))
        assert await store.answers.claim(b"k", b"g", END - 1, END + 9) == Standing(b"f", Answer(200, b"x"))
        assert await store.answers.claim(b"k", b"g", END, END + 9) is None
        assert await store.answers.claim(b"k", b"g", END, END + 9) == Standing(b"g", None)
        await store.purge(END + 10)
        assert await store.answers.claim(b"k", b"h", NOW, END) is None
