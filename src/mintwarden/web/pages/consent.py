"""The page that asks: what a client wants, in the catalogue's words, for how long, and what the policy refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from msgspec import Struct

from mintwarden.authn.sign_in import SignIn
from mintwarden.issue.authorization.complete import OFFLINE
from mintwarden.issue.authorization.preview import STEP_UP, Preview
from mintwarden.issue.authorization.request import AuthorizationRequest
from mintwarden.issue.granted import acting
from mintwarden.model.catalogue import Catalogue, Client
from mintwarden.model.decision import ScopeDecision
from mintwarden.web.pages.render import Pages
from mintwarden.web.pages.shown import day, groups_of, limited_to
from mintwarden.web.reply import Reply

_WHY: Mapping[str, str] = {
    "fact_missing": "consent_why_unknown",
    "fact_stale": "consent_why_unknown",
    "source_failing": "consent_why_unknown",
    "claim_absent": "consent_why_unknown",
    "client_ceiling": "consent_why_client",
    "environment": "consent_why_client",
    "tenancy": "consent_why_place",
    "actor_not_permitted": "consent_why_actor",
    "no_lifetime": "consent_why_time",
    "unknown_detail": "consent_why_form",
}
"""What a person is told of a reason. Which rule it was, and what is held against somebody, is not for this page."""


_LACKING: Sequence[tuple[str, str]] = (
    ("require_approval", "consent_why_approval"),
    ("require_purpose", "consent_why_purpose"),
    ("require_binding", "consent_why_binding"),
)
"""What a rule demands that another sign-in does not meet; the first of them is said."""


class Consenting(Struct, frozen=True, kw_only=True):
    """What the page is about. `origin`: where its form may lead to in the end."""

    handle: str
    token: str
    client: Client
    sign_in: SignIn
    before: Preview
    catalogue: Catalogue
    request: AuthorizationRequest
    origin: str
    now: int


class ConsentPage:
    """Renders it."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def render(self, asked: Consenting, language: str) -> Reply:
        """The page. Scopes can be left out one by one, but for signing in itself."""
        catalogue, before, client = asked.catalogue, asked.before, asked.client
        until = asked.now + client.refresh.absolute * 1000
        return self._pages.render(
            "consent.html",
            language,
            form_action=[asked.origin],
            client_name=client.name,
            client_owner=client.owner,
            client_host=urlsplit(client.id).hostname if "://" in client.id else "",
            leads_to=asked.origin,
            person=asked.sign_in.subject.id,
            agent=bool(acting(client, asked.sign_in.subject)),
            limited=limited_to(asked.request.confines, asked.request.budget, asked.request.max_depth, catalogue),
            groups=groups_of(before.scopes, before.identity, before.details, catalogue),
            refused=refusals(before, self._pages, language),
            renewable="refresh_token" in client.grants,
            offline=OFFLINE in before.identity,
            until=day(until),
            minutes=max(1, before.lifetime // 60),
            handle=asked.handle,
            token=asked.token,
        )


def refusals(before: Preview, pages: Pages, language: str) -> list[dict[str, str]]:
    """What the policy refuses already, in the catalogue's words, and why in one line."""
    scopes, details = before.catalogue.scopes, before.catalogue.details
    found = []
    for answer in before.refused:
        known = scopes.get(answer.scope) or details.get(answer.scope)
        meaning = known.meaning if known is not None else answer.scope
        found.append({"meaning": meaning, "why": pages.text(language, _why(answer))})
    return found


def _why(scope: ScopeDecision) -> str:
    if scope.reason != "obligation_unmet":
        return _WHY.get(scope.reason or "", "consent_why_policy")
    names = {obligation.name for obligation in scope.unmet}
    if names and names <= STEP_UP:
        return "consent_why_sign_in"
    return next((why for name, why in _LACKING if name in names), "consent_why_policy")
