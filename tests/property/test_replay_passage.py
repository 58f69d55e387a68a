"""What was recorded under one bundle and is replayed under another is what the other would have decided, or is not replayed.

The truth is computed beside: the same request through the same grant, the same documents of the same sources, assembled and
decided under the other bundle, with nothing left out. Neither knows anything of what the ledger kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from mintwarden.context.assemble import SourceAnswer
from mintwarden.policy.decide import decide
from mintwarden.review.cause import CAUSES, Cause
from mintwarden.review.hypothesis import Hypothesis
from mintwarden.review.passage import Passage
from tests.property.replay_cases import (
    EDITS,
    ENTITIES,
    FILES,
    GROUPS,
    NOW,
    askings,
    bundle_of,
    documents,
    few,
    recorded,
    walk,
)


def test_every_edit_changes_the_company():
    for index, (file, old, _) in enumerate(EDITS):
        assert old in FILES[file], index
        assert bundle_of(frozenset({index})) is not None, index


@settings(max_examples=400)
@given(few, few, askings, documents)
def test_what_is_replayed_is_what_would_have_been_decided(before, after, asking, said):
    old, new = bundle_of(before), bundle_of(after)
    if old is None or new is None:
        event("no such bundle")
        return
    was, truth = walk(old, asking, said), walk(new, asking, said)
    if was is None:
        event("not recorded")
        return
    kept = recorded(old, *was)
    assert decide(old, kept.asked, kept.facts, NOW) == was[2], "replay under the same bundle"
    crossed = Passage(old, new).cross(kept.asked, kept.facts, NOW)
    if isinstance(crossed, Cause):
        event(f"not replayable: {crossed.kind}")
        assert crossed.kind in CAUSES
        return
    again = decide(new, crossed.asked, crossed.facts, NOW)
    if truth is None:
        event("refused before it is decided")
        assert not again.granted
        return
    event(
        f"replayed: {'same' if old.digest == new.digest else 'other'} bundle, {'granted' if again.granted else 'refused'}"
    )
    # of what the earlier token carried, it matters only what is asked for
    assert replace(crossed.asked, parent=None) == replace(truth[0], parent=None)
    assert again == truth[2]


@settings(max_examples=200)
@given(
    few,
    askings,
    documents,
    st.sampled_from(["directory", "risk", "ticket", "entitlements", "health", "session", ""]),
    st.sampled_from([*GROUPS, ""]),
)
def test_what_is_supposed_is_what_would_have_been_true(edits, asking, said, down, group):
    bundle = bundle_of(edits)
    was = None if bundle is None else walk(bundle, asking, said)
    if bundle is None or was is None:
        return
    hypothesis = Hypothesis(sources_down=(down,) if down else (), without_groups=(group,) if group else ())
    truth = walk(bundle, asking, supposing(said, down, group))
    kept = recorded(bundle, *was)
    supposed = hypothesis.suppose(kept.asked, kept.facts, bundle.catalogue)
    if isinstance(supposed, Cause):
        event("not replayable")
        return
    assert truth is not None
    assert decide(bundle, kept.asked, supposed, NOW) == truth[2]


def supposing(said: Mapping[str, Mapping[str, SourceAnswer]], down: str, group: str) -> Any:
    """The documents as they would have been."""
    found: dict[str, dict[str, SourceAnswer]] = {}
    for entity in ENTITIES:
        answers = found[entity] = dict(said.get(entity, {}))
        if down:
            answers[down] = SourceAnswer(state="failing", detail="supposed to be down")
        for source, answer in answers.items():
            if group and isinstance(answer.document, bytes):
                document = json.loads(answer.document)
                document["groups"] = [name for name in document.get("groups", []) if name != group]
                answers[source] = SourceAnswer(document=json.dumps(document).encode(), observed_at=answer.observed_at)
    for entity in ("session:", "device:", "world:"):
        found.setdefault(entity, {})
    return found
