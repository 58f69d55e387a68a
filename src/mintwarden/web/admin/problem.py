"""Problem details (RFC 9457): the only place where an error of the administration API becomes an answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.web.admin.access import challenges
from mintwarden.web.errors import TABLE, HttpError, later
from mintwarden.web.reply import NO_STORE, NOSNIFF, Header, Reply

PROBLEM_JSON: Header = (b"content-type", b"application/problem+json")
PAGE = "/admin/v1/problems"
"""Where every type of problem is described, below the issuer."""


class ProblemType(Struct, frozen=True):
    """A type of problem: its status, its title, and what to do about it."""

    status: int
    title: str
    remedy: str


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Problem details. `type` is where the type of problem is described, `instance` names this answer in the logs."""

    type: str
    title: str
    status: Annotated[int, Meta(ge=400, le=599)]
    detail: str
    instance: str
    hint: str = ""
    decision: str = ""


PROBLEMS: Mapping[str, ProblemType] = {
    "invalid_request": ProblemType(400, "the request is not what the operation takes", "correct it"),
    "invalid_token": ProblemType(401, "the access token is missing or not valid", "get one for this service"),
    "insufficient_scope": ProblemType(403, "the access token lacks a scope", "ask for a token with it"),
    "not_found": ProblemType(404, "there is no such thing", "look at the list"),
    "method_not_allowed": ProblemType(405, "the method is not allowed here", "see the header `Allow`"),
    "timeout": ProblemType(408, "the request took too long", "send it again"),
    "conflict": ProblemType(409, "the thing is not in the state that the request assumes", "look again, then decide"),
    "managed_by_bundle": ProblemType(409, "the bundle manages it", "change the bundle"),
    "key_in_use": ProblemType(409, "the idempotency key's first request is under way", "look whether it was done"),
    "already_made": ProblemType(409, "the request was done, and its answer is shown once", "make another"),
    "precondition_failed": ProblemType(412, "it has changed since you looked", "look again, then decide"),
    "too_large": ProblemType(413, "the request is too large", "send less at once"),
    "unsupported_media_type": ProblemType(415, "the body is of another type", "send `application/json`"),
    "key_reused": ProblemType(422, "the idempotency key was used for another request", "use a fresh key"),
    "precondition_required": ProblemType(428, "the request must say what it changes", "send `If-Match`"),
    "too_many_requests": ProblemType(429, "too many requests", "wait as long as `Retry-After` says"),
    "server_error": ProblemType(500, "something went wrong here", "report it with its instance"),
    "unavailable": ProblemType(503, "the service cannot answer now", "try again"),
}
"""Every type of problem, by the fragment of its URI."""


class AdminError(MintwardenError):
    """A problem of a type of its own, beyond what the kinds of errors say."""

    def __init__(self, problem: str, public: str, *headers: Header, hint: str = "", decision: str = "") -> None:
        super().__init__(ErrorKind.INVALID_REQUEST, public, hint=hint)
        self.problem = problem
        self.headers = headers
        self.decision = decision


def problem_of(error: MintwardenError) -> str:
    """The type of problem that an error is answered with."""
    if isinstance(error, AdminError):
        return error.problem
    status = error.status if isinstance(error, HttpError) else TABLE[error.kind][0]
    if status >= 500:
        return "unavailable" if status == 503 else "server_error"
    if error.kind.value in PROBLEMS:
        return error.kind.value
    return "invalid_request"


def problem_reply(error: MintwardenError, reference: str, *, base: str, scope: str = "") -> Reply:
    """What a caller is told: its own mistakes in words, ours by reference only.

    `base` is the path of the issuer; `scope` what a token would need.
    """
    name = problem_of(error)
    kind = PROBLEMS[name]
    ours = kind.status >= 500
    content = Problem(
        type=f"{base}{PAGE}#{name}",
        title=kind.title,
        status=kind.status,
        detail=kind.title if ours else error.public[:1000],
        instance=f"urn:mintwarden:request:{reference}",
        hint="" if ours or name == "invalid_token" else error.hint[:1000],
        decision=error.decision if isinstance(error, AdminError) else "",
    )
    headers: tuple[Header, ...] = error.headers if isinstance(error, AdminError | HttpError) else ()
    if kind.status in (401, 403):
        headers += challenges(error, scope=scope)
    if kind.status == 503:
        headers += (later(error, reference),)
    return Reply(kind.status, (PROBLEM_JSON, NO_STORE, NOSNIFF, *headers), msgspec.json.encode(content))


def unknown_problem(reference: str, *, base: str) -> Reply:
    """What a caller is told when nobody foresaw the error: nothing but a reference."""
    return problem_reply(MintwardenError(ErrorKind.INTERNAL, "something went wrong here"), reference, base=base)


def problems_page() -> str:
    """Every type of problem, for whoever follows the `type` of one."""
    return "\n".join(f"{name}  {kind.status}  {kind.title}: {kind.remedy}" for name, kind in PROBLEMS.items()) + "\n"
