"""Facts from an HTTP service of the operator's own, asked about everyone of a request at once.

Request: `POST` with `{"keys": ["User:alice", ...]}`. Answer: 200 and `{"User:alice": {"facts": {...},
"groups": [...], "spans": {...}, "observed_at": ...}}`; unknown keys are left out of it. `observed_at` is whole
milliseconds since the epoch or a datetime as Cedar spells it; without it, the time of asking.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
import msgspec
from msgspec import Struct

from mintwarden.context.ports import FactDocument, Observation, Span
from mintwarden.context.sources.breaker import Breaker
from mintwarden.context.spelling import read_datetime
from mintwarden.model.catalogue import Source
from mintwarden.model.errors import ErrorKind, MintwardenError

SIZE_LIMIT: Final = 1024 * 1024
"""Longest answer that is taken, in bytes."""

_CONNECTIONS = 32


class _Answer(Struct, frozen=True, forbid_unknown_fields=True):
    facts: dict[str, Any] = {}
    groups: list[str] = []
    spans: dict[str, dict[str, Span]] = {}
    observed_at: int | str | None = None


_decode = msgspec.json.Decoder(dict[str, _Answer]).decode


class HttpSource:
    """One batched request per read, within a time limit, with limits of size and a circuit breaker.

    Plain http is taken for loopback only, redirects are not followed, proxies of the environment are not used.
    Credentials in the URL become basic authentication.
    """

    def __init__(
        self,
        *,
        source: Source,
        url: str,
        seconds: float = 1.0,
        breaker: Breaker | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts.hostname)):
            raise MintwardenError(
                ErrorKind.CONFIG, f"connection `{source.connection}` is neither https nor on loopback", hint="use https"
            )
        self._url = url
        self._seconds = seconds
        self._breaker = breaker or Breaker()
        self._client = httpx2.AsyncClient(
            transport=transport,
            follow_redirects=False,
            trust_env=False,
            timeout=seconds,
            limits=httpx2.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS),
            headers={"accept": "application/json", "accept-encoding": "identity", "user-agent": "mintwarden"},
        )

    async def read(self, entities: Sequence[str], now: int) -> Mapping[str, Observation]:
        """See `ExternalSource`."""
        with self._breaker.attempt(now):
            body = await self._ask(entities)
            try:
                answers = _decode(body)
                return {key: _observation(answers[key]) for key in entities if key in answers}
            except (msgspec.DecodeError, ValueError, RecursionError):
                raise MintwardenError(ErrorKind.SOURCE, "the answer is not what was agreed") from None

    async def close(self) -> None:
        """Give the connections back."""
        await self._client.aclose()

    async def _ask(self, entities: Sequence[str]) -> bytes:
        try:
            async with (
                asyncio.timeout(self._seconds),
                self._client.stream("POST", self._url, json={"keys": list(entities)}) as response,
            ):
                if response.status_code != 200:
                    raise MintwardenError(ErrorKind.SOURCE, f"the source answered {response.status_code}")
                if response.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
                    raise MintwardenError(ErrorKind.SOURCE, "the answer is not JSON by its content type")
                return await _limited(response)
        except (TimeoutError, httpx2.TimeoutException):
            raise MintwardenError(ErrorKind.SOURCE, "the source took too long") from None
        except httpx2.HTTPError as error:
            raise MintwardenError(
                ErrorKind.SOURCE, "the source could not be reached", hint=type(error).__name__
            ) from None


async def _limited(response: httpx2.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > SIZE_LIMIT:
            raise MintwardenError(ErrorKind.SOURCE, "the answer is too long")
    return bytes(body)


def _observation(answer: _Answer) -> Observation:
    at = answer.observed_at
    return Observation(
        FactDocument(facts=answer.facts, groups=answer.groups, spans=answer.spans),
        read_datetime(at).millis if isinstance(at, str) else at,
    )


def _is_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
