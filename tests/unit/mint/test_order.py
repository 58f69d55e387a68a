"""The type checker refuses the wrong order: each line below is one mistake, and each is found."""

from __future__ import annotations

from pathlib import Path

from mypy import api

from tools.findings import ROOT

SNIPPET = """
from mintwarden.mint.prepare import prepare
from mintwarden.mint.sign import sign
from mintwarden.mint.ports import Signer
from mintwarden.model.asked import Asked
from mintwarden.model.catalogue import Audience, Client
from mintwarden.model.decision import Decision
from mintwarden.model.token import PreparedToken, Receipt, SignedToken

async def line(
    decision: Decision, asked: Asked, client: Client, audience: Audience,
    prepared: PreparedToken, receipt: Receipt, signer: Signer, maybe: Receipt | None,
) -> None:
    right: SignedToken = await sign(prepared, receipt, signer)  # right
    await sign(prepared, signer=signer)  # wrong: without a receipt
    await sign(prepared, None, signer)  # wrong: without a receipt, said aloud
    await sign(prepared, maybe, signer)  # wrong: a receipt that may not be there
    await sign(prepared, prepared.digest, signer)  # wrong: the digest instead of the receipt
    await sign(decision, receipt, signer)  # wrong: a decision that nobody prepared
    await sign(receipt, prepared, signer)  # wrong: the two exchanged
    await sign(right, receipt, signer)  # wrong: signing what is signed
    prepare(asked, decision, client, audience, issuer="", key=signer, now=0, decision_id="")  # wrong: not decided yet
    prepare(None, asked, client, audience, issuer="", key=signer, now=0, decision_id="")  # wrong: without a decision
    prepared.payload = b""  # wrong: changed after it was recorded
    receipt.prepared = prepared.digest  # wrong: a receipt bent to fit
"""


def test_the_wrong_order_does_not_type_check(tmp_path: Path):
    file = tmp_path / "snippet.py"
    file.write_text(SNIPPET)
    options = ["--strict", "--python-version=3.11", "--follow-imports=silent", "--no-error-summary", "--config-file="]
    out, err, code = api.run([*options, f"--cache-dir={tmp_path}", str(file)])
    lines = SNIPPET.splitlines()
    expected = {number for number, line in enumerate(lines, 1) if "# wrong" in line}
    found = {int(line.split(":")[1]) for line in out.splitlines() if ": error:" in line}
    assert (code, err) == (1, ""), out + err
    assert found == expected, out
    assert (ROOT / "src/mintwarden/py.typed").exists()
