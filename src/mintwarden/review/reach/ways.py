"""The ways to a token with a scope: which client asks, where, how, for whom, and which earlier tokens it comes of."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from mintwarden.model.catalogue import Catalogue, Client
from mintwarden.model.values import EntityUid
from mintwarden.policy.bundle.namesakes import beginning_of, beginning_of_provider
from mintwarden.review.reach.question import Question

if TYPE_CHECKING:
    from mintwarden.review.reach.sight import Sight

MOST = 20_000
"""Most ways that are looked at; beyond it the answer says so."""


class Way(Struct, frozen=True, kw_only=True):
    """One way to ask for a scope.

    Attributes:
        scope: what is asked for.
        client: who asks.
        environment, grant, method: where and how.
        own: the client asks about itself: its own principal is the subject.
        vouched: the subject's token comes from a trusted issuer.
        actors: who acts for the subject, the present one first.
        impersonate: the client may stay hidden where a rule lets it.
        outcome: of an earlier token: whether its actor has to have stayed hidden, or not.
        earlier: the way to the token of ours that is exchanged; None where there is none.
        addresses: where the client may call from; empty for anywhere.
    """

    scope: str
    client: str
    environment: str
    grant: str
    method: str
    own: EntityUid
    is_own: bool = False
    vouched: bool = False
    actors: tuple[EntityUid, ...] = ()
    impersonate: bool = False
    earlier: Way | None = None
    outcome: Literal["any", "hidden", "shown"] = "any"
    addresses: tuple[str, ...] = ()

    @property
    def via(self) -> tuple[str, ...]:
        """The scopes of the earlier tokens, the latest first."""
        return () if self.earlier is None else (self.earlier.scope, *self.earlier.via)

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scope, then those of the earlier tokens."""
        return (self.scope, *self.via)

    def is_open_to(self, subject: EntityUid, *, vouched: bool) -> bool:
        """Whether the subject can come this way at all; `vouched`: a trusted issuer may speak for it."""
        first = self
        while first.earlier is not None:
            first = first.earlier
        if first.is_own:
            return subject == first.own
        return vouched and subject != first.own

    def address(self, wished: str) -> str | None:
        """Where the client calls from: as wished, or else from one of its own networks; None where it may not."""
        if not self.addresses:
            return wished
        networks = [ipaddress.ip_network(network, strict=False) for network in self.addresses]
        if not wished:
            return str(networks[0].network_address)
        try:
            asked = ipaddress.ip_address(wished)
        except ValueError:
            return None
        return wished if any(asked in network for network in networks) else None


class Vouching:
    """For whom the trusted issuers of a catalogue may speak, as far as names tell."""

    def __init__(self, catalogue: Catalogue) -> None:
        issuers = catalogue.issuers.values()
        self._subjects = [(i.principal, beginning_of(i)) for i in issuers if "subject" in i.roles]
        self._subjects += [("User", beginning_of_provider(p)) for p in catalogue.providers.values()]
        if catalogue.passkeys.enabled:
            self._subjects.append(("User", ""))
        self._actors = [(i.principal, beginning_of(i)) for i in issuers if "actor" in i.roles]

    def of_subject(self, uid: EntityUid) -> bool:
        """Some issuer may name it as a subject. Its conditions are about tokens, which nobody has shown."""
        return any(uid.type == kind and uid.id.startswith(prefix) for kind, prefix in self._subjects)

    def beginnings(self, kind: str) -> list[str]:
        """How the names of subjects of that type may begin."""
        return [prefix for principal, prefix in self._subjects if principal == kind]

    def of_actor(self, uid: EntityUid) -> bool:
        """Some issuer may name it as an actor."""
        return any(uid.type == kind and uid.id.startswith(prefix) for kind, prefix in self._actors)


def ways(
    catalogue: Catalogue,
    clients: Mapping[str, Client],
    question: Question,
    sight: Sight,
    *,
    actor: EntityUid | None = None,
) -> tuple[Way, ...]:
    """Every way to the question's scope, the direct ones first; with `actor`, those on which its token comes along.

    `clients` are the bundle's and the registered ones, by id.
    """
    maker = _Maker(catalogue, clients, question, sight)
    every = maker.every(question.scope, question.hops, question.client)
    if actor is None:
        return tuple(islice(every, MOST))
    behind = (way for way in every if way.earlier is not None and actor in way.actors)
    return tuple(islice(chain(maker.acted(question.scope, actor), behind), MOST))


def carriers(catalogue: Catalogue, scope: str, hops: int) -> tuple[str, ...]:
    """The scope, and every scope whose token may end up as one with it in at most `hops` exchanges."""
    found = {scope: None}
    edge = [scope]
    for _ in range(hops):
        edge = [s.name for s in catalogue.scopes.values() if any(t in s.carries for t in edge) and s.name not in found]
        found.update(dict.fromkeys(edge))
    return tuple(found)


class _Maker:
    def __init__(self, catalogue: Catalogue, clients: Mapping[str, Client], question: Question, sight: Sight) -> None:
        self._catalogue, self._clients = catalogue, clients
        self._question = question
        self._by_method = sight.sees("context.request.method")
        self._vouching = Vouching(catalogue)

    def every(self, scope: str, hops: int, client: str = "") -> Iterator[Way]:
        """The ways to `scope`, at the end through `client` where one is named."""
        yield from (way for way in self._direct(scope) if client in ("", way.client))
        if hops > 0:
            yield from (way for way in self._exchanged(scope, hops) if client in ("", way.client))

    def acted(self, scope: str, actor: EntityUid) -> Iterator[Way]:
        """The ways on which `actor` acts openly: by a trusted issuer's token, or as the client itself."""
        vouched = self._vouching.of_actor(actor)
        for client, environment, method in self._asking(scope):
            own = EntityUid(client.principal, client.id)
            if (
                (vouched or actor == own)
                and "token_exchange" in client.grants
                and self._question.client in ("", client.id)
            ):
                common = self._common(scope, client, environment, method)
                yield Way(**common, own=own, vouched=True, actors=(actor,))

    def _asking(self, scope: str) -> Iterator[tuple[Client, str, str]]:
        audience = self._catalogue.audiences[self._catalogue.scopes[scope].audience]
        for client in self._clients.values():
            if scope not in client.ceilings.get(audience.id, ()):
                continue
            for environment in client.environments:
                if environment in audience.environments and self._question.environment in ("", environment):
                    for method in client.methods if self._by_method else client.methods[:1]:
                        yield client, environment, method

    def _common(self, scope: str, client: Client, environment: str, method: str) -> dict[str, Any]:
        return {
            "scope": scope,
            "client": client.id,
            "environment": environment,
            "grant": "token_exchange",
            "method": method,
            "addresses": client.addresses,
        }

    def _direct(self, scope: str) -> Iterator[Way]:
        for client, environment, method in self._asking(scope):
            own = EntityUid(client.principal, client.id)
            common = self._common(scope, client, environment, method)
            if "client_credentials" in client.grants and method != "none":
                yield Way(**{**common, "grant": "client_credentials"}, own=own, is_own=True)
            if "token_exchange" in client.grants:
                if self._vouching.of_subject(own):
                    yield Way(**common, own=own, is_own=True, vouched=True)
                yield Way(**common, own=own, vouched=True, actors=(own,), impersonate=True)

    def _exchanged(self, scope: str, hops: int) -> Iterator[Way]:
        """Through a token of ours whose scope carries this one; RFC 8693 section 4.1 for the chain."""
        for name, other in self._catalogue.scopes.items():
            if scope not in other.carries or name == scope:
                continue
            for earlier in self.every(name, hops - 1):
                for client, environment, method in self._asking(scope):
                    if environment != earlier.environment or "token_exchange" not in client.grants:
                        continue
                    if client.id == earlier.client or other.audience in client.serves:
                        yield from self._hop(self._common(scope, client, environment, method), client, earlier)

    def _hop(self, common: dict[str, Any], client: Client, earlier: Way) -> Iterator[Way]:
        own = EntityUid(client.principal, client.id)
        for before in _outcomes(earlier):
            chain = () if before.outcome == "hidden" else before.actors
            if chain and chain[0] == own:
                actors, impersonate = chain, False
            elif not chain and before.is_own and own == before.own:
                actors, impersonate = (), False
            else:
                actors, impersonate = (own, *chain), not chain
            if len(actors) <= self._catalogue.max_actors:
                yield Way(**common, own=own, actors=actors, impersonate=impersonate, earlier=before)


def _outcomes(way: Way) -> tuple[Way, ...]:
    """An earlier token says who acts, or hides it: two different tokens to go on from."""
    return (replace(way, outcome="hidden"), replace(way, outcome="shown")) if way.impersonate else (way,)
