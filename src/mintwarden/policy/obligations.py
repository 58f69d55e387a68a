"""What a route demands beyond its conditions: read from a rule's annotations, checked against what was asked."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from mintwarden.model.asked import Asked
from mintwarden.model.decision import Obligation
from mintwarden.model.values import Entity

DEMANDS = (
    "require_binding",
    "require_acr",
    "require_amr",
    "require_auth_age",
    "require_purpose",
    "require_approval",
)
"""Annotations that a route's holder must meet, in the order in which a challenge names them."""

BOUNDS = ("max_ttl",)
"""Annotations that bound the lifetime of what a route grants."""

AHEAD = 60_000
"""Milliseconds that the clock of whoever signed the subject in may run ahead of ours."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Terms(Struct, frozen=True):
    """A rule's obligations. `max_ttl` in seconds, or None for no bound of its own."""

    max_ttl: int | None
    demands: tuple[Obligation, ...]


def seconds_of(text: str) -> int:
    """Whole seconds of a duration such as `300s`, `15m`, `1h` or `2d`; raises `ValueError` for anything else."""
    number, unit = text[:-1], text[-1:]
    if unit not in _UNITS or not (number.isascii() and number.isdigit()) or len(number) > 9:
        raise ValueError(f"`{text}` is not a duration such as `300s`, `15m`, `1h` or `2d`")
    return int(number) * _UNITS[unit]


def terms_of(annotations: Mapping[str, str]) -> Terms:
    """The obligations among a rule's annotations; raises `ValueError` for a value that cannot be read."""
    ttl = seconds_of(annotations["max_ttl"]) if "max_ttl" in annotations else None
    demands = tuple(Obligation(name, annotations[name]) for name in DEMANDS if name in annotations)
    for demand in demands:
        if demand.name == "require_auth_age":
            seconds_of(demand.value)
        if demand.name == "require_binding" and demand.value not in ("dpop", "mtls", "any"):
            raise ValueError(f"`{demand.value}` is not a binding: `dpop`, `mtls` or `any`")
    return Terms(ttl, demands)


def is_met(demand: Obligation, asked: Asked, principal: Entity, scope: str, now: int) -> bool:
    """Whether `demand` is met for `scope` at `now`. Unknown demands are never met."""
    match demand.name:
        case "require_binding":
            return asked.binding is not None and demand.value in ("any", asked.binding.kind)
        case "require_acr":
            return asked.acr != "" and asked.acr in demand.value.split()
        case "require_amr":
            return all(method in asked.amr for method in demand.value.split())
        case "require_auth_age":
            if asked.authenticated_at is None:
                return False
            # A sign-in of the future is none: an issuer whose clock runs ahead would otherwise make it fresh for long.
            return -AHEAD <= now - asked.authenticated_at <= seconds_of(demand.value) * 1000
        case "require_purpose":
            return asked.purpose != "" and asked.purpose in demand.value.split()
        case "require_approval":
            approvals = principal.attrs.get("approvals")
            return isinstance(approvals, frozenset) and f"{demand.value}:{scope}" in approvals
        case _:
            return False
