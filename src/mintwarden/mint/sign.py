"""Step 8: no receipt, no signature; one prepared token, one signature."""

from __future__ import annotations

from binascii import b2a_base64

from mintwarden.mint.ports import Signer
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.token import PreparedToken, Receipt, SignedToken

_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def b64(raw: bytes) -> bytes:
    """base64url without padding (RFC 7515 section 2), without the three layers of the standard library's."""
    return b2a_base64(raw, newline=False).rstrip(b"=").translate(_URL_SAFE)


async def sign(prepared: PreparedToken, receipt: Receipt, signer: Signer) -> SignedToken:
    """The signed token, with the leaf hash of its ledger entry as its last claim (`ledger_leaf`).

    Raises `INTERNAL` when the receipt is another token's, when the token was signed before or when the signer is
    not the one that it was prepared for. A signer that fails spends the token too: whoever wants another one
    walks the whole line again.
    """
    # INVARIANT: the receipt is of this very token, so what was recorded is what gets signed.
    if receipt.decision_id != prepared.decision_id or prepared.digest not in (receipt.prepared, receipt.id_token):
        raise MintwardenError(ErrorKind.INTERNAL, "the receipt belongs to another token")
    if signer.kid != prepared.kid or signer.algorithm != prepared.algorithm:
        raise MintwardenError(ErrorKind.INTERNAL, "the signer is not the one that the token was prepared for")
    # INVARIANT: `next` on the shared iterator is atomic, so of two concurrent calls one gets nothing.
    if not next(prepared.unspent, False):
        raise MintwardenError(ErrorKind.INTERNAL, "the token was signed before")
    payload = prepared.payload[:-1] + b',"ledger_leaf":"' + b64(receipt.leaf_hash) + b'"}'
    signing_input = b64(prepared.header) + b"." + b64(payload)
    signature = await signer.sign(signing_input)
    return SignedToken(
        compact=(signing_input + b"." + b64(signature)).decode("ascii"),
        decision_id=prepared.decision_id,
        expires_in=prepared.expires_at - prepared.issued_at,
        token_type=prepared.token_type,
        issued=prepared.issued,
    )
