"""An Okta custom authorization server.

Made after the public reference of the Authorization Servers API (developer.okta.com: authorization servers, scopes,
claims, policies, rules); the documents that it was tried with are made up. Okta has no export file of its own: one
document gathers what the API lists, `authorizationServers` (each with its `scopes`, `claims` and `policies`, each
policy with its `rules`), `groups` and `clients`.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping as Table
from typing import Any

from mintwarden.app.bootstrap import strict
from mintwarden.app.bootstrap.collect import Collector
from mintwarden.app.bootstrap.mapping import Holder, Mapping

SHAPE = "an Okta authorization server (after its public API reference)"
_OWN = frozenset({"openid", "profile", "email", "address", "phone", "offline_access", "device_sso", "groups"})
_METHODS = ("client_secret_basic", "client_secret_post", "private_key_jwt", "none")
_KINDS = {"web": "web", "native": "native", "browser": "web", "service": "service"}


def read(content: bytes, *, name: str) -> Mapping:
    """Raises `INVALID_REQUEST` for what is no such document."""
    document = strict.table(strict.read_json(content, "the export"), "the export")
    servers = list(strict.entries(document.get("authorizationServers"), "`authorizationServers`"))
    if not servers:
        raise strict.invalid("the export holds no `authorizationServers`", "see docs/bootstrap.md for its shape")
    issuers = [strict.told(server.get("issuer")) for server in servers]
    found = Collector(name=name, shape=SHAPE, issuer=issuers[0] if len(set(issuers)) == 1 else "")
    groups = {
        strict.name(group.get("id"), "`id` of a group"): strict.name(
            strict.table(group.get("profile"), "`profile` of a group").get("name"), "`name` of a group"
        )
        for group in strict.entries(document.get("groups"), "`groups`")
    }
    for client in strict.entries(document.get("clients"), "`clients`"):
        _client(found, client)
    for server in servers:
        _Server(found, server, groups).read()
    return found.mapping()


def _client(found: Collector, client: Table[str, Any]) -> None:
    key = strict.name(client.get("client_id"), "`client_id` of a client")
    grants = strict.names(client.get("grant_types"), f"`grant_types` of client `{key}`")
    method = client.get("token_endpoint_auth_method")
    if method not in _METHODS:
        method = "client_secret_basic"
        found.gap("client", f"client `{key}`", "its way to authenticate", "choose `authentication` in its file")
    found.client(
        key,
        name=strict.told(client.get("client_name")) or key,
        kind=_KINDS.get(str(client.get("application_type")), "service"),
        method=method,
        for_itself="client_credentials" in grants and method != "none",
        for_people=bool(set(grants) - {"client_credentials", "refresh_token"}),
    )
    others = sorted(set(grants) - {"client_credentials"})
    if others:
        found.gap_grants(f"client `{key}`", f"the grants {', '.join(others)}")


class _Server:
    def __init__(self, found: Collector, server: Table[str, Any], groups: Table[str, str]) -> None:
        self._found, self._server, self._groups = found, server, groups
        self.key = strict.name(server.get("name"), "`name` of an authorization server")
        self.where = f"authorization server `{self.key}`"

    def read(self) -> None:
        found, server = self._found, self._server
        audiences = strict.names(server.get("audiences"), f"`audiences` of {self.where}")
        found.audience(self.key, identifier=audiences[0] if audiences else "")
        if len(audiences) > 1:
            found.gap("audience", self.where, f"{len(audiences) - 1} more audiences", "see `also` in docs/bundle.md")
        for scope in strict.entries(server.get("scopes"), f"`scopes` of {self.where}"):
            self._scope(scope)
        for claim in strict.entries(server.get("claims"), f"`claims` of {self.where}"):
            if not claim.get("system"):
                what = strict.told(claim.get("name")) or "without a name"
                found.gap("claim", self.where, f"the claim `{what}`", "declare it in claims.toml with its source")
        for policy in strict.entries(server.get("policies"), f"`policies` of {self.where}"):
            self._policy(policy)

    def _scope(self, scope: Table[str, Any]) -> None:
        name = strict.name(scope.get("name"), f"`name` of a scope of {self.where}")
        if name in _OWN or scope.get("system") is True:
            self._found.gap("scope", self.where, f"the scope `{name}` of the sign-in itself", "nothing: it is no API's")
            return
        meaning = strict.told(scope.get("description")) or strict.told(scope.get("displayName"))
        self._found.scope(self.key, name, meaning=meaning, default=scope.get("default") is True)

    def _policy(self, policy: Table[str, Any]) -> None:
        name = strict.told(policy.get("name"))
        where = f"policy `{name}` of {self.where}"
        if policy.get("status") == "INACTIVE":
            self._found.gap("inactive", where, "the policy: it is not active", "nothing")
            return
        conditions = strict.table(policy.get("conditions"), f"`conditions` of {where}")
        clients = strict.table(conditions.get("clients"), f"`clients` of {where}")
        included = strict.names(clients.get("include"), f"`clients` of {where}")
        through = list(self._found.clients) if "ALL_CLIENTS" in included else included
        for client in through:
            if client not in self._found.clients:
                self._found.client(client, for_people=True, for_itself=True)
                self._found.gap("client", where, f"all but the id of client `{client}`", "complete its file")
        for rule in strict.entries(policy.get("rules"), f"`rules` of {where}"):
            self._rule(rule, through, where)

    def _rule(self, rule: Table[str, Any], through: list[str], policy: str) -> None:
        where = f"rule `{strict.told(rule.get('name'))}` of {policy}"
        if rule.get("status") == "INACTIVE":
            self._found.gap("inactive", where, "the rule: it is not active", "nothing")
            return
        conditions = strict.table(rule.get("conditions"), f"`conditions` of {where}")
        scopes = self._scopes(conditions, where)
        grants = strict.table(conditions.get("grantTypes"), f"`grantTypes` of {where}").get("include")
        grant_types = set(strict.names(grants, f"`grantTypes` of {where}"))
        for scope in scopes if "client_credentials" in grant_types else ():
            self._found.ceiling(self.key, scope, through)
            for client in through:
                self._found.give(self.key, scope, "program", client, through=[client])
        if grant_types - {"client_credentials"}:
            self._people(conditions, scopes, through, where)
        self._token(strict.table(strict.table(rule.get("actions"), where).get("token"), where), where)

    def _scopes(self, conditions: Table[str, Any], where: str) -> list[str]:
        wanted = strict.names(strict.table(conditions.get("scopes"), where).get("include"), f"`scopes` of {where}")
        known = self._found.scopes_of(self.key)
        if "*" in wanted:
            self._found.gap("wildcard", where, "`*`: also the scopes that come later", "name the scopes one by one")
            return known
        for scope in wanted:
            if scope not in known and scope not in _OWN:
                self._found.gap("scope", where, f"the scope `{scope}`, which the server does not declare", "declare it")
        return [scope for scope in wanted if scope in known]

    def _people(self, conditions: Table[str, Any], scopes: Iterable[str], through: list[str], where: str) -> None:
        people = strict.table(conditions.get("people"), f"`people` of {where}")
        users = strict.table(people.get("users"), f"`users` of {where}")
        groups = strict.table(people.get("groups"), f"`groups` of {where}")
        named = len(strict.listed(users.get("include"), f"`users` of {where}"))
        if named:
            what = f"{named} people who are named one by one"
            self._found.gap("people", where, what, "put them into a group, or ask for exceptions")
        excluded = [*strict.listed(users.get("exclude"), where), *strict.listed(groups.get("exclude"), where)]
        if excluded:
            what = "all of it for people: it excludes somebody, which a mapping cannot say"
            self._found.gap("condition", where, what, "write a rule")
            return
        for group in strict.names(groups.get("include"), f"`groups` of {where}"):
            holder: Holder = "everyone" if group == "EVERYONE" else "group"
            if holder == "group" and group not in self._groups:
                self._found.gap("group", where, f"the name of group `{group}`", "it stands for itself; rename it")
            for scope in scopes:
                name = "" if holder == "everyone" else self._groups.get(group, group)
                self._found.ceiling(self.key, scope, through)
                self._found.give(self.key, scope, holder, name, through=through)

    def _token(self, token: Table[str, Any], where: str) -> None:
        if token.get("inlineHook"):
            self._found.gap("script", where, "the inline hook, which may change the token", "find out what it does")
        minutes = strict.seconds(token.get("accessTokenLifetimeMinutes"))
        if minutes:
            what = f"that its tokens live for {minutes} minutes"
            self._found.gap("lifetime", where, what, "see `max_ttl` of the audience and of the tiers")
