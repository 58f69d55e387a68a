"""What is wrong with a bundle: every finding at once, each with its place and its remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from msgspec import Struct

from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.policy.bundle.positions import Path, locate

WHOLE_BUNDLE = ""
"""The file of a problem that belongs to no single file."""

_MOST = 200
_LONGEST_QUOTE = 80
_FEW = 12
_MANY = 500


class Problem(Struct, frozen=True, order=True):
    """One finding.

    Attributes:
        file: path inside the bundle with `/`, or empty for the bundle as a whole.
        line, column: from 1; 0 when the finding belongs to the whole file.
        message: what is wrong, one line.
        remedy: what to do about it, one line.
    """

    file: str
    line: int
    column: int
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        where = self.file or "bundle"
        if self.line:
            where = f"{where}:{self.line}:{self.column}"
        return f"{where}: {self.message}"


class BundleRefused(MintwardenError):
    """The bundle cannot be used. `problems` says everything that is wrong with it, in order of file and line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        found = tuple(sorted(set(problems)))
        first = str(found[0]) if found else "the bundle is refused"
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        super().__init__(ErrorKind.BUNDLE, f"{first}{more}", hint=found[0].remedy if found else "")
        self.problems = found


class Place(Struct, frozen=True):
    """A value inside a TOML file: the keys and indices that lead to it. `is_key`: the last key itself is meant."""

    file: str
    path: Path = ()
    is_key: bool = False

    def at(self, *steps: str | int) -> Place:
        """The place of something inside this one."""
        return Place(self.file, (*self.path, *steps))

    def key(self) -> Place:
        """The key that leads here, rather than the value."""
        return Place(self.file, self.path, is_key=True)


class Problems:
    """Collects findings while a bundle is read. Positions are looked up only when somebody asks for them."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._placed: list[tuple[Place, str, str, bool]] = []
        self._found: list[Problem] = []
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._placed) + len(self._found) + self.dropped

    @property
    def is_full(self) -> bool:
        """Further findings are only counted."""
        return len(self) >= _MOST

    def know(self, file: str, text: str) -> None:
        """Remember a TOML file's text, for positions."""
        self._texts[file] = text

    def knows(self, file: str) -> bool:
        """Whether the text of a file has come this far, also where nothing could be made of it."""
        return file in self._texts

    def add(self, place: Place, message: str, remedy: str = "", *, key: bool = False) -> None:
        """Something is wrong at `place`: with its value or, if `key`, with the key itself."""
        if self.is_full:
            self.dropped += 1
        else:
            self._placed.append((place, message, remedy, key or place.is_key))

    def put(self, file: str, line: int, column: int, message: str, remedy: str = "", *, always: bool = False) -> None:
        """Something is wrong at a known position; `always`: so much that it is told whatever else is."""
        if self.is_full and not always:
            self.dropped += 1
        else:
            self._found.append(Problem(file, line, column, message, remedy))

    def near(self, wrong: object, known: Iterable[str], otherwise: str = "") -> str:
        """`did_you_mean` while findings are still taken: a flood of them must not be slow."""
        return otherwise if self.is_full else did_you_mean(wrong, known, otherwise)

    def all(self) -> tuple[Problem, ...]:
        """Every finding with its position, in order of file and line."""
        wanted: dict[str, list[tuple[Place, str, str, bool]]] = {}
        for entry in self._placed:
            wanted.setdefault(entry[0].file, []).append(entry)
        found = list(self._found)
        for file, entries in wanted.items():
            positions = locate(self._texts.get(file, ""))
            for place, message, remedy, key in entries:
                line, column = _position(positions, place.path, key=key)
                found.append(Problem(file, line, column, message, remedy))
        if self.dropped:
            found.append(Problem(WHOLE_BUNDLE, 0, 0, f"{self.dropped} more problems are not shown"))
        return tuple(sorted(set(found)))

    def refuse_if_any(self) -> None:
        """Raise `BundleRefused` when anything was found."""
        if len(self):
            raise BundleRefused(self.all())


def _position(positions: Mapping[tuple[Path, bool], tuple[int, int]], path: Path, *, key: bool) -> tuple[int, int]:
    """The nearest known position: a missing key is reported at the table that should have it."""
    for end in range(len(path), 0, -1):
        for kind in (key, not key):
            found = positions.get((path[:end], kind))
            if found is not None:
                return found
    return (1, 1) if positions else (0, 0)


def quote(value: object) -> str:
    """`value` in backticks, shortened and on one line."""
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(value))
    return f"`{text}`" if len(text) <= _LONGEST_QUOTE else f"`{text[:_LONGEST_QUOTE]}...`"


def so_many(number: int, one: str, several: str) -> str:
    """`1 approval is`, `2 approvals are`: a number and its words; none of something is several."""
    return f"{number} {one if number == 1 else several}"


def did_you_mean(wrong: object, known: Iterable[str], otherwise: str = "") -> str:
    """A remedy: the nearest known word, else the known ones when they are few, and `otherwise`."""
    words = sorted(set(known))
    text = str(wrong)[:_LONGEST_QUOTE]
    likely = words
    if len(words) > _MANY:
        likely = [word for word in words if word[:1] == text[:1] and abs(len(word) - len(text)) <= 3][:_MANY]
    near = difflib.get_close_matches(text, likely, n=1, cutoff=0.6)
    if near:
        return f"did you mean `{near[0]}`?"
    if not 0 < len(words) <= _FEW:
        return otherwise
    listed = f"known are {', '.join(f'`{word}`' for word in words)}"
    return f"{listed}; or {otherwise}" if otherwise else listed
