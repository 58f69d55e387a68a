"""The clients as authentication sees them: keys and networks made ready once, secrets from the latest snapshot."""

from __future__ import annotations

import base64
import binascii
import ipaddress
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Protocol

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import Certificate
from msgspec import Struct
from msgspec.structs import replace

from mintwarden.authn.jose import JoseError, Unverified, VerificationKey, load_key
from mintwarden.authn.ports import ClientRecord, ClientSecret, CredentialReader, Credentials
from mintwarden.model.catalogue import Client
from mintwarden.model.errors import ErrorKind, MintwardenError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class OwnCertificates(Struct, frozen=True):
    """What a client's own certificate may be: one of those of which these are the digests, or one of these keys'."""

    digests: frozenset[bytes] = frozenset()
    keys: frozenset[bytes] = frozenset()

    def holds(self, der: bytes, certificate: Certificate) -> bool:
        """True if the certificate is one of them. A key that comes with its certificate stands for no other."""
        return sha256(der).digest() in self.digests or _spki(certificate) in self.keys


class KnownClient(Struct, frozen=True):
    """A client with its public keys, certificates and networks parsed. `registered`: it is none of the bundle's."""

    client: Client
    methods: frozenset[str]
    algorithms: frozenset[str]
    keys: tuple[VerificationKey, ...]
    networks: tuple[Network, ...]
    registered: bool = False
    certificates: OwnCertificates = OwnCertificates()
    attesters: tuple[VerificationKey, ...] = ()

    @property
    def assertion_algorithms(self) -> frozenset[str]:
        """What its assertions may be signed with."""
        return self._narrowed(self.client.protections.assertion_algorithm)

    @property
    def object_algorithms(self) -> frozenset[str]:
        """What its signed requests may be signed with."""
        return self._narrowed(self.client.protections.object_algorithm)

    def _narrowed(self, one: str) -> frozenset[str]:
        return self.algorithms & {one} if one else self.algorithms

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


class ClientFinder(Protocol):
    """Knows clients that are written down nowhere here."""

    async def find(self, client_id: str, now: int, token: Unverified | None = None, asker: str = "") -> KnownClient:
        """The client of that id; see `DescribedClients.find`."""
        ...


class Registry:
    """Clients and their secrets. What the store knows of them comes from one committed state, replaced as a whole.

    `admit` says what the bundle lets a registered client be, None for nothing: that holds anew under each version. A
    client of the bundle stands before a registered one of the same id.

    INVARIANT: with `activation` given, only a state in which that activation was in force is taken: the epoch that a
    caller bears is then one under which the registry's own bundle version governed.
    """

    def __init__(
        self,
        *,
        clients: Mapping[str, Client],
        credentials: CredentialReader,
        activation: int | None = None,
        admit: Callable[[Client], Client | None] = lambda _client: None,
        described: ClientFinder | None = None,
    ) -> None:
        self._activation = activation
        self._described = described
        self._clients = {name: known_client(client) for name, client in clients.items()}
        self._reader = credentials
        self._credentials = Credentials(0, {})
        self._imported = False
        self._admit = admit
        self._beside: dict[str, tuple[int, KnownClient | None]] = {}
        self._origins = self._all_origins()

    @property
    def epoch(self) -> int:
        """The store's epoch that the present secrets were read under."""
        return self._credentials.epoch

    @property
    def origins(self) -> frozenset[str]:
        """Of the pages whose scripts are clients that are written down or registered."""
        return self._origins

    @property
    def imported(self) -> bool:
        """Some client has an imported secret."""
        return self._imported

    def client(self, client_id: str) -> KnownClient | None:
        """The client of that id; None for one that is retired, too."""
        beside = self._beside.get(client_id)
        return self._clients.get(client_id) if beside is None else beside[1]

    async def find(
        self, client_id: str, now: int, token: Unverified | None = None, asker: str = ""
    ) -> KnownClient | None:
        """`client`, and one that describes itself at the URL that is its id; see `DescribedClients.find`."""
        known = self.client(client_id)
        if known is not None or self._described is None or "://" not in client_id or client_id in self._beside:
            return known
        return await self._described.find(client_id, now, token, asker)

    def lists(self, client_id: str | None, *methods: str) -> bool:
        """Whether there is a client of that id that may authenticate by one of `methods`."""
        known = self.client(client_id) if client_id else None
        return known is not None and not known.methods.isdisjoint(methods)

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
            self._beside = {name: self._kept(record) for name, record in read.clients.items()}
            self._origins = self._all_origins()
            self._imported = any(s.scheme == "argon2id" for secrets in read.secrets.values() for s in secrets)
        return self._credentials.epoch

    def _all_origins(self) -> frozenset[str]:
        known = [*self._clients.values(), *(one for _, one in self._beside.values() if one is not None)]
        return frozenset(origin for one in known for origin in one.client.origins)

    def _kept(self, record: ClientRecord) -> tuple[int, KnownClient | None]:
        """A client with what is kept beside the bundle, made ready once for each version of that."""
        before = self._beside.get(record.client_id)
        if before is not None and before[0] == record.version:
            return before
        known = self._clients.get(record.client_id)
        client: Client | None = known.client if known is not None else None
        if client is None and record.record is not None and record.retired_at is None:
            client = self._admit(msgspec.json.decode(record.record, type=Client))
        if client is None:
            return record.version, None
        if record.keys is not None:
            client = replace(client, jwks=tuple(msgspec.json.decode(record.keys)))
        try:
            return record.version, replace(known_client(client), registered=known is None)
        except MintwardenError:
            # INVARIANT: one unusable record refuses its own client, and nobody else.
            return record.version, None


def known_client(client: Client) -> KnownClient:
    """A client made ready. Raises `BUNDLE` where its keys or networks cannot be used."""
    try:
        keys = tuple(load_key(jwk) for jwk in client.jwks)
        attesters = tuple(load_key(jwk) for jwk in client.attester_keys)
    except JoseError as error:
        raise MintwardenError(
            ErrorKind.BUNDLE, f"client `{client.id}` has a key that cannot be used", hint=str(error)
        ) from None
    try:
        networks = tuple(ipaddress.ip_network(text) for text in client.addresses)
    except ValueError:
        raise MintwardenError(ErrorKind.BUNDLE, f"client `{client.id}` has an address that is no network") from None
    certificates = _certificates(client, keys) if "self_signed_tls_client_auth" in client.methods else OwnCertificates()
    methods, algorithms = frozenset(client.methods), frozenset(client.algorithms)
    return KnownClient(client, methods, algorithms, keys, networks, certificates=certificates, attesters=attesters)


def _certificates(client: Client, keys: Sequence[VerificationKey]) -> OwnCertificates:
    digests, bare = set(), set()
    for jwk, known in zip(client.jwks, keys, strict=True):
        chain = jwk.get("x5c")
        if chain is None:
            bare.add(known.key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
            continue
        try:
            own = base64.b64decode(chain[0], validate=True) if isinstance(chain, list | tuple) and chain else b""
        except (binascii.Error, TypeError, ValueError):
            own = b""
        if not own:
            raise MintwardenError(ErrorKind.BUNDLE, f"client `{client.id}` has a certificate that cannot be used")
        digests.add(sha256(own).digest())
    return OwnCertificates(frozenset(digests), frozenset(bare))


def _spki(certificate: Certificate) -> bytes:
    try:
        return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm):
        return b""
