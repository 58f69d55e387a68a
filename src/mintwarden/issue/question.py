"""An AuthZEN question as the line takes it: may this subject have this scope now, and through which client.

| resource | action | what is asked |
| --- | --- | --- |
| `audience`: identifier or id | a scope of it | may the subject have it |
| `scope`: its name | `issue` | the same |
| `scope`: its name | `act` | may the subject act with it for `context.on_behalf_of` |
| `tenant`, `workspace`, `project`: its name | a scope | may the subject have it there |

Properties are the caller's word and stand for no facts, so nothing reads them. What becomes of a question is an `Asked`
like any other: there is no second meaning beside the tokens'.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from mintwarden.issue.confines import Confines, read_confines
from mintwarden.issue.pipeline import with_registered
from mintwarden.model.asked import Asked
from mintwarden.model.caller import Binding
from mintwarden.model.catalogue import Audience, Catalogue, Client
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.request import TokenRequest
from mintwarden.model.values import EntityUid

ISSUE, ACT = "issue", "act"
PLACES = ("tenant", "workspace", "project")
OWN, EXCHANGE, RENEWAL = "client_credentials", "token_exchange", "refresh_token"
MOST_CLIENTS = 16
"""Clients that are tried where a question names none."""

TYPES: Mapping[str, str] = {
    "user": "User",
    "User": "User",
    "workload": "Workload",
    "Workload": "Workload",
    "agent": "Agent",
    "Agent": "Agent",
}
"""Subject types as callers spell them. `client` is any client's own principal."""

LiveClient = Callable[[str], tuple[Client, bool] | None]
"""A client that may be used now, and whether it is none of the bundle's."""

_ID = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,512}")
_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}")
_LATEST = 253_402_300_799


class Unanswerable(Exception):
    """There is no such subject, action, resource or client: nobody may do that. `reason` is a word for programs."""

    def __init__(self, reason: str, because: str) -> None:
        super().__init__(because)
        self.reason = reason
        self.because = because


class Named(Struct, frozen=True):
    """A subject or a resource."""

    type: str
    id: str


class Confirmation(Struct, frozen=True, rename={"x5t": "x5t#S256"}):
    """The key that the token would be bound to (RFC 7800)."""

    jkt: str = ""
    x5t: str = ""


class Circumstances(Struct, frozen=True, kw_only=True):
    """What of a question's `context` is read. Every other member is ignored, as the specification says."""

    client_id: str = ""
    on_behalf_of: Named | None = None
    actors: tuple[Named, ...] | None = None
    purpose: str = ""
    environment: str = ""
    tenant: str = ""
    workspace: str = ""
    project: str = ""
    requested_lifetime: int | None = None
    acr: str = ""
    amr: tuple[str, ...] = ()
    auth_time: int | None = None
    session: str = ""
    device: str = ""
    address: str = ""
    cnf: Confirmation | None = None


class Evaluation(Struct, frozen=True, kw_only=True):
    """One question: well formed, and nothing in it believed yet."""

    subject: Named
    action: str
    resource: Named
    context: Circumstances = Circumstances()


class Sense(Struct, frozen=True, kw_only=True):
    """What is asked for. `place` is the confine that the resource names, `acting` whether the subject acts."""

    audience: Audience
    scope: str
    place: tuple[str, str] | None = None
    acting: bool = False


class Who(Struct, frozen=True, kw_only=True):
    """Whom the token would speak of, who acts (None where nothing is said of it), and who of them is asked about."""

    subject: EntityUid
    actors: tuple[EntityUid, ...] | None
    asked: EntityUid


def read_context(content: object) -> Circumstances:
    """The circumstances; raises `INVALID_REQUEST` for a member that is of another type than it has."""
    try:
        found: Circumstances = msgspec.convert({} if content is None else content, Circumstances)
    except msgspec.ValidationError as error:
        raise _invalid(f"`context` is malformed: {error}") from None
    if found.auth_time is not None and not 0 <= found.auth_time <= _LATEST:
        raise _invalid("`context.auth_time` is out of range")
    if found.requested_lifetime is not None and abs(found.requested_lifetime) > _LATEST:
        raise _invalid("`context.requested_lifetime` is out of range")
    cnf = found.cnf
    if cnf is not None and any(text and not _THUMBPRINT.fullmatch(text) for text in (cnf.jkt, cnf.x5t)):
        raise _invalid("`context.cnf` holds no thumbprint")
    for text in (found.session, found.device, found.acr, *found.amr):
        if text and not _ID.fullmatch(text):
            raise _invalid("`context` holds a text that is too long or not printable")
    return found


def read_sense(action: str, resource: Named, catalogue: Catalogue) -> Sense:
    """What action and resource mean; raises `Unanswerable`."""
    if resource.type == "audience":
        audience = audience_of(resource.id, catalogue)
        if action not in audience.scopes:
            raise Unanswerable("unknown_action", "the audience has no such scope")
        return Sense(audience=audience, scope=action)
    if resource.type == "scope":
        scope = catalogue.scopes.get(resource.id)
        if scope is None:
            raise Unanswerable("unknown_resource", "there is no such scope")
        if action not in (ISSUE, ACT):
            raise Unanswerable("unknown_action", "a scope is issued (`issue`) or acted with (`act`)")
        return Sense(audience=catalogue.audiences[scope.audience], scope=scope.name, acting=action == ACT)
    if resource.type in PLACES:
        # INVARIANT: a place without a name is none; left out, it would confine nothing.
        scope = catalogue.scopes.get(action) if resource.id else None
        if scope is None:
            raise Unanswerable("unknown_action", "there is no such scope")
        audience = catalogue.audiences[scope.audience]
        if resource.type not in {tenancy.parameter for tenancy in audience.tenancy}:
            raise Unanswerable("unknown_resource", "the scope's audience takes no such confine")
        return Sense(audience=audience, scope=scope.name, place=(resource.type, resource.id))
    raise Unanswerable("unknown_resource", "there is no such type of resource")


def audience_of(name: str, catalogue: Catalogue) -> Audience:
    """The audience of that identifier or id; raises `Unanswerable`."""
    audience = catalogue.audiences.get(catalogue.by_identifier.get(name, name))
    if audience is None:
        raise Unanswerable("unknown_resource", "there is no such audience")
    return audience


def principal(named: Named, live: LiveClient) -> EntityUid:
    """A subject as rules name it; raises `Unanswerable`."""
    if named.type == "client":
        known = live(named.id)
        if known is None:
            raise Unanswerable("unknown_subject", "there is no such client")
        return EntityUid(known[0].principal, known[0].id)
    kind = TYPES.get(named.type)
    if kind is None or not _ID.fullmatch(named.id):
        raise Unanswerable("unknown_subject", "there is no such subject")
    return EntityUid(kind, named.id)


def read_who(evaluation: Evaluation, sense: Sense, catalogue: Catalogue, live: LiveClient) -> Who:
    """The parties; raises `Unanswerable`."""
    context = evaluation.context
    asked = principal(evaluation.subject, live)
    actors = None if context.actors is None else tuple(principal(actor, live) for actor in context.actors)
    subject = asked
    if sense.acting:
        if context.on_behalf_of is None:
            raise Unanswerable("unknown_subject", "name for whom it would act in `context.on_behalf_of`")
        subject, actors = principal(context.on_behalf_of, live), (asked, *(actors or ()))
    if len(actors or ()) > catalogue.max_actors:
        raise Unanswerable("too_many_actors", f"a chain has at most {catalogue.max_actors} actors")
    return Who(subject=subject, actors=actors, asked=asked)


def candidates_of(catalogue: Catalogue) -> Mapping[str, tuple[str, ...]]:
    """Scope to the clients of the bundle that may have it on somebody's behalf, in order of their ids."""
    found: dict[str, list[str]] = {}
    for name in sorted(catalogue.clients):
        client = catalogue.clients[name]
        if _for_others(client):
            for scopes in client.ceilings.values():
                for scope in scopes:
                    found.setdefault(scope, []).append(name)
    return {scope: tuple(names) for scope, names in found.items()}


def clients_for(
    who: Who, sense: Sense, context: Circumstances, candidates: Mapping[str, tuple[str, ...]], live: LiveClient
) -> list[Client]:
    """Through which clients the scope might be had: the one that is named; else the subject's own; else any that may.

    Raises `Unanswerable` where there is none.
    """
    if context.client_id:
        known = live(context.client_id)
        if known is None:
            raise Unanswerable("unknown_client", "there is no such client")
        return [known[0]]
    own = live(who.asked.id)
    if own is not None and own[0].principal == who.asked.type and _suits(own[0], sense):
        return [own[0]]
    found = [known[0] for name in candidates.get(sense.scope, ()) if (known := live(name)) is not None]
    if not found:
        raise Unanswerable("no_client", "no client may ask for it on the subject's behalf")
    return found[:MOST_CLIENTS]


def ask(
    evaluation: Evaluation,
    client: Client,
    who: Who,
    audience: Audience,
    catalogue: Catalogue,
    *,
    scopes: tuple[str, ...],
    live: LiveClient,
    place: tuple[str, str] | None = None,
    grant: str = "",
    **more: Any,
) -> Asked:
    """What the token endpoint would be asked through `client`; raises `Unanswerable`.

    `grant` is how; where nobody says, the client's own way for such a subject.
    """
    context = evaluation.context
    grant = grant or _grant(client, who)
    if grant not in client.grants:
        raise Unanswerable("grant_not_allowed", "the client may not use this grant")
    own = EntityUid(client.principal, client.id)
    if (grant == OWN) != (who.subject == own):
        raise Unanswerable("grant_not_allowed", "by this grant a client asks for itself, and only so")
    binding = _binding(context.cnf)
    if binding is None and (client.rules.bound or client.certificate_bound):
        raise Unanswerable("binding_required", "the client's tokens are bound to a key: `context.cnf` names it")
    if client.protections.dpop and (binding is None or binding.kind != "dpop"):
        raise Unanswerable("binding_required", "the client's tokens are bound by DPoP: `context.cnf` has `jkt`")
    confines = _confines(context, place, client, audience, catalogue)
    hidden = who.actors is None and grant == EXCHANGE
    asked = Asked(
        grant=grant,
        client_id=client.id,
        subject=who.subject,
        actors=(own,) if hidden else who.actors or (),
        impersonate=hidden,
        audience=audience.id,
        scopes=scopes,
        purpose=confines.purpose,
        environment=confines.environment,
        tenant=confines.tenant,
        workspace=confines.workspace,
        project=confines.project,
        lifetime=confines.lifetime,
        acr=context.acr,
        amr=context.amr,
        authenticated_at=None if context.auth_time is None else context.auth_time * 1000,
        session=context.session,
        device=context.device,
        address=context.address,
        binding=binding,
        **{"method": client.methods[0], **more},
    )
    known = live(client.id)
    return with_registered(asked, client if known is not None and known[1] else None)


def _grant(client: Client, who: Who) -> str:
    if who.subject == EntityUid(client.principal, client.id):
        return OWN
    return next((grant for grant in client.grants if grant not in (OWN, RENEWAL)), OWN)


def _suits(client: Client, sense: Sense) -> bool:
    return _for_others(client) if sense.acting else OWN in client.grants


def _for_others(client: Client) -> bool:
    return any(grant not in (OWN, RENEWAL) for grant in client.grants)


def _confines(
    context: Circumstances, place: tuple[str, str] | None, client: Client, audience: Audience, catalogue: Catalogue
) -> Confines:
    """The circumstances by the token endpoint's own reading of them."""
    said = {name: getattr(context, name) for name in ("purpose", "environment", *PLACES)}
    if place is not None:
        if said[place[0]] not in ("", place[1]):
            raise Unanswerable("invalid_context", f"`context.{place[0]}` is another one than the resource")
        said[place[0]] = place[1]
    if context.requested_lifetime is not None:
        said["requested_lifetime"] = str(context.requested_lifetime)
    form = {name: (value,) for name, value in said.items() if value}
    try:
        return read_confines(TokenRequest(unverified_form=form, received_at=0), client, audience, catalogue)
    except MintwardenError as error:
        raise Unanswerable("invalid_context", error.public) from None


def _binding(cnf: Confirmation | None) -> Binding | None:
    if cnf is not None and cnf.jkt:
        return Binding(kind="dpop", thumbprint=cnf.jkt)
    if cnf is not None and cnf.x5t:
        return Binding(kind="mtls", thumbprint=cnf.x5t)
    return None


def _invalid(public: str) -> MintwardenError:
    return MintwardenError(ErrorKind.INVALID_REQUEST, public)
