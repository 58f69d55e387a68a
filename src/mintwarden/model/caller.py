"""Step 2's result: who is asking, and how that was proven."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from mintwarden.model.catalogue import Client
from mintwarden.model.detail import Detail
from mintwarden.model.transaction import Transaction
from mintwarden.model.values import EntityUid


class Binding(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The holder's key that a token is or will be bound to (`cnf`, RFC 7800 section 3.1).

    Attributes:
        kind: `dpop` (RFC 9449) or `mtls` (RFC 8705).
        thumbprint: `jkt` or `x5t#S256`, base64url without padding.
    """

    kind: str
    thumbprint: str


class OnceKey(Struct, frozen=True):
    """A proof that may be used once: claimed in the same commit as the decision, so that a replay issues nothing.

    Attributes:
        digest: 16 bytes of SHA-256 over issuer and `jti`.
        expires_at: `Millis` after which the claim may be forgotten. INVARIANT: computed from the signed proof alone,
            since a store knows a claim by both: the same proof must always come with the same end.
        proof: what it was: a client's assertion, a proof of an attested key, a DPoP proof, something that a grant
            handed out, an approval, or a security event.
    """

    digest: bytes
    expires_at: int
    proof: Literal[
        "assertion",
        "attestation",
        "dpop",
        "grant",
        "code",
        "refresh",
        "device_code",
        "auth_req_id",
        "approval",
        "signal",
    ] = "assertion"


class Evidence(Struct, frozen=True, kw_only=True):
    """A verified subject or actor token (RFC 8693 section 1.1): what it proves and what it limits.

    Attributes:
        principal: whom it speaks of.
        issuer: who signed it: our own issuer identifier or a trusted one.
        own: it is one of our tokens.
        kind: what it is, where that matters: empty for an access token or a plain JWT; `id_token` and `txn_token` for
            ID tokens and transaction tokens of ours, `id_jag` for an identity assertion authorization grant.
        token_id: its `jti`, or empty.
        client_id: whom it was issued to, where it says so.
        audiences: its `aud`.
        resources: the resource servers that an authorization grant is limited to, or empty.
        scopes: its scopes; None where a foreign token says nothing that binds us.
        actors: its `act` chain as principals, the present actor first (RFC 8693 section 4.1).
        may_act: the principals that its `may_act` names; None where it names none (section 4.4).
        issued_at, expires_at, authenticated_at: `Millis`; the last from `auth_time`.
        acr, amr: authentication context and methods, when stated.
        session, device: ids that pushed facts may speak of, or empty.
        tenant, workspace, project, purpose: the confines that it carries, or empty.
        binding: its `cnf`, if any.
        grant_id: the person's grant that it comes of, or empty.
        lineage: ids of our tokens that it came of, the nearest first.
        key: the name of our key that signed it, or empty.
        transaction: what a transaction token carries along.
        details: its `authorization_details`, where it is ours.
        facts: what the issuer's claim table makes facts of.
        budget, max_depth: its limits; how much of a budget was used is a fact, not evidence.
    """

    principal: EntityUid
    issuer: str
    own: bool
    kind: Literal["", "id_token", "txn_token", "id_jag"] = ""
    token_id: str = ""
    client_id: str = ""
    audiences: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    scopes: tuple[str, ...] | None = None
    actors: tuple[EntityUid, ...] = ()
    may_act: tuple[EntityUid, ...] | None = None
    issued_at: int = 0
    expires_at: int = 0
    authenticated_at: int | None = None
    acr: str = ""
    amr: tuple[str, ...] = ()
    session: str = ""
    device: str = ""
    tenant: str = ""
    workspace: str = ""
    project: str = ""
    purpose: str = ""
    environment: str = ""
    binding: Binding | None = None
    grant_id: str = ""
    lineage: tuple[str, ...] = ()
    key: str = ""
    transaction: Transaction | None = None
    budget: int | None = None
    max_depth: int | None = None
    details: tuple[Detail, ...] = ()
    facts: Mapping[str, object] = {}


class Caller(Struct, frozen=True, kw_only=True):
    """The verified result of authentication. INVARIANT: only `authn` builds one; a lint holds that.

    Attributes:
        client_id: the authenticated (or, for public clients, identified) client.
        method: the token endpoint authentication method that proved it (RFC 8414 names).
        subject, actor: verified tokens that came with the request.
        binding: the key that the client has proven to hold, for a sender-constrained token.
        certificate: the certificate that came with the request, also where nothing is bound to it by itself.
        instance: the thumbprint of the attested key of the one instance of the client that called, or empty.
        once: proofs to be claimed with the decision.
        epoch: the store's epoch that the credentials were read under; see `Facts.epoch`.
        registered: the client as the bundle admits it, when it is none of the bundle's.
    """

    client_id: str
    method: str
    subject: Evidence | None = None
    actor: Evidence | None = None
    binding: Binding | None = None
    certificate: Binding | None = None
    instance: str = ""
    once: tuple[OnceKey, ...] = ()
    epoch: int = 0
    registered: Client | None = None
