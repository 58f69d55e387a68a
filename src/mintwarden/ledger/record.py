"""Step 7: the decision is written down, durably, before anything is signed.

Group commit: entries of the same moment share one append, and at most one append is in flight per process. The next
starts when the last is durable and a few turns of the event loop bring no further entry: a busy process makes fewer and
larger commits, an idle one waits for nothing, and no timer is set.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from mintwarden.ledger.document import decision_document, governance_document
from mintwarden.ledger.entry import GovernanceKind, decision_entry, governance_entry
from mintwarden.ledger.ports import Appended, EntryAppender, PendingEntry, Rekey, Replayed
from mintwarden.ledger.seal import Sealed, Sealer, SealKey, SubjectSalt
from mintwarden.ledger.tree import leaf_hash
from mintwarden.model.asked import Asked
from mintwarden.model.caller import OnceKey
from mintwarden.model.decision import Decision
from mintwarden.model.errors import ErrorKind, FatalLedgerError, MintwardenError
from mintwarden.model.facts import Facts
from mintwarden.model.ids import decision_text, entity_key
from mintwarden.model.token import PreparedToken, Receipt
from mintwarden.model.values import EntityUid

MAX_REKEYS = 4
MOST_TURNS = 64
"""Turns of the event loop that an append waits for company at the most."""
BARREN_TURNS = 8
"""Turns in a row that bring no company, after which it waits no longer: somewhat more than a request takes that is one
read of the store behind. An idle loop makes them in microseconds."""


_REPLAYED = {
    "assertion": ErrorKind.INVALID_CLIENT,
    "attestation": ErrorKind.INVALID_CLIENT_ATTESTATION,
    "dpop": ErrorKind.INVALID_DPOP_PROOF,
}
"""What is wrong when a proof was used before; anything else was handed out by a grant (RFC 6749 section 5.2)."""


_USED = "it was used before: a code, a refresh token, an assertion and a proof count once"


class ProofReplayed(MintwardenError):
    """A proof that came with the request was used before: nothing was recorded. `digest` names the proof."""

    def __init__(self, digest: bytes, proof: str = "assertion") -> None:
        super().__init__(_REPLAYED.get(proof, ErrorKind.INVALID_GRANT), _USED)
        self.digest = digest
        self.proof = proof


class _Waiting:
    """One entry on its way to the disk, and whoever waits for it."""

    __slots__ = ("entry", "future")

    def __init__(self, entry: PendingEntry, future: asyncio.Future[Appended | Rekey]) -> None:
        self.entry = entry
        self.future = future


class Recorder:
    """Records decisions and acts that govern; the only place that makes a `Receipt`.

    `capacity` bounds the entries that wait, `max_batch` those of one append. `on_batch` hears the size of each
    batch that became durable. Belongs to one event loop.
    """

    def __init__(
        self,
        *,
        appender: EntryAppender,
        sealer: Sealer,
        issuer: str,
        capacity: int = 4096,
        max_batch: int = 512,
        on_batch: Callable[[int], None] | None = None,
    ) -> None:
        self._appender = appender
        self._sealer = sealer
        self._issuer = issuer
        self._capacity = capacity
        self._max_batch = max_batch
        self._on_batch = on_batch
        self._queue: deque[_Waiting] = deque()
        self._drain: asyncio.Task[None] | None = None
        self._fatal: FatalLedgerError | None = None
        self._closed = False

    @property
    def waiting(self) -> int:
        """How many entries wait for the append after the present one."""
        return len(self._queue)

    @property
    def fatal(self) -> FatalLedgerError | None:
        """What stopped the ledger for good, if anything did."""
        return self._fatal

    def record(
        self,
        *,
        decision_id: bytes,
        decision: Decision,
        asked: Asked,
        facts: Facts,
        prepared: PreparedToken | None = None,
        id_token: PreparedToken | None = None,
        once: tuple[OnceKey, ...] = (),
        key: SubjectSalt | None = None,
    ) -> Coroutine[Any, Any, Receipt]:
        """The receipt of a decision, once its entry is durable.

        `key` is the subject's stored key as read with the facts, or None when it has none. Raises
        `ProofReplayed`, `MintwardenError` (`OVERLOADED`, `UNAVAILABLE`) or `FatalLedgerError`; in each case
        nothing may be signed.
        """
        name = decision_text(decision_id)
        if prepared is not None and prepared.decision_id != name:
            raise MintwardenError(ErrorKind.INTERNAL, "the prepared token belongs to another decision")
        document = decision_document(asked, facts, decision)

        def build(sealed: Sealed) -> bytes:
            return decision_entry(
                decision_id=name,
                issuer=self._issuer,
                decision=decision,
                asked=asked,
                prepared=prepared,
                id_token=id_token,
                commitment=sealed.commitment,
                blinding=sealed.blinding,
            )

        digests = (_digest(prepared), _digest(id_token))
        return self._write(decision_id, name, entity_key(decision.subject), document, build, digests, once, key)

    def record_act(
        self,
        *,
        entry_id: bytes,
        kind: GovernanceKind,
        at: int,
        actor: EntityUid,
        detail: Mapping[str, object],
        private: Mapping[str, object] | None = None,
        once: tuple[OnceKey, ...] = (),
        key: SubjectSalt | None = None,
    ) -> Coroutine[Any, Any, Receipt]:
        """The receipt of an act that governs, once its entry is durable; errors as for `record`.

        `detail` is public and holds nothing personal; `private` is sealed under the actor's key. `once` are proofs of
        whoever acts, to be claimed with the entry.
        """
        document = governance_document(actor, private or {})

        def build(sealed: Sealed) -> bytes:
            return governance_entry(
                kind=kind,
                entry_id=entry_id,
                issuer=self._issuer,
                at=at,
                actor=actor,
                detail=detail,
                commitment=sealed.commitment,
                blinding=sealed.blinding,
            )

        name = decision_text(entry_id)
        return self._write(entry_id, name, entity_key(actor), document, build, (b"", b""), once, key)

    def stop(self, error: FatalLedgerError) -> None:
        """Record nothing any more: something else has found that the ledger cannot be trusted to go on."""
        self._fatal = error
        self._fail(list(self._queue), error)
        self._queue.clear()

    async def close(self) -> None:
        """Take no more entries and return when those that wait are durable or have failed."""
        self._closed = True
        while self._drain is not None and not self._drain.done():
            await asyncio.wait([self._drain])

    async def _write(
        self,
        entry_id: bytes,
        name: str,
        entity: str,
        document: bytes,
        build: Callable[[Sealed], bytes],
        digests: tuple[bytes, bytes],
        once: tuple[OnceKey, ...],
        key: SubjectSalt | None,
    ) -> Receipt:
        current: SubjectSalt = self._sealer.fresh() if key is None else key
        for _ in range(MAX_REKEYS):
            sealed = self._sealer.seal(current.salt, entry_id, document)
            entry = build(sealed)
            leaf = leaf_hash(entry)
            outcome = await self._submit(
                PendingEntry(
                    decision_id=entry_id,
                    leaf_hash=leaf,
                    entry=entry,
                    sealed=sealed.blob,
                    entity=entity,
                    key_id=current.id,
                    new_salt=b"" if current.id else current.salt,
                    once=once,
                )
            )
            if type(outcome) is Appended:
                # INVARIANT: the append has returned, so the entry is on disk.
                prepared, id_token = digests
                return Receipt(
                    decision_id=name,
                    position=outcome.position,
                    leaf_hash=leaf,
                    prepared=prepared,
                    id_token=id_token,
                )
            if type(outcome) is Rekey:
                current = SealKey(outcome.key_id, outcome.salt) if outcome.salt else self._sealer.fresh()
        raise MintwardenError(ErrorKind.UNAVAILABLE, "the subject's key keeps changing", hint="try again")

    def _submit(self, entry: PendingEntry) -> asyncio.Future[Appended | Rekey]:
        if self._fatal is not None:
            raise FatalLedgerError(self._fatal.public, hint=self._fatal.hint)
        if self._closed:
            raise MintwardenError(ErrorKind.UNAVAILABLE, "the ledger is closing")
        if len(self._queue) >= self._capacity:
            raise MintwardenError(ErrorKind.OVERLOADED, "too many decisions wait to be recorded")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Appended | Rekey] = loop.create_future()
        self._queue.append(_Waiting(entry, future))
        if self._drain is None:
            # The task first runs after the callbacks of this moment, so that their entries share its batch.
            self._drain = loop.create_task(self._run())
        return future

    async def _run(self) -> None:
        queue = self._queue
        try:
            while queue:
                await self._gather()
                batch = [queue.popleft() for _ in range(min(len(queue), self._max_batch))]
                if batch:
                    await self._append(batch)
        finally:
            self._drain = None
            if queue:  # INVARIANT: whoever waits is answered, also when this task was cancelled
                self._fail(list(queue), MintwardenError(ErrorKind.UNAVAILABLE, "the ledger is closing"))
                queue.clear()

    async def _gather(self) -> None:
        """Let entries that are about to come share the next append, as long as a few turns of the loop bring more."""
        seen = barren = 0
        for _ in range(MOST_TURNS):
            waiting = len(self._queue)
            barren = 0 if waiting > seen else barren + 1
            if barren == BARREN_TURNS or waiting >= self._max_batch:
                return
            seen = waiting
            await asyncio.sleep(0)

    async def _append(self, batch: list[_Waiting]) -> None:
        try:
            outcomes = await self._appender.append([waiting.entry for waiting in batch])
            if len(outcomes) != len(batch):
                raise FatalLedgerError("the store answered for other entries than it was given")
        except FatalLedgerError as error:
            self._fail(batch, error)
            self.stop(error)
        except MintwardenError as error:
            self._fail(batch, error)
        except BaseException as error:
            # A store must not raise anything else. Whether the entries exist is unknown; nothing is signed.
            failure = MintwardenError(ErrorKind.UNAVAILABLE, "the decision could not be recorded")
            failure.__cause__ = error
            self._fail(batch, failure)
            if not isinstance(error, Exception):
                raise
        else:
            self._settle(batch, outcomes)

    def _settle(self, batch: list[_Waiting], outcomes: Sequence[Appended | Replayed | Rekey]) -> None:
        for waiting, outcome in zip(batch, outcomes, strict=True):
            if waiting.future.done():  # the caller went away; its entry stays
                continue
            if type(outcome) is Replayed:
                proof = next((key.proof for key in waiting.entry.once if key.digest == outcome.digest), "assertion")
                waiting.future.set_exception(ProofReplayed(outcome.digest, proof))
            else:
                waiting.future.set_result(outcome)  # type: ignore[arg-type]
        if self._on_batch is not None:
            self._on_batch(len(batch))

    def _fail(self, batch: Sequence[_Waiting], error: MintwardenError) -> None:
        for waiting in batch:
            if not waiting.future.done():
                # Each gets its own: a shared exception would collect every waiter's traceback.
                waiting.future.set_exception(_again(error))


def _digest(prepared: PreparedToken | None) -> bytes:
    return b"" if prepared is None else prepared.digest


def _again(error: MintwardenError) -> MintwardenError:
    if isinstance(error, FatalLedgerError):
        copy: MintwardenError = FatalLedgerError(error.public, hint=error.hint)
    else:
        copy = MintwardenError(error.kind, error.public, hint=error.hint)
    copy.__cause__ = error
    return copy
