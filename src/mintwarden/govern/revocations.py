"""Revoking what is out there: one token with what came of it, or every token that has something in common."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping

from mintwarden.authn.ports import About, Revocation, RevocationWriter
from mintwarden.authn.revoked import ANY_BUNDLE, ANY_CHAIN, link_of
from mintwarden.govern.scribe import Scribe
from mintwarden.model.clock import Clock
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.ids import decision_bytes, decision_text
from mintwarden.model.values import EntityUid

MARGIN = 24 * 60 * 60 * 1000
"""Milliseconds that a revocation outlives the last token it can be about: bundles change, and clocks differ."""

Told = Callable[[Revocation, EntityUid], Awaitable[None]]
"""Hears of a revocation that counts, and in whose name it was made."""

EndKey = Callable[[str, EntityUid], Awaitable[object]]
"""Makes a signing key gone, in somebody's name; raises `NOT_FOUND`, `CONFLICT`."""

_PUBLIC: frozenset[str] = frozenset({"token", "client", "grant", "key", "bundle"})
_OF_TOKENS: frozenset[str] = frozenset({"token", "key", "bundle"})
_OF_CHAINS: frozenset[str] = frozenset({"client", "key", "bundle"})
"""What tokens that came of others do not say of those."""
_TYPES = ("User", "Workload", "Agent")
_LONGEST = 500
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Revoker:
    """Revokes, once it is written down.

    `longest_token` is the longest life of any token, `longest_grant` that of anything that tokens can still come of, in
    seconds. `end_key` is asked first where a signing key is revoked: whoever else holds it could date a token after any
    revocation. `told` hears of each, once it counts.
    """

    def __init__(
        self,
        *,
        scribe: Scribe,
        writer: RevocationWriter,
        clock: Clock,
        longest_token: int,
        longest_grant: int,
        end_key: EndKey,
        told: Told | None = None,
    ) -> None:
        self._scribe = scribe
        self._writer = writer
        self._clock = clock
        self._token = longest_token * 1000
        self._longest = max(longest_token, longest_grant) * 1000
        self._end_key = end_key
        self._told = told

    async def revoke(
        self, about: About, value: str, *, reason: str, by: EntityUid, before: int | None = None
    ) -> Revocation:
        """Every such token that was issued until now is good no more, on every node, when this returns.

        With `before` (`Millis`), only those that were issued until then, which is never later than now.

        `value` is a `jti`, a client's id, an entity key (`User:alice`), a link (`link_between`), the id of a session, a
        grant or a key, or a version's digest. Raises `INVALID_REQUEST` for a value that can be none and for a missing
        reason. Which person or session it was about, and why, is sealed.
        """
        if not reason.strip():
            raise MintwardenError(
                ErrorKind.INVALID_REQUEST, "there is no reason", hint="say why: `--reason`, or `reason` over HTTP"
            )
        value = _checked(about, value)
        if about == "key":
            await self._end_key(value, by)
        public = {"about": about} | ({about: value} if about in _PUBLIC else {})
        await self._scribe.write("revocation", by, public, {"value": value, "reason": reason})
        now = self._clock.now()
        until = now + (self._token if about in _OF_TOKENS else self._longest) + MARGIN
        since = now if before is None else min(now, before)
        made = Revocation(about=about, value=value, before=since, until=until)
        await self._writer.revoke([made, *self._beside(about, since, now)])
        if self._told is not None:
            await self._told(made, by)
        return made

    def _beside(self, about: About, since: int, now: int) -> list[Revocation]:
        """What has tokens looked at that do not say by themselves whether it is about them.

        No token outlives the one that it came of, so that this is about none longer than about the longest token.
        """
        until = now + self._token + MARGIN
        found: list[Revocation] = []
        if about == "bundle":
            found.append(Revocation(about="bundle", value=ANY_BUNDLE[1], before=since, until=until))
        if about in _OF_CHAINS:
            found.append(Revocation(about="chain", value=ANY_CHAIN[1], before=since, until=until))
        return found


def named(values: Mapping[str, str]) -> tuple[About, str]:
    """The one thing that is to be revoked, of those that may be named; subject and actor together are a link.

    Raises `INVALID_REQUEST` unless it is one.
    """
    given = {about: value for about, value in values.items() if value}
    if given.keys() == {"subject", "actor"}:
        return "link", link_between(given["subject"], given["actor"])
    for about in _KINDS:
        if given.keys() == {about}:
            return about, given[about]
    raise MintwardenError(
        ErrorKind.INVALID_REQUEST,
        "say what to revoke, one thing at a time",
        hint="a token, a client, subject, actor, session, grant, key or bundle; or a subject and its actor",
    )


_KINDS: tuple[About, ...] = ("token", "client", "subject", "actor", "session", "grant", "key", "bundle")


def link_between(subject: str, actor: str) -> str:
    """The name of what an actor does for a subject, both by their entity keys; raises `INVALID_REQUEST`."""
    return link_of(_entity(_printable("subject", subject)), _entity(_printable("actor", actor)))


def _checked(about: About, value: str) -> str:
    if about == "link":
        return value
    _printable(about, value)
    if about in ("subject", "actor"):
        _entity(value)
    if about == "token":
        try:
            return decision_text(decision_bytes(value))
        except ValueError:
            raise _no_such(about, "a token goes by its `jti`, which is its decision's id") from None
    if about == "bundle" and not _DIGEST.fullmatch(value):
        raise _no_such(about, "`mintwarden policy history` lists the digests of versions")
    return value


def _printable(about: str, value: str) -> str:
    if not value or len(value) > _LONGEST or not value.isprintable():
        raise _no_such(about, "say which one")
    return value


def _entity(key: str) -> EntityUid:
    kind, _, name = key.partition(":")
    if kind not in _TYPES or not name:
        raise MintwardenError(
            ErrorKind.INVALID_REQUEST, f"`{key}` is no entity", hint="write `User:alice`, `Workload:x` or `Agent:x`"
        )
    return EntityUid(kind, name)


def _no_such(about: str, hint: str) -> MintwardenError:
    return MintwardenError(ErrorKind.INVALID_REQUEST, f"there is no such {about}", hint=hint)
