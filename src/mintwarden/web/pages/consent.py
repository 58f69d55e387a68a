"""The page that asks: what a client wants, in the catalogue's words, for how long, and what the policy refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from mintwarden.authn.sign_in import SignIn
from mintwarden.issue.authorization.complete import OFFLINE
from mintwarden.issue.authorization.preview import STEP_UP, Preview
from mintwarden.model.catalogue import Catalogue, Client
from mintwarden.model.decision import ScopeDecision
from mintwarden.web.pages.render import Pages
from mintwarden.web.pages.shown import day, groups_of
from mintwarden.web.reply import Reply

_WHY: Mapping[str, str] = {
    "fact_missing": "consent_why_unknown",
    "fact_stale": "consent_why_unknown",
    "source_failing": "consent_why_unknown",
    "claim_absent": "consent_why_unknown",
    "client_ceiling": "consent_why_client",
    "environment": "consent_why_client",
    "tenancy": "consent_why_place",
}
"""What a person is told of a reason. Which rule it was, and what is held against somebody, is not for this page."""


class Consenting(Struct, frozen=True, kw_only=True):
    """What the page is about. `origin`: where its form may lead to in the end."""

    handle: str
    token: str
    client: Client
    sign_in: SignIn
    before: Preview
    catalogue: Catalogue
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
            groups=groups_of(before.scopes, before.identity, before.details, catalogue),
            refused=[self._refused(scope, catalogue, language) for scope in before.refused],
            renewable="refresh_token" in client.grants,
            offline=OFFLINE in before.identity,
            until=day(until),
            minutes=max(1, before.lifetime // 60),
            handle=asked.handle,
            token=asked.token,
        )

    def _refused(self, scope: ScopeDecision, catalogue: Catalogue, language: str) -> dict[str, Any]:
        known = catalogue.scopes.get(scope.scope) or catalogue.details.get(scope.scope)
        return {
            "meaning": known.meaning if known is not None else scope.scope,
            "why": self._pages.text(language, _why(scope)),
        }


def _why(scope: ScopeDecision) -> str:
    if scope.reason == "obligation_unmet":
        names = {obligation.name for obligation in scope.unmet}
        if names and names <= STEP_UP:
            return "consent_why_sign_in"
        return "consent_why_approval" if "require_approval" in names else "consent_why_policy"
    return _WHY.get(scope.reason or "", "consent_why_policy")
