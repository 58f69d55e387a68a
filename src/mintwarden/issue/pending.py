"""What waits for a person: a device's or a client's request that somebody answers elsewhere (RFC 8628, CIBA).

INVARIANT: nothing here sleeps. Whoever asks too soon is told so, by the time of the request, and waits longer from
then on; what changes is replaced by its version, so that of two who change it one is first.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from mintwarden.authn.shelf import Held, Shelf
from mintwarden.issue.confines import Confines
from mintwarden.issue.granted import Granted
from mintwarden.model.address import block_of
from mintwarden.model.detail import Detail
from mintwarden.model.errors import ErrorKind, MintwardenError

PENDING: Final = "pending"
USER_CODE: Final = "user_code"
TRIES: Final = "user_code_tries"
"""The kinds of their shelves."""

INTERVAL: Final = 5
"""Seconds between two questions, at first; each that comes too soon adds as many, for good (RFC 8628 section 3.5)."""
ALPHABET: Final = "BCDFGHJKLMNPQRSTVWXZ"
"""Of user codes: no vowels, so that no word comes of it (RFC 8628 section 6.1). Eight of them are 34 bits."""
PERSON_TRIES: Final = 5
ADDRESS_TRIES: Final = 30
TRIES_FOR: Final = 10 * 60_000
"""So many wrong user codes in so many milliseconds, from one person and from one address (section 5.1)."""
ADDRESS_BEGINS: Final = 100
"""Requests that devices at one address may begin in that time: they need no secret for it."""
MOST_WAITING: Final = 10
"""Requests of a client that may wait for the same person, or have come to nothing within `TRIES_FOR`: nobody is worn
out by questions (CIBA section 15)."""

_KEPT = 10 * 60_000
"""Milliseconds for which it is remembered that something has ended."""
_ATTEMPTS = 5
_COUNTS = 50
"""Times that a number is tried to be changed while others change it too."""
_LENGTH = 8

DELIVERIES: Final = ("poll", "ping", "push")

Kind = Literal["device_code", "auth_req_id"]
Delivery = Literal["poll", "ping", "push"]


class Pending(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request.

    Attributes:
        name: its public id.
        kind: what its client holds to ask about it.
        digest: SHA-256 of the secret in that.
        client_id: whose it is.
        scopes, identity, details, confines: what is asked for, as `AuthorizationRequest` says it.
        address: where it came from, as text.
        began_at, ends: `Millis`.
        interval: seconds between two questions.
        asked_at: `Millis`, when its client last asked; 0 for never.
        state: what the person said.
        granted: what came of it.
        user_code: what the person types in (devices).
        person: entity key of whom it waits for: the last who typed the code in, or whom the client named; or empty.
        message: what both sides show (`binding_message`).
        budget, max_depth: what may be done with it, and how far it may be handed on; None for no limit.
        acr_values: levels that the person must have signed in at, or empty.
        delivery: how its client learns of the answer.
        method: how its client authenticated, where its tokens are pushed.
        instance: the attested key of the instance of the client that began it, which alone may ask; or empty.
        notify_token, handle: what our notification is known by, and what it is about. Nothing else is kept of what a
            client holds but its digest, and these two only where they have to be sent.
        told: its client was told of the answer, or will not be any more.
    """

    name: str
    kind: Kind
    digest: str
    client_id: str
    scopes: Mapping[str, tuple[str, ...]]
    identity: tuple[str, ...]
    confines: Confines
    began_at: int
    ends: int
    address: str = ""
    interval: int = INTERVAL
    asked_at: int = 0
    state: Literal["pending", "allowed", "denied"] = "pending"
    granted: Granted | None = None
    details: tuple[Detail, ...] = ()
    user_code: str = ""
    person: str = ""
    message: str = ""
    acr_values: tuple[str, ...] = ()
    delivery: Delivery = "poll"
    method: str = ""
    instance: str = ""
    notify_token: str = ""
    budget: int | None = None
    max_depth: int | None = None
    handle: str = ""
    told: bool = False


class Asker(NamedTuple):
    """Who asks about a request: a client, and the attested key of its instance where it has one."""

    id: str
    instance: str = ""


class Tries(Struct, frozen=True, kw_only=True):
    """How often somebody was wrong, since when."""

    number: int
    since: int


class Waiting:
    """Keeps requests, and answers those who ask about them."""

    def __init__(self, *, pending: Shelf[Pending], codes: Shelf[str], tries: Shelf[Tries]) -> None:
        self._pending = pending
        self._codes = codes
        self._tries = tries

    # -- beginning ----------------------------------------------------------------------------------------

    async def begin(self, entropy: Callable[[int], bytes], pending: Pending) -> tuple[str, Pending]:
        """Keep `pending`, whose name, digest and user code are made here; what its client holds, and it."""
        if pending.kind == "device_code":
            where, many = f"begin:{block_of(pending.address)}", "too many devices begin at this address"
            await self._count(where, ADDRESS_BEGINS, pending.began_at, _slow(many, "wait"))
        for _ in range(_ATTEMPTS):
            name, secret = _text(entropy(18)), _text(entropy(32))
            code = _user_code(entropy) if pending.kind == "device_code" else ""
            handle = f"{name}.{secret}"
            kept = handle if pending.delivery != "poll" else ""
            made = replace(pending, name=name, digest=_digest(secret), user_code=code, handle=kept)
            if code and not await self._codes.add(_spelled(code), name, ends=made.ends):
                continue  # somebody else has it at present
            if await self._pending.add(name, made, ends=made.ends + _KEPT, owner=made.person):
                await self._refuse_crowd(made)
                return handle, made
        raise MintwardenError(ErrorKind.UNAVAILABLE, "no code was free", hint="try again")

    async def refuse_flood(self, client_id: str, person: str, now: int) -> None:
        """Raise `ACCESS_DENIED` where too many requests of the client wait for the person, or were of no use lately.

        INVARIANT: whoever said no, or nothing, is not asked until they say yes by mistake, however short the questions.
        """
        if await self._unallowed(client_id, person, now) >= MOST_WAITING:
            raise _too_many()

    async def _refuse_crowd(self, made: Pending) -> None:
        """The same of one that is kept by now. INVARIANT: those that come at once do not pass because none is there."""
        if made.person and await self._unallowed(made.client_id, made.person, made.began_at) > MOST_WAITING:
            held = await self._pending.get(made.name, made.began_at)
            if held is not None:
                await self._pending.remove(held)
            raise _too_many()

    async def _unallowed(self, client_id: str, person: str, now: int) -> int:
        theirs = [held.value for held in await self._pending.owned(person, now) if held.value.client_id == client_id]
        return sum(one.state != "allowed" and max(one.ends, one.began_at + TRIES_FOR) > now for one in theirs)

    # -- the client asks ----------------------------------------------------------------------------------

    async def asked(self, kind: Kind, unverified: str, client: Asker, now: int, *, pushed: bool = False) -> Pending:
        """The request, once the person allowed it; `pushed`: for its tokens to be sent to the client.

        Raises `INVALID_GRANT` for what is not this client's or another instance's of it, `EXPIRED_TOKEN`,
        `APPROVAL_DENIED`, `AUTHORIZATION_PENDING` and `SLOW_DOWN` (RFC 8628 section 3.5, CIBA section 11), and
        `UNAUTHORIZED_CLIENT` for one that asks for what is sent to it. What others show changes nothing.
        """
        name, _, secret = unverified.partition(".")
        for _ in range(_ATTEMPTS):
            held = await self._pending.get(name, now)
            known = None if held is None else held.value
            if (
                held is None
                or known is None
                or known.kind != kind
                or known.client_id != client.id
                or (known.instance and known.instance != client.instance)
                or not hmac.compare_digest(_digest(secret), known.digest)
            ):
                raise MintwardenError(ErrorKind.INVALID_GRANT, f"the `{kind}` is not one of this client's")
            if (known.delivery == "push") != pushed:
                raise MintwardenError(
                    ErrorKind.UNAUTHORIZED_CLIENT,
                    "the tokens of this request are pushed",
                    hint="wait for them at the notification endpoint (CIBA section 11)",
                )
            if known.state == "denied":
                raise MintwardenError(ErrorKind.APPROVAL_DENIED, "the person did not allow it")
            if known.ends <= now:
                raise MintwardenError(ErrorKind.EXPIRED_TOKEN, f"the `{kind}` has ended", hint="begin again")
            if known.state == "allowed":
                return known
            soon = known.asked_at != 0 and now - known.asked_at < known.interval * 1000
            longer = known.interval + INTERVAL if soon else known.interval
            if await self._pending.replace(held, replace(known, asked_at=now, interval=longer)):
                raise _too_soon(longer) if soon else _not_yet()
        raise _too_soon(INTERVAL)  # so many at once are too many in any case

    # -- the person answers -------------------------------------------------------------------------------

    async def typed(self, unverified: str, *, person: str, address: str, now: int) -> Pending:
        """The device's request with that user code; from now on it waits for `person`.

        Raises `NOT_FOUND` for every wrong one, and `SLOW_DOWN` once the person, or the address, was wrong too often: of
        all codes nobody can try enough.
        """
        limits = {f"person:{person}": PERSON_TRIES, f"address:{block_of(address)}": ADDRESS_TRIES}
        too_often = _slow("too many wrong codes", "wait ten minutes, and look at the device again")
        await self._count_all(limits, now, too_often)
        for _ in range(_ATTEMPTS):
            name = await self._codes.get(_spelled(unverified), now)
            found = None if name is None else await self.named(name.value, now)
            if found is None:
                raise MintwardenError(ErrorKind.NOT_FOUND, "there is no device with this code", hint="look again")
            theirs = replace(found.value, person=person)
            if await self._pending.replace(found, theirs):
                for who in limits:
                    await self._uncount(who, now)
                return theirs
        raise MintwardenError(ErrorKind.UNAVAILABLE, "the request keeps changing", hint="try again")

    async def named(self, name: str, now: int) -> Held[Pending] | None:
        """The request of that name which nobody answered yet."""
        held = await self._pending.get(name, now)
        open_still = held is not None and held.value.state == "pending" and held.value.ends > now
        return held if open_still else None

    async def of(self, person: str, now: int) -> Sequence[Pending]:
        """What waits for a person, the oldest first."""
        found = [held.value for held in await self._pending.owned(person, now)]
        return sorted((one for one in found if one.state == "pending" and one.ends > now), key=lambda p: p.began_at)

    async def answer(self, name: str, granted: Granted | None, now: int) -> Pending | None:
        """Keep what the person said, None for no; None where there is nothing to answer any more.

        INVARIANT: the first answer stands, and a user code leads to nothing after it.
        """
        for _ in range(_ATTEMPTS):
            held = await self.named(name, now)
            if held is None:
                return None
            said = replace(held.value, state="denied" if granted is None else "allowed", granted=granted)
            if await self._pending.replace(held, said):
                if said.user_code:
                    await self._codes.take(_spelled(said.user_code), now)
                return said
        raise MintwardenError(ErrorKind.UNAVAILABLE, "the request keeps changing", hint="try again")

    # -- the client is told -------------------------------------------------------------------------------

    async def kept(self, name: str, now: int) -> Pending | None:
        """The request of that name, answered or not, as long as it is remembered."""
        held = await self._pending.get(name, now)
        return None if held is None else held.value

    async def tell(self, name: str, now: int) -> None:
        """Note that nobody needs to tell the client any more."""
        held = await self._pending.get(name, now)
        if held is not None and held.value.state != "pending":
            await self._pending.replace(held, replace(held.value, told=True))

    async def _count_all(self, limits: Mapping[str, int], now: int, otherwise: MintwardenError) -> None:
        """One more of each, or of none."""
        counted: list[str] = []
        try:
            for who, most in limits.items():
                await self._count(who, most, now, otherwise)
                counted.append(who)
        except MintwardenError:
            for who in counted:
                await self._uncount(who, now)
            raise

    async def _count(self, who: str, most: int, now: int, otherwise: MintwardenError) -> None:
        """One more; raises `otherwise` where there were `most`.

        INVARIANT: counted before anything is looked at: of however many at once, on whatever nodes, none is left out.
        """
        for _ in range(_COUNTS):
            held = await self._tries.get(who, now)
            if held is None:
                if await self._tries.add(who, Tries(number=1, since=now), ends=now + TRIES_FOR):
                    return
                stale = await self._tries.get(who, 0)
                if stale is not None and stale.state.expires_at <= now:
                    await self._tries.remove(stale)
            elif held.value.number >= most:
                raise otherwise
            elif await self._tries.replace(held, replace(held.value, number=held.value.number + 1)):
                return
        raise MintwardenError(ErrorKind.UNAVAILABLE, "too many try at once", hint="try again")

    async def _uncount(self, who: str, now: int) -> None:
        """It was none of those that count."""
        for _ in range(_COUNTS):
            held = await self._tries.get(who, now)
            if held is None or not held.value.number:
                return
            if await self._tries.replace(held, replace(held.value, number=held.value.number - 1)):
                return


def _too_many() -> MintwardenError:
    return MintwardenError(
        ErrorKind.ACCESS_DENIED, "too many requests for this person", hint="wait for their answers, or a while"
    )


def _slow(public: str, hint: str) -> MintwardenError:
    return MintwardenError(ErrorKind.SLOW_DOWN, public, hint=hint)


def _not_yet() -> MintwardenError:
    return MintwardenError(ErrorKind.AUTHORIZATION_PENDING, "nobody has answered yet")


def _too_soon(seconds: int) -> MintwardenError:
    return MintwardenError(ErrorKind.SLOW_DOWN, f"asked too soon: wait {seconds} seconds from now on")


def _user_code(entropy: Callable[[int], bytes]) -> str:
    letters: list[str] = []
    while len(letters) < _LENGTH:
        # bytes beyond the last whole multiple would make some letters likelier
        letters += [ALPHABET[byte % 20] for byte in entropy(_LENGTH) if byte < 240]
    return f"{''.join(letters[:4])}-{''.join(letters[4:_LENGTH])}"


def _spelled(code: str) -> str:
    """A user code without what people write differently (RFC 8628 section 6.1)."""
    return "".join(letter for letter in code.upper() if letter in ALPHABET)[: _LENGTH + 1]


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
