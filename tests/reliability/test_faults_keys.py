"""Keys that are damaged: the master key's file at the start, a sealed signing key under a running service."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable
from pathlib import Path

import msgspec

from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from tests.reliability.deployment import command, site
from tests.reliability.load import header_of
from tests.reliability.sabotage import edit, is_ready, issued, refused

DAMAGES: dict[str, Callable[[Path], object]] = {
    "cannot be read": Path.unlink,
    "the master key is unusable: it is not base64url": lambda file: file.write_bytes(b"\xff\x00" * 16),
    "sealed under another master key": lambda file: file.write_bytes(base64.urlsafe_b64encode(secrets.token_bytes(32))),
}


async def test_a_damaged_master_key_file(tmp_path: Path, free_port: Callable[[], int]) -> None:
    async with site(tmp_path) as where:
        node, key = where.node(free_port()), tmp_path / "master.key"
        await node.start()
        company, good = where.ask(node), key.read_bytes()
        entries = edit(tmp_path, "SELECT count(*) FROM entries")
        for said, damage in DAMAGES.items():
            key.write_bytes(good)
            key.chmod(0o600)
            damage(key)
            code, out, err = await command("serve", "--config", str(where.node(0).config))
            assert (code, out) == (2, ""), err
            assert said in err, err
            assert err.startswith("mintwarden: ")
            assert "\n  " in err, "what to do about it"
            assert "Traceback" not in err
            assert good.decode().strip("=") not in err
        assert edit(tmp_path, "SELECT count(*) FROM entries") == entries, "whoever cannot start writes nothing"
        await issued(company)  # the service that runs does not read the file any more
        key.write_bytes(good)
        assert await node.stop() == 0
        await node.start()
        await issued(where.ask(node))


async def test_a_damaged_signing_key_under_a_running_service(tmp_path: Path, free_port: Callable[[], int]) -> None:
    async with site(tmp_path) as where:
        node = where.node(free_port())
        await node.start()
        company = where.ask(node)
        kid = header_of(await issued(company))["kid"]
        sealed = edit(tmp_path, "SELECT sealed FROM signing_keys WHERE kid = ?", kid)[0][0]
        for damaged in (b"", b"\x01" + bytes(60), sealed[:-1] + bytes([sealed[-1] ^ 1])):
            entries = edit(tmp_path, "SELECT count(*) FROM entries")
            edit(tmp_path, "UPDATE signing_keys SET sealed = ? WHERE kid = ?", damaged, kid)
            edit(tmp_path, "UPDATE meta SET epoch = epoch + 1")
            await refused(company, part="")
            assert edit(tmp_path, "SELECT count(*) FROM entries") == entries
            edit(tmp_path, "UPDATE signing_keys SET sealed = ? WHERE kid = ?", sealed, kid)
            assert header_of(await issued(company))["kid"] == kid
            await is_ready(company)
        await node.tells(f"signing key `{kid}` (ES256, active) cannot be used")


async def test_what_a_process_did_to_keys_before_it_died_is_recorded_later(tmp_path: Path) -> None:
    async with site(tmp_path) as where, foundation(load_config(where.node(0).config), create=True) as base:
        long_ago = base.clock.now() - 600_000
        changes = await base.keeper.tick(long_ago)
        assert changes, "keys were made, and then the power went"
        await base.recover_key_changes()
        await base.recover_key_changes()
        entries = [msgspec.json.decode(one.entry) for one in await base.store.entries.by_index(0, 100)]
        told = [entry["detail"] for entry in entries if entry["kind"] == "key_rotation"]
        assert {(one["kid"], one["state"]) for one in told} == {(change.kid, change.state) for change in changes}
        assert {one["reason"] for one in told} == {"recovered"}
        assert len(told) == len(changes), "each once"
        await base.keeper.tick(base.clock.now())  # another process has just done it, and is about to record it
        assert not await base.store.keys.unrecorded(base.clock.now() - 60_000)
