"""Asking witnesses for cosignatures (C2SP tlog-witness, `add-checkpoint`)."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, Protocol

from msgspec import Struct

from mintwarden.ledger.checkpoint import Checkpoint, cosignature_time, parse_decimal
from mintwarden.ledger.note import COSIGNATURE, Signature, VerifierKey, malformed, parse_signatures, parse_verifier_key
from mintwarden.model.errors import MintwardenError

SIZE_TYPE = "text/x.tlog.size"
MAX_PROOF = 63
_ATTEMPTS = 3

Prove = Callable[[int, int], Awaitable[Sequence[bytes]]]
"""Consistency proof between two published sizes."""


class HttpAnswer(Struct, frozen=True):
    """An answer over HTTP, whatever its status."""

    status: int
    content_type: str
    body: bytes


class HttpPoster(Protocol):
    """The one request that witnesses take."""

    async def post(self, url: str, body: bytes) -> HttpAnswer:
        """The answer. Raises `MintwardenError(UNAVAILABLE)` when there is none in time."""
        ...


class Witness(Struct, frozen=True):
    """Somebody who looks at the log from outside. `url` is the submission prefix."""

    key: VerifierKey
    url: str


class Trouble(Struct, frozen=True):
    """Why there is no cosignature.

    `ahead`: the witness has seen a larger tree than ours: this log was set back, or the witness errs.
    `forked`: it has seen another tree of this size. `refused`: it does not want this log or checkpoint.
    `unavailable`: no answer. `nonsense`: an answer that the protocol does not have.
    """

    witness: str
    kind: Literal["ahead", "forked", "refused", "unavailable", "nonsense"]
    detail: str


def witness(name: str, vkey: str, url: str) -> Witness:
    """A witness as configured; raises `MintwardenError(LEDGER)` for a key that is not its cosignature key."""
    key = parse_verifier_key(vkey)
    if key.algorithm != COSIGNATURE:
        raise malformed(f"the verifier key of witness `{name}` is not for cosignatures")
    if key.name != name:
        raise malformed(f"the verifier key of witness `{name}` names `{key.name}`")
    return Witness(key, url.rstrip("/"))


class WitnessClient:
    """Gets cosignatures from one witness and remembers which size it saw last."""

    def __init__(self, *, witness: Witness, http: HttpPoster, prove: Prove) -> None:
        self.witness = witness
        self._http = http
        self._prove = prove
        self._seen = 0

    async def cosign(self, checkpoint: Checkpoint, note: bytes) -> Sequence[Signature] | Trouble:
        """The witness's signature lines over a published checkpoint, verified, or why there are none."""
        try:
            return await self._cosign(checkpoint, note)
        except MintwardenError as error:
            kind: Literal["unavailable", "nonsense"] = (
                "unavailable" if error.kind.value == "unavailable" else "nonsense"
            )
            return self._trouble(kind, error.public)

    async def _cosign(self, checkpoint: Checkpoint, note: bytes) -> Sequence[Signature] | Trouble:
        size = checkpoint.size
        for _ in range(_ATTEMPTS):
            old = self._seen if self._seen <= size else 0
            body = await self._request(old, size, note)
            answer = await self._http.post(f"{self.witness.url}/add-checkpoint", body)
            if answer.status == 200:
                return self._accept(checkpoint, answer.body)
            if answer.status != 409:
                kind: Literal["forked", "refused"] = "forked" if answer.status == 422 else "refused"
                return self._trouble(kind, f"status {answer.status} for size {size} after {old}")
            if answer.content_type.partition(";")[0].strip().lower() != SIZE_TYPE:
                return self._trouble("forked", f"it has another tree of size {size}")
            known = _parse_size(answer.body)
            if known > size:
                return self._trouble("ahead", f"it has seen size {known}, ours is {size}")
            if known == old:
                return self._trouble("nonsense", f"it denies and confirms size {known}")
            self._seen = known
        return self._trouble("nonsense", "the size it has seen keeps changing")

    async def _request(self, old: int, size: int, note: bytes) -> bytes:
        proof = [] if old in (0, size) else list(await self._prove(old, size))
        if len(proof) > MAX_PROOF:
            raise malformed("the consistency proof is too long")
        lines = b"".join(base64.b64encode(part) + b"\n" for part in proof)
        return f"old {old}\n".encode() + lines + b"\n" + note

    def _accept(self, checkpoint: Checkpoint, body: bytes) -> Sequence[Signature] | Trouble:
        key = self.witness.key
        try:
            lines = parse_signatures(body.decode())
        except UnicodeDecodeError:
            return self._trouble("nonsense", "its answer is not UTF-8")
        own = [line for line in lines if line.name == key.name and line.key_id == key.id]
        if not own or any(cosignature_time(key, checkpoint.text(), line) is None for line in own):
            return self._trouble("nonsense", "its cosignature does not verify")
        self._seen = checkpoint.size
        return own[:1]

    def _trouble(self, kind: Literal["ahead", "forked", "refused", "unavailable", "nonsense"], detail: str) -> Trouble:
        return Trouble(self.witness.key.name, kind, detail)


def _parse_size(body: bytes) -> int:
    if not body.endswith(b"\n") or len(body) > 32 or not body.isascii():
        raise malformed("its size is not a size")
    return parse_decimal(body[:-1].decode())
