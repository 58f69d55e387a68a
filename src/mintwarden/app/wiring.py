"""The only place that puts the parts of the service together."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import os
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import BoundedSemaphore
from typing import Any

from mintwarden.app.activation import refuse_failing
from mintwarden.app.administration import Shared, access_to, administration
from mintwarden.app.aftermath import Endings, with_aftermath
from mintwarden.app.alarm import RecordedAlarm
from mintwarden.app.approve import Approvals
from mintwarden.app.authorize import Authorizations
from mintwarden.app.background import Background, Task
from mintwarden.app.config import Config
from mintwarden.app.decision_point import DecisionPoint
from mintwarden.app.demanded import Demanded, held_approvals
from mintwarden.app.described import client_documents, described_clients
from mintwarden.app.desk import ExistingTokens
from mintwarden.app.excepting import Excepting
from mintwarden.app.feeding import ScimWhenFed
from mintwarden.app.following import Following
from mintwarden.app.foundation import SELF, Foundation, foundation, under
from mintwarden.app.governing import Governing, Government, Library, warmed
from mintwarden.app.memory import memory_of
from mintwarden.app.own_keys import RingKeys
from mintwarden.app.proofs import ENDPOINTS, attestation_challenges, client_authorities, dpop_proofs, sees_certificates
from mintwarden.app.recorded import recorded_question, revocation_check
from mintwarden.app.registering import registrar
from mintwarden.app.sequencing import Sequencing
from mintwarden.app.shared_signals import SharedSignals
from mintwarden.app.sign_in import SigningIn, Upstreams, sign_ins
from mintwarden.app.signals_polled import SignalsPolled, signals_in
from mintwarden.app.sources import external_sources
from mintwarden.app.status import places_of
from mintwarden.app.surface import Parts, build_surface, metadata
from mintwarden.app.tasks import ACTIVATION_SECONDS, Runs, tasks_of
from mintwarden.app.telemetry import Telemetry, open_telemetry
from mintwarden.app.traces import ASSEMBLE, AUTHENTICATE, RECORD, SIGN
from mintwarden.app.trust import key_finder, reached
from mintwarden.app.withdraw import Withdrawals
from mintwarden.authn.authenticate import Authenticator
from mintwarden.authn.evidence import Evidences
from mintwarden.authn.grants import AssertionGrants
from mintwarden.authn.issuers.verify import TrustedIssuers
from mintwarden.authn.own import OwnTokens
from mintwarden.authn.presented import LiveTokens
from mintwarden.authn.replay import ReplayGuard
from mintwarden.authn.secrets import SecretVerifier
from mintwarden.authn.spiffe import SpiffeDomains
from mintwarden.context.assemble import Assembler
from mintwarden.govern.ports import Activation
from mintwarden.issue.desk import Desk
from mintwarden.issue.fresh import Fresh
from mintwarden.issue.judge import Judge
from mintwarden.issue.line import Line, Record, Regime
from mintwarden.issue.memory import Memory
from mintwarden.issue.pipeline import issue
from mintwarden.mint.sign import sign
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.token import Receipt
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.registered import admitted
from mintwarden.web.admit import Gate
from mintwarden.web.authzen.endpoint import AUDIENCE as DECISION_POINT
from mintwarden.web.discovery import base_of
from mintwarden.web.reads import Reads
from mintwarden.web.reply import Handler
from mintwarden.web.ssf.endpoint import AUDIENCE as RECEIVERS

KEY_ATTEMPTS = 50
KEY_PATIENCE = 10
"""Attempts that another node gets to make the keys. If it died over it, its lease would hold up our start."""

MAX_RECHECKS = 64


class Service:
    """The running service of one process: its HTTP surface, and everything behind it until `close`."""

    def __init__(
        self,
        *,
        surface: Handler,
        background: Background,
        sequencing: Sequencing,
        telemetry: Telemetry,
        stack: contextlib.AsyncExitStack,
    ) -> None:
        self.surface = surface
        self._sequencing = sequencing
        self._background = background
        self._telemetry = telemetry
        self._stack = stack

    async def close(self) -> None:
        """End background work, flush the ledger and the logs, let go of the store. No request is under way."""
        self._telemetry.logs.logger.info("stopping")
        await self._background.stop()
        await self._sequencing.finish()
        await self._stack.aclose()
        await asyncio.to_thread(self._telemetry.close)


async def open_service(config: Config) -> Service:
    """The service that `config` describes, ready to answer; raises what keeps it from that."""
    telemetry = open_telemetry(config)
    stack = contextlib.AsyncExitStack()
    try:
        opened = foundation(config, create=creates(config), on_batch=telemetry.watch.committed)
        base = await stack.enter_async_context(opened)
        refuse_unsigned(base)
        if config.server.workers == 1 and base.activation is None:  # several were told before they started
            refuse_failing(base.bundle)
        service = await _compose(base, telemetry, stack)
    except BaseException:
        await stack.aclose()
        telemetry.close()
        raise
    telemetry.logs.logger.info(
        "serving", issuer=base.issuer, bundle=base.bundle.catalogue.name, digest=base.bundle.digest
    )
    return service


async def rehearse(config: Config) -> None:
    """What each of several workers would stumble over, once and in this process: bundle, store, schema, keys."""
    async with foundation(config, create=creates(config)) as base:
        refuse_unsigned(base)
        if base.activation is None:
            refuse_failing(base.bundle)
        await ensure_keys(base)


def refuse_unsigned(base: Foundation) -> None:
    """Return when an activated version governs, or in development; raise `BUNDLE` for a folder elsewhere."""
    if base.activation is None and not base.config.server.dev:
        raise MintwardenError(
            ErrorKind.BUNDLE,
            "no bundle version was activated: a folder that nobody signed governs in development alone",
            hint="`mintwarden policy sign`, `approve` and `activate` it (`docs/versions.md`), or set `dev = true`",
        )


def creates(config: Config) -> bool:
    """Does the service make and migrate its store by itself: the embedded one, and any in development."""
    return config.store.url.startswith("sqlite:") or config.server.dev


async def _compose(base: Foundation, telemetry: Telemetry, stack: contextlib.AsyncExitStack) -> Service:
    await ensure_keys(base)
    watch = telemetry.watch
    replay = ReplayGuard()
    alarm = RecordedAlarm(base, watch=watch, stumbled=watch.stumbled)
    stack.push_async_callback(alarm.close)  # after the thread of `_later` has ended
    library = Library(base.store.versions)
    library.put(await asyncio.to_thread(warmed, base.bundle))
    excepting = Excepting(base, time.monotonic)
    await excepting.look()
    making = _Making(base, telemetry, replay, alarm, _later(stack), excepting)
    for close in (making.documents.close, making.shared.reviewing.close, making.scim.close):
        stack.push_async_callback(close)
    governing = Governing(
        base, library=library, make=making.government, monotonic=time.monotonic, swapped=making.swapped
    )
    following = making.following = Following(base, governing)
    await governing.refresh()
    stack.push_async_callback(governing.let_go, everything=True)
    sequencing = Sequencing(base, watch=watch)
    await sequencing.look()
    shared = SharedSignals(base, governing=governing, following=following, told=watch)
    stack.push_async_callback(shared.close)
    endings = Endings(base, making.memory, shared.out)
    record = with_aftermath(_guarded(base, replay, sequencing), endings, lambda: governing.current.bundle)
    line = _line(base, telemetry, governing, following, record, making.memory)
    gate, reads = _admission(base.config)
    signing_in = SigningIn(
        base, governing=governing, following=following, replay=replay, watch=watch, signals=shared.out, endings=endings
    )
    stack.push_async_callback(signing_in.close)
    approvals = Approvals(
        base, line=line, governing=governing, following=following, signing_in=signing_in, endings=endings, watch=watch
    )
    making.demanded = approvals.demanded
    stack.push_async_callback(approvals.close)
    authorizations = Authorizations(
        base, line=line, governing=governing, following=following, signing_in=signing_in, replay=replay
    )
    withdrawals = Withdrawals(
        base,
        memory=making.memory,
        endings=endings,
        governing=governing,
        following=following,
        signing_in=signing_in,
        authorizations=authorizations,
    )
    signals, polled = signals_in(base, governing, signing_in, endings, watch)
    surface = build_surface(
        Parts(
            base=base,
            governing=governing,
            issue=telemetry.traced_issue(functools.partial(issue, line=line)),
            gate=gate,
            reads=reads,
            watch=watch,
            metrics=telemetry.metrics,
            sequencing=sequencing,
            existing=ExistingTokens(base, governing=governing, following=following),
            point=DecisionPoint(base, line=line, governing=governing, following=following),
            references=references(),
            signing_in=signing_in,
            authorizations=authorizations,
            approvals=approvals,
            withdrawals=withdrawals,
            signals=signals,
            shared_signals=shared,
        )
    )
    if base.activation is None:
        await record_activation(base)
    telling = _telling(signing_in, approvals, shared, polled)
    tasks = tasks_of(base, telemetry, sequencing, (gate, reads.gate), line, governing, excepting, telling)
    return _begun(tasks, surface=surface, sequencing=sequencing, telemetry=telemetry, stack=stack)


def _telling(
    signing_in: SigningIn, approvals: Approvals, shared: SharedSignals, polled: SignalsPolled
) -> Mapping[str, Runs]:
    return {"logout": signing_in.notices, "ciba": approvals.notices, "ssf": shared.notices, "signals": polled}


def _begun(
    tasks: tuple[Task, ...],
    *,
    surface: Handler,
    sequencing: Sequencing,
    telemetry: Telemetry,
    stack: contextlib.AsyncExitStack,
) -> Service:
    background = Background(tasks, stumbled=telemetry.watch.stumbled)
    background.start()
    return Service(
        surface=telemetry.traced_surface(surface),
        background=background,
        sequencing=sequencing,
        telemetry=telemetry,
        stack=stack,
    )


class _Making:
    """Makes the government of a bundle version from what outlives versions: own tokens, key finder, secrets, replay."""

    def __init__(
        self,
        base: Foundation,
        telemetry: Telemetry,
        replay: ReplayGuard,
        alarm: RecordedAlarm,
        later: Callable[[Callable[[], object]], bool],
        excepting: Excepting,
    ) -> None:
        self._telemetry = telemetry
        self._excepting = excepting
        self._replay = replay
        self._alarm = alarm
        self._later = later
        self._revoked = revocation_check(base)
        self._own = OwnTokens(issuer=base.issuer, keys=RingKeys(base.ring))
        self._finder = key_finder(base)
        self.documents = client_documents(base)
        self._upstreams = Upstreams(base)
        self.memory = memory_of(base)
        self._secrets = SecretVerifier(pepper=base.pepper)
        self._authorities = client_authorities(base)
        self.shared = Shared(base, references=references(), stumbled=telemetry.watch.stumbled)
        self.scim = ScimWhenFed(own=self._own, replay=self.shared.replay)
        self._told: tuple[str, str] | None = None
        self.following: Following | None = None
        self.demanded: Demanded | None = None

    async def government(self, base: Foundation, bundle: Bundle, number: int) -> Government:
        """Everything that `bundle` governs, as activation `number`; its secrets are not read yet."""
        base, telemetry, catalogue = under(base, bundle), self._telemetry, bundle.catalogue
        if self.following is None:
            raise MintwardenError(ErrorKind.INTERNAL, "nothing follows the store")
        if not has_keys(base):  # the version brings an algorithm; usually the swap does not wait for a look at the keys
            await ensure_keys(base)
        sources = contextlib.AsyncExitStack()
        try:
            external = external_sources(base.config, catalogue, sources)
            authenticator = await asyncio.to_thread(self._authenticator, base, number)
        except BaseException:
            await sources.aclose()
            raise
        excepted = self._excepting.under(base)
        assembler = Assembler(
            catalogue=catalogue,
            facts=base.store.facts,
            external=external,
            exceptions=excepted.held,
            approvals=held_approvals(self.memory, bundle),
        )
        authenticate = self.following.told_at_once(
            telemetry.traced(AUTHENTICATE, authenticator.authenticate), authenticator
        )
        regime = Regime(
            bundle,
            judge=telemetry.traced_judge(Judge(bundle, alarm=self._alarm, later=self._later)),
            authenticate=authenticate,
            assemble=telemetry.traced(ASSEMBLE, assembler.assemble),
        )
        return Government(
            number=number,
            base=base,
            authenticator=authenticator,
            regime=regime,
            admin=administration(
                base,
                self.shared,
                own=self._own,
                observer=telemetry.watch,
                follow=self.following.now,
                acts=excepted.acts,
                queue=self._queue,
            ),
            point=access_to(base, DECISION_POINT, self._own, replay=self._replay),
            receivers=access_to(base, RECEIVERS, self._own, replay=self._replay),
            metadata=metadata(
                base.issuer,
                catalogue,
                mtls_base=base.config.server.mtls_base,
                certificates=sees_certificates(base.config),
            ),
            desk=Desk(
                catalogue=catalogue,
                authenticate=authenticate,
                tokens=LiveTokens(own=self._own, revoked=self._revoked),
                claims=base.store.revocations,
                fresh=Fresh(
                    catalogue=catalogue,
                    clients=authenticator,
                    judge=regime.judge,
                    assemble=regime.assemble,
                    recorded=functools.partial(recorded_question, base),
                    entropy=secrets.token_bytes,
                ),
                memory=self.memory,
            ),
            sources=sources,
            excepted=excepted,
            registrar=registrar(base, self._own),
            sign_ins=sign_ins(base, self._upstreams),
            scim=await self.scim.under(base),
        )

    def _queue(self) -> Demanded:
        if self.demanded is None:
            raise MintwardenError(ErrorKind.INTERNAL, "nobody keeps what waits for approval")
        return self.demanded

    def swapped(self, new: Government, emergency: Activation | None) -> None:
        """Tell that another version governs on this node, loudly if it is an emergency's."""
        self._telemetry.watch.emergency(emergency.number if emergency is not None else 0, new.bundle.digest)
        metrics = self._telemetry.metrics
        metrics.set("mintwarden_cedar_alone", 0)
        if self._told is not None:
            metrics.set("mintwarden_bundle_info", 0, *self._told)
            self._telemetry.logs.logger.info(
                "another version governs", bundle=new.bundle.catalogue.name, digest=new.bundle.digest, number=new.number
            )
        self._told = (new.bundle.catalogue.name, new.bundle.digest)
        metrics.set("mintwarden_bundle_info", 1, *self._told)

    def _authenticator(self, base: Foundation, number: int) -> Authenticator:
        catalogue = base.bundle.catalogue
        issuers = {name: reached(issuer, base.config) for name, issuer in catalogue.issuers.items()}
        keys = self._finder.under(issuers.values())
        trusted = TrustedIssuers(own_issuer=base.issuer, issuers=issuers, keys=keys)
        return Authenticator(
            issuer=base.issuer,
            clients=catalogue.clients,
            credentials=base.store.credentials,
            secrets=self._secrets,
            evidence=Evidences(own=self._own, trusted=trusted, revoked=self._revoked),
            replay=self._replay,
            activation=number,
            admit=functools.partial(admitted, catalogue),
            dpop=dpop_proofs(base, self._replay),
            elsewhere={name: dpop_proofs(base, self._replay, path=f"/{name}") for name in ENDPOINTS},
            challenges=attestation_challenges(base),
            grants=AssertionGrants(issuer=base.issuer, endpoint=f"{base_of(base.issuer)}/token", trusted=trusted),
            described=described_clients(base, catalogue, self.documents),
            authorities=self._authorities,
            domains=SpiffeDomains(issuer=base.issuer, issuers=issuers.values(), keys=keys),
        )


def _admission(config: Config) -> tuple[Gate, Reads]:
    """Of those who come for something, and of those who read what anybody may."""
    server, seconds = config.server, config.server.request_timeout
    gate = Gate(in_flight=server.max_in_flight, queued=server.max_queued, timeout=seconds, monotonic=time.monotonic)
    return gate, Reads(timeout=seconds, monotonic=time.monotonic)


def _line(
    base: Foundation,
    telemetry: Telemetry,
    governing: Governing,
    following: Following,
    record: Record,
    memory: Memory,
) -> Line:
    return Line(
        issuer=base.issuer,
        clock=base.clock,
        entropy=os.urandom,  # what `secrets.token_bytes` calls, two layers further down
        memory=memory,
        regime=governing.regime,
        refresh=following.refresh,
        signer=following.signer,
        record=telemetry.traced(RECORD, record),
        sign=telemetry.traced(SIGN, sign),
        placed=places_of(base).placed,
    )


def _guarded(base: Foundation, replay: ReplayGuard, sequencing: Sequencing) -> Record:
    """Step 7, refused once the log may fork; what it claimed is remembered, so that replays are refused early."""

    def record(**what: Any) -> Awaitable[Receipt]:
        sequencing.check()
        return remembered(**what) if what["once"] else base.recorder.record(**what)

    async def remembered(**what: Any) -> Receipt:
        receipt = await base.recorder.record(**what)
        for key in what["once"]:
            replay.remember(key)
        return receipt

    return record


def _later(stack: contextlib.AsyncExitStack) -> Callable[[Callable[[], object]], bool]:
    """Runs functions behind the answer, in one thread and bounded number."""
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="recheck")
    stack.callback(pool.shutdown, wait=True, cancel_futures=True)
    room = BoundedSemaphore(MAX_RECHECKS)

    def run(function: Callable[[], object]) -> bool:
        if not room.acquire(blocking=False):
            return False
        pool.submit(function).add_done_callback(lambda _done: room.release())
        return True

    return run


def has_keys(base: Foundation) -> bool:
    """Is there, as far as this process knows, every signing key that the bundle's audiences need."""
    try:
        base.ring.checkpoint_key()
        for audience in base.bundle.catalogue.audiences.values():
            base.ring.signer_for(audience.algorithm)
    except MintwardenError:
        return False
    return True


async def ensure_keys(base: Foundation) -> None:
    """Every signing key that the bundle's audiences need; waits for another node that is making them."""
    for attempt in range(KEY_ATTEMPTS):
        changes = await base.keeper.tick(base.clock.now(), elected=attempt < KEY_PATIENCE)
        await base.record_key_changes(changes, by=SELF)
        await base.ring.refresh()
        try:
            base.ring.checkpoint_key()
            for audience in base.bundle.catalogue.audiences.values():
                base.ring.signer_for(audience.algorithm)
        except MintwardenError as error:
            if error.kind is not ErrorKind.KEYS:
                raise
            await asyncio.sleep(0.2)
        else:
            return
    raise MintwardenError(ErrorKind.KEYS, "there is no signing key", hint="see `mintwarden keys list`")


async def record_activation(base: Foundation) -> None:
    """Write down which bundle governs from now on; of workers that start together, one does."""
    if await base.store.leases.acquire(f"activation:{base.bundle.digest}", base.holder, ACTIVATION_SECONDS):
        await base.recorder.record_act(
            entry_id=base.new_id(),
            kind="policy_activation",
            at=base.clock.now(),
            actor=SELF,
            detail={
                "bundle": base.bundle.digest,
                "name": base.bundle.catalogue.name,
                "owner": base.bundle.catalogue.owner,
            },
        )


def references() -> Callable[[], str]:
    """Names for requests: unique, short, and of no meaning."""
    prefix = secrets.token_hex(4)
    numbers = itertools.count(1)
    return lambda: f"{prefix}-{next(numbers):x}"
