"""What commands about versions stand on: the version that is meant, and what governs, from the store or as told."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from mintwarden.app.acting import versions_of
from mintwarden.app.clock import SystemClock
from mintwarden.app.config import Config, load_config
from mintwarden.app.foundation import Foundation, foundation
from mintwarden.app.word import Candidate, read_candidate
from mintwarden.govern.content import built, texts_of
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.policy.bundle.model import Bundle


class Desk(Struct, frozen=True, kw_only=True):
    """Attributes:
    candidate: the version that is meant.
    base, after: what governs, as signatures must say.
    authority: the version whose people count; None before the first, and when the store is not asked.
    foundation: the opened deployment; None when the store is not asked.
    now: `Millis`.
    """

    candidate: Candidate
    base: str
    after: int
    authority: Bundle | None
    foundation: Foundation | None
    now: int

    async def texts(self) -> Mapping[str, str]:
        """The texts of a version that is in the store."""
        if self.foundation is None:
            return self.candidate.texts
        stored = await self.foundation.store.versions.version(self.candidate.bundle.digest)
        return texts_of(stored.content) if stored is not None else self.candidate.texts


@contextlib.asynccontextmanager
async def opened(config: Path, target: str, base: str = "") -> AsyncIterator[Desk]:
    """The version `target` (a folder, a digest, `active` or a digest's beginning) and what governs.

    `base` (`<digest>@<number>` or `none`) stands for the store, which is then left alone. Raises `NOT_FOUND`,
    `INVALID_REQUEST`, `BundleRefused` and what keeps a deployment from being opened.
    """
    if base:
        digest, number = _told(base)
        candidate = read_candidate(Path(target))
        yield Desk(
            candidate=candidate, base=digest, after=number, authority=None, foundation=None, now=SystemClock().now()
        )
        return
    folder = _folder(target)
    async with at_store(load_config(config), folder) as found:
        state = await versions_of(found).state(found.clock.now())
        candidate = read_candidate(folder) if folder is not None else await _stored(found, target)
        yield Desk(
            candidate=candidate,
            base=state.base,
            after=state.after,
            authority=state.authority,
            foundation=found,
            now=found.clock.now(),
        )


@contextlib.asynccontextmanager
async def at_store(config: Config, folder: Path | None = None) -> AsyncIterator[Foundation]:
    """The deployment. Before the first activation it is described by `folder`, the version that is to be the first."""
    if folder is not None:
        config = replace(config, bundle=replace(config.bundle, path=str(folder)))
    create = config.store.url.startswith("sqlite:") or config.server.dev
    async with foundation(config, create=create) as found:
        yield found


def _folder(target: str) -> Path | None:
    path = Path(target)
    return path if path.is_dir() else None


async def full_digest(base: Foundation, text: str) -> str:
    """The digest that `text` means: itself, its beginning (8 characters or more), or `active`. Raises `NOT_FOUND`."""
    if text == "active":
        active = await base.store.versions.active()
        if active is not None:
            return active.digest
        raise MintwardenError(ErrorKind.NOT_FOUND, "no version was activated yet", hint="see docs/versions.md")
    wanted = text if text.startswith("sha256:") else f"sha256:{text}"
    names = [one.digest for one in await base.store.versions.versions(1_000)]
    found = [name for name in names if name == wanted or (len(wanted) >= 15 and name.startswith(wanted))]
    if len(found) == 1:
        return found[0]
    what = "there is no version" if not found else f"there are {len(found)} versions"
    raise MintwardenError(ErrorKind.NOT_FOUND, f"{what} `{text}`", hint="name a folder, or see `policy history`")


async def _stored(base: Foundation, target: str) -> Candidate:
    digest = await full_digest(base, target)
    stored = await base.store.versions.version(digest)
    if stored is None:
        raise MintwardenError(ErrorKind.NOT_FOUND, f"there is no version `{target}`", hint="see `policy history`")
    return Candidate(bundle=built(stored), texts=texts_of(stored.content), signatures=(), folder=None)


def _told(base: str) -> tuple[str, int]:
    if base == "none":
        return "", 0
    digest, separator, number = base.partition("@")
    if not separator or not digest.startswith("sha256:") or not number.isdecimal():
        raise MintwardenError(
            ErrorKind.INVALID_REQUEST,
            f"`{base}` is not what governs",
            hint="write `<digest>@<activation>` as `policy show active` says it, or `none` before the first",
        )
    return digest, int(number)
