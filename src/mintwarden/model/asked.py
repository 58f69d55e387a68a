"""Step 3's result: what is wanted, by whom, for what, under which earlier token."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from mintwarden.model.budget import Budget
from mintwarden.model.caller import Binding
from mintwarden.model.catalogue import PrincipalType
from mintwarden.model.detail import Detail
from mintwarden.model.transaction import Transaction
from mintwarden.model.values import EntityUid


class Parent(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The limits that an earlier token sets: nothing that comes of it may be wider.

    Attributes:
        token_id: its `jti`.
        scopes: what it may be turned into, as scope names after the catalogue's `carries`; None for the token
            of a trusted issuer, whose scopes are not ours.
        expires_at: its end, or that of the actor token that came with it if that is earlier, `Millis`.
        binding: its `cnf`.
        may_act: who alone may act for its subject (RFC 8693 section 4.4); None where it does not say.
        details: the authorization details that it carries, where its scopes are ours.
    """

    token_id: str
    scopes: tuple[str, ...] | None
    expires_at: int
    binding: Binding | None = None
    may_act: tuple[EntityUid, ...] | None = None
    details: tuple[Detail, ...] = ()


class RegisteredClient(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A client that is not in the bundle, as a decision sees it: what was registered, before the bundle bounds it.

    Attributes:
        ceilings: audience id to scopes.
        details: types of authorization details.
    """

    id: str
    kind: str
    owner: str
    principal: PrincipalType
    environments: tuple[str, ...]
    ceilings: Mapping[str, tuple[str, ...]]
    details: tuple[str, ...] = ()


class Asked(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the token should say, before anyone has decided whether it may.

    Attributes:
        grant: the grant's name (`client_credentials`, `token_exchange`, ...).
        client_id: the authenticated client.
        subject: whom the token speaks of (`sub`).
        actors: who acts, the present actor first; empty when the subject acts (`act`, RFC 8693 section 4.1).
        impersonate: no actor was named: the `impersonate` action decides whether the token may hide the client.
        audience: the one resource server, by catalogue id.
        scopes: the candidate scopes in the order asked; the audience's defaults when nothing was asked for.
        defaulted: `scopes` are the defaults.
        purpose: one of the catalogue's purposes, or empty.
        environment: where it will be used.
        tenant, workspace, project: validated context, or empty.
        lifetime: the lifetime wished for, in seconds, or None.
        acr, amr, authenticated_at: how and when the subject signed in.
        session, device: what pushed facts may be about, or empty.
        address: the caller's address as text.
        binding: the key that the caller has proven, or None.
        method: how the client authenticated.
        parent: limits of the token that this one comes of, or None.
        identity: candidate scopes of the identity audience (`openid`, ...), decided beside the others.
        id_token_claims: claims that the ID token was asked to carry itself.
        grant_id: the person's grant that it comes of, or empty.
        nonce: of the authentication request, for the ID token.
        transaction: what a transaction token carries along, or None.
        budget: how much may be done with it, or None.
        max_depth: how many further actors may come after the present one, or None.
        registered: the client, when it is none of the bundle's.
        signer: the client that signs the token in our place, because it is an issuer itself; empty for us.
        lineage: ids of our tokens that it comes of, the nearest first.
        status: the number of the status list that the token stands in, and its index; None for none.
        details: the authorization details, in the order asked.
        resources: the resource servers of another domain that an identity assertion is asked for, or none.
        signing_key: the name of the key that signs the token, where it stands in a status list; else empty.
        lineage_keys: names of the keys that signed those of our tokens that it is made of.
        unresolved: `audience`, `scopes` and the types of `details` are the names for which a request was refused before
            it became a question; what else it said is not part of this one.
    """

    grant: str
    client_id: str
    subject: EntityUid
    actors: tuple[EntityUid, ...] = ()
    impersonate: bool = False
    audience: str
    scopes: tuple[str, ...]
    defaulted: bool = False
    purpose: str = ""
    environment: str = ""
    tenant: str = ""
    workspace: str = ""
    project: str = ""
    lifetime: int | None = None
    acr: str = ""
    amr: tuple[str, ...] = ()
    authenticated_at: int | None = None
    session: str = ""
    device: str = ""
    address: str = ""
    binding: Binding | None = None
    method: str = ""
    parent: Parent | None = None
    registered: RegisteredClient | None = None
    signer: str = ""
    identity: tuple[str, ...] = ()
    id_token_claims: tuple[str, ...] = ()
    grant_id: str = ""
    nonce: str = ""
    lineage: tuple[str, ...] = ()
    transaction: Transaction | None = None
    budget: Budget | None = None
    max_depth: int | None = None
    status: tuple[int, int] | None = None
    details: tuple[Detail, ...] = ()
    resources: tuple[str, ...] = ()
    unresolved: bool = False
    signing_key: str = ""
    lineage_keys: tuple[str, ...] = ()
