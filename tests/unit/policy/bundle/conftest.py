"""The starter bundle as texts, to be changed and loaded, or refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from mintwarden.policy.bundle.load import build_bundle
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.bundle.problem import BundleRefused, Problem

STARTER = Path(__file__).parents[4] / "src/mintwarden/app/starter/bundle"

Change = tuple[str, str, str]
"""File, what to replace in it (empty: append), with what."""


@pytest.fixture(scope="session")
def starter() -> Mapping[str, str]:
    """The starter bundle's texts by path."""
    return {
        path.relative_to(STARTER).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(STARTER.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def changed(starter: Mapping[str, str]) -> Callable[..., dict[str, str]]:
    """The starter's texts with changes; a replaced text must be there, so that no case tests nothing."""

    def change(*changes: Change) -> dict[str, str]:
        texts = dict(starter)
        for file, old, new in changes:
            if old:
                assert old in texts[file], f"{old!r} is not in {file}"
                texts[file] = texts[file].replace(old, new, 1)
            else:
                texts[file] = texts.get(file, "") + new
        return texts

    return change


@pytest.fixture
def loaded(changed: Callable[..., dict[str, str]]) -> Callable[..., Bundle]:
    """The starter with changes, loaded."""
    return lambda *changes: build_bundle(changed(*changes))


@pytest.fixture
def refused(changed: Callable[..., dict[str, str]]) -> Callable[..., tuple[Problem, ...]]:
    """Why the starter with changes is refused."""

    def refuse(*changes: Change) -> tuple[Problem, ...]:
        with pytest.raises(BundleRefused) as caught:
            build_bundle(changed(*changes))
        return caught.value.problems

    return refuse
