"""The next step of an audience towards enforcing, as a change of its file in the bundle's folder."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tomlkit
from msgspec import Struct
from msgspec.structs import replace
from tomlkit.exceptions import TOMLKitError

from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.policy.bundle.audiences import FOLDER
from mintwarden.policy.bundle.load import build_bundle
from mintwarden.policy.bundle.problem import Problems, did_you_mean
from mintwarden.policy.bundle.read import read_bundle
from mintwarden.review.readiness.report import Report

STEPS = ("observe", "canary", "enforce")


class Step(Struct, frozen=True, kw_only=True):
    """A change that was prepared and is not written yet.

    Attributes:
        file: below the bundle's folder, where there is one.
        text: the whole file as it will be.
        digest: of the version as it will be.
        texts: the whole version as it will be.
        dropped: tables that the change removes.
    """

    file: Path
    audience: str
    before: str
    after: str
    text: str
    digest: str
    texts: Mapping[str, str]
    dropped: tuple[str, ...] = ()


def prepare_step(folder: Path, audience: str, to: str = "", *, despite: str = "") -> Step:
    """The step of an audience, in the bundle in `folder`; see `step_in`."""
    problems = Problems()
    texts = read_bundle(folder, problems)
    problems.refuse_if_any()
    # as they are, line ends included
    step = step_in(texts, audience, to, despite=despite, raw=lambda file: (folder / file).read_bytes().decode())
    return replace(step, file=folder / step.file)


def step_in(
    texts: Mapping[str, str], audience: str, to: str = "", *, despite: str = "", raw: Callable[[str], str] | None = None
) -> Step:
    """The step of an audience to `to`: without it, to the canary if there is one and it observes, else to enforcing.

    Only `mode` changes, with `despite` as a comment beside it, and a `[downgrade]` that this ends goes. `raw` reads a
    file as it is written. Raises `NOT_FOUND`, `CONFLICT` where there is nothing to step to, and `BundleRefused` where
    the result would be no bundle.
    """
    bundle = build_bundle(texts)
    found = bundle.catalogue.audiences.get(audience)
    if found is None:
        hint = did_you_mean(audience, bundle.catalogue.audiences, "see the bundle's `audiences/`")
        raise MintwardenError(ErrorKind.NOT_FOUND, f"there is no audience `{audience}`", hint=hint)
    after = to or ("canary" if found.mode == "observe" and found.canary is not None else "enforce")
    if STEPS.index(after) <= STEPS.index(found.mode):
        what = f"audience `{audience}` is in `{found.mode}`, which is no less than `{after}`"
        raise MintwardenError(ErrorKind.CONFLICT, what, hint="enforcing less is a `[downgrade]`, written by hand")
    file, document = _document(texts, audience, raw or texts.__getitem__)
    dropped = ("[downgrade]",) if document.pop("downgrade", None) is not None else ()
    _set_mode(document, after, despite)
    text = tomlkit.dumps(document)
    changed = {**texts, file: text}
    return Step(
        file=Path(file),
        audience=audience,
        before=found.mode,
        after=after,
        text=text,
        digest=build_bundle(changed).digest,
        texts=changed,
        dropped=dropped,
    )


def one_line(reason: str) -> str:
    """A reason as it may stand in a comment; raises `INVALID_REQUEST` for what is not one line of text."""
    if not reason.isprintable():
        raise MintwardenError(ErrorKind.INVALID_REQUEST, "the reason is not one line of text", hint="write one line")
    return reason.strip()


def as_json(step: Step, report: Report, despite: str) -> dict[str, Any]:
    """The step for a machine; it is to be taken where the audience is ready, or a reason says why all the same."""
    return {
        "audience": step.audience,
        "file": str(step.file),
        "before": step.before,
        "after": step.after,
        "written": report.ready or bool(despite),
        "digest": step.digest,
        "ready": report.ready,
        "unmet": unmet(report),
        "despite": despite,
    }


def unmet(report: Report) -> list[str]:
    """What the audience lacks to be ready."""
    return [f"{one.wanted}: {one.found}" for one in report.criteria if not one.met]


def write_step(step: Step) -> None:
    """Write it, all or nothing. Raises `CONFIG` when the file cannot be written."""
    try:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=step.file.parent, delete=False, newline="") as new:
            new.write(step.text)
            new.flush()
            os.fsync(new.fileno())
        Path(new.name).chmod(step.file.stat().st_mode & 0o777)
        Path(new.name).replace(step.file)
    except OSError as error:
        what = f"`{step.file}` cannot be written: {(error.strerror or 'unknown reason').lower()}"
        raise MintwardenError(ErrorKind.CONFIG, what, hint="make the bundle's folder writable") from error


def _document(texts: Mapping[str, str], audience: str, raw: Callable[[str], str]) -> tuple[str, tomlkit.TOMLDocument]:
    for file in texts:
        if not file.startswith(f"{FOLDER}/"):
            continue
        text = raw(file)
        try:
            document = tomlkit.parse(text)
        except TOMLKitError:
            continue
        declared: Any = document.get("audience", {})
        if declared.get("id") == audience:
            if tomlkit.dumps(document) != text:
                what = f"`{file}` cannot be changed without changing more of it than its mode"
                raise MintwardenError(ErrorKind.CONFLICT, what, hint="write the mode yourself")
            return file, document
    raise MintwardenError(ErrorKind.NOT_FOUND, f"the file of audience `{audience}` was not found")


def _set_mode(document: tomlkit.TOMLDocument, mode: str, despite: str) -> None:
    table: Any = document["audience"]
    before: Any = table["mode"]
    comment, space = str(before.trivia.comment).removeprefix("#").strip(), before.trivia.comment_ws
    if despite:
        comment = "; ".join(text for text in (comment, f"not ready, and promoted because: {despite}") if text)
    table["mode"] = mode
    if comment:
        table["mode"].comment(comment)
        table["mode"].trivia.comment_ws = space or "  "
