"""What a request aims at: one audience, and the candidate scopes within it.

`scope` is RFC 6749 section 3.3, `resource` RFC 8707 section 2, `audience` RFC 8693 section 2.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from msgspec import Struct

from mintwarden.issue.details import audience_of, refused, require_of
from mintwarden.issue.unresolved import Unresolved, nowhere
from mintwarden.model.catalogue import Audience, Catalogue, Client
from mintwarden.model.detail import Detail
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.request import TokenRequest

TARGET = ("scope", "resource", "audience")
MAX_SCOPES = 100
ACCESS = frozenset({"api", "identity"})
"""Kinds of audiences that access tokens are for."""
MAX_AUDIENCES = 10

_ABSOLUTE_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s#]+")


class Target(Struct, frozen=True):
    """One audience by id, the candidate scopes in the order asked, and whether they are its defaults."""

    audience: str
    scopes: tuple[str, ...]
    defaulted: bool


def read_target(
    request: TokenRequest,
    client: Client,
    catalogue: Catalogue,
    *,
    fallback: Iterable[str] = (),
    within: Iterable[str] | None = None,
    kinds: frozenset[str] = ACCESS,
    details: tuple[Detail, ...] = (),
    stated: tuple[str, ...] = (),
) -> Target:
    """The audience and scopes that a request asks for.

    `fallback` are audience ids to use when the request names none and its scopes do not settle it. `within`
    limits the defaults (not what is asked for: that is the decision's to refuse). `kinds` are the kinds of audiences
    that the token may be for. Whoever asks for `details` and no scope gets no default scope either. `stated` are the
    scopes to ask for where the request names none, because somebody else has asked already. Raises `INVALID_TARGET`
    for an audience that is unknown, ambiguous or not this client's, `INVALID_SCOPE` for scopes that do not exist; what
    is refused for its name as `Unresolved`.
    """
    asked = _scopes(request) or stated
    audience = _audience(request, client, catalogue, asked, details, tuple(fallback), kinds)
    if audience.kind not in kinds:
        raise not_allowed(audience.id, _foreign(asked, client, audience), audience.identifier)
    if audience.id not in client.ceilings:
        refused = not_allowed(audience.id, asked, audience.identifier)
        raise refused if _is_named(request) else _no_scope(audience.id, asked)
    require_resource(request, client, audience)
    if asked:
        for name in asked:
            if name not in audience.scopes:
                raise _no_scope(audience.id, _foreign(asked, client, audience))
        return Target(audience.id, asked, defaulted=False)
    if details:
        return Target(audience.id, (), defaulted=False)
    defaults = _defaults(audience, client, None if within is None else frozenset(within))
    return Target(audience.id, defaults, defaulted=True)


class Targets(Struct, frozen=True):
    """What several tokens may be for: audience id to candidate scopes, and those of the identity audience."""

    scopes: Mapping[str, tuple[str, ...]]
    identity: tuple[str, ...]


def read_targets(
    request: TokenRequest, client: Client, catalogue: Catalogue, details: tuple[Detail, ...] = ()
) -> Targets:
    """What an authorization request asks for: each of its tokens is later for one of the audiences.

    An audience that is named without any scope of its own is asked for its defaults. Where nothing is said, it is the
    client's only audience; an audience of which `details` are asked for needs no scope. Raises as `read_target`.
    """
    asked, named = _scopes(request), named_audiences(request, catalogue)
    identity = catalogue.identity
    found: dict[str, list[str]] = {name: [] for name in sorted(named) if name != identity}
    mine: list[str] = []
    for name in named:
        if catalogue.audiences[name].kind not in ACCESS or name not in client.ceilings:
            raise not_allowed(name, identifier=catalogue.audiences[name].identifier)
    for name in asked:
        scope = catalogue.scopes.get(name)
        if scope is None or scope.audience not in client.ceilings:
            raise _no_scope("" if scope is None else scope.audience, (name,))
        if catalogue.audiences[scope.audience].kind not in ACCESS:
            raise _no_scope("", (name,))
        if scope.audience == identity:
            mine.append(name)
        elif named and scope.audience not in named:
            raise Unresolved(
                ErrorKind.INVALID_SCOPE,
                "a requested scope belongs to none of the audiences that were named",
                "",
                audience=min(named),
                scopes=(name,),
            )
        else:
            found.setdefault(scope.audience, []).append(name)
    detailed = audience_of(details, catalogue)
    for name in sorted(detailed):
        if catalogue.audiences[name].kind not in ACCESS:
            raise refused("an authorization detail is for another domain", "exchange an ID token for an assertion")
        if named and name not in named:
            raise refused("an authorization detail is of none of the audiences that were named", "name its audience")
        found.setdefault(name, [])
    if not found and not mine:
        found = {name: [] for name in client.ceilings if catalogue.audiences[name].kind == "api"}
        if len(found) != 1:
            raise MintwardenError(
                ErrorKind.INVALID_SCOPE,
                "no scope was requested",
                hint="the client has more than one audience",
            )
    if len(found) > MAX_AUDIENCES:
        raise MintwardenError(ErrorKind.INVALID_TARGET, f"more than {MAX_AUDIENCES} audiences were requested")
    for name, scopes in found.items():
        require_resource(request, client, catalogue.audiences[name])
        if not scopes and name not in detailed:
            scopes.extend(_defaults(catalogue.audiences[name], client))
    return Targets({name: tuple(scopes) for name, scopes in found.items()}, tuple(mine))


def _defaults(audience: Audience, client: Client, within: frozenset[str] | None = None) -> tuple[str, ...]:
    ceiling = client.ceilings[audience.id]
    defaults = tuple(
        scope.name
        for scope in audience.scopes.values()
        if scope.default and scope.name in ceiling and (within is None or scope.name in within)
    )
    if not defaults:
        raise MintwardenError(
            ErrorKind.INVALID_SCOPE, "no scope was requested and the audience has no default for this client"
        )
    return defaults


def require_resource(request: TokenRequest, client: Client, audience: Audience) -> None:
    """Raise `INVALID_TARGET` where the client's or the audience's profile demands `resource`, and there is none."""
    demanded = (client.rules.resource or audience.rules.resource) and audience.kind == "api"
    if demanded and "resource" not in request.unverified_form:
        raise MintwardenError(
            ErrorKind.INVALID_TARGET, "`resource` is missing", hint=f"send `resource={audience.identifier}` (RFC 8707)"
        )


def _scopes(request: TokenRequest) -> tuple[str, ...]:
    text = request.one("scope")
    if text is None:
        return ()
    # What is not a scope token (RFC 6749 section 3.3) is no scope of the catalogue either: nothing else to check.
    names = tuple(dict.fromkeys(text.split(" ")))
    if len(names) > MAX_SCOPES:
        raise MintwardenError(ErrorKind.INVALID_SCOPE, f"more than {MAX_SCOPES} scopes were requested")
    return names


def _audience(
    request: TokenRequest,
    client: Client,
    catalogue: Catalogue,
    scopes: tuple[str, ...],
    details: tuple[Detail, ...],
    fallback: tuple[str, ...],
    kinds: frozenset[str],
) -> Audience:
    named = named_audiences(request, catalogue)
    if not named and scopes:
        known = (catalogue.scopes.get(name) for name in scopes)
        named = {scope.audience for scope in known if scope is not None}
        if not named:
            raise _no_scope("", scopes)
    if details:
        named = named or audience_of(details, catalogue)
    if not named:
        there = {name for name in client.ceilings if catalogue.audiences[name].kind in kinds - {"identity"}}
        named = set(fallback) or there or set(client.ceilings)
    if len(named) != 1:
        first = min(named, key=lambda name: (name in client.ceilings, name))
        raise Unresolved(
            ErrorKind.INVALID_TARGET,
            "a token is for exactly one audience",
            "name one with `resource` or `audience`, and ask only for its scopes",
            audience=first,
            scopes=_foreign(scopes, client, catalogue.audiences[first]),
        )
    audience = catalogue.audiences[named.pop()]
    if details:
        require_of(details, audience)
    return audience


def named_audiences(request: TokenRequest, catalogue: Catalogue) -> set[str]:
    """Audience ids that `resource` and `audience` name; identifiers compare byte for byte (RFC 8707 section 2).

    Raises `INVALID_TARGET`, as `Unresolved`.
    """
    named: set[str] = set()
    by_identifier = catalogue.by_identifier
    for value in request.unverified_form.get("resource", ()):
        if not _ABSOLUTE_URI.fullmatch(value) or value not in by_identifier:
            raise not_allowed(nowhere(value, catalogue), _said(request))
        named.add(by_identifier[value])
    for value in request.unverified_form.get("audience", ()):
        if value not in catalogue.audiences and value not in by_identifier:
            raise not_allowed(nowhere(value, catalogue), _said(request))
        named.add(by_identifier.get(value, value))
    return named


def _is_named(request: TokenRequest) -> bool:
    return "resource" in request.unverified_form or "audience" in request.unverified_form


def _foreign(scopes: tuple[str, ...], client: Client, audience: Audience) -> tuple[str, ...]:
    """Those of the scopes that the client can never have at the audience: of the others nothing is refused."""
    ceiling = client.ceilings.get(audience.id, ())
    return tuple([name for name in scopes if name not in audience.scopes or name not in ceiling])


def _said(request: TokenRequest) -> tuple[str, ...]:
    """The scopes of a request that is refused whatever they are: as many as may be asked for."""
    said = request.unverified_form.get("scope", ())
    return tuple(dict.fromkeys(said[0].split(" ")))[:MAX_SCOPES] if said else ()


def _no_scope(audience: str, scopes: tuple[str, ...]) -> Unresolved:
    """One answer for a scope that is nowhere and one that is where the client may not go."""
    return Unresolved(
        ErrorKind.INVALID_SCOPE,
        "a requested scope does not exist at an audience of this client",
        "an audience declares scopes, and the client's ceilings name the audience",
        audience=audience,
        scopes=scopes,
    )


def not_allowed(audience: str, scopes: tuple[str, ...] = (), identifier: str = "") -> Unresolved:
    """One answer for unknown and for not permitted: the catalogue is not the client's to enumerate.

    `audience` as `Unresolved` has it; `identifier` what it calls itself, where there is one.
    """
    return Unresolved(
        ErrorKind.INVALID_TARGET,
        "the requested audience is unknown or not permitted for this client",
        f"no ceiling of the client names `{identifier}`" if identifier else "the bundle has no such audience",
        audience=audience,
        scopes=scopes,
    )
