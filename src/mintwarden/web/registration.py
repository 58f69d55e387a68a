"""`/register`: clients register and manage themselves (RFC 7591 section 3, RFC 7592 section 2)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from msgspec import Struct

from mintwarden.authn.jose import JoseError, decode_json
from mintwarden.model.address import block_of
from mintwarden.model.caller import Evidence
from mintwarden.model.catalogue import Client
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.metadata import ClientMetadata
from mintwarden.model.terms import Backchannel
from mintwarden.policy.metadata import GRANT_TYPES, MetadataRefused
from mintwarden.web.admin.access import challenges
from mintwarden.web.admin.limit import Buckets
from mintwarden.web.admit import Gate
from mintwarden.web.body import CLOSE, arrived
from mintwarden.web.errors import HttpError, error_reply, mistake, unknown_reply
from mintwarden.web.observe import Observer, Served
from mintwarden.web.peer import PeerReader
from mintwarden.web.reply import NO_STORE, Receive, Reply, Scope, Send, json_reply, send_reply

LONGEST = 32 * 1024
"""Bytes of a registration."""
_GRANT_TYPES = {name: kind for kind, name in GRANT_TYPES.items()}


class Told(Protocol):
    """A client that registered itself; see `govern.open_registration.SelfRegistered`."""

    @property
    def client(self) -> Client: ...
    @property
    def metadata(self) -> ClientMetadata: ...
    @property
    def issued_at(self) -> int: ...
    @property
    def token(self) -> str: ...
    @property
    def secret(self) -> str: ...


class Office(Protocol):
    """Who registers them; see `govern.open_registration.OpenOffice`."""

    async def register(self, document: Mapping[str, Any], *, by: Evidence | None) -> Told: ...
    async def read(self, client_id: str, unverified_token: str) -> Told: ...
    async def update(self, client_id: str, unverified_token: str, document: Mapping[str, Any]) -> Told: ...
    async def delete(self, client_id: str, unverified_token: str) -> None: ...


class Registrar(Struct, frozen=True, kw_only=True):
    """Registration under one bundle version.

    Attributes:
        admit: what the initial access token of a request proves; None where none is needed.
        buckets: how often an address may call.
    """

    office: Office
    admit: Callable[[Scope], Awaitable[Evidence]] | None
    buckets: Buckets


class RegistrationEndpoint:
    """Answers `<path>` and what is below it. `registrar` is the one of the version that governs; None where nobody may.

    `endpoint` is the whole URL of `path`.
    """

    def __init__(
        self,
        registrar: Callable[[], Registrar | None],
        *,
        path: str,
        endpoint: str,
        gate: Gate,
        peer: PeerReader,
        observer: Observer,
        references: Callable[[], str],
    ) -> None:
        self._registrar = registrar
        self._path = path
        self._endpoint = endpoint
        self._gate = gate
        self._peer = peer
        self._observer = observer
        self._references = references

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        begun, reference = time.monotonic(), self._references()
        address = self._peer.read(scope["client"], scope["headers"])
        outcome = what = hint = ""
        try:
            client_id = self._called(scope, address)
            body = await _arrived(scope, receive, self._gate)
            task = await self._gate.enter()
            try:
                reply, outcome = await self._answer(scope, client_id, body)
            except asyncio.CancelledError:
                if not self._gate.expired(task):
                    raise
                reply, outcome = error_reply(HttpError(408, "the request took too long", CLOSE), reference), "timeout"
            finally:
                self._gate.leave(task)
        except asyncio.CancelledError:
            if not self._gate.expired(asyncio.current_task()):
                raise
            # It came in time, its turn did not.
            late = MintwardenError(ErrorKind.UNAVAILABLE, "the request took too long")
            reply, outcome = error_reply(late, reference), "timeout"
        except MintwardenError as error:
            outcome = error.kind.value
            what, hint = mistake(error)
            reply = error_reply(error, reference)
            if error.kind in (ErrorKind.INVALID_TOKEN, ErrorKind.INSUFFICIENT_SCOPE):
                scope_name = str(getattr(error, "scope", ""))
                reply = reply._replace(headers=(*reply.headers, *challenges(error, scope=scope_name, realm="register")))
            if reply.status >= 500 and error.kind is not ErrorKind.OVERLOADED:
                self._observer.failed(reference, error)
        except Exception as error:  # noqa: BLE001 - nobody foresaw it: a reference, and nothing more
            reply, outcome = unknown_reply(reference), "server_error"
            self._observer.failed(reference, error)
        await send_reply(send, reply)
        seconds = time.monotonic() - begun
        self._observer.served(
            Served(
                route="register",
                status=reply.status,
                seconds=seconds,
                reference=reference,
                address=address,
                outcome=outcome,
                what=what,
                hint=hint,
            )
        )

    def _in_force(self) -> Registrar:
        registrar = self._registrar()
        if registrar is None:
            raise MintwardenError(ErrorKind.NOT_FOUND, "clients do not register themselves here")
        return registrar

    def _called(self, scope: Scope, address: str) -> str:
        """The id of the client that is managed, or empty for a new one. Raises for what is no such call."""
        registrar = self._in_force()
        client_id = scope["path"][len(self._path) :].removeprefix("/")
        allowed = ("GET", "PUT", "DELETE") if client_id else ("POST",)
        if scope["method"] not in allowed:
            raise HttpError(405, "the method is not allowed here", (b"allow", ", ".join(allowed).encode()))
        wait = registrar.buckets.take(block_of(address))
        if wait:
            raise HttpError(429, "too many registrations from this address", (b"retry-after", b"%d" % wait))
        return str(client_id)

    async def _answer(self, scope: Scope, client_id: str, body: bytes) -> tuple[Reply, str]:
        registrar = self._in_force()  # another version may govern since the first half of the body
        authorizations = [value.decode("latin-1") for name, value in scope["headers"] if name == b"authorization"]
        if not client_id:
            by = await registrar.admit(scope) if registrar.admit is not None else None
            made = await registrar.office.register(_document(body), by=by)
            return json_reply(201, self._shown(made)), "registered"
        token = _bearer(authorizations)
        if scope["method"] == "DELETE":
            await registrar.office.delete(client_id, token)
            return Reply(204, (NO_STORE,), b""), "deleted"
        if scope["method"] == "PUT":
            changed = await registrar.office.update(client_id, token, _document(body))
            return json_reply(200, self._shown(changed)), "changed"
        return json_reply(200, self._shown(await registrar.office.read(client_id, token))), "read"

    def _shown(self, told: Told) -> dict[str, object]:
        """RFC 7591 section 3.2.1, with what was registered, which may be less than what was asked for."""
        client, said = told.client, told.metadata
        document: dict[str, object] = {
            "client_id": client.id,
            "client_id_issued_at": told.issued_at // 1000,
            "registration_access_token": told.token,
            "registration_client_uri": f"{self._endpoint}/{client.id}",
            "token_endpoint_auth_method": said.method,
            "grant_types": [_GRANT_TYPES[name] for name in client.grants],
            "redirect_uris": list(said.redirect_uris),
            "response_types": list(said.response_types),
            "scope": " ".join(dict.fromkeys(name for scopes in client.ceilings.values() for name in scopes)),
            **said.links,
        }
        if client.backchannel_logout_uri:
            document["backchannel_logout_uri"] = client.backchannel_logout_uri
            document["backchannel_logout_session_required"] = said.backchannel_logout_session_required
        if "authorization_code" in client.grants:
            document["require_pushed_authorization_requests"] = client.authorization.pushed
            document["require_signed_request_object"] = client.authorization.signed
        if "ciba" in client.grants:
            document |= _backchannel(client.backchannel)
        lists = {
            "post_logout_redirect_uris": client.post_logout_redirect_uris,
            "authorization_details_types": client.details,
        }
        document |= {name: list(values) for name, values in lists.items() if values}
        if client.jwks:
            document["jwks"] = {"keys": list(client.jwks)}
        document |= _promised(client)
        told_of = {
            "client_name": said.name,
            "application_type": said.application_type,
            "software_id": said.software_id,
            "software_version": said.software_version,
            "software_statement": said.software_statement,
        }
        document |= {name: value for name, value in told_of.items() if value}
        if told.secret:
            document |= {"client_secret": told.secret, "client_secret_expires_at": 0}
        return document


def _backchannel(told: Backchannel) -> dict[str, object]:
    """OpenID CIBA Core 1.0 section 4. That a client has a `user_code` means nothing here."""
    said = {
        "backchannel_client_notification_endpoint": told.endpoint,
        "backchannel_authentication_request_signing_alg": told.signing,
    }
    return {
        "backchannel_token_delivery_mode": told.delivery,
        "backchannel_user_code_parameter": False,
        **{name: value for name, value in said.items() if value},
    }


def _promised(client: Client) -> dict[str, object]:
    kept, asking = client.protections, client.authorization
    said = {
        "token_endpoint_auth_signing_alg": kept.assertion_algorithm,
        "request_object_signing_alg": kept.object_algorithm,
        "id_token_signed_response_alg": kept.id_token_algorithm,
        "userinfo_signed_response_alg": asking.userinfo_algorithm,
        "authorization_signed_response_alg": asking.response_algorithm,
        "introspection_signed_response_alg": kept.introspection_algorithm,
        "require_auth_time": kept.auth_time,
        "dpop_bound_access_tokens": kept.dpop,
        "tls_client_certificate_bound_access_tokens": client.certificate_bound,
    }
    found: dict[str, object] = {name: value for name, value in said.items() if value}
    if kept.acr_values:
        found["default_acr_values"] = list(kept.acr_values)
    if kept.max_age is not None:
        found["default_max_age"] = kept.max_age
    return found


def _bearer(authorizations: list[str]) -> str:
    scheme, _, token = (authorizations[0] if len(authorizations) == 1 else "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise MintwardenError(ErrorKind.INVALID_TOKEN, "a registration access token is needed")
    return token.strip()


async def _arrived(scope: Scope, receive: Receive, gate: Gate) -> bytes:
    """The body of a request that has one. INVARIANT: it is here before the request takes a place among all others."""
    if scope["method"] not in ("POST", "PUT"):
        return b""
    kinds = [value for name, value in scope["headers"] if name == b"content-type"]
    if len(kinds) != 1 or kinds[0].partition(b";")[0].strip().lower() != b"application/json":
        raise HttpError(415, "the body is not `application/json`")
    return await arrived(receive, LONGEST, gate)


def _document(body: bytes) -> Mapping[str, Any]:
    try:
        return decode_json(body)
    except JoseError:
        raise MetadataRefused("invalid_client_metadata", "the body is not a JSON object") from None
