"""Shared Signals in, put together: what transmitters tell is verified, written down, and done."""

from __future__ import annotations

import hmac
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from mintwarden.app.aftermath import Endings
from mintwarden.app.config import Config, TransmitterConfig
from mintwarden.app.foundation import SELF, Foundation
from mintwarden.app.governing import Governing
from mintwarden.app.observe import Watch
from mintwarden.app.revoking import revoker_of
from mintwarden.app.sign_in import SigningIn, shared_secret
from mintwarden.app.trust import guarded
from mintwarden.authn.fetch import GuardedFetcher
from mintwarden.authn.security_events import SignedEvent, TransmitterReach, verify_event_token
from mintwarden.authn.sessions import Session
from mintwarden.authn.shelf import Held, Shelf
from mintwarden.authn.sign_in import SignIn
from mintwarden.context.ports import FactRow
from mintwarden.context.push import Pushed, PushGate
from mintwarden.feeds.receiving import SKEW, Consequence, Whom, entities, short_name, what_follows
from mintwarden.feeds.security_events import STREAM_UPDATED, VERIFICATION, BadEvent, SecurityEvent, read_event
from mintwarden.ledger.record import ProofReplayed
from mintwarden.model.catalogue import Catalogue
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.ids import entity_key
from mintwarden.model.signals import SignalRefused, Transmitter
from mintwarden.model.values import EntityUid

DONE: Final = "signal"
"""The kind of the shelf of tokens that something came of."""
ASKED: Final = "signal_verification"
"""The kind of the shelf of verifications that were asked for: the `state`, by transmitter."""
EXPECTED: Final = 3_600_000
"""Milliseconds that a verification is waited for."""
REASON: Final = "a transmitter's security event"
_STATUS: Mapping[str, str] = {name: f"the stream is {name}" for name in ("enabled", "paused", "disabled")}


class Signals:
    """Takes security events, under whatever governs when one comes."""

    def __init__(
        self, base: Foundation, *, governing: Governing, signing_in: SigningIn, endings: Endings, watch: Watch
    ) -> None:
        self._base = base
        self._governing = governing
        self._signing_in = signing_in
        self._endings = endings
        self._watch = watch
        self._done = Shelf(DONE, str, states=base.store.states, seal=base.master)
        self._asked = Shelf(ASKED, str, states=base.store.states, seal=base.master)
        self._reaches: dict[tuple[str, str, str], TransmitterReach] = {}
        self._gate: tuple[Catalogue, PushGate] | None = None

    async def pushed(self, transmitter_id: str, compact: str, authorization: str) -> None:
        """One that was pushed to us (RFC 8935); raises as `take`, and `NOT_FOUND` for who is not listened to."""
        await self._signing_in.now()
        transmitter = self._governing.current.bundle.catalogue.transmitters.get(transmitter_id)
        if transmitter is None or transmitter.delivery != "push":
            raise MintwardenError(ErrorKind.NOT_FOUND, "there is nothing here")
        secret = shared_secret(self._base.config.transmitters.get(transmitter.id, TransmitterConfig()))()
        if secret and not hmac.compare_digest(secret.encode(), authorization.encode()):
            raise self._refused(
                transmitter, "authentication_failed", "the `Authorization` header is not the agreed one"
            )
        await self.take(transmitter, compact)

    async def take(self, transmitter: Transmitter, compact: str) -> None:
        """Verify one and do what follows from it, once. Durable when it returns.

        Raises `SignalRefused` for what is not taken, `UNAVAILABLE` while the transmitter's keys cannot be had, and what
        the store and the ledger do: it is to be sent again then.
        """
        event, outcome = "other", "refused"
        try:
            signed = await verify_event_token(transmitter, self._reach(transmitter), compact, self._base.clock.now())
            said = read_event(signed.claims)
            event = short_name(said.event) or "other"
            outcome = await self._taken(transmitter, signed, said)
        except BadEvent as bad:
            raise SignalRefused("invalid_request", str(bad)) from None
        finally:
            self._watch.signalled(transmitter.id, event, outcome)

    async def _taken(self, transmitter: Transmitter, signed: SignedEvent, said: SecurityEvent) -> str:
        if said.event == VERIFICATION:
            return await self._verified(transmitter, said)
        if said.event == STREAM_UPDATED:
            status = said.content.get("status")
            what = _STATUS.get(status, "") if isinstance(status, str) else ""
            self._watch.signal_told(transmitter.id, "stream-updated", what or "the stream is in a state unknown here")
            return "applied"
        catalogue = self._governing.current.bundle.catalogue
        provider = catalogue.providers.get(transmitter.provider)
        consequence = what_follows(said, transmitter, provider, toe=signed.claims.get("toe"))
        if consequence is None:
            self._watch.signal_told(transmitter.id, "other", "an event of a type that nothing comes of here was taken")
            return "ignored"
        handle = f"{transmitter.issuer} {signed.token_id}"
        if await self._done.get(handle, self._base.clock.now()) is not None:
            return "replayed"
        if not await self._follow(transmitter, signed, consequence, catalogue):
            return "nothing"
        await self._done.add(handle, signed.digest, ends=signed.once.expires_at)
        return "applied"

    async def _follow(
        self, transmitter: Transmitter, signed: SignedEvent, what: Consequence, catalogue: Catalogue
    ) -> bool:
        """Do what follows; False where that is nothing. INVARIANT: it is written down before it takes effect.

        Of a token that was written down and whose rest was not reached, the rest is done when it comes again: each part
        of it may be done twice.
        """
        sessions = await self._sessions(transmitter, what)
        ending = [held for held in sessions if what.sessions and held.value.began_at <= what.at + SKEW]
        grants = await self._grants(transmitter, what, {held.value.sign_in.session for held in ending})
        everything = what.everything and await self._is_known(what)
        rows, outdated = await self._rows(what, [held.value.sign_in.session for held in sessions], catalogue)
        if not (ending or grants or everything or rows):
            return False
        await self._record(transmitter, signed, what)
        if rows:  # first, so that whatever is asked for from here on is decided by them
            await self._base.store.facts.put(rows)
        for held in ending:
            await self._signing_in.sign_out(held, REASON)
        await self._endings.end_all(grants, reason=REASON)
        if everything and what.whom.person is not None:
            # INVARIANT: up to now, and not to when it happened: a token that was renewed in between is one of a
            # disabled account. Unless the account has changed since, as far as is known: then that is how it is.
            before = what.at + SKEW if outdated else None
            revoker = revoker_of(self._governing.current.base)
            await revoker.revoke("subject", entity_key(what.whom.person), reason=REASON, by=SELF, before=before)
        return True

    async def _record(self, transmitter: Transmitter, signed: SignedEvent, what: Consequence) -> None:
        detail = {
            "what": "security_event",
            "transmitter": transmitter.id,
            "event": what.event,
            "token": f"sha256:{signed.digest}",
        }
        person = what.whom.person
        told = {
            "subject": entity_key(person) if person else "",
            "session": what.whom.session,
            "device": what.whom.device,
        }
        private = {"jti": signed.token_id} | {name: value for name, value in told.items() if value}
        try:
            await self._base.scribe().write("administration", SELF, detail, private, (signed.once,))
        except ProofReplayed:
            return  # by a process that did not come to the end of it, or is at it

    async def _sessions(self, transmitter: Transmitter, what: Consequence) -> Sequence[Held[Session]]:
        """Those that it is about: brokered by the provider that the transmitter speaks for, if it does for one."""
        sessions, whom, now = (await self._signing_in.now()).sessions, what.whom, self._base.clock.now()
        found: Sequence[Held[Session]] = ()
        if whom.session or whom.upstream_subject:
            found = await sessions.of_upstream(
                transmitter.provider, now, session=whom.session, subject=whom.upstream_subject
            )
        elif whom.person is not None:
            found = await sessions.of_person(whom.person, now)
        meant = {held.value.sign_in.session: held for held in found}
        return [held for held in meant.values() if _is_meant(held.value.sign_in, transmitter, whom)]

    async def _grants(self, transmitter: Transmitter, what: Consequence, ending: Collection[str]) -> Mapping[str, int]:
        """What was given in sessions that nobody visited lately, and that are no more: it hangs on them all the same.

        By when each grant would end. `ending` are the sessions whose grants end with them.
        """
        if not what.sessions:
            return {}
        whom = what.whom
        if whom.person is not None:
            people: Collection[EntityUid] = [whom.person]
        else:
            sessions, now = (await self._signing_in.now()).sessions, self._base.clock.now()
            people = await sessions.people_of_upstream(
                transmitter.provider, now, session=whom.session, subject=whom.upstream_subject
            )
        return await self._endings.given(
            people,
            meant=lambda one: one.session not in ending and _is_meant(one, transmitter, whom),
            until=what.at + SKEW,
        )

    async def _is_known(self, what: Consequence) -> bool:
        """Was anything ever decided or recorded about the person: of a stranger there is nothing to end."""
        if what.whom.person is None:
            return False
        name = entity_key(what.whom.person)
        batch = await self._base.store.facts.read([name])
        return name in batch.subject_keys or bool(batch.rows.get(name))

    async def _rows(
        self, what: Consequence, sessions: Sequence[str], catalogue: Catalogue
    ) -> tuple[Sequence[tuple[str, FactRow]], bool]:
        """The facts, as far as they are news, and whether some are not: what is known of is later."""
        source = catalogue.sources.get(what.source)
        if source is None:
            return (), False
        facts = {name: value for name, value in what.facts.items() if name in source.facts}
        names = [one for one in entities(what, tuple(sessions)) if one.partition(":")[0] in source.about]
        pushed = [Pushed(entity=one, source=source.id, facts=dict(facts), observed_at=what.at) for one in names]
        rows = self._push_gate(catalogue).rows(pushed, self._base.clock.now())
        stored = (await self._base.store.facts.read(names)).rows
        news = [
            (name, row)
            for name, row in rows
            if not any(old.source == row.source and old.observed_at > row.observed_at for old in stored.get(name, ()))
        ]
        return news, len(news) < len(rows)

    async def _verified(self, transmitter: Transmitter, said: SecurityEvent) -> str:
        """A verification (SSF 1.0 section 8.1.4): with the `state` that was asked for, or unasked and with none."""
        state = said.content.get("state")
        asked = await self._asked.get(transmitter.id, self._base.clock.now())
        if state is not None:
            known = asked.value if asked is not None else ""
            if not isinstance(state, str) or not hmac.compare_digest(known.encode(), state.encode()) or not known:
                raise SignalRefused("invalid_request", "`state` is not the one that was asked for")
        if asked is not None and state is not None:
            await self._asked.remove(asked)
        self._watch.signal_told(transmitter.id, "verification", "asked for" if state is not None else "unasked")
        return "applied"

    def _reach(self, transmitter: Transmitter) -> TransmitterReach:
        key = (transmitter.id, transmitter.issuer, transmitter.jwks_uri)
        found = self._reaches.get(key)
        if found is None:
            fetcher = way_to_transmitter(self._base.config, transmitter.id)
            found = TransmitterReach(issuer=transmitter.issuer, jwks_uri=transmitter.jwks_uri, fetcher=fetcher)
            self._reaches[key] = found
        return found

    def _push_gate(self, catalogue: Catalogue) -> PushGate:
        if self._gate is None or self._gate[0] is not catalogue:
            self._gate = (catalogue, PushGate(catalogue))
        return self._gate[1]

    def _refused(self, transmitter: Transmitter, fault: str, what: str) -> SignalRefused:
        self._watch.signalled(transmitter.id, "other", "refused")
        return SignalRefused(fault, what)  # type: ignore[arg-type]


def _is_meant(sign_in: SignIn, transmitter: Transmitter, whom: Whom) -> bool:
    """Is a sign-in one that the event is about. A device that is not known may be the one."""
    return (
        transmitter.provider in ("", sign_in.provider)
        and whom.person in (None, sign_in.subject)
        and whom.session in ("", sign_in.upstream_session)
        and whom.upstream_subject in ("", sign_in.upstream_subject)
        and (not whom.device or sign_in.device in ("", whom.device))
    )


async def expect_state(base: Foundation, transmitter: str, state: str, ends: int) -> None:
    """Let the next verification of a transmitter have this `state`, until `ends` (`Millis`), in place of any before."""
    shelf = Shelf(ASKED, str, states=base.store.states, seal=base.master)
    await shelf.take(transmitter, 0)
    await shelf.add(transmitter, state, ends=ends)


def way_to_transmitter(config: Config, name: str) -> GuardedFetcher:
    """The guarded way to a transmitter of the bundle, by its id."""
    own = config.transmitters.get(name, TransmitterConfig()).networks
    return guarded(config, own, remedy=f"one of your own is named in `transmitters.{name}.networks`")
