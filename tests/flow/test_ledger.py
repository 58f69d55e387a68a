"""The ledger beside the running service: witnesses, erasure, and what stops issuing."""

from __future__ import annotations

import asyncio
import base64
import sqlite3
import time

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from mintwarden.ledger.checkpoint import cosignature_message
from mintwarden.ledger.note import COSIGNATURE, verifier_key
from mintwarden.model.ids import decision_bytes
from tests.flow.company import PAYMENTS, running
from tests.flow.process import run


class Witness:
    """Cosigns every checkpoint that it is shown, or fails when told to."""

    def __init__(self):
        self.private = Ed25519PrivateKey.generate()
        self.key = verifier_key("witness.example", self.private.public_key().public_bytes_raw(), COSIGNATURE)
        self.failing = False
        self.asked = 0

    async def serve(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        body = await reader.readexactly(int(head.partition("content-length:")[2].partition("\r\n")[0]))
        self.asked += 1
        note = body.partition(b"\n\n")[2].decode()
        text, at = note.partition("\n\n")[0] + "\n", int(time.time())
        blob = at.to_bytes(8, "big") + self.private.sign(cosignature_message(text, at))
        line = f"— {self.key.name} {base64.b64encode(self.key.id + blob).decode()}\n".encode()
        status = b"500 Nonsense" if self.failing else b"200 OK"
        writer.write(b"HTTP/1.1 %s\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (status, len(line), line))
        await writer.drain()
        writer.close()
        await writer.wait_closed()


async def eventually(check, seconds=10.0):
    """The first true answer of `check`."""
    for _ in range(round(seconds / 0.02)):
        found = await check()
        if found:
            return found
        await asyncio.sleep(0.02)
    raise AssertionError("it never came true")


async def with_witness(folder, witness):
    server = await asyncio.start_server(witness.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    more = f'[[ledger.witnesses]]\nname = "witness.example"\nvkey = "{witness.key}"\nurl = "http://127.0.0.1:{port}"'
    return server, running(folder, server="dev = true", more=more)


async def test_checkpoints_are_cosigned_by_witnesses(tmp_path):
    server, company_of = await with_witness(tmp_path, Witness())
    async with company_of as company:

        async def cosigned():
            return "— witness.example " in (await company.http.get("/ledger/checkpoint")).text

        assert await eventually(cosigned)
    server.close()


async def test_a_witness_in_trouble_is_told_and_holds_nothing_up(tmp_path):
    witness = Witness()
    witness.failing = True
    server, company_of = await with_witness(tmp_path, witness)
    async with company_of as company:
        await company.token("batch", grant_type="client_credentials")

        async def told():
            metrics = (await company.http.get("/metrics")).text
            return 'mintwarden_background_failures_total{task="witness"}' in metrics

        assert await eventually(told)
        assert (await company.http.get("/ledger/checkpoint")).status_code == 200
        assert (await company.http.get("/readyz")).status_code == 200
    server.close()
    assert witness.asked


async def test_a_log_that_may_fork_stops_issuing(company):
    await company.token("batch", grant_type="client_credentials")

    async def published():
        return (await company.http.get("/ledger/checkpoint")).status_code == 200

    await eventually(published)
    tamperer = sqlite3.connect(company.folder / "mintwarden.db", isolation_level=None, timeout=10)
    tamperer.execute("UPDATE head SET root = ?", (b"\x00" * 32,))
    tamperer.close()

    async def stopped():
        answer = await company.ask("batch", grant_type="client_credentials")
        return answer if answer.status_code == 503 else None

    answer = await eventually(stopped)
    assert set(answer.json()) == {"error", "error_description", "reference"}
    ready = await company.http.get("/readyz")
    assert (ready.status_code, ready.json()["parts"]["ledger"]) == (503, "failing")
    assert (await company.http.get("/healthz")).status_code == 200


async def test_an_erased_subject_leaves_a_decision_without_its_facts(company):
    person = company.signed_in("alice", int(time.time()))
    answer = await company.exchange("helper", person, scope="payments:read", resource=PAYMENTS)
    token = answer.json()["access_token"]
    config = company.folder / "mintwarden.toml"
    async with foundation(load_config(config, environ={})) as base:
        assert await base.store.subject_keys.erase("User:alice")
    code, out, err = await run("explain", token, "--config", str(config))
    assert code == 0, err
    assert "the subject was erased" in out
    assert "payments:read" in out
    assert "staff-read" in out
    assert "alice" not in out


async def test_a_decision_of_another_bundle_is_told_as_far_as_the_entry_goes(company):
    claims = await company.claims(await company.token("batch", grant_type="client_credentials"))
    rules = company.folder / "bundle" / "rules" / "all.cedar"
    rules.write_text(rules.read_text().replace("the batch settles", "the batch settles at night"))
    code, out, err = await run("explain", claims["jti"], "--config", str(company.folder / "mintwarden.toml"))
    assert code == 0, err
    assert "a bundle that is not loaded here" in out
    assert "batch-reads" in out


async def test_the_last_entries_are_published_at_the_end(tmp_path):
    async with running(tmp_path) as company:
        tokens = [await company.token("batch", grant_type="client_credentials") for _ in range(5)]
        last = (await company.claims(tokens[-1]))["jti"]
        config = company.folder / "mintwarden.toml"
    async with foundation(load_config(config, environ={}), read_only=True) as base:
        stored = await base.store.entries.by_decision(decision_bytes(last))
        assert stored is not None
        assert stored.index is not None
        assert stored.index < (await base.store.tree.head()).size
        assert await base.store.entries.count() == (await base.store.tree.head()).size
