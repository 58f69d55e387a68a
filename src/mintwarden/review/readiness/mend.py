"""What would mend a loss: its last decision opened and decided again under the rules of now."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from mintwarden.ledger.reveal import Revealed
from mintwarden.policy.amend import Amendment, Situation
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.decide import decide_by_rules
from mintwarden.policy.turn import scope_of, turn


class Mended(Struct, frozen=True, kw_only=True):
    """Whether the rules of now would grant it, else the smallest change that would make them; see `Breaking`."""

    is_mended: bool = False
    change: tuple[str, ...] | None = None
    note: str = ""


def mend(bundle: Bundle, revealed: Revealed, later: Revealed | None, scope: str) -> Mended:
    """Pure. `later`: a decision since then in which the rules gave the same caller the scope.

    Another bundle than the recording one decides over what that one kept of the facts, and it is said so.
    """
    if revealed.decision is None:
        return Mended(note="the subject was erased: it cannot be decided again")
    asked, facts = revealed.decision.asked, revealed.decision.facts
    catalogue = bundle.catalogue
    if scope not in catalogue.scopes or asked.client_id not in catalogue.clients:
        return Mended(note="the present policy knows no such scope or client any more")
    situation = Situation(asked, facts, revealed.entry["at"])
    answer = scope_of(decide_by_rules(bundle, *situation), scope)
    other = "" if revealed.entry["bundle"] == bundle.digest else "decided again by other rules than recorded it"
    if answer is not None and answer.granted:
        return Mended(is_mended=True, note=other or "the rules of now would grant it")
    # The same request again, with what has become known of those in it: another device or sign-in mends nothing.
    if later is not None and later.decision is not None and len(later.decision.facts.actors) == len(facts.actors):
        known = later.decision.facts
        since = replace(facts, subject=known.subject, actors=known.actors, readings=known.readings, ends=known.ends)
        answer = scope_of(decide_by_rules(bundle, asked, since, later.entry["at"]), scope)
        if answer is not None and answer.granted:
            return Mended(is_mended=True, note="what has become known of the caller since then mends it")
    change = turn(bundle, situation, scope)
    return Mended(change=None if change is None else _texts(change), note=other)


def _texts(amendments: Iterable[Amendment]) -> tuple[str, ...]:
    """Facts first, then what would have to be asked otherwise, as in an explanation."""
    shown = sorted((amendment.about == "request", amendment.text) for amendment in amendments)
    return tuple(text for _, text in shown)
