"""One request of SCIM, answered (RFC 7644): read, held against the schemas, done, and told."""

from __future__ import annotations

import http
import re

import msgspec
from scim2_models import PreconditionFailedException, SCIMException
from scim2_server.handler import ScimHandler
from scim2_server.requests import ScimRequest
from scim2_server.responses import ScimResponse
from scim2_server.service import ScimService

from mintwarden.feeds.scim.messages import Asked, Told
from mintwarden.feeds.scim.shelf import Shelf

_ATTEMPTS = 3
_LONGEST = 500
_NOISE = "For further information"
_KIND = re.compile(r" \[type=[^\]]*\]")


def answer(asked: Asked, *, service: ScimService, shelf: Shelf, base_url: str) -> Told:
    """What comes of a request; `base_url` is where SCIM is, as the caller knows it. Blocks its thread.

    It is tried again when somebody else's comes in between; one that says which version it is about is then told.
    """
    request = ScimRequest(
        method=asked.method,
        base_url=base_url,
        path=asked.path,
        query=asked.query,
        headers=asked.headers,
        body=asked.body,
    )
    handler = ScimHandler(service, shelf)
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return _told(handler.handle(request))
        except PreconditionFailedException as error:
            if attempt == _ATTEMPTS:
                return _told(service.error_response(error))
        except SCIMException as error:
            return _told(service.error_response(error))
    raise AssertionError("unreachable")


def _told(response: ScimResponse) -> Told:
    content = response.body
    if content is not None and response.status >= 400:
        content = {**content, "detail": _plain(str(content.get("detail") or ""))}
    body = b"" if content is None else msgspec.json.encode(content)
    headers = {name: value for name, value in response.headers.items() if body or name != "Content-Type"}
    return Told(status=http.HTTPStatus(response.status).value, headers=headers, body=body)


def _plain(detail: str) -> str:
    """What was wrong, without the validator's manner of speaking."""
    lines = [line.strip() for line in detail.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(_NOISE) and "validation error" not in line]
    return _KIND.sub("", ": ".join(lines))[:_LONGEST]
