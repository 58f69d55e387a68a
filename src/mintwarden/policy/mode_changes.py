"""What changes between observing and enforcing when one bundle takes the place of another, and whether it may.

Less than was enforced is a protected downgrade: it says why and until when, and returns to no less than held before.
Pure: `now` is handed in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from mintwarden.model.catalogue import Audience
from mintwarden.model.modes import Canary
from mintwarden.policy.durations import written

if TYPE_CHECKING:
    from mintwarden.policy.bundle.model import Bundle
    from mintwarden.policy.cedar.rule import Rule

Held = tuple[Literal["observe", "canary", "enforce"], Canary | None]
"""What holds at an audience, and for whom where that is a canary."""

_RANK = {"observe": 0, "canary": 1, "enforce": 2}


class ModeChange(Struct, frozen=True, kw_only=True):
    """One audience or rule that goes to another mode.

    Attributes:
        what: `audience` or `rule`.
        id: which.
        before, after: `observe`, `canary` or `enforce`; empty where there was none before.
        is_downgrade: less is enforced than before: a change of higher risk.
        until: when it goes back by itself, `Millis`; 0 where it does not.
        returns: to what, or empty.
        reason: what its file says about that.
        problems: why it may not be activated, each one line; empty where it may.
    """

    what: Literal["audience", "rule"]
    id: str
    before: str
    after: str
    is_downgrade: bool = False
    until: int = 0
    returns: str = ""
    reason: str = ""
    problems: tuple[str, ...] = ()

    @property
    def detail(self) -> Mapping[str, object]:
        """What the ledger's `mode_change` entry says of it; nothing personal, nothing empty."""
        members = {
            self.what: self.id,
            "before": self.before,
            "after": self.after,
            "downgrade": self.is_downgrade,
            "until": self.until,
            "returns": self.returns,
            "reason": self.reason,
        }
        return {name: value for name, value in members.items() if value}


def mode_changes(old: Bundle | None, new: Bundle, now: int) -> tuple[ModeChange, ...]:
    """Every audience and rule whose mode is another at `now` (`Millis`) under `new` than it was under `old`.

    An audience is held against each one that had its id or one of its identifiers: resource servers know an audience by
    those. `old` None: the first bundle of all changes nothing.
    """
    if old is None:
        return ()
    return (*_of_audiences(old, new, now), *_of_rules(old, new, now))


def held_at(audience: Audience, now: int) -> Held:
    """What holds at `now`."""
    downgrade = audience.downgrade
    if audience.mode != "enforce" and downgrade is not None and now >= downgrade.until:
        return settled(audience)
    return audience.mode, audience.canary if audience.mode == "canary" else None


def settled(audience: Audience) -> Held:
    """What holds once a downgrade is over, if there is one."""
    mode = audience.mode if audience.downgrade is None else audience.downgrade.returns
    return mode, audience.canary if mode == "canary" else None


def is_no_less(one: Held, other: Held) -> bool:
    """Whether `one` enforces for everyone for whom `other` does."""
    (mode, canary), (least, smaller) = one, other
    if mode != least or canary is None or smaller is None:
        return _RANK[mode] >= _RANK[least]
    shares = canary.share >= 1 or not smaller.share or (canary.salt == smaller.salt and canary.share >= smaller.share)
    return shares and set(canary.clients) >= set(smaller.clients) and set(canary.groups) >= set(smaller.groups)


def _of_audiences(old: Bundle, new: Bundle, now: int) -> Iterator[ModeChange]:
    before, by_identifier = old.catalogue.audiences, old.catalogue.by_identifier
    for name, audience in sorted(new.catalogue.audiences.items()):
        known = dict.fromkeys((name, *(by_identifier.get(one, "") for one in audience.identifiers)))
        earlier = [before[one] for one in known if one in before]
        if not earlier and audience.mode != "enforce":
            yield ModeChange(what="audience", id=name, before="", after=held_at(audience, now)[0])
        for was in earlier:
            if (held_at(was, now), was.downgrade) != (held_at(audience, now), audience.downgrade):
                yield _change(was, audience, now, new.catalogue.downgrade_max)


def _change(was: Audience, audience: Audience, now: int, longest: int) -> ModeChange:
    held, downgrade, problems = held_at(audience, now), audience.downgrade, list[str]()
    less = not is_no_less(held, settled(was))
    goes_on = _goes_on(was, audience, held, now)
    name = f"audience `{audience.id}`"
    if downgrade is not None and downgrade.until <= now and downgrade != was.downgrade:
        problems.append(f"the `[downgrade]` of {name} is over before it begins")
    if less and downgrade is None:
        problems.append(f"{name} would enforce less than it does: `[downgrade]` must say why and until when")
    if less and downgrade is not None:
        if not goes_on and downgrade.until > now + longest * 1000:
            problems.append(f"the `[downgrade]` of {name} lasts longer than {written(longest)} (`downgrade_max`)")
        if not is_no_less(settled(audience), settled(was)):
            problems.append(f"{name} would return to less than what held before")
    return ModeChange(
        what="audience",
        id=audience.id,
        before=held_at(was, now)[0],
        after=held[0],
        is_downgrade=less and not goes_on,
        until=downgrade.until if downgrade is not None else 0,
        returns=downgrade.returns if downgrade is not None else "",
        reason=downgrade.reason if downgrade is not None else "",
        problems=tuple(problems),
    )


def _goes_on(was: Audience, audience: Audience, held: Held, now: int) -> bool:
    """Whether it is the same downgrade as before, and no longer one."""
    before, after = was.downgrade, audience.downgrade
    if before is None or after is None or now >= before.until:
        return False
    return after.until <= before.until and is_no_less(held, held_at(was, now))


def _of_rules(old: Bundle, new: Bundle, now: int) -> Iterator[ModeChange]:
    for name, rule in new.rules.rules.items():
        was = old.rules.rules.get(name)
        before = "" if was is None else _rule_mode(was, now)
        after = _rule_mode(rule, now)
        ends = (was.observed_until if was is not None else None, rule.observed_until)
        if before == after and (after == "enforce" or ends[0] == ends[1]):
            continue
        if was is None and after == "enforce":
            continue
        until = rule.observed_until or 0
        counted = was is not None and (before == "enforce" or was.observed_until is not None)
        less = rule.effect == "forbid" and after == "observe" and counted
        goes_on = before == "observe" and ends[0] is not None and 0 < until <= ends[0]
        problems = list[str]()
        if less and not until:
            problems.append(f"guardrail `{name}` would no longer count: `@observe_until` must say until when")
        elif less and not goes_on and until > now + new.catalogue.downgrade_max * 1000:
            longest = new.catalogue.downgrade_max
            problems.append(
                f"guardrail `{name}` would be observed for longer than {written(longest)} (`downgrade_max`)"
            )
        yield ModeChange(
            what="rule",
            id=name,
            before=before,
            after=after,
            is_downgrade=less and not goes_on,
            until=until if after == "observe" else 0,
            returns="enforce" if less and until else "",
            reason=rule.annotations.get("reason", "") if less else "",
            problems=tuple(problems),
        )


def _rule_mode(rule: Rule, now: int) -> Literal["observe", "enforce"]:
    if not rule.is_observed:
        return "enforce"
    is_back = rule.effect == "forbid" and rule.observed_until is not None and rule.observed_until <= now
    return "enforce" if is_back else "observe"


def returned_between(bundle: Bundle, since: int, now: int) -> tuple[ModeChange, ...]:
    """What came back by itself after `since` and at `now` or before (`Millis`), in order of time; `until` says when."""
    found = [
        ModeChange(
            what="audience",
            id=audience.id,
            before=audience.mode,
            after=downgrade.returns,
            until=downgrade.until,
            reason=downgrade.reason,
        )
        for audience in bundle.catalogue.audiences.values()
        if (downgrade := audience.downgrade) is not None and since < downgrade.until <= now
    ]
    found += [
        ModeChange(what="rule", id=rule.id, before="observe", after="enforce", until=rule.observed_until)
        for rule in bundle.rules.rules.values()
        if rule.is_observed
        and rule.effect == "forbid"
        and rule.observed_until is not None
        and since < rule.observed_until <= now
    ]
    return tuple(sorted(found, key=lambda change: (change.until, change.what, change.id)))


def downgrades_at(bundle: Bundle, now: int) -> int:
    """How many audiences enforce less than they did, for a while, at `now` (`Millis`)."""
    audiences = bundle.catalogue.audiences.values()
    return sum(a.mode != "enforce" and a.downgrade is not None and now < a.downgrade.until for a in audiences)
