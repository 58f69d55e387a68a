"""The body of a request, whole and bounded."""

from __future__ import annotations

import asyncio
from typing import Final

from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.web.admit import Gate
from mintwarden.web.errors import HttpError
from mintwarden.web.reply import Header, Receive

CLOSE: Final[Header] = (b"connection", b"close")


class Late(HttpError):
    """The body did not arrive in time."""

    def __init__(self) -> None:
        super().__init__(408, "the request did not arrive in time", CLOSE)


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
    return _bounded(body, most)


def _bounded(body: bytes, most: int) -> bytes:
    if len(body) > most:
        raise MintwardenError(ErrorKind.TOO_LARGE, "the body is too large", hint=f"at most {most} bytes")
    return body


def at_hand(receive: Receive, most: int) -> bytes | None:
    """The same where all of it is here already and the server gives it so (`web.connection.Cycle`); None otherwise."""
    take = getattr(getattr(receive, "__self__", None), "take_body", None)
    body: bytes | None = None if take is None else take()
    return None if body is None else _bounded(body, most)


async def arrived_or_not(receive: Receive, most: int, gate: Gate) -> bytes | MintwardenError:
    """As `arrived`; but what is wrong with the body is given, for those of whom it is not known yet who they are.

    A body that comes too late is told of at once: there may be nobody.
    """
    try:
        return await arrived(receive, most, gate)
    except HttpError:
        raise
    except MintwardenError as error:
        return error


async def arrived(receive: Receive, most: int, gate: Gate) -> bytes:
    """The same before the request has its turn. Raises `Late` where it takes longer than any request may.

    INVARIANT: whoever sends slowly takes no place from those whose requests are here: nothing but a connection.
    """
    task = gate.come()
    try:
        return await read_body(receive, most)
    except asyncio.CancelledError:
        if not gate.expired(task):
            raise
        raise Late from None
    finally:
        gate.came(task)
