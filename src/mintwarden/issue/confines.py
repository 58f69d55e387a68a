"""The narrower circumstances a caller may state: purpose, environment, tenant, workspace, project, lifetime.

Extension parameters, documented in `docs/token.md`. The confines of an earlier token and of a grant hold: they may be
repeated or left out, never changed.
"""

from __future__ import annotations

import re

from msgspec import Struct
from msgspec.structs import replace

from mintwarden.model.caller import Evidence
from mintwarden.model.catalogue import Audience, Catalogue, Client
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.request import TokenRequest

CONFINES = ("purpose", "environment", "tenant", "workspace", "project", "requested_lifetime")

_NAMES = frozenset(CONFINES)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@/-]{0,127}")
_SECONDS = re.compile(r"[1-9][0-9]{0,7}")


class Confines(Struct, frozen=True):
    """The circumstances, empty where not stated; `lifetime` in seconds."""

    purpose: str
    environment: str
    tenant: str
    workspace: str
    project: str
    lifetime: int | None


def read_confines(
    request: TokenRequest, client: Client, audience: Audience, catalogue: Catalogue, earlier: Evidence | None = None
) -> Confines:
    """What the request states, checked for form and against `earlier`; raises `INVALID_REQUEST`.

    INVARIANT: a tenant, workspace or project enters a token only where the audience says which of the subject's
    facts it is checked against, or from an earlier token, where it was.
    """
    if earlier is None and _NAMES.isdisjoint(request.unverified_form):
        return Confines("", client.environments[0], "", "", "", None)
    declared = {tenancy.parameter for tenancy in audience.tenancy}
    for name in ("tenant", "workspace", "project"):
        if request.one(name) is not None and name not in declared and not (earlier and getattr(earlier, name)):
            raise _invalid(f"the audience takes no `{name}`", "leave it out, or add `[[tenancy]]` to the audience")
    purpose = _stated(request, "purpose", earlier.purpose if earlier else "")
    if purpose and purpose not in catalogue.purposes:
        raise _invalid("`purpose` is not one of the purposes in use", "see `[purposes]` in `bundle.toml`")
    environment = _stated(request, "environment", earlier.environment if earlier else "") or client.environments[0]
    if environment not in client.environments:
        raise _invalid("`environment` is not one of this client's", "see `environments` in the client's file")
    return Confines(
        purpose,
        environment,
        _stated(request, "tenant", earlier.tenant if earlier else ""),
        _stated(request, "workspace", earlier.workspace if earlier else ""),
        _stated(request, "project", earlier.project if earlier else ""),
        _lifetime(request),
    )


def within(request: TokenRequest, granted: Confines) -> Confines:
    """What a grant is confined to, and the lifetime that the request wishes for.

    Raises `INVALID_REQUEST` for circumstances that are not those in which it was allowed: they may be repeated or left
    out, never changed, and none is added that nobody was asked about.
    """
    if _NAMES.isdisjoint(request.unverified_form):
        return granted
    for name in CONFINES:
        value = request.one(name)
        if name != "requested_lifetime" and value is not None and value != getattr(granted, name):
            raise _invalid(f"`{name}` is not what was granted", "leave it out, or ask for another grant")
    return replace(granted, lifetime=_lifetime(request))


def _lifetime(request: TokenRequest) -> int | None:
    wished = request.one("requested_lifetime")
    if wished is not None and not _SECONDS.fullmatch(wished):
        raise _invalid("`requested_lifetime` is not a whole number of seconds", "send for instance `300`")
    return int(wished) if wished is not None else None


def _stated(request: TokenRequest, name: str, earlier: str) -> str:
    value = request.one(name)
    if value is None:
        return earlier
    if not _NAME.fullmatch(value):
        raise _invalid(f"`{name}` is malformed", "letters, digits and `._:@/-`, at most 128")
    if earlier and value != earlier:
        raise _invalid(f"`{name}` differs from that of the subject token", "leave it out or repeat it")
    return value


def _invalid(public: str, hint: str) -> MintwardenError:
    return MintwardenError(ErrorKind.INVALID_REQUEST, public, hint=hint)
