"""The body of a request, whole and bounded."""

from __future__ import annotations

from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.web.reply import Receive


async def read_body(receive: Receive, most: int) -> bytes:
    """All of it; raises `TOO_LARGE` beyond `most` bytes, and `INVALID_REQUEST` when it ends early."""
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body"):
        if len(body) > most:
            break
        message = await receive()
        body += message.get("body", b"")
    if message["type"] == "http.disconnect":
        raise MintwardenError(ErrorKind.INVALID_REQUEST, "the request ended early")
    if len(body) > most:
        raise MintwardenError(ErrorKind.TOO_LARGE, "the body is too large", hint=f"at most {most} bytes")
    return body
