"""A Keycloak realm export.

Made after the public documentation ("Importing and exporting realms", and `RealmRepresentation` with what it is made of
in the Admin REST API); the exports that it was tried with are made up. A client's roles become the scopes of an
audience of that client, the realm's roles and the client scopes those of an audience of the realm.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Mapping as Table
from typing import Any

from mintwarden.app.bootstrap import strict
from mintwarden.app.bootstrap.collect import Collector
from mintwarden.app.bootstrap.mapping import Mapping

SHAPE = "a Keycloak realm export (after its public documentation)"
_OWN_CLIENTS = frozenset(
    {"account", "account-console", "admin-cli", "broker", "realm-management", "security-admin-console"}
)
_OWN_SCOPES = frozenset(
    "openid profile email address phone roles web-origins microprofile-jwt acr basic offline_access organization "
    "service_account role_list saml_organization".split()
)
_OWN_ROLES = frozenset({"offline_access", "uma_authorization"})
_METHODS = {"client-secret": "client_secret_basic", "client-jwt": "private_key_jwt", "client-secret-jwt": ""}
Role = tuple[str, str]
"""Client (empty for the realm's own) and name."""


def read(content: bytes, *, name: str) -> Mapping:  # noqa: ARG001 - an export says its realm's name itself
    """Raises `INVALID_REQUEST` for what is no realm export."""
    realm = strict.table(strict.read_json(content, "the export"), "the export")
    key = strict.name(realm.get("realm"), "`realm`")
    if "clients" not in realm and "roles" not in realm:
        raise strict.invalid("the export holds no `clients` and no `roles`", "export the realm with its clients")
    return _Realm(realm, key).read()


class _Realm:
    def __init__(self, realm: Table[str, Any], key: str) -> None:
        self._realm, self._key = realm, key
        self._found = Collector(name=key, shape=SHAPE)
        self._inside: dict[Role, list[Role]] = {}
        self._lifetime = strict.seconds(realm.get("accessTokenLifespan"))
        self._holders: list[str] = []
        self._default = f"default-roles-{key.lower()}"

    def read(self) -> Mapping:
        self._roles()
        self._client_scopes()
        self._clients()
        self._groups(strict.entries(self._realm.get("groups"), "`groups`"), (), [])
        self._everyone()
        self._users()
        self._others()
        return self._found.mapping()

    # -- roles: what is given --------------------------------------------------------------------------------------

    def _roles(self) -> None:
        roles = strict.table(self._realm.get("roles"), "`roles`")
        for role in strict.entries(roles.get("realm"), "`roles.realm`"):
            name = self._role("", role)
            if name not in _OWN_ROLES and name != self._default:
                self._scope(("", name), strict.told(role.get("description")))
        for client, own in strict.table(roles.get("client"), "`roles.client`").items():
            for role in strict.entries(own, f"`roles.client.{client[:80]}`"):
                name = self._role(client, role)
                if client not in _OWN_CLIENTS:
                    self._scope((client, name), strict.told(role.get("description")))

    def _role(self, client: str, role: Table[str, Any]) -> str:
        name = strict.name(role.get("name"), f"`name` of a role of `{client or self._key}`")
        inside = strict.table(role.get("composites"), f"`composites` of role `{name}`")
        parts: list[Role] = [("", part) for part in strict.names(inside.get("realm"), f"`composites` of role `{name}`")]
        for other, names in strict.table(inside.get("client"), f"`composites` of role `{name}`").items():
            parts += ((other, part) for part in strict.names(names, f"`composites` of role `{name}`"))
        if parts:
            self._inside[client, name] = parts
            if name != self._default:
                what = f"that the role is made of {len(parts)} others: whoever has it is given each of them"
                self._found.gap("composite", f"role `{name}`", what, "keep it in mind when roles change")
        return name

    def _scope(self, role: Role, meaning: str) -> None:
        audience = role[0] or self._key
        self._found.audience(audience, lifetime=self._lifetime)
        self._found.scope(audience, role[1], meaning="" if meaning.startswith("${") else meaning)

    def _expanded(self, roles: Iterable[Role]) -> Iterator[Role]:
        seen: dict[Role, None] = {}
        waiting = list(roles)
        while waiting:
            role = waiting.pop(0)
            if role not in seen:
                seen[role] = None
                waiting += self._inside.get(role, ())
        for client, name in seen:
            if name in self._found.scopes_of(client or self._key):
                yield client, name

    def _given(self, value: Table[str, Any], where: str) -> list[Role]:
        roles: list[Role] = [("", name) for name in strict.names(value.get("realmRoles"), f"`realmRoles` of {where}")]
        for client, names in strict.table(value.get("clientRoles"), f"`clientRoles` of {where}").items():
            roles += ((client, name) for name in strict.names(names, f"`clientRoles` of {where}"))
        return roles

    # -- client scopes ---------------------------------------------------------------------------------------------

    def _client_scopes(self) -> None:
        for scope in strict.entries(self._realm.get("clientScopes"), "`clientScopes`"):
            name = strict.name(scope.get("name"), "`name` of a client scope")
            where = f"client scope `{name}`"
            attributes = strict.table(scope.get("attributes"), f"`attributes` of {where}")
            if name in _OWN_SCOPES or scope.get("protocol") != "openid-connect":
                continue
            self._mappers(scope, where)
            if attributes.get("include.in.token.scope") == "false":
                self._found.gap("scope", where, "the scope: it does not show in tokens", "nothing, or a claim")
                continue
            self._scope(("", name), strict.told(scope.get("description")))
            self._holders.append(name)

    def _mappers(self, value: Table[str, Any], where: str) -> None:
        for mapper in strict.entries(value.get("protocolMappers"), f"`protocolMappers` of {where}"):
            kind = strict.told(mapper.get("protocolMapper"))
            what = f"the mapper `{strict.told(mapper.get('name'))}` ({kind})"
            is_script = "script" in kind
            remedy = "find out what its script does" if is_script else "declare a claim in claims.toml with its source"
            self._found.gap("script" if is_script else "claim", where, what, remedy)

    # -- clients ---------------------------------------------------------------------------------------------------

    def _clients(self) -> None:
        allowed = self._allowed()
        for client in strict.entries(self._realm.get("clients"), "`clients`"):
            key = strict.name(client.get("clientId"), "`clientId`")
            where = f"client `{key}`"
            if (
                key in _OWN_CLIENTS
                or client.get("enabled") is False
                or client.get("protocol", "openid-connect") != "openid-connect"
            ):
                if key not in _OWN_CLIENTS:
                    self._found.gap("client", where, "the client: it is off, or speaks another protocol", "nothing")
                continue
            self._mappers(client, where)
            if client.get("authorizationSettings") or client.get("authorizationServicesEnabled"):
                what = "its authorization services: resources, policies, permissions, scripts"
                self._found.gap("condition", where, what, "write them as rules")
            if client.get("bearerOnly") is True:
                continue
            self._one_client(client, key, where)
            self._ceilings(client, key, allowed)

    def _one_client(self, client: Table[str, Any], key: str, where: str) -> None:
        public = client.get("publicClient") is True
        kind = str(client.get("clientAuthenticatorType") or "client-secret")
        method = "none" if public else _METHODS.get(kind, "")
        if not method:
            self._found.gap("client", where, f"its way to authenticate (`{kind[:40]}`)", "choose `authentication`")
            method = "client_secret_basic"
        flows = {"standardFlowEnabled": "authorization code", "implicitFlowEnabled": "implicit"}
        flows["directAccessGrantsEnabled"] = "password"
        used = [name for member, name in flows.items() if client.get(member) is True]
        if used:
            self._found.gap_grants(where, f"the grants {', '.join(used)}, and its redirect addresses")
        self._found.client(
            key,
            name=strict.told(client.get("name")) or key,
            kind="native" if public else "web" if used else "service",
            method=method,
            for_itself=client.get("serviceAccountsEnabled") is True and not public,
            for_people=bool(used),
        )

    def _allowed(self) -> dict[tuple[str, str], set[Role]]:
        """`("client", id)` or `("scope", name)` to the roles that it lets through."""
        found: dict[tuple[str, str], set[Role]] = {}

        def note(mapping: Table[str, Any], client: str) -> None:
            roles = {(client, role) for role in strict.names(mapping.get("roles"), "`roles` of a scope mapping")}
            for member, kind in (("client", "client"), ("clientScope", "scope")):
                if isinstance(mapping.get(member), str):
                    found.setdefault((kind, mapping[member]), set()).update(roles)

        for mapping in strict.entries(self._realm.get("scopeMappings"), "`scopeMappings`"):
            note(mapping, "")
        for client, mappings in strict.table(self._realm.get("clientScopeMappings"), "`clientScopeMappings`").items():
            for mapping in strict.entries(mappings, f"`clientScopeMappings.{client[:80]}`"):
                note(mapping, client)
        return found

    def _ceilings(self, client: Table[str, Any], key: str, allowed: Table[tuple[str, str], set[Role]]) -> None:
        lists = [client.get("defaultClientScopes"), client.get("optionalClientScopes")]
        scopes = [name for names in lists for name in strict.names(names, f"client scopes of `{key}`")]
        roles = set(allowed.get(("client", key), ()))
        roles.update((key, name) for name in self._found.scopes_of(key))
        for scope in scopes:
            roles.update(allowed.get(("scope", scope), ()))
        if client.get("fullScopeAllowed", True) is not False:
            what = "that all roles go into its tokens (`fullScopeAllowed`): its ceiling is everything"
            self._found.gap("ceiling", f"client `{key}`", what, "narrow `[client.ceilings]` to what it needs")
            roles.update(self._all_roles())
        for owner, name in self._expanded(roles):
            if owner or name not in self._holders:
                self._found.ceiling(owner or self._key, name, [key])
        for name in scopes:
            if name in self._holders:
                self._found.ceiling(self._key, name, [key])
                self._found.give(self._key, name, "everyone", through=[key])
                self._found.give(self._key, name, "program", key, through=[key])

    def _all_roles(self) -> set[Role]:
        roles = strict.table(self._realm.get("roles"), "`roles`")
        found = {("", str(role.get("name"))) for role in strict.entries(roles.get("realm"), "`roles.realm`")}
        for client, own in strict.table(roles.get("client"), "`roles.client`").items():
            found |= {(client, str(role.get("name"))) for role in strict.entries(own, "`roles.client`")}
        return found

    # -- who has what ----------------------------------------------------------------------------------------------

    def _groups(self, groups: Iterator[Table[str, Any]], above: tuple[str, ...], inherited: list[Role]) -> None:
        for group in groups:
            name = strict.name(group.get("name"), "`name` of a group")
            path = (*above, name)
            where = f"group `/{'/'.join(path)}`"
            roles = [*inherited, *self._given(group, where)]
            for client, role in self._expanded(roles):
                self._found.give(client or self._key, role, "group", f"/{'/'.join(path)}")
            self._groups(strict.entries(group.get("subGroups"), f"`subGroups` of {where}"), path, roles)

    def _everyone(self) -> None:
        default = self._realm.get("defaultRole")
        name = strict.table(default, "`defaultRole`").get("name") if default is not None else None
        roles: list[Role] = [("", name)] if isinstance(name, str) else []
        roles += (("", role) for role in strict.names(self._realm.get("defaultRoles"), "`defaultRoles`"))
        for client, role in self._expanded(roles):
            self._found.give(client or self._key, role, "everyone")

    def _users(self) -> None:
        direct: dict[Role, int] = {}
        for user in strict.entries(self._realm.get("users"), "`users`"):
            given = self._given(user, "a user")
            client = user.get("serviceAccountClientId")
            if not isinstance(client, str):
                given = [role for role in given if role != ("", self._default)]  # what everybody has
            roles = list(self._expanded(given))
            for owner, role in roles:
                if isinstance(client, str):
                    self._found.give(owner or self._key, role, "program", client, through=[client])
                else:
                    direct[owner, role] = direct.get((owner, role), 0) + 1
        for (owner, role), count in sorted(direct.items()):
            self._found.give(owner or self._key, role, "role", f"{owner}/{role}" if owner else role)
            what = f"that {count} people have the role by themselves, not by a group: their names are left out"
            remedy = f"let the directory say `{owner}/{role}` in the fact `roles`" if owner else "fill the fact `roles`"
            self._found.gap("people", f"role `{role}`", what, remedy)

    def _others(self) -> None:
        for member, what in (
            ("identityProviders", "identity providers"),
            ("userFederationProviders", "user federation"),
            ("authenticationFlows", "sign-in flows"),
            ("requiredActions", "required actions"),
            ("clientPolicies", "client policies"),
        ):
            if self._realm.get(member):
                self._found.gap("sign-in", "realm", what, "they stay with whoever signs people in")
