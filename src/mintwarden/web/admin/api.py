"""The administration API: its routing table, and the application that answers by it."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.web.admin.call import Around, as_response, endpoint
from mintwarden.web.admin.openapi import describe
from mintwarden.web.admin.operation import Operation
from mintwarden.web.admin.problem import AdminError, problem_reply, problems_page
from mintwarden.web.admin.resources import (
    approvals,
    clients,
    decisions,
    directory,
    exceptions,
    facts,
    findings,
    grants,
    keys,
    modes,
    owners,
    reviews,
    revocations,
    versions,
)
from mintwarden.web.reply import NOSNIFF, TEXT, Reply, json_reply

OPERATIONS: tuple[Operation, ...] = (
    versions.LIST,
    versions.SUBMIT,
    versions.STANDING,
    versions.SIGN,
    versions.HISTORY,
    versions.ACTIVATION,
    modes.LIST,
    *reviews.OPERATIONS,
    exceptions.LIST,
    exceptions.ASK,
    exceptions.SHOW,
    exceptions.STATEMENT,
    exceptions.APPROVAL,
    exceptions.RENEWAL,
    exceptions.REVOCATION,
    approvals.LIST,
    approvals.ANSWER,
    approvals.REVOCATION,
    facts.PUSH,
    facts.SHOW,
    directory.SOURCES,
    directory.ENTITIES,
    directory.CHANGE,
    directory.ERASURE,
    decisions.SEARCH,
    decisions.EXPLAIN,
    clients.LIST,
    clients.REGISTER,
    clients.SHOW,
    clients.CHANGE,
    clients.ROTATE,
    clients.KEYS,
    clients.RETIRE,
    findings.LIST,
    findings.SHOW,
    findings.SAY,
    findings.CLOSE,
    owners.LIST,
    keys.LIST,
    keys.ROTATE,
    keys.REVOKE,
    grants.LIST,
    revocations.MAKE,
)
"""Every operation, in reading order."""

_PUBLIC = (b"cache-control", b"public, max-age=300")


def application(around: Around, resources: Iterable[object], *, issuer: str) -> Starlette:
    """Everything below `<issuer's path>/admin`; `resources` has one object of each class that operations are of."""
    prefix = f"{around.base}/admin/v1"
    by_class = {type(resource): resource for resource in resources}
    documents = {
        f"{prefix}/openapi.json": _described(issuer),
        f"{around.base}/admin/v1/problems": Reply(200, (TEXT, _PUBLIC, NOSNIFF), problems_page().encode()),
    }
    return Starlette(
        routes=[
            *(
                Route(
                    prefix + operation.path,
                    endpoint(around, operation, by_class[operation.of]),
                    methods=[operation.method],
                    name=operation.id,
                )
                for operation in OPERATIONS
            ),
            *(Route(path, _document(reply), methods=["GET"]) for path, reply in documents.items()),
        ],
        exception_handlers={HTTPException: _lost(around)},
    )


@functools.lru_cache(maxsize=4)
def _described(issuer: str) -> Reply:
    """Making it takes longer than reading a bundle, and a process knows one issuer or two."""
    return json_reply(200, describe(OPERATIONS, issuer=issuer), cache=_PUBLIC)


def _document(reply: Reply) -> Callable[[Request], Awaitable[Response]]:
    async def document(_request: Request) -> Response:
        return as_response(reply)

    return document


def _lost(around: Around) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def lost(_request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException) and error.status_code == 405:
            allow = (error.headers or {}).get("Allow", "")
            problem: MintwardenError = AdminError(
                "method_not_allowed", "the method is not allowed here", (b"allow", allow.encode())
            )
        else:
            problem = MintwardenError(ErrorKind.NOT_FOUND, "there is nothing here")
        return as_response(problem_reply(problem, around.references(), base=around.base))

    return lost
