"""Who gets what over the directory, for `policy who-can`, `what-can`, `groups` and for the administration API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import msgspec

from mintwarden.app.clock import SystemClock
from mintwarden.app.reach import Ended, Ground, Progress, Search, what_can, who_can, who_may_act
from mintwarden.app.spelling import millis_of
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.values import EntityUid
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.bundle.problem import did_you_mean
from mintwarden.review.reach.groups import GroupReport
from mintwarden.review.reach.overlay import Overlay, read_overlay
from mintwarden.review.reach.question import Line, Question


def moment(text: str) -> int:
    """`Millis` of a time, now when it is empty."""
    return millis_of(text) if text else SystemClock().now()


def principal(text: str) -> EntityUid:
    """`User:alice`; raises `INVALID_REQUEST` for anything else."""
    kind, colon, name = text.partition(":")
    if kind not in ("User", "Workload", "Agent") or not colon or not name:
        raise MintwardenError(
            ErrorKind.INVALID_REQUEST, f"`{text[:100]}` is not a principal", hint="write it as `User:alice`"
        )
    return EntityUid(kind, name)


def checked(question: Question, base: Ground) -> Question:
    """The question, its names those that there are; raises `INVALID_REQUEST`."""
    catalogue = base.bundle.catalogue
    for what, name, known in (
        ("scope", question.scope, catalogue.scopes),
        ("client", question.client, base.clients),
        ("purpose", question.purpose, catalogue.purposes),
        ("environment", question.environment, dict.fromkeys(catalogue.environments)),
    ):
        if name and name not in known:
            raise MintwardenError(
                ErrorKind.INVALID_REQUEST,
                f"there is no {what} `{name}`",
                hint=did_you_mean(name, known, "see the bundle"),
            )
    return question


def found(
    base: Ground,
    question: Question,
    search: Search,
    named: Sequence[EntityUid] | None,
    progress: Progress | None = None,
) -> AsyncIterator[Line | Ended]:
    """The answer. `named` None: who gets it; otherwise who may act with it for them."""
    if named is None:
        return who_can(base, question, search, progress=progress)
    return who_may_act(base, question, search, named=named, progress=progress)


async def found_for(
    base: Ground,
    uid: EntityUid,
    question: Callable[[str], Question],
    audiences: Sequence[str],
    named: Sequence[EntityUid],
) -> AsyncIterator[Line | Ended]:
    """What a principal gets of some audiences (of all when there are none), then how it ended.

    Raises `INVALID_REQUEST` for an audience that there is not.
    """
    known = base.bundle.catalogue.audiences
    for name in audiences:
        if name not in known:
            hint = did_you_mean(name, known, "see the bundle")
            raise MintwardenError(ErrorKind.INVALID_REQUEST, f"there is no audience `{name}`", hint=hint)
    scopes = [scope for name in (audiences or known) for scope in known[name].scopes]
    checked(question(""), base)
    count = 0
    async for line in what_can(base, uid, question, scopes, named=named):
        count += 1
        yield line
    yield Ended(looked_at=len(scopes), found=count)


def line_json(one: Line | Ended) -> dict[str, Any]:
    """One line for a machine; names are fixed and documented in `docs/reach.md`."""
    return {"line": "end" if isinstance(one, Ended) else "found", **msgspec.to_builtins(one)}


def supposed(content: Mapping[str, Any], *, file: str = "", text: str = "") -> Callable[[Bundle], Overlay] | None:
    """What is supposed, once its bundle is there; None where nothing is. `file` and `text`: where it was read from."""
    if not content and not file:
        return None
    return lambda bundle: read_overlay(content, bundle.catalogue, file=file, text=text)


def groups_json(reports: Sequence[GroupReport], open_rules: Sequence[str]) -> dict[str, Any]:
    """The groups for a machine; names are fixed and documented in `docs/reach.md`."""
    return {
        "groups": [
            {**msgspec.to_builtins(report), "could_go": report.could_go and not open_rules} for report in reports
        ],
        "rules_that_may_read_any_group": list(open_rules),
    }


def only_unused(reports: Sequence[GroupReport]) -> list[GroupReport]:
    """The groups that carry nothing."""
    return [report for report in reports if not report.carries]
