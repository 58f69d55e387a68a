"""Public keys of authors and approvers: OpenSSH's, hardware-backed ones included, and our own as JWKs."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from msgspec import Struct

from mintwarden.policy.approve.refusal import SignatureRefused
from mintwarden.policy.approve.wire import Reader, malformed

SK_ED25519 = "sk-ssh-ed25519@openssh.com"
SK_ECDSA = "sk-ecdsa-sha2-nistp256@openssh.com"
_CURVES: Mapping[str, tuple[ec.EllipticCurve, int]] = {
    "nistp256": (ec.SECP256R1(), 32),
    "nistp384": (ec.SECP384R1(), 48),
}
_MIN_RSA, _MAX_RSA = 2048, 8192

Raw = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey


class PublicKey(Struct, frozen=True, kw_only=True):
    """A public key that may sign statements.

    Attributes:
        text: as the bundle has it: type and base64 of an OpenSSH key, or the canonical JSON of a JWK (RFC 7638).
        kind: OpenSSH's name of the type, or `Ed25519` and `ES256` for our own.
        key: for the cryptography.
        application: of a hardware-backed key, else empty.
        material: the same for the same key, whatever form it is written in.
    """

    text: str
    kind: str
    key: Raw
    application: bytes = b""
    material: bytes

    @property
    def fingerprint(self) -> str:
        """How people and `ssh-keygen -l` name it."""
        words = self.text.split(" ")
        data = base64.b64decode(words[1]) if len(words) == 2 else self.text.encode()
        return f"SHA256:{base64.b64encode(hashlib.sha256(data).digest()).decode().rstrip('=')}"


def read_key(text: str) -> PublicKey:
    """The key that a bundle's text stands for; raises `SignatureRefused("malformed")`."""
    if text.startswith("{"):
        return _jwk(text)
    words = text.split()
    if len(words) < 2:
        raise malformed("it is not the line of a `.pub` file")
    try:
        blob = base64.b64decode(words[1], validate=True)
    except (binascii.Error, ValueError):
        raise malformed("it is not base64") from None
    found = read_blob(blob)
    if found.kind != words[0]:
        raise malformed(f"it says `{words[0]}` and is `{found.kind}`")
    return found


def read_blob(blob: bytes) -> PublicKey:
    """The key of an OpenSSH public key blob; raises `SignatureRefused("malformed")` for types that do not count."""
    reader = Reader(blob)
    kind = reader.string().decode("ascii", "replace")
    reading = _TYPES.get(kind)
    if reading is None:
        raise malformed(f"keys of the type `{kind[:40]}` do not count")
    key, application = reading(reader, kind)
    reader.end()
    text = f"{kind} {base64.b64encode(blob).decode()}"
    return PublicKey(text=text, kind=kind, key=key, application=application, material=_material(key))


def jwk_text(jwk: Mapping[str, object]) -> str:
    """The canonical JSON of a public JWK's required members (RFC 7638 section 3)."""
    members = {name: jwk[name] for name in ("crv", "kty", "x", "y") if name in jwk}
    return json.dumps(members, sort_keys=True, separators=(",", ":"))


def thumbprint(key: PublicKey) -> bytes:
    """The 32 bytes that name one of our own keys in its signatures (RFC 7638)."""
    return hashlib.sha256(key.text.encode()).digest()


def verifies(key: Raw, signature: bytes, data: bytes, digest: hashes.HashAlgorithm) -> bool:
    """Does `signature` (DER for elliptic curves) fit; Ed25519 has a hash of its own."""
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, data)
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, data, padding.PKCS1v15(), digest)
        else:
            key.verify(signature, data, ec.ECDSA(digest))
    except InvalidSignature:
        return False
    return True


def _jwk(text: str) -> PublicKey:
    try:
        jwk = json.loads(text)
        x = _b64u(jwk["x"])
        if (jwk["kty"], jwk["crv"]) == ("OKP", "Ed25519"):
            kind, key = "Ed25519", _ed25519(x)
        elif (jwk["kty"], jwk["crv"]) == ("EC", "P-256"):
            kind, key = "ES256", _point(b"\x04" + x + _b64u(jwk["y"]), "nistp256")
        else:
            raise malformed("our own keys are Ed25519 or ES256 (P-256)")
    except (KeyError, TypeError, ValueError):
        raise malformed("it is not a public JWK") from None
    return PublicKey(text=jwk_text(jwk), kind=kind, key=key, material=_material(key))


def _b64u(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _material(key: Raw) -> bytes:
    if isinstance(key, ed25519.Ed25519PublicKey):
        return b"ed25519:" + key.public_bytes_raw()
    if isinstance(key, rsa.RSAPublicKey):
        numbers = key.public_numbers()
        return f"rsa:{numbers.n:x}".encode()
    point = key.public_numbers()
    return f"{key.curve.name}:{point.x:x}:{point.y:x}".encode()


def _ed25519(raw: bytes) -> Raw:
    if len(raw) != 32:
        raise malformed("an Ed25519 key has 32 bytes")
    return ed25519.Ed25519PublicKey.from_public_bytes(raw)


def _point(raw: bytes, curve: str) -> Raw:
    kind, width = _CURVES[curve]
    if len(raw) != 2 * width + 1 or raw[0] != 4:
        raise malformed("the point is not in its uncompressed form")
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(kind, raw)
    except ValueError:
        raise malformed("the point is not on its curve") from None


def _read_ed25519(reader: Reader, kind: str) -> tuple[Raw, bytes]:
    key = _ed25519(reader.string())
    return key, reader.string() if kind == SK_ED25519 else b""


def _read_ecdsa(reader: Reader, kind: str) -> tuple[Raw, bytes]:
    curve = reader.string().decode("ascii", "replace")
    if curve not in _CURVES or curve not in kind:
        raise malformed("the curve is not that of the key's type")
    key = _point(reader.string(), curve)
    return key, reader.string() if kind == SK_ECDSA else b""


def _read_rsa(reader: Reader, _kind: str) -> tuple[Raw, bytes]:
    exponent, modulus = reader.mpint(), reader.mpint()
    if not _MIN_RSA <= modulus.bit_length() <= _MAX_RSA:
        raise malformed(f"an RSA key must have {_MIN_RSA} to {_MAX_RSA} bits")
    if exponent < 3 or exponent % 2 == 0 or exponent.bit_length() > 32:
        raise malformed("the RSA exponent is not usable")
    try:
        return rsa.RSAPublicNumbers(exponent, modulus).public_key(), b""
    except ValueError:
        raise malformed("the RSA numbers are not usable") from None


_TYPES: Mapping[str, Callable[[Reader, str], tuple[Raw, bytes]]] = {
    "ssh-ed25519": _read_ed25519,
    SK_ED25519: _read_ed25519,
    "ecdsa-sha2-nistp256": _read_ecdsa,
    "ecdsa-sha2-nistp384": _read_ecdsa,
    SK_ECDSA: _read_ecdsa,
    "ssh-rsa": _read_rsa,
}


def try_key(text: str) -> PublicKey | str:
    """`read_key`, or what is wrong with the text."""
    try:
        return read_key(text)
    except SignatureRefused as refused:
        return refused.detail
