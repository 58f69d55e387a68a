"""The OpenAPI 3.1 document, made from the routing table and the types that the handlers take and give: true by
construction.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from mintwarden import __version__
from mintwarden.web.admin.operation import Operation
from mintwarden.web.admin.problem import PROBLEMS, Problem
from mintwarden.web.admin.reading import ENTITY_TAG, KEY

_REFERENCE = "#/components/schemas/{name}"
_ALWAYS = ("invalid_request", "invalid_token", "insufficient_scope", "timeout", "too_many_requests", "server_error",
           "unavailable")  # fmt: skip
_WITH_BODY = ("too_large", "unsupported_media_type")
_KEYED = ("key_in_use", "key_reused")
_CONDITIONAL = ("precondition_required", "precondition_failed")


def describe(operations: Sequence[Operation], *, issuer: str) -> dict[str, Any]:
    """The document for a service at `issuer`."""
    types = [Problem, *(kind for operation in operations for kind in _types(operation))]
    found, components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    for component in components.values():
        if "description" in component:  # of a docstring, whose indentation Python takes away from 3.13 on
            component["description"] = inspect.cleandoc(component["description"])
    schemas = iter(found[1:])
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        given = {name: next(schemas) for name in ("answer", "query", "body") if _has(operation, name)}
        parameters = [next(schemas) for _ in operation.parameters]
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(
            operation, given, parameters, components
        )
    used = {name for operation in operations if operation.query for name in (operation.query.__name__,)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Mintwarden administration",
            "version": __version__,
            "description": "Governed by the service itself: every call needs an access token with a scope, "
            "and leaves an entry in the ledger.",
        },
        "servers": [{"url": f"{issuer}/admin/v1"}],
        "tags": [{"name": name} for name in dict.fromkeys(_tag(operation) for operation in operations)],
        "paths": paths,
        "components": {
            "schemas": {name: schema for name, schema in components.items() if name not in used},
            "responses": {name: _problem(name) for name in PROBLEMS},
            "securitySchemes": {
                "token": {
                    "type": "oauth2",
                    "description": "An access token of this service for the audience `mintwarden`.",
                    "flows": {
                        "clientCredentials": {
                            "tokenUrl": f"{issuer}/token",
                            "scopes": dict.fromkeys(sorted({s for o in operations for s in o.scopes}), ""),
                        }
                    },
                }
            },
        },
    }


def _types(operation: Operation) -> list[Any]:
    return [
        *(getattr(operation, name) for name in ("answer", "query", "body") if _has(operation, name)),
        *operation.parameters.values(),
    ]


def _has(operation: Operation, name: str) -> bool:
    return getattr(operation, name) is not None


def _tag(operation: Operation) -> str:
    return operation.id.partition(".")[0]


def _operation(
    operation: Operation, given: Mapping[str, Any], parameters: Sequence[Any], components: Mapping[str, Any]
) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [_tag(operation)],
        "security": [{"token": [scope]} for scope in operation.scopes],
        "parameters": [
            *_path(operation, parameters),
            *(_query(components[operation.query.__name__]) if operation.query is not None else ()),
            *_headers(operation),
        ],
        "responses": _responses(operation, given["answer"]),
    }
    if "body" in given:
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": given["body"]}}}
    return described


def _path(operation: Operation, schemas: Sequence[Any]) -> list[dict[str, Any]]:
    names = re.findall(r"{(\w+)}", operation.path)
    by_name = dict(zip(operation.parameters, schemas, strict=True))
    return [{"name": name, "in": "path", "required": True, "schema": by_name[name]} for name in names]


def _query(schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    required = schema.get("required", ())
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _spelled(kind)}
        for name, kind in schema["properties"].items()
    ]


def _spelled(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Nothing is spelled as null in a query: what is optional is left out."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    plain = dict(schema) if not kinds else {**kinds[0], **{k: v for k, v in schema.items() if k != "anyOf"}}
    if plain.get("default", "") is None:
        del plain["default"]
    return plain


def _headers(operation: Operation) -> list[dict[str, Any]]:
    found = []
    if operation.keyed:
        found.append(("Idempotency-Key", f'^("{KEY}"|{KEY})$', "Makes it safe to send the request again."))
    if operation.conditional:
        found.append(("If-Match", f"^({ENTITY_TAG})$", "The `ETag` of what is to be changed, or `*`."))
    return [
        {
            "name": name,
            "in": "header",
            "required": True,
            "description": description,
            "schema": {"type": "string", "pattern": pattern},
        }
        for name, pattern, description in found
    ]


def _responses(operation: Operation, answer: Any) -> dict[str, Any]:
    good: dict[str, Any] = {
        "description": operation.summary,
        "content": {"application/json": {"schema": answer}},
    }
    promised = {"ETag": operation.tagged, "Location": operation.located}
    if any(promised.values()):
        text = {"required": True, "schema": {"type": "string"}}
        good["headers"] = {name: text for name, is_there in promised.items() if is_there}
    names = dict.fromkeys(
        (
            *_ALWAYS,
            *(_WITH_BODY if operation.body is not None else ()),
            *(_KEYED if operation.keyed else ()),
            *(("already_made",) if operation.secret else ()),
            *(_CONDITIONAL if operation.conditional else ()),
            *(("not_found",) if operation.parameters else ()),
            *operation.problems,
        )
    )
    by_status: dict[str, list[str]] = {}
    for name in names:
        by_status.setdefault(str(PROBLEMS[name].status), []).append(name)
    return {
        str(operation.status): good,
        **{
            status: {"$ref": f"#/components/responses/{same[0]}"} if len(same) == 1 else _problem(*same)
            for status, same in sorted(by_status.items())
        },
    }


def _problem(*names: str) -> dict[str, Any]:
    return {
        "description": "; or ".join(PROBLEMS[name].title for name in names),
        "content": {"application/problem+json": {"schema": {"$ref": _REFERENCE.format(name="Problem")}}},
    }
