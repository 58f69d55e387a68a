"""`client_secret_basic`: id and secret in the `Authorization` header (RFC 6749 section 2.3.1, RFC 7617)."""

from __future__ import annotations

import binascii
from urllib.parse import unquote_to_bytes

from mintwarden.authn.methods.method import NotProvenError, Proven, Tools
from mintwarden.authn.methods.secret import by_secret
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.request import TokenRequest

_LONGEST = 2048


class ClientSecretBasic:
    """Both parts are form-decoded before use, as the RFC demands and most clients do."""

    name = "client_secret_basic"
    shown = True

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    def offered(self, request: TokenRequest) -> bool:
        return request.unverified_authorization is not None

    async def prove(self, request: TokenRequest, now: int) -> Proven:
        client_id, secret = basic_parts(request.unverified_authorization or b"")
        named = request.one("client_id")
        if named is not None and named != client_id:
            raise MintwardenError(ErrorKind.INVALID_REQUEST, "`client_id` differs from the `Authorization` header")
        return await by_secret(self._tools, client_id, secret, now)


def basic_parts(header: bytes) -> tuple[str, str]:
    """Client id and secret of an `Authorization` header; raises `NotProvenError` for what is none of this scheme."""
    scheme, _, encoded = header.partition(b" ")
    if scheme.lower() != b"basic" or len(encoded) > _LONGEST:
        raise NotProvenError("the `Authorization` header is not `Basic`, or too long")
    try:
        plain = binascii.a2b_base64(encoded.strip(b" "), strict_mode=True)
        client_id, colon, secret = plain.partition(b":")
        if not (client_id and colon):
            raise NotProvenError("the `Authorization` header has no client id or no colon")
        return _form_decoded(client_id), _form_decoded(secret)
    except (binascii.Error, UnicodeDecodeError):
        raise NotProvenError("the `Authorization` header is not base64 of UTF-8") from None


def _form_decoded(part: bytes) -> str:
    if b"%" in part or b"+" in part:
        part = unquote_to_bytes(part.replace(b"+", b" "))
    return part.decode()
