"""What the ledger's entries say about one audience that observes: counted, never kept, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from msgspec import Struct

from mintwarden.ledger.entry import DecisionEntry, PrincipalMember, ScopeMember
from mintwarden.ledger.ports import StoredEntry
from mintwarden.model.ids import decision_text

MAX_LOSSES = 20_000
"""Losses told apart, by caller and scope; beyond, they are counted together and there is no verdict."""


class Caller(NamedTuple):
    """Who would lose something. `person` numbers a person's sealing key, which resolves by it alone."""

    client: str
    type: str
    id: str
    person: int


class Loss(Struct, kw_only=True):
    """A scope that the mapping gives a caller and the rules would not.

    Attributes:
        count: how many decisions.
        first, last: when, `Millis`.
        reason: of the rules' last refusal.
        ref: how a person stands in the entry of that decision.
        decision, leaf: that decision.
        later: a decision after the last one, in which the rules gave the caller the scope as well; -1 for none.
    """

    caller: Caller
    scope: str
    count: int = 0
    first: int = 0
    last: int = 0
    reason: str = ""
    ref: str = ""
    decision: str = ""
    leaf: int = 0
    later: int = -1


class Day(Struct):
    """One day, UTC: decisions while observing, and in how many the rules would have given less or more."""

    decisions: int = 0
    lose: int = 0
    gain: int = 0


class Tally:
    """The counts of one audience.

    Attributes:
        decisions: of callers for whom it observed.
        enforced, refused: of those for whom the canary enforced, and how many of them were refused a scope.
        first: when the first of all was, `Millis`; 0 without any.
        gains: client and scope that the rules would give and the mapping does not, with how often.
        others: losses that were not told apart any more.
        unread: entries that are not as they were written.
    """

    def __init__(self, audience: str, *, most: int = MAX_LOSSES) -> None:
        self.audience = audience
        self.decisions = self.enforced = self.refused = self.first = self.others = self.unread = 0
        self.losses: dict[tuple[Caller, str], Loss] = {}
        self.gains: dict[tuple[str, str], int] = {}
        self.days: dict[str, Day] = {}
        self._most = most

    def put(self, entry: DecisionEntry, stored: StoredEntry) -> None:
        """Count one decision, if it is about the audience and observing had a part in it."""
        if entry.audience != self.audience or entry.subject is None:
            return
        if entry.mode != "observe" and entry.stage not in ("canary", "downgrade"):
            return  # enforced for everybody: nothing is observed there
        self.first = entry.at if not self.first else min(self.first, entry.at)
        if entry.mode != "observe":
            self.enforced += 1
            self.refused += any(not scope.granted for scope in entry.scopes)
            return
        self.decisions += 1
        day = self.days.setdefault(_day(entry.at), Day())
        day.decisions += 1
        lost, gained = list(_lost(entry)), list(_gained(entry))
        day.lose += bool(lost)
        day.gain += bool(gained)
        caller = _caller(entry, entry.subject, stored)
        for scope, would in lost:
            self._lose(entry, entry.subject, stored, caller, scope, would)
        for member in entry.scopes:
            if member.granted and (member.would is None or member.would.granted):
                self._keep(caller, member.scope, entry.at, stored)
        for scope in gained:
            key = (entry.client, scope)
            if key in self.gains or len(self.gains) < self._most:
                self.gains[key] = self.gains.get(key, 0) + 1

    def _lose(
        self,
        entry: DecisionEntry,
        subject: PrincipalMember,
        stored: StoredEntry,
        caller: Caller,
        scope: str,
        would: ScopeMember,
    ) -> None:
        loss = self.losses.get((caller, scope))
        if loss is None:
            if len(self.losses) >= self._most:
                self.others += 1
                return
            loss = self.losses[caller, scope] = Loss(caller=caller, scope=scope, first=entry.at)
        loss.count += 1
        loss.first = min(loss.first, entry.at)
        if entry.at >= loss.last:
            loss.last, loss.reason, loss.ref, loss.later = entry.at, would.reason, subject.ref, -1
            loss.decision, loss.leaf = decision_text(stored.decision_id), _leaf(stored)

    def _keep(self, caller: Caller, scope: str, at: int, stored: StoredEntry) -> None:
        loss = self.losses.get((caller, scope))
        if loss is not None and at >= loss.last:
            loss.later = _leaf(stored)


def _caller(entry: DecisionEntry, subject: PrincipalMember, stored: StoredEntry) -> Caller:
    return Caller(entry.client, subject.type, subject.id, stored.key_id if subject.ref else 0)


def _leaf(stored: StoredEntry) -> int:
    return stored.position if stored.index is None else stored.index


def _lost(entry: DecisionEntry) -> Iterator[tuple[str, ScopeMember]]:
    for scope in entry.scopes:
        if scope.granted and scope.would is not None and not scope.would.granted:
            yield scope.scope, scope.would


def _gained(entry: DecisionEntry) -> Iterator[str]:
    for scope in entry.scopes:
        if not scope.granted and scope.would is not None and scope.would.granted:
            yield scope.scope


def _day(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).date().isoformat()
