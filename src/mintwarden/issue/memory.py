"""What grants remember between requests: the port of step 3, for the grants that keep state."""

from __future__ import annotations

import asyncio
import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from mintwarden.authn.jose import JoseError, decode_segment
from mintwarden.authn.ports import Place, RevocationReader, Seal, State, States
from mintwarden.authn.revoked import is_ended, link_of
from mintwarden.authn.shelf import Held, Shelf
from mintwarden.context.approvals import GivenApproval
from mintwarden.issue.approval_requests import CROWD, GIVEN, REQUEST, ApprovalRequest, ApprovalRequests
from mintwarden.issue.granted import Granted, Renewal
from mintwarden.issue.pending import PENDING, TRIES, USER_CODE, Pending, Tries, Waiting
from mintwarden.model.budget import Budget
from mintwarden.model.caller import OnceKey
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.ids import entity_key
from mintwarden.model.token import Receipt
from mintwarden.model.values import EntityUid

REFRESH_PREFIX = "mwr_"
"""How a refresh token begins, so that scanners of secrets know one when they see it."""

CODE_LIFE = 60_000
"""Milliseconds that an authorization code counts (RFC 6749 section 4.1.2, FAPI 2.0)."""

UNDER_WAY = 120_000
"""Milliseconds after the end of a grant for which something that was under way then, perhaps on a node whose clock runs
ahead, may still be dated. A grant never begins again, so that all of it ends."""

USE_NOTED = 3_600_000
"""Milliseconds after which a further use of a grant is noted at the latest."""

_REFRESH = b"refresh-token"
_DRAWS = 20
_TENTHS = 10
_renewal = msgspec.json.Decoder(Renewal)


class Code(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an authorization code stands for, on the shelf `code`.

    Attributes:
        granted: what was allowed.
        redirect_uri: where the code was sent.
        challenge: `code_challenge`, S256 (RFC 7636).
        dpop_jkt: thumbprint of the key that must be proven with it (RFC 9449 section 10), or empty.
        instance: the attested key of the one instance of the client that may redeem it, or empty for each of them.
        nonce: of the authentication request.
        renewable: a refresh token comes with it.
        ends: `Millis`.
    """

    granted: Granted
    redirect_uri: str
    challenge: str
    ends: int
    dpop_jkt: str = ""
    instance: str = ""
    nonce: str = ""
    renewable: bool = False


class Looked(NamedTuple):
    """Names that something may have been revoked by, and, of those that were, the time before which it counts."""

    names: Sequence[tuple[str, str]]
    revoked: Mapping[tuple[str, str], int]


NOTHING_LOOKED = Looked((), {})


class Memory:
    """Codes, grants and refresh tokens."""

    def __init__(self, *, states: States, seal: Seal, revocations: RevocationReader) -> None:
        self.codes = Shelf("code", Code, states=states, seal=seal)
        self.grants = Shelf("grant", Granted, states=states, seal=seal)
        self.budgets = Shelf("budget", int, states=states, seal=seal)
        self.waiting = Waiting(
            pending=Shelf(PENDING, Pending, states=states, seal=seal),
            codes=Shelf(USER_CODE, str, states=states, seal=seal),
            tries=Shelf(TRIES, Tries, states=states, seal=seal),
        )
        self.approvals = ApprovalRequests(
            requests=Shelf(REQUEST, ApprovalRequest, states=states, seal=seal),
            given=Shelf(GIVEN, GivenApproval, states=states, seal=seal),
            crowds=Shelf(CROWD, str, states=states, seal=seal),
        )
        self.states = states
        self._seal = seal
        self._revocations = revocations

    def kept(self, granted: Granted, *, ends: int | None = None) -> State:
        """What is remembered of a grant, so that tokens can be renewed by it and its person can take it back.

        `ends` (`Millis`) is when nothing of it can be out there any more, where that is before the grant's own end.
        """
        owner = entity_key(granted.sign_in.subject)
        until = granted.ends if ends is None else min(granted.ends, ends)
        return self.grants.state(granted.grant_id, granted, ends=until, owner=owner)

    async def keep(self, granted: Granted, *, ends: int | None = None) -> None:
        """Remember a grant; see `kept`."""
        await self.states.add([self.kept(granted, ends=ends)])

    async def use(self, held: Held[Granted], now: int, *, idle: int | None = None) -> None:
        """Note that a grant is used, now and then: whoever comes again soon leaves nothing to write.

        Raises `INVALID_GRANT` where nobody used it for `idle` seconds, if they are given; a tenth of them may be lost
        between two notes.
        """
        granted, noted = held.value, USE_NOTED if idle is None else min(USE_NOTED, idle * 1000 // _TENTHS)
        unused = now - max(granted.used_at, granted.granted_at)
        if idle is not None and unused >= idle * 1000:
            raise MintwardenError(
                ErrorKind.INVALID_GRANT, "the refresh token was not used for too long", hint="ask the person again"
            )
        if unused >= noted:
            await self.grants.replace(held, replace(granted, used_at=now))  # whoever was first has done the same

    async def forget(self, *grant_ids: str) -> None:
        """Forget the grants, where they are kept: no refresh token renews anything of them any more."""
        await self.states.remove_all(self.grants.kind, [self.grants.key(name) for name in grant_ids])

    async def recall(self, renewal: Renewal, client_id: str, now: int) -> tuple[Held[Granted] | None, Looked]:
        """The grant of a refresh token, and which names of it were looked up: read at the same time."""
        names = [("grant", renewal.grant_id), ("client", client_id)]
        if renewal.subject:
            names.append(("subject", renewal.subject))
        if renewal.session:
            names.append(("session", renewal.session))
        looking = asyncio.ensure_future(self._revocations.revoked(names))
        try:
            held = await self.grants.get(renewal.grant_id, now)
        except BaseException:
            looking.cancel()  # nobody complains any more that its failure was not heard of
            raise
        return held, Looked(names, await looking)

    async def require_live(self, granted: Granted, now: int, looked: Looked = NOTHING_LOOKED) -> None:
        """Raise `INVALID_GRANT` for a grant that has ended or was revoked, by itself or with what it belongs to.

        `looked` is what is known already; only what it lacks is read.
        """
        names, revoked = _names_of(granted), looked.revoked
        missing = [] if names == looked.names else [name for name in names if name not in looked.names]
        if missing:
            revoked = {**revoked, **await self._revocations.revoked(missing)}
        if not _stands(granted, names, revoked, now):
            raise MintwardenError(ErrorKind.INVALID_GRANT, "the grant has ended", hint="ask the person again")

    async def live(self, grants: Sequence[Granted], now: int) -> list[Granted]:
        """Those that have not ended and were not revoked; costs one read for all of them."""
        if not grants:
            return []
        named = [(granted, _names_of(granted)) for granted in grants]
        found = await self._revocations.revoked(list(dict.fromkeys(name for _, names in named for name in names)))
        return [granted for granted, names in named if _stands(granted, names, found, now)]

    async def of(self, person: EntityUid, now: int) -> list[Granted]:
        """Those of a person that have not ended and were not revoked, the newest first."""
        kept = [held.value for held in await self.grants.owned(entity_key(person), now)]
        return sorted(await self.live(kept, now), key=lambda one: -one.granted_at)

    async def page(
        self, person: str, now: int, limit: int, beyond: Place | None = None
    ) -> tuple[list[Granted], Place | None]:
        """Up to `limit` grants of a person, by entity key, beyond a place, what lasts longest first; where to go on.

        Those that were revoked are left out. Costs what it answers, and one read for all of them.
        """
        held = await self.grants.lasting(person, now, limit + 1, beyond)
        listed = held[:limit]
        live = await self.live([one.value for one in listed], now)
        return live, listed[-1].place if len(held) > limit else None

    async def draw(self, budget: Budget, ends: int, now: int) -> None:
        """Take `budget` from its pool, which nobody draws from after `ends` (`Millis`).

        Raises `INVALID_REQUEST` where too little is left. INVARIANT: counted before anything is recorded or signed;
        what then fails is lost to whoever asked, never counted twice in their favour.
        """
        for _ in range(_DRAWS):
            held = await self.budgets.get(budget.pool, now)
            spent = (held.value if held is not None else 0) + budget.amount
            if spent > budget.of:
                raise MintwardenError(
                    ErrorKind.INVALID_REQUEST, "too little of the budget is left", hint="ask for less with `budget`"
                )
            if held is not None and await self.budgets.replace(held, spent):
                return
            if held is None and await self.budgets.add(budget.pool, spent, ends=ends):
                return
        raise MintwardenError(ErrorKind.UNAVAILABLE, "the budget keeps changing", hint="try again")

    def renew(self, renewal: Renewal | None, receipt: Receipt) -> str:
        """The refresh token, once the decision that it comes with is durable; empty when there is to be none."""
        if renewal is None:
            return ""
        if not receipt.prepared:
            raise MintwardenError(ErrorKind.INTERNAL, "a refusal cannot be renewed")
        sealed = self._seal.seal(msgspec.json.encode(renewal), _REFRESH)
        return REFRESH_PREFIX + urlsafe_b64encode(sealed).rstrip(b"=").decode("ascii")

    def read(self, unverified: str) -> Renewal:
        """What a refresh token says. Raises `INVALID_GRANT` for everything that is none of ours."""
        try:
            if not unverified.startswith(REFRESH_PREFIX):
                raise ValueError("another prefix")
            sealed = decode_segment(unverified[len(REFRESH_PREFIX) :].encode("ascii"))
            return _renewal.decode(self._seal.open(sealed, _REFRESH))
        except (ValueError, JoseError, MintwardenError, msgspec.MsgspecError):
            raise MintwardenError(
                ErrorKind.INVALID_GRANT, "the refresh token is not one of ours", hint="ask the person again"
            ) from None


def _names_of(granted: Granted) -> list[tuple[str, str]]:
    """What a grant may have been revoked by. One that is `offline` outlives its session, not its person or client."""
    subject = granted.sign_in.subject
    names = [("grant", granted.grant_id), ("client", granted.client_id), ("subject", entity_key(subject))]
    if granted.actors:
        names += [("actor", entity_key(actor)) for actor in granted.actors]
        names += [("link", link_of(subject, actor)) for actor in granted.actors]
    if granted.sign_in.session and not granted.offline:
        names.append(("session", granted.sign_in.session))
    return names


def _stands(
    granted: Granted, names: Sequence[tuple[str, str]], revoked: Mapping[tuple[str, str], int], now: int
) -> bool:
    """It has not ended, and was allowed after everything that it belongs to was revoked, if it was."""
    if granted.ends <= now:
        return False
    if not revoked:
        return True
    return not any(is_ended(name, revoked[name], granted.granted_at) for name in names if name in revoked)


def once(proof: str, name: str, ends: int) -> OnceKey:
    """The claim of something that counts once; `ends` comes from the thing itself."""
    digest = hashlib.sha256(f"{proof}:{name}".encode()).digest()[:16]
    return OnceKey(digest, ends, proof)  # type: ignore[arg-type]
