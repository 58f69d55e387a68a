"""Security events that something comes of: which they are, what facts they become, whose count, why one is not taken.

The names are those of OpenID CAEP 1.0 and RISC 1.0, without what stands before the last `/` of their URIs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from msgspec import Struct

FAMILIES: Final[Mapping[str, str]] = {
    "session-revoked": "",
    "sessions-revoked": "",
    "credential-change": "credential",
    "credential-compromise": "credential",
    "account-disabled": "account",
    "account-enabled": "account",
    "account-purged": "account",
    "device-compliance-change": "device-compliance",
    "assurance-level-change": "assurance-level",
    "risk-level-change": "risk-level",
}
"""Each such event, and the family of facts that it belongs to, if any.

Events of one family speak of one and the same state, so that the latest of them alone counts.
"""

FACTS: Final[Mapping[str, tuple[str, ...]]] = {
    "credential": ("credential_event", "credential_type", "change_type"),
    "account": ("account_status", "account_reason"),
    "device-compliance": ("device_compliance",),
    "assurance-level": ("assurance_level", "assurance_namespace"),
    "risk-level": ("risk_level", "risk_reason"),
}
"""Each family's facts, all of them text; the first of each is said by every event of the family."""


class Transmitter(Struct, frozen=True, kw_only=True):
    """A Shared Signals transmitter: whose security events count here, and about whom (OpenID SSF 1.0).

    Attributes:
        issuer: exact `iss` of its tokens; its own description is found from there.
        jwks_uri: where its keys are, instead of what that says; or empty.
        audiences: one of them must be in `aud`.
        delivery: it pushes (RFC 8935), or is polled (RFC 8936) at `poll_endpoint`.
        algorithms: what its tokens may be signed with.
        events: short names of the events that it may tell of.
        speaks_of: what its subjects may be.
        provider: id of the provider whose people and sessions it speaks of; empty where it names people itself.
        subject_prefix: put before the `sub` of its people; that of the provider where there is one.
        emails: domains whose addresses it may name people by, to how such a person is called here: `{address}` or
            `{local}` stands for the address or for what is before its `@`.
        facts: family of events to the source that they become facts of.
    """

    id: str
    issuer: str
    audiences: tuple[str, ...]
    events: tuple[str, ...]
    delivery: Literal["push", "poll"] = "push"
    poll_endpoint: str = ""
    jwks_uri: str = ""
    algorithms: tuple[str, ...] = ("ES256", "PS256", "EdDSA", "RS256")
    speaks_of: tuple[Literal["user", "session", "device"], ...] = ("user",)
    provider: str = ""
    subject_prefix: str = ""
    emails: Mapping[str, str] = {}
    facts: Mapping[str, str] = {}


SignalFault = Literal[
    "invalid_request", "invalid_key", "invalid_issuer", "invalid_audience", "authentication_failed", "access_denied"
]
"""The error codes for security event tokens (RFC 8935 section 2.4)."""


class SignalRefused(Exception):
    """A security event token is not taken. `fault` and the one line of `description` are what its transmitter is told.

    Nothing of what it sent is in them.
    """

    def __init__(self, fault: SignalFault, description: str) -> None:
        super().__init__(description)
        self.fault = fault
        self.description = description
