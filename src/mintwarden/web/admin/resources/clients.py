"""Clients: listed, registered, their secrets and keys rotated, their owner changed, retired."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from mintwarden.govern.clients import KEY_METHODS, ClientOffice, Kept, Managed, Outrun
from mintwarden.model.catalogue import Client
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.policy.bundle.certificates import read_certificate_name
from mintwarden.web.admin.access import AUDIENCE, demand
from mintwarden.web.admin.operation import Answer, Call, Name, Operation, Paged, Strict
from mintwarden.web.admin.problem import AdminError
from mintwarden.web.admin.times import Time, shown, told

READ, WRITE = "mintwarden:clients.read", "mintwarden:clients.write"
MOST_OVERLAP = 90 * 86400

ClientId = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9._~-]+$")]
Words = Annotated[tuple[Name, ...], Meta(min_length=1, max_length=50)]
Jwk = dict[str, Any]
RegistrableMethod = Literal[
    "client_secret_basic",
    "client_secret_post",
    "private_key_jwt",
    "tls_client_auth",
    "self_signed_tls_client_auth",
]
_MAY_ADMINISTER = (
    "the client may administer, and whoever gives it a secret or a key can be it: that takes every scope that it may "
    "have here, or `mintwarden clients secret` where the service runs"
)


class SecretTold(Struct, frozen=True, kw_only=True):
    """That there is a secret; never the secret."""

    scheme: str
    created_at: Time
    expires_at: Time | None


class CertificateTold(Struct, frozen=True, kw_only=True):
    """The one name of a client's certificate."""

    kind: str
    value: str


class ClientTold(Struct, frozen=True, kw_only=True):
    """A client. `managed_by` says where it is written down: what the bundle manages is changed there."""

    id: str
    name: str
    kind: str
    owner: str
    principal: str
    managed_by: Literal["bundle", "registration"]
    authentication: tuple[str, ...]
    grants: tuple[str, ...]
    environments: tuple[str, ...]
    ceilings: Mapping[str, tuple[str, ...]]
    details: tuple[str, ...]
    addresses: tuple[str, ...]
    description: str
    keys: tuple[Jwk, ...]
    certificate: CertificateTold | None
    certificate_bound: bool
    secrets: tuple[SecretTold, ...]
    retired_at: Time | None


class ClientPage(Struct, frozen=True, kw_only=True):
    """Some of them; `cursor` is where to go on, empty at the end."""

    clients: tuple[ClientTold, ...]
    cursor: str


class SecretRotation(Strict, frozen=True, kw_only=True):
    """How long earlier secrets stay good."""

    overlap_seconds: Annotated[int, Meta(ge=0, le=MOST_OVERLAP)] = 86400


class ClientSecretMade(Struct, frozen=True, kw_only=True):
    """A client and its new secret, which is shown this once."""

    client: ClientTold
    client_secret: str
    earlier_secrets_end: Time | None


class PublicKeys(Strict, frozen=True, kw_only=True):
    """The public keys that stand from now on (RFC 7517)."""

    keys: Annotated[list[Jwk], Meta(min_length=1, max_length=16)]


class ClientChange(Strict, frozen=True, kw_only=True):
    """Who answers for it from now on."""

    owner: Name


class CertificateSaid(Strict, frozen=True, kw_only=True):
    """The one name of a client's certificate, for `tls_client_auth` (RFC 8705 section 2.1.2)."""

    kind: Literal["subject_dn", "san_dns", "san_uri", "san_ip", "san_email"]
    value: Annotated[str, Meta(min_length=1, max_length=2000)]


class Registration(Strict, frozen=True, kw_only=True):
    """A client to register; what may be said is bounded by `[registration]` in the bundle.

    `details`: the types of its authorization details (RFC 9396).
    """

    id: ClientId
    name: Name
    kind: Literal["web", "native", "service", "batch", "ci", "tool", "agent", "mcp", "third_party"]
    owner: Name
    environments: Words
    authentication: Annotated[tuple[RegistrableMethod, ...], Meta(min_length=1, max_length=5)]
    grants: Annotated[tuple[Literal["client_credentials", "token_exchange"], ...], Meta(min_length=1, max_length=2)]
    ceilings: Annotated[dict[Name, Words], Meta(min_length=1, max_length=50)]
    details: Annotated[tuple[Name, ...], Meta(max_length=50)] = ()
    keys: Annotated[tuple[Jwk, ...], Meta(max_length=16)] = ()
    certificate: CertificateSaid | None = None
    certificate_bound: bool = False
    description: Annotated[str, Meta(max_length=1000)] = ""


class Registered(Struct, frozen=True, kw_only=True):
    """The client, and its secret if it authenticates with one; it is shown this once."""

    client: ClientTold
    client_secret: str


class Clients:
    """Everything about clients."""

    def __init__(self, *, office: ClientOffice) -> None:
        self._office = office

    async def list_clients(self, call: Call) -> Answer:
        """Clients by id. Costs what it answers, however many were registered."""
        after = call.cursors.position(call.query.cursor) if call.query.cursor else ""
        listed, last = await self._office.page(call.query.limit, after)
        return Answer(
            content=ClientPage(
                clients=tuple(_told(kept) for kept in listed), cursor=call.cursors.make(last) if last else ""
            )
        )

    async def show(self, call: Call) -> Answer:
        """One client."""
        kept = await self._office.one(call.path["client"])
        return Answer(content=_told(kept), tag=_tag(kept))

    async def register(self, call: Call) -> Answer:
        """A new client."""
        kept, secret = await self._office.register(_client(call.body), actor=call.who.principal)
        return Answer(content=Registered(client=_told(kept), client_secret=secret), tag=_tag(kept))

    async def rotate_secret(self, call: Call) -> Answer:
        """A new secret."""
        before = await self._taken_over(call)
        try:
            kept, secret, ends = await self._office.rotate_secret(
                before.client.id,
                version=before.version,
                overlap=call.body.overlap_seconds * 1000,
                actor=call.who.principal,
            )
        except Outrun:
            raise _outrun() from None
        content = ClientSecretMade(client=_told(kept), client_secret=secret, earlier_secrets_end=told(ends))
        return Answer(content=content, tag=_tag(kept))

    async def replace_keys(self, call: Call) -> Answer:
        """New public keys."""
        before = await self._taken_over(call)
        try:
            kept = await self._office.replace_keys(
                before.client.id, call.body.keys, version=before.version, actor=call.who.principal
            )
        except Outrun:
            raise _outrun() from None
        return Answer(content=_told(kept), tag=_tag(kept))

    async def change(self, call: Call) -> Answer:
        """Another owner."""
        before = await self._seen(call)
        try:
            kept = await self._office.change_owner(
                before.client.id, call.body.owner, version=before.version, actor=call.who.principal
            )
        except Outrun:
            raise _outrun() from None
        except Managed as error:
            raise _managed(error) from None
        return Answer(content=_told(kept), tag=_tag(kept))

    async def retire(self, call: Call) -> Answer:
        """The client is refused from now on."""
        before = await self._seen(call)
        try:
            kept = await self._office.retire(before.client.id, version=before.version, actor=call.who.principal)
        except Outrun:
            raise _outrun() from None
        except Managed as error:
            raise _managed(error) from None
        return Answer(content=_told(kept), tag=_tag(kept))

    async def _taken_over(self, call: Call) -> Kept:
        """The client that gets other credentials.

        INVARIANT: whoever gives a client credentials can be that client. Nobody comes to administer more by it than
        their own token lets them.
        """
        kept = await self._seen(call)
        for scope in self._office.reach(kept.client, AUDIENCE):
            demand(call.who, scope, hint=_MAY_ADMINISTER)
        return kept

    async def _seen(self, call: Call) -> Kept:
        kept = await self._office.one(call.path["client"])
        call.require_match(_tag(kept))
        return kept


def _outrun() -> MintwardenError:
    return AdminError("precondition_failed", "it has changed since you looked", hint="look again")


def _managed(error: Managed) -> MintwardenError:
    return AdminError("managed_by_bundle", error.public, hint=error.hint)


def _tag(kept: Kept) -> str:
    """Changes with everything that can be changed here, and with secrets that are made elsewhere or end."""
    secrets = sorted((one.created_at, one.expires_at or 0) for one in kept.secrets)
    digest = hashlib.sha256(repr(secrets).encode()).hexdigest()[:12]
    return f"{kept.managed_by}-{kept.version}-{digest}"


def _told(kept: Kept) -> ClientTold:
    client = kept.client
    return ClientTold(
        id=client.id,
        name=client.name,
        kind=client.kind,
        owner=client.owner,
        principal=client.principal,
        managed_by=kept.managed_by,
        authentication=client.methods,
        grants=client.grants,
        environments=client.environments,
        ceilings=client.ceilings,
        details=client.details,
        addresses=client.addresses,
        description=client.description,
        keys=tuple(dict(key) for key in client.jwks),
        certificate=None
        if client.certificate is None
        else CertificateTold(kind=client.certificate.kind, value=client.certificate.value),
        certificate_bound=client.certificate_bound,
        secrets=tuple(
            SecretTold(scheme=one.scheme, created_at=shown(one.created_at), expires_at=told(one.expires_at))
            for one in kept.secrets
        ),
        retired_at=told(kept.retired_at),
    )


def _client(said: Registration) -> Client:
    if bool(KEY_METHODS & set(said.authentication)) != bool(said.keys):
        raise MintwardenError(
            ErrorKind.INVALID_REQUEST,
            "`keys` are for `private_key_jwt` and `self_signed_tls_client_auth`, which need them",
        )
    if ("tls_client_auth" in said.authentication) != (said.certificate is not None):
        raise MintwardenError(ErrorKind.INVALID_REQUEST, "`certificate` is for `tls_client_auth`, which needs it")
    if {"tls_client_auth", "self_signed_tls_client_auth"} <= set(said.authentication):
        raise MintwardenError(ErrorKind.INVALID_REQUEST, "a certificate proves a client in one way only")
    named = said.certificate
    return Client(
        id=said.id,
        name=said.name,
        kind=said.kind,
        owner=said.owner,
        principal="Agent" if said.kind == "agent" else "Workload",
        methods=said.authentication,
        grants=said.grants,
        ceilings=said.ceilings,
        details=said.details,
        environments=said.environments,
        jwks=said.keys,
        certificate=None if named is None else read_certificate_name(named.kind, named.value),
        certificate_bound=said.certificate_bound,
        description=said.description,
    )


_ONE: dict[str, Any] = {"of": Clients, "parameters": {"client": ClientId}, "target": "client", "tagged": True}

LIST = Operation(
    id="clients.list",
    method="GET",
    path="/clients",
    summary="List clients",
    scopes=(READ,),
    of=Clients,
    handler=Clients.list_clients,
    query=Paged,
    answer=ClientPage,
)
REGISTER = Operation(
    id="clients.register",
    method="POST",
    path="/clients",
    summary="Register a client",
    scopes=(WRITE,),
    of=Clients,
    handler=Clients.register,
    body=Registration,
    answer=Registered,
    status=201,
    tagged=True,
    secret=True,
    problems=("conflict",),
)
SHOW = Operation(
    id="clients.show",
    method="GET",
    path="/clients/{client}",
    summary="Show a client",
    scopes=(READ,),
    handler=Clients.show,
    answer=ClientTold,
    **_ONE,
)
CHANGE = Operation(
    id="clients.change",
    method="PATCH",
    path="/clients/{client}",
    summary="Change the owner of a registered client",
    scopes=(WRITE,),
    handler=Clients.change,
    body=ClientChange,
    answer=ClientTold,
    conditional=True,
    problems=("conflict", "managed_by_bundle"),
    **_ONE,
)
ROTATE = Operation(
    id="clients.rotate",
    method="POST",
    path="/clients/{client}/secrets",
    summary="Make a new secret for a client, and let the earlier ones end",
    scopes=(WRITE,),
    handler=Clients.rotate_secret,
    body=SecretRotation,
    answer=ClientSecretMade,
    status=201,
    conditional=True,
    secret=True,
    problems=("conflict",),
    **_ONE,
)
KEYS = Operation(
    id="clients.keys",
    method="PUT",
    path="/clients/{client}/keys",
    summary="Replace the public keys of a client",
    scopes=(WRITE,),
    handler=Clients.replace_keys,
    body=PublicKeys,
    answer=ClientTold,
    conditional=True,
    problems=("conflict",),
    **_ONE,
)
RETIRE = Operation(
    id="clients.retire",
    method="POST",
    path="/clients/{client}/retirement",
    summary="Refuse a registered client from now on",
    scopes=(WRITE,),
    handler=Clients.retire,
    answer=ClientTold,
    conditional=True,
    problems=("conflict", "managed_by_bundle"),
    **_ONE,
)
