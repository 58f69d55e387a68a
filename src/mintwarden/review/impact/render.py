"""A report as lines for a terminal, and as Markdown for the discussion of a change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from mintwarden.policy.durations import written
from mintwarden.review.impact.kinds import KINDS
from mintwarden.review.impact.report import Report

FEW = 8
"""Names of a dimension that are shown."""


def text_lines(found: Report) -> Iterator[str]:
    """The report for people."""
    for line in _text(found):
        yield "".join(c if c.isprintable() else f"\\u{{{ord(c):x}}}" for c in line)


def _text(found: Report) -> Iterator[str]:
    yield from _head(found)
    yield ""
    for kind, of in found["kinds"].items():
        if of["count"]:
            yield f"{of['count']:>9,} {kind}: {KINDS[kind]}"
            for dimension, by in of["by"].items():
                yield f"          by {dimension}: {_counted(by)}"
            for line in _examples(of):
                yield f"          {line}"
    if not found["changed"]:
        yield "nothing changes" if found["replayed"] else "nothing was replayed"
    yield from _reproduced(found)
    if found["causes"]:
        yield ""
        yield f"{found['not_replayed']:,} decisions cannot be replayed"
        for cause in found["causes"]:
            about = f" ({cause['detail']})" if cause["detail"] else ""
            yield f"{cause['count']:>9,} {cause['cause']}: {cause['means']}{about}"
            yield f"          first {cause['first']}, last {cause['last']}"


def _head(found: Report) -> Iterator[str]:
    candidate, span = found["candidate"], found["span"]
    yield f"candidate   {candidate['name']} {candidate['digest']}"
    for name in candidate["without_groups"]:
        unread = ", which nothing in the candidate looks at" if name in candidate["unread_groups"] else ""
        yield f"supposed    nobody is in group {name}{unread}"
    for name in candidate["sources_down"]:
        yield f"supposed    source {name} is down"
    since = _time(span["since"]) if span["since"] else "the beginning"
    until = _time(span["until"]) if span["until"] else "now"
    yield f"decisions   {found['decisions']:,} from {since} to {until}, of {found['entries']:,} entries"
    yield (
        f"replayed    {found['replayed']:,}: {found['unchanged']:,} unchanged, {found['changed']:,} changed; "
        f"{found['not_replayed']:,} not replayable"
    )


def _reproduced(found: Report) -> Iterator[str]:
    of = found["reproduced"]
    own = of["same"] + of["same_but_token"] + of["different"]
    if not own:
        return
    yield ""
    yield f"{own:,} of the decisions were this bundle's own: {of['same']:,} came out byte for byte the same"
    if of["same_but_token"]:
        yield f"{of['same_but_token']:,} the same but for the digest of a token whose signing key is not known any more"
    if of["different"]:
        members = ", ".join(f"{name} ({count:,})" for name, count in sorted(of["members"].items()))
        yield f"{of['different']:,} DIFFERENT, in {members}: run `mintwarden ledger audit`"
        yield from _examples(of)


def _counted(by: Sequence[Mapping[str, Any]]) -> str:
    named = [one for one in by if "name" in one]
    rest = sum(one["count"] for one in named[FEW:]) + sum(one.get("others", 0) for one in by)
    shown = [f"{one['name']} {one['count']:,}" for one in named[:FEW]]
    return ", ".join([*shown, f"others {rest:,}"] if rest else shown)


def _examples(of: Mapping[str, Any]) -> Iterator[str]:
    shown = -1
    for which in ("first", "last"):
        example = of.get(which)
        if example is not None and example["leaf"] != shown:
            shown = example["leaf"]
            who = f" for {example['subject']}" if example["subject"] else ""
            yield f"{which} {example['decision']} at {_time(example['at'])}, {example['client']}{who}"
            for line in _why(example):
                yield f"  {line}"


def _why(example: Mapping[str, Any]) -> Iterator[str]:
    if example["note"]:
        yield example["note"]
    before, after = (
        {one["scope"]: one for one in (*told["scopes"], *told.get("details", ()))}
        for told in (example[side] or _NOTHING for side in _SIDES)
    )
    for name in example["scopes"]:
        was, now = _answer(before.get(name)), _answer(after.get(name))
        yield f"{name}: {was}" if was == now else f"{name}: {was} -> {now}"
    for claim in example["claims"]:
        is_shown = claim["before"] is not None or claim["after"] is not None
        values = f": {claim['before']} -> {claim['after']}" if is_shown else ""
        yield f"claim {claim['name']} {claim['change']}{values}"
    lives = [_life(example[side]) for side in _SIDES]
    if lives[0] != lives[1] and all(lives):
        yield f"lifetime {lives[0]} -> {lives[1]}"


_SIDES = ("before", "after")
_NOTHING: Mapping[str, Any] = {"scopes": ()}


def _life(side: Mapping[str, Any] | None) -> str:
    if side is None or side["lifetime"] is None:
        return ""
    deciding = [bound["name"] for bound in side["bounds"] if bound["decided"]]
    return f"{written(side['lifetime'])} ({', '.join(deciding)})"


def _answer(scope: Mapping[str, Any] | None) -> str:
    if scope is None:
        return "not asked"
    if scope["granted"]:
        rules = [rule["id"] for rule in scope["carried"]] or list(scope["mapped"])
        return f"granted by {', '.join(rules)}" if rules else "granted"
    told = f"refused, {scope['because']}"
    if scope["deciding"]:
        told += f" ({', '.join(rule['id'] for rule in scope['deciding'])})"
    if scope["lacking"]:
        told += f" ({', '.join(fact['path'] for fact in scope['lacking'])})"
    route = scope["route"]
    if route is not None:
        lacks = [one["text"] for one in route["conditions"] if one["truth"] != "true"]
        lacks += [f"{unmet['name']} {unmet['value']}" for unmet in route["unmet"]]
        told += f"; nearest {route['rule']['id']}" + (f", which lacks {'; '.join(lacks)}" if lacks else "")
    return told


def markdown(found: Report) -> str:
    """The report as Markdown: tables that fit into the discussion of a change."""
    return "\n".join(_markdown(found)) + "\n"


def _markdown(found: Report) -> Iterator[str]:
    yield f"### Impact of {_cell(found['candidate']['name'])}"
    yield ""
    for line in _head(found):
        yield f"- {_cell(line)}"
    yield ""
    yield "| change | decisions | clients | scopes | rules |"
    yield "| --- | ---: | --- | --- | --- |"
    for kind, of in found["kinds"].items():
        if of["count"]:
            names = (_cell(_counted(of["by"].get(dimension, ()))) for dimension in ("client", "scope", "rule"))
            yield f"| **{kind}**: {KINDS[kind]} | {of['count']:,} | {' | '.join(names)} |"
    yield f"| unchanged | {found['unchanged']:,} | | | |"
    for kind, of in found["kinds"].items():
        lines = list(_examples(of)) if of["count"] else []
        if lines:
            yield ""
            yield f"<details><summary>{kind}: first and last</summary>"
            yield ""
            yield "```"
            yield from (line.replace("`", "'") for line in lines)
            yield "```"
            yield "</details>"
    if found["causes"]:
        yield ""
        yield "| not replayable | decisions | |"
        yield "| --- | ---: | --- |"
        for cause in found["causes"]:
            yield f"| {cause['cause']} | {cause['count']:,} | {_cell(cause['detail'] or cause['means'])} |"


def _cell(text: str) -> str:
    """Names come from outside: none may end a cell, or begin a tag or a mention."""
    safe = "".join(c if c.isprintable() else " " for c in text)
    for sign, instead in (("&", "&amp;"), ("<", "&lt;"), ("|", "\\|"), ("`", "'"), ("@", "@\u200b"), ("[", "\\[")):
        safe = safe.replace(sign, instead)
    return safe


def _time(millis: int) -> str:
    return datetime.fromtimestamp(millis / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
