"""The closed list of what can go wrong, and the one error type that carries it.

A *refusal is not an error*: a policy that says no is a `Decision`. `web` alone turns a kind into an OAuth
error, `app.cli` alone into a diagnostic. Wording: lower case, no full stop, user input in backticks, one line.
"""

from __future__ import annotations

import enum


class ErrorKind(enum.Enum):
    """Every kind of failure. `docs/errors.md` has a heading for each; a test holds that."""

    INVALID_REQUEST = "invalid_request"
    INVALID_CLIENT = "invalid_client"
    UNAUTHORIZED_CLIENT = "unauthorized_client"
    UNSUPPORTED_GRANT_TYPE = "unsupported_grant_type"
    INVALID_GRANT = "invalid_grant"
    INVALID_SCOPE = "invalid_scope"
    INVALID_TARGET = "invalid_target"
    UNSUPPORTED_TOKEN_TYPE = "unsupported_token_type"  # noqa: S105 - the name of an error
    INVALID_AUTHORIZATION_DETAILS = "invalid_authorization_details"
    INVALID_TOKEN = "invalid_token"  # noqa: S105 - the name of an error
    INSUFFICIENT_SCOPE = "insufficient_scope"
    INVALID_DPOP_PROOF = "invalid_dpop_proof"
    USE_DPOP_NONCE = "use_dpop_nonce"
    INVALID_REDIRECT_URI = "invalid_redirect_uri"
    INVALID_CLIENT_METADATA = "invalid_client_metadata"
    INVALID_SOFTWARE_STATEMENT = "invalid_software_statement"
    UNAPPROVED_SOFTWARE_STATEMENT = "unapproved_software_statement"
    INVALID_CLIENT_ATTESTATION = "invalid_client_attestation"
    USE_ATTESTATION_CHALLENGE = "use_attestation_challenge"
    USE_FRESH_ATTESTATION = "use_fresh_attestation"
    UNSUPPORTED_RESPONSE_TYPE = "unsupported_response_type"
    INVALID_REQUEST_OBJECT = "invalid_request_object"
    INVALID_REQUEST_URI = "invalid_request_uri"
    ACCESS_DENIED = "access_denied"
    LOGIN_REQUIRED = "login_required"
    CONSENT_REQUIRED = "consent_required"
    INTERACTION_REQUIRED = "interaction_required"
    UNMET_AUTHENTICATION_REQUIREMENTS = "unmet_authentication_requirements"
    AUTHORIZATION_PENDING = "authorization_pending"
    SLOW_DOWN = "slow_down"
    EXPIRED_TOKEN = "expired_token"  # noqa: S105 - the name of an error
    APPROVAL_DENIED = "approval_denied"
    INVALID_BINDING_MESSAGE = "invalid_binding_message"
    UNKNOWN_USER_ID = "unknown_user_id"
    EXPIRED_LOGIN_HINT_TOKEN = "expired_login_hint_token"  # noqa: S105 - the name of an error
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    TOO_LARGE = "too_large"
    OVERLOADED = "overloaded"
    UNAVAILABLE = "unavailable"
    BUNDLE = "bundle"
    CONFIG = "config"
    LEDGER = "ledger"
    KEYS = "keys"
    STORE = "store"
    SOURCE = "source"
    INTERNAL = "internal"


class MintwardenError(Exception):
    """Something failed, and whoever asked is told as much as they may know.

    Attributes:
        kind: one of the closed list.
        public: one line that anyone may read; no secret, no internal name.
        hint: one line for the operator or developer: what to do about it.
        authenticate: the client used the `Authorization` header, so a 401 must carry `WWW-Authenticate`
            (RFC 6749 section 5.2).
    """

    def __init__(self, kind: ErrorKind, public: str, *, hint: str = "", authenticate: bool = False) -> None:
        super().__init__(public)
        self.kind = kind
        self.public = public
        self.hint = hint
        self.authenticate = authenticate


class FatalLedgerError(MintwardenError):
    """The ledger may fork or lose an entry if anything goes on: issuing stops until an operator has looked."""

    def __init__(self, public: str, *, hint: str = "") -> None:
        super().__init__(ErrorKind.LEDGER, public, hint=hint)
