"""The sequencer as this process runs it: under the ledger's present key, watched, and final when it is fatal."""

from __future__ import annotations

import asyncio
import time
from urllib.parse import urlsplit

import httpx2

from mintwarden.app.config import Config
from mintwarden.app.dangers import is_loopback
from mintwarden.app.foundation import Foundation
from mintwarden.app.observe import Watch
from mintwarden.ledger.note import VerifierKey, verifier_key
from mintwarden.ledger.ports import Head
from mintwarden.ledger.published import PublishedLog
from mintwarden.ledger.sequencer import LEASE, Sequencer, SequencerEvent
from mintwarden.ledger.witness import HttpAnswer, WitnessClient, witness
from mintwarden.mint.ring import CheckpointKey
from mintwarden.model.errors import ErrorKind, FatalLedgerError, MintwardenError

WITNESS_TIMEOUT = 5.0
MAX_ANSWER = 64 * 1024
_PLAIN = {"accept-encoding": "identity"}
LEASE_SECONDS = 2.0
"""How long a sequencer that died keeps the others from taking over."""

LIMIT = 4096
MAX_ROUNDS = 64
"""Full rounds in one run, so that a long backlog does not keep the process from stopping."""


class Sequencing:
    """Runs the sequencer. `fatal` is set once the log may fork: nothing may be issued from then on.

    INVARIANT: every process remembers the newest head that it saw, elected or not. When the elected one stops at a
    head that was set back, no other takes over and publishes a second history.
    """

    def __init__(self, base: Foundation, *, watch: Watch) -> None:
        self._base = base
        self._watch = watch
        self._sequencer: Sequencer | None = None
        self._kid = ""
        self._ran = time.monotonic()
        self._head: Head | None = None
        self.fatal: FatalLedgerError | None = None
        self.log = PublishedLog(tree=base.store.tree, entries=base.store.entries)

    @property
    def size(self) -> int:
        """Entries under the newest head that this process saw."""
        return self._head.size if self._head is not None else 0

    @property
    def quiet_for(self) -> float:
        """Seconds since a run last succeeded, elected or not."""
        return time.monotonic() - self._ran

    async def look(self) -> None:
        """Before anything is issued: is the stored log ours, whoever is elected. `fatal` is set where it is not."""
        try:
            head = await self._base.store.tree.head()
            self._current().require_ours(head)
            self._follow(head)
        except FatalLedgerError as error:
            self._stop(error)

    async def run(self) -> None:
        """Publish what is new, as far as this process is elected."""
        if self.fatal is not None:
            return
        try:
            for _ in range(MAX_ROUNDS):
                before = self.size
                self._follow(await self._base.store.tree.head())
                head = await self._current().run_once()
                if head is not None:
                    self._follow(head)
                self._ran = time.monotonic()
                if head is None or head.size - before < LIMIT:
                    return
        except FatalLedgerError as error:
            self._stop(error)

    def _stop(self, error: FatalLedgerError) -> None:
        self.fatal = error
        self._base.recorder.stop(error)
        self._watch.stumbled("sequencer", error)

    def _follow(self, head: Head) -> None:
        known = self._head
        if known is not None and (head.size < known.size or (head.size == known.size and head.root != known.root)):
            raise FatalLedgerError(
                "the stored head was set back or replaced",
                hint="stop issuing, keep the database as it is and run `mintwarden ledger audit`",
            )
        self._head = head

    async def finish(self) -> None:
        """Publish the last entries and let another process be elected at once. A failure is told: neither is due."""
        try:
            await self.run()
            if self.fatal is None:
                await self._base.store.leases.release(LEASE, self._base.holder)
        except MintwardenError as error:
            self._watch.stumbled("sequencer", error)

    def check(self) -> None:
        """Raise if nothing may be issued any more."""
        if self.fatal is not None:
            raise FatalLedgerError(self.fatal.public, hint=self.fatal.hint)

    def _current(self) -> Sequencer:
        key = self._base.ring.checkpoint_key()
        if self._sequencer is None or key.signer.kid != self._kid:
            self._kid = key.signer.kid
            self._sequencer = self._make(key)
        return self._sequencer

    def _make(self, key: CheckpointKey) -> Sequencer:
        base = self._base
        poster = _Poster(base.config)
        return Sequencer(
            tree=base.store.tree,
            entries=base.store.entries,
            leases=base.store.leases,
            signer=_LogSigner(base.origin, key),
            origin=base.origin,
            holder=base.holder,
            trusted=base.log_keys(),
            witnesses=[
                WitnessClient(witness=witness(w.name, w.vkey, w.url), http=poster, prove=self.log.consistency_proof)
                for w in base.config.ledger.witnesses
            ],
            limit=LIMIT,
            lease_seconds=LEASE_SECONDS,
            on_event=self._heard,
        )

    def _heard(self, event: SequencerEvent) -> None:
        if event.kind == "trouble" and event.trouble is not None:
            error = MintwardenError(
                ErrorKind.LEDGER, f"witness `{event.trouble.witness}`: {event.trouble.kind}", hint=event.detail
            )
            self._watch.stumbled("witness", error)


class _LogSigner:
    """Signs checkpoints under the log's name."""

    def __init__(self, origin: str, key: CheckpointKey) -> None:
        self._key = verifier_key(origin, key.public)
        self._signer = key.signer

    @property
    def key(self) -> VerifierKey:
        return self._key

    async def sign(self, data: bytes) -> bytes:
        return await self._signer.sign(data)


class _Poster:
    """Posts to witnesses; a new connection each time, for they are asked once a second at most."""

    def __init__(self, config: Config) -> None:
        self._dev = config.server.dev

    async def post(self, url: str, body: bytes) -> HttpAnswer:
        parts = urlsplit(url)
        if parts.scheme != "https" and not (self._dev and is_loopback(parts.hostname or "")):
            raise MintwardenError(ErrorKind.UNAVAILABLE, "the witness is not reached over TLS")
        try:
            async with (
                asyncio.timeout(WITNESS_TIMEOUT),  # of all of it: the client's own is one for each piece
                httpx2.AsyncClient(timeout=WITNESS_TIMEOUT, follow_redirects=False, headers=_PLAIN) as client,
                client.stream("POST", url, content=body) as answer,
            ):
                content = b""
                async for chunk in answer.aiter_raw():  # INVARIANT: as it came: what is small may unpack to anything
                    content += chunk
                    if len(content) > MAX_ANSWER:
                        raise MintwardenError(ErrorKind.UNAVAILABLE, "the witness answers too much")
                return HttpAnswer(answer.status_code, answer.headers.get("content-type", ""), content)
        except (httpx2.HTTPError, TimeoutError) as error:
            raise MintwardenError(ErrorKind.UNAVAILABLE, "the witness does not answer") from error
