"""The texts of a bundle by a name: a folder, a commit, or a version that the store keeps."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from shutil import which
from typing import Protocol

from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.policy.bundle.problem import Problems
from mintwarden.policy.bundle.read import MAX_BUNDLE, MAX_FILE, MAX_FILES, read_bundle

ACTIVE = "active"
GIT = "git:"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PATIENCE = 60
"""Seconds that git may take."""
_FILES = ("100644", "100755")


class VersionTexts(Protocol):
    """Where bundle versions are kept."""

    def texts(self, name: str) -> Mapping[str, str]:
        """The texts of the version `active`, or of a digest; raises `INVALID_REQUEST` when there is none."""
        ...


def texts_named(name: str, versions: VersionTexts | None = None) -> Mapping[str, str]:
    """The texts by path of a bundle: `<folder>`, `git:<revision>[:<path>]`, `active` or `sha256:<hex>`.

    The last two are asked of `versions`. Raises `INVALID_REQUEST` for a name that names nothing, `BundleRefused` for
    what is no bundle.
    """
    if name.startswith(GIT):
        return _from_git(name.removeprefix(GIT))
    if name == ACTIVE or _DIGEST.fullmatch(name):
        if versions is None:
            raise _refused(f"`{name}` is looked for in a store", "say which: `--config mintwarden.toml`")
        return versions.texts(name)
    return _from_folder(Path(name))


def _from_folder(folder: Path) -> Mapping[str, str]:
    problems = Problems()
    texts = read_bundle(folder, problems)
    problems.refuse_if_any()
    return texts


# -- from a commit ----------------------------------------------------------------------------------------------------


def _from_git(name: str) -> Mapping[str, str]:
    """The files of a commit as they are in it: no filter, no attribute, and nothing of the working tree."""
    revision, _, path = name.partition(":")
    tree = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}:{path}")
    if not revision or not tree:
        raise MintwardenError(
            ErrorKind.INVALID_REQUEST,
            f"`{GIT}{name}` is no folder of a commit",
            hint="write `git:<revision>:<path in the repository>`, in a clone that has the revision",
        )
    entries = _entries(name, tree.decode().strip())
    with tempfile.TemporaryDirectory(prefix="mintwarden-") as folder:
        root = Path(folder)
        for file, content in zip(entries, _contents(list(entries.values())), strict=True):
            place = root / file
            try:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content)
            except (OSError, ValueError):  # a file where a folder should be, a name that is too long
                raise _refused(f"`{GIT}{name}`: a file of it cannot be laid out", "check the repository") from None
        return _from_folder(root)


def _entries(name: str, tree: str) -> dict[str, str]:
    """The object of each file below a tree."""
    listed = _git("ls-tree", "-r", "-z", "-l", "--full-tree", tree)
    found: dict[str, str] = {}
    total = 0
    for line in filter(None, (listed or b"").split(b"\0")):
        about, _, raw = line.partition(b"\t")
        mode, _, oid, size = about.decode().split()
        file = raw.decode("utf-8", "surrogateescape")
        # INVARIANT: nothing is written outside the folder: git lists the names of a tree as they are, `/etc/x` too.
        if mode not in _FILES or "\\" in file or not {"", ".", ".."}.isdisjoint(file.split("/")):
            raise _refused(f"`{GIT}{name}`: `{file}` is not a regular file", "put the file itself there")
        total += min(int(size), MAX_FILE + 1)
        if total > MAX_BUNDLE or len(found) >= MAX_FILES or int(size) > MAX_FILE:
            raise _refused(f"`{GIT}{name}` is larger than a bundle may be", "name the folder of the bundle")
        found[file] = oid
    if not found:
        raise _refused(f"`{GIT}{name}` holds no files", "name the folder of the bundle")
    return found


def _contents(oids: list[str]) -> list[bytes]:
    told = _git("cat-file", "--batch", stdin="".join(f"{oid}\n" for oid in oids).encode()) or b""
    found, at = [], 0
    for oid in oids:
        end = told.index(b"\n", at)
        known, kind, size = told[at:end].decode().split()
        if known != oid or kind != "blob":
            raise _refused("git told of another object than it was asked for", "check the repository: `git fsck`")
        found.append(told[end + 1 : end + 1 + int(size)])
        at = end + 1 + int(size) + 1
    return found


def _git(*arguments: str, stdin: bytes = b"") -> bytes | None:
    """What git prints; None when it says no. Always a list of words, never a shell."""
    try:
        done = subprocess.run(  # noqa: S603 - the words are checked by git, after `--end-of-options`
            [which("git") or "git", "--no-pager", *arguments],
            input=stdin,
            capture_output=True,
            timeout=_PATIENCE,
            check=False,
        )
    except FileNotFoundError:
        raise _refused("there is no git on this machine", "install it, or name folders") from None
    except subprocess.TimeoutExpired:
        raise MintwardenError(
            ErrorKind.UNAVAILABLE, f"git did not answer in {_PATIENCE} seconds", hint="try again"
        ) from None
    return done.stdout if done.returncode == 0 else None


def _refused(what: str, remedy: str) -> MintwardenError:
    return MintwardenError(ErrorKind.INVALID_REQUEST, what, hint=remedy)
