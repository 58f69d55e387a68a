"""The people of a copied bundle get keys that somebody has."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mintwarden.app.demo.approvers import give_keys
from mintwarden.app.demo.stage import meridian
from mintwarden.app.signing import owner_of, public_half
from mintwarden.app.word import Moment, lay_beside, read_candidate, sign, statement_of
from mintwarden.policy.bundle.load import load_bundle
from tests.unit.policy.approve.signing import AT, KEYGEN


@pytest.mark.parametrize("ssh", [False, pytest.param(True, marks=pytest.mark.skipif(
    KEYGEN is None, reason="explained: OpenSSH's client is not installed"))])  # fmt: skip
def test_everybody_can_sign_for_the_copy(tmp_path: Path, ssh: bool) -> None:
    bundle = tmp_path / "meridian"
    shutil.copytree(meridian(), bundle)
    files = give_keys(bundle, tmp_path / "keys", ssh=ssh)
    loaded = load_bundle(bundle)
    assert set(files) == {one.name for one in (*loaded.approvals.approvers, *loaded.approvals.authors)}
    for name, file in files.items():
        assert owner_of(public_half(file), loaded.approvals) == name
        assert file.stat().st_mode & 0o077 == 0
    candidate = read_candidate(bundle)
    name, file = next(iter(files.items()))
    one = sign(statement_of(candidate, "author", name, Moment("", 0), AT), file, by=loaded)
    lay_beside(one, bundle)
    assert read_candidate(bundle).signatures == (one,)
    assert load_bundle(bundle).digest == loaded.digest
