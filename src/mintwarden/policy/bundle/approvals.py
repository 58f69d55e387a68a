"""`[approvals]`, `[[approvers]]` and `[[authors]]` of `bundle.toml`: who may change the policy, how many it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mintwarden.policy.approve.keys import jwk_text, try_key
from mintwarden.policy.bundle.draft import Draft
from mintwarden.policy.bundle.jwk import public_jwk
from mintwarden.policy.bundle.kinds import duration, entity_id, identifier, integer, text
from mintwarden.policy.bundle.model import Approvals, Approver, BreakGlass, HigherRisk, Rollback
from mintwarden.policy.bundle.problem import Place, Problems, quote, so_many
from mintwarden.policy.bundle.shape import BAD, Key, Table, list_of, table_of

FILE = "bundle.toml"
DAY = 86_400
LONGEST_GLASS = DAY
"""Seconds. An emergency that lasts longer has time for the quorum."""


def signing_key(value: Any, place: Place, problems: Problems) -> Any:
    """An OpenSSH public key, a comment after it left off; or a public JWK of ours as its canonical JSON."""
    if isinstance(value, dict):
        jwk = public_jwk(value, place, problems)
        if jwk is BAD:
            return BAD
        found = try_key(jwk_text(jwk))
        if isinstance(found, str):
            problems.add(place, f"is not a key of ours: {found}", "make one with `mintwarden policy keygen`")
            return BAD
        return found.text
    found = try_key(value) if isinstance(value, str) and len(value) <= 4_000 else "it is no text"
    if isinstance(found, str):
        problems.add(place, f"is not an OpenSSH public key: {found}", "write the one line of the `.pub` file")
        return BAD
    return found.text


def person(value: Any, place: Place, problems: Problems) -> Any:
    """A name as it stands in statements: one line, without blanks around it."""
    found = text(most=200)(value, place, problems)
    if found is not BAD and (not found.isprintable() or found != found.strip()):
        problems.add(place, f"{quote(value)} is not one line without blanks around it", "write the name alone")
        return BAD
    return found


HIGHER_RISK = Table(
    "[approvals.higher_risk]",
    (Key("required", integer(0, 16)), Key("tiers", list_of(identifier), None)),
)
BREAK_GLASS = Table(
    "[approvals.break_glass]",
    (
        Key("required", integer(1, 16), 1),
        Key("max", duration(least=60, most=LONGEST_GLASS), 4 * 3600, required=True),
    ),
)
ROLLBACK = Table(
    "[approvals.rollback]",
    (Key("required", integer(1, 16), 1), Key("within", duration(least=0), DAY)),
)
APPROVALS = Table(
    "[approvals]",
    (
        Key("required", integer(0, 16), 0),
        Key("max_age", duration(least=3600, most=366 * DAY), 30 * DAY),
        Key("higher_risk", table_of(HIGHER_RISK)),
        Key("break_glass", table_of(BREAK_GLASS)),
        Key("rollback", table_of(ROLLBACK)),
    ),
)
APPROVER = Table(
    "[[approvers]]",
    (
        Key("name", person, "", required=True),
        Key("contact", text(most=200), ""),
        Key("user", entity_id, ""),
        Key("keys", list_of(signing_key, least=1, most=16), (), required=True),
    ),
)
AUTHOR = Table(
    "[[authors]]",
    (
        Key("name", person, "", required=True),
        Key("contact", text(most=200), ""),
        Key("keys", list_of(signing_key, least=1, most=16), (), required=True),
    ),
)
TABLES = (APPROVALS, HIGHER_RISK, BREAK_GLASS, ROLLBACK, APPROVER, AUTHOR)
NOTHING: Mapping[str, Any] = {key.name: key.default for key in APPROVALS.keys}


def read_approvals(draft: Draft, values: Mapping[str, Any], tiers: Sequence[str]) -> Approvals:
    """What `bundle.toml` says of approvals; quorums that nobody could ever reach are findings."""
    table = {**NOTHING, **(values["approvals"] or {})}
    required = table["required"]
    higher, glass, rollback = (table[name] or {} for name in ("higher_risk", "break_glass", "rollback"))
    found = Approvals(
        required=required,
        max_age=table["max_age"],
        approvers=_people(draft, values["approvers"], "approvers"),
        authors=_people(draft, values["authors"], "authors"),
        higher_risk=HigherRisk(
            required=required if higher.get("required") is None else higher["required"],
            tiers=tuple(tiers[len(tiers) // 2 :]) if higher.get("tiers") is None else higher["tiers"],
        ),
        break_glass=BreakGlass(required=glass["required"], max=glass["max"]) if glass else None,
        rollback=Rollback(required=rollback["required"], within=rollback["within"]) if rollback else Rollback(),
    )
    _keys(draft, found)
    _quorums(draft, found, tiers)
    return found


def _people(draft: Draft, entries: Sequence[Mapping[str, Any]], table: str) -> tuple[Approver, ...]:
    people = []
    for index, entry in enumerate(entries):
        one = Approver(name=entry["name"], contact=entry["contact"], keys=entry["keys"], user=entry.get("user", ""))
        place = Place(FILE, (table, index))
        draft.declare("approver", one.name, place.at("name"))
        if one.user:
            draft.declare("approver's user", one.user, place.at("user"))
        people.append(one)
    return tuple(people)


def _keys(draft: Draft, approvals: Approvals) -> None:
    """INVARIANT: a key belongs to one name, whatever form it is written in, or one person could count as two."""
    seen: set[bytes] = set()
    for table, people in (("approvers", approvals.approvers), ("authors", approvals.authors)):
        for index, one in enumerate(people):
            for text_ in one.keys:
                key = try_key(text_)
                if isinstance(key, str):
                    continue
                if key.material in seen:
                    what = f"a key of {quote(one.name)} stands twice"
                    draft.problems.add(Place(FILE, (table, index, "keys")), what, "one person, one key")
                seen.add(key.material)


def _approvals(number: int) -> str:
    return so_many(number, "approval", "approvals")


def _required(number: int) -> str:
    return so_many(number, "approval is", "approvals are") + " required"


def _out_of_reach(required: int, named: int) -> str:
    return f"{_required(required)} and {so_many(named, 'approver is', 'approvers are')} named"


def _quorums(draft: Draft, approvals: Approvals, tiers: Sequence[str]) -> None:
    """Every quorum can be reached: by approvers other than the author, who is one of them where no author is named."""
    named = len(approvals.approvers)
    most = named if approvals.authors else max(0, named - 1)
    place = Place(FILE, ("approvals",))
    asked = {("required",): approvals.required, ("higher_risk", "required"): approvals.higher_risk.required}
    for path, required in asked.items():
        if required > named:
            what = _out_of_reach(required, named)
            draft.problems.add(place.at(*path), what, "name more `[[approvers]]`")
        elif required > most:
            author = "the one approver" if named == 1 else f"one of the {named} approvers"
            what = f"{_required(required)} and {author} is the author"
            draft.problems.add(place.at(*path), what, "name more `[[approvers]]`, or `[[authors]]`")
    if approvals.higher_risk.required < approvals.required:
        needed = approvals.higher_risk.required
        what = f"a change of higher risk needs {_approvals(needed)}, any other {approvals.required}"
        draft.problems.add(place.at("higher_risk", "required"), what, f"raise it to {approvals.required} or more")
    for index, tier in enumerate(approvals.higher_risk.tiers):
        draft.known("tier", tier, tiers, place.at("higher_risk", "tiers", index))
    glass = approvals.break_glass
    for name, quorum in (("break_glass", glass.required if glass else 0), ("rollback", approvals.rollback.required)):
        if quorum > max(named, 1):
            what = _out_of_reach(quorum, named)
            draft.problems.add(place.at(name, "required"), what, "name more `[[approvers]]`")
    if glass is not None and glass.required > approvals.higher_risk.required:
        what = f"break-glass needs {_approvals(glass.required)}, the larger quorum {approvals.higher_risk.required}"
        draft.problems.add(place.at("break_glass", "required"), what, "lower it, or leave break-glass out")
