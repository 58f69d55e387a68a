"""The one place where `policy` reads files: a bundle's directory as text by path, within fixed limits."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from mintwarden.policy.bundle.problem import WHOLE_BUNDLE, Problems, quote

MAX_FILE = 1024 * 1024
MAX_BUNDLE = 32 * 1024 * 1024
MAX_FILES = 5_000
MAX_ENTRIES = 10_000

TOP_FILES = ("bundle.toml", "claims.toml", "sources.toml")
FOLDERS: Mapping[str, str] = {
    "assertions": ".toml",
    "audiences": ".toml",
    "clients": ".toml",
    "issuers": ".toml",
    "providers": ".toml",
    "rules": ".cedar",
    "tests": ".toml",
    "transmitters": ".toml",
}
"""Folder to the ending of its files; folders inside them are allowed."""

SIGNATURES = "signatures"
MAX_SIGNATURES = 256
MAX_SIGNATURE = 16 * 1024

LEFT_ALONE = frozenset(
    {SIGNATURES, ".git", ".gitattributes", ".github", ".gitignore", ".gitlab-ci.yml", "CHANGELOG.md", "CODEOWNERS",
     "LICENSE", "README.md"}
)  # fmt: skip
"""Beside the bundle's own files at its top: not read, and no part of its digest."""

_MAX_DEPTH = 8
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)


class _TooMuch(Exception):
    """The bundle is beyond its limits; reading stops here."""


def read_bundle(path: Path, problems: Problems) -> Mapping[str, str]:
    """The text of each of the bundle's files by its path inside it (with `/`), line ends as they are.

    What is refused: unknown files and folders, links that lead out of the bundle, anything but files and
    folders, more than `MAX_FILE` bytes in a file or `MAX_BUNDLE` in all, more than `MAX_FILES` files, text that is
    not UTF-8 or holds a NUL. Findings go to `problems`; a file with one is left out. Raises `BundleRefused` where
    `path` is no folder.
    """
    try:
        root = path.resolve(strict=True)
        is_folder = root.is_dir()
    except (OSError, RuntimeError):
        is_folder = False
        root = path
    if not is_folder:
        problems.put(WHOLE_BUNDLE, 0, 0, f"{quote(path)} is not a folder", "name the folder that holds `bundle.toml`")
        problems.refuse_if_any()  # everything else would be missing, too
    return _Reader(root, problems).read()


def check_texts(texts: Mapping[str, str], problems: Problems) -> Mapping[str, str]:
    """Those of `texts` that `read_bundle` could have read; the others are findings.

    INVARIANT: a bundle that comes from anywhere else than a folder, from the network or a store, holds nothing that no
    folder could: no rules where nobody looks for rules, no path that leads elsewhere, no more than fits.
    """
    kept: dict[str, str] = {}
    size = 0
    for file, text in texts.items():
        length = len(text.encode("utf-8", "surrogatepass"))
        size += length
        if not _is_a_place(file):
            problems.put(_shown(file), 0, 0, "not a file of a bundle", "remove or rename it")
        elif not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text):
            problems.put(file, 0, 0, "is not UTF-8", "save it as UTF-8")
        elif "\x00" in text:
            problems.put(file, 0, 0, "holds a NUL character", "remove it")
        elif length > MAX_FILE:
            problems.put(file, 0, 0, f"is larger than {_size(MAX_FILE)}", "split it")
        else:
            kept[file] = text
    if len(texts) > MAX_FILES:
        problems.put(WHOLE_BUNDLE, 0, 0, f"the bundle has more than {MAX_FILES} files", "split the bundle", always=True)
    if size > MAX_BUNDLE:
        most = f"the bundle is larger than {MAX_BUNDLE // (1024 * 1024)} MiB"
        problems.put(WHOLE_BUNDLE, 0, 0, most, "split the bundle", always=True)
    return kept


def _is_a_place(path: str) -> bool:
    """Whether a bundle's own file may stand there."""
    if path in TOP_FILES:
        return True
    first, *folders, name = path.split("/") if "/" in path else ("", path)
    ending = FOLDERS.get(first)
    if ending is None or len(folders) >= _MAX_DEPTH or not name.endswith(ending) or not _NAME.fullmatch(name):
        return False
    return all("." not in folder and _NAME.fullmatch(folder) for folder in folders)


def read_signatures(path: Path, problems: Problems) -> Mapping[str, str]:
    """The text of each file in the bundle's folder `signatures`, by its path inside the bundle; none without one.

    Refused as in `read_bundle`, beside more than `MAX_SIGNATURES` files and more than `MAX_SIGNATURE` bytes in one.
    """
    folder = path / SIGNATURES
    if not os.path.lexists(folder):
        return {}
    try:
        reader = _Reader(path.resolve(strict=True), problems, max_file=MAX_SIGNATURE, max_files=MAX_SIGNATURES)
        reader.signatures(folder)
    except (OSError, RuntimeError):
        problems.put(SIGNATURES, 0, 0, "cannot be read", "remove it if it is a broken or circular link")
        return {}
    except _TooMuch:
        return {}
    return reader.texts


class _Reader:
    def __init__(self, root: Path, problems: Problems, *, max_file: int = MAX_FILE, max_files: int = MAX_FILES) -> None:
        self.root = root
        self.max_file = max_file
        self.max_files = max_files
        self.problems = problems
        self.texts: dict[str, str] = {}
        self.size = 0
        self.entries = 0

    def read(self) -> Mapping[str, str]:
        try:
            for name, entry in self._entries(self.root, ""):
                self._top(name, entry)
        except _TooMuch:
            return {}
        return self.texts

    def signatures(self, folder: Path) -> None:
        self._folder(SIGNATURES, folder, ".sig", _MAX_DEPTH)

    def _entries(self, folder: Path, inside: str) -> Iterator[tuple[str, Path]]:
        try:
            names = sorted(entry.name for entry in folder.iterdir())
        except OSError as error:
            self._refuse(inside, f"cannot be read: {(error.strerror or 'unknown reason').lower()}", "check its rights")
            return
        for name in names:
            self.entries += 1
            if self.entries > MAX_ENTRIES:
                self._stop(f"the bundle has more than {MAX_ENTRIES} files and folders")
            yield name, folder / name

    def _top(self, name: str, entry: Path) -> None:
        if name in LEFT_ALONE:
            return
        if name in TOP_FILES:
            self._file(name, entry)
        elif name in FOLDERS:
            self._folder(name, entry, FOLDERS[name], 1)
        else:
            known = (*TOP_FILES, *FOLDERS)
            self._refuse(name, "not a file or folder of a bundle", self.problems.near(name, known, "remove it"))

    def _folder(self, inside: str, entry: Path, ending: str, depth: int) -> None:
        status = self._status(inside, entry)
        if status is None:
            return
        if not stat.S_ISDIR(status.st_mode):
            self._refuse(inside, "is not a folder", f"make it a folder of `*{ending}` files")
            return
        if depth > _MAX_DEPTH:
            self._refuse(inside, f"folders are nested deeper than {_MAX_DEPTH}", "flatten them")
            return
        for name, below in self._entries(entry, inside):
            path = f"{inside}/{name}"
            if not _NAME.fullmatch(name):
                self._refuse(path, "the name is not letters, digits, `.`, `_` and `-`", "rename it")
            elif name.endswith(ending):
                self._file(path, below)
            elif "." not in name:
                self._folder(path, below, ending, depth + 1)
            else:
                self._refuse(path, f"only `*{ending}` files belong here", "rename or remove it")

    def _status(self, inside: str, entry: Path) -> os.stat_result | None:
        """What the entry is, links followed as long as they stay inside the bundle."""
        try:
            if entry.is_symlink() and not entry.resolve(strict=True).is_relative_to(self.root):
                self._refuse(inside, "is a link that leads out of the bundle", "put the file itself there")
                return None
            return entry.stat()
        except (OSError, RuntimeError):
            self._refuse(inside, "cannot be read", "remove it if it is a broken or circular link")
            return None

    def _file(self, inside: str, entry: Path) -> None:
        status = self._status(inside, entry)
        if status is None:
            return
        if not stat.S_ISREG(status.st_mode):
            self._refuse(inside, "is not a regular file", "put a regular file there")
            return
        if len(self.texts) >= self.max_files:
            self._stop(f"the bundle has more than {self.max_files} files")
        data = self._bytes(inside, entry)
        if data is None:
            return
        self.size += len(data)
        if self.size > MAX_BUNDLE:
            self._stop(f"the bundle is larger than {MAX_BUNDLE // (1024 * 1024)} MiB")
        text = self._text(inside, data)
        if text is not None:
            self.texts[inside] = text

    def _bytes(self, inside: str, entry: Path) -> bytes | None:
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        try:
            with os.fdopen(os.open(entry, flags), "rb") as file:
                # INVARIANT: never more than the limit is read, whatever the file says of its size.
                data = file.read(self.max_file + 1)
        except OSError as error:
            self._refuse(inside, f"cannot be read: {(error.strerror or 'unknown reason').lower()}", "check its rights")
            return None
        if len(data) > self.max_file:
            self._refuse(inside, f"is larger than {_size(self.max_file)}", "split it")
            return None
        return data

    def _text(self, inside: str, data: bytes) -> str | None:
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            before = data[: error.start]
            line = before.count(b"\n") + 1
            column = error.start - (before.rfind(b"\n") + 1) + 1
            self.problems.put(inside, line, column, "is not UTF-8", "save it as UTF-8")
            return None
        if "\x00" in text:
            before_nul = text[: text.index("\x00")]
            column = len(before_nul) - (before_nul.rfind("\n") + 1) + 1
            self.problems.put(inside, before_nul.count("\n") + 1, column, "holds a NUL character", "remove it")
            return None
        return text.removeprefix("\ufeff")

    def _refuse(self, inside: str, message: str, remedy: str) -> None:
        self.problems.put(_shown(inside), 0, 0, message, remedy)

    def _stop(self, message: str) -> None:
        self.problems.put(WHOLE_BUNDLE, 0, 0, message, "split the bundle", always=True)
        raise _TooMuch


def _size(count: int) -> str:
    return f"{count // (1024 * 1024)} MiB" if count >= 1024 * 1024 else f"{count // 1024} KiB"


def _shown(inside: str) -> str:
    """A file name of others' making, safe in a message."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in inside)[:200]
