"""A token for a token (RFC 8693): delegation by default, impersonation only where a rule permits it.

INVARIANT: what comes out is never wider than the subject token: scopes, authorization details, lifetime, confines,
binding and the actor chain are bounded here (`Parent`, confines, chain) and held by the decision.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from mintwarden.issue.confines import CONFINES, read_confines
from mintwarden.issue.details import DETAILS, read_details
from mintwarden.issue.evidenced import Wanted, asked_with
from mintwarden.issue.granted import NOTHING, Granted, Recalled
from mintwarden.issue.limits import LIMITS, read_limits
from mintwarden.issue.memory import Memory
from mintwarden.issue.target import ACCESS, TARGET, named_audiences, not_allowed, read_target
from mintwarden.issue.transaction import read_transaction
from mintwarden.issue.unresolved import Unresolved, nowhere
from mintwarden.model.asked import Asked, Parent
from mintwarden.model.caller import Caller, Evidence
from mintwarden.model.catalogue import Catalogue, Client
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.request import TokenRequest
from mintwarden.model.token import ACCESS_TOKEN, ID_JAG, MAX_LINEAGE, TXN_TOKEN
from mintwarden.model.values import EntityUid

NAME = "token_exchange"
GRANT_TYPE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT = "urn:ietf:params:oauth:token-type:jwt"
KINDS: Mapping[str, frozenset[str]] = {
    ACCESS_TOKEN: ACCESS,
    JWT: ACCESS,
    ID_JAG: frozenset({"domain"}),
    TXN_TOKEN: frozenset({"transaction"}),
}
"""What may be asked for (`requested_token_type`), and the kinds of audiences that it is for."""

_ADDRESSED = frozenset({ID_JAG, TXN_TOKEN})
"""Kinds that are asked for by the domain that they are for: `audience` is required (both drafts)."""

PARAMETERS = frozenset(
    {
        "grant_type",
        "subject_token",
        "subject_token_type",
        "actor_token",
        "actor_token_type",
        "requested_token_type",
        "request_context",
        "request_details",
        *TARGET,
        *DETAILS,
        *CONFINES,
        *LIMITS,
    }
)


async def recall(
    _request: TokenRequest, caller: Caller, _client: Client, memory: Memory, now: int
) -> tuple[Caller, Recalled]:
    """What a person allowed when an ID token of ours was made, which does not say so itself.

    Raises `INVALID_REQUEST` where nobody knows it any more.
    """
    subject = caller.subject
    if subject is None or subject.kind != "id_token" or not subject.grant_id:
        return caller, NOTHING
    held = await memory.grants.get(subject.grant_id, now)
    if held is None:
        raise _invalid("the grant that the ID token came with has ended", "ask the person again")
    return caller, Recalled(granted=held.value)


def resolve(
    request: TokenRequest, caller: Caller, client: Client, catalogue: Catalogue, recalled: Recalled = NOTHING
) -> Asked:
    """What the exchange asks for. Raises `INVALID_REQUEST` for tokens that may not be used so (section 2.2.2)."""
    subject = caller.subject
    if subject is None:
        raise _invalid("`subject_token` is missing", "send `subject_token` and `subject_token_type`")
    wanted = request.one("requested_token_type") or ACCESS_TOKEN
    kinds = KINDS.get(wanted)
    if kinds is None:
        raise _invalid("`requested_token_type` is not supported", f"leave it out or send `{ACCESS_TOKEN}`")
    _must_lead_to(wanted, subject, caller)
    if wanted in _ADDRESSED and not request.unverified_form.get("audience"):
        raise _invalid("`audience` is missing", "name the domain that the token is for")
    resources: tuple[str, ...] = ()
    if wanted == ID_JAG:
        subject = _as_allowed(subject, request, recalled.granted)
    transaction = read_transaction(request, subject) if wanted == TXN_TOKEN else None
    _must_be_presentable(subject, caller, client, catalogue)
    actor = caller.actor
    if actor is not None and actor.binding is not None and actor.binding != caller.binding:
        raise _invalid("the actor token is bound to a key that was not proven", "send a proof made with that key")
    actors, impersonate = _chain(subject, actor, client)
    if wanted in (ID_JAG, TXN_TOKEN):  # one names the client itself, the other keeps everybody who asked for it
        impersonate = False
    if len(actors) > catalogue.max_actors:
        raise _invalid("the delegation chain is too long", f"at most {catalogue.max_actors} actors")
    scopes = _exchangeable(subject, catalogue)
    try:
        if wanted == ID_JAG:
            request, resources = _of_the_domain(request, catalogue)
        details = read_details(request, client, catalogue)
        target = read_target(
            request,
            client,
            catalogue,
            fallback=_fallback(subject, catalogue, kinds),
            within=scopes,
            kinds=kinds,
            details=details,
        )
    except Unresolved as refused:
        raise refused.of(
            NAME,
            request,
            caller,
            client,
            catalogue,
            subject=subject.principal,
            actors=actors,
            impersonate=impersonate,
        ) from None
    if subject.kind == "txn_token" and target.audience not in _audience_ids(subject, catalogue):
        raise _invalid("a transaction token keeps its `aud`", "name its own trust domain")
    confines = read_confines(request, client, catalogue.audiences[target.audience], catalogue, subject)
    limits = read_limits(request, subject, grown=len(actors) > len(subject.actors))
    return asked_with(
        subject,
        Wanted(target, confines, limits, details),
        request,
        caller,
        grant=NAME,
        actors=actors,
        impersonate=impersonate,
        transaction=transaction,
        parent=Parent(
            token_id=subject.token_id,
            scopes=scopes,
            expires_at=subject.expires_at if actor is None else min(subject.expires_at, actor.expires_at),
            binding=subject.binding,
            may_act=subject.may_act,
            details=subject.details,
        ),
        lineage=_lineage(subject, actor),
        lineage_keys=tuple(dict.fromkeys(one.key for one in (subject, actor) if one is not None and one.own)),
        resources=resources,
    )


def _as_allowed(subject: Evidence, request: TokenRequest, granted: Granted | None) -> Evidence:
    """The ID token within the confines of the grant that it came with.

    INVARIANT: no exchange shakes off what somebody allowed a client for. An identity assertion carries no limits, and
    the other domain knows of none: what was allowed within a `budget` or `max_depth` leads to none, and nobody asks
    for one with either.
    """
    limited = granted is not None and (granted.budget is not None or granted.max_depth is not None)
    if limited or not request.unverified_form.keys().isdisjoint(LIMITS):
        raise _invalid(
            "an identity assertion carries neither `budget` nor `max_depth`", "ask the person for a grant without them"
        )
    if granted is None:
        return subject
    return replace(
        subject,
        purpose=granted.purpose,
        environment=granted.environment,
        tenant=granted.tenant,
        workspace=granted.workspace,
        project=granted.project,
    )


def _of_the_domain(request: TokenRequest, catalogue: Catalogue) -> tuple[TokenRequest, tuple[str, ...]]:
    """The request without its `resource`s, and those: resource servers of the domain that `audience` names.

    In a request for an identity assertion `audience` is the authorization server and `resource` what it guards, so that
    the one is no other name of the other (ID-JAG draft, section 4.3). Raises `INVALID_TARGET`, as `Unresolved`.
    """
    named = request.unverified_form.get("resource", ())
    if not named:
        return request, ()
    rest = {name: values for name, values in request.unverified_form.items() if name != "resource"}
    without = replace(request, unverified_form=rest)
    there = named_audiences(without, catalogue)
    known = {resource for name in there for resource in catalogue.audiences[name].resources}
    unknown = [name for name in named if name not in known]
    if unknown:
        raise not_allowed(nowhere(unknown[0], catalogue))
    return without, tuple(dict.fromkeys(named))


def _lineage(subject: Evidence, actor: Evidence | None) -> tuple[str, ...]:
    """Every token of ours that this one comes of, so that whoever ends one of them ends this one.

    INVARIANT: never cut short: a token that came of too many is not exchanged any further.
    """
    own = [token for token in (subject, actor) if token is not None and token.own]
    if not own:
        return ()
    found = dict.fromkeys([*(token.token_id for token in own), *(name for token in own for name in token.lineage)])
    if len(found) > MAX_LINEAGE:
        raise _invalid("the subject token came of too many others", f"at most {MAX_LINEAGE} exchanges in a row")
    return tuple(found)


def _must_lead_to(wanted: str, subject: Evidence, caller: Caller) -> None:
    """INVARIANT: no token turns into another kind than the standards have it turn into.

    An ID token of ours leads to an identity assertion and to nothing else; a transaction token to its replacement; an
    access token never to an identity assertion: having access to something is no proof of who one is elsewhere. What
    speaks for somebody in another domain, or inside a trust domain, is only for who has proven to be the client.
    """
    if caller.method == "none" and wanted in (ID_JAG, TXN_TOKEN):
        raise MintwardenError(
            ErrorKind.UNAUTHORIZED_CLIENT,
            "a public client cannot have this type of token",
            hint="give the client an authentication method other than `none`",
        )
    if wanted == ID_JAG and subject.kind != "id_token":
        raise _invalid("an identity assertion needs an ID token of ours as `subject_token`", "send the client's own")
    if wanted != ID_JAG and subject.kind == "id_token":
        raise _invalid("an ID token of ours is only good for an identity assertion", f"ask for `{ID_JAG}`")
    if wanted != TXN_TOKEN and subject.kind == "txn_token":
        raise _invalid("a transaction token can only be replaced", f"ask for `{TXN_TOKEN}`")
    if wanted == TXN_TOKEN and subject.scopes is None:
        raise _invalid("the subject token does not say its scopes", "send one of our access or transaction tokens")


def _fallback(subject: Evidence, catalogue: Catalogue, kinds: frozenset[str]) -> tuple[str, ...]:
    """The subject token's own audiences, as far as what is asked for can be for them."""
    if not subject.own:
        return ()
    return tuple(name for name in _audience_ids(subject, catalogue) if catalogue.audiences[name].kind in kinds)


def _must_be_presentable(subject: Evidence, caller: Caller, client: Client, catalogue: Catalogue) -> None:
    """Only whom one of our tokens was issued to, or sent to, may exchange it: a stolen one is useless elsewhere.

    An ID token is for its client alone: its `aud` is that client, and no resource server, whatever that is called.
    INVARIANT: a bound token is exchanged by who proves its own key. The resource server that it was sent to is not its
    holder, and proves a key of its own: it is a client that authenticates, never one that anybody could say to be.
    """
    if subject.kind == "id_token" and subject.client_id != client.id:
        raise _invalid("the ID token is another client's", "send the client's own")
    served = {identifier for name in client.serves for identifier in catalogue.audiences[name].identifiers}
    sent_here = subject.own and caller.method != "none" and not served.isdisjoint(subject.audiences)
    if subject.binding is not None and not sent_here and subject.binding not in (caller.binding, caller.certificate):
        raise _invalid("the subject token is bound to a key that was not proven", "prove the key that it is bound to")
    if subject.own and subject.kind != "txn_token" and subject.client_id != client.id and not sent_here:
        raise _invalid(
            "the subject token may not be exchanged by this client",
            "it was neither issued to the client nor addressed to an audience that the client serves",
        )


def _chain(subject: Evidence, actor: Evidence | None, client: Client) -> tuple[tuple[EntityUid, ...], bool]:
    """The actors of the new token, the present one first, and whether impersonation is to be considered.

    No hop is lost, forged or repeated: earlier actors stay beneath, an actor that renews its own token is not
    nested twice, and impersonation is out of the question once anyone acts (section 4.1).
    """
    own = EntityUid(client.principal, client.id)
    if actor is not None:
        if actor.actors:
            raise _invalid("the actor token is itself delegated", "send a token of the actor's own")
        if actor.own and actor.client_id != client.id:
            raise _invalid("the actor token was not issued to this client", "send the client's own actor token")
        present = actor.principal
    else:
        present = own
    if present == subject.principal and not subject.actors:
        return (), False
    if subject.may_act is not None and present not in subject.may_act:
        raise _invalid("the subject token does not name this actor in `may_act`", "see RFC 8693 section 4.4")
    if subject.actors and subject.actors[0] == present:
        return subject.actors, False
    return (present, *subject.actors), actor is None and not subject.actors


def _exchangeable(subject: Evidence, catalogue: Catalogue) -> tuple[str, ...] | None:
    """The scopes that the subject token may be turned into: its own, and those that they carry."""
    if subject.scopes is None:
        return None
    found: dict[str, None] = {}
    for name in subject.scopes:
        scope = catalogue.scopes.get(name)
        if scope is not None:
            found[name] = None
            found.update(dict.fromkeys(scope.carries))
    return tuple(found)


def _audience_ids(subject: Evidence, catalogue: Catalogue) -> tuple[str, ...]:
    known = (catalogue.by_identifier.get(identifier) for identifier in subject.audiences)
    return tuple(dict.fromkeys(name for name in known if name is not None))


def _invalid(public: str, hint: str) -> MintwardenError:
    return MintwardenError(ErrorKind.INVALID_REQUEST, public, hint=hint)
