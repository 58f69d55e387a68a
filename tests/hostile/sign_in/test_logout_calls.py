"""Server-side request forgery by an address that a client says it is to be told at (Back-Channel Logout 1.0)."""

from __future__ import annotations

from pathlib import Path

import pytest

from mintwarden.app.logout_notices import KIND
from mintwarden.app.telling import WAITING
from mintwarden.authn.fetch import GuardedFetcher
from mintwarden.store import open_store
from tests.conftest import FrozenClock
from tests.unit.app.test_logout_notices import SESSION, Node
from tests.unit.authn.loopback import Loopback, answer


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "0x7f.1", "2130706433", "127.1"])
async def test_the_services_own_network_is_not_called(tmp_path: Path, clock: FrozenClock, host: str) -> None:
    store = await open_store(f"sqlite:///{tmp_path}/mintwarden.db", create=True)
    async with Loopback({"/told": answer()}) as inside:
        node = Node(store, clock)
        node.where["web"] = f"http://{host}:{inside.port}/told"
        fetcher = GuardedFetcher()
        node.notices._way = lambda _client_id: fetcher
        await node.notices.keep(SESSION)
        await node.notices.run()
        assert inside.seen == []
        assert node.outcomes == {"failed": 1}
        assert len(await store.states.owned(KIND, WAITING, 10)) == 1
    await store.close()


async def test_a_redirect_is_not_followed(tmp_path: Path, clock: FrozenClock) -> None:
    store = await open_store(f"sqlite:///{tmp_path}/mintwarden.db", create=True)
    async with Loopback({"/inside": answer()}) as site:
        site.routes["/told"] = answer("302 Found", location=f"{site.url}/inside")
        node = Node(store, clock)
        node.where["web"] = f"{site.url}/told"
        fetcher = GuardedFetcher(development=True)
        node.notices._way = lambda _client_id: fetcher
        await node.notices.keep(SESSION)
        await node.notices.run()
        assert [path for path, _, _ in site.seen] == ["/told"]
        assert node.outcomes == {"failed": 1}
    await store.close()
