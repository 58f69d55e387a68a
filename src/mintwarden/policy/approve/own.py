"""Signatures of our own keys, Ed25519 or ES256, for those who do not sign with SSH keys."""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from mintwarden.policy.approve.keys import PublicKey, thumbprint, verifies
from mintwarden.policy.approve.refusal import SignatureRefused
from mintwarden.policy.approve.sshsig import NAMESPACE, armored, dearmored
from mintwarden.policy.approve.wire import malformed

BEGIN, END = "-----BEGIN MINTWARDEN SIGNATURE-----", "-----END MINTWARDEN SIGNATURE-----"


def to_be_signed(message: bytes) -> bytes:
    """What an own key signs: the purpose stands before the statement, as in an SSH signature."""
    return NAMESPACE.encode() + b"\x00" + message


def own_signature(key: PublicKey, raw: bytes) -> str:
    """The armor of a signature: the key's thumbprint and the 64 bytes (R and S for ES256)."""
    return armored(thumbprint(key) + raw, BEGIN, END)


def verify_own(armor: str, message: bytes, known: tuple[PublicKey, ...]) -> PublicKey:
    """The one of `known` that signed `message`.

    Raises `SignatureRefused`: `malformed`, `wrong_key`, `bad_signature`.
    """
    data = dearmored(armor, BEGIN, END)
    if len(data) != 96:
        raise malformed("it is not 96 bytes long")
    key = next((key for key in known if thumbprint(key) == data[:32]), None)
    if key is None:
        raise SignatureRefused("wrong_key", "it was made with a key that the bundle does not know")
    raw = data[32:]
    if key.kind == "ES256":
        r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
        raw = encode_dss_signature(r, s)
    if not verifies(key.key, raw, to_be_signed(message), hashes.SHA256()):
        raise SignatureRefused("bad_signature", "it is not over this statement")
    return key
