"""Reading a call, strictly: what is not known, given twice, too large or of another type is refused."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct
from starlette.requests import ClientDisconnect, Request

from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.web.admin.operation import Operation
from mintwarden.web.admin.problem import AdminError

KEY = r"[A-Za-z0-9._~:-]{8,128}"
"""An idempotency key; it may stand in quotation marks (draft-ietf-httpapi-idempotency-key-header)."""

ENTITY_TAG = r'(W/)?"[\x21\x23-\x7e]{1,128}"|\*'
_KEY = re.compile(rf'(?:"({KEY})"|({KEY}))')
_TAG = re.compile(ENTITY_TAG)
_MOST_QUERY = 8 * 1024
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_ONCE = ("authorization", "content-type", "content-encoding", "if-match", "idempotency-key")


class Read(Struct, frozen=True, kw_only=True):
    """What came with a call.

    Attributes:
        named: path and query parameters, and members of the body, by name.
        filters: the query without where and how many: what a cursor is bound to.
        fingerprint: of the whole request, for idempotency.
        key: the idempotency key of a POST.
    """

    path: Mapping[str, str]
    query: Any
    body: Any
    if_match: str
    named: Mapping[str, Any]
    filters: Mapping[str, str]
    fingerprint: bytes
    key: str


async def read(operation: Operation, request: Request) -> Read:
    """Path, query, headers and body as `operation` declares them; raises for anything else."""
    for name in _ONCE:
        if len(request.headers.getlist(name)) > 1:
            raise _invalid(f"the header `{name}` is repeated")
    path = {name: _parameter(name, value, operation) for name, value in request.path_params.items()}
    pairs = _pairs(request)
    query = _query(operation, pairs)
    key = _key(operation, request)
    if_match = _if_match(operation, request)
    data = await _body(operation, request)
    body = None if operation.body is None else _parsed(operation, data)
    named = {**_members(body), **_members(query), **path}
    fingerprint = hashlib.sha256(
        msgspec.json.encode([operation.id, sorted(path.items()), sorted(pairs.items()), if_match, data.hex()])
    )
    return Read(
        path=path,
        query=query,
        body=body,
        if_match=if_match,
        named=named,
        filters={name: value for name, value in sorted(pairs.items()) if name not in ("cursor", "limit")},
        fingerprint=fingerprint.digest(),
        key=key,
    )


def _members(given: Any) -> dict[str, Any]:
    return msgspec.structs.asdict(given) if isinstance(given, Struct) else {}


def _key(operation: Operation, request: Request) -> str:
    value = request.headers.get("idempotency-key")
    if not operation.keyed:
        if value is not None:
            raise _invalid("`Idempotency-Key` is for POST")
        return ""
    match = _KEY.fullmatch(value or "")
    if match is None:
        hint = "8 to 128 letters, digits and `.`, `_`, `~`, `:`, `-`"
        raise _invalid("`Idempotency-Key` is missing or malformed", hint)
    return match[1] or match[2]


def _parameter(name: str, value: str, operation: Operation) -> str:
    try:
        found: str = msgspec.convert(value, operation.parameters[name])
        return found
    except msgspec.ValidationError:
        # Nothing can have such a name.
        raise MintwardenError(ErrorKind.NOT_FOUND, f"there is no such `{name}`") from None


def _pairs(request: Request) -> dict[str, str]:
    text = request.scope["query_string"]
    if len(text) > _MOST_QUERY:
        raise _invalid("the query is too long", f"at most {_MOST_QUERY} bytes")
    try:
        found = parse_qsl(
            text.decode("ascii"), keep_blank_values=True, strict_parsing=bool(text), errors="strict", max_num_fields=40
        )
    except (ValueError, UnicodeError):
        raise _invalid("the query is malformed") from None
    pairs = dict(found)
    if len(pairs) != len(found):
        raise _invalid("a query parameter is repeated")
    return pairs


def _query(operation: Operation, pairs: Mapping[str, str]) -> Any:
    if operation.query is None:
        if pairs:
            raise _invalid("the operation takes no query parameters")
        return None
    unknown = sorted(pairs.keys() - set(operation.query.__struct_fields__))
    if unknown:
        known = ", ".join(f"`{name}`" for name in operation.query.__struct_fields__)
        raise _invalid(f"unknown query parameter `{unknown[0][:100]!a}`", f"known here: {known}")
    try:
        return msgspec.convert(pairs, operation.query, strict=False)
    except msgspec.ValidationError as error:
        raise _invalid(_plain(str(error))) from None


def _if_match(operation: Operation, request: Request) -> str:
    value = request.headers.get("if-match")
    if not operation.conditional:
        if value is not None:
            raise _invalid("`If-Match` means nothing here")
        return ""
    if value is None:
        raise AdminError("precondition_required", "`If-Match` is missing", hint="send the `ETag` of what you saw")
    if not _TAG.fullmatch(value):
        raise _invalid("`If-Match` is no entity tag", "send the `ETag` of what you saw, quotation marks and all")
    return value


async def _body(operation: Operation, request: Request) -> bytes:
    most = operation.most if operation.body is not None else 0
    if operation.body is not None:
        _check_type(request)
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > most:
                if not most:
                    raise _invalid("the operation takes no body")
                raise MintwardenError(ErrorKind.TOO_LARGE, "the body is too large", hint=f"at most {most} bytes")
    except ClientDisconnect:
        raise _invalid("the request ended early") from None
    return body


def _check_type(request: Request) -> None:
    kind, _, parameter = request.headers.get("content-type", "").lower().partition(";")
    if kind.strip() != "application/json" or parameter.strip().replace('"', "") not in ("", "charset=utf-8"):
        raise AdminError("unsupported_media_type", "the body is not `application/json`")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise AdminError("unsupported_media_type", "an encoded body is not taken")


def _parsed(operation: Operation, body: bytes) -> Any:
    """The body, with no member twice and no number that JSON does not have."""
    try:
        content = json.loads(body.decode("utf-8"), object_pairs_hook=_once, parse_constant=_constant)
        if _SURROGATE.search(body):  # half of a pair is no text: nothing could store it
            json.dumps(content, ensure_ascii=False).encode("utf-8")
        return msgspec.convert(content, operation.body)
    except msgspec.ValidationError as error:
        raise _invalid(_plain(str(error))) from None
    except (ValueError, RecursionError):
        raise _invalid("the body is not well-formed JSON") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is repeated")
    return members


def _constant(_name: str) -> NoReturn:
    raise ValueError("not a number")


def _plain(text: str) -> str:
    return text[:1].lower() + text[1:].rstrip(".")


def _invalid(public: str, hint: str = "") -> MintwardenError:
    return MintwardenError(ErrorKind.INVALID_REQUEST, public, hint=hint)
