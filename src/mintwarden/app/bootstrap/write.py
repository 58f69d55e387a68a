"""The texts of a first bundle in observe, from a neutral mapping."""

from __future__ import annotations

from collections.abc import Mapping as Table
from typing import Any

import tomlkit
from msgspec import Struct

from mintwarden.app.bootstrap.gives import Guard, Held, Worked, exchanges, work_out
from mintwarden.app.bootstrap.mapping import AudienceFound, ClientFound, Gap, Mapping
from mintwarden.app.bootstrap.spelling import Spelled, Spelling
from mintwarden.policy.cedar.render import quote

UNKNOWN = "unknown: to be named"
"""Stands wherever somebody has to be named who answers for something."""
ISSUER = "https://tokens.invalid"
"""Stands for an issuer identifier that nobody has chosen yet."""
ENVIRONMENT = "production"
TIER = "unrated"
SCENARIOS = 400
"""Most scenarios that are written: enough to show the mapping, not a second copy of it."""
_LIFETIME = 3600
_LONGEST = 24 * 3600


class Plan(Struct, frozen=True, kw_only=True):
    """What is to be written: texts by path in the bundle; what is not carried over; names spelled otherwise."""

    texts: dict[str, str]
    gaps: tuple[Gap, ...]
    spelled: tuple[Spelled, ...]


def plan(mapping: Mapping, *, issuer: str = "") -> Plan:
    """The bundle for `mapping`. Pure; the texts hold nothing but names, meanings and numbers of the mapping."""
    return _Writer(mapping, issuer).plan()


class _Writer:
    def __init__(self, mapping: Mapping, issuer: str) -> None:
        self._mapping, self._issuer = mapping, issuer
        self._worked: Worked = work_out(mapping)
        self._spelling = Spelling()
        self._gaps: list[Gap] = list(mapping.gaps)
        self._texts: dict[str, str] = {}
        named: dict[str, int] = {}
        for audience in mapping.audiences:
            for scope in audience.scopes:
                if self._is_given(audience.key, scope.name):
                    named[scope.name] = named.get(scope.name, 0) + 1
        self._shared = {name for name, count in named.items() if count > 1}
        self._roles = sorted({role for roles in self._worked.roles.values() for role in roles})

    def plan(self) -> Plan:
        audiences = [audience for audience in self._mapping.audiences if self._audience(audience)]
        clients = [client for client in self._mapping.clients if self._client(client)]
        self._head(audiences)
        self._source()
        self._guards()
        self._scenarios(clients)
        self._old_issuer()
        for key in self._worked.unbounded:
            what = "which clients may have it: every client for people may"
            self._gap("ceiling", f"scope `{key[1]}`", what, "narrow `[client.ceilings]`")
        return Plan(texts=self._texts, gaps=tuple(self._gaps), spelled=tuple(self._spelling.changed))

    # -- names -----------------------------------------------------------------------------------------------------

    def _is_given(self, audience: str, scope: str) -> bool:
        key = audience, scope
        return any(of.get(key) for of in (self._worked.groups, self._worked.roles, self._worked.clients))

    def _audience_id(self, key: str) -> str:
        name = next(one.name for one in self._mapping.audiences if one.key == key)
        return self._spelling.identifier("audience", key if len(key) < 40 and "/" not in key else name)

    def _scope_name(self, audience: str, scope: str) -> str:
        return self._spelling.scope(self._audience_id(audience), scope, shared=scope in self._shared)

    def _client_id(self, key: str) -> str:
        return self._spelling.entity("client", key)

    def _group_id(self, name: str) -> str:
        return self._spelling.entity("group", name)

    def _role_name(self, name: str) -> str:
        return self._spelling.entity("role", name)

    def _gap(self, kind: str, where: str, what: str, remedy: str) -> None:
        self._gaps.append(Gap(kind=kind, where=where, what=what, remedy=remedy))

    # -- files -----------------------------------------------------------------------------------------------------

    def _put(self, path: str, content: Table[str, Any], comment: str = "") -> None:
        head = f"# {comment}\n\n" if comment else ""
        self._texts[path] = head + tomlkit.dumps(content)

    def _audience(self, audience: AudienceFound) -> bool:
        name = self._audience_id(audience.key)
        scopes: dict[str, dict[str, Any]] = {}
        for scope in audience.scopes:
            if not self._is_given(audience.key, scope.name):
                what = f"the scope `{scope.name}`: nobody is given it"
                self._gap("scope", f"audience `{audience.key}`", what, "add it with the rule that permits it")
                continue
            meaning = scope.meaning or f"{scope.name}: {UNKNOWN}"
            scopes[self._scope_name(audience.key, scope.name)] = {
                "meaning": meaning,
                "tier": TIER,
                **({"default": True} if scope.default else {}),
            }
        if not scopes:
            self._gap("audience", f"audience `{audience.key}`", "all of it: nobody is given any of it", "nothing")
            return False
        identifier = audience.identifier
        if not Spelling.is_absolute(identifier):
            what = f"its identifier{f' `{identifier}`, which is no absolute URI' if identifier else ''}"
            self._gap("audience", f"audience `{audience.key}`", what, "put the `aud` of its tokens into `identifier`")
            identifier = f"urn:bootstrap:{name}"
        lifetime = min(audience.lifetime or _LIFETIME, _LONGEST)
        content: dict[str, Any] = {
            "audience": {
                "id": name,
                "identifier": identifier,
                "description": audience.name,
                "owner": UNKNOWN,
                "environments": [ENVIRONMENT],
                "mode": "observe",
                "max_ttl": f"{lifetime}s",
                "default_ttl": f"{lifetime}s",
            },
            **self._legacy(audience.key),
            "scopes": scopes,
        }
        self._put(f"audiences/{name}.toml", content, "Observed: `legacy` decides, until rules take over.")
        return True

    def _legacy(self, audience: str) -> dict[str, Any]:
        groups: dict[str, list[str]] = {}
        roles: dict[str, list[str]] = {}
        clients: dict[str, list[str]] = {}
        for of, into, spell in (
            (self._worked.groups, groups, self._group_id),
            (self._worked.roles, roles, self._role_name),
            (self._worked.clients, clients, self._client_id),
        ):
            for (key, scope), names in of.items():
                if key == audience:
                    for name in names:
                        into.setdefault(spell(name), []).append(self._scope_name(audience, scope))
        found: dict[str, Any] = {"legacy": groups} if groups else {}
        if roles:
            found["legacy_roles"] = {"subject.roles": roles}
        if clients:
            found["legacy_clients"] = clients
        return found

    def _client(self, client: ClientFound) -> bool:
        ceilings: dict[str, list[str]] = {}
        for (audience, scope), clients in self._worked.ceilings.items():
            if client.key in clients:
                ceilings.setdefault(self._audience_id(audience), []).append(self._scope_name(audience, scope))
        if not ceilings:
            self._gap("client", f"client `{client.key}`", "the client: nothing can be had through it", "nothing")
            return False
        grants = (["client_credentials"] if client.for_itself else []) + (
            ["token_exchange"] if exchanges(client) else []
        )
        name = self._client_id(client.key)
        method = client.method
        if method == "private_key_jwt":
            what = "its public key, by which it authenticates (`private_key_jwt`)"
            self._gap("client", f"client `{client.key}`", what, "put `keys` and `authentication` into its file")
            method = "client_secret_basic"
        content = {
            "client": {
                "id": name,
                "name": client.name[:200],
                "kind": client.kind,
                "owner": UNKNOWN,
                "environments": [ENVIRONMENT],
                "authentication": [method],
                "grants": grants,
                "ceilings": ceilings,
            }
        }
        what = "who answers for it, its credentials, where it runs"
        self._gap(
            "client", f"client `{client.key}`", what, "name its owner; `mintwarden clients`, or `keys` in its file"
        )
        self._put(f"clients/{self._spelling.identifier('client file', client.key)}.toml", content)
        return True

    def _head(self, audiences: list[AudienceFound]) -> None:
        longest = max((min(one.lifetime or _LIFETIME, _LONGEST) for one in audiences), default=_LIFETIME)
        if not self._issuer:
            self._gap("issuer", "bundle.toml", "the issuer identifier of the new tokens", f"replace `{ISSUER}`")
        self._gap("owner", "bundle.toml", "the policy owner and who approves changes", f"replace `{UNKNOWN}`")
        self._gap("owner", "audiences/", "who answers for each audience", f"replace `{UNKNOWN}`")
        self._gap("tier", "bundle.toml", "how much harm each scope can do", f"replace the tier `{TIER}` by your own")
        content = {
            "bundle": {
                "name": self._spelling.identifier("bundle", self._mapping.name),
                "issuer": self._issuer or ISSUER,
                "environments": [ENVIRONMENT],
                "description": f"A first bundle, made from {self._mapping.shape}. See GAPS.md beside it.",
            },
            "owner": {"name": UNKNOWN, "contact": UNKNOWN},
            "tiers": {TIER: {"max_ttl": f"{longest}s", "description": "Nobody has rated these scopes yet."}},
        }
        self._put("bundle.toml", content)

    def _source(self) -> None:
        facts = {"roles": {"type": "set<string>", "optional": True}} if self._roles else {}
        source: dict[str, Any] = {
            "kind": "store",
            "about": ["User"],
            "groups": True,
            "missing": "absent",
            "max_age": "24h",
            "description": "Who is in which group, as the older system knew it.",
            **({"facts": facts} if facts else {}),
        }
        self._put("sources.toml", {"sources": {"directory": source}})
        roles = ", and their roles in the fact `roles`" if facts else ""
        what = f"people and their groups{roles}: nothing is issued to people without"
        self._gap("directory", "sources.toml", what, "`mintwarden directory import`; groups spelled as here")

    def _guards(self) -> None:
        texts = [self._guard(number, guard) for number, guard in enumerate(self._worked.guards, start=1)]
        if texts:
            head = "// What keeps the mappings from giving more than the older system does, client by client.\n\n"
            self._texts["rules/bootstrap.cedar"] = head + "\n".join(texts)
        self._gap("rules", "rules/", "rules: the mapping decides, and what rules would say is recorded", "write them")

    def _guard(self, number: int, guard: Guard) -> str:
        scope = self._scope_name(guard.audience, guard.scope)
        kind = "Workload" if guard.itself else "User"
        whom = "the client itself" if guard.itself else "people"
        conditions = [] if guard.itself else self._conditions(guard.held)
        unless = f"\nunless {{ {' || '.join(conditions)} }}" if conditions else ""
        return (
            f'@id("bootstrap-{number}")\n@owner({quote(UNKNOWN)})\n'
            f'@reason("the older system gives this through this client to {whom} only so")\n'
            f'forbid (principal is {kind}, action == Action::"issue", resource == Scope::{quote(scope)})\n'
            f"when {{ context.client.id == {quote(self._client_id(guard.client))} }}{unless};\n"
        )

    def _conditions(self, held: Held) -> list[str]:
        found = [f"principal in Group::{quote(self._group_id(group))}" for group in sorted(held.groups)]
        roles = [f"principal.roles.contains({quote(self._role_name(role))})" for role in sorted(held.roles)]
        return found + ([f"(principal has roles && ({' || '.join(roles)}))"] if roles else [])

    def _scenarios(self, clients: list[ClientFound]) -> None:
        by_key = {client.key: client for client in clients}
        found: list[dict[str, Any]] = []
        for (audience, scope, name), held in self._worked.held.items():
            client = by_key.get(name)
            if client is None:
                continue
            cases: list[tuple[str, dict[str, Any], str]] = []
            if exchanges(client):
                guarded = any(
                    (g.audience, g.scope, g.client, g.itself) == (audience, scope, name, False)
                    for g in self._worked.guards
                )
                refused = "" if held.everyone else "forbidden" if guarded else "not_mapped"
                cases += (("member", {"groups": [self._group_id(group)]}, "") for group in sorted(held.groups))
                cases += (("holder", {"facts": {"roles": [self._role_name(role)]}}, "") for role in sorted(held.roles))
                cases.append(("anybody", {}, refused))
            if client.for_itself:
                cases.append(("itself", {}, "" if held.itself else "forbidden" if held.everyone else "not_mapped"))
            for who, facts, refused in cases:
                found.append(self._scenario(len(found) + 1, (audience, scope, name), who, facts, refused))
        if len(found) > SCENARIOS:
            what = f"{len(found) - SCENARIOS} of the {len(found)} scenarios that show the mapping"
            self._gap("scenarios", "tests/", what, "nothing: they follow from the mapping")
        if found:
            self._put(
                "tests/mapping.toml", {"scenario": found[:SCENARIOS]}, "That observing gives what the mapping says."
            )

    def _scenario(
        self, number: int, at: tuple[str, str, str], who: str, facts: dict[str, Any], refused: str
    ) -> dict[str, Any]:
        audience, scope, client = at
        name = self._scope_name(audience, scope)
        given: dict[str, Any] = {
            "client": self._client_id(client),
            "audience": self._audience_id(audience),
            "scopes": [name],
            "now": "2026-01-01T00:00:00Z",
        }
        if who != "itself":
            given |= {"grant": "token_exchange", "subject": 'User::"somebody"'}
            if facts:
                given["facts"] = {"User:somebody": {"directory": facts}}
        expect = {"granted": [], "refused": {name: refused}} if refused else {"granted": [name]}
        why = f"{who}: {'refused' if refused else 'granted'}, as by the older system"
        return {"id": f"mapping-{number}", "why": why, "given": given, "expect": expect}

    def _old_issuer(self) -> None:
        if not any(exchanges(client) for client in self._mapping.clients):
            return
        self._gap(
            "actor", "tokens", "tokens for people name the client that asks as their actor (`act`)",
            "write an `impersonate` rule where a consumer cannot take that",
        )  # fmt: skip
        if not self._mapping.issuer.startswith("https://"):
            self._gap("issuer", "issuers/", "the older system as the one who signs people in", "add issuers/*.toml")
            return
        issuer = {
            "id": "older-system",
            "issuer": self._mapping.issuer,
            "audiences": [self._issuer or ISSUER],
            "principal": "User",
            "roles": ["subject"],
            "keys": "discovery",
        }
        what = "for whom the older system's sign-in tokens are (`audiences`), and how its subjects match the directory"
        self._gap("issuer", "issuers/older-system.toml", what, "check both")
        self._put("issuers/older-system.toml", {"issuer": issuer})
