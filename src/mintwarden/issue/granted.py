"""What a person allowed a client, and the question that each token of it asks anew.

A grant outlives its tokens: the code, every refresh, a device's and an out-of-band approval all lead to one, and each
token that comes of it is decided as if it were the first (`Asked` from what is true now), within what was allowed.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from mintwarden.authn.sign_in import SignIn
from mintwarden.issue.confines import Confines, within
from mintwarden.issue.details import read_details, refused, require_of
from mintwarden.issue.limits import granted_limits
from mintwarden.issue.target import MAX_SCOPES
from mintwarden.issue.unresolved import Unresolved, nowhere
from mintwarden.model.asked import Asked, Parent
from mintwarden.model.caller import Binding, Caller, OnceKey
from mintwarden.model.catalogue import Catalogue, Client
from mintwarden.model.detail import MEMBER, Detail
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.ids import entity_key
from mintwarden.model.request import TokenRequest
from mintwarden.model.values import EntityUid
from mintwarden.policy.details import carried, read_detail


class Granted(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was allowed, on the shelf `grant` under its id.

    Attributes:
        grant_id: a random public id (`grant_id` in tokens).
        client_id: whom it was allowed to.
        sign_in: who allowed it, and how they had signed in.
        scopes: audience id to the scopes that its tokens may have, at most; none where only details were allowed.
        details: the authorization details that its tokens may have, at most (RFC 9396), of those audiences.
        identity: scopes of the identity audience (`openid`, ...), at most.
        actors: who may act for the person by it, the present actor first.
        purpose, environment, tenant, workspace, project: the confines it was allowed in.
        id_token_claims: claims that the ID token was asked to carry itself (OpenID Connect Core section 5.5).
        granted_at: `Millis`.
        ends: `Millis`; nothing comes of it after that.
        offline: it outlives the session it was allowed in (`offline_access`).
        used_at: `Millis`, to the hour, when a token of it was last asked for; 0 for not since it was new.
        budget: how much may be done with all of its tokens together, or None.
        max_depth: how many further actors its tokens may be handed on to, or None.
    """

    grant_id: str
    client_id: str
    sign_in: SignIn
    scopes: Mapping[str, tuple[str, ...]]
    granted_at: int
    ends: int
    identity: tuple[str, ...] = ()
    actors: tuple[EntityUid, ...] = ()
    purpose: str = ""
    environment: str = ""
    tenant: str = ""
    workspace: str = ""
    project: str = ""
    id_token_claims: tuple[str, ...] = ()
    offline: bool = False
    used_at: int = 0
    budget: int | None = None
    max_depth: int | None = None
    details: tuple[Detail, ...] = ()


class Renewal(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a refresh token says, sealed.

    Attributes:
        grant_id: the grant that it renews tokens of.
        number: how many refresh tokens of this grant came before it.
        ends: `Millis` after which it is refused.
        binding: the key that the tokens before it were bound to, if any.
        instance: the attested key of the client's instance, which must be proven again.
        held: the same key must be proven again (public clients, RFC 9449 section 5, RFC 8705 section 4).
        lasting: it was handed out to be used again and again; never so once it was handed out to be used once.
        subject, session: of the grant, so that a revocation is looked for while the grant is read; empty in tokens that
            do not say, and `session` where the grant outlives it. What counts is what the grant says.
    """

    grant_id: str
    ends: int
    number: int = 0
    binding: Binding | None = None
    held: bool = False
    instance: str = ""
    lasting: bool = False
    subject: str = ""
    session: str = ""


class Recalled(Struct, frozen=True, kw_only=True):
    """What a grant with a memory remembered of earlier requests.

    Attributes:
        granted: what was allowed; None for grants without a memory.
        earlier: the key that earlier tokens of it were bound to.
        once: what is used up by the token that comes of this, claimed in the same commit.
        nonce: of the authentication request, for the ID token.
        renewal: the refresh token to hand out with the token, or None.
        auth_req_id: what the ID token is pushed in answer to, or empty.
    """

    granted: Granted | None = None
    earlier: Binding | None = None
    once: tuple[OnceKey, ...] = ()
    nonce: str = ""
    renewal: Renewal | None = None
    auth_req_id: str = ""


NOTHING = Recalled()


def acting(client: Client, subject: EntityUid) -> tuple[EntityUid, ...]:
    """Who acts when `subject` lets `client` have tokens: an agent is named as who it is, other software is not.

    An agent decides what to do with a token; what a person's browser, app or service does is what they make it do.
    """
    own = EntityUid(client.principal, client.id)
    return (own,) if client.principal == "Agent" and own != subject else ()


def as_of_now(granted: Granted, client: Client) -> Granted:
    """The grant under its client's policy of now, which may have become stricter since."""
    ends = granted.granted_at + client.refresh.absolute * 1000
    return granted if granted.ends <= ends else replace(granted, ends=ends)


def first_renewal(granted: Granted, caller: Caller, client: Client, now: int) -> Renewal:
    """What the first refresh token of a grant says."""
    return Renewal(
        grant_id=granted.grant_id,
        ends=client.refresh.ends(granted.ends, now),
        binding=caller.binding,
        held=caller.method == "none" and caller.binding is not None,
        instance=caller.instance,
        lasting=not client.refresh.rotate,
        subject=entity_key(granted.sign_in.subject),
        session="" if granted.offline else granted.sign_in.session,
    )


def asked_of(
    name: str,
    recalled: Recalled,
    request: TokenRequest,
    caller: Caller,
    client: Client,
    catalogue: Catalogue,
    *,
    narrows: bool,
) -> Asked:
    """The question of one more token of a grant; `narrows`: the request's `scope` may narrow it.

    INVARIANT: never wider than what was allowed: what is asked beyond it is refused here (`INVALID_SCOPE`,
    `INVALID_TARGET`, `INVALID_AUTHORIZATION_DETAILS`; `INVALID_REQUEST` for limits and confines), and `Parent` has the
    decision hold it again.
    """
    granted = recalled.granted
    if granted is None:
        raise MintwardenError(ErrorKind.INTERNAL, "a grant without anything granted")
    try:
        audience = _audience(granted, request, catalogue)
        held, details = _details(granted, request, client, catalogue, audience)
        allowed = granted.scopes.get(audience, ()) or (() if held else granted.identity)
        scopes, identity = allowed, granted.identity
        wanted = _wanted(request) if narrows else ()
        if wanted:
            if not set(wanted) <= {*allowed, *identity}:
                raise _beyond(audience, [name for name in wanted if name not in {*allowed, *identity}])
            identity = tuple(scope for scope in identity if scope in wanted)
            scopes = tuple(scope for scope in allowed if scope in wanted) or identity
    except Unresolved as refused:
        raise refused.of(
            name,
            request,
            caller,
            client,
            catalogue,
            subject=granted.sign_in.subject,
            actors=granted.actors,
            parent=Parent(token_id=granted.grant_id, scopes=(), expires_at=granted.ends),
        ) from None
    sign_in, confines = granted.sign_in, within(request, _confines(granted, client))
    limits = granted_limits(request, granted.grant_id, granted.budget, granted.max_depth)
    return Asked(
        grant=name,
        client_id=client.id,
        subject=sign_in.subject,
        actors=granted.actors,
        audience=audience,
        scopes=scopes,
        identity=identity,
        id_token_claims=granted.id_token_claims,
        purpose=confines.purpose,
        environment=confines.environment,
        tenant=confines.tenant,
        workspace=confines.workspace,
        project=confines.project,
        lifetime=confines.lifetime,
        acr=sign_in.acr,
        amr=sign_in.amr,
        authenticated_at=sign_in.authenticated_at or None,
        session=sign_in.session,
        device=sign_in.device,
        address=request.address,
        binding=caller.binding,
        method=caller.method,
        grant_id=granted.grant_id,
        nonce=recalled.nonce,
        budget=limits.budget,
        max_depth=limits.max_depth,
        details=details,
        parent=Parent(
            token_id=granted.grant_id,
            scopes=tuple(dict.fromkeys((*allowed, *granted.identity))),
            expires_at=granted.ends,
            binding=recalled.earlier,
            details=held,
        ),
    )


def _confines(granted: Granted, client: Client) -> Confines:
    environment = granted.environment or client.environments[0]
    return Confines(granted.purpose, environment, granted.tenant, granted.workspace, granted.project, None)


def _details(
    granted: Granted, request: TokenRequest, client: Client, catalogue: Catalogue, audience: str
) -> tuple[tuple[Detail, ...], tuple[Detail, ...]]:
    """The details that were allowed for the audience, and those of the token: the same, or what the request narrows."""
    if not granted.details and MEMBER not in request.unverified_form:
        return (), ()
    wanted = read_details(request, client, catalogue)
    there = catalogue.audiences.get(audience)
    if there is None:
        return (), ()
    held = tuple(detail for detail in granted.details if detail.type in there.details)
    if not wanted:
        return held, held
    require_of(wanted, there)
    if len(carried(there, wanted, [read_detail(there, detail) for detail in wanted], held)) < len(wanted):
        raise refused("a requested authorization detail was not granted", "ask for less than what was granted")
    return held, wanted


def _audience(granted: Granted, request: TokenRequest, catalogue: Catalogue) -> str:
    """The one audience of the token: named by `resource` or `audience`, or the only one there is."""
    form = request.unverified_form
    if len(granted.scopes) == 1 and "resource" not in form and "audience" not in form:
        return next(iter(granted.scopes))
    named = {catalogue.by_identifier.get(value, "") for value in form.get("resource", ())}
    named |= {catalogue.by_identifier.get(value, value) for value in form.get("audience", ())}
    identity = catalogue.identity
    there = set(granted.scopes) or ({identity} if identity else set())
    if not named:
        named = there
    elif not named <= {*there, identity} - {""}:
        known = sorted(name for name in named - {*there, identity} if name in catalogue.audiences)
        raise Unresolved(
            ErrorKind.INVALID_TARGET,
            "the audience is not one of those granted",
            "name one that was authorized",
            audience=known[0] if known else _first_unknown(request, catalogue),
            scopes=_wanted(request),
        )
    if len(named) != 1:
        raise MintwardenError(
            ErrorKind.INVALID_TARGET, "a token is for exactly one audience", hint="name one with `resource`"
        )
    return named.pop()


def _first_unknown(request: TokenRequest, catalogue: Catalogue) -> str:
    form, known = request.unverified_form, catalogue.by_identifier
    said = (*form.get("resource", ()), *form.get("audience", ()))
    return nowhere(next((name for name in said if name not in known), said[0]), catalogue)


def _beyond(audience: str, scopes: list[str]) -> Unresolved:
    return Unresolved(
        ErrorKind.INVALID_SCOPE,
        "a requested scope was not granted",
        "ask for less than what was granted (RFC 6749 section 6)",
        audience=audience,
        scopes=scopes,
    )


def _wanted(request: TokenRequest) -> tuple[str, ...]:
    said = request.one("scope")
    if said is None:
        return ()
    names = tuple(dict.fromkeys(said.split(" ")))
    if len(names) > MAX_SCOPES:
        raise MintwardenError(ErrorKind.INVALID_SCOPE, f"more than {MAX_SCOPES} scopes were requested")
    return names if names != ("",) else ()
