"""A guard in front of an ASGI application: an API, or an MCP server over HTTP."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

from mintwarden.consumer.challenge import Challenges, Error
from mintwarden.consumer.keys import NoKeys
from mintwarden.consumer.resource import ProtectedResource
from mintwarden.consumer.status import NoStatus
from mintwarden.consumer.verify import AccessToken, Presented, Refused, TokenVerifier

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_KEY = "mintwarden.token"
_CREDENTIALS = re.compile(r"(?i:(bearer|dpop)) +([A-Za-z0-9._~+/-]+=*)")


class InsufficientScope(Exception):
    """The token lacks scopes. `needed` is every scope that the operation needs, not only those that are missing."""

    def __init__(self, needed: Iterable[str]) -> None:
        self.needed = tuple(dict.fromkeys(needed))
        super().__init__(" ".join(self.needed))


class InsufficientSignIn(Exception):
    """The sign-in behind the token is too weak or too long ago (RFC 9470). `max_age` is in seconds."""

    def __init__(self, *, acr_values: Iterable[str] = (), max_age: int | None = None) -> None:
        self.acr_values = tuple(acr_values)
        self.max_age = max_age
        super().__init__("a stronger or a more recent sign-in is needed")


def token_of(scope: Mapping[str, Any]) -> AccessToken:
    """The verified token of a request that a `Guard` let through."""
    return cast("AccessToken", scope[_KEY])


class Guard:
    """Lets requests with a good token through, and tells the others what they need.

    Args:
        app: what is guarded.
        resource: what it says of itself; its metadata is served here.
        verifier: verifies tokens for it.
        needed: the scopes that a request needs: the same for all, or by request. An application that learns only from
            the body what is asked of it calls `demand`, or raises `InsufficientScope` before it answers.
        implies: a scope to those that it stands for as well.
        certificate: the client's certificate in DER, from the TLS layer and never from a header of the client's.
        open_paths: paths that need no token.
        clock: seconds since 1970.

    INVARIANT: the token is the guard's alone. It is taken from the `Authorization` header only, and that header does
    not reach the application, so that no token of a client is passed on to another service.
    """

    def __init__(
        self,
        app: Application,
        *,
        resource: ProtectedResource,
        verifier: TokenVerifier,
        needed: Iterable[str] | Callable[[Scope], Iterable[str]] = (),
        implies: Mapping[str, Iterable[str]] | None = None,
        certificate: Callable[[Scope], bytes | None] = lambda _scope: None,
        open_paths: Iterable[str] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._app = app
        self._resource = resource
        self._verifier = verifier
        fixed = () if callable(needed) else tuple(needed)
        self._needed: Callable[[Scope], Iterable[str]] = needed if callable(needed) else lambda _scope: fixed
        self._implies = {name: tuple(others) for name, others in (implies or {}).items()}
        self._certificate = certificate
        self._open = frozenset(open_paths)
        self._challenges = Challenges(resource)
        self._origin = "{0.scheme}://{0.netloc}".format(urlsplit(resource.resource))

    def demand(self, scope: Scope, *needed: str) -> None:
        """Raise `InsufficientScope` unless the request's token has every scope of `needed`, or one that implies it."""
        if not frozenset(needed) <= self._held(token_of(scope).scopes):
            raise InsufficientScope(needed)

    def demand_sign_in(self, scope: Scope, *, acr_values: Iterable[str] = (), max_age: int | None = None) -> None:
        """Raise `InsufficientSignIn` unless the token's subject signed in at one of these levels, and no longer ago."""
        levels, claims = tuple(acr_values), token_of(scope).claims
        at = claims.get("auth_time")
        weak = bool(levels) and claims.get("acr") not in levels
        old = max_age is not None and (type(at) is not int or self._clock() - at > max_age)
        if weak or old:
            raise InsufficientSignIn(acr_values=levels, max_age=max_age)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        if path == self._resource.metadata_path:
            await self._metadata(scope, send)
            return
        if path in self._open:
            await self._app(self._without(scope), receive, send)
            return
        try:
            token = await self._verified(scope)
        except Refused as refused:
            status = 400 if refused.code == "invalid_request" else 401
            await self._refuse(send, status, refused.code, str(refused), self._needed(scope))
            return
        except (NoKeys, NoStatus):
            await _answer(send, 503, {"error": "temporarily_unavailable"}, [(b"retry-after", b"5")])
            return
        if token is None:
            await self._refuse(send, 401, "", "", self._needed(scope))
            return
        await self._admit({**self._without(scope), _KEY: token}, receive, send)

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False
        kept: list[Message] = []

        async def watched(message: Message) -> None:
            # Frameworks answer 500 to an exception before they raise it again: theirs waits, in case it was ours.
            nonlocal begun
            if kept or (not begun and message.get("status") == 500):
                kept.append(message)
                return
            begun = True
            await send(message)

        lacking: InsufficientScope | InsufficientSignIn | None = None
        try:
            self.demand(scope, *self._needed(scope))
            await self._app(scope, receive, watched)
        except (InsufficientScope, InsufficientSignIn) as error:
            if begun:
                raise
            lacking = error
        finally:
            if lacking is None:
                for message in kept:
                    await send(message)
        if isinstance(lacking, InsufficientSignIn):
            found = self._challenges.insufficient_sign_in(lacking.acr_values, lacking.max_age)
            await _answer(send, 401, {"error": "insufficient_user_authentication"}, [_header(value) for value in found])
        elif lacking is not None:
            headers = [_header(value) for value in self._challenges.insufficient_scope(lacking.needed)]
            content = {"error": "insufficient_scope", "scope": " ".join(lacking.needed)}
            await _answer(send, 403, content, headers)

    def _held(self, scopes: Iterable[str]) -> frozenset[str]:
        held: set[str] = set()
        waiting = list(scopes)
        while waiting:
            name = waiting.pop()
            if name not in held:
                held.add(name)
                waiting.extend(self._implies.get(name, ()))
        return frozenset(held)

    async def _verified(self, scope: Scope) -> AccessToken | None:
        """The token of a request; None where there is none."""
        headers = [(name.lower(), value.decode("latin-1")) for name, value in scope["headers"]]
        query = scope.get("query_string", b"").decode("latin-1")
        if any(name == "access_token" for name, _ in parse_qsl(query, keep_blank_values=True)):
            raise Refused("invalid_request", "a token does not belong into the address")
        given = [value for name, value in headers if name == b"authorization"]
        if not given:
            return None
        found = _CREDENTIALS.fullmatch(given[0].strip()) if len(given) == 1 else None
        if found is None:
            if len(given) == 1 and given[0].split(" ")[0].lower() not in ("bearer", "dpop"):
                return None  # another scheme: as good as no token
            raise Refused("invalid_request", "the `Authorization` header is malformed or repeated")
        path = scope.get("raw_path", b"").decode("latin-1").partition("?")[0] or scope["path"]
        return await self._verifier.verify(
            Presented(
                token=found[2],
                scheme=found[1].lower(),
                method=scope["method"],
                url=self._origin + path,
                proofs=tuple(value for name, value in headers if name == b"dpop"),
                certificate=self._certificate(scope),
            )
        )

    async def _metadata(self, scope: Scope, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            await _answer(send, 405, {"error": "method_not_allowed"}, [(b"allow", b"GET, HEAD")])
            return
        # Browsers' clients find out here whom to ask; nothing of it is secret.
        headers = [(b"cache-control", b"public, max-age=300"), (b"access-control-allow-origin", b"*")]
        headers.append((b"content-type", b"application/json"))
        await _send(send, 200, self._resource.encoded(), headers, bodiless=scope["method"] == "HEAD")

    async def _refuse(self, send: Send, status: int, error: Error, why: str, scopes: Iterable[str]) -> None:
        headers = [_header(value) for value in self._challenges.unauthorized(error, why, scopes)]
        await _answer(send, status, {"error": error or "unauthorized"}, headers)

    @staticmethod
    def _without(scope: Scope) -> Scope:
        """The request without what proves who sent it."""
        headers = [(name, value) for name, value in scope["headers"] if name.lower() not in (b"authorization", b"dpop")]
        return {**scope, "headers": headers}


def _header(challenge: str) -> tuple[bytes, bytes]:
    return b"www-authenticate", challenge.encode("latin-1")


async def _answer(send: Send, status: int, content: Mapping[str, str], headers: list[tuple[bytes, bytes]]) -> None:
    fixed = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    await _send(send, status, json.dumps(content).encode(), [*fixed, *headers])


async def _send(
    send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]], *, bodiless: bool = False
) -> None:
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": b"" if bodiless else body})
