"""The starter bundle as texts, to be changed and loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mintwarden.policy.bundle.load import build_bundle
from mintwarden.policy.bundle.model import Bundle

STARTER = Path(__file__).parents[3] / "src/mintwarden/app/starter/bundle"


@pytest.fixture
def loaded() -> Callable[..., Bundle]:
    """The starter with (file, old, new) changes; an empty `old` appends, a `None` for `new` replaces all by `old`."""

    def load(*changes: tuple[str, str, str]) -> Bundle:
        texts = {p.relative_to(STARTER).as_posix(): p.read_text() for p in STARTER.rglob("*") if p.is_file()}
        for file, old, new in changes:
            assert old in texts[file], f"{old!r} is not in {file}"
            texts[file] = texts[file].replace(old, new, 1) if old else texts[file] + new
        return build_bundle(texts)

    return load
