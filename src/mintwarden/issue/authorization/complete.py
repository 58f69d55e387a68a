"""The end of an authorization: a code, and behind it the grant, in one commit (RFC 6749 section 4.1.2)."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping

from mintwarden.authn.shelf import Shelf
from mintwarden.authn.sign_in import SignIn
from mintwarden.issue.authorization.request import AuthorizationRequest
from mintwarden.issue.granted import Granted, acting
from mintwarden.issue.memory import CODE_LIFE, Code, Memory
from mintwarden.model.catalogue import Catalogue, Client
from mintwarden.model.detail import Detail
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.ids import entity_key

OFFLINE = "offline_access"


def random_text(entropy: Callable[[int], bytes], size: int = 32) -> str:
    """So many random bytes, as text for addresses."""
    return base64.urlsafe_b64encode(entropy(size)).rstrip(b"=").decode()


def granted_of(
    request: AuthorizationRequest,
    client: Client,
    sign_in: SignIn,
    *,
    grant_id: str,
    scopes: Mapping[str, tuple[str, ...]],
    identity: tuple[str, ...],
    details: tuple[Detail, ...] = (),
    session_ends: int,
    now: int,
) -> Granted:
    """What was allowed. Without `offline_access` it ends with the session it was allowed in, at the latest."""
    offline = OFFLINE in identity and "refresh_token" in client.grants
    ends = now + client.refresh.absolute * 1000
    confines = request.confines
    return Granted(
        grant_id=grant_id,
        client_id=client.id,
        sign_in=sign_in,
        scopes=scopes,
        identity=identity,
        details=details,
        actors=acting(client, sign_in.subject),
        budget=request.budget,
        max_depth=request.max_depth,
        purpose=confines.purpose,
        environment=confines.environment,
        tenant=confines.tenant,
        workspace=confines.workspace,
        project=confines.project,
        id_token_claims=request.id_token_claims,
        granted_at=now,
        ends=ends if offline else min(ends, session_ends),
        offline=offline,
    )


def longest_token(catalogue: Catalogue, granted: Granted) -> int:
    """The longest life of a token of a grant under `catalogue`, in seconds; what is made of it lives no longer."""
    names = [*granted.scopes, *([catalogue.identity] if granted.identity else [])]
    return max((catalogue.audiences[name].max_ttl for name in names), default=0)


async def hand_out(
    request: AuthorizationRequest,
    client: Client,
    granted: Granted,
    *,
    instance: str = "",
    memory: Memory,
    used: Shelf[str],
    uses: tuple[str, ...],
    entropy: Callable[[int], bytes],
    longest: int,
    now: int,
) -> str:
    """The code; `longest` is the longest life of a token of it, in seconds. `instance`: as in `Code`.

    Raises `INVALID_REQUEST_URI` where one of `uses` (handles) led to an answer before.

    INVARIANT: code, grant and what is used up by them are one commit: nothing is handed out twice, and no code stands
    for a grant that is not there.
    """
    code = random_text(entropy)
    renewable = "refresh_token" in client.grants
    what = Code(
        granted=granted,
        redirect_uri=request.to.redirect_uri,
        challenge=request.challenge,
        dpop_jkt=request.dpop_jkt,
        instance=instance,
        nonce=request.nonce,
        renewable=renewable,
        ends=now + CODE_LIFE,
    )
    person = entity_key(granted.sign_in.subject)
    states = [
        memory.codes.state(code, what, ends=what.ends, owner=person),
        memory.kept(granted, ends=None if renewable else what.ends + longest * 1000),
    ]
    # Remembered for longer than what it is about can be shown again.
    states += [used.state(handle, granted.client_id, ends=now + 2 * 3_600_000) for handle in uses]
    if not await memory.states.add(states):
        raise MintwardenError(
            ErrorKind.INVALID_REQUEST_URI, "this request was answered before", hint="begin again at the application"
        )
    return code
