"""A mapping as JSON: audiences with what they give to groups, roles and clients.

`{"groups": {"finance": ["pay:read"]}}` for a single audience, or `{"audiences": {"payments": {"identifier": "...",
"groups": {...}, "roles": {...}, "clients": {...}, "scopes": {"pay:read": "Read payments"}}}}`.
"""

from __future__ import annotations

from collections.abc import Mapping as Table
from typing import Any

from mintwarden.app.bootstrap import strict
from mintwarden.app.bootstrap.collect import Collector
from mintwarden.app.bootstrap.mapping import Mapping
from mintwarden.policy.bundle.problem import quote

SHAPE = "a mapping of groups to scopes (JSON)"
_OF_AUDIENCE = ("identifier", "groups", "roles", "clients", "scopes")


def read(content: bytes, *, name: str) -> Mapping:
    """Raises `INVALID_REQUEST` for anything that the shape does not know."""
    document = strict.table(strict.read_json(content, "the mapping"), "the mapping")
    found = Collector(name=name, shape=SHAPE)
    if "audiences" in document:
        _only(document, ("audiences",), "the mapping")
        audiences = strict.table(document["audiences"], "`audiences`")
    else:
        audiences = {name: document}
    for key, value in audiences.items():
        _audience(found, strict.name(key, "an audience"), strict.table(value, f"audience `{key[:80]}`"))
    found.gap_clients_unknown("the mapping", all_known=bool(found.clients))
    return found.mapping()


def _audience(found: Collector, key: str, value: Table[str, Any]) -> None:
    where = f"audience `{key}`"
    _only(value, _OF_AUDIENCE, where)
    identifier = value.get("identifier")
    found.audience(key, identifier="" if identifier is None else strict.name(identifier, f"`identifier` of {where}"))
    for scope, meaning in strict.table(value.get("scopes"), f"`scopes` of {where}").items():
        found.scope(key, strict.name(scope, f"a scope of {where}"), meaning=strict.told(meaning))
    for group, scopes in strict.table(value.get("groups"), f"`groups` of {where}").items():
        for scope in strict.names(scopes, f"group `{group[:80]}` of {where}"):
            found.scope(key, scope)
            found.give(key, scope, "group", strict.name(group, f"a group of {where}"))
    for role, scopes in strict.table(value.get("roles"), f"`roles` of {where}").items():
        for scope in strict.names(scopes, f"role `{role[:80]}` of {where}"):
            found.scope(key, scope)
            found.give(key, scope, "role", strict.name(role, f"a role of {where}"))
    for client, scopes in strict.table(value.get("clients"), f"`clients` of {where}").items():
        found.client(strict.name(client, f"a client of {where}"), for_people=True, for_itself=True)
        for scope in strict.names(scopes, f"client `{client[:80]}` of {where}"):
            found.scope(key, scope)
            found.ceiling(key, scope, [client])
            found.give(key, scope, "program", client, through=[client])


def _only(value: Table[str, Any], known: tuple[str, ...], where: str) -> None:
    unknown = sorted(key for key in value if key not in known)
    if unknown:
        raise strict.invalid(f"{where} has an unknown key {quote(unknown[0])}", f"known are {', '.join(known)}")
