"""What a bundle says of a client's certificate: its one name (RFC 8705 section 2.1.2), or the thing itself."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from mintwarden.model.catalogue import CertificateName
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.policy.bundle.draft import Draft
from mintwarden.policy.bundle.kinds import boolean, matching
from mintwarden.policy.bundle.problem import Place, Problems, quote
from mintwarden.policy.bundle.shape import BAD, Key

PKI = "tls_client_auth"
SELF_SIGNED = "self_signed_tls_client_auth"
BOUND = "tls_client_certificate_bound_access_tokens"

_HOST = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})(?:\.[A-Za-z0-9_][A-Za-z0-9_-]{0,62})*", re.ASCII)
_LONGEST_CERTIFICATE = 16 * 1024


def _distinguished_name(value: Any, place: Place, problems: Problems) -> Any:
    try:
        name = x509.Name.from_rfc4514_string(value) if isinstance(value, str) and len(value) <= 2_000 else None
    except ValueError:
        name = None
    if name is None or not list(name):
        what = f"{quote(value)} is not a distinguished name (RFC 4514)"
        problems.add(
            place, what, "write it as `CN=name,O=organization,C=DE`, without spaces; rare attributes by their number"
        )
        return BAD
    return value


def _host(value: Any, place: Place, problems: Problems) -> Any:
    checked = matching(_HOST, "a DNS name")(value, place, problems)
    return checked if checked is BAD else checked.lower()


def _address(value: Any, place: Place, problems: Problems) -> Any:
    try:
        return str(ipaddress.ip_address(value)) if isinstance(value, str) else _no_address(value, place, problems)
    except ValueError:
        return _no_address(value, place, problems)


def _no_address(value: Any, place: Place, problems: Problems) -> Any:
    problems.add(place, f"{quote(value)} is not an IP address", "write one address, not a network")
    return BAD


_uri = matching(re.compile(r"[a-z][a-z0-9+.-]{0,30}:[!-~]{1,1000}", re.ASCII), "a URI")
_email = matching(re.compile(r"[!-?A-~]{1,64}@[A-Za-z0-9.-]{1,255}", re.ASCII), "an e-mail address")

KEYS: tuple[Key, ...] = (
    Key("tls_client_auth_subject_dn", _distinguished_name, ""),
    Key("tls_client_auth_san_dns", _host, ""),
    Key("tls_client_auth_san_uri", _uri, ""),
    Key("tls_client_auth_san_ip", _address, ""),
    Key("tls_client_auth_san_email", _email, ""),
    Key(BOUND, boolean, False),
)
"""The keys of a client that speak of its certificate, named as in RFC 8705."""

_NAMES = tuple(key.name for key in KEYS[:5])


def certificate_name(values: Mapping[str, Any]) -> CertificateName | None:
    """The name that a client's certificate must have; the first, where it wrongly has several."""
    for key in _NAMES:
        if values[key]:
            kind: Any = key.removeprefix("tls_client_auth_")
            return CertificateName(kind=kind, value=values[key])
    return None


def read_certificate_name(kind: str, value: str) -> CertificateName:
    """The name as a bundle would have it; raises `INVALID_REQUEST` for one that no certificate has."""
    problems = Problems()
    key = next((key for key in KEYS[:5] if key.name == f"tls_client_auth_{kind}"), None)
    checked = BAD if key is None else key.kind(value, Place("certificate"), problems)
    if checked is BAD:
        found = problems.all()
        raise MintwardenError(
            ErrorKind.INVALID_REQUEST,
            f"certificate: {found[0].message}" if found else "certificate: unknown kind of name",
            hint=found[0].remedy if found else "",
        )
    known: Any = kind
    return CertificateName(kind=known, value=checked)


def check_certificate_names(draft: Draft, place: Place, values: Mapping[str, Any]) -> None:
    """A client has exactly one name for its certificate with `tls_client_auth`, and none without."""
    methods = values["authentication"]
    named = [key for key in _NAMES if values[key]]
    if PKI in methods and not named:
        what = f"`{PKI}` needs the name that the client's certificate has"
        draft.problems.add(place.at("authentication"), what, f"add one of {_listed(_NAMES)}")
    for key in named[1:] if PKI in methods else named:
        what = f"`{key}` beside `{named[0]}`" if PKI in methods else f"`{key}` has no meaning without `{PKI}`"
        draft.problems.add(place.at(key), what, "a certificate is known by one name: remove the other", key=True)
    if PKI in methods and SELF_SIGNED in methods:
        what = f"`{PKI}` beside `{SELF_SIGNED}`"
        draft.problems.add(place.at("authentication"), what, "choose one of them: both look at the same certificate")


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def authority(value: Any, place: Place, problems: Problems) -> Any:
    """The certificate of an authority, as base64 of its DER."""
    try:
        der = base64.b64decode(value, validate=True) if isinstance(value, str) else b""
        found = x509.load_der_x509_certificate(der) if 0 < len(der) <= _LONGEST_CERTIFICATE else None
        basic = None if found is None else found.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (binascii.Error, ValueError, UnsupportedAlgorithm, x509.ExtensionNotFound, x509.DuplicateExtension):
        basic = None
    if basic is None or not basic.ca:
        problems.add(place, "is not the certificate of an authority", "write base64 of its DER, as in `x5c`")
        return BAD
    return value


def check_chain(value: Mapping[str, Any], place: Place, problems: Problems) -> None:
    """`x5c` of a public key is there for the certificate of that very key (RFC 7517 section 4.7)."""
    chain = value.get("x5c")
    if chain is None:
        return
    whole = isinstance(chain, list) and 1 <= len(chain) <= 8 and all(isinstance(item, str) for item in chain)
    try:
        first = base64.b64decode(chain[0], validate=True) if whole else b""
        public = x509.load_der_x509_certificate(first).public_key() if len(first) <= _LONGEST_CERTIFICATE else None
    except (binascii.Error, ValueError, UnsupportedAlgorithm):
        public = None
    if public is None:
        what = "`x5c` is not a list of certificates"
        problems.add(place.at("x5c"), what, "write each as base64 of its DER, the client's own first")
    elif any(value.get(name) != member for name, member in _members(public)):
        problems.add(place.at("x5c"), "`x5c` is the certificate of another key", "copy key and certificate again")


def _members(public: object) -> Iterator[tuple[str, str]]:
    if isinstance(public, ec.EllipticCurvePublicKey):
        size, numbers = (public.curve.key_size + 7) // 8, public.public_numbers()
        yield "x", _text(numbers.x.to_bytes(size, "big"))
        yield "y", _text(numbers.y.to_bytes(size, "big"))
    elif isinstance(public, rsa.RSAPublicKey):
        modulus = public.public_numbers().n
        yield "n", _text(modulus.to_bytes((modulus.bit_length() + 7) // 8, "big"))
    elif isinstance(public, Ed25519PublicKey):
        yield "x", _text(public.public_bytes_raw())
    else:
        yield "kty", ""  # of a kind that no key here has


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
