"""The starter bundle loads; the loader's answer is complete."""

from __future__ import annotations

from pathlib import Path

import cedarpy

from mintwarden.policy.bundle.load import load_bundle

STARTER = Path(__file__).parents[4] / "src/mintwarden/app/starter/bundle"


def test_the_starter_bundle_loads():
    bundle = load_bundle(STARTER)
    assert bundle.digest.startswith("sha256:")
    assert set(bundle.catalogue.scopes) == {"orders:read", "orders:write"}
    assert list(bundle.derivations) == ["can_write"]
    assert len(bundle.scenarios) == 4


def test_the_schema_is_one_that_cedar_takes():
    cedarpy.Schema.from_str(load_bundle(STARTER).schema)
