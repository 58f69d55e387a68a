"""The clients as authentication sees them: keys and networks made ready once, secrets from the latest snapshot."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence

from msgspec import Struct

from mintwarden.authn.jose import JoseError, VerificationKey, load_key
from mintwarden.authn.ports import ClientSecret, CredentialReader, Credentials
from mintwarden.model.catalogue import Client
from mintwarden.model.errors import ErrorKind, MintwardenError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class KnownClient(Struct, frozen=True):
    """A client of the catalogue with its public keys and networks parsed."""

    client: Client
    methods: frozenset[str]
    algorithms: frozenset[str]
    keys: tuple[VerificationKey, ...]
    networks: tuple[Network, ...]

    def may_call_from(self, address: str) -> bool:
        """True if the client is not confined to networks, or the address is in one of them."""
        if not self.networks:
            return True
        try:
            host = ipaddress.ip_address(address)
        except ValueError:
            return False
        if isinstance(host, ipaddress.IPv6Address) and host.ipv4_mapped is not None:
            host = host.ipv4_mapped
        return any(host in network for network in self.networks)


class ActivationMoved(Exception):
    """Another bundle version governs than the one that a registry belongs to. `number` is that of its activation."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Registry:
    """Clients and their secrets. Secrets come from one committed state of the store and are replaced as a whole.

    INVARIANT: with `activation` given, only a state in which that activation was in force is taken: the epoch that a
    caller bears is then one under which the registry's own bundle version governed.
    """

    def __init__(
        self, *, clients: Mapping[str, Client], credentials: CredentialReader, activation: int | None = None
    ) -> None:
        self._activation = activation
        self._clients = {name: _known(client) for name, client in clients.items()}
        self._reader = credentials
        self._credentials = Credentials(0, {})
        self._imported = False

    @property
    def epoch(self) -> int:
        """The store's epoch that the present secrets were read under."""
        return self._credentials.epoch

    @property
    def imported(self) -> bool:
        """Some client has an imported secret."""
        return self._imported

    def client(self, client_id: str) -> KnownClient | None:
        """The client of that id."""
        return self._clients.get(client_id)

    def secrets(self, client_id: str) -> Sequence[ClientSecret]:
        """The secrets of that client, expired ones included."""
        return self._credentials.secrets.get(client_id, ())

    async def refresh(self) -> int:
        """Read the secrets again; returns their epoch. A snapshot older than the present one is not taken.

        Raises `ActivationMoved` when another bundle version governs.
        """
        read = await self._reader.credentials()
        if self._activation is not None and read.activation != self._activation:
            raise ActivationMoved(read.activation)
        if read.epoch >= self._credentials.epoch:
            self._credentials = read
            self._imported = any(s.scheme == "argon2id" for secrets in read.secrets.values() for s in secrets)
        return self._credentials.epoch


def _known(client: Client) -> KnownClient:
    try:
        keys = tuple(load_key(jwk) for jwk in client.jwks)
    except JoseError as error:
        raise MintwardenError(
            ErrorKind.BUNDLE, f"client `{client.id}` has a key that cannot be used", hint=str(error)
        ) from None
    try:
        networks = tuple(ipaddress.ip_network(text) for text in client.addresses)
    except ValueError:
        raise MintwardenError(ErrorKind.BUNDLE, f"client `{client.id}` has an address that is no network") from None
    return KnownClient(client, frozenset(client.methods), frozenset(client.algorithms), keys, networks)
