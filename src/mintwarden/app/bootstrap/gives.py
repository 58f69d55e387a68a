"""What a mapping gives, worked out client by client, and the guardrails without which a bundle would give more.

A bundle's legacy mapping says for a scope which groups, roles and clients get it. An older system may have said more:
this group, but only through that client. What is left of the difference is a `forbid` for each such client and scope.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from mintwarden.app.bootstrap.mapping import ClientFound, Give, Mapping


class Held(Struct, frozen=True, kw_only=True):
    """Who gets one scope through one client: members, holders, whoever signs in, the client for itself."""

    groups: frozenset[str]
    roles: frozenset[str]
    everyone: bool
    itself: bool


class Guard(Struct, frozen=True, kw_only=True):
    """Through `client`, people (or the client itself, with `itself`) get the scope only as `held` says."""

    audience: str
    scope: str
    client: str
    itself: bool
    held: Held


class Worked(Struct, frozen=True, kw_only=True):
    """All of it, by audience key and scope name.

    Attributes:
        groups, roles, clients: the legacy mapping: to whom each scope is given.
        ceilings: the clients that may have each scope.
        guards: what keeps the mapping from giving more than the older system does.
        held: who gets a scope through a client, by (audience, scope, client).
        lost: gives that no client can ask for.
    """

    groups: dict[tuple[str, str], tuple[str, ...]]
    roles: dict[tuple[str, str], tuple[str, ...]]
    clients: dict[tuple[str, str], tuple[str, ...]]
    ceilings: dict[tuple[str, str], tuple[str, ...]]
    guards: tuple[Guard, ...]
    held: dict[tuple[str, str, str], Held]
    unbounded: tuple[tuple[str, str], ...]


def work_out(mapping: Mapping) -> Worked:
    """The legacy mapping, ceilings and guardrails that together give exactly what `mapping` does, scope by scope."""
    by_scope: dict[tuple[str, str], list[Give]] = {}
    for give in mapping.gives:
        by_scope.setdefault((give.audience, give.scope), []).append(give)
    clients = {client.key: client for client in mapping.clients}
    found = Worked(groups={}, roles={}, clients={}, ceilings={}, guards=(), held={}, unbounded=())
    guards: list[Guard] = []
    unbounded: list[tuple[str, str]] = []
    for key, gives in sorted(by_scope.items()):
        may = set(mapping.ceilings.get(key, ()))
        if key not in mapping.ceilings:
            may = {one.key for one in mapping.clients if _asks_for_people(one)}
            if any(give.through is None for give in gives):
                unbounded.append(key)
        may |= {name for give in gives if give.through for name in give.through}
        found.ceilings[key] = tuple(sorted(may & clients.keys()))
        found.groups[key] = _names(gives, "group")
        found.roles[key] = _names(gives, "role")
        lent = []
        for name in found.ceilings[key]:
            held = _held(gives, name)
            found.held[(*key, name)] = held
            if held.everyone or held.itself:
                lent.append(name)
            guards += _guards(key, clients[name], held, found)
        found.clients[key] = tuple(lent)
    return Worked(
        groups=found.groups,
        roles=found.roles,
        clients=found.clients,
        ceilings=found.ceilings,
        guards=tuple(guards),
        held=found.held,
        unbounded=tuple(unbounded),
    )


def _asks_for_people(client: ClientFound) -> bool:
    """A client of which nothing is known to be for itself is taken to be there for people."""
    return client.for_people or not client.for_itself


def exchanges(client: ClientFound) -> bool:
    """Whether people can come through it."""
    return _asks_for_people(client)


def _names(gives: Iterable[Give], holder: str) -> tuple[str, ...]:
    return tuple(sorted({give.name for give in gives if give.holder == holder}))


def _held(gives: Iterable[Give], client: str) -> Held:
    own = [give for give in gives if give.through is None or client in give.through]
    return Held(
        groups=frozenset(give.name for give in own if give.holder == "group"),
        roles=frozenset(give.name for give in own if give.holder == "role"),
        everyone=any(give.holder == "everyone" for give in own),
        itself=any(give.holder == "program" and give.name == client for give in own),
    )


def _guards(key: tuple[str, str], client: ClientFound, held: Held, found: Worked) -> Iterable[Guard]:
    lent = held.everyone or held.itself
    widens = lent or held.groups != frozenset(found.groups[key]) or held.roles != frozenset(found.roles[key])
    if exchanges(client) and widens and not held.everyone:
        yield Guard(audience=key[0], scope=key[1], client=client.key, itself=False, held=held)
    if client.for_itself and lent and not held.itself:
        yield Guard(audience=key[0], scope=key[1], client=client.key, itself=True, held=held)
