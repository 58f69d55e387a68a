"""Public keys in a bundle: JWKs that hold nothing private and that are strong enough (RFC 7517, RFC 7518)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.policy.bundle.certificates import check_chain
from mintwarden.policy.bundle.problem import Place, Problems, quote
from mintwarden.policy.bundle.shape import BAD

PRIVATE = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")

_CURVES: Mapping[str, tuple[str, int]] = {
    "P-256": ("EC", 32),
    "P-384": ("EC", 48),
    "Ed25519": ("OKP", 32),
}
_ALGORITHMS: Mapping[str, tuple[str, ...]] = {
    "P-256": ("ES256",),
    "P-384": ("ES384",),
    "Ed25519": ("EdDSA", "Ed25519"),
    "RSA": ("PS256", "PS384", "PS512", "RS256", "RS384", "RS512"),
}
"""What signs with a key of the curve or type (RFC 7518 section 3, RFC 8037, RFC 9864)."""
_MEMBERS: Mapping[str, tuple[str, ...]] = {"EC": ("crv", "x", "y"), "OKP": ("crv", "x"), "RSA": ("n", "e")}
_COMMON = ("kty", "kid", "alg", "use", "key_ops", "x5t", "x5t#S256", "x5c", "x5u")
_MIN_RSA_BITS, _MAX_RSA_BITS = 2048, 8192


def public_jwk(value: Any, place: Place, problems: Problems) -> Any:
    """A public JWK as a plain dictionary."""
    if not isinstance(value, dict):
        problems.add(place, "is not a JWK", "write it as a table with `kty` and its members")
        return BAD
    before = len(problems)
    private = [name for name in PRIVATE if name in value]
    if private:
        what = f"the key holds private members: {', '.join(f'`{name}`' for name in private)}"
        problems.add(
            place.at(private[0]), what, "put the public key only, and replace this one: it is compromised", key=True
        )
        return BAD
    _members(value, place, problems)
    return BAD if len(problems) > before else dict(value)


def _members(value: Mapping[str, Any], place: Place, problems: Problems) -> None:
    kty = value.get("kty")
    if not isinstance(kty, str) or kty not in _MEMBERS:
        what = "`kty` is missing" if kty is None else f"unknown key type {quote(kty)}"
        problems.add(place.at("kty"), what, problems.near(kty, _MEMBERS))
        return
    for name, member in value.items():
        if name not in (*_COMMON, *_MEMBERS[kty]):
            problems.add(place.at(name), f"unknown member {quote(name)} of a JWK", "remove it", key=True)
        elif name not in ("key_ops", "x5c") and not isinstance(member, str):
            problems.add(place.at(name), f"`{name}` is not a string", "write it in quotation marks")
            return
    if value.get("use", "sig") != "sig":
        problems.add(
            place.at("use"), f"the key is for {quote(value['use'])}, not for signatures", 'write `use = "sig"`'
        )
    signing = _ALGORITHMS.get(str(value.get("crv", kty)), ())
    if "alg" in value and signing and value["alg"] not in signing:
        what = f"{quote(value['alg'])} does not sign with this key"
        problems.add(place.at("alg"), what, f"write {' or '.join(f'`{name}`' for name in signing)}, or leave it out")
    numbers = {name: _decode(value, name, place, problems) for name in _MEMBERS[kty] if name != "crv"}
    if None not in numbers.values():
        (_rsa if kty == "RSA" else _curve)(value, numbers, place, problems)
    check_chain(value, place, problems)


def _decode(value: Mapping[str, Any], name: str, place: Place, problems: Problems) -> bytes | None:
    member = value.get(name)
    if isinstance(member, str) and 0 < len(member) <= 2_000:
        try:
            raw = base64.b64decode(member.encode() + b"=" * (-len(member) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, UnicodeEncodeError):
            raw = b""
        if raw and base64.urlsafe_b64encode(raw).rstrip(b"=").decode() == member:
            return raw
    what = f"`{name}` is missing" if member is None else f"`{name}` is not base64url without padding"
    problems.add(place.at(name), what, "copy the public JWK as its owner publishes it")
    return None


def _curve(value: Mapping[str, Any], numbers: Mapping[str, bytes | None], place: Place, problems: Problems) -> None:
    kty, crv = value["kty"], value.get("crv")
    known = [name for name, (of, _) in _CURVES.items() if of == kty]
    if crv not in known:
        what = "`crv` is missing" if crv is None else f"unknown curve {quote(crv)} for `{kty}`"
        problems.add(place.at("crv"), what, problems.near(crv, known))
        return
    width = _CURVES[str(crv)][1]
    for name, raw in numbers.items():
        if raw is not None and len(raw) != width:
            problems.add(place.at(name), f"`{name}` has {len(raw)} bytes, `{crv}` has {width}", "copy the key again")


def _rsa(_value: Mapping[str, Any], numbers: Mapping[str, bytes | None], place: Place, problems: Problems) -> None:
    modulus = int.from_bytes(numbers["n"] or b"", "big")
    exponent = int.from_bytes(numbers["e"] or b"", "big")
    if not _MIN_RSA_BITS <= modulus.bit_length() <= _MAX_RSA_BITS:
        what = f"the RSA key has {modulus.bit_length()} bits"
        problems.add(place.at("n"), what, f"use {_MIN_RSA_BITS} to {_MAX_RSA_BITS}")
    if exponent < 3 or exponent % 2 == 0 or exponent.bit_length() > 32:
        problems.add(place.at("e"), "the RSA exponent is not usable", "use 65537 (`AQAB`)")


def check_public_keys(keys: Sequence[Any]) -> None:
    """Raise `INVALID_REQUEST` for what cannot stand among the public keys of a client, with the first reason."""
    problems = Problems()
    for index, key in enumerate(keys):
        public_jwk(key, Place("keys", (index,)), problems)
    kids = [key.get("kid") for key in keys if isinstance(key, dict)]
    if len(kids) > 1 and (None in kids or len(set(kids)) < len(kids)):
        problems.add(Place("keys"), "several keys need a `kid` each", "give each its own `kid`")
    found = problems.all()
    if found:
        raise MintwardenError(ErrorKind.INVALID_REQUEST, f"keys: {found[0].message}", hint=found[0].remedy)
