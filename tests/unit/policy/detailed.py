"""The small company with authorization details: a payment whose amount rules look at, and a statement."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mintwarden.model.detail import Detail, detail_of
from mintwarden.policy.bundle.model import Bundle
from tests.unit.policy.company import BUNDLE, CLIENT, PAYMENTS, RULES, load_company

DETAILS = """
[details."payment"]
meaning = "Start one payment"
tier = "high"
[details."payment".fields]
actions = { type = "set<string>", one_of = ["initiate", "cancel"], required = true }
locations = "set<string>"
amount = { type = "decimal", narrows = "at_most", required = true }
currency = { type = "string", one_of = ["EUR", "USD"], required = true }
parts = { type = "long", narrows = "at_most" }
urgent = "bool"
note = "string"
[details."payment".fields.creditor]
type = "record"
[details."payment".fields.creditor.fields]
name = "string"
account = { type = "string", required = true }

[details."statement"]
meaning = "Read the statements of some accounts"
tier = "low"
[details."statement".fields]
accounts = { type = "set<string>", required = true }
"""

DETAIL_RULES = """
@id("pay") @owner("o") @reason("r") @max_ttl("90s")
permit (principal is User, action == Action::"issue", resource == Detail::"payment")
when { principal in Group::"finance" && context.detail.amount.lessThanOrEqual(decimal("100.0")) };
@id("pay-large") @owner("o") @reason("r") @max_ttl("40s") @require_acr("phr")
permit (principal is User, action == Action::"issue", resource == Detail::"payment")
when {
  principal in Group::"finance" &&
  context.detail.amount.lessThanOrEqual(decimal("1000.0")) && context.detail.currency == "EUR"
};
@id("no-strangers") @owner("o") @reason("r")
forbid (principal, action, resource == Detail::"payment")
when { context.detail has creditor && context.detail.creditor.account like "XX*" };
@id("statements") @owner("o") @reason("r")
permit (principal is User, action == Action::"issue", resource == Detail::"statement");
@id("act-pay") @owner("o") @reason("r") @max_ttl("20s")
permit (principal is Agent, action == Action::"act", resource == Detail::"payment")
when { context.detail.amount.lessThan(decimal("50.0")) };
"""

FILES = {
    "audiences/payments.toml": PAYMENTS + DETAILS,
    "clients/app.toml": CLIENT.replace("[client.ceilings]", 'details = ["payment", "statement"]\n[client.ceilings]'),
}


def load_detailed(root: Path, *, rules: str = RULES + DETAIL_RULES, files: Mapping[str, str] = {}) -> Bundle:
    return load_company(root, rules=rules, files={"bundle.toml": BUNDLE, **FILES, **files})


def payment(amount: str = "10.00", **fields: Any) -> Detail:
    return detail_of({"type": "payment", "actions": ["initiate"], "amount": amount, "currency": "EUR", **fields})


def statement(*accounts: str) -> Detail:
    return detail_of({"type": "statement", "accounts": list(accounts or ("DE01",))})
