"""One request of SCIM, answered (RFC 7644): read, held against the schemas, done, and told."""

from __future__ import annotations

import http

import msgspec
from scim2_models import PreconditionFailedException, SCIMException
from scim2_server.handler import ScimHandler
from scim2_server.requests import ScimRequest
from scim2_server.responses import ScimResponse
from scim2_server.service import ScimService

from mintwarden.feeds.scim.messages import Asked, Told
from mintwarden.feeds.scim.shelf import Shelf

_ATTEMPTS = 3


def answer(asked: Asked, *, service: ScimService, shelf: Shelf, base_url: str) -> Told:
    """What comes of a request; `base_url` is where SCIM is, as the caller knows it. Blocks its thread.

    A request that says which version it is about is told when that is not the one; any other is tried again when
    somebody else's comes in between.
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
    conditional = request.header("if-match") is not None
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return _told(handler.handle(request))
        except PreconditionFailedException as error:
            if conditional or attempt == _ATTEMPTS:
                return _told(service.error_response(error))
        except SCIMException as error:
            return _told(service.error_response(error))
    raise AssertionError("unreachable")


def _told(response: ScimResponse) -> Told:
    body = b"" if response.body is None else msgspec.json.encode(response.body)
    headers = {name: value for name, value in response.headers.items() if body or name != "Content-Type"}
    return Told(status=http.HTTPStatus(response.status).value, headers=headers, body=body)
