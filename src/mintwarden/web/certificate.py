"""The client's certificate of a request: that of our own TLS connection, or what a trusted proxy says of its own."""

from __future__ import annotations

import binascii
from collections.abc import Callable, Mapping
from urllib.parse import unquote_to_bytes

from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.web.peer import PeerReader
from mintwarden.web.reply import Scope

IN_SCOPE = "mintwarden.client_certificate"
"""Where in an ASGI scope `web.connection` leaves the certificate (DER) of the TLS connection."""
CHAIN_IN_SCOPE = "mintwarden.client_chain"
"""And what the client sent beside it, a tuple."""

_BEGIN, _END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
_LONGEST = 24 * 1024
_MOST = 10


class CertificateReader:
    """Reads the certificate of a request.

    Args:
        header: the header in which trusted proxies say the certificate, in lower case; empty when they say none.
        spelling: how it is written there; one of `SPELLINGS`.
        chain: the header in which they say what came beside it (RFC 9440 section 2.3), likewise.
    """

    def __init__(self, *, peer: PeerReader, header: str = "", spelling: str = "rfc9440", chain: str = "") -> None:
        self._peer = peer
        self._header = header.lower().encode()
        self._chain = chain.lower().encode()
        self._decode = SPELLINGS[spelling]

    def read(self, scope: Scope) -> bytes:
        """The certificate as DER, or nothing.

        INVARIANT: the header is a proxy's word, and counts from the networks of trusted proxies alone; from anybody
        else it is not looked at. The certificate of a proxy's own connection is never its client's.
        Raises `INVALID_REQUEST` for a header that comes twice: one of them may be the client's own, which the proxy
        let through; and for one that is malformed.
        """
        if not self._peer.is_proxy(scope["client"]):
            own: bytes = scope.get(IN_SCOPE, b"")
            return own
        said = _said(scope, self._header)
        if not said:
            return b""
        der = self._decode(said) if len(said) <= _LONGEST else b""
        if not der:
            raise _invalid("the header with the client certificate is malformed")
        return der

    def read_chain(self, scope: Scope) -> tuple[bytes, ...]:
        """What came beside the certificate, as DER; nothing of it verified. INVARIANT and errors as for `read`."""
        if not self._peer.is_proxy(scope["client"]):
            own: tuple[bytes, ...] = scope.get(CHAIN_IN_SCOPE, ())
            return own
        said = _said(scope, self._chain)
        if not said:
            return ()
        chain = tuple(_structured(item) for item in said.split(b",", _MOST))
        if not all(chain):
            raise _invalid("the header with the client certificate is malformed")
        return chain


def _said(scope: Scope, wanted: bytes) -> bytes:
    """What stands in the one header of that name; nothing where there is none, or none is wanted."""
    said = [value for name, value in scope["headers"] if name == wanted] if wanted else []
    if len(said) > 1:
        raise _invalid("the header with the client certificate is repeated")
    return said[0] if said else b""


def _structured(value: bytes) -> bytes:
    """A byte sequence (RFC 9440 section 2.1, RFC 8941 section 3.3.5)."""
    inner = value.strip(b" \t")
    if len(inner) < 3 or not (inner.startswith(b":") and inner.endswith(b":")):
        return b""
    return _base64(inner[1:-1])


def _escaped(value: bytes) -> bytes:
    """One PEM certificate, percent-encoded: nginx's `$ssl_client_escaped_cert`."""
    text = unquote_to_bytes(value).strip()
    if not (text.startswith(_BEGIN) and text.endswith(_END)) or text.count(b"-----BEGIN") != 1:
        return b""
    return _base64(b"".join(text[len(_BEGIN) : -len(_END)].split()))


def _base64(text: bytes) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:
        return b""


SPELLINGS: Mapping[str, Callable[[bytes], bytes]] = {"rfc9440": _structured, "escaped-pem": _escaped}
"""How a proxy may write a certificate, by its name in the configuration."""


def _invalid(public: str) -> MintwardenError:
    return MintwardenError(
        ErrorKind.INVALID_REQUEST, public, hint="have the proxy set it itself, once, and drop what its clients send"
    )
