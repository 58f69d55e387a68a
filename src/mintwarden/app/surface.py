"""Which path is answered by what."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping

import msgspec
from msgspec import Struct

from mintwarden.app.foundation import Foundation
from mintwarden.app.observe import Watch
from mintwarden.app.sequencing import Sequencing
from mintwarden.issue.grants import GRANTS
from mintwarden.issue.pipeline import Outcome
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.request import TokenRequest
from mintwarden.web.admit import Gate
from mintwarden.web.asgi import Asked, Page, Surface
from mintwarden.web.discovery import GrantNames, describe, describe_openid, metadata_paths, path_of
from mintwarden.web.documents import Check, MetricsReader, Readiness, document_reply, key_set_reply, log_reply
from mintwarden.web.metrics import Metrics
from mintwarden.web.peer import PeerReader
from mintwarden.web.reply import Handler, Reply, json_reply
from mintwarden.web.token import TokenEndpoint

READY_TIMEOUT = 2.0
STALE_SEQUENCER = 60.0


class Parts(Struct, frozen=True, kw_only=True):
    """What the surface stands on."""

    base: Foundation
    issue: Callable[[TokenRequest], Awaitable[Outcome]]
    gate: Gate
    watch: Watch
    metrics: Metrics
    sequencing: Sequencing
    admin: Handler | None
    references: Callable[[], str]


def build_surface(parts: Parts) -> Surface:
    """The whole HTTP surface."""
    server = parts.base.config.server
    path = path_of(parts.base.issuer)
    peer = PeerReader(proxies=server.proxies)
    token = TokenEndpoint(
        issue=parts.issue,
        disclosure=lambda audience: parts.base.bundle.catalogue.audiences[audience].disclose,
        gate=parts.gate,
        clock=parts.base.clock,
        peer=peer,
        observer=parts.watch,
        references=parts.references,
        monotonic=time.monotonic,
        max_body=server.max_body,
    )
    return Surface(
        posts={f"{path}/token": token},
        pages=_pages(parts, path),
        trees=[(f"{path}/ledger/", "ledger", _log_page(parts))],
        mounts=[(f"{path}/admin/", parts.admin)] if parts.admin is not None else [],
        peer=peer,
        observer=parts.watch,
        references=parts.references,
        monotonic=time.monotonic,
    )


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

    metadata = describe(
        parts.base.issuer, parts.base.bundle.catalogue, [GrantNames(g.name, g.grant_type) for g in GRANTS]
    )
    oauth_paths, openid_paths = metadata_paths(parts.base.issuer)
    return {
        **dict.fromkeys(oauth_paths, ("metadata", _document(metadata))),
        **dict.fromkeys(openid_paths, ("metadata", _document(describe_openid(metadata)))),
        f"{path}/jwks.json": ("jwks", keys),
        "/healthz": ("healthz", health),
        "/readyz": ("readyz", ready),
        "/metrics": ("metrics", measured),
    }


def _document(content: Mapping[str, object]) -> Page:
    body = msgspec.json.encode(content)

    async def page(asked: Asked) -> Reply:
        return document_reply(body, asked.none_match)

    return page


def _log_page(parts: Parts) -> Page:
    async def page(asked: Asked) -> Reply:
        return await log_reply(parts.sequencing.log, asked.path)

    return page


def checks(parts: Parts) -> Mapping[str, Check]:
    """What must work for the service to be ready, part by part."""
    base = parts.base

    async def bundle() -> None:
        """A process without a good bundle does not start."""

    async def store() -> None:
        health = await base.store.health()
        if not (health.reads and health.writes):
            raise MintwardenError(ErrorKind.UNAVAILABLE, health.detail or "the store does not take writes")

    async def keys() -> None:
        for audience in base.bundle.catalogue.audiences.values():
            base.ring.signer_for(audience.algorithm)

    async def ledger() -> None:
        parts.sequencing.check()
        if base.recorder.fatal is not None:
            raise base.recorder.fatal
        if parts.sequencing.quiet_for > STALE_SEQUENCER:
            raise MintwardenError(ErrorKind.LEDGER, "no checkpoint has been looked after for a while")

    return {"bundle": bundle, "store": store, "keys": keys, "ledger": ledger}
