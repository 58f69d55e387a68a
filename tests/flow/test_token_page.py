"""The requests of `docs/token.md`, sent as they stand."""

from __future__ import annotations

import time

from tests.docs.pages import blocks
from tests.flow.company import PAYMENTS
from tools.findings import ROOT

FORMS = {block.info[1]: block.lines[0] for block in blocks(ROOT / "docs" / "token.md") if len(block.info) == 2}
HEADERS = {"content-type": "application/x-www-form-urlencoded"}


async def answered(company, client, form):
    return await company.http.post("/token", content=form, headers=HEADERS, auth=(client, company.secrets[client]))


async def test_a_client_asks_for_itself(company):
    answer = await answered(company, "batch", FORMS["client_credentials"])
    assert answer.status_code == 200, answer.text
    assert answer.json()["scope"] == "payments:read"


async def test_a_token_is_exchanged(company):
    form = FORMS["token_exchange"].replace("SUBJECT_TOKEN", company.signed_in("alice", int(time.time())))
    answer = await answered(company, "helper", form)
    assert answer.status_code == 200, answer.text
    assert answer.json()["expires_in"] == 60
    claims = await company.claims(answer.json()["access_token"])
    assert (claims["aud"], claims["sub"], claims["scope"]) == (PAYMENTS, "alice", "payments:read")
