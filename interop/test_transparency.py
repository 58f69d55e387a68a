"""aics-tlog verifies our checkpoint, tiles and proofs over HTTP; aics-witness cosigns our log."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from interop.conftest import Witness
from interop.deployment import Deployment, awaited, claims_of, decoded, run

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("aics_tlog") is None, reason="explained: aics-tlog needs Python 3.12"
)


@pytest.fixture
def tlog(deployment: Deployment) -> list[str]:
    """What every call of aics-tlog is told: the log's key and name, and where its tiles are."""
    origin = deployment.issuer.removeprefix("http://")
    return ["--log-key", deployment.vkey(), "--origin", origin, "--tiles", f"{deployment.issuer}/ledger"]


def test_a_checkpoint_verifies(deployment: Deployment, tlog: list[str]):
    deployment.checkpoint()
    run("aics-tlog", "verify-checkpoint", *tlog)


def test_a_checkpoint_under_another_key_does_not(deployment: Deployment, tlog: list[str]):
    deployment.checkpoint()
    vkey = tlog[1]
    other = vkey[:-4] + ("AAAA" if not vkey.endswith("AAAA") else "BBBB")
    with pytest.raises(AssertionError, match="aics-tlog"):
        run("aics-tlog", "verify-checkpoint", tlog[0], other, *tlog[2:])


def test_the_leaf_in_a_token_is_in_the_log(deployment: Deployment, tlog: list[str], tmp_path: Path):
    """From the token alone: its leaf hash is found and proven by somebody else's tool, over HTTP."""
    before, _ = deployment.checkpoint()
    leaves = {decoded(claims_of(deployment.token("ES256")["access_token"])["ledger_leaf"]) for _ in range(5)}
    size = awaited(lambda: (s := deployment.checkpoint(beyond=before)[0]) >= before + 5 and s, "five more entries")
    tile = b"".join(_tile(deployment, size))
    found = [index for index in range(size) if tile[32 * index : 32 * index + 32] in leaves]
    assert len(found) == 5
    for index in found:
        entry = tmp_path / f"entry-{index}"
        leaf = tile[32 * index : 32 * index + 32].hex()
        run(
            "aics-tlog",
            "verify-inclusion",
            *tlog,
            "--leaf-hash",
            leaf,
            "--index",
            str(index),
            "--entry-out",
            str(entry),
        )
        assert b'"decision"' in entry.read_bytes()
    wrong = bytes(32).hex()
    with pytest.raises(AssertionError, match="aics-tlog"):
        run("aics-tlog", "verify-inclusion", *tlog, "--leaf-hash", wrong, "--index", str(found[0]))


def _tile(deployment: Deployment, size: int) -> list[bytes]:
    """Every leaf hash of a log of `size` entries."""
    whole, rest = divmod(size, 256)
    paths = [f"{n:03d}" for n in range(whole)] + ([f"{whole:03d}.p/{rest}"] if rest else [])
    return [deployment.get(f"/ledger/tile/0/{path}") for path in paths]


def test_the_log_only_grows(deployment: Deployment, tlog: list[str], tmp_path: Path):
    size, note = deployment.checkpoint()
    old = tmp_path / "old"
    old.write_bytes(note)
    deployment.token("ES256")
    deployment.checkpoint(beyond=size)
    run("aics-tlog", "verify-consistency", *tlog, "--old-checkpoint", str(old))


def test_a_proof_file_verifies_with_another_tool(deployment: Deployment, tlog: list[str], tmp_path: Path):
    """`mintwarden ledger prove` writes it; the other tool needs nothing else but the log's key."""
    size, _ = deployment.checkpoint()
    decision = claims_of(deployment.token("ES256")["access_token"])["jti"]
    deployment.checkpoint(beyond=size)
    proof = tmp_path / "proof.json"
    config = str(deployment.folder / "mintwarden.toml")
    run("mintwarden", "ledger", "prove", "--config", config, "--output", str(proof), decision)
    run("aics-tlog", "verify-bundle", "--offline", "--bundle", str(proof), *tlog[:4])


def test_a_witness_cosigns(watched: Deployment, witness: Witness, tlog: list[str]):
    """The witness checks signature and consistency itself before it cosigns."""
    for _ in range(3):
        size, _ = watched.checkpoint()
        watched.token("ES256")
        watched.checkpoint(beyond=size)
    name = f"— {witness.name} ".encode()
    awaited(lambda: name in watched.get("/ledger/checkpoint"), "a cosignature")
    run("aics-tlog", "verify-checkpoint", *tlog, "--witness-key", witness.vkey, "--quorum", "1")
    assert watched.issuer.removeprefix("http://") in run("aics-witness", "status", folder=witness.folder)
