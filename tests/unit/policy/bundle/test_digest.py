"""A bundle's digest says what it says, and nothing else."""

from __future__ import annotations

import datetime
import math
import os
import shutil

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from mintwarden.policy.bundle.digest import canonical_json
from mintwarden.policy.bundle.load import build_bundle, load_bundle
from tests.unit.policy.bundle.conftest import STARTER


def test_the_digest_has_a_fixed_form(loaded):
    digest = loaded().digest
    assert digest.startswith("sha256:")
    assert len(digest) == 7 + 64


def test_the_order_of_files_does_not_matter(starter):
    assert build_bundle(dict(reversed(list(starter.items())))).digest == build_bundle(starter).digest


def test_line_ends_do_not_matter(starter):
    windows = {path: text.replace("\n", "\r\n") for path, text in starter.items()}
    assert build_bundle(windows).digest == build_bundle(starter).digest


def test_dates_and_places_do_not_matter(tmp_path):
    copy = tmp_path / "elsewhere"
    shutil.copytree(STARTER, copy)
    for path in copy.rglob("*"):
        os.utime(path, (0, 0))
    assert load_bundle(copy).digest == load_bundle(STARTER).digest


def test_a_readme_beside_it_does_not_matter(tmp_path):
    copy = tmp_path / "b"
    shutil.copytree(STARTER, copy)
    (copy / "README.md").write_text("hello")
    (copy / ".git").mkdir()
    assert load_bundle(copy).digest == load_bundle(STARTER).digest


def test_comments_and_layout_of_toml_do_not_matter(loaded):
    before = loaded().digest
    assert loaded(("sources.toml", "", "\n# a remark\n")).digest == before
    swapped = ("claims.toml", 'type = "bool"\nsource = "request"', 'source = "request"\ntype = "bool"')
    assert loaded(swapped).digest == before


@pytest.mark.parametrize(
    "change",
    [
        ("bundle.toml", "max_actors = 2", "max_actors = 3"),
        ("sources.toml", '"24h"', '"25h"'),
        ("claims.toml", "Whether any", "Whether some"),
        ("audiences/orders.toml", "default = true", "default = false"),
        ("clients/shop-web.toml", "Web shop", "Web Shop"),
        ("issuers/login.toml", 'acr = "acr"', ""),
        ("rules/orders.cedar", ">= 80", ">= 81"),
        ("rules/orders.cedar", "// Who", "// who"),
        ("tests/orders.toml", "score = 91", "score = 92"),
        ("bundle.toml", "[owner]", '[purposes.x]\nmeaning = "y"\n[owner]'),
    ],
)
def test_everything_it_says_matters(change, loaded):
    assert loaded(change).digest != loaded().digest


def test_where_it_says_it_matters(starter):
    moved = {("rules/other.cedar" if path == "rules/orders.cedar" else path): text for path, text in starter.items()}
    assert build_bundle(moved).digest != build_bundle(starter).digest


def test_the_order_of_tiers_matters(starter):
    text = starter["bundle.toml"]
    head, low, high = text.partition("[tiers.low]")[0], text.index("[tiers.low]"), text.index("[tiers.high]")
    swapped = head + text[high:] + "\n" + text[low:high]
    assert build_bundle({**starter, "bundle.toml": swapped}).digest != build_bundle(starter).digest


_JSON = st.recursive(
    st.none().filter(lambda _: False)
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)


@given(_JSON)
def test_canonical_json_is_rfc_8785(value):
    assert canonical_json(value).encode() == rfc8785.dumps(value)


def test_canonical_json_of_what_json_has_not():
    day = datetime.date(2026, 11, 24)
    assert canonical_json({"at": day, "n": math.inf}) == '{"at":{"$time":"2026-11-24"},"n":"inf"}'
    assert canonical_json(2**62) == str(2**62)
    with pytest.raises(TypeError):
        canonical_json(object())
