"""Which path is answered by what."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec
from msgspec import Struct

from mintwarden.app.administration import showing
from mintwarden.app.approve import Approvals
from mintwarden.app.authorize import Authorizations
from mintwarden.app.browser import assets, browsers, lost
from mintwarden.app.decision_point import DecisionPoint
from mintwarden.app.desk import ExistingTokens
from mintwarden.app.foundation import Foundation
from mintwarden.app.governing import Governing
from mintwarden.app.observe import Watch
from mintwarden.app.proofs import attestation_challenges, certificate_reader, dpop_nonces
from mintwarden.app.sequencing import Sequencing
from mintwarden.app.shared_signals import SharedSignals
from mintwarden.app.sign_in import SigningIn
from mintwarden.app.signals_in import Signals
from mintwarden.app.status import StatusPages
from mintwarden.app.withdraw import Withdrawals
from mintwarden.authn.proofs.dpop import ALGORITHMS
from mintwarden.issue.approval_requests import approval_kinds
from mintwarden.issue.grants import GRANTS
from mintwarden.issue.pipeline import Outcome
from mintwarden.model.catalogue import Catalogue
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.request import TokenRequest
from mintwarden.policy.origins import is_described
from mintwarden.web.admit import Gate
from mintwarden.web.approval_requests import approval_requests
from mintwarden.web.asgi import Asked, Page, Surface
from mintwarden.web.authzen.endpoint import AUDIENCE as DECISION_POINT
from mintwarden.web.authzen.metadata import describe_decision_point, metadata_path
from mintwarden.web.challenge import challenging
from mintwarden.web.desk import introspection, revocation
from mintwarden.web.device import backchannel_authentication, device_authorization
from mintwarden.web.discovery import GrantNames, base_of, describe, describe_openid, metadata_paths, path_of
from mintwarden.web.documents import Check, MetricsReader, Readiness, document_reply, key_set_reply, log_reply
from mintwarden.web.doorway import Door_co, Frame
from mintwarden.web.form_endpoint import Answer, FormEndpoint
from mintwarden.web.metrics import Metrics
from mintwarden.web.origins import CrossOrigin
from mintwarden.web.peer import PeerReader
from mintwarden.web.pushed import pushing
from mintwarden.web.reads import Reads
from mintwarden.web.registration import RegistrationEndpoint
from mintwarden.web.reply import Handler, Receive, Reply, Scope, Send, json_reply
from mintwarden.web.scim import MAX_BODY, Feeding, ScimEndpoint
from mintwarden.web.signals import PushedEvents
from mintwarden.web.ssf.endpoint import AUDIENCE as RECEIVERS
from mintwarden.web.ssf.metadata import describe_transmitter
from mintwarden.web.ssf.metadata import metadata_path as transmitter_path
from mintwarden.web.token import Disclosure, TokenAnswers
from mintwarden.web.user_info import UserInfoEndpoint

READY_TIMEOUT = 2.0
STALE_SEQUENCER = 60.0
OAUTH, OPENID, AUTHZEN, SSF = "oauth", "openid", "authzen", "ssf"


class Parts(Struct, frozen=True, kw_only=True):
    """What the surface stands on."""

    base: Foundation
    governing: Governing
    issue: Callable[[TokenRequest], Awaitable[Outcome]]
    gate: Gate
    reads: Reads
    watch: Watch
    metrics: Metrics
    sequencing: Sequencing
    existing: ExistingTokens
    point: DecisionPoint
    references: Callable[[], str]
    signing_in: SigningIn
    authorizations: Authorizations
    approvals: Approvals
    withdrawals: Withdrawals
    signals: Signals
    shared_signals: SharedSignals


def build_surface(parts: Parts) -> Handler:
    """The whole HTTP surface."""
    path = path_of(parts.base.issuer)
    posts = {f"{path}/{name}": b"POST" for name in ("token", "revoke", "par")}
    return CrossOrigin(
        _surface(parts), methods={**posts, f"{path}/userinfo": b"GET, POST"}, known=_origins(parts.governing)
    )


def _origins(governing: Governing) -> Callable[[str], bool]:
    """Whether an origin is a client's: of the bundle in force, registered beside it, or one that describes itself."""

    def known(origin: str) -> bool:
        current = governing.current
        return origin in current.authenticator.origins or is_described(current.bundle.catalogue, origin)

    return known


def _surface(parts: Parts) -> Surface:
    server = parts.base.config.server
    path = path_of(parts.base.issuer)
    peer = PeerReader(proxies=server.proxies)
    certificates = certificate_reader(parts.base.config, peer)
    challenge, nonce_of_now = _challenge(parts.base), _nonce(parts.base)

    def endpoint(
        route: str,
        answer: Answer,
        *,
        nonce: Callable[[], str] | None = None,
        negotiates: bool = False,
        plain: bool = False,
    ) -> FormEndpoint:
        return FormEndpoint(
            answer,
            route=route,
            gate=parts.gate,
            clock=parts.base.clock,
            peer=peer,
            observer=parts.watch,
            references=parts.references,
            monotonic=time.monotonic,
            max_body=server.max_body,
            nonce=nonce,
            challenge=challenge,
            plain=plain,
            negotiates=negotiates,
            certificates=certificates,
        )

    browser = browsers(parts.base, gate=parts.gate, observer=parts.watch, references=parts.references, peer=peer)
    token = TokenAnswers(
        issue=parts.issue,
        disclosure=lambda audience: _disclosure(parts.governing, audience),
        approvals_at=lambda: _approvals_at(parts),
    )
    registration = _registration(parts, peer, path)
    listed = StatusPages(parts.base, monotonic=time.monotonic)
    return Surface(
        posts={
            f"{path}/token": endpoint("token", token, nonce=nonce_of_now),
            f"{path}/introspect": endpoint(
                "introspect",
                introspection(parts.existing.introspect, parts.existing.signed),
                negotiates=True,
            ),
            f"{path}/revoke": endpoint("revoke", revocation(parts.existing.revoke)),
            f"{path}/par": endpoint("par", pushing(parts.authorizations.push), nonce=nonce_of_now),
            f"{path}/challenge": endpoint("challenge", challenging(challenge, nonce_of_now), plain=True),
            **{f"{path}/{name}": endpoint(name, answer) for name, answer in _answered_elsewhere(parts).items()},
            **parts.point.handlers(_frame(parts, peer, parts.point.doorway), path),
        },
        pages={**_pages(parts, path), f"{path}/status": ("status", parts.reads.admitted(listed.all))},
        trees=[
            (f"{path}/ledger/", "ledger", parts.reads.admitted(_log_page(parts))),
            (f"{path}/status/", "status", parts.reads.admitted(listed.page)),
            (f"{path}/assets/", "assets", assets(browser.pages)),
        ],
        mounts=[
            (f"{path}/admin/", _admin(parts.governing)),
            (f"{path}/register/", registration),
            *parts.signing_in.mounts(browser, path),
            *_fed(parts, peer, path),
        ],
        handlers={
            f"{path}/register": registration,
            **parts.signing_in.handlers(browser, path),
            **parts.authorizations.handlers(browser, path),
            f"{path}/userinfo": _user_info(parts, peer),
            **parts.approvals.handlers(browser, path),
            **parts.withdrawals.handlers(browser, path),
        },
        peer=peer,
        observer=parts.watch,
        references=parts.references,
        monotonic=time.monotonic,
        lost=lost(browser.pages),
    )


def _registration(parts: Parts, peer: PeerReader, path: str) -> RegistrationEndpoint:
    return RegistrationEndpoint(
        lambda: parts.governing.current.registrar,
        path=f"{path}/register",
        endpoint=f"{base_of(parts.base.issuer)}/register",
        gate=parts.gate,
        peer=peer,
        observer=parts.watch,
        references=parts.references,
    )


def _pushed_events(parts: Parts, peer: PeerReader, path: str) -> PushedEvents:
    return PushedEvents(
        parts.signals.pushed,
        path=f"{path}/ssf/events",
        gate=parts.gate,
        peer=peer,
        observer=parts.watch,
        references=parts.references,
    )


def _answered_elsewhere(parts: Parts) -> Mapping[str, Answer]:
    """What somebody answers in a browser of their own."""
    return {
        "device_authorization": device_authorization(parts.approvals.device, base_of(parts.base.issuer)),
        "bc-authorize": backchannel_authentication(parts.approvals.out_of_band),
        "approval-requests": approval_requests(parts.approvals.demanded.ask),
    }


def _approvals_at(parts: Parts) -> str:
    if not approval_kinds(parts.governing.current.bundle.catalogue):
        return ""
    return f"{base_of(parts.base.issuer)}/approval-requests"


def _user_info(parts: Parts, peer: PeerReader) -> UserInfoEndpoint:
    shown = showing(parts.base, peer)

    async def tell(scope: Scope) -> object:
        return await parts.authorizations.user_info(scope, shown)

    return UserInfoEndpoint(tell, gate=parts.gate, peer=peer, observer=parts.watch, references=parts.references)


def _frame(
    parts: Parts, peer: PeerReader, doorway: Callable[[], Awaitable[Door_co]], max_body: int | None = None
) -> Frame[Door_co]:
    return Frame(
        doorway=doorway,
        gate=parts.gate,
        showing=showing(parts.base, peer),
        peer=peer,
        observer=parts.watch,
        references=parts.references,
        monotonic=time.monotonic,
        max_body=parts.base.config.server.max_body if max_body is None else max_body,
    )


def _fed(parts: Parts, peer: PeerReader, path: str) -> Sequence[tuple[str, Handler]]:
    """Where others push what they know, and hear what we do."""
    return (
        (f"{path}/ssf/events/", _pushed_events(parts, peer, path)),
        *parts.shared_signals.mounts(_frame(parts, peer, parts.shared_signals.doorway), path),
        (f"{path}/scim/v2", _scim(parts, peer, path)),
    )


def _scim(parts: Parts, peer: PeerReader, path: str) -> ScimEndpoint:
    async def feeding() -> Feeding:
        await parts.point.follow()
        if (scim := parts.governing.current.scim) is None:
            raise MintwardenError(ErrorKind.NOT_FOUND, "there is nothing here")
        return scim

    return ScimEndpoint(_frame(parts, peer, feeding, MAX_BODY), prefix=f"{path}/scim/v2")


def _challenge(base: Foundation) -> Callable[[], str]:
    challenges = attestation_challenges(base)
    return lambda: challenges.make(base.clock.now())


def _nonce(base: Foundation) -> Callable[[], str] | None:
    nonces = dpop_nonces(base)
    return None if nonces is None else lambda: nonces.make(base.clock.now())


def _pages(parts: Parts, path: str) -> Mapping[str, tuple[str, Page]]:
    readiness = Readiness(checks=checks(parts), timeout=READY_TIMEOUT, report=parts.watch.not_ready)
    metrics = MetricsReader(render=parts.metrics.render, networks=parts.base.config.telemetry.metrics_networks)

    async def keys(asked: Asked) -> Reply:
        return key_set_reply(parts.base.key_set, asked.none_match)

    async def health(_asked: Asked) -> Reply:
        return json_reply(200, {"status": "alive"})

    async def ready(_asked: Asked) -> Reply:
        return await readiness.reply()

    async def measured(asked: Asked) -> Reply:
        return metrics.reply(asked.address)

    oauth_paths, openid_paths = metadata_paths(parts.base.issuer)
    return {
        **dict.fromkeys(oauth_paths, ("metadata", _document(parts.governing, OAUTH))),
        **dict.fromkeys(openid_paths, ("metadata", _document(parts.governing, OPENID))),
        metadata_path(parts.base.issuer): ("metadata", _document(parts.governing, AUTHZEN)),
        transmitter_path(parts.base.issuer): ("metadata", _document(parts.governing, SSF)),
        f"{path}/jwks.json": ("jwks", keys),
        "/healthz": ("healthz", health),
        "/readyz": ("readyz", ready),
        "/metrics": ("metrics", measured),
    }


def metadata(
    issuer: str, catalogue: Catalogue, *, mtls_base: str = "", certificates: bool = False
) -> Mapping[str, bytes]:
    """The discovery documents under a catalogue, ready to send. `certificates`: those of clients are seen here."""
    grants = [GrantNames(g.name, g.grant_type) for g in GRANTS]
    content = describe(issuer, catalogue, grants, ALGORITHMS, mtls_base=mtls_base, certificates=certificates)
    found = {OAUTH: content, OPENID: describe_openid(content, catalogue)}
    if DECISION_POINT in catalogue.audiences:
        found[AUTHZEN] = describe_decision_point(issuer)
    if RECEIVERS in catalogue.audiences:
        found[SSF] = describe_transmitter(issuer)
    return {name: msgspec.json.encode(document) for name, document in found.items()}


def _document(governing: Governing, name: str) -> Page:
    async def page(asked: Asked) -> Reply:
        document = governing.current.metadata.get(name)
        if document is None:
            raise MintwardenError(ErrorKind.NOT_FOUND, "there is nothing here")
        return document_reply(document, asked.none_match)

    return page


def _admin(governing: Governing) -> Handler:
    """Administration under what governs when the request begins."""

    async def admin(scope: Scope, receive: Receive, send: Send) -> None:
        await governing.current.admin(scope, receive, send)

    return admin


def _disclosure(governing: Governing, audience: str) -> Disclosure:
    """What a client that was refused may learn; nothing about an audience that a later version took away."""
    found = governing.current.bundle.catalogue.audiences.get(audience)
    return "nothing" if found is None else found.disclose


def _log_page(parts: Parts) -> Page:
    async def page(asked: Asked) -> Reply:
        return await log_reply(parts.sequencing.log, asked.path)

    return page


def checks(parts: Parts) -> Mapping[str, Check]:
    """What must work for the service to be ready, part by part."""
    base = parts.base

    async def bundle() -> None:
        """The version in force can be used here."""
        if parts.governing.trouble is not None:
            raise parts.governing.trouble

    async def store() -> None:
        health = await base.store.health()
        if not (health.reads and health.writes):
            raise MintwardenError(ErrorKind.UNAVAILABLE, health.detail or "the store does not take writes")

    async def keys() -> None:
        for audience in parts.governing.current.bundle.catalogue.audiences.values():
            base.ring.signer_for(audience.algorithm)

    async def ledger() -> None:
        parts.sequencing.check()
        if base.recorder.fatal is not None:
            raise base.recorder.fatal
        if parts.sequencing.quiet_for > STALE_SEQUENCER:
            raise MintwardenError(ErrorKind.LEDGER, "no checkpoint has been looked after for a while")

    return {"bundle": bundle, "store": store, "keys": keys, "ledger": ledger}
