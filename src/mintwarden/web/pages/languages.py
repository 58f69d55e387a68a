"""What pages say, by language: flat TOML catalogues, and which of them a reader wants."""

from __future__ import annotations

import tomllib
import unicodedata
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Final

from markupsafe import Markup

from mintwarden.model.errors import ErrorKind, MintwardenError

ENGLISH: Final = "en"
"""Speaks where no other catalogue does."""

_MOST_RANGES = 16
_FROM_THE_RIGHT = frozenset({"R", "AL", "AN"})
_ISOLATE, _END = "\u2068", "\u2069"

Catalogues = Mapping[str, Mapping[str, str]]
"""Language tag to message id to text."""


def read_catalogues(theme: str = "") -> Catalogues:
    """Ours, and those of the theme's folder `languages` laid over them; a new file there is a new language.

    Raises `CONFIG` for a file of the theme that cannot be read or has an id that no page uses.
    """
    ours = resources.files("mintwarden.web.pages").joinpath("languages")
    found = {
        entry.name.removesuffix(".toml"): tomllib.loads(entry.read_text("utf-8"))
        for entry in ours.iterdir()
        if entry.name.endswith(".toml")
    }
    known = found[ENGLISH].keys()
    folder = Path(theme, "languages")
    for path in sorted(folder.glob("*.toml")) if theme and folder.is_dir() else ():
        found[path.stem] = {**found.get(path.stem, {}), **_read(path, known)}
    return {tag.lower(): {**found[ENGLISH], **texts} for tag, texts in found.items()}


def _read(path: Path, known: object) -> Mapping[str, str]:
    try:
        texts = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        raise MintwardenError(ErrorKind.CONFIG, f"the theme's `{path.name}` cannot be read as TOML") from None
    for name, text in texts.items():
        if name not in known or not isinstance(text, str):  # type: ignore[operator]
            raise MintwardenError(ErrorKind.CONFIG, f"the theme's `{path.name}` has `{name}`, which no page says")
    return texts


def choose_language(
    catalogues: Catalogues, *, ui_locales: Sequence[str] = (), accept_language: str = "", default: str = ENGLISH
) -> str:
    """The first language of `ui_locales`, then of `Accept-Language`, that there is a catalogue of.

    RFC 4647 section 3.4 (lookup): `de-AT` is served by `de`.
    """
    for wanted in (*ui_locales[:_MOST_RANGES], *_ranges(accept_language)):
        tag = wanted.lower()
        while tag:
            if tag in catalogues:
                return tag
            tag = tag.rpartition("-")[0]
    return default.lower() if default.lower() in catalogues else ENGLISH


def _ranges(header: str) -> list[str]:
    """The language ranges of an `Accept-Language` header, most wanted first (RFC 9110 section 12.5.4)."""
    weighed = []
    for position, part in enumerate(header[:1_000].split(",")[:_MOST_RANGES]):
        tag, _, weight = part.strip().partition(";")
        try:
            quality = float(weight.strip().removeprefix("q=")) if weight else 1.0
        except ValueError:
            continue
        if tag.strip() and 0 < quality <= 1:
            weighed.append((-quality, position, tag.strip()))
    return [tag for _, _, tag in sorted(weighed)]


def told(texts: Mapping[str, str], name: str, values: Mapping[str, object]) -> Markup:
    """A message with its values put in, all of them escaped, and none of them reaching into the order of its words."""
    return Markup.escape(texts[name]).format(**{key: apart(value) for key, value in values.items()})


def apart(value: object) -> object:
    """A text that is written from the right, so that what stands around it stays in its order (UAX 9, isolates).

    A name of Hebrew letters drew a number behind it before itself.
    """
    if isinstance(value, str) and any(unicodedata.bidirectional(character) in _FROM_THE_RIGHT for character in value):
        return type(value)(f"{_ISOLATE}{value}{_END}")
    return value
