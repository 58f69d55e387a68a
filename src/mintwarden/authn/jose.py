"""The one JWS verification that everything here goes through: compact serialization, public keys, strict.

Refused before any signature is looked at: other serializations, lenient or padded base64url, headers outside a
short list (so `crit`, `b64`, `jku`, `x5u`, `jwk`, `x5c`), duplicate JSON members, sizes beyond a limit, an
algorithm that is not on the caller's list for this key and purpose (RFC 8725 section 3; RFC 7515 section 5.2).
"""

from __future__ import annotations

import binascii
import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final, NoReturn

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from msgspec import Struct

TOKEN_LIMIT: Final = 16 * 1024
"""Longest compact serialization that is looked at, in characters."""
KEYS_LIMIT: Final = 100
"""Most keys that are taken from one key set."""

_HEADER_LIMIT = 2 * 1024
_CANDIDATES = 8
_HEADERS = frozenset({"alg", "kid", "typ", "cty", "x5t", "x5t#S256"})
PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_CURVES: Mapping[str, tuple[type[ec.EllipticCurve], int, str]] = {
    "P-256": (ec.SECP256R1, 32, "ES256"),
    "P-384": (ec.SECP384R1, 48, "ES384"),
}
_ECDSA = {"ES256": (32, ec.ECDSA(hashes.SHA256())), "ES384": (48, ec.ECDSA(hashes.SHA384()))}
_SHA256 = hashes.SHA256()
_PKCS1 = padding.PKCS1v15()
_PSS = padding.PSS(padding.MGF1(_SHA256), padding.PSS.DIGEST_LENGTH)
# The standard alphabet's own characters and the padding become something that strict decoding refuses.
_TO_STANDARD = bytes.maketrans(b"-_+/=", b"+/!!!")
_PADDING = (b"", b"", b"==", b"=")
# Canonical last characters where the last group has 2 or 3: the unused bits are zero (RFC 4648 section 3.5).
_LAST = (None, frozenset(b""), frozenset(b"AQgw"), frozenset(b"AEIMQUYcgkosw048"))
_DEEPEST = 32
# INVARIANT: a string without an end reaches to the end: looking on from each quote in it would take its square.
_NESTING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode


class JoseError(Exception):
    """A token, proof or key was refused. The text is for operators and holds nothing secret of it."""


class Ended(JoseError):
    """It is refused, and past its end."""


class VerificationKey(Struct, frozen=True):
    """A public key and the algorithms that it may be used with."""

    kid: str
    algorithms: frozenset[str]
    key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey | Ed25519PublicKey


DECOY: Final = VerificationKey("", frozenset({"ES256"}), ec.derive_private_key(1, ec.SECP256R1()).public_key())
"""Nobody's key: an unknown client costs a signature check as well, so that time does not tell which clients exist."""


class Unverified(Struct, frozen=True):
    """A token taken apart and well-formed. Nothing in it is believed yet.

    Attributes:
        algorithm: its `alg`.
        kid: its `kid`, or empty.
        typ: its `typ` in lower case without `application/`, or None (RFC 7515 section 4.1.9).
        signed: the signing input.
        payload, signature: decoded.
    """

    algorithm: str
    kid: str
    typ: str | None
    signed: bytes
    payload: bytes
    signature: bytes


def decode_segment(text: bytes) -> bytes:
    """Base64url without padding, canonical (RFC 7515 section 2); raises `JoseError` for any other spelling."""
    rest = len(text) & 3
    last = _LAST[rest]
    if last is not None and text[-1] not in last:
        raise JoseError("a segment is not canonical base64url")
    try:
        return binascii.a2b_base64(text.translate(_TO_STANDARD) + _PADDING[rest], strict_mode=True)
    except binascii.Error:
        raise JoseError("a segment is not base64url") from None


def decode_json(raw: bytes) -> dict[str, Any]:
    """A JSON object without duplicate members at any depth; raises `JoseError` for anything else."""
    if raw.count(b"[") + raw.count(b"{") > _DEEPEST:
        _refuse_deep(raw)
    try:
        value = _decode_object(raw)
        # Members that are written back as they came cannot have come twice; anything else is looked at closely.
        if _encode(value) != raw:
            json.loads(raw.decode(), object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except (ValueError, RecursionError, msgspec.DecodeError, UnicodeError):
        raise JoseError("not a JSON object with unique members") from None
    return value


def _refuse_deep(raw: bytes) -> None:
    depth = 0
    for found in _NESTING.finditer(raw):
        mark = found[0]
        if mark in (b"[", b"{"):
            depth += 1
            if depth > _DEEPEST:
                raise JoseError("the JSON is nested too deeply")
        elif mark in (b"]", b"}"):
            depth -= 1


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate member")
    return found


def _refuse_constant(_name: str) -> NoReturn:
    raise ValueError("not JSON")


def parse(compact: str, limit: int = TOKEN_LIMIT) -> Unverified:
    """The parts of a compact JWS; raises `JoseError` for anything that is not strictly one."""
    if len(compact) > limit:
        raise JoseError("the token is too long")
    try:
        parts = compact.encode("ascii").split(b".")
    except UnicodeEncodeError:
        raise JoseError("the token is not ASCII") from None
    if len(parts) != 3 or not (parts[0] and parts[2]):
        raise JoseError("the token is not a compact JWS with header and signature")
    head, body, tail = parts
    if len(head) > _HEADER_LIMIT:
        raise JoseError("the header is too long")
    algorithm, kid, typ = _header(head)
    return Unverified(algorithm, kid, typ, head + b"." + body, decode_segment(body), decode_segment(tail))


@lru_cache(maxsize=256)
def _header(head: bytes) -> tuple[str, str, str | None]:
    """`alg`, `kid` and `typ`. Tokens of one issuer have few headers; what is refused is not remembered."""
    header = decode_json(decode_segment(head))
    if not header.keys() <= _HEADERS:
        raise JoseError("the header has a member that is not accepted")
    algorithm, kid, typ = header.get("alg"), header.get("kid", ""), header.get("typ")
    if not (isinstance(algorithm, str) and isinstance(kid, str) and (typ is None or isinstance(typ, str))):
        raise JoseError("a header member has the wrong type")
    return algorithm, kid, None if typ is None else typ.lower().removeprefix("application/")


def check_signature(token: Unverified, key: VerificationKey) -> bool:
    """True if `key` made the signature with the algorithm that the header names and the key allows.

    INVARIANT: the algorithm only ever selects among what the key allows; it never decides what the key is.
    """
    algorithm, signature, signed, public = token.algorithm, token.signature, token.signed, key.key
    if algorithm not in key.algorithms:
        return False
    try:
        if isinstance(public, ec.EllipticCurvePublicKey):
            size, how = _ECDSA[algorithm]
            if len(signature) != 2 * size:
                return False
            r, s = int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")
            public.verify(encode_dss_signature(r, s), signed, how)
        elif isinstance(public, Ed25519PublicKey):
            public.verify(signature, signed)
        elif len(signature) != (public.key_size + 7) // 8:
            return False
        else:
            public.verify(signature, signed, _PSS if algorithm == "PS256" else _PKCS1, _SHA256)
    except InvalidSignature:
        return False
    return True


def verify_signature(token: Unverified, keys: Iterable[VerificationKey], algorithms: frozenset[str]) -> None:
    """Raises `JoseError` unless one of `keys` verifies the signature.

    `algorithms` are those accepted for this purpose. Candidates are the keys with the token's `kid`, or the
    keys without one; for a token without `kid`, every key that allows its algorithm. At most eight are tried.
    """
    if token.algorithm not in algorithms:
        raise JoseError("the algorithm is not accepted here")
    fitting = fitting_keys(token, keys)
    if not fitting:
        raise JoseError("no key fits the token's `kid` and `alg`")
    for key in fitting[:_CANDIDATES]:
        if check_signature(token, key):
            return
    raise JoseError("the signature does not verify")


def fitting_keys(token: Unverified, keys: Iterable[VerificationKey]) -> list[VerificationKey]:
    """The keys that may have made the token's signature; see `verify_signature`."""
    fitting = [key for key in keys if token.algorithm in key.algorithms]
    if token.kid:
        return [key for key in fitting if key.kid == token.kid] or [key for key in fitting if not key.kid]
    return fitting


def load_key(jwk: Mapping[str, Any], use: str = "sig") -> VerificationKey:
    """A public JWK for verification (RFC 7517, 7518, 8037). `use` is what its `use` must be, if it has one.

    Raises `JoseError` for symmetric or private keys, keys meant for something else (`use`, `key_ops`), RSA below
    2048 bits, and points that are not on their curve.
    """
    if not PRIVATE.isdisjoint(jwk):
        raise JoseError("the key has a private member")
    operations = jwk.get("key_ops")
    if jwk.get("use", use) != use or not (
        operations is None or (isinstance(operations, list | tuple) and "verify" in operations)
    ):
        raise JoseError("the key is not for signatures")
    try:
        key, algorithms = _public_key(jwk)
    except (KeyError, TypeError, ValueError, UnsupportedAlgorithm):
        raise JoseError("the key is malformed or of an unknown kind") from None
    stated, kid = jwk.get("alg"), jwk.get("kid", "")
    if stated is not None:
        algorithms &= {stated} if isinstance(stated, str) else set()
    if not algorithms:
        raise JoseError("the key is for an algorithm that is not accepted")
    if not isinstance(kid, str):
        raise JoseError("the key's `kid` is not a string")
    return VerificationKey(kid, frozenset(algorithms), key)


def _public_key(
    jwk: Mapping[str, Any],
) -> tuple[ec.EllipticCurvePublicKey | rsa.RSAPublicKey | Ed25519PublicKey, set[str]]:
    kind = jwk["kty"]
    if kind == "EC":
        curve, size, algorithm = _CURVES[jwk["crv"]]
        x, y = _member(jwk, "x"), _member(jwk, "y")
        if len(x) != size or len(y) != size:
            raise ValueError("coordinate length")
        numbers = ec.EllipticCurvePublicNumbers(int.from_bytes(x, "big"), int.from_bytes(y, "big"), curve())
        return numbers.public_key(), {algorithm}
    if kind == "OKP":
        if jwk["crv"] != "Ed25519":
            raise ValueError("curve")
        return Ed25519PublicKey.from_public_bytes(_member(jwk, "x")), {"EdDSA"}
    if kind == "RSA":
        n, e = int.from_bytes(_member(jwk, "n"), "big"), int.from_bytes(_member(jwk, "e"), "big")
        # The upper bounds keep a hostile key set from making verification expensive.
        if not 2048 <= n.bit_length() <= 8192 or e.bit_length() > 64:
            raise ValueError("modulus or exponent size")
        return rsa.RSAPublicNumbers(e, n).public_key(), {"PS256", "RS256"}
    raise ValueError("kind")


def _member(jwk: Mapping[str, Any], name: str) -> bytes:
    text = jwk[name]
    if not isinstance(text, str):
        raise TypeError(name)
    try:
        return decode_segment(text.encode("ascii"))
    except JoseError:
        raise ValueError(name) from None


def load_key_set(jwks: Mapping[str, Any], use: str = "sig") -> tuple[VerificationKey, ...]:
    """The usable keys of a JWK set; others are passed over (RFC 7517 section 5). Raises `JoseError` if it is none."""
    members = jwks.get("keys")
    if not isinstance(members, list) or len(members) > KEYS_LIMIT:
        raise JoseError("not a key set, or one with too many keys")
    found = []
    for jwk in members:
        if isinstance(jwk, dict):
            try:
                found.append(load_key(jwk, use))
            except JoseError:
                continue
    return tuple(found)


def numeric_date(claims: Mapping[str, Any], name: str) -> int | None:
    """A `NumericDate` claim in `Millis`, None when absent; raises `JoseError` for anything else in its place."""
    value = claims.get(name)
    if type(value) is int and 0 <= value < 1 << 40:
        return value * 1000
    if value is None and name not in claims:
        return None
    if type(value) is float and 0 <= value < 1 << 40:
        return int(value * 1000)
    raise JoseError(f"`{name}` is not a time")


def string(claims: Mapping[str, Any], name: str) -> str:
    """A claim that is a non-empty string, or empty when absent; raises `JoseError` for anything else."""
    value = claims.get(name)
    if isinstance(value, str) and value:
        return value
    if name not in claims:
        return ""
    raise JoseError(f"`{name}` is not a string")


def audiences(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """`aud` as a tuple (RFC 7519 section 4.1.3); raises `JoseError` unless it is a string or a list of strings."""
    value = claims.get("aud")
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise JoseError("`aud` is missing or malformed")
