"""From an export to a checked bundle on disk, with everything that was not carried over."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path

from msgspec import Struct

from mintwarden.app.bootstrap import auth0, csv_, json_, keycloak, okta
from mintwarden.app.bootstrap.mapping import Gap
from mintwarden.app.bootstrap.mapping import Mapping as Found
from mintwarden.app.bootstrap.spelling import Spelled
from mintwarden.app.bootstrap.strict import read_bytes
from mintwarden.app.bootstrap.write import plan
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.policy.bundle.load import build_bundle
from mintwarden.policy.bundle.problem import BundleRefused
from mintwarden.policy.lint.finding import Finding
from mintwarden.policy.lint.lint import lint
from mintwarden.review.check import check_loaded

READERS: Mapping[str, Callable[..., Found]] = {
    "csv": csv_.read,
    "json": json_.read,
    "keycloak": keycloak.read,
    "okta": okta.read,
    "auth0": auth0.read,
}
"""Every shape, in reading order."""


class Bootstrapped(Struct, frozen=True, kw_only=True):
    """What was made.

    Attributes:
        shape: what was read, for people.
        counts: how much of everything the bundle declares.
        gaps, spelled: what was not carried over, and what is spelled otherwise.
        findings: what `policy lint` says about the bundle.
        texts: the bundle, by path.
    """

    shape: str
    counts: dict[str, int]
    gaps: tuple[Gap, ...]
    spelled: tuple[Spelled, ...]
    findings: tuple[Finding, ...]
    texts: dict[str, str]


def bootstrap(source: Path, shape: str, *, name: str, issuer: str, today: date) -> Bootstrapped:
    """Read `source` as `shape` and make a bundle of it, loaded, its scenarios passed, before anything is written.

    Raises `INVALID_REQUEST`, `TOO_LARGE` for what cannot be read, `BUNDLE` for what no bundle can be made of.
    """
    content = auth0.gather(source) if shape == "auth0" and source.is_dir() else read_bytes(source)
    mapping = READERS[shape](content, name=name)
    made = plan(mapping, issuer=issuer)
    try:
        bundle = build_bundle(made.texts)
    except BundleRefused as refused:
        raise MintwardenError(
            ErrorKind.BUNDLE, f"no bundle can be made of it: {refused.problems[0]}", hint=refused.problems[0].remedy
        ) from None
    report = check_loaded(bundle)
    if report.failed:
        # A bundle that does not do what the mapping says is worse than none.
        failed = report.failed[0]
        raise MintwardenError(ErrorKind.INTERNAL, f"the bundle would not do what the mapping says: {failed.id}")
    return Bootstrapped(
        shape=mapping.shape,
        counts=report.counts,
        gaps=made.gaps,
        spelled=made.spelled,
        findings=tuple(lint(bundle, made.texts, today)),
        texts=made.texts,
    )


def write_all(folder: Path, made: Bootstrapped) -> None:
    """The bundle in `folder`/bundle and `folder`/GAPS.md. INVARIANT: a folder that exists is never written into.

    Raises `CONFLICT` when there is one, `CONFIG` when it cannot be written.
    """
    if os.path.lexists(folder):
        raise MintwardenError(
            ErrorKind.CONFLICT, f"`{folder}` exists already, nothing was written", hint="name a folder that does not"
        )
    try:
        folder.mkdir(parents=True)
        for path, text in {
            **{f"bundle/{path}": text for path, text in made.texts.items()},
            "GAPS.md": gaps_page(made),
        }.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("x", encoding="utf-8", newline="\n") as out:
                out.write(text)
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise MintwardenError(
            ErrorKind.CONFIG, f"`{folder}` cannot be written: {reason}", hint="check rights"
        ) from error


def gaps_page(made: Bootstrapped) -> str:
    """What has to be looked at by somebody, as a page."""
    lines = [
        "# Gaps",
        "",
        f"The bundle beside this page was made from {made.shape}. Every audience observes: what its mapping gives is",
        "issued, and what rules would say is recorded. What follows was not carried over, or has to be completed.",
        "",
        *_table(
            ("kind", "where", "not carried over", "what to do"),
            [(g.kind, g.where, g.what, g.remedy) for g in made.gaps],
        ),
    ]
    if made.spelled:
        rows = [(one.kind, one.was, one.now) for one in made.spelled]
        lines += ["", "## Spelled otherwise", "", *_table(("kind", "was", "is now"), rows)]
    if made.findings:
        found = [(f.id, f"{f.file}:{f.line}", f.message, f.remedy) for f in made.findings]
        lines += ["", "## What lint says", "", *_table(("id", "where", "what", "what to do"), found)]
    return "\n".join([*lines, ""])


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    def row(cells: Sequence[str]) -> str:
        return f"| {' | '.join(_cell(cell) for cell in cells)} |"

    return [row(head), row(["---"] * len(head)), *(row(cells) for cells in rows)]


def _cell(text: str) -> str:
    """Names come from outside: nothing in them may end a cell or begin markup of its own."""
    plain = "".join(c if c.isprintable() else " " for c in text)
    return plain.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
