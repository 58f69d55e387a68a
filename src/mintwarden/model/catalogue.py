"""What a bundle declares, after validation: the only audiences, scopes, claims, facts and clients there are.

`policy` reads and checks the TOML and builds these; everyone else only looks at them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Literal

from msgspec import Struct

from mintwarden.model.detail import DetailType
from mintwarden.model.fact_type import Fact, FactType
from mintwarden.model.modes import Canary, Downgrade, Mode, Readiness
from mintwarden.model.profiles import DEFAULT, PROFILES, STRONG, Profile, ProfileName
from mintwarden.model.scim import ScimFeed
from mintwarden.model.signals import Transmitter
from mintwarden.model.terms import ApprovalKind, Authorization, Backchannel, Protections, Refresh

PrincipalType = Literal["User", "Workload", "Agent"]
DEFAULT_ALGORITHMS = STRONG
"""Of a client's signatures, where nothing else is said."""
DOWNGRADE_MAX = 86_400
"""Seconds; where the bundle does not say otherwise."""


class Source(Struct, frozen=True, kw_only=True):
    """A place that facts come from.

    Attributes:
        id: its name in `sources.toml`.
        kind: `store` (imported or pushed), `token` (claims of a verified token), `sql`, `http`, `approvals` (what
            people approve here).
        about: the principal types (`User`, `Workload`, `Agent`) or the context namespaces (`client`, `session`,
            `device`, `world`) that it describes. A principal fact is an attribute of the principal; any other is
            `context.<namespace>.<fact>`.
        facts: name to fact; names are unique per `about`.
        max_age: age limit in milliseconds, 0 for none.
        missing, stale, failing: what each state means for a scope whose rules read the source: `refuse`, or
            `absent` (the facts are left out; all of the source's facts are then optional in the schema).
        groups: the source also says which groups a principal is in (`principal in Group::"..."`).
        query, url: for `sql` and `http`, the *name* of a connection in the configuration, never an address.
        owner: who answers for it; the bundle's owner when empty.
        approvers: of `approvals`, the kinds of approval by name.
        scim: how SCIM feeds it, where SCIM does.
        withheld: groups that nobody is in because of what this source says; None for all of them.
    """

    id: str
    kind: Literal["store", "token", "sql", "http", "approvals"]
    about: tuple[str, ...]
    facts: Mapping[str, Fact]
    max_age: int = 0
    missing: Literal["refuse", "absent"] = "refuse"
    stale: Literal["refuse", "absent"] = "refuse"
    failing: Literal["refuse", "absent"] = "refuse"
    groups: bool = False
    connection: str = ""
    query: str = ""
    owner: str = ""
    description: str = ""
    approvers: Mapping[str, ApprovalKind] = {}
    scim: ScimFeed | None = None
    withheld: frozenset[str] | None = frozenset()

    def names(self, group: str) -> bool:
        """Whether somebody may be in the group because of what it says."""
        return self.groups and self.withheld is not None and group not in self.withheld


class Tier(Struct, frozen=True, kw_only=True, dict=True):
    """A risk tier. `max_ttl` in seconds; `verify_share` is 1.0 for `verify = "always"`.

    `exception_max`: the longest life of an exception in seconds, 0 where there may be none; `exception_approvals`: how
    many people must approve one.
    """

    id: str
    rank: int
    max_ttl: int
    verify: Literal["always", "sampled", "off"]
    verify_share: float = 0.0
    description: str = ""
    exception_max: int = 0
    exception_approvals: int = 0

    @cached_property
    def bound(self) -> str:
        """Its name among the bounds of a lifetime."""
        return f"tier:{self.id}"


class Scope(Struct, frozen=True, kw_only=True):
    """One scope. Names are unique in a bundle.

    Attributes:
        carries: scopes, here or of other audiences, that a token with this scope may be exchanged for.
        default: part of what is decided when nothing is asked for.
    """

    name: str
    audience: str
    meaning: str
    tier: str
    default: bool = False
    carries: tuple[str, ...] = ()


class Tenancy(Struct, frozen=True, kw_only=True):
    """Which subject fact lists the values that `tenant`, `workspace` or `project` may take; `required` if asked."""

    parameter: Literal["tenant", "workspace", "project"]
    member_of: str
    required: bool = True


WITHHELD = frozenset(
    "sub sub_type client_id jti nbf auth_time acr amr may_act sid device azp nonce events status txn lineage grant_id "
    "ledger_leaf".split()
)
"""Claims of our own that introspection may leave out; so may it every derived claim.

INVARIANT: none that limits what a token is good for (`aud`, `exp`, `scope`, `cnf`, `act`, the confines, ...): a claim
that is not named here is always told, so that whoever asks never takes a token for more than it is.
"""


class Introspection(Struct, frozen=True, kw_only=True):
    """What introspection tells of an audience's tokens.

    Attributes:
        claims: which of the claims that may be left out are told; None for all of them.
        fresh: whether it is decided anew, over the facts of now, what of a token would still be issued.
    """

    claims: frozenset[str] | None = None
    fresh: bool = False


class Audience(Struct, frozen=True, kw_only=True):
    """One resource server.

    Attributes:
        id: its name in the bundle, `Audience::"id"` in rules.
        identifier: the `aud` value and RFC 8707 `resource`.
        also: further resource servers that the same scopes mean the same at: its tokens are for all of them.
        environments: where it runs; a client of another environment is refused.
        max_ttl, default_ttl: seconds.
        max_age_of_decision: seconds after which what an autonomous agent holds is decided anew; None for no bound.
        claims: claim name to the scopes that need it; empty tuple for all scopes.
        binding: sender constraint demanded of every token: empty, `dpop`, `mtls` or `any`.
        algorithm: JOSE algorithm of its tokens.
        mode: `enforce`: the rules decide; `observe`: the mapping of the older system does, and what the rules would
            have said is recorded; `canary`: the one for some callers, the other for the rest.
        legacy: group id to the scopes that the older system gives its members.
        legacy_roles: a set-valued fact of the subject (`subject.roles`) to the same by its elements.
        legacy_clients: client id to the scopes that the older system gives whoever comes through it.
        canary: for whom it is enforced already; None unless the audience says so.
        downgrade: why it enforces less than it did, and until when; None unless it does.
        readiness: when it may be enforced.
        kind: `api`, a resource server; `identity`, ourselves: what clients may learn of who signed in (ID tokens, user
            info), by scopes like `openid`; `domain`, another domain's authorization server, which takes our identity
            assertions; `transaction`, the trust domain that transaction tokens are for.
        client_ids: for `domain`: our client id to the id by which that server knows the client, where it is another.
        resources: for `domain`: the resource servers that are asked for by `resource` there, by identifier.
        disclose: what a refused client may learn: `nothing` (error and reference) or `challenge` (also the
            unmet obligations).
        introspection: what introspection tells of its tokens.
        status_list: its tokens stand in status lists, by which it learns of revocations without asking for each.
        profile: the name of the standard that it is held to; see `rules`.
        details: its types of authorization details, by name.
    """

    id: str
    identifier: str
    description: str
    owner: str
    environments: tuple[str, ...]
    scopes: Mapping[str, Scope]
    max_ttl: int
    default_ttl: int
    claims: Mapping[str, tuple[str, ...]]
    mode: Mode = "enforce"
    also: tuple[str, ...] = ()
    binding: str = ""
    algorithm: str = "ES256"
    legacy: Mapping[str, tuple[str, ...]] = {}
    legacy_roles: Mapping[str, Mapping[str, tuple[str, ...]]] = {}
    legacy_clients: Mapping[str, tuple[str, ...]] = {}
    canary: Canary | None = None
    downgrade: Downgrade | None = None
    readiness: Readiness = Readiness()
    tenancy: tuple[Tenancy, ...] = ()
    kind: Literal["api", "identity", "domain", "transaction"] = "api"
    client_ids: Mapping[str, str] = {}
    resources: tuple[str, ...] = ()
    disclose: Literal["nothing", "challenge"] = "nothing"
    introspection: Introspection = Introspection()
    status_list: bool = False
    max_age_of_decision: int | None = None
    details: Mapping[str, DetailType] = {}
    profile: ProfileName = DEFAULT

    @property
    def rules(self) -> Profile:
        """What its profile tightens."""
        return PROFILES[self.profile]

    @property
    def identifiers(self) -> tuple[str, ...]:
        """Every `aud` value of its tokens; nearly always one."""
        return (self.identifier, *self.also)


class Claim(Struct, frozen=True, kw_only=True):
    """One derived claim.

    Attributes:
        origin: a fact path (`subject.department`, `context.request.tenant`), or empty when `expression` is set.
        expression: a CEL expression over `subject`, `context` and `scopes`, or empty.
        source: the source that is authoritative for it (`request` for asked context).
        absent: what a missing value means: leave the claim out, or refuse the token.
    """

    name: str
    type: FactType
    source: str
    origin: str = ""
    expression: str = ""
    sensitivity: str = "internal"
    absent: Literal["omit", "refuse"] = "omit"
    description: str = ""


class CertificateName(Struct, frozen=True, kw_only=True):
    """The one name by which a client's certificate is known (RFC 8705 section 2.1.2).

    Attributes:
        kind: `subject_dn`, whose value is a distinguished name (RFC 4514), or the kind of a subject alternative name.
    """

    kind: Literal["subject_dn", "san_dns", "san_uri", "san_ip", "san_email"]
    value: str


class Client(Struct, frozen=True, kw_only=True):
    """A registered client.

    Attributes:
        id: `client_id`; also the id of its own principal.
        kind: `web`, `native`, `service`, `batch`, `ci`, `tool`, `agent`, `mcp`, `third_party`.
        principal: the type of its own principal.
        methods: accepted token endpoint authentication methods, RFC 8414 names; `none` for a public client.
        algorithms: accepted for `private_key_jwt`.
        jwks: public keys as JWK dictionaries.
        grants: grants it may use.
        ceilings: audience id to the scopes it may ever have.
        serves: audiences that it is the resource server of: it may exchange tokens it received there.
        environments: where it runs; the first is the default.
        addresses: networks it may call from; empty for any.
        single_use: each of its keys authenticates it once, ever.
        redirect_uris: where authorization responses may go, exactly; the port of a loopback address may differ.
        origins: of the pages whose scripts it is, which may read what the token endpoint answers.
        refresh: how it renews what a person allowed it.
        certificate: what its certificate must be named for `tls_client_auth`; None for any other method.
        spiffe_id: the workload that it is, or with `/*` at its end those whose path begins so; empty for none.
        attester_keys: public keys of those who may attest an instance of it, as JWK dictionaries.
        attestation_max_age: seconds since an attestation of it was made after which another is asked for; 0 for none.
        attestation_challenge: its instances must answer a challenge of ours each time.
        certificate_bound: whatever is issued to it is bound to a certificate of its own, or to another key.
        post_logout_redirect_uris: where a browser may go after it signed out, exactly.
        backchannel_logout_uri: where it is told that a session has ended, or empty.
        authorization: what holds for its authorization requests.
        profile: the name of the standard that it is held to; see `rules`.
        details: the types of authorization details that it may ever have.
        backchannel: how it learns that a person answered elsewhere.
        protections: what it is held to at its own wish, or by its file.
    """

    id: str
    name: str
    kind: str
    owner: str
    principal: PrincipalType
    methods: tuple[str, ...]
    grants: tuple[str, ...]
    ceilings: Mapping[str, tuple[str, ...]]
    environments: tuple[str, ...]
    algorithms: tuple[str, ...] = DEFAULT_ALGORITHMS
    jwks: tuple[Mapping[str, object], ...] = ()
    serves: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    single_use: bool = False
    certificate: CertificateName | None = None
    spiffe_id: str = ""
    attester_keys: tuple[Mapping[str, object], ...] = ()
    attestation_max_age: int = 0
    attestation_challenge: bool = False
    certificate_bound: bool = False
    description: str = ""
    redirect_uris: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    refresh: Refresh = Refresh()
    post_logout_redirect_uris: tuple[str, ...] = ()
    backchannel_logout_uri: str = ""
    authorization: Authorization = Authorization()
    backchannel: Backchannel = Backchannel()
    protections: Protections = Protections()
    details: tuple[str, ...] = ()
    profile: ProfileName = DEFAULT

    @property
    def rules(self) -> Profile:
        """What its profile tightens."""
        return PROFILES[self.profile]


class Registration(Struct, frozen=True, kw_only=True):
    """What clients may be registered beside the bundle.

    Attributes:
        ceilings: audience id to the scopes that such a client may ever have.
        methods, grants, kinds, environments: what it may say; all of it must be among these.
        details: the types of authorization details that such a client may ever have.
        owners: who may answer for one.
        prefix: how each one's id begins: no other principal is named so.
        tier: the highest tier whose scopes it may have, or empty for any.
        profile: the profile that each of them is of.
    """

    prefix: str
    ceilings: Mapping[str, tuple[str, ...]]
    methods: tuple[str, ...]
    grants: tuple[str, ...]
    kinds: tuple[str, ...]
    environments: tuple[str, ...]
    owners: tuple[str, ...]
    details: tuple[str, ...] = ()
    tier: str = ""
    profile: ProfileName = DEFAULT


class ClientDocuments(Struct, frozen=True, kw_only=True):
    """What clients may be that describe themselves in a document at the URL that is their id.

    Attributes:
        hosts: whose documents are read: host names, `*.` and a domain for the hosts below it, or `*`.
        excluded: whose are not, of those.
        kind, principal, owner, environments: what each of them is taken for; a document has no say in it.
        ceilings: audience id to the scopes that such a client may ever have; a document may name fewer.
        methods, grants: what a document may say.
        redirects: where users may be sent back to: `same_host`, `https`, `loopback`, `private_scheme`.
        post_logout_redirects: whether it may say where users go after they signed out; as `redirects` allow.
        backchannel_logout: whether it may say where it is told that a session ended, at a host of its redirect URIs.
        backchannel_delivery: how it may learn that a person answered elsewhere.
        origins: whether scripts of its pages may read what the token endpoint answers; see `policy.origins`.
        details: the types of authorization details that it may ever have; it may name fewer.
        tier: the highest tier whose scopes it may have, or empty for any.
        profile: the profile that each of them is of.
    """

    hosts: tuple[str, ...]
    kind: str
    principal: PrincipalType
    owner: str
    environments: tuple[str, ...]
    ceilings: Mapping[str, tuple[str, ...]]
    methods: tuple[str, ...]
    grants: tuple[str, ...]
    redirects: tuple[str, ...] = ("same_host", "loopback")
    post_logout_redirects: bool = False
    backchannel_logout: bool = False
    backchannel_delivery: tuple[str, ...] = ("poll",)
    origins: bool = False
    details: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    tier: str = ""
    profile: ProfileName = DEFAULT

    @property
    def kinds(self) -> tuple[str, ...]:
        """Its kind, as `Registration` says it."""
        return (self.kind,)


class OpenRegistration(Struct, frozen=True, kw_only=True):
    """What clients may be that register themselves (RFC 7591).

    Attributes:
        to: who may register one: `anyone`, or the bearer of an `initial_access_token`.
        prefix: how the id of each begins: no other principal is named so.
        kind, principal, owner, environments: what each of them is taken for; its metadata has no say in it.
        ceilings: audience id to the scopes that such a client may ever have; one may ask for fewer.
        methods, grants: what its metadata may say.
        redirects: where users may be sent back to: `https`, `loopback`, `private_scheme`.
        post_logout_redirects: whether it may say where users go after they signed out; as `redirects` allow.
        backchannel_logout: whether it may say where it is told that a session ended, at a host of its redirect URIs.
        backchannel_delivery: how it may learn that a person answered elsewhere.
        origins: whether scripts of its pages may read what the token endpoint answers; see `policy.origins`.
        details: the types of authorization details that it may ever have; it may name fewer.
        publishers: whose software statements count: issuer to public keys.
        statement_required: whether a client must bring one.
        per_hour: how often one address may register or manage a client.
        most: how many such clients there may be.
        tier: the highest tier whose scopes one may have, or empty for any.
        profile: the profile that each of them is of.
    """

    to: Literal["initial_access_token", "anyone"]
    prefix: str
    kind: str
    principal: PrincipalType
    owner: str
    environments: tuple[str, ...]
    ceilings: Mapping[str, tuple[str, ...]]
    methods: tuple[str, ...]
    grants: tuple[str, ...]
    redirects: tuple[str, ...] = ("https", "loopback")
    post_logout_redirects: bool = False
    backchannel_logout: bool = False
    backchannel_delivery: tuple[str, ...] = ("poll",)
    origins: bool = False
    details: tuple[str, ...] = ()
    publishers: Mapping[str, tuple[Mapping[str, object], ...]] = {}
    statement_required: bool = False
    per_hour: int = 20
    most: int = 1000
    tier: str = ""
    profile: ProfileName = DEFAULT

    @property
    def kinds(self) -> tuple[str, ...]:
        """Its kind, as `Registration` says it."""
        return (self.kind,)


class TrustedIssuer(Struct, frozen=True, kw_only=True):
    """An issuer whose JWTs we take as subject or actor tokens.

    Attributes:
        issuer: exact `iss`.
        keys: `discovery`, `jwks_uri`, `inline` or (SPIFFE) `bundle`.
        endpoint_spiffe_id: whom its bundle endpoint proves to be, by an X.509-SVID (`https_spiffe`); empty where the
            authorities of the web vouch for it (`https_web`).
        endpoint_authorities: X.509 certificates (base64 of DER) that the first such proof counts by.
        audiences: at least one must be in the token's `aud`.
        principal: what its subjects become.
        subject: the claim that is the subject; `subject_prefix` is put before it.
        roles: may it speak for subjects, actors, or both.
        uses: what its tokens are good for: `token_exchange` (RFC 8693), `jwt_bearer` (RFC 7523 section 2.1), `id_jag`
            (the same, with identity assertion authorization grants), `login_hint` (OpenID CIBA Core section 7.1).
        typ: accepted header types (lower case, `application/` dropped); empty for `JWT` or absent.
        conditions: CEL expressions over `claims`, all of which must be true.
        facts: fact name of a `token` source to claim path.
        session, device, tenant: claim paths, or empty.
        max_age: the longest `exp - iat` accepted, in seconds.
    """

    id: str
    issuer: str
    keys: Literal["discovery", "jwks_uri", "inline", "bundle"]
    audiences: tuple[str, ...]
    principal: PrincipalType
    subject: str = "sub"
    subject_prefix: str = ""
    roles: tuple[Literal["subject", "actor"], ...] = ("subject",)
    uses: tuple[Literal["token_exchange", "jwt_bearer", "id_jag", "login_hint"], ...] = ("token_exchange",)
    algorithms: tuple[str, ...] = ("ES256", "PS256", "EdDSA", "RS256")
    typ: tuple[str, ...] = ()
    jwks_uri: str = ""
    jwks: tuple[Mapping[str, object], ...] = ()
    endpoint_spiffe_id: str = ""
    endpoint_authorities: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    facts: Mapping[str, str] = {}
    session: str = ""
    device: str = ""
    acr: str = ""
    max_age: int = 86400
    profile: str = ""


class Provider(Struct, frozen=True, kw_only=True):
    """An OpenID provider that people sign in at.

    Attributes:
        name: for people, on its button.
        issuer: exact `iss`; its addresses and keys are discovered from there.
        client_id: who we are there.
        authentication: how we prove it at its token endpoint; a secret stands in the configuration, never here.
        scopes: asked for there; `openid` is always among them.
        domains: of the addresses of those who sign in there (`login_hint`).
        algorithms: what its ID tokens may be signed with.
        conditions: CEL expressions over the ID token's `claims`, all of which must be true.
        subject: the claim that is the `User`; `subject_prefix` is put before it.
        session, device: claim paths, or empty.
        acr, amr: its values to ours; what is not listed counts for nothing.
        acr_claim, amr_claim: claim paths.
        max_age: the oldest sign-in there that is taken, in seconds; 0 for any.
        facts: fact name of a `token` source to claim path.
    """

    id: str
    name: str
    issuer: str
    client_id: str
    authentication: Literal["client_secret_basic", "client_secret_post", "private_key_jwt", "none"]
    scopes: tuple[str, ...] = ("openid",)
    domains: tuple[str, ...] = ()
    algorithms: tuple[str, ...] = ("ES256", "PS256", "EdDSA", "RS256")
    conditions: tuple[str, ...] = ()
    subject: str = "sub"
    subject_prefix: str = ""
    session: str = "sid"
    device: str = ""
    acr: Mapping[str, str] = {}
    amr: Mapping[str, str] = {}
    acr_claim: str = "acr"
    amr_claim: str = "amr"
    max_age: int = 0
    facts: Mapping[str, str] = {}


class Passkeys(Struct, frozen=True, kw_only=True):
    """Sign-in with passkeys of our own. `acr` and `amr` are what such a sign-in counts as."""

    enabled: bool = False
    acr: str = "phr"
    amr: tuple[str, ...] = ("hwk", "user", "mfa")


class SessionBounds(Struct, frozen=True, kw_only=True):
    """How long a browser stays signed in, in seconds: without a visit, and at most."""

    idle: int = 3600
    absolute: int = 12 * 3600


class Purpose(Struct, frozen=True, kw_only=True):
    """A purpose that a caller may state (`purpose` parameter)."""

    id: str
    meaning: str


class Catalogue(Struct, frozen=True, kw_only=True, dict=True):
    """All of it, by id. `scopes` is every audience's scopes by name; `providers` are those that people sign in at.

    `transmitters`: those whose security events count here.

    `registration`: which clients may be registered beside the bundle; None for none at all.
    `open_registration`: which clients may register themselves; None for none at all.
    `documents`: which clients may describe themselves; None for none at all.
    `downgrade_max`: for how long an audience may enforce less than it did, in seconds.
    """

    name: str
    issuer: str
    owner: str
    owner_contact: str
    environments: tuple[str, ...]
    tiers: Mapping[str, Tier]
    purposes: Mapping[str, Purpose]
    audiences: Mapping[str, Audience]
    scopes: Mapping[str, Scope]
    claims: Mapping[str, Claim]
    sources: Mapping[str, Source]
    clients: Mapping[str, Client]
    issuers: Mapping[str, TrustedIssuer]
    max_actors: int = 4
    downgrade_max: int = DOWNGRADE_MAX
    registration: Registration | None = None
    documents: ClientDocuments | None = None
    open_registration: OpenRegistration | None = None
    providers: Mapping[str, Provider] = {}
    transmitters: Mapping[str, Transmitter] = {}
    passkeys: Passkeys = Passkeys()
    sessions: SessionBounds = SessionBounds()

    @cached_property
    def identity(self) -> str:
        """Id of the audience that is ourselves, or empty."""
        return next((audience.id for audience in self.audiences.values() if audience.kind == "identity"), "")

    @cached_property
    def by_identifier(self) -> Mapping[str, str]:
        """Audience ids by each of their identifiers (`aud`)."""
        return {name: audience.id for audience in self.audiences.values() for name in audience.identifiers}

    @cached_property
    def details(self) -> Mapping[str, DetailType]:
        """Every audience's types of authorization details by name."""
        return {name: of for audience in self.audiences.values() for name, of in audience.details.items()}
