"""Collects what a reader finds, in the order in which it finds it."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from mintwarden.app.bootstrap.mapping import AudienceFound, ClientFound, Gap, Give, Holder, Mapping, ScopeFound


class Collector:
    """A mapping in the making. Naming the same thing again adds to it."""

    def __init__(self, *, name: str, shape: str, issuer: str = "") -> None:
        self._name, self._shape, self._issuer = name, shape, issuer
        self._audiences: dict[str, AudienceFound] = {}
        self._scopes: dict[str, dict[str, ScopeFound]] = {}
        self.clients: dict[str, ClientFound] = {}
        self._gives: dict[Give, None] = {}
        self._ceilings: dict[tuple[str, str], set[str]] = {}
        self._gaps: dict[Gap, None] = {}

    def audience(self, key: str, *, name: str = "", identifier: str = "", lifetime: int = 0) -> None:
        """An audience."""
        if key not in self._audiences:
            self._audiences[key] = AudienceFound(key=key, name=name or key, identifier=identifier, lifetime=lifetime)
            self._scopes[key] = {}

    def scope(self, audience: str, name: str, *, meaning: str = "", default: bool = False) -> None:
        """A scope of an audience that was found before."""
        known = self._scopes[audience].get(name)
        if known is None or (meaning and not known.meaning):
            self._scopes[audience][name] = ScopeFound(name=name, meaning=meaning, default=default)

    @property
    def audiences(self) -> list[str]:
        """Keys of the audiences found so far."""
        return list(self._audiences)

    def scopes_of(self, audience: str) -> list[str]:
        """Names of the scopes found so far."""
        return list(self._scopes.get(audience, {}))

    def client(
        self,
        key: str,
        *,
        name: str = "",
        kind: str = "service",
        method: str = "client_secret_basic",
        for_itself: bool = False,
        for_people: bool = False,
    ) -> None:
        """A client."""
        known = self.clients.get(key)
        if known is None:
            self.clients[key] = ClientFound(
                key=key, name=name or key, kind=kind, method=method, for_itself=for_itself, for_people=for_people
            )
        else:
            self.clients[key] = replace(
                known, for_itself=known.for_itself or for_itself, for_people=known.for_people or for_people
            )

    def ceiling(self, audience: str, scope: str, clients: Iterable[str]) -> None:
        """Clients that may have a scope."""
        self._ceilings.setdefault((audience, scope), set()).update(clients)

    def give(
        self, audience: str, scope: str, holder: Holder, name: str = "", *, through: Iterable[str] | None = None
    ) -> None:
        """Something that the older system gives."""
        only = None if through is None else frozenset(through)
        self._gives[Give(audience=audience, scope=scope, holder=holder, name=name, through=only)] = None

    def gap(self, kind: str, where: str, what: str, remedy: str) -> None:
        """Something that is not carried over."""
        self._gaps[Gap(kind=kind, where=where, what=what, remedy=remedy)] = None

    def gap_grants(self, where: str, what: str) -> None:
        """Grants by which people sign in: an export's addresses may be patterns, and here they are exact."""
        remedy = (
            "once people sign in here (docs/sign-in.md), `authorization_code` and its `redirect_uris`, each as it is; "
            "until then it exchanges the older system's tokens (`token_exchange`)"
        )
        self.gap("grants", where, what, remedy)

    def gap_clients_unknown(self, where: str, *, all_known: bool) -> None:
        """Where nothing says which clients there are."""
        if not all_known:
            self.gap("clients", where, "it names no client, and without one nothing is issued", "add clients/*.toml")

    def mapping(self) -> Mapping:
        """Everything that was found."""
        audiences = tuple(
            replace(audience, scopes=tuple(self._scopes[key].values())) for key, audience in self._audiences.items()
        )
        return Mapping(
            name=self._name,
            shape=self._shape,
            issuer=self._issuer,
            audiences=audiences,
            clients=tuple(self.clients.values()),
            gives=tuple(self._gives),
            ceilings={key: frozenset(clients) for key, clients in self._ceilings.items()},
            gaps=tuple(self._gaps),
        )
