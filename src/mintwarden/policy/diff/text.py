"""A comparison for people and for machines: lines with `+`, `-` and `~`, Markdown for a pull request, plain values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from mintwarden.policy.diff.diff import Diff
from mintwarden.policy.diff.effects import Effect
from mintwarden.policy.diff.example import runnable, title
from mintwarden.policy.diff.meaning import Difference
from mintwarden.policy.diff.parts import encoded
from mintwarden.policy.diff.structure import Change, Field
from mintwarden.policy.prove.scenario import given_of

MARKS = {"added": "+", "removed": "-", "changed": "~", "renamed": "~", "moved": "~"}
_SAYS = {
    "equal": "equal: every request gets the same token, proved over all inputs",
    "changed": "changed: some requests get another token, or another answer",
    "not proved": "not proved: nothing was found that differs, and not all of it could be proved",
}
_LIMIT = 60_000
"""Characters of Markdown: comments on pull requests end at 65,536."""


def text_of(found: Diff, *, every_example: bool = False) -> str:
    """For a terminal, without color. Of differences that are alike in kind one example is shown, unless all are."""
    lines = [f"OLD {found.old.digest}", f"NEW {found.new.digest}", ""]
    lines += [*_section("structure", [line for change in found.structure for line in _change(change)])]
    lines += [*_section("effects on tokens", [f"~ {effect.text}" for effect in found.effects])]
    lines += [*_section("grants", list(_differences(found, every_example=every_example)))]
    lines += [*_section("not proved", [f"? {_open(one)}" for one in found.meaning.unproved])]
    lines += [_counts(found), _SAYS[found.verdict]]
    return "\n".join(lines) + "\n"


def _section(name: str, lines: list[str]) -> Iterator[str]:
    if lines:
        yield f"{name}:"
        yield from (f"  {line}".rstrip() for line in lines)
        yield ""


def _counts(found: Diff) -> str:
    told = found.meaning
    differ = len({(one.scope, one.action, one.kind) for one in told.differences})
    parts = [f"{told.questions} questions", f"{told.alike} put alike", f"{told.proved} proved alike"]
    parts += [f"{count} {word}" for count, word in ((differ, "differ"), (len(told.unproved), "not proved")) if count]
    return ", ".join(parts)


def _open(one: Any) -> str:
    return f"{one.scope} of {one.audience}, {one.action}, {one.kind}: {one.reason}"


def _change(change: Change) -> Iterator[str]:
    notes = []
    if change.was:
        notes.append(f"was {change.was}")
    if change.old_file and change.new_file and change.old_file != change.new_file:
        notes.append(f"moved from {change.old_file} to {change.new_file}")
    elif change.how != "changed":
        notes.append(change.new_file or change.old_file)
    note = f" ({'; '.join(notes)})" if notes else ""
    yield f"{MARKS[change.how]} {change.kind} {change.id}: {change.how}{note}"
    for field in change.fields:
        yield from (f"    {line}" for line in _field(field))


def _field(field: Field) -> Iterator[str]:
    if isinstance(field.old, list) and isinstance(field.new, list):
        old, new = (list(map(encoded, value)) for value in (field.old, field.new))
        gone, come = [one for one in old if one not in new], [one for one in new if one not in old]
        if gone or come:
            yield from (f"- {field.name}: {one}" for one in gone)
            yield from (f"+ {field.name}: {one}" for one in come)
        else:
            yield f"~ {field.name}: in another order"
        return
    if field.old is None or field.new is None:
        mark, value = ("+", field.new) if field.old is None else ("-", field.old)
        yield f"{mark} {field.name}: {encoded(value)}"
        return
    yield f"~ {field.name}: {encoded(field.old)} -> {encoded(field.new)}"


def _mark(difference: Difference) -> str:
    if difference.way == "lifetime":
        return "~"
    return "+" if difference.only == "new" else "-"


def _differences(found: Diff, *, every_example: bool) -> Iterator[str]:
    shown: set[tuple[str, ...]] = set()
    for one in found.meaning.differences:
        yield f"{_mark(one)} {title(one)}"
        yield f"    OLD {one.old.text}"
        yield f"    NEW {one.new.text}"
        kind = (one.way, one.action, one.kind, one.only, one.old.reason, one.new.reason)
        if kind in shown and not every_example:
            continue
        shown.add(kind)
        yield from (f"    {line}" for line in _example(found, one))


def _example(found: Diff, one: Difference) -> Iterator[str]:
    scenario = runnable(found.old, found.new, one)
    if scenario is None:
        yield "with an exception in force for everybody in it, and otherwise as above"
        return
    yield f"as a scenario for tests/ of {scenario.side.upper()}:"
    yield ""
    yield from (f"    {line}".rstrip() for line in scenario.text.splitlines())
    yield ""


# -- for a pull request -----------------------------------------------------------------------------------------------


def markdown_of(found: Diff) -> str:
    """For a comment on a pull request: the verdict first, examples folded away."""
    lines = [f"### Policy diff: {found.verdict}", "", f"{_SAYS[found.verdict].partition(': ')[2]}.", ""]
    if found.effects:
        lines += ["#### Effects on tokens", "", "| what | of | old | new |", "| --- | --- | --- | --- |"]
        lines += [_row(effect) for effect in found.effects]
        lines.append("")
    if found.meaning.differences:
        lines += ["#### Who is granted what", ""]
        for one in found.meaning.differences:
            lines += [f"- `{_mark(one)}` {title(one)}", f"  - old: {one.old.text}", f"  - new: {one.new.text}"]
        lines += ["", *_folded(found)]
    if found.meaning.unproved:
        lines += ["#### Not proved", "", *(f"- {_open(one)}" for one in found.meaning.unproved), ""]
    if found.structure:
        told = [line for change in found.structure for line in _change(change)]
        lines += ["#### Structure", "", "```diff", *told, "```", ""]
    lines.append(f"{_counts(found)}. Old `{found.old.digest}`, new `{found.new.digest}`.")
    return _cut("\n".join(lines) + "\n")


def _row(effect: Effect) -> str:
    cells = (effect.what, ", ".join(effect.about), effect.old, effect.new + ("" if effect.certain else " (may differ)"))
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _folded(found: Diff) -> Iterator[str]:
    yield from ("<details><summary>Examples, as scenarios</summary>", "")
    shown: set[tuple[str, ...]] = set()
    for one in found.meaning.differences:
        kind = (one.way, one.action, one.kind, one.only, one.old.reason, one.new.reason)
        scenario = runnable(found.old, found.new, one) if kind not in shown else None
        if scenario is not None:
            shown.add(kind)
            yield from (f"For `tests/` of {scenario.side.upper()}:", "", "```toml", scenario.text.rstrip(), "```", "")
    yield from ("</details>", "")


def _cut(text: str) -> str:
    if len(text) <= _LIMIT:
        return text
    kept = text[:_LIMIT].rpartition("\n")[0]
    fences = sum(line.startswith("```") for line in kept.splitlines())
    return f"{kept}\n{'```' if fences % 2 else ''}\n\n... cut; `mintwarden policy diff` shows all of it.\n"


# -- for a machine ----------------------------------------------------------------------------------------------------


def plain_of(found: Diff) -> dict[str, Any]:
    """The comparison for a machine; names are fixed and documented in `docs/policy-diff.md`."""
    told = found.meaning
    return {
        "verdict": found.verdict,
        "old": found.old.digest,
        "new": found.new.digest,
        "structure": [msgspec.structs.asdict(change) for change in found.structure],
        "effects": [msgspec.structs.asdict(effect) for effect in found.effects],
        "differences": [_plain(found, one) for one in told.differences],
        "not_proved": [msgspec.structs.asdict(one) for one in told.unproved],
        "questions": {"all": told.questions, "put_alike": told.alike, "proved_alike": told.proved},
    }


def _plain(found: Diff, one: Difference) -> dict[str, Any]:
    scenario = runnable(found.old, found.new, one)
    bundle = found.old if scenario is not None and scenario.side == "old" else found.new
    return {
        "audience": one.audience,
        "scope": one.scope,
        "kind": one.kind,
        "action": one.action,
        "way": one.way,
        "only": one.only,
        "old": _answer(one.old),
        "new": _answer(one.new),
        "exception": bool(one.situation.facts.exceptions),
        "runs_under": scenario.side if scenario is not None else None,
        "scenario": scenario.scenario if scenario is not None else None,
        "given": given_of(bundle.catalogue, one.situation) if scenario is None else scenario.scenario["given"],
    }


def _answer(answer: Any) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.structs.asdict(answer)
    told["actors"] = [str(actor) for actor in answer.actors]
    return told
