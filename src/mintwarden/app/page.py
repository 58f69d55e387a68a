"""A story as one page for a terminal: styled lines, safe to print."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from mintwarden.app.story import Story
from mintwarden.policy.explain_text import explain_text, spell_seconds


class Line(NamedTuple):
    """A line and its style, as rich names styles."""

    text: str
    style: str = ""


_HIDDEN = ("grant", "audience", "scopes", "parent", "defaulted", "details")


def page(story: Story) -> Iterator[Line]:
    """The story from top to bottom. Characters that are not printable are left out."""
    for line in _lines(story):
        yield Line("".join(c for c in line.text if c.isprintable()), line.style)


def _lines(story: Story) -> Iterator[Line]:
    yield from _title(story)
    if story["kind"] not in ("decision", "question"):
        yield from _act(story)
    else:
        yield from _asked(story)
        if "why" in story:
            yield from _why(story)
        else:
            yield from _bare(story)
        yield from _exceptions(story)
        yield from _facts(story)
    yield from _proof(story)


def _title(story: Story) -> Iterator[Line]:
    if story["kind"] == "question":
        yield Line("a question, decided now; nothing was issued or recorded", "bold")
    else:
        yield Line(f"{story['kind'].replace('_', ' ')} {story['id']}", "bold")
    yield Line(f"  at         {story['at']}")
    yield Line(f"  issuer     {story['issuer']}")
    token = story.get("token")
    if token is not None:
        fits = token["signature"] == "good" and token["recorded"]
        recorded = {
            True: "it is the recorded one",
            False: "it is NOT the token that was recorded",
            None: "whether it is the recorded one cannot be told: its subject was erased",
        }[token["recorded"]]
        yield Line(f"  token      signature: {token['signature']}; {recorded}", "green" if fits else "bold red")
    if story.get("sealed") == "erased":
        yield Line("  the subject was erased: what was asked and the facts are gone for good", "yellow")
    if story.get("replay") == "different":
        yield Line("  deciding again over the recorded facts comes out DIFFERENT", "bold red")
    if story.get("replay", "").startswith("another"):
        yield Line("  it was decided under a bundle that is not loaded here, so the rules cannot be shown", "yellow")


def _asked(story: Story) -> Iterator[Line]:
    asked, who = story["asked"], story["who"]
    yield Line("")
    yield Line("asked", "bold")
    yield Line(f"  client     {who['client']}{' (' + who['method'] + ')' if who['method'] else ''}")
    yield Line(f"  grant      {asked['grant']}")
    yield Line(f"  audience   {asked['audience']}")
    if "scopes" in asked:
        default = " (the defaults: none were asked for)" if asked.get("defaulted") else ""
        yield Line(f"  scopes     {' '.join(asked['scopes'])}{default}")
    for detail in asked.get("details", ()):
        yield Line(f"  detail     {_plain({'type': detail['type'], **detail.get('fields', {})})}")
    for name, value in asked.items():
        if name not in _HIDDEN and value:
            yield Line(f"  {name:<10} {value if isinstance(value, str) else _plain(value)}")
    if "parent" in asked:
        yield Line(f"  parent     token {asked['parent']['token_id']}, until {asked['parent']['expires_at']}")


def _exceptions(story: Story) -> Iterator[Line]:
    for known in story.get("exceptions", ()):
        yield Line("")
        yield Line(f"exception {known['id']}", "bold")
        if "problem" in known:
            yield Line(f"  {known['problem']}", "yellow")
            continue
        yield Line(f"  for        {known['principal']} to {known['action']} {known['scope']}, until {known['ends']}")
        yield Line(f"  why        {known['reason']} ({known['ticket']})")
        yield Line(f"  meanwhile  {known['control']}")
        yield Line(f"  asked by   {known['requester']}")
        yield Line(f"  approved   {', '.join(known.get('approved_by', ()))}")
        yield Line(f"  now        {known['state']}")


def _why(story: Story) -> Iterator[Line]:
    yield Line("")
    for text in explain_text(story["why"]).splitlines():
        yield Line(text, _style(text))


def _style(text: str) -> str:
    if not text.startswith(" "):
        return "bold red" if "refused" in text else "bold green" if "granted" in text else "bold"
    if text.lstrip().startswith(("NO ", "ERROR", "forbidden by", "lacking", "could not")):
        return "red"
    return "dim" if text.startswith("    because") else ""


def _bare(story: Story) -> Iterator[Line]:
    """What the public entry alone tells."""
    yield Line("")
    granted = story["outcome"] == "granted"
    yield Line(story["outcome"], "bold green" if granted else "bold red")
    yield Line(f"  subject    {story['who']['subject']}")
    for actor in story["who"]["actors"]:
        yield Line(f"  actor      {actor}")
    bundle = story["bundle"]
    owner = f", owned by {bundle['owner']} ({bundle['contact']})" if bundle["loaded"] else ", not loaded here"
    yield Line(f"  bundle     {bundle['digest']}{owner}")
    for scope in (*story["scopes"], *story.get("details", ())):
        answer = f"granted by {scope.get('route', '')}" if scope["granted"] else f"refused: {scope.get('reason', '')}"
        yield Line(f"  {scope['scope']:<24} {answer}", "green" if scope["granted"] else "red")
        if "would" in scope:
            would = scope["would"]
            answer = f"granted it by {would.get('route', '')}" if would["granted"] else f"refused it: {would['reason']}"
            who = "issued under observe: the rules" if story["mode"] == "observe" else "rules that are only observed"
            yield Line(f"    {who} would have {answer}", "yellow")
    for claim in story["claims"]:
        yield Line(f"  claim {claim['name']} from {claim['origin']} ({claim['source']})")
    if story["lifetime"] is not None:
        yield Line(f"  lifetime {spell_seconds(story['lifetime']['seconds'])}, by {story['lifetime']['bound']}")


def _facts(story: Story) -> Iterator[Line]:
    facts = story.get("facts")
    if facts is None:
        return
    yield Line("")
    yield Line("sources", "bold")
    for source in facts["sources"]:
        age = f"{spell_seconds(source['age'])} old" if source["age"] is not None else "never observed"
        limit = f" of at most {spell_seconds(source['max_age'])}" if source["max_age"] else ""
        detail = f": {source['detail']}" if source["detail"] else ""
        style = "" if source["state"] == "present" else "yellow"
        yield Line(f"  {source['reading']:<24} {source['state']}, {age}{limit}{detail}", style)


def _act(story: Story) -> Iterator[Line]:
    actor = story["actor"]
    yield Line(f"  by         {actor.get('type', '')}:{actor.get('id') or actor.get('ref', '')}")
    for name, value in {**story["detail"], **story["private"]}.items():
        yield Line(f"  {name:<10} {value if isinstance(value, str) else _plain(value)}")


def _proof(story: Story) -> Iterator[Line]:
    proof = story.get("proof")
    if proof is None:
        return
    yield Line("")
    yield Line("proof", "bold")
    yield Line(f"  leaf       {proof['leaf']}")
    if proof["verified"]:
        yield Line(
            f"  log        entry {proof['index']} of {proof['size']} in `{proof['log']}`, inclusion verified", "green"
        )
    else:
        yield Line(f"  log        {proof['problem']}", "yellow")


def _plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
