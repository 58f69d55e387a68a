"""Fetches what transmitters have that do not push (RFC 8936): of several nodes one asks each of them."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote_plus

import msgspec

from mintwarden.app.aftermath import Endings
from mintwarden.app.config import TransmitterConfig
from mintwarden.app.foundation import Foundation
from mintwarden.app.governing import Governing
from mintwarden.app.observe import Watch
from mintwarden.app.sign_in import SigningIn, shared_secret
from mintwarden.app.signals_in import Signals, way_to_transmitter
from mintwarden.authn.fetch import GuardedFetcher
from mintwarden.authn.jose import JoseError, decode_json
from mintwarden.authn.ports import Posted
from mintwarden.authn.security_events import peeked_id
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.signals import SignalRefused, Transmitter

MOST: Final = 16
"""Tokens that are asked for at once."""
LONGEST: Final = (MOST + 1) * 16 * 1024
"""Bytes of an answer: as many tokens of the longest that are taken, and what is around them."""
ROUNDS: Final = 32
"""Questions in a row, while there is more."""
LONGEST_PAUSE: Final = 300.0
"""Seconds between two attempts at a transmitter that does not answer."""
HELD: Final = 60.0
"""Seconds that a node is the one which asks, beyond the interval: far more than it takes."""


class _Asked:
    """What this node knows of one transmitter: when it is asked next, and what it is to be told then."""

    def __init__(self, fetcher: GuardedFetcher) -> None:
        self.fetcher = fetcher
        self.due = 0.0
        self.failures = 0
        self.taken: list[str] = []
        self.refused: dict[str, Mapping[str, str]] = {}
        self.token = ""
        self.token_until = 0.0


class SignalsPolled:
    """See the module. What a process has taken and could not acknowledge any more comes again, and does nothing."""

    def __init__(
        self,
        base: Foundation,
        *,
        governing: Governing,
        signals: Signals,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._base = base
        self._governing = governing
        self._signals = signals
        self._monotonic = monotonic
        self._known: dict[tuple[str, str], _Asked] = {}

    async def run(self) -> None:
        """Ask everyone whose time has come; one that does not answer holds up no other. Raises the first failure."""
        catalogue, now = self._governing.current.bundle.catalogue, self._monotonic()
        polled = [one for one in catalogue.transmitters.values() if one.delivery == "poll"]
        due = [one for one in polled if self._asked(one).due <= now]
        failures = await asyncio.gather(*(self._ask(one) for one in due), return_exceptions=True)
        for failure in failures:
            if failure is not None:
                raise failure

    async def _ask(self, transmitter: Transmitter) -> None:
        asked, interval = self._asked(transmitter), self._config(transmitter).poll_interval
        asked.due = self._monotonic() + interval
        if not await self._base.store.leases.acquire(f"poll:{transmitter.id}", self._base.holder, interval + HELD):
            return
        try:
            for _ in range(ROUNDS):
                if not await self._round(transmitter, asked):
                    break
        except MintwardenError:
            asked.failures += 1
            asked.due = self._monotonic() + min(interval * 2**asked.failures, LONGEST_PAUSE)
            raise
        asked.failures = 0

    async def _round(self, transmitter: Transmitter, asked: _Asked) -> bool:
        """One question (section 2.4); whether to ask again at once."""
        taken, refused = tuple(asked.taken), dict(asked.refused)
        question: dict[str, Any] = {"maxEvents": MOST, "returnImmediately": True, "ack": taken}
        if refused:
            question["setErrs"] = refused
        found = _answer(await self._post(transmitter, asked, msgspec.json.encode(question)))
        asked.taken, asked.refused = [], {}
        sets = found.get("sets")
        if not isinstance(sets, dict) or len(sets) > MOST:
            raise _odd(transmitter, "its answer has no `sets`, or more than were asked for")
        judged = [await self._is_judged(transmitter, asked, token_id, compact) for token_id, compact in sets.items()]
        # Where one could not be judged, all of them wait: asked at once, it would be the same ones again.
        return bool(judged) and all(judged)

    async def _is_judged(self, transmitter: Transmitter, asked: _Asked, token_id: str, compact: object) -> bool:
        """Take one; False where it could be neither taken nor refused, and so comes again."""
        try:
            if not isinstance(compact, str) or peeked_id(compact) != token_id:
                raise SignalRefused("invalid_request", "the token is not the one of this `jti`")
            await self._signals.take(transmitter, compact)
        except SignalRefused as refused:
            asked.refused[token_id] = {"err": refused.fault, "description": refused.description}
        except MintwardenError as error:
            if error.kind not in (ErrorKind.UNAVAILABLE, ErrorKind.OVERLOADED):
                raise
            return False
        else:
            asked.taken.append(token_id)
        return True

    async def _post(self, transmitter: Transmitter, asked: _Asked, question: bytes) -> Posted:
        authorization = await self._authorization(transmitter, asked)
        answer = await asked.fetcher.post_json(
            transmitter.poll_endpoint, question, authorization=authorization, limit=LONGEST
        )
        if answer.status != 200:
            asked.token = ""
            raise _odd(transmitter, f"it answered a poll with {answer.status}")
        return answer

    async def _authorization(self, transmitter: Transmitter, asked: _Asked) -> str:
        """The agreed header, or an access token of ours (RFC 6749 section 4.4)."""
        config = self._config(transmitter)
        secret = shared_secret(config)()
        if not config.token_url:
            return secret
        if not asked.token or asked.token_until <= self._monotonic():
            pair = f"{quote_plus(config.client_id)}:{quote_plus(secret)}".encode()
            form = {"grant_type": "client_credentials", "scope": config.scope}
            form |= {"resource": config.resource} if config.resource else {}
            basic = "Basic " + base64.b64encode(pair).decode("ascii")
            answer = await asked.fetcher.post(config.token_url, form, authorization=basic)
            found = _answer(answer) if answer.status == 200 else {}
            token, seconds = found.get("access_token"), found.get("expires_in", 60)
            if not isinstance(token, str) or type(seconds) is not int:
                raise _odd(transmitter, f"there was no access token for it: {answer.status}")
            asked.token, asked.token_until = token, self._monotonic() + seconds / 2
        return f"Bearer {asked.token}"

    def _config(self, transmitter: Transmitter) -> TransmitterConfig:
        return self._base.config.transmitters.get(transmitter.id, TransmitterConfig())

    def _asked(self, transmitter: Transmitter) -> _Asked:
        key = (transmitter.id, transmitter.poll_endpoint)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = _Asked(way_to_transmitter(self._base.config, transmitter.id))
        return found


def signals_in(
    base: Foundation, governing: Governing, signing_in: SigningIn, endings: Endings, watch: Watch
) -> tuple[Signals, SignalsPolled]:
    """What takes security events, and what fetches them."""
    signals = Signals(base, governing=governing, signing_in=signing_in, endings=endings, watch=watch)
    return signals, SignalsPolled(base, governing=governing, signals=signals)


def _answer(answer: Posted) -> dict[str, Any]:
    try:
        return decode_json(answer.body)
    except JoseError as error:
        raise MintwardenError(ErrorKind.SOURCE, "a transmitter's answer is no JSON object", hint=str(error)) from None


def _odd(transmitter: Transmitter, what: str) -> MintwardenError:
    return MintwardenError(ErrorKind.SOURCE, f"transmitter `{transmitter.id}` could not be polled", hint=what)
