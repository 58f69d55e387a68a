"""An Auth0 tenant as the Deploy CLI exports it.

Made after the public documentation of the Deploy CLI and of the Management API (auth0.com/docs: resource servers,
roles, permissions, client grants, applications); the exports that it was tried with are made up. Taken is a folder of
JSON files, or one JSON document with the members of `tenant.yaml`; YAML has to be turned into JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping as Table
from pathlib import Path
from typing import Any

from mintwarden.app.bootstrap import strict
from mintwarden.app.bootstrap.collect import Collector
from mintwarden.app.bootstrap.mapping import Mapping
from mintwarden.model.errors import ErrorKind, MintwardenError

SHAPE = "an Auth0 tenant export (after its public documentation)"
FOLDERS = {"resource-servers": "resourceServers", "clients": "clients", "grants": "clientGrants", "roles": "roles"}
_SCRIPTS = ("actions", "rules", "hooks", "triggers")
_KINDS = {"native": "native", "spa": "web", "regular_web": "web", "non_interactive": "service"}
_METHODS = ("none", "client_secret_post", "client_secret_basic", "private_key_jwt")


def gather(folder: Path) -> bytes:
    """A folder of JSON files as one document."""
    document: dict[str, list[Any]] = {}
    size = 0
    for name, member in (*FOLDERS.items(), *((one, one) for one in _SCRIPTS)):
        for file in sorted((folder / name).glob("**/*.json")):
            content = strict.read_bytes(file)
            size += len(content)
            if size > strict.LARGEST:
                raise MintwardenError(ErrorKind.TOO_LARGE, f"`{folder}` holds more than {strict.LARGEST >> 20} MiB")
            document.setdefault(member, []).append(strict.read_json(content, f"`{file.name}`"))
    if not document:
        raise strict.invalid(f"`{folder}` holds none of {', '.join(FOLDERS)}", "name the folder of the export")
    return json.dumps(document).encode()


def read(content: bytes, *, name: str) -> Mapping:
    """Raises `INVALID_REQUEST` for what is no such export."""
    tenant = strict.table(strict.read_json(content, "the export"), "the export")
    if not tenant.get("resourceServers"):
        raise strict.invalid("the export holds no `resourceServers`", "export them; turn YAML into JSON first")
    return _Tenant(tenant, name).read()


class _Tenant:
    def __init__(self, tenant: Table[str, Any], name: str) -> None:
        self._tenant = tenant
        self._found = Collector(name=name, shape=SHAPE)
        self._names: dict[str, str] = {}
        self._open: list[str] = []

    def read(self) -> Mapping:
        for client in strict.entries(self._tenant.get("clients"), "`clients`"):
            self._client(client)
        for server in strict.entries(self._tenant.get("resourceServers"), "`resourceServers`"):
            self._server(server)
        for grant in strict.entries(self._tenant.get("clientGrants"), "`clientGrants`"):
            self._grant(grant)
        for role in strict.entries(self._tenant.get("roles"), "`roles`"):
            self._role(role)
        self._people()
        self._others()
        return self._found.mapping()

    def _client(self, client: Table[str, Any]) -> None:
        name = strict.name(client.get("name"), "`name` of a client")
        key = strict.name(client.get("client_id", name), f"`client_id` of client `{name}`")
        self._names[name] = self._names[key] = key
        grants = strict.names(client.get("grant_types"), f"`grant_types` of client `{name}`")
        app_type = str(client.get("app_type") or "non_interactive")
        method = client.get("token_endpoint_auth_method")
        if method not in _METHODS:
            method = "none" if app_type in ("native", "spa") else "client_secret_basic"
        people = [grant for grant in grants if grant not in ("client_credentials", "refresh_token")]
        if people:
            what = f"the grants {', '.join(people)}, and its callback addresses"
            self._found.gap_grants(f"client `{name}`", what)
        if "client_id" not in client:
            what = "its `client_id`: the export names it by its name"
            self._found.gap("client", f"client `{name}`", what, "put the right id into its file")
        if client.get("addons"):
            self._found.gap("client", f"client `{name}`", "its addons", "nothing, or another audience")
        self._found.client(
            key,
            name=name,
            kind=_KINDS.get(app_type, "service"),
            method=str(method),
            for_itself="client_credentials" in grants and method != "none",
            for_people=bool(people),
        )

    def _server(self, server: Table[str, Any]) -> None:
        identifier = strict.name(server.get("identifier"), "`identifier` of a resource server")
        where = f"resource server `{identifier}`"
        if server.get("is_system") is True:
            self._found.gap("audience", where, "the API of Auth0 itself", "nothing")
            return
        lifetime = strict.seconds(server.get("token_lifetime"))
        name = strict.told(server.get("name")) or identifier
        self._found.audience(identifier, name=name, identifier=identifier, lifetime=lifetime)
        for scope in strict.entries(server.get("scopes"), f"`scopes` of {where}"):
            value = strict.name(scope.get("value"), f"`value` of a scope of {where}")
            self._found.scope(identifier, value, meaning=strict.told(scope.get("description")))
            if "*" in value:
                what = f"that the permission `{value}` may mean others to its consumers"
                self._found.gap("wildcard", where, what, "name what is meant")
        if server.get("enforce_policies") is not True:
            self._open.append(identifier)

    def _grant(self, grant: Table[str, Any]) -> None:
        named = strict.name(grant.get("client_id"), "`client_id` of a client grant")
        audience = strict.name(grant.get("audience"), "`audience` of a client grant")
        where = f"client grant of `{named}` for `{audience}`"
        if audience not in self._found.audiences:
            self._found.gap("audience", where, "the grant: its API is not in the export", "nothing")
            return
        key = self._names.get(named, named)
        if named not in self._names:
            self._found.client(key, for_itself=True)
            self._found.gap("client", where, f"all but the id of client `{named}`", "complete its file")
        for scope in strict.names(grant.get("scope"), f"`scope` of {where}"):
            if scope not in self._found.scopes_of(audience):
                self._found.gap("scope", where, f"the scope `{scope}`, which the API does not declare", "declare it")
                continue
            self._found.ceiling(audience, scope, [key])
            self._found.give(audience, scope, "program", key, through=[key])

    def _role(self, role: Table[str, Any]) -> None:
        name = strict.name(role.get("name"), "`name` of a role")
        for permission in strict.entries(role.get("permissions"), f"`permissions` of role `{name}`"):
            scope = strict.name(permission.get("permission_name"), f"`permission_name` of role `{name}`")
            audience = strict.name(permission.get("resource_server_identifier"), f"an API of role `{name}`")
            if scope not in self._found.scopes_of(audience):
                what = f"the permission `{scope}` of `{audience}`, which the API does not declare"
                self._found.gap("scope", f"role `{name}`", what, "declare it")
                continue
            self._found.give(audience, scope, "role", name)

    def _people(self) -> None:
        """Every client for people may ask for every API; an API without RBAC gives everybody whatever is asked for."""
        clients = [client.key for client in self._found.clients.values() if client.for_people]
        for audience in self._found.audiences:
            for scope in self._found.scopes_of(audience):
                self._found.ceiling(audience, scope, clients)
                if audience in self._open:
                    self._found.give(audience, scope, "everyone", through=clients)
            if audience in self._open:
                what = "that the API checks no roles (`enforce_policies` is off): everybody gets what they ask for"
                self._found.gap("everyone", f"resource server `{audience}`", what, "write rules, then enforce")

    def _others(self) -> None:
        for member in _SCRIPTS:
            count = len(strict.listed(self._tenant.get(member), f"`{member}`"))
            if count:
                what = f"{count} {member}, which may change tokens or refuse them"
                self._found.gap("script", "tenant", what, "find out what each does: a claim, a rule, a fact")
        for member in ("organizations", "connections", "guardianFactors", "attackProtection"):
            if self._tenant.get(member):
                self._found.gap("sign-in", "tenant", member, "it stays with whoever signs people in")
