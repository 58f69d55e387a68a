"""What the policy would grant now, to this person and through this client: the line's own steps 4 and 5.

Nothing is signed of it, and nothing of it is promised: each token is decided anew. But what the policy does not grant
now is never part of what a person allows, so that no later token is wider than what both said.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from mintwarden.authn.sign_in import SignIn
from mintwarden.issue.authorization.request import GRANT, AuthorizationRequest
from mintwarden.issue.granted import acting
from mintwarden.issue.line import Line, Regime
from mintwarden.issue.pipeline import Decided, decide_now, with_registered
from mintwarden.model.asked import Asked
from mintwarden.model.caller import Binding, Caller
from mintwarden.model.catalogue import Catalogue, Client
from mintwarden.model.decision import Obligation, ScopeDecision

STEP_UP: Final = frozenset({"require_acr", "require_amr", "require_auth_age"})
"""Demands that another sign-in can meet."""


class Preview(Struct, frozen=True, kw_only=True):
    """The decisions, one an audience, and what they come to.

    Attributes:
        scopes: audience id to what of it is granted; audiences of which nothing is are left out.
        identity: what of the identity scopes is granted.
        lifetime: the longest life of a token of it, in seconds.
        catalogue: what it was decided under.
    """

    catalogue: Catalogue
    decided: tuple[Decided, ...]
    scopes: Mapping[str, tuple[str, ...]]
    identity: tuple[str, ...]
    lifetime: int

    @property
    def granted(self) -> bool:
        """Anything at all."""
        return bool(self.scopes or self.identity)

    @property
    def refused(self) -> tuple[ScopeDecision, ...]:
        """What is not granted."""
        return tuple(scope for one in self.decided for scope in one.decision.scopes if not scope.granted)

    @property
    def step_up(self) -> tuple[Obligation, ...]:
        """What another sign-in must meet, where everything is refused for want of that alone; else empty."""
        refused = self.refused
        if self.granted or not all(s.reason == "obligation_unmet" and s.unmet for s in refused):
            return ()
        unmet = {obligation: None for scope in refused for obligation in scope.unmet}
        return tuple(unmet) if all(obligation.name in STEP_UP for obligation in unmet) else ()


async def preview(
    request: AuthorizationRequest,
    client: Client,
    caller: Caller,
    sign_in: SignIn,
    *,
    address: str,
    regime: Regime,
    line: Line,
    now: int,
) -> Preview:
    """Decide about everything that `request` asks for.

    Raises `EpochMoved` where the facts are of another epoch than the caller.
    """
    identity = regime.catalogue.identity
    questions = [(name, scopes) for name, scopes in request.scopes.items()]
    if request.identity:
        questions.append((identity, request.identity))
    found = []
    for name, scopes in questions:
        asked: Asked = _asked(request, client, caller, sign_in, name, scopes, address)
        decided = await decide_now(asked, caller, regime, line, epoch=caller.epoch, now=now)
        wanted = "" if asked.binding is not None else _binding_wanted(decided)
        if wanted:
            # The key is proven with the code. Whoever does not prove one then is refused then.
            held = replace(asked, binding=Binding(kind=wanted, thumbprint=""))
            decided = await decide_now(held, caller, regime, line, epoch=caller.epoch, now=now)
        found.append(decided)
    granted = {one.asked.audience: one.decision.granted_scopes for one in found if one.decision.granted}
    lifetimes = [one.decision.lifetime.seconds for one in found if one.decision.lifetime is not None]
    mine = granted.pop(identity, ()) if request.identity else ()
    return Preview(
        catalogue=regime.catalogue,
        decided=tuple(found),
        scopes=granted,
        identity=mine,
        lifetime=max(lifetimes, default=0),
    )


def narrowed(before: Preview, chosen: Collection[str]) -> Preview:
    """What is left of a preview when a person allows `chosen`. Signing in itself is no choice of the page's."""
    scopes = {name: tuple(scope for scope in granted if scope in chosen) for name, granted in before.scopes.items()}
    return replace(
        before,
        scopes={name: granted for name, granted in scopes.items() if granted},
        identity=tuple(scope for scope in before.identity if scope in chosen or scope == "openid"),
    )


def _asked(
    request: AuthorizationRequest,
    client: Client,
    caller: Caller,
    sign_in: SignIn,
    audience: str,
    scopes: tuple[str, ...],
    address: str,
) -> Asked:
    confines = request.confines
    asked = Asked(
        grant=GRANT,
        client_id=client.id,
        subject=sign_in.subject,
        actors=acting(client, sign_in.subject),
        audience=audience,
        scopes=scopes,
        purpose=confines.purpose,
        environment=confines.environment,
        tenant=confines.tenant,
        workspace=confines.workspace,
        project=confines.project,
        acr=sign_in.acr,
        amr=sign_in.amr,
        authenticated_at=sign_in.authenticated_at or None,
        session=sign_in.session,
        device=sign_in.device,
        address=address,
        binding=Binding(kind="dpop", thumbprint=request.dpop_jkt) if request.dpop_jkt else None,
        method=client.methods[0],
    )
    return with_registered(asked, caller.registered)


def _binding_wanted(decided: Decided) -> str:
    """The kind of key that something is refused for want of, or empty."""
    for scope in decided.decision.scopes:
        for obligation in scope.unmet if scope.reason == "obligation_unmet" else ():
            if obligation.name == "require_binding":
                return "dpop" if obligation.value == "any" else obligation.value
    return ""
