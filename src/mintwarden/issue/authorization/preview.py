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
from mintwarden.issue.pipeline import Decided, decide_now, record_now, with_registered
from mintwarden.model.asked import Asked
from mintwarden.model.caller import Binding, Caller
from mintwarden.model.catalogue import Catalogue, Client
from mintwarden.model.decision import Obligation, ScopeDecision
from mintwarden.model.detail import Detail
from mintwarden.model.ids import decision_text

STEP_UP: Final = frozenset({"require_acr", "require_amr", "require_auth_age"})
"""Demands that another sign-in can meet."""


class Preview(Struct, frozen=True, kw_only=True):
    """The decisions, one an audience, and what they come to.

    Attributes:
        scopes: audience id to what of it is granted; audiences of which nothing is are left out.
        details: the authorization details that are granted, by their place in the request.
        identity: what of the identity scopes is granted.
        lifetime: the longest life of a token of it, in seconds.
        catalogue: what it was decided under.
    """

    catalogue: Catalogue
    decided: tuple[Decided, ...]
    scopes: Mapping[str, tuple[str, ...]]
    identity: tuple[str, ...]
    lifetime: int
    details: Mapping[int, Detail] = {}

    @property
    def granted(self) -> bool:
        """Anything at all."""
        return bool(self.scopes or self.identity)

    @property
    def refused(self) -> tuple[ScopeDecision, ...]:
        """What is not granted."""
        answers = [answer for one in self.decided for answer in (*one.decision.scopes, *one.decision.details)]
        return tuple(answer for answer in answers if not answer.granted)

    @property
    def lacking_sign_in(self) -> tuple[ScopeDecision, ...]:
        """What of it is refused for want of another sign-in, and of nothing else."""
        return tuple(
            answer
            for answer in self.refused
            if answer.reason == "obligation_unmet" and answer.unmet and {o.name for o in answer.unmet} <= STEP_UP
        )

    @property
    def step_up(self) -> tuple[Obligation, ...]:
        """What another sign-in must meet, where everything is refused for want of that alone; else empty."""
        lacking = self.lacking_sign_in
        if self.granted or len(lacking) != len(self.refused):
            return ()
        return tuple({obligation: None for answer in lacking for obligation in answer.unmet})


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
    grant: str = GRANT,
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
        asked: Asked = _asked(request, client, caller, sign_in, name, scopes, address, regime.catalogue, grant)
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
    details = [
        detail
        for one in found
        for detail, answer in zip(one.asked.details, one.decision.details, strict=False)
        if one.decision.granted and answer.granted
    ]
    return Preview(
        catalogue=regime.catalogue,
        decided=tuple(found),
        scopes=granted,
        identity=mine,
        lifetime=max(lifetimes, default=0),
        # Of two that are the same, both are answered alike.
        details={place: detail for place, detail in enumerate(request.details) if detail in details},
    )


def narrowed(before: Preview, chosen: Collection[str]) -> Preview:
    """What is left of a preview when a person allows `chosen`: names as `scope_box` and `detail_box` make them.

    Signing in itself is no choice of the page's.
    """
    details = {place: detail for place, detail in before.details.items() if detail_box(place) in chosen}
    detailed = {before.catalogue.details[detail.type].audience for detail in details.values()}
    scopes = {
        name: tuple(scope for scope in granted if scope_box(scope) in chosen) for name, granted in before.scopes.items()
    }
    return replace(
        before,
        scopes={name: granted for name, granted in scopes.items() if granted or name in detailed},
        identity=tuple(scope for scope in before.identity if scope_box(scope) in chosen or scope == "openid"),
        details=details,
    )


def scope_box(scope: str) -> str:
    """What a scope is called among the choices of a person."""
    return f"scope:{scope}"


def detail_box(place: int) -> str:
    """The same for an authorization detail, by its place in the request."""
    return f"detail:{place}"


def _asked(
    request: AuthorizationRequest,
    client: Client,
    caller: Caller,
    sign_in: SignIn,
    audience: str,
    scopes: tuple[str, ...],
    address: str,
    catalogue: Catalogue,
    grant: str,
) -> Asked:
    confines = request.confines
    there = catalogue.audiences[audience].details
    asked = Asked(
        grant=grant,
        client_id=client.id,
        subject=sign_in.subject,
        actors=acting(client, sign_in.subject),
        audience=audience,
        scopes=scopes,
        details=tuple(detail for detail in request.details if detail.type in there),
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


async def record_refused(before: Preview, regime: Regime, line: Line) -> str:
    """Write down that nothing of a request is granted; the decision to ask about."""
    for decided in before.decided:
        await record_now(decided, regime, line)
    return decision_text(before.decided[0].id) if before.decided else ""


def _binding_wanted(decided: Decided) -> str:
    """The kind of key that something is refused for want of, or empty."""
    for scope in (*decided.decision.scopes, *decided.decision.details):
        for obligation in scope.unmet if scope.reason == "obligation_unmet" else ():
            if obligation.name == "require_binding":
                return "dpop" if obligation.value == "any" else obligation.value
    return ""
