"""What stands around SCIM in (`/scim/v2`): admission, token, limits, strict reading, the ledger, how errors are told.

In the order of `web/admin/call.py`, and for the same reasons: the token is verified and must have the scope, the caller
may not call too often, the body is read strictly, the call is written into the ledger; only then does anything come of
it. Errors are messages of RFC 7644 section 3.12.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol
from urllib.parse import parse_qsl

import msgspec

from mintwarden.authn.jose import JoseError, decode_json
from mintwarden.feeds.scim.messages import Asked, Told
from mintwarden.govern.calls import Outcome
from mintwarden.model.caller import Evidence
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.web.admin.access import ScopeLacking, challenges, demand
from mintwarden.web.body import arrived_or_not
from mintwarden.web.doorway import Doorway, Frame, believed
from mintwarden.web.errors import HttpError, description, later, status_of
from mintwarden.web.observe import Served
from mintwarden.web.reply import NO_STORE, NOSNIFF, Header, Receive, Reply, Scope, Send, send_reply

READ, WRITE = "mintwarden:scim.read", "mintwarden:scim.write"
MAX_BODY = 1024 * 1024
"""Bytes: a group is made with some ten thousand members at most."""

AT_ONCE = 16
"""Requests of one process that are under way: they wait for one thread, and tokens do not wait for them."""

TYPE: Header = (b"content-type", b"application/scim+json")
_ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
_MOST_QUERY = 8 * 1024
_ONCE = (b"content-type", b"content-encoding", b"if-match", b"if-none-match")
_ID = re.compile(r"[0-9a-f-]{36}")
_VERBS = {"POST": "create", "PUT": "replace", "PATCH": "patch", "DELETE": "delete"}
_RESOURCES = ("Users", "Groups")
_DISCOVERY = ("ServiceProviderConfig", "ResourceTypes", "Schemas")


class Feeding(Doorway, Protocol):
    """SCIM under what governs now."""

    def wait(self, who: Evidence) -> int:
        """Seconds until the caller may call; 0 where it may."""
        ...

    async def person(self, user: str) -> str:
        """The entity key of whom the user with this id is, or empty."""
        ...

    async def record(self, *, operation: str, outcome: Outcome, who: Evidence, target: str, person: str) -> str: ...

    async def answer(self, asked: Asked, who: Evidence, entry: str) -> Told:
        """What comes of a request that the ledger entry `entry` is about."""
        ...


class _Work:
    __slots__ = ("operation", "outcome", "who")

    def __init__(self, operation: str) -> None:
        self.operation = operation
        self.outcome = "granted"
        self.who: Evidence | None = None


class ScimEndpoint:
    """Everything below `prefix`. The frame's doorway raises `NOT_FOUND` where SCIM is not spoken."""

    def __init__(self, frame: Frame[Feeding], *, prefix: str) -> None:
        self._frame = frame
        self._prefix = prefix
        self._at_work = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        frame, work = self._frame, _Work(operation_of(scope["method"], scope["path"][len(self._prefix) :]))
        begun, reference = frame.monotonic(), frame.references()
        try:
            body = await arrived_or_not(receive, frame.max_body, frame.gate)
            if self._at_work >= AT_ONCE:
                raise MintwardenError(ErrorKind.OVERLOADED, "too many calls at once", hint="try again later")
            self._at_work += 1
            try:
                reply = await frame.gate.in_turn(lambda: self._walk(scope, body, work))
            finally:
                self._at_work -= 1
        except MintwardenError as error:
            reply = self._failed(error, reference, work)
        except Exception as error:  # noqa: BLE001 - nobody foresaw it: a reference, and nothing more
            frame.observer.failed(reference, error)
            work.outcome = "server_error"
            reply = error_reply(500, f"something went wrong here ({reference})")
        await send_reply(send, reply, bodiless=not reply.body, echoes=True)
        frame.observer.served(
            Served(
                route=work.operation,
                status=reply.status,
                seconds=frame.monotonic() - begun,
                reference=reference,
                address=frame.peer.read(scope["client"], scope["headers"]),
                client_id=work.who.client_id if work.who is not None else "",
                token=work.who.token_id if work.who is not None else "",
                outcome=work.outcome,
            )
        )

    async def _walk(self, scope: Scope, body: bytes | MintwardenError, work: _Work) -> Reply:
        feeding = await self._frame.doorway()
        path = scope["path"][len(self._prefix) :]
        if not _is_plain(path):
            raise MintwardenError(ErrorKind.NOT_FOUND, "there is nothing here")
        who = work.who = await believed(
            feeding, self._frame.showing, scope, in_time=lambda caller: _require_in_time(feeding, caller)
        )
        person, target = await _about(feeding, path)
        try:
            demand(who, *_scopes(scope["method"], path))
            outcome: Outcome = "malformed"
            asked = _read(scope, path, body)
        except MintwardenError as error:
            outcome = "refused" if isinstance(error, ScopeLacking) else "malformed"
            await feeding.record(operation=work.operation, outcome=outcome, who=who, target=target, person=person)
            raise
        entry = await feeding.record(
            operation=work.operation, outcome="permitted", who=who, target=target, person=person
        )
        told = await feeding.answer(asked, who, entry)
        if told.status >= 400:
            work.outcome = "invalid_request"
        headers = [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in told.headers.items()]
        return Reply(told.status, (*headers, NO_STORE, NOSNIFF), told.body)

    def _failed(self, error: MintwardenError, reference: str, work: _Work) -> Reply:
        work.outcome = error.kind.value
        status = status_of(error)
        if status >= 500:
            if error.kind is not ErrorKind.OVERLOADED:
                self._frame.observer.failed(reference, error)
            what = "the service cannot answer now" if status == 503 else "something went wrong here"
            more = (later(error, reference),) if status == 503 else ()
            return error_reply(status, f"{what} ({reference})", *more)
        lacking = error.scope if isinstance(error, ScopeLacking) else ""
        headers = challenges(error, scope=lacking) if status in (401, 403) else ()
        if isinstance(error, HttpError):
            headers = (*headers, *error.headers)
        syntax = "invalidSyntax" if status == 400 else ""
        return error_reply(status, description(error.public), *headers, scim_type=syntax)


def _require_in_time(feeding: Feeding, who: Evidence) -> None:
    if wait := feeding.wait(who):
        raise HttpError(429, "the client calls too often", (b"retry-after", b"%d" % wait), hint="wait")


def operation_of(method: str, path: str) -> str:
    """What a request is called in the ledger and in metrics: one of a few names, whatever is asked."""
    parts = [part for part in path.split("/") if part]
    first = parts[0] if parts else ""
    if first in _DISCOVERY:
        return "scim.discovery"
    if first not in _RESOURCES:
        return "scim.other"
    if parts[1:] == [".search"]:
        return f"scim.{first.lower()}.search"
    verb = _VERBS.get(method) or ("get" if len(parts) > 1 else "list")
    return f"scim.{first.lower()}.{verb}"


def _is_plain(path: str) -> bool:
    """INVARIANT: a place has one spelling, so that what is done is what the ledger says and what was read strictly."""
    parts = path.split("/")
    first = parts[1] if len(parts) > 1 else ""
    known = first in _RESOURCES or first.lower() not in {name.lower() for name in _RESOURCES}
    return path in ("", "/") or (parts[0] == "" and all(parts[1:]) and known)


def error_reply(status: int, detail: str, *headers: Header, scim_type: str = "") -> Reply:
    """An error as RFC 7644 section 3.12 writes it: its status is text."""
    content = {"schemas": [_ERROR], "status": str(status), "detail": detail}
    if scim_type:
        content["scimType"] = scim_type
    return Reply(status, (TYPE, NO_STORE, NOSNIFF, *headers), msgspec.json.encode(content))


def _scopes(method: str, path: str) -> tuple[str, ...]:
    """Whoever may write may read what comes of it."""
    reads = method in ("GET", "HEAD") or (method == "POST" and path.endswith("/.search"))
    return (READ, WRITE) if reads else (WRITE,)


async def _about(feeding: Feeding, path: str) -> tuple[str, str]:
    """Whom a call is about, and what: the id of a group, which names nobody."""
    parts = [part for part in path.split("/") if part]
    if len(parts) != 2 or not _ID.fullmatch(parts[1]):
        return "", ""
    if parts[0] == "Users":
        return await feeding.person(parts[1]), ""
    return "", parts[1] if parts[0] == "Groups" else ""


def _read(scope: Scope, path: str, body: bytes | MintwardenError) -> Asked:
    headers = [(name, value) for name, value in scope["headers"] if name in _ONCE]
    if len({name for name, _ in headers}) != len(headers):
        raise MintwardenError(ErrorKind.INVALID_REQUEST, "a header is repeated")
    if any(name == b"content-encoding" for name, _ in headers):
        raise HttpError(415, "an encoded body is not taken")
    if isinstance(body, MintwardenError):
        raise body
    # whatever else is sent to is told that it takes nothing, whatever was sent
    if scope["method"] in ("POST", "PUT", "PATCH") and path.startswith(("/Users", "/Groups")):
        _refuse_unclear(body)
    return Asked(
        method=scope["method"],
        path=path,
        query=_query(scope["query_string"]),
        headers=[(name.decode(), value.decode("latin-1")) for name, value in headers],
        body=body,
    )


def _refuse_unclear(body: bytes) -> None:
    """INVARIANT: what is read twice is read the same: no member is repeated, nothing is nested deeply.

    Names of attributes have no case (RFC 7643 section 2.1): two that differ in it alone are one.
    """
    try:
        content = decode_json(body)
    except JoseError:
        what = "the body is not a JSON object with unique members"
        raise MintwardenError(ErrorKind.INVALID_REQUEST, what) from None
    if _has_namesakes(content):
        raise MintwardenError(ErrorKind.INVALID_REQUEST, "two members of an object differ in case alone")


def _has_namesakes(value: object) -> bool:
    if isinstance(value, list):
        return any(map(_has_namesakes, value))
    if not isinstance(value, dict):
        return False
    return len({name.lower() for name in value}) != len(value) or any(map(_has_namesakes, value.values()))


def _query(text: bytes) -> Mapping[str, str]:
    """The parameters; those that SCIM does not know are ignored: Microsoft Entra ID sends some of its own."""
    if len(text) > _MOST_QUERY:
        raise MintwardenError(ErrorKind.INVALID_REQUEST, "the query is too long", hint=f"at most {_MOST_QUERY} bytes")
    try:
        found = parse_qsl(text.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=40)
    except (ValueError, UnicodeError):
        raise MintwardenError(ErrorKind.INVALID_REQUEST, "the query is malformed") from None
    if len(dict(found)) != len(found):
        raise MintwardenError(ErrorKind.INVALID_REQUEST, "a query parameter is repeated")
    return dict(found)
