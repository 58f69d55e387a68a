"""An endpoint that takes a form from a client: admitted, read strictly, answered, observed; by hand, for speed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from mintwarden.issue.unresolved import Unresolved
from mintwarden.model.clock import Clock
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.request import TokenRequest
from mintwarden.web.accept import accept_of
from mintwarden.web.admit import Gate
from mintwarden.web.body import Late, arrived, at_hand
from mintwarden.web.certificate import CertificateReader
from mintwarden.web.errors import HttpError, error_reply, mistake, unknown_reply
from mintwarden.web.form import parse_form
from mintwarden.web.observe import Observer, Served
from mintwarden.web.peer import PeerReader
from mintwarden.web.reply import Receive, Reply, Scope, Send, send_reply

FORM = b"application/x-www-form-urlencoded"
CHALLENGE: Final = b"oauth-client-attestation-challenge"
"""The header that says a challenge (draft-ietf-oauth-attestation-based-client-auth, section 6)."""


class Work:
    """What is known of a request so far."""

    __slots__ = (
        "address", "attested", "audience", "client_id", "decision", "dpop", "grant", "hint", "outcome", "reasons",
        "reference", "what",
    )  # fmt: skip

    def __init__(self, reference: str) -> None:
        self.reference = reference
        self.address = self.grant = self.client_id = self.audience = self.decision = self.outcome = ""
        self.what = self.hint = ""
        self.dpop = self.attested = False
        self.reasons: tuple[str, ...] = ()


Answer = Callable[[TokenRequest, Work], Awaitable[Reply]]


class FormEndpoint:
    """Bytes in, a reply out. `answer` makes it of a request that is well formed and in which nothing is believed yet.

    Args:
        route: its name in logs and metrics.
        gate: admission.
        references: makes the name of a request.
        monotonic: seconds, for measuring.
        max_body: bytes.
        nonce: makes the nonce that DPoP proofs need from now on; None where they need none.
        challenge: makes the challenge that proofs of attested keys answer from now on.
        plain: the request is no form, and nothing in it is looked at.
        negotiates: its answer has several forms, between which `Accept` chooses.
        certificates: reads the client's certificate; None where none can come.
    """

    def __init__(
        self,
        answer: Answer,
        *,
        route: str,
        gate: Gate,
        clock: Clock,
        peer: PeerReader,
        observer: Observer,
        references: Callable[[], str],
        monotonic: Callable[[], float],
        max_body: int,
        nonce: Callable[[], str] | None = None,
        challenge: Callable[[], str] | None = None,
        plain: bool = False,
        negotiates: bool = False,
        certificates: CertificateReader | None = None,
    ) -> None:
        self._answer = answer
        self._negotiates = negotiates
        self._route = route
        self._nonce = nonce
        self._challenge = challenge
        self._plain = plain
        self._certificates = certificates
        self._gate = gate
        self._clock = clock
        self._peer = peer
        self._observer = observer
        self._references = references
        self._monotonic = monotonic
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request: receive, admit, read, answer, observe."""
        begun = self._monotonic()
        work = Work(self._references())
        try:
            head = _Head() if self._plain else _check_head(scope)
            work.dpop, work.attested = bool(head.dpop), bool(head.attestation_proof)
            work.address = self._peer.read(scope["client"], scope["headers"])
            body = at_hand(receive, self._max_body)
            if body is None:
                body = await arrived(receive, self._max_body, self._gate)
            task = self._gate.enter_at_once() or await self._gate.enter()
            try:
                reply = await self._read(scope, head, body, work)
            except asyncio.CancelledError:
                if not self._gate.expired(task):
                    raise
                reply = self._timed_out(work)
            finally:
                self._gate.leave(task)
        except MintwardenError as error:
            reply = self._failed(error, work)
        except asyncio.CancelledError:
            if not self._gate.expired(asyncio.current_task()):
                raise
            reply = self._timed_out(work)
        except Exception as error:  # noqa: BLE001 - nobody foresaw it: a reference, and nothing more
            self._observer.failed(work.reference, error)
            work.outcome = "server_error"
            reply = unknown_reply(work.reference)
        if self._nonce is not None and (work.dpop or reply.status == 400):
            reply = reply._replace(headers=(*reply.headers, (b"dpop-nonce", self._nonce().encode())))
        if self._challenge is not None and work.attested:
            reply = reply._replace(headers=(*reply.headers, (CHALLENGE, self._challenge().encode())))
        await send_reply(send, reply)
        self._observe(work, reply.status, self._monotonic() - begun)

    def _read(self, scope: Scope, head: _Head, body: bytes, work: Work) -> Awaitable[Reply]:
        certificates = self._certificates
        certificate = certificates.read(scope) if certificates is not None else b""
        chain = certificates.read_chain(scope) if certificates is not None and certificate else ()
        request = TokenRequest(
            unverified_form={} if self._plain else parse_form(body),
            unverified_authorization=head.authorization,
            unverified_dpop=head.dpop,
            unverified_accept=accept_of(scope["headers"]) if self._negotiates else "",
            unverified_certificate=certificate,
            unverified_chain=chain,
            unverified_attestation=head.attestation,
            unverified_attestation_proof=head.attestation_proof,
            endpoint=self._route,
            address=work.address,
            received_at=self._clock.now(),
            reference=work.reference,
        )
        return self._answer(request, work)

    def _failed(self, error: MintwardenError, work: Work) -> Reply:
        work.outcome = "timeout" if isinstance(error, Late) else error.kind.value
        if isinstance(error, Unresolved) and error.asked is not None:
            work.decision, work.reasons = error.decision, error.reasons
            work.client_id, work.grant = error.asked.client_id, error.asked.grant
        work.what, work.hint = mistake(error)
        reply = error_reply(error, work.reference)
        if reply.status >= 500 and error.kind is not ErrorKind.OVERLOADED:
            self._observer.failed(work.reference, error)
        return reply

    def _timed_out(self, work: Work) -> Reply:
        work.outcome = "timeout"
        return error_reply(MintwardenError(ErrorKind.UNAVAILABLE, "the request took too long"), work.reference)

    def _observe(self, work: Work, status: int, seconds: float) -> None:
        self._observer.served(
            Served(
                route=self._route,
                status=status,
                seconds=seconds,
                reference=work.reference,
                address=work.address,
                grant=work.grant,
                client_id=work.client_id,
                audience=work.audience,
                decision=work.decision,
                outcome=work.outcome,
                reasons=work.reasons,
                what=work.what,
                hint=work.hint,
            )
        )


class _Head(NamedTuple):
    """The headers by which a client proves something; empty where they did not come."""

    authorization: bytes | None = None
    dpop: str = ""
    attestation: str = ""
    attestation_proof: str = ""


def _check_head(scope: Scope) -> _Head:
    """What is in the head; raises for what a token request must not be."""
    authorization: bytes | None = None
    dpop = attestation = attestation_proof = ""
    content_type: bytes | None = None
    for name, value in scope["headers"]:
        if name == b"content-type":
            if content_type is not None:
                raise _invalid("`Content-Type` is repeated", "send it once")
            content_type = value
        elif name == b"content-encoding":
            raise HttpError(415, "an encoded body is not taken", hint="send the form as it is")
        elif name == b"authorization":
            if authorization is not None:
                raise _invalid("`Authorization` is repeated", "send it once")
            authorization = value
        elif name == b"dpop":
            if dpop or not value:
                raise MintwardenError(
                    ErrorKind.INVALID_DPOP_PROOF, "`DPoP` is repeated or empty", hint="send one proof"
                )
            dpop = value.decode("latin-1")
        elif name == b"oauth-client-attestation":
            if attestation or not value:
                raise _invalid("`OAuth-Client-Attestation` is repeated or empty", "send one attestation")
            attestation = value.decode("latin-1")
        elif name == b"oauth-client-attestation-pop":
            if attestation_proof or not value:
                raise _invalid("`OAuth-Client-Attestation-PoP` is repeated or empty", "send one proof")
            attestation_proof = value.decode("latin-1")
    if scope["query_string"]:
        raise _invalid("parameters belong into the body", "leave the query empty")
    if content_type != FORM and not is_form(content_type):
        raise HttpError(415, f"the body is not `{FORM.decode()}`")
    return _Head(authorization, dpop, attestation, attestation_proof)


def is_form(content_type: bytes | None) -> bool:
    """Is it the form type, with UTF-8 as its only possible parameter."""
    if content_type is None:
        return False
    kind, _, parameter = content_type.lower().partition(b";")
    return kind.strip() == FORM and parameter.strip().replace(b'"', b"") in (b"", b"charset=utf-8")


def _invalid(public: str, hint: str) -> MintwardenError:
    return MintwardenError(ErrorKind.INVALID_REQUEST, public, hint=hint)
