"""How much may be done with a token, and from what that was taken."""

from __future__ import annotations

from msgspec import Struct


class Budget(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A number of calls, or an amount in its smallest unit: what it counts, whoever set it up knows.

    Attributes:
        amount: what the token carries (`budget`); its resource server counts it down.
        pool: the token or the person's grant that it is taken from, or empty where it begins here.
        of: how much the pool holds in all.
    """

    amount: int
    pool: str = ""
    of: int = 0
