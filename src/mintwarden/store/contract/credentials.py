"""What every store's client secrets do."""

# ruff: noqa: S101

from __future__ import annotations

from mintwarden.authn.ports import ClientRecord, ClientSecret
from mintwarden.store.contract.samples import NOW, MakeStore


def _secret(client_id: str, digest: bytes, *, created_at: int = NOW, expires_at: int | None = None) -> ClientSecret:
    return ClientSecret(
        client_id=client_id, scheme="hmac-sha256", digest=digest, created_at=created_at, expires_at=expires_at
    )


class CredentialsContract:
    """All of them from one state, with the epoch that it belongs to."""

    async def test_none_at_first(self, make_store: MakeStore) -> None:
        store = await make_store()
        found = await store.credentials.credentials()
        assert (dict(found.secrets), found.epoch) == ({}, await store.epoch())

    async def test_a_change_moves_the_epoch_on_every_node(self, make_store: MakeStore) -> None:
        one, other = await make_store(), await make_store()
        before = (await other.credentials.credentials()).epoch
        secrets = [_secret("a", b"1"), _secret("a", b"2", created_at=NOW + 1, expires_at=NOW + 9), _secret("b", b"1")]
        await one.credentials.add_secrets(secrets)
        found = await other.credentials.credentials()
        assert found.epoch > before
        assert {name: list(own) for name, own in found.secrets.items()} == {"a": secrets[:2], "b": secrets[2:]}
        assert await other.credentials.remove_secrets("a") == 2
        last = await one.credentials.credentials()
        assert last.epoch > found.epoch
        assert set(last.secrets) == {"b"}

    async def test_nothing_changed_moves_nothing(self, make_store: MakeStore) -> None:
        store = await make_store()
        before = await store.epoch()
        await store.credentials.add_secrets([])
        assert await store.credentials.remove_secrets("nobody") == 0
        assert await store.epoch() == before

    async def test_the_same_secret_takes_a_new_end(self, make_store: MakeStore) -> None:
        store = await make_store()
        await store.credentials.add_secrets([_secret("a", b"1")])
        await store.credentials.add_secrets([_secret("a", b"1", expires_at=NOW + 5)])
        found = await store.credentials.credentials()
        assert list(found.secrets["a"]) == [_secret("a", b"1", expires_at=NOW + 5)]

    async def test_clients_are_kept_version_by_version(self, make_store: MakeStore) -> None:
        one, other = await make_store(), await make_store()
        first = ClientRecord(client_id="a", record=b"{}", version=1, changed_at=NOW)
        before = await one.epoch()
        assert await one.credentials.put_client(first)
        assert not await other.credentials.put_client(first), "it is there already"
        found = await other.credentials.credentials()
        assert (dict(found.clients), found.epoch > before) == ({"a": first}, True)
        last = ClientRecord(client_id="a", record=b"{}", keys=b"[]", retired_at=NOW, version=2, changed_at=NOW + 1)
        assert await other.credentials.put_client(last)
        epoch = await one.epoch()
        assert not await one.credentials.put_client(last), "somebody was faster"
        assert not await one.credentials.put_client(ClientRecord(client_id="b", version=2, changed_at=NOW))
        assert await one.epoch() == epoch
        assert dict((await one.credentials.credentials()).clients) == {"a": last}

    async def test_a_client_is_forgotten_with_its_secrets(self, make_store: MakeStore) -> None:
        one, other = await make_store(), await make_store()
        kept = ClientRecord(client_id="b", record=b"{}", version=1, changed_at=NOW)
        for name in ("a", "b"):
            assert await one.credentials.put_client(
                ClientRecord(client_id=name, record=b"{}", version=1, changed_at=NOW)
            )
            await one.credentials.add_secrets([_secret(name, b"1")])
        epoch = await one.epoch()
        assert not await other.credentials.forget_client("a", 2), "it has changed since"
        assert not await other.credentials.forget_client("c", 1), "there is none"
        assert await one.epoch() == epoch
        assert await other.credentials.forget_client("a", 1)
        found = await one.credentials.credentials()
        assert (dict(found.clients), set(found.secrets), found.epoch > epoch) == ({"b": kept}, {"b"}, True)
        assert not await one.credentials.forget_client("a", 1)

    async def test_some_clients_are_found_without_the_others(self, make_store: MakeStore) -> None:
        one, other = await make_store(), await make_store()
        kept = {name: ClientRecord(client_id=name, record=b"{}", version=1, changed_at=NOW) for name in "abc"}
        for record in kept.values():
            await one.credentials.put_client(record)
        secrets = [_secret("a", b"2", created_at=NOW + 1), _secret("b", b"1"), _secret("a", b"3"), _secret("d", b"1")]
        await one.credentials.add_secrets(secrets)
        found = await other.credentials.of(["a", "c", "d", "e"])
        assert dict(found.clients) == {"a": kept["a"], "c": kept["c"]}
        assert {name: list(own) for name, own in found.secrets.items()} == {
            "a": [secrets[2], secrets[0]],
            "d": [secrets[3]],
        }
        whole = await other.credentials.credentials()
        assert (found.epoch, found.activation) == (whole.epoch, whole.activation)
        none = await other.credentials.of([])
        assert (dict(none.clients), dict(none.secrets), none.epoch) == ({}, {}, whole.epoch)

    async def test_registered_clients_come_page_by_page_in_code_point_order(self, make_store: MakeStore) -> None:
        one, other = await make_store(), await make_store()
        for name in ("b", "a", "~z", "B", "a-1", "9"):
            await one.credentials.put_client(ClientRecord(client_id=name, record=b"{}", version=1, changed_at=NOW))
        await one.credentials.put_client(ClientRecord(client_id="aa", keys=b"[]", version=1, changed_at=NOW))
        await one.credentials.put_client(
            ClientRecord(client_id="9", record=b"{}", retired_at=NOW, version=2, changed_at=NOW)
        )
        assert await other.credentials.registered(10) == ["9", "B", "a", "a-1", "b", "~z"]
        assert await other.credentials.registered(2) == ["9", "B"]
        assert await other.credentials.registered(2, "B") == ["a", "a-1"]
        await one.credentials.forget_client("a-1", 1)
        await one.credentials.put_client(ClientRecord(client_id="0", record=b"{}", version=1, changed_at=NOW))
        assert await other.credentials.registered(2, "a-1") == ["b", "~z"]
        assert await other.credentials.registered(2, "~z") == []
