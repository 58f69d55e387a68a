"""What the web room tells of its work; the program turns it into metrics and log lines."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct


class Served(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One answered request. INVARIANT: nothing in it is a secret, a token or a proof.

    Attributes:
        route: the endpoint's name, from a closed list.
        status: of the response.
        seconds: from the first byte read to the answer.
        reference: the request's name in logs and server errors.
        address: the caller's.
        subject, token: who administers: entity key (never a person's) and the token's `jti`.
        grant, client_id, audience: what is known by then; verified, or empty.
        decision: id of the decision, or empty.
        outcome: `granted`, `refused`, or the error code.
        reasons: why scopes were refused.
        what, hint: of a mistake of the client's, what it was and how it is put right.
    """

    route: str
    status: int
    seconds: float
    reference: str
    address: str = ""
    subject: str = ""
    token: str = ""
    grant: str = ""
    client_id: str = ""
    audience: str = ""
    decision: str = ""
    outcome: str = ""
    reasons: tuple[str, ...] = ()
    what: str = ""
    hint: str = ""


class Observer(Protocol):
    """Hears of every request. It must not raise, and must not block."""

    def served(self, what: Served) -> None:
        """A request was answered."""
        ...

    def failed(self, reference: str, error: BaseException) -> None:
        """An error that the client is not told about."""
        ...
