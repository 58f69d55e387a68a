"""The client asks for itself (RFC 6749 section 4.4)."""

from __future__ import annotations

from mintwarden.issue.confines import CONFINES, read_confines
from mintwarden.issue.details import DETAILS, read_details
from mintwarden.issue.granted import NOTHING, Recalled
from mintwarden.issue.limits import LIMITS, read_limits
from mintwarden.issue.target import TARGET, read_target
from mintwarden.issue.unresolved import Unresolved
from mintwarden.model.asked import Asked
from mintwarden.model.caller import Caller
from mintwarden.model.catalogue import Catalogue, Client
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.request import TokenRequest
from mintwarden.model.values import EntityUid

NAME = "client_credentials"
GRANT_TYPE = "client_credentials"
PARAMETERS = frozenset({"grant_type", *TARGET, *DETAILS, *CONFINES, *LIMITS})


def resolve(
    request: TokenRequest, caller: Caller, client: Client, catalogue: Catalogue, _recalled: Recalled = NOTHING
) -> Asked:
    """What the client asks for itself. A public client proves nothing, so it may not (RFC 6749 section 4.4)."""
    if caller.method == "none":
        raise MintwardenError(
            ErrorKind.UNAUTHORIZED_CLIENT,
            "a public client cannot use `client_credentials`",
            hint="give the client an authentication method other than `none`",
        )
    try:
        details = read_details(request, client, catalogue)
        target = read_target(request, client, catalogue, details=details)
    except Unresolved as refused:
        raise refused.of(NAME, request, caller, client, catalogue) from None
    confines = read_confines(request, client, catalogue.audiences[target.audience], catalogue)
    limits = read_limits(request)
    return Asked(
        grant=NAME,
        client_id=client.id,
        subject=EntityUid(client.principal, client.id),
        audience=target.audience,
        scopes=target.scopes,
        defaulted=target.defaulted,
        purpose=confines.purpose,
        environment=confines.environment,
        tenant=confines.tenant,
        workspace=confines.workspace,
        project=confines.project,
        lifetime=confines.lifetime,
        address=request.address,
        binding=caller.binding,
        method=caller.method,
        budget=limits.budget,
        max_depth=limits.max_depth,
        details=details,
    )
