"""A strict reader of compact JWS for the consumer's side (RFC 7515, RFC 8725); the library checks the signature."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Collection, Mapping
from typing import Any, NoReturn

from joserfc.errors import JoseError as LibraryError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry, deserialize_compact
from msgspec import Struct

ALGORITHMS = frozenset({"ES256", "ES384", "PS256", "EdDSA", "RS256"})
_PARTS = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)", re.ASCII)
_KINDS: Mapping[str, type[ECKey | OKPKey | RSAKey]] = {"EC": ECKey, "OKP": OKPKey, "RSA": RSAKey}
_FITS = {
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "EdDSA": ("OKP", "Ed25519"),
    "PS256": ("RSA", None),
    "RS256": ("RSA", None),
}
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_LEAST_RSA = 2048


class Malformed(ValueError):
    """Not a token that we read. The text is for the developer, and tells nothing secret."""


class Compact(Struct, frozen=True):
    """A token taken apart; nothing of it is believed."""

    text: str
    header: Mapping[str, Any]
    claims: Mapping[str, Any]

    @property
    def typ(self) -> str:
        """`typ` in small letters, `application/` dropped."""
        value = self.header.get("typ")
        return value.lower().removeprefix("application/") if isinstance(value, str) else ""


def take_apart(text: str, *, limit: int = 16 * 1024) -> Compact:
    """Header and claims of a compact JWS. Raises `Malformed`."""
    found = _PARTS.fullmatch(text) if len(text) <= limit else None
    if found is None:
        raise Malformed("not a compact JWS")
    header, claims = _object(found[1]), _object(found[2])
    if "crit" in header or "b64" in header:
        raise Malformed("a critical header is not understood")
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise Malformed("the algorithm is not accepted")
    return Compact(text, header, claims)


def check_signature(token: Compact, jwk: Mapping[str, Any], algorithms: Collection[str] = ALGORITHMS) -> None:
    """Return if the key made the signature. Raises `Malformed` for any other, and for a key unfit for the algorithm."""
    algorithm = token.header["alg"]
    kind, curve = _FITS[algorithm]
    if algorithm not in algorithms or jwk.get("kty") != kind or (curve is not None and jwk.get("crv") != curve):
        raise Malformed("the key is not for the algorithm")
    if not _PRIVATE.isdisjoint(jwk) or jwk.get("use", "sig") != "sig" or jwk.get("alg", algorithm) != algorithm:
        raise Malformed("the key is not for this")
    try:
        key = _KINDS[kind].import_key(dict(jwk))
        if isinstance(key, RSAKey) and key.raw_value.key_size < _LEAST_RSA:
            raise Malformed("the key is too short")
        registry = JWSRegistry(strict_check_header=False, algorithms=[algorithm])
        # How long it may be was said when it was taken apart; the library has a limit of its own below that of lists.
        registry.max_payload_length = len(token.text)
        deserialize_compact(token.text, key, algorithms=[algorithm], registry=registry)
    except (LibraryError, ValueError, TypeError, KeyError):
        raise Malformed("the signature does not verify") from None


def decoded(segment: str) -> bytes:
    """base64url without padding, in its one form (RFC 7515 section 2). Raises `Malformed`."""
    try:
        raw = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    except ValueError:
        raise Malformed("not base64url") from None
    if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != segment:
        raise Malformed("base64url that is not in its one form")
    return raw


def _object(segment: str) -> dict[str, Any]:
    try:
        value = json.loads(decoded(segment), object_pairs_hook=_unique, parse_constant=_refuse)
    except RecursionError:
        raise Malformed("nested too deeply") from None
    except ValueError as error:
        raise Malformed(str(error) if isinstance(error, Malformed) else "not JSON in base64url") from None
    if not isinstance(value, dict):
        raise Malformed("not a JSON object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Malformed("a member stands twice")
    return found


def _refuse(_name: str) -> NoReturn:
    raise Malformed("a number that JSON does not have")
