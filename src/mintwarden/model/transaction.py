"""A transaction within a trust domain: what a transaction token carries along unchanged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct


class Transaction(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """draft-ietf-oauth-transaction-tokens.

    Attributes:
        id: `txn`, the same in every token of the transaction; empty while there is none yet.
        details: `tctx`: what the transaction is about; nobody changes it.
        context: `rctx`: the circumstances in which it was begun.
    """

    id: str = ""
    details: Mapping[str, Any] = {}
    context: Mapping[str, Any] = {}
