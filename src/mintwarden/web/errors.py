"""The only place where an error or a refusal becomes an OAuth error response.

RFC 6749 section 5.2, RFC 8693 section 2.2.2, RFC 8707 section 2, RFC 9396 section 5, RFC 6750 section 3.1;
`docs/errors.md`.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from typing import Literal

from mintwarden.model.decision import Decision, Obligation
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.web.reply import Header, Reply, json_reply

RETRY_AFTER: Header = (b"retry-after", b"1")
SPREAD: tuple[Header, ...] = tuple([(b"retry-after", b"%d" % seconds) for seconds in range(2, 7)])
"""Those for whom there was no room come back one after the other: all in the same second would be the same crowd."""

_SERVER = (500, "server_error")
_LATER = (503, "temporarily_unavailable")

TABLE: Mapping[ErrorKind, tuple[int, str]] = {
    ErrorKind.INVALID_REQUEST: (400, "invalid_request"),
    ErrorKind.INVALID_CLIENT: (401, "invalid_client"),
    ErrorKind.UNAUTHORIZED_CLIENT: (400, "unauthorized_client"),
    ErrorKind.UNSUPPORTED_GRANT_TYPE: (400, "unsupported_grant_type"),
    ErrorKind.INVALID_GRANT: (400, "invalid_grant"),
    ErrorKind.INVALID_SCOPE: (400, "invalid_scope"),
    ErrorKind.INVALID_TARGET: (400, "invalid_target"),
    ErrorKind.UNSUPPORTED_TOKEN_TYPE: (400, "unsupported_token_type"),
    ErrorKind.INVALID_AUTHORIZATION_DETAILS: (400, "invalid_authorization_details"),
    ErrorKind.INVALID_TOKEN: (401, "invalid_token"),
    ErrorKind.INSUFFICIENT_SCOPE: (403, "insufficient_scope"),
    ErrorKind.INVALID_DPOP_PROOF: (400, "invalid_dpop_proof"),
    ErrorKind.USE_DPOP_NONCE: (400, "use_dpop_nonce"),
    ErrorKind.INVALID_REDIRECT_URI: (400, "invalid_redirect_uri"),
    ErrorKind.INVALID_CLIENT_METADATA: (400, "invalid_client_metadata"),
    ErrorKind.INVALID_SOFTWARE_STATEMENT: (400, "invalid_software_statement"),
    ErrorKind.UNAPPROVED_SOFTWARE_STATEMENT: (400, "unapproved_software_statement"),
    ErrorKind.INVALID_CLIENT_ATTESTATION: (400, "invalid_client_attestation"),
    ErrorKind.USE_ATTESTATION_CHALLENGE: (400, "use_attestation_challenge"),
    ErrorKind.USE_FRESH_ATTESTATION: (400, "use_fresh_attestation"),
    ErrorKind.UNSUPPORTED_RESPONSE_TYPE: (400, "unsupported_response_type"),
    ErrorKind.INVALID_REQUEST_OBJECT: (400, "invalid_request_object"),
    ErrorKind.INVALID_REQUEST_URI: (400, "invalid_request_uri"),
    ErrorKind.ACCESS_DENIED: (403, "access_denied"),
    ErrorKind.LOGIN_REQUIRED: (400, "login_required"),
    ErrorKind.CONSENT_REQUIRED: (400, "consent_required"),
    ErrorKind.INTERACTION_REQUIRED: (400, "interaction_required"),
    ErrorKind.UNMET_AUTHENTICATION_REQUIREMENTS: (400, "unmet_authentication_requirements"),
    ErrorKind.AUTHORIZATION_PENDING: (400, "authorization_pending"),
    ErrorKind.SLOW_DOWN: (400, "slow_down"),
    ErrorKind.EXPIRED_TOKEN: (400, "expired_token"),
    ErrorKind.APPROVAL_DENIED: (400, "access_denied"),
    ErrorKind.INVALID_BINDING_MESSAGE: (400, "invalid_binding_message"),
    ErrorKind.UNKNOWN_USER_ID: (400, "unknown_user_id"),
    ErrorKind.EXPIRED_LOGIN_HINT_TOKEN: (400, "expired_login_hint_token"),
    ErrorKind.NOT_FOUND: (404, "not_found"),
    ErrorKind.CONFLICT: (409, "conflict"),
    ErrorKind.TOO_LARGE: (413, "invalid_request"),
    ErrorKind.OVERLOADED: _LATER,
    ErrorKind.UNAVAILABLE: _LATER,
    ErrorKind.STORE: _LATER,
    ErrorKind.SOURCE: _LATER,
    ErrorKind.LEDGER: _LATER,
    ErrorKind.KEYS: _LATER,
    ErrorKind.BUNDLE: _SERVER,
    ErrorKind.CONFIG: _SERVER,
    ErrorKind.INTERNAL: _SERVER,
}
"""Every kind to its status and error code."""

_STEP_UP = ("require_acr", "require_amr", "require_auth_age")
_UNFIT = re.compile(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]")


class HttpError(MintwardenError):
    """A request that is wrong as HTTP: `status` and `headers` say how, beyond what a kind can."""

    def __init__(self, status: int, public: str, *headers: Header, hint: str = "") -> None:
        super().__init__(ErrorKind.INVALID_REQUEST, public, hint=hint)
        self.status = status
        self.headers = headers


def status_of(error: MintwardenError) -> int:
    """The HTTP status that an error is answered with."""
    return error.status if isinstance(error, HttpError) else TABLE[error.kind][0]


def mistake(error: MintwardenError) -> tuple[str, str]:
    """What the log says of a client's own mistake, and how it is put right. Our own are logged as errors: nothing."""
    return (error.public, error.hint) if status_of(error) < 500 else ("", "")


def error_reply(error: MintwardenError, reference: str) -> Reply:
    """What a client is told of an error: its own mistakes in words, ours by reference only."""
    status, code = TABLE[error.kind]
    if isinstance(error, HttpError):
        content = {"error": code, "error_description": description(error.public)}
        return json_reply(error.status, content, *error.headers)
    if status >= 500:
        what = "the service cannot answer now" if status == 503 else "something went wrong here"
        content = {"error": code, "error_description": what, "reference": reference}
        return json_reply(status, content, *((later(error, reference),) if status == 503 else ()))
    content = {"error": code, "error_description": description(error.public)}
    headers: tuple[Header, ...] = ()
    if error.kind is ErrorKind.INVALID_CLIENT and error.authenticate:
        headers = ((b"www-authenticate", b'Basic realm="token", charset="UTF-8"'),)
    return json_reply(status, content, *headers)


def later(error: MintwardenError, reference: str) -> Header:
    """When to come again after a 503."""
    if error.kind is not ErrorKind.OVERLOADED:
        return RETRY_AFTER
    return SPREAD[zlib.crc32(reference.encode()) % len(SPREAD)]


def unknown_reply(reference: str) -> Reply:
    """What a client is told when nobody foresaw the error: nothing but a reference."""
    content = {"error": "server_error", "error_description": "something went wrong here", "reference": reference}
    return json_reply(500, content)


def challenge(
    error: MintwardenError, *, scope: str, realm: str = "mintwarden", scheme: str = "Bearer", code: str = ""
) -> Header:
    """The challenge of a protected resource of ours (RFC 6750 section 3); without a code when no token was sent.

    `scheme` is how a token has to be sent, `code` stands instead of the kind's own (RFC 9449 section 7.1).
    """
    parts = [f'realm="{realm}"']
    if error.authenticate:
        parts += [f'error="{code or TABLE[error.kind][1]}"', f'error_description="{description(error.public)}"']
    if error.kind is ErrorKind.INSUFFICIENT_SCOPE:
        parts.append(f'scope="{scope}"')
    return (b"www-authenticate", f"{scheme} {', '.join(parts)}".encode())


def refusal_reply(
    decision: Decision,
    decision_id: str,
    *,
    defaulted: bool,
    disclose: Literal["nothing", "challenge"],
    approvals_at: str = "",
) -> Reply:
    """A decision that grants nothing: the protocol's error and the decision's id, by which it can be explained.

    `invalid_scope` when scopes were asked for by name, `invalid_target` when the audience alone was (RFC 8693
    section 2.2.2), `invalid_authorization_details` when nothing but details were (RFC 9396 section 6). Where the
    audience discloses challenges and nothing but a demand of the rules is in the way, the unmet demands are named;
    demands on the sign-in as `unmet_authentication_requirements`. `approvals_at` is where an approval is asked for.
    """
    only_details = not decision.scopes and decision.details
    content: dict[str, object] = {
        "error": "invalid_authorization_details"
        if only_details
        else "invalid_target"
        if defaulted
        else "invalid_scope",
        "error_description": "refused by policy",
        "decision": decision_id,
    }
    unmet = _unmet(decision) if disclose == "challenge" else ()
    if unmet:
        content |= _challenge(unmet)
        lacking = [
            {"approval": demand.value, "for": one.scope}
            for one in (*decision.scopes, *decision.details)
            for demand in one.unmet
            if demand.name == "require_approval"
        ]
        if lacking and approvals_at:
            content |= {"approvals": lacking, "approval_request_endpoint": approvals_at}
    return json_reply(400, content)


def _unmet(decision: Decision) -> tuple[Obligation, ...]:
    found: dict[Obligation, None] = {}
    for scope in (*decision.scopes, *decision.details):
        if scope.reason == "obligation_unmet":
            found.update(dict.fromkeys(scope.unmet))
    return tuple(found)


def _challenge(unmet: tuple[Obligation, ...]) -> dict[str, object]:
    content: dict[str, object] = {"required": [{"name": o.name, "value": o.value} for o in unmet]}
    if any(o.name in _STEP_UP for o in unmet):
        content["error"] = "unmet_authentication_requirements"
        content["error_description"] = "the subject must sign in again as required"
        levels = [o.value for o in unmet if o.name == "require_acr"]
        if levels:
            content["acr_values"] = " ".join(levels)
    else:
        content["error_description"] = "refused by policy until the requirements are met"
    return content


def description(text: str) -> str:
    """`text` in the characters that `error_description` may have (RFC 6749 section 5.2)."""
    return _UNFIT.sub("?", text.replace('"', "'"))[:500]
