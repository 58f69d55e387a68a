"""User info (OpenID Connect Core section 5.3): what a client may learn now of who signed in.

It is a decision like any other, about the scopes of the token that is shown, and recorded: a claim that it would
not be given any more is not told, however long the token still lives.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mintwarden.authn.presented import Presented
from mintwarden.issue.fresh import Fresh
from mintwarden.issue.line import Line, Regime
from mintwarden.issue.pipeline import record_now
from mintwarden.model.caller import OnceKey
from mintwarden.model.errors import ErrorKind, MintwardenError

SIGN_IN = "openid"
"""The scope without which nothing is told."""


async def user_info(
    shown: Presented, once: tuple[OnceKey, ...], *, fresh: Fresh, regime: Regime, line: Line, now: int
) -> Mapping[str, Any]:
    """What is told. `shown` is believed and of the identity audience, `once` are the proofs that came with it.

    Raises `INSUFFICIENT_SCOPE`, `INVALID_TOKEN` where nobody knows what it was for, `ProofReplayed`, `EpochMoved`.
    """
    if SIGN_IN not in (shown.evidence.scopes or ()):
        raise _lacking()
    decided = await fresh.again(shown, now)
    if decided is None:
        raise MintwardenError(ErrorKind.INVALID_TOKEN, "the access token is good no more", authenticate=True)
    # INVARIANT: it is written down before it is told.
    await record_now(decided, regime, line, once=once)
    decision = decided.decision
    if SIGN_IN not in decision.granted_scopes or decision.actors != shown.evidence.actors:
        raise _lacking()
    return {**{claim.name: claim.value for claim in decision.claims}, "sub": decision.subject.id}


def _lacking() -> MintwardenError:
    return MintwardenError(ErrorKind.INSUFFICIENT_SCOPE, f"`{SIGN_IN}` is not granted", authenticate=True)
