"""Step 8: no receipt, no signature; one prepared token, one signature."""

from __future__ import annotations

from base64 import urlsafe_b64encode

from mintwarden.mint.ports import Signer
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.token import PreparedToken, Receipt, SignedToken


async def sign(prepared: PreparedToken, receipt: Receipt, signer: Signer) -> SignedToken:
    """The signed token, with the leaf hash of its ledger entry as its last claim (`ledger_leaf`).

    Raises `INTERNAL` when the receipt is another token's, when the token was signed before or when the signer is
    not the one that it was prepared for. A signer that fails spends the token too: whoever wants another one
    walks the whole line again.
    """
    # INVARIANT: the receipt is of this very token, so what was recorded is what gets signed.
    if receipt.decision_id != prepared.decision_id or receipt.prepared != prepared.digest:
        raise MintwardenError(ErrorKind.INTERNAL, "the receipt belongs to another token")
    if signer.kid != prepared.kid or signer.algorithm != prepared.algorithm:
        raise MintwardenError(ErrorKind.INTERNAL, "the signer is not the one that the token was prepared for")
    # INVARIANT: `next` on the shared iterator is atomic, so of two concurrent calls one gets nothing.
    if not next(prepared.unspent, False):
        raise MintwardenError(ErrorKind.INTERNAL, "the token was signed before")
    leaf = urlsafe_b64encode(receipt.leaf_hash).rstrip(b"=")
    payload = prepared.payload[:-1] + b',"ledger_leaf":"' + leaf + b'"}'
    signing_input = urlsafe_b64encode(prepared.header).rstrip(b"=") + b"." + urlsafe_b64encode(payload).rstrip(b"=")
    signature = await signer.sign(signing_input)
    return SignedToken(
        compact=(signing_input + b"." + urlsafe_b64encode(signature).rstrip(b"=")).decode("ascii"),
        decision_id=prepared.decision_id,
        expires_in=prepared.expires_at - prepared.issued_at,
        token_type=prepared.token_type,
    )
