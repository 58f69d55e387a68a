"""Step 8: no receipt, no signature; one prepared token, one signature."""

from __future__ import annotations

import functools
import hashlib
from binascii import b2a_base64
from collections.abc import Callable, Mapping
from typing import Any

from mintwarden.mint.ports import Signer
from mintwarden.mint.prepare import RT_HASH
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.token import PreparedToken, Receipt, SignedToken

_HASHES: Mapping[str, Callable[[bytes], Any]] = {
    "ES256": hashlib.sha256,
    "PS256": hashlib.sha256,
    "RS256": hashlib.sha256,
    "ES384": hashlib.sha384,
    "EdDSA": hashlib.sha512,
}
"""By the algorithm of the ID token that names the hash (OpenID Connect Core section 3.1.3.6). Ed25519: SHA-512."""


def b64(raw: bytes) -> bytes:
    """base64url without padding (RFC 7515 section 2), without the three layers of the standard library's."""
    # JSON has next to none of the two characters: to look for them costs a tenth of translating all.
    return b2a_base64(raw, newline=False).rstrip(b"=").replace(b"+", b"-").replace(b"/", b"_")


_header = functools.lru_cache(maxsize=256)(b64)
"""A header says which key and what kind of token, and so is one of few."""


async def sign(
    prepared: PreparedToken,
    receipt: Receipt,
    signer: Signer,
    beside: SignedToken | None = None,
    refresh_token: str = "",
) -> SignedToken:
    """The signed token, with the leaf hash of its ledger entry as its last claim (`ledger_leaf`).

    One that names the tokens beside it (`names_others`) has their hashes before that: of `beside`, the access token of
    the same receipt, and of the refresh token, if there is one (CIBA section 10.3.1).

    Raises `INTERNAL` when the receipt is another token's, when the token was signed before, when the signer is
    not the one that it was prepared for, or when what it names is none that was signed for the same receipt. A signer
    that fails spends the token too: whoever wants another one walks the whole line again.
    """
    # INVARIANT: the receipt is of this very token, so what was recorded is what gets signed.
    if receipt.decision_id != prepared.decision_id or prepared.digest not in (receipt.prepared, receipt.id_token):
        raise MintwardenError(ErrorKind.INTERNAL, "the receipt belongs to another token")
    if signer.kid != prepared.kid or signer.algorithm != prepared.algorithm:
        raise MintwardenError(ErrorKind.INTERNAL, "the signer is not the one that the token was prepared for")
    hashes = _hashes(prepared, receipt, beside, refresh_token) if prepared.names_others else b""
    # INVARIANT: `next` on the shared iterator is atomic, so of two concurrent calls one gets nothing.
    if not next(prepared.unspent, False):
        raise MintwardenError(ErrorKind.INTERNAL, "the token was signed before")
    payload = prepared.payload[:-1] + hashes + b',"ledger_leaf":"' + b64(receipt.leaf_hash) + b'"}'
    signing_input = _header(prepared.header) + b"." + b64(payload)
    signature = await signer.sign(signing_input)
    return SignedToken(
        compact=(signing_input + b"." + b64(signature)).decode("ascii"),
        decision_id=prepared.decision_id,
        expires_in=prepared.expires_at - prepared.issued_at,
        token_type=prepared.token_type,
        issued=prepared.issued,
    )


def _hashes(prepared: PreparedToken, receipt: Receipt, beside: SignedToken | None, refresh_token: str) -> bytes:
    """INVARIANT: nothing is added but what follows from tokens of this receipt, which are signed already."""
    if beside is None or beside.decision_id != receipt.decision_id:
        raise MintwardenError(ErrorKind.INTERNAL, "the token names another one that is not there")
    claims = b',"at_hash":"' + _half(prepared.algorithm, beside.compact) + b'"'
    if refresh_token:
        claims += b',"' + RT_HASH.encode() + b'":"' + _half(prepared.algorithm, refresh_token) + b'"'
    return claims


def _half(algorithm: str, token: str) -> bytes:
    digest: bytes = _HASHES[algorithm](token.encode("ascii")).digest()
    return b64(digest[: len(digest) // 2])
