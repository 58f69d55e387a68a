"""`docs/token.md` lists every member of header and payload that we ever emit, and no other."""

from __future__ import annotations

import json
import re

from mintwarden.authn.jose import decode_segment
from mintwarden.issue.grants import GRANTS
from mintwarden.mint.prepare import CONFINES, LEDGER_CLAIM, PROTOCOL_CLAIMS
from mintwarden.mint.sign import sign
from mintwarden.model.asked import Parent
from mintwarden.model.budget import Budget
from mintwarden.model.caller import Binding
from mintwarden.model.decision import ScopeDecision
from mintwarden.model.detail import Detail
from mintwarden.model.values import EntityUid
from tests.docs.pages import prose
from tests.unit.mint.sample import NOW, SIGNER, asked, decision, prepared, receipt
from tools.findings import ROOT

PAGE = ROOT / "docs" / "token.md"
EVERYTHING = {
    "decision": decision(
        actors=(EntityUid("Agent", "a"), EntityUid("Workload", "w")), binding=Binding(kind="dpop", thumbprint="x"),
        details=(ScopeDecision(scope="t", granted=True),),
    ),
    "asked": asked(
        parent=Parent(token_id="t", scopes=None, expires_at=NOW, may_act=(EntityUid("Agent", "a"),)),
        authenticated_at=NOW, acr="phr", amr=("pwd",), session="s", device="d", grant_id="g", budget=Budget(amount=5), max_depth=1, lineage=("t",), status=(0, 1),
        details=(Detail(type="t"),),
        **{name: name for name in CONFINES}
    ),
}  # fmt: skip


def names(heading: str) -> set[str]:
    """The names in the first column of the table under a heading."""
    section = prose(PAGE).partition(f"## {heading}\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| ([^|]+) \|", section, flags=re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


async def test_every_claim_is_listed_with_its_source_and_no_other():
    token = prepared(**EVERYTHING)
    signed = await sign(token, receipt(token), SIGNER)
    header, payload, _ = signed.compact.split(".")
    always, sometimes = (
        names("Claims that are always there"),
        names("Claims that are there when they have something to say"),
    )
    assert always | sometimes == _members(payload)
    assert names("Header") == _members(header)
    plain = prepared()
    assert always == _members((await sign(plain, receipt(plain), SIGNER)).compact.split(".")[1])


def test_every_parameter_is_listed_and_no_other():
    authentication = {"client_id", "client_secret", "client_assertion", "client_assertion_type"}
    section = prose(PAGE).partition("## Asking for one\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]+) \|", section, flags=re.MULTILINE)
    listed = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    assert listed == {name for grant in GRANTS for name in grant.parameters} | authentication


WITH = {
    "own": "client_credentials",
    "code": "authorization_code",
    "refresh": "refresh_token",
    "device": "device_code",
    "CIBA": "ciba",
    "exchange": "token_exchange",
    "JWT bearer": "jwt_bearer",
}
"""How the table calls a grant."""


def test_every_parameter_is_listed_with_the_grants_that_read_it():
    section = prose(PAGE).partition("## Asking for one\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]+) \| ([^|]+) \|", section, flags=re.MULTILINE)
    told = {
        name: set(WITH) if cell == "all" else set(cell.split(", "))
        for names, cell in rows
        if cell != "as needed"
        for name in re.findall(r"`(\w+)`", names)
    }
    reads = {grant.name: grant.parameters for grant in GRANTS}
    assert set(WITH.values()) == reads.keys()
    assert told == {name: {word for word, grant in WITH.items() if name in reads[grant]} for name in told}


def test_no_derived_claim_takes_a_listed_name():
    listed = names("Claims that are always there") | names("Claims that are there when they have something to say")
    assert listed - set(CONFINES) <= PROTOCOL_CLAIMS
    assert LEDGER_CLAIM in listed


def _members(segment: str) -> set[str]:
    return set(json.loads(decode_segment(segment.encode())))
