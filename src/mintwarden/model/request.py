"""Step 1's result: a request as parsed, nothing in it believed yet."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct


class TokenRequest(Struct, frozen=True, kw_only=True):
    """A parsed POST to `/token` and its like. Everything `unverified_` is the sender's word and nothing more.

    Attributes:
        unverified_form: each parameter to its values in order; only `resource` and `audience` may have several
            (RFC 8693 section 2.1); an empty value counts as absent (RFC 6749 section 3.2).
        unverified_authorization: the raw `Authorization` header, if any.
        unverified_dpop: the `DPoP` header (RFC 9449 section 4.1), or empty.
        unverified_accept: the `Accept` header, read only where an answer has more than one form; otherwise empty.
        unverified_certificate: the certificate (DER) of the TLS connection that the request came over, or empty.
            Whoever took the connection has seen that the sender holds its key; who that is, nobody has looked at.
        unverified_chain: what came beside that certificate, as DER, in any order.
        unverified_attestation, unverified_attestation_proof: the `OAuth-Client-Attestation` and
            `OAuth-Client-Attestation-PoP` headers, or empty.
        endpoint: the last part of the path that it came to (`token`, `par`), which its DPoP proof must be for; empty
            for the token endpoint.
        address: the peer's address after trusted proxies are taken off, as text.
        received_at: when the request was read, `Millis`.
        reference: a short random name of this request for logs and server errors.
    """

    unverified_form: Mapping[str, tuple[str, ...]]
    unverified_authorization: bytes | None = None
    unverified_dpop: str = ""
    unverified_accept: str = ""
    unverified_certificate: bytes = b""
    unverified_chain: tuple[bytes, ...] = ()
    unverified_attestation: str = ""
    unverified_attestation_proof: str = ""
    endpoint: str = ""
    address: str = ""
    received_at: int
    reference: str = ""

    def one(self, name: str) -> str | None:
        """The value of a parameter that may occur once, or None."""
        values = self.unverified_form.get(name)
        return values[0] if values else None
