"""Signatures of `ssh-keygen -Y sign` (OpenSSH's PROTOCOL.sshsig, and PROTOCOL.u2f for hardware-backed keys).

Our own, because the library for it (`sshsig`) knows neither hardware-backed nor ECDSA keys; see
`docs/adr/0010-versions.md`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Mapping

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from mintwarden.policy.approve.keys import SK_ECDSA, SK_ED25519, PublicKey, read_blob, verifies
from mintwarden.policy.approve.refusal import SignatureRefused
from mintwarden.policy.approve.wire import Reader, malformed, string

BEGIN, END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
NAMESPACE = "mintwarden-policy"
"""What `ssh-keygen -Y sign -n` is given: a signature made for anything else, a git commit say, does not count."""

_MAGIC = b"SSHSIG"
_HASHES: Mapping[bytes, Callable[[bytes], bytes]] = {
    b"sha256": lambda data: hashlib.sha256(data).digest(),
    b"sha512": lambda data: hashlib.sha512(data).digest(),
}
_USER_PRESENT = 0x01


def verify_sshsig(armor: str, message: bytes) -> PublicKey:
    """The key that signed `message`. Whose it is stands elsewhere.

    Raises `SignatureRefused`: `malformed`, `bad_signature` (other bytes, another namespace, nobody at the hardware).
    """
    reader = Reader(dearmored(armor, BEGIN, END))
    if reader.take(len(_MAGIC)) != _MAGIC or reader.number() != 1:
        raise malformed("it is not an SSH signature of version 1")
    key = read_blob(reader.string())
    namespace, reserved, hash_name, signature = (reader.string() for _ in range(4))
    reader.end()
    if namespace != NAMESPACE.encode():
        raise SignatureRefused("bad_signature", f"it was made for another purpose than `{NAMESPACE}`")
    digest = _HASHES.get(hash_name)
    if digest is None:
        raise malformed("its hash is neither sha256 nor sha512")
    signed = _MAGIC + string(namespace) + string(reserved) + string(hash_name) + string(digest(message))
    if not _fits(key, signature, signed):
        raise SignatureRefused("bad_signature", "it is not over this statement")
    return key


def dearmored(armor: str, begin: str, end: str) -> bytes:
    """The bytes between the two lines; nothing may stand before or after them."""
    lines = armor.strip("\n").split("\n")
    if len(lines) < 3 or lines[0] != begin or lines[-1] != end or len(lines) > 400:
        raise malformed(f"it does not stand between `{begin}` and `{end}`")
    try:
        return base64.b64decode("".join(lines[1:-1]), validate=True)
    except (binascii.Error, ValueError):
        raise malformed("it is not base64") from None


def armored(data: bytes, begin: str, end: str) -> str:
    """`dearmored` reversed."""
    text = base64.b64encode(data).decode()
    body = "\n".join(text[at : at + 70] for at in range(0, len(text), 70))
    return f"{begin}\n{body}\n{end}\n"


def _fits(key: PublicKey, signature: bytes, signed: bytes) -> bool:
    reader = Reader(signature)
    form, raw = reader.string().decode("ascii", "replace"), reader.string()
    if key.kind in (SK_ED25519, SK_ECDSA):
        flags, counter = reader.take(1), reader.take(4)
        if not flags[0] & _USER_PRESENT:
            raise SignatureRefused("bad_signature", "nobody touched the hardware that made it")
        signed = hashlib.sha256(key.application).digest() + flags + counter + hashlib.sha256(signed).digest()
    reader.end()
    if key.kind == "ssh-rsa":
        rsa = {"rsa-sha2-256": hashes.SHA256(), "rsa-sha2-512": hashes.SHA512()}.get(form)
        if rsa is None:
            raise malformed("an RSA signature must be of `rsa-sha2-256` or `rsa-sha2-512`")
        return verifies(key.key, raw, signed, rsa)
    if form != key.kind:
        raise malformed("the signature is of another type than its key")
    if key.kind in ("ssh-ed25519", SK_ED25519):
        return len(raw) == 64 and verifies(key.key, raw, signed, hashes.SHA512())
    numbers = Reader(raw)
    der = encode_dss_signature(numbers.mpint(), numbers.mpint())
    numbers.end()
    return verifies(key.key, der, signed, hashes.SHA384() if "384" in key.kind else hashes.SHA256())
