"""Who may administer: the bearer of one of our own access tokens for the audience `mintwarden` (RFC 6750)."""

from __future__ import annotations

from collections.abc import Sequence

from mintwarden.authn.jose import JoseError, decode_json, parse
from mintwarden.authn.own import OwnTokens
from mintwarden.model.caller import Evidence
from mintwarden.model.clock import Clock
from mintwarden.model.errors import ErrorKind, MintwardenError

AUDIENCE = "mintwarden"
"""The catalogue's audience for administration; its identifier is the issuer with `/admin` appended."""


class ScopeLacking(MintwardenError):
    """The access token is good, and lacks `scope`."""

    def __init__(self, scope: str) -> None:
        super().__init__(ErrorKind.INSUFFICIENT_SCOPE, f"the access token lacks the scope `{scope}`", authenticate=True)
        self.scope = scope


def demand(who: Evidence, *scopes: str) -> None:
    """Raise `ScopeLacking` unless one of `scopes` is among the token's own; `area:*` stands for any below `area:`."""
    own = who.scopes or ()
    for scope in scopes:
        if scope in own or (scope.endswith(":*") and any(held.startswith(scope[:-1]) for held in own)):
            return
    raise ScopeLacking(scopes[0])


class Access:
    """Verifies access tokens for administration, strictly: ours, alive, for this audience.

    `audience` is the identifier of the catalogue's audience, or empty when the bundle has none: then nobody may.
    """

    def __init__(self, *, own: OwnTokens, audience: str, clock: Clock) -> None:
        self._own = own
        self._audience = audience
        self._clock = clock

    def verify(self, authorizations: Sequence[str]) -> Evidence:
        """What the token proves.

        Raises `INVALID_TOKEN` (401) for a missing or bad token, `INVALID_REQUEST` for two. A token that is bound to a
        key is refused: this endpoint takes no proofs, and a bound token without one proves nothing.
        """
        if len(authorizations) > 1:
            raise MintwardenError(ErrorKind.INVALID_REQUEST, "`Authorization` is repeated")
        scheme, _, token = (authorizations[0] if authorizations else "").partition(" ")
        if not token or scheme.lower() != "bearer":
            raise MintwardenError(ErrorKind.INVALID_TOKEN, "an access token is needed")
        try:
            unverified = parse(token.strip())
            evidence = self._own.verify(unverified, decode_json(unverified.payload), self._clock.now())
        except JoseError as error:
            raise MintwardenError(
                ErrorKind.INVALID_TOKEN, "the access token is not valid", hint=str(error), authenticate=True
            ) from None
        if not self._audience or self._audience not in evidence.audiences or evidence.binding is not None:
            raise MintwardenError(
                ErrorKind.INVALID_TOKEN, "the access token is not for this service", authenticate=True
            )
        return evidence
