"""What another bundle would have made of the recorded decisions, for `policy impact` and for the administration API."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from mintwarden.app.bundle_texts import texts_named
from mintwarden.app.config import Config
from mintwarden.app.foundation import Foundation, foundation
from mintwarden.app.impact import Work
from mintwarden.govern.content import texts_of
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.policy.bundle.load import build_bundle
from mintwarden.review.hypothesis import Hypothesis
from mintwarden.review.impact.examples import Show, examples
from mintwarden.review.impact.kinds import KINDS
from mintwarden.review.impact.report import UNREPLAYABLE, Candidate, Report, leaves_of, names_of, report
from mintwarden.review.impact.state import State, begin, read_state
from mintwarden.review.impact.state import resume as go_on
from mintwarden.review.impact.walk import Filters
from mintwarden.review.reach.groups import read_groups
from mintwarden.review.replay import Replayer, SigningKey
from mintwarden.store import open_store

_AGO = re.compile(r"([1-9][0-9]{0,5})([smhdw])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
KEPT = 1_000
"""Bundle versions of the store that are looked through."""


async def prepared(
    config: Config,
    new: str,
    under: Sequence[str],
    filters: Filters,
    hypothesis: Hypothesis,
    asking: Sequence[object],
    limit: int,
    resume: Path | None,
) -> tuple[Work, State]:
    """What the workers need, and the state to begin or to go on with."""
    async with foundation(config, read_only=True) as base:
        kept = await _kept(base)
        candidate = _texts(new, base, kept)
        others = {**kept, **dict(_digest(_texts(name, base, kept)) for name in under)}
        keys = await base.store.keys.keys()
        work = Work(
            store=config.store.url,
            secret=base.master.derive(b"ledger"),
            candidate=candidate,
            others=others,
            keys=tuple(SigningKey(key.kid, key.algorithm) for key in keys if key.purpose == "access_token"),
            filters=filters,
            hypothesis=hypothesis,
        )
        digest = _digest(candidate)[0]
        question = hashlib.sha256(msgspec.json.encode([digest, base.issuer, asking[1:]])).hexdigest()
        state = None if resume is None else read_state(resume)
        if state is None:
            state = await begin(base.store.entries, question=question, filters=filters, limit=limit)
        else:
            state = await go_on(state, base.store.entries, question=question)
        # The times are those of when the run began.
        filters = msgspec.structs.replace(filters, since=state.since, until=state.until)
        return msgspec.structs.replace(work, filters=filters), state


async def _kept(base: Foundation) -> dict[str, Mapping[str, str]]:
    """The bundles that may have decided: every version that the store keeps, and the one that governs."""
    found: dict[str, Mapping[str, str]] = {}
    for name in await base.store.versions.versions(KEPT):
        version = await base.store.versions.version(name.digest)
        if version is not None:
            found[name.digest] = texts_of(version.content)
    if base.bundle.digest not in found:
        found[base.bundle.digest] = texts_named(str(base.config.bundle.path))
    return found


def _texts(name: str, base: Foundation, kept: Mapping[str, Mapping[str, str]]) -> Mapping[str, str]:
    digest = base.bundle.digest if name == "active" else name
    if digest in kept:
        if _digest(kept[digest])[0] != digest:
            what = f"what the store keeps as version `{digest}` is another bundle"
            raise MintwardenError(ErrorKind.STORE, what, hint="restore the store; run `mintwarden ledger audit`")
        return kept[digest]
    if digest.startswith("sha256:"):
        raise MintwardenError(ErrorKind.NOT_FOUND, f"the store keeps no version `{digest}`", hint="name a folder")
    return texts_named(name)


def _digest(texts: Mapping[str, str]) -> tuple[str, Mapping[str, str]]:
    """The bundle's digest, after it was checked; and its texts."""
    return build_bundle(texts).digest, texts


async def reported(
    config: Config, state: State, replayer: Replayer, hypothesis: Hypothesis, show: Show, wanted: Sequence[str]
) -> Report:
    """What a replay that has ended found; `wanted` are the kinds of changes that it fails on."""
    store = await open_store(config.store.url, read_only=True)
    try:
        told = await examples(
            leaves_of(state.tally), entries=store.entries, keys=store.subject_keys, replayer=replayer, show=show
        )
        names = await names_of(state.tally, store.entries)
    finally:
        await store.close()
    bundle = replayer.candidate
    read, open_rules = read_groups(bundle)
    candidate = Candidate(
        digest=bundle.digest,
        name=bundle.catalogue.name,
        without_groups=hypothesis.without_groups,
        unread_groups=() if open_rules else tuple(name for name in hypothesis.without_groups if name not in read),
        sources_down=hypothesis.sources_down,
    )
    return report(state, candidate, told, names, wanted)


def kinds_named(text: str) -> tuple[str, ...]:
    """The kinds of changes in `text`, with commas; raises `INVALID_REQUEST` for one that there is not."""
    wanted = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in wanted:
        if name not in KINDS and name != UNREPLAYABLE:
            known = ", ".join(f"`{kind}`" for kind in (*KINDS, UNREPLAYABLE))
            raise MintwardenError(
                ErrorKind.INVALID_REQUEST, f"`{name}` is no kind of change", hint=f"known here: {known}"
            )
    return wanted


def time_named(text: str, now: int) -> int:
    """`Millis` of a time, or of so long before `now`; 0 for none.

    Raises `INVALID_REQUEST` for anything else.
    """
    if not text:
        return 0
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return max(1, now - int(ago[1]) * _UNITS[ago[2]] * 1000)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise MintwardenError(
            ErrorKind.INVALID_REQUEST,
            f"`{text}` is no time",
            hint="write `30d`, `2026-11-01` or `2026-11-01T12:00:00Z`",
        ) from None
    return max(1, int(at.replace(tzinfo=at.tzinfo or UTC).timestamp() * 1000))
