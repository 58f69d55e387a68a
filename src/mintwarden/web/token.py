"""`POST /token`: step 1 (parse) and step 9 (respond) of the straight line."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from mintwarden.issue.in_step import IN_STEP
from mintwarden.model.detail import granted_details
from mintwarden.model.request import TokenRequest
from mintwarden.model.token import SignedToken
from mintwarden.web.errors import refusal_reply
from mintwarden.web.form_endpoint import Work
from mintwarden.web.reply import Reply, json_reply

if TYPE_CHECKING:
    from mintwarden.issue.pipeline import Outcome

Disclosure = Literal["nothing", "challenge"]


class TokenResponse(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """RFC 6749 section 5.1, with RFC 8693 section 2.2.1 for an exchange, OpenID Connect Core section 3.1.3.3, and
    RFC 9396 section 7 for details.
    """

    access_token: str
    token_type: str
    expires_in: int
    scope: str = ""
    issued_token_type: str = ""
    refresh_token: str = ""
    id_token: str = ""
    authorization_details: Sequence[Mapping[str, Any]] = ()


class TokenAnswers:
    """A request in, a token or a refusal out. It decides nothing: `issue` is the whole straight line between.

    Args:
        issue: steps 2 to 8.
        disclosure: what a refused client of an audience (by id) may learn.
        approvals_at: where approvals that rules demand are asked for; empty where nobody gives any here.
    """

    def __init__(
        self,
        *,
        issue: Callable[[TokenRequest], Awaitable[Outcome]],
        disclosure: Callable[[str], Disclosure],
        approvals_at: Callable[[], str] = str,
    ) -> None:
        self._issue = issue
        self._disclosure = disclosure
        self._approvals_at = approvals_at

    async def __call__(self, request: TokenRequest, work: Work) -> Reply:
        """The answer to one request."""
        outcome = await self._issue(request)
        await IN_STEP
        work.decision = outcome.decision_id
        work.client_id = outcome.asked.client_id
        work.grant = outcome.asked.grant
        work.audience = outcome.asked.audience
        decided = outcome.decision
        answers = (*decided.scopes, *decided.details) if decided.details else decided.scopes
        work.reasons = tuple([s.reason for s in answers if s.reason is not None])
        return self._respond(outcome, work)

    def _respond(self, outcome: Outcome, work: Work) -> Reply:
        token = outcome.token
        if token is None:
            work.outcome = "refused"
            asked = outcome.asked
            return refusal_reply(
                outcome.decision,
                outcome.decision_id,
                defaulted=asked.defaulted,
                disclose=self._disclosure(asked.audience),
                approvals_at=self._approvals_at(),
            )
        work.outcome = "granted"
        return json_reply(200, token_response(outcome, token))


def token_response(outcome: Outcome, token: SignedToken) -> TokenResponse:
    """What a client gets with `token`."""
    decision, asked = outcome.decision, outcome.asked
    return TokenResponse(
        access_token=token.compact,
        token_type=token.token_type,
        expires_in=token.expires_in,
        scope=" ".join(decision.granted_scopes),
        issued_token_type=token.issued if asked.grant == "token_exchange" else "",
        authorization_details=granted_details(asked.details, [one.granted for one in decision.details])
        if decision.details
        else (),
        refresh_token=outcome.refresh_token,
        id_token="" if outcome.id_token is None else outcome.id_token.compact,
    )
