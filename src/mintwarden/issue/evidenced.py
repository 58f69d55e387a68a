"""The question that is asked with somebody's token: what the token says, and what the request does, in their places."""

from __future__ import annotations

from msgspec import Struct

from mintwarden.issue.confines import Confines
from mintwarden.issue.limits import Limits
from mintwarden.issue.target import Target
from mintwarden.model.asked import Asked, Parent
from mintwarden.model.caller import Caller, Evidence
from mintwarden.model.detail import Detail
from mintwarden.model.request import TokenRequest
from mintwarden.model.transaction import Transaction
from mintwarden.model.values import EntityUid


class Wanted(Struct, frozen=True):
    """What a request wants, read and checked."""

    target: Target
    confines: Confines
    limits: Limits
    details: tuple[Detail, ...]


def asked_with(
    subject: Evidence,
    wanted: Wanted,
    request: TokenRequest,
    caller: Caller,
    *,
    grant: str,
    parent: Parent,
    actors: tuple[EntityUid, ...],
    impersonate: bool = False,
    transaction: Transaction | None = None,
    lineage: tuple[str, ...] = (),
    lineage_keys: tuple[str, ...] = (),
    resources: tuple[str, ...] = (),
) -> Asked:
    """What `caller` asks for the subject of a token. `parent` are the token's limits, `lineage` what it came of,
    `lineage_keys` what signed it.

    `resources` are those of another domain.
    """
    target, confines, limits = wanted.target, wanted.confines, wanted.limits
    return Asked(
        grant=grant,
        client_id=caller.client_id,
        subject=subject.principal,
        actors=actors,
        impersonate=impersonate,
        audience=target.audience,
        scopes=target.scopes,
        defaulted=target.defaulted,
        purpose=confines.purpose,
        environment=confines.environment,
        tenant=confines.tenant,
        workspace=confines.workspace,
        project=confines.project,
        lifetime=confines.lifetime,
        acr=subject.acr,
        amr=subject.amr,
        authenticated_at=subject.authenticated_at,
        session=subject.session,
        device=subject.device,
        address=request.address,
        binding=caller.binding,
        method=caller.method,
        budget=limits.budget,
        max_depth=limits.max_depth,
        transaction=transaction,
        parent=parent,
        grant_id=subject.grant_id,
        lineage=lineage,
        lineage_keys=lineage_keys,
        details=wanted.details,
        resources=resources,
    )
