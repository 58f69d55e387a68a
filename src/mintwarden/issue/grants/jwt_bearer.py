"""A JWT of a trusted issuer for a token (RFC 7523 section 2.1), identity assertion authorization grants among them.

What the assertion says bounds what comes of it: its scopes and authorization details where it states some, its
resources, its end, its key. A request that asks for neither asks for what the assertion states.
"""

from __future__ import annotations

from mintwarden.issue.confines import CONFINES, read_confines
from mintwarden.issue.details import DETAILS, audience_of, known_details, read_details
from mintwarden.issue.evidenced import Wanted, asked_with
from mintwarden.issue.granted import NOTHING, Recalled, acting
from mintwarden.issue.limits import LIMITS, read_limits
from mintwarden.issue.target import TARGET, named_audiences, read_target
from mintwarden.issue.unresolved import Unresolved, nowhere
from mintwarden.model.asked import Asked, Parent
from mintwarden.model.caller import Caller, Evidence
from mintwarden.model.catalogue import Catalogue, Client
from mintwarden.model.detail import Detail
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.request import TokenRequest

NAME = "jwt_bearer"
GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
PARAMETERS = frozenset({"grant_type", "assertion", *TARGET, *DETAILS, *CONFINES, *LIMITS})


def resolve(
    request: TokenRequest, caller: Caller, client: Client, catalogue: Catalogue, _recalled: Recalled = NOTHING
) -> Asked:
    """What is asked for the assertion's subject.

    Raises `INVALID_GRANT` for an assertion that is bound to a key that was not proven, `UNAUTHORIZED_CLIENT` for a
    client that proves nothing: whoever finds an assertion must not be able to use it.
    """
    if caller.method == "none":
        raise MintwardenError(
            ErrorKind.UNAUTHORIZED_CLIENT,
            "a public client cannot use this grant",
            hint="give the client an authentication method other than `none`",
        )
    subject = caller.subject
    if subject is None:
        raise MintwardenError(ErrorKind.INVALID_REQUEST, "`assertion` is missing")
    if subject.binding is not None and subject.binding != caller.binding:
        raise MintwardenError(
            ErrorKind.INVALID_GRANT, "the assertion is bound to a key that was not proven", hint="send a proof"
        )
    try:
        within = _limits(subject, catalogue)
        stated, details = _wanted(request, subject, client, catalogue, within)
        target = read_target(
            request, client, catalogue, fallback=within, within=subject.scopes, details=details, stated=stated
        )
        if within and target.audience not in within:
            raise _elsewhere(target.audience, target.scopes)
    except Unresolved as refused:
        raise refused.of(
            NAME,
            request,
            caller,
            client,
            catalogue,
            subject=subject.principal,
            actors=acting(client, subject.principal),
            parent=Parent(token_id=subject.token_id, scopes=(), expires_at=subject.expires_at),
        ) from None
    confines = read_confines(request, client, catalogue.audiences[target.audience], catalogue)
    limits = read_limits(request)
    return asked_with(
        subject,
        Wanted(target, confines, limits, details),
        request,
        caller,
        grant=NAME,
        actors=acting(client, subject.principal),
        parent=Parent(
            token_id=subject.token_id,
            scopes=subject.scopes,
            expires_at=subject.expires_at,
            binding=subject.binding,
            may_act=subject.may_act,
            details=subject.details,
        ),
    )


def _wanted(
    request: TokenRequest, subject: Evidence, client: Client, catalogue: Catalogue, within: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[Detail, ...]]:
    """The scopes that the assertion asks for itself, and the details that are asked for.

    Whoever names scopes or details asks for those alone; whoever names neither, for what is stated of the audiences
    that they name. Scopes that do not exist here are left out (RFC 6749 section 3.3), details that do not fit are an
    error (RFC 9396 section 5), also where the request asks for others.
    """
    stated = known_details(subject.details, client, catalogue)
    details = read_details(request, client, catalogue)
    if details or request.one("scope") is not None:
        return (), details
    there = named_audiences(request, catalogue) or set(within) or set(catalogue.audiences)
    scopes = [name for name in subject.scopes or () if name in catalogue.scopes]
    return (
        tuple(name for name in scopes if catalogue.scopes[name].audience in there),
        tuple(detail for detail in stated if audience_of((detail,), catalogue) <= there),
    )


def _limits(subject: Evidence, catalogue: Catalogue) -> tuple[str, ...]:
    """The audiences that the assertion names; one that names only others is good for nothing here."""
    found = tuple(dict.fromkeys(catalogue.by_identifier.get(name, "") for name in subject.resources))
    if found and not any(found):
        raise _elsewhere(nowhere(subject.resources[0], catalogue))
    return tuple(name for name in found if name)


def _elsewhere(audience: str, scopes: tuple[str, ...] = ()) -> Unresolved:
    what = "the assertion is limited to other resource servers"
    return Unresolved(ErrorKind.INVALID_TARGET, what, "", audience=audience, scopes=scopes)
