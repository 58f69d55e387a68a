"""The witness client against every answer that a witness can give, and against another's witness."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mintwarden.ledger.checkpoint import Checkpoint, cosignature_message, verify_checkpoint
from mintwarden.ledger.note import COSIGNATURE, Note, Signature, parse_note, verifier_key
from mintwarden.ledger.proof import verify_consistency
from mintwarden.ledger.published import PublishedLog
from mintwarden.ledger.sequencer import SequencerEvent
from mintwarden.ledger.tree import root_hash
from mintwarden.ledger.witness import SIZE_TYPE, HttpAnswer, Trouble, Witness, WitnessClient, witness
from mintwarden.model.errors import ErrorKind, MintwardenError
from tests.unit.ledger import samples
from tests.unit.ledger.memory import MemoryStore
from tests.unit.ledger.test_sequencer import sequencer

NAME = "witness.example"
WITNESS_KEY = verifier_key(NAME, samples.signing_key(8).public_key().public_bytes_raw(), COSIGNATURE)
needs_312 = pytest.mark.skipif(sys.version_info < (3, 12), reason="explained: the other tool needs Python 3.12")


def cosign(body: bytes, seed: int = 8) -> HttpAnswer:
    text = parse_note(body.partition(b"\n\n")[2]).text
    at = 1_795_000_000
    blob = at.to_bytes(8, "big") + samples.signing_key(seed).sign(cosignature_message(text, at))
    line = Note("", (Signature(NAME, WITNESS_KEY.id, blob),)).to_bytes()[1:]
    return HttpAnswer(200, "text/plain", line)


class Scripted:
    """Answers as told, and keeps what it was asked."""

    def __init__(self, *answers: HttpAnswer | Callable[[bytes], HttpAnswer] | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, bytes]] = []

    async def post(self, url: str, body: bytes) -> HttpAnswer:
        self.asked.append((url, body))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer(body) if callable(answer) else answer


def client(store: MemoryStore, http: Scripted) -> WitnessClient:
    log = PublishedLog(tree=store, entries=store)
    return WitnessClient(
        witness=Witness(WITNESS_KEY, "https://witness.example"), http=http, prove=log.consistency_proof
    )


async def published(count: int) -> MemoryStore:
    store = MemoryStore()
    await samples.fill(store, count)
    await sequencer(store).run_once()
    return store


async def ask(store: MemoryStore, asked: WitnessClient):
    head = store.current
    return await asked.cosign(Checkpoint(samples.ORIGIN, head.size, head.root), head.checkpoint)


def conflict(size: int, content_type: str = SIZE_TYPE) -> HttpAnswer:
    return HttpAnswer(409, content_type, f"{size}\n".encode())


async def test_the_first_question_has_no_proof_and_the_next_continues():
    store = await published(5)
    http = Scripted(cosign, cosign)
    asked = client(store, http)
    first = await ask(store, asked)
    assert not isinstance(first, Trouble)
    assert http.asked[0] == ("https://witness.example/add-checkpoint", b"old 0\n\n" + store.current.checkpoint)
    await samples.fill(store, 6, start=5)
    await sequencer(store).run_once()
    assert not isinstance(await ask(store, asked), Trouble)
    assert http.asked[1][1].startswith(b"old 5\n")


async def test_a_witness_that_knows_the_log_already_is_given_the_proof():
    store = await published(300)
    http = Scripted(conflict(7), cosign)
    assert not isinstance(await ask(store, client(store, http)), Trouble)
    head, _, _ = http.asked[1][1].partition(b"\n\n")
    first, *lines = head.decode().splitlines()
    assert first == "old 7"
    leaves = [row.leaf_hash for row in store.rows]
    import base64

    assert verify_consistency(
        old=7,
        new=300,
        old_root=root_hash(leaves[:7]),
        new_root=store.current.root,
        proof=[base64.b64decode(line) for line in lines],
    )


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        ([conflict(301)], "ahead"),
        ([HttpAnswer(409, "text/plain", b"")], "forked"),
        ([HttpAnswer(422, "text/plain", b"")], "forked"),
        ([HttpAnswer(403, "text/plain", b"")], "refused"),
        ([HttpAnswer(404, "text/plain", b"")], "refused"),
        ([HttpAnswer(302, "text/plain", b"")], "refused"),
        ([MintwardenError(ErrorKind.UNAVAILABLE, "no answer")], "unavailable"),
        ([conflict(0)], "nonsense"),
        ([conflict(3), conflict(4), conflict(5)], "nonsense"),
        ([HttpAnswer(409, SIZE_TYPE, b"x\n")], "nonsense"),
        ([HttpAnswer(409, SIZE_TYPE, b"7")], "nonsense"),
        ([HttpAnswer(409, SIZE_TYPE, b"9" * 40 + b"\n")], "nonsense"),
        ([HttpAnswer(200, "", b"")], "nonsense"),
        ([HttpAnswer(200, "", b"\xff\n")], "nonsense"),
        ([HttpAnswer(200, "", "— other.example AAAAAAAA\n".encode())], "nonsense"),
        ([lambda body: cosign(body, seed=9)], "nonsense"),
    ],
)
async def test_every_other_answer_is_trouble(answers, kind):
    store = await published(300)
    found = await ask(store, client(store, Scripted(*answers)))
    assert isinstance(found, Trouble)
    assert (found.kind, found.witness) == (kind, NAME)


async def test_cosignatures_are_attached_to_the_head():
    store = MemoryStore()
    await samples.fill(store, 5)
    head = await sequencer(store, witnesses=[client(store, Scripted(cosign))]).run_once()
    assert head == store.current
    found = verify_checkpoint(head.checkpoint, keys=[samples.note_signer().key], witnesses=[WITNESS_KEY], quorum=1)
    assert found.checkpoint.size == 5


async def test_a_cosigned_head_is_not_asked_for_again():
    store = MemoryStore()
    await samples.fill(store, 5)
    http = Scripted(cosign)
    worker = sequencer(store, witnesses=[client(store, http)])
    await worker.run_once()
    await worker.run_once()
    assert len(http.asked) == 1


async def test_a_witness_in_trouble_delays_nothing_and_is_asked_again_later():
    store = MemoryStore()
    await samples.fill(store, 5)
    http = Scripted(HttpAnswer(500, "", b""), cosign)
    events: list[SequencerEvent] = []
    worker = sequencer(store, witnesses=[client(store, http)], on_event=events.append)
    for _ in range(11):
        assert await worker.run_once() is not None
        assert len(http.asked) == 1
    await worker.run_once()
    assert len(http.asked) == 2
    assert [event.kind for event in events] == ["published", "trouble"]
    assert verify_checkpoint(
        store.current.checkpoint, keys=[samples.note_signer().key], witnesses=[WITNESS_KEY], quorum=1
    )


async def test_cosignatures_that_come_too_late_are_dropped():
    class Rival(MemoryStore):
        swaps = 0

        async def swap_head(self, old_size, new):
            self.swaps += 1
            return self.swaps < 2 and await super().swap_head(old_size, new)

    store = Rival()
    await samples.fill(store, 5)
    head = await sequencer(store, witnesses=[client(store, Scripted(cosign))]).run_once()
    assert head is not None
    assert b"witness.example" not in head.checkpoint


async def test_a_silent_witness_holds_a_round_no_longer_than_its_time():
    class Silent(Scripted):
        async def post(self, url: str, body: bytes) -> HttpAnswer:
            await asyncio.Event().wait()
            raise AssertionError("unreachable")

    store = MemoryStore()
    await samples.fill(store, 5)
    events: list[SequencerEvent] = []
    worker = sequencer(store, witnesses=[client(store, Silent())], witness_timeout=0.01, on_event=events.append)
    head = await worker.run_once()
    assert head is not None
    assert head.size == 5
    assert events[-1].trouble == Trouble(NAME, "unavailable", "no answer in time")


def test_a_witness_is_configured_as_data():
    assert witness(NAME, str(WITNESS_KEY), "https://witness.example/") == Witness(
        WITNESS_KEY, "https://witness.example"
    )
    log_key = verifier_key(NAME, WITNESS_KEY.public)
    with pytest.raises(MintwardenError, match="not for cosignatures"):
        witness(NAME, str(log_key), "https://witness.example")
    with pytest.raises(MintwardenError, match="names"):
        witness("other.example", str(WITNESS_KEY), "https://witness.example")


@needs_312
async def test_another_tools_witness_cosigns_our_log(tmp_path: Path):
    from aics_witness.config import LogConfig
    from aics_witness.service import Witness as OtherWitness
    from aics_witness.service import WitnessError
    from aics_witness.store import WitnessStore

    keys = str(samples.note_signer().key)
    with WitnessStore(tmp_path / "witness.db", create=True) as state:
        other = OtherWitness(NAME, samples.signing_key(8), state, [LogConfig.from_strings(samples.ORIGIN, [keys])])

        class InProcess:
            async def post(self, url: str, body: bytes) -> HttpAnswer:
                try:
                    return HttpAnswer(200, "text/plain", other.add_checkpoint(body))
                except WitnessError as error:
                    size = error.body.decode() if error.status == 409 else ""
                    return HttpAnswer(error.status, SIZE_TYPE if size else "text/plain", size.encode())

        assert other.vkey_text == str(WITNESS_KEY)
        store = MemoryStore()
        log = PublishedLog(tree=store, entries=store)

        def fresh() -> WitnessClient:
            return WitnessClient(
                witness=witness(NAME, other.vkey_text, "http://127.0.0.1"),
                http=InProcess(),
                prove=log.consistency_proof,
            )

        worker = sequencer(store, witnesses=[fresh()], witness_timeout=30.0)
        for size in (3, 256, 700):
            await samples.fill(store, size - len(store.rows), start=len(store.rows))
            head = await worker.run_once()
            assert head is not None
            found = verify_checkpoint(
                head.checkpoint, keys=[samples.note_signer().key], witnesses=[WITNESS_KEY], quorum=1
            )
            assert found.checkpoint.size == size
        # A client that has forgotten everything learns the size from the conflict.
        await samples.fill(store, 10, start=700)
        store.leases.clear()
        head = await sequencer(store, witnesses=[fresh()], witness_timeout=30.0, holder="node-2").run_once()
        assert head is not None
        assert verify_checkpoint(head.checkpoint, keys=[samples.note_signer().key], witnesses=[WITNESS_KEY], quorum=1)
        # A log that was set back is told so.
        other_store = await published(20)
        answer = await fresh_client(other_store, InProcess()).cosign(
            Checkpoint(samples.ORIGIN, 20, other_store.current.root), other_store.current.checkpoint
        )
        assert isinstance(answer, Trouble)
        assert answer.kind == "ahead"


def fresh_client(store: MemoryStore, http) -> WitnessClient:
    log = PublishedLog(tree=store, entries=store)
    return WitnessClient(witness=Witness(WITNESS_KEY, "http://127.0.0.1"), http=http, prove=log.consistency_proof)
