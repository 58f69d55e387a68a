"""Puts the administration API together: what stands behind each of its resources."""

from __future__ import annotations

import asyncio
import functools
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from mintwarden.app.acting import versions_of
from mintwarden.app.erasing import erase_subject
from mintwarden.app.excepting import renewal_of
from mintwarden.app.foundation import Foundation
from mintwarden.app.memory import memory_of
from mintwarden.app.proofs import certificate_reader, dpop_nonces, dpop_proofs
from mintwarden.app.recorded import revocation_check
from mintwarden.app.reviewing import Reviews, owners
from mintwarden.app.reviews.running import Reviewing
from mintwarden.app.revoking import end_key, revoker_of
from mintwarden.app.story import tell
from mintwarden.authn.jose import JoseError, load_key
from mintwarden.authn.own import OwnTokens
from mintwarden.authn.ports import Place
from mintwarden.authn.replay import ReplayGuard
from mintwarden.context.ports import FactRow
from mintwarden.context.push import PushGate
from mintwarden.govern.calls import CallRecorder
from mintwarden.govern.clients import ClientOffice
from mintwarden.govern.exceptions import Exceptions
from mintwarden.govern.scribe import Scribe
from mintwarden.govern.versions import Versions
from mintwarden.issue.granted import Granted
from mintwarden.mint.ports import StoredKey
from mintwarden.mint.rotate import KeyChange
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.values import EntityUid
from mintwarden.policy.bundle.jwk import check_public_keys
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.exception_request import ExceptionRequest
from mintwarden.policy.registered import why_not
from mintwarden.review.finding_states import FindingState
from mintwarden.review.search import Page, Query, search
from mintwarden.review.shared import SharedReview
from mintwarden.store.store import DocumentChange
from mintwarden.web.admin.access import AUDIENCE, Access, Showing
from mintwarden.web.admin.api import application
from mintwarden.web.admin.call import AT_ONCE, SHARE, Around
from mintwarden.web.admin.cursor import CursorSeal
from mintwarden.web.admin.limit import Buckets, Shares
from mintwarden.web.admin.resources.approvals import ApprovalQueue, Queue
from mintwarden.web.admin.resources.clients import Clients
from mintwarden.web.admin.resources.decisions import Decisions
from mintwarden.web.admin.resources.directory import Directory
from mintwarden.web.admin.resources.exceptions import ExceptionDesk
from mintwarden.web.admin.resources.facts import Facts, source_scopes
from mintwarden.web.admin.resources.findings import Findings
from mintwarden.web.admin.resources.grants import Grants
from mintwarden.web.admin.resources.keys import Keys
from mintwarden.web.admin.resources.modes import Modes
from mintwarden.web.admin.resources.owners import Owners
from mintwarden.web.admin.resources.reviews import Reviews as PolicyReviews
from mintwarden.web.admin.resources.revocations import Revocations
from mintwarden.web.admin.resources.versions import VersionDesk
from mintwarden.web.discovery import path_of
from mintwarden.web.observe import Observer
from mintwarden.web.peer import PeerReader
from mintwarden.web.reply import Handler


class Shared:
    """What outlives the bundle version that governs: how often clients called, how many calls are at work, reviews."""

    def __init__(
        self, base: Foundation, *, references: Callable[[], str], stumbled: Callable[[str, BaseException], None]
    ) -> None:
        server = base.config.server
        self.buckets = Buckets(rate=server.admin_rate, burst=server.admin_burst, monotonic=time.monotonic)
        self.shares = Shares(SHARE)
        self.replay = ReplayGuard()
        self.room = asyncio.Semaphore(AT_ONCE)
        self.cursors = CursorSeal(base.master.derive(b"admin-cursors"), random_bytes=secrets.token_bytes)
        self.references = references
        self.reviewing = Reviewing(base, stumbled=stumbled)


def administration(
    base: Foundation,
    shared: Shared,
    *,
    own: OwnTokens,
    observer: Observer,
    follow: Callable[[], Awaitable[None]],
    acts: Exceptions,
    queue: Callable[[], Queue],
) -> Handler:
    """The API as the bundle of `base` governs it; `acts` are those on exceptions under it, `queue` has approvals."""
    audience = base.bundle.catalogue.audiences.get(AUDIENCE)
    scribe = base.scribe()
    peer = PeerReader(proxies=base.config.server.proxies)
    around = Around(
        access=access_to(base, AUDIENCE, own, replay=shared.replay),
        revoked=revocation_check(base).is_revoked,
        buckets=shared.buckets,
        shares=shared.shares,
        record=CallRecorder(scribe=scribe, keys=base.store.subject_keys),
        answers=base.store.answers,
        seal=base.master,
        cursors=shared.cursors,
        clock=base.clock,
        claim=base.store.revocations.claim,
        showing=showing(base, peer),
        peer=peer,
        observer=observer,
        references=shared.references,
        monotonic=time.monotonic,
        follow=follow,
        timeout=base.config.server.request_timeout,
        base=path_of(base.issuer),
        room=shared.room,
    )
    gate = PushGate(base.bundle.catalogue)
    versions = versions_of(base)
    who_owns = SharedReview(functools.partial(owners, base), monotonic=time.monotonic)
    resources = (
        ApprovalQueue(queue=queue, catalogue=base.bundle.catalogue),
        Facts(
            gate=gate,
            writer=base.store.facts,
            reader=base.store.facts,
            scopes=source_scopes(audience.scopes) if audience is not None else {},
        ),
        Directory(
            sources=base.bundle.catalogue.sources,
            gate=gate,
            page=base.store.directory.page,
            change=functools.partial(_change, base, scribe),
            erase=functools.partial(erase_subject, base),
        ),
        Decisions(explain=functools.partial(tell, base), search=functools.partial(_search, base)),
        Clients(office=_office(base, scribe)),
        VersionDesk(acts=versions, store=base.store.versions),
        PolicyReviews(
            bench=shared.reviewing,
            known=functools.partial(_known, base),
            vouched=functools.partial(_vouched, base, versions),
        ),
        Modes(audiences=base.bundle.catalogue.audiences),
        ExceptionDesk(
            acts=acts,
            ask=functools.partial(acts.request, endangered=_endangered),
            renewal=functools.partial(renewal_of, base, acts),
        ),
        Findings(
            findings=Reviews(base, owners=who_owns),
            say=functools.partial(_say, base, scribe),
            close=functools.partial(_close, base, versions),
        ),
        Owners(review=who_owns),
        Keys(keys=functools.partial(_keys, base), keeper=_Keeper(base)),
        Grants(page=functools.partial(_grants, base)),
        Revocations(revoke=revoker_of(base).revoke),
    )
    made: Handler = application(around, resources, issuer=base.issuer)
    return made


def access_to(base: Foundation, audience: str, own: OwnTokens, *, replay: ReplayGuard) -> Access:
    """Who may come in with tokens for an audience of the catalogue: nobody where the bundle has no such audience."""
    found = base.bundle.catalogue.audiences.get(audience)
    return Access(
        own=own,
        audience="" if found is None else found.identifier,
        clock=base.clock,
        proofs=dpop_proofs(base, replay),
        nonces=dpop_nonces(base),
    )


def showing(base: Foundation, peer: PeerReader) -> Showing:
    """What reads the tokens of requests, and the proofs that come with them."""
    parts = urlsplit(base.issuer)
    return Showing(origin=f"{parts.scheme}://{parts.netloc}", certificates=certificate_reader(base.config, peer))


def _office(base: Foundation, scribe: Scribe) -> ClientOffice:
    catalogue = base.bundle.catalogue
    return ClientOffice(
        catalogue=catalogue,
        reader=base.store.credentials,
        writer=base.store.credentials,
        scribe=scribe,
        clock=base.clock,
        pepper=base.pepper,
        random_bytes=secrets.token_bytes,
        refuses=functools.partial(why_not, catalogue),
        check_keys=check_keys,
    )


def check_keys(keys: Sequence[Mapping[str, Any]]) -> None:
    """Raise `INVALID_REQUEST` for what cannot stand among the public keys of a client."""
    check_public_keys(keys)
    try:
        for key in keys:
            load_key(key)
    except JoseError as error:
        raise MintwardenError(ErrorKind.INVALID_REQUEST, "a key cannot be used", hint=str(error)) from None


async def _known(base: Foundation, name: str) -> str:
    """The digest of a version, by that or as `active`; raises `NOT_FOUND`."""
    digest = base.bundle.digest if name == "active" else name
    if digest != base.bundle.digest and await base.store.versions.version(digest) is None:
        raise MintwardenError(ErrorKind.NOT_FOUND, f"there is no version `{digest}`", hint="look at the list")
    return digest


async def _vouched(base: Foundation, versions: Versions, name: str) -> bool:
    """What issues tokens now is nobody's proposal; see `Versions.vouched`."""
    return name in ("active", base.bundle.digest) or await versions.vouched(name, base.clock.now())


async def _search(base: Foundation, query: Query, below: int, limit: int) -> Page:
    store = base.store
    return await search(
        query, index=store.decision_index, entries=store.entries, keys=store.subject_keys, below=below, limit=limit
    )


async def _change(
    base: Foundation, scribe: Scribe, actor: EntityUid, changes: Sequence[tuple[str, str, FactRow | None]], at: int
) -> None:
    source = changes[0][1]
    await scribe.write(
        "configuration",
        actor,
        {
            "change": "directory changed",
            "source": source,
            "replaced": sum(row is not None for _, _, row in changes),
            "forgotten": sum(row is None for _, _, row in changes),
        },
    )
    await base.store.directory.apply(
        [DocumentChange(entity, source, None if row is None else row.document, at) for entity, _, row in changes]
    )


async def _grants(
    base: Foundation, person: str, limit: int, beyond: Place | None
) -> tuple[Sequence[Granted], Place | None]:
    return await memory_of(base).page(person, base.clock.now(), limit, beyond)


async def _keys(base: Foundation) -> Sequence[StoredKey]:
    return base.ring.keys


async def _say(base: Foundation, scribe: Scribe, state: FindingState, actor: EntityUid) -> bool:
    detail = {"change": "finding state", "finding": state.id, "state": state.state, "ticket": state.ticket}
    await scribe.write("configuration", actor, detail)
    return await base.store.finding_states.say(state)


async def _close(base: Foundation, versions: Versions, finding: str, by: str, note: str) -> None:
    await versions.close(finding, by=by, note=note, now=base.clock.now())


def _endangered(bundle: Bundle, request: ExceptionRequest) -> tuple[str, ...]:
    """The solver is loaded when somebody first asks for an exception."""
    from mintwarden.policy.exception_proof import endangered  # noqa: PLC0415

    return endangered(bundle, request)


class _Keeper:
    """Changes keys in somebody's name."""

    def __init__(self, base: Foundation) -> None:
        self._base = base

    async def rotate(self, algorithm: str, *, at_once: bool, actor: EntityUid) -> Sequence[KeyChange]:
        base = self._base
        changes = await base.keeper.rotate(algorithm, base.clock.now(), at_once=at_once)
        await base.record_key_changes(changes, by=actor)
        return changes

    async def revoke(self, kid: str, *, actor: EntityUid) -> Sequence[KeyChange]:
        return await end_key(self._base, kid, actor)
