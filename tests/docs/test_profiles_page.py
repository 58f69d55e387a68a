"""`docs/profiles.md` and `docs/standards.md` say what the table in the code says; a test is named for every case."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mintwarden.model.profiles import PROFILES, Profile, ProfileName
from mintwarden.policy.bundle.clients import ALGORITHMS, METHODS
from tests.flow import test_fapi2
from tests.flow.fapi import ABOUT, MODULES, VARIANTS
from tools.findings import ROOT

TEXT = (ROOT / "docs/profiles.md").read_text(encoding="utf-8")


def _named(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "all"


ROWS: dict[str, Callable[[Profile], str]] = {
    "how clients authenticate": lambda p: _named(p.methods),
    "signatures of clients, and of what we sign for them": lambda p: _named(p.signatures),
    "taken of a client that does not say `algorithms`": lambda p: _named(p.assumed),
    "tokens of an audience that does not say `algorithm`": lambda p: f"`{p.signed_with}`",
    "`aud` of a client assertion": lambda p: (
        "a string, no array" if p.audience_string else "a string or an array of it alone"
    ),
    "authorization requests": lambda p: "pushed" if p.pushed else "",
    "`redirect_uri` in them, even where there is only one": lambda p: "must be said" if p.redirect_stated else "",
    "`nbf` in signed requests": lambda p: "must be said" if p.object_starts else "",
    "`resource` where the audience is chosen": lambda p: "must be said" if p.resource else "",
    "bearer tokens": lambda p: "none" if p.bound else "",
    "refresh tokens are rotated": lambda p: "unless the client says no" if p.rotates else "never",
    "refresh tokens of public clients": lambda p: (
        "rotated or bound" if p.renewals_guarded and "none" in (p.methods or METHODS) else ""
    ),
    "clients that an audience takes": lambda p: "of the same profile" if p.audiences_alike else "all",
}


BY_KEY = {"private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"}
DEMANDS: dict[str, Callable[[Profile], str]] = {
    "RFC 9126, pushed requests": lambda p: "demanded" if p.pushed else "offered",
    "RFC 9449 or RFC 8705, tokens that are bound": lambda p: "demanded" if p.bound else "offered",
    "RFC 7523 or RFC 8705, clients that prove a key": lambda p: (
        "demanded" if p.methods and set(p.methods) <= BY_KEY else "offered"
    ),
    "clients that prove nothing (`none`)": lambda p: "taken" if "none" in (p.methods or METHODS) else "refused",
    "RFC 7523 update, an array for `aud`": lambda p: "refused" if p.audience_string else "taken",
    "RFC 7518, RS256 in what clients sign": lambda p: (
        "taken" if "RS256" in p.assumed else "where it is named" if not p.signatures else "refused"
    ),
    "RFC 8707, `resource`": lambda p: "demanded" if p.resource else "offered",
    "RFC 9101, `nbf` in signed requests": lambda p: "demanded" if p.object_starts else "offered",
    "RFC 9700, rotation of refresh tokens": lambda p: "offered" if p.rotates else "refused",
    "OAuth 2.1, refresh tokens of public clients that are neither rotated nor bound": lambda p: (
        "taken" if not p.renewals_guarded else "refused" if "none" in (p.methods or METHODS) else "no public clients"
    ),
}


def table(heading: str, text: str = TEXT) -> list[list[str]]:
    """The cells of the first table under a heading, without its two head lines."""
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[:1] + lines[2:]]


def test_the_table_is_the_one_in_the_code():
    head, *rows = table("What each tightens")
    assert head == ["", *(f"`{name}`" for name in PROFILES)]
    assert rows == [[label, *(say(profile) for profile in PROFILES.values())] for label, say in ROWS.items()]


def test_the_standards_page_says_by_profile_what_is_demanded():
    head, *rows = table("By profile", (ROOT / "docs/standards.md").read_text(encoding="utf-8"))
    assert head == ["standard", *(f"`{name}`" for name in PROFILES)]
    assert rows == [[label, *(say(profile) for profile in PROFILES.values())] for label, say in DEMANDS.items()]


def test_nothing_in_the_table_goes_without_saying():
    """What a profile can say and no row tells would be a rule that nobody can read about."""
    told = {"standard", "loose"}
    for name in Profile.__struct_fields__:
        if name not in told:
            other: dict[str, Any] = {"methods": ("none",), "signatures": ("ES256",), "assumed": (), "signed_with": "X"}
            base = Profile(standard="")
            value: Any = other.get(name, not getattr(base, name))
            changed = Profile(standard="", **{name: value})
            assert any(say(changed) != say(base) for say in ROWS.values()), name


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_says_what_it_follows(name: ProfileName):
    assert f"| `{name}` | {PROFILES[name].standard} |" in TEXT


def test_what_they_name_is_known():
    for profile in PROFILES.values():
        assert set(profile.methods) <= set(METHODS)
        assert {*profile.signatures, *profile.assumed, profile.signed_with} <= set(ALGORITHMS)


def test_every_module_of_the_suite_has_its_test_or_its_reason():
    section = TEXT.partition("\n## FAPI 2.0, module by module\n")[2]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| `")]
    listed = [name.strip("`") for name, _ in rows]
    assert len(listed) == len(set(listed)) >= 65
    here = [name for name, held in zip(listed, (row[1] for row in rows), strict=True) if "test_fapi2.py" in held]
    assert sorted(here) == sorted(MODULES)
    assert {case.__module__ for case in MODULES.values()} == {test_fapi2.__name__}
    assert all(held.count("](../tests/") or held.startswith("not ") for _, held in rows)
    said = {"private_key_jwt": ", with `private_key_jwt`", "dpop": ", with DPoP"}
    for name, held in ((row[0].strip("`"), row[1]) for row in rows):
        assert [about for about, words in said.items() if held.endswith(words)] == (
            [ABOUT[name]] if name in ABOUT else []
        )
    assert "nothing here is certified" in TEXT


def test_the_variants_are_those_that_the_page_tells():
    assert len(VARIANTS) == 4
    assert "the four variants of the plan" in TEXT
