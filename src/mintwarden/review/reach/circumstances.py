"""The circumstances of a request that a bundle's rules can tell apart, the least demanding first.

Two kinds matter: those that a condition reads, and those that an obligation demands. What neither does is left out,
since no answer depends on it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from mintwarden.context.spelling import read_ip
from mintwarden.review.reach.question import Question
from mintwarden.review.reach.sight import Sight

if TYPE_CHECKING:
    from mintwarden.policy.bundle.model import Bundle

MOST = 4096
"""Most circumstances that are tried; beyond it those that take most are left out, and the answer says so."""
APPROVAL_COST = 3
"""Somebody else has to act for an approval; everything else the caller can do alone."""


class Circumstance(Struct, frozen=True, kw_only=True):
    """How a request might be made.

    Attributes:
        purpose, acr, amr, address: as in `Asked`; empty for none.
        fresh: the subject has just signed in.
        binding: `dpop`, `mtls` or empty.
        approved: every approval that a rule demands has been given.
        cost: how much it takes beyond what the question holds fixed.
        seen: those of its members that conditions read: circumstances alike in it differ in obligations alone.
        signed_in: it says something about a sign-in, which a client that asks for itself has none of.
    """

    purpose: str
    acr: str
    amr: tuple[str, ...]
    fresh: bool
    binding: str
    approved: bool
    address: str
    cost: int
    seen: tuple[Any, ...]
    signed_in: bool


class _Axis(Struct, frozen=True):
    name: str
    values: tuple[Any, ...]
    seen: bool
    cost: int = 1


def circumstances(bundle: Bundle, sight: Sight, question: Question) -> tuple[tuple[Circumstance, ...], int]:
    """Every circumstance worth trying, in the order in which to try them, and how many were left out."""
    axes = _axes(bundle, sight, question)
    found: list[Circumstance] = []
    for values in itertools.islice(itertools.product(*(axis.values for axis in axes)), 4 * MOST):
        given = {axis.name: value for axis, value in zip(axes, values, strict=True)}
        extra = sum(axis.cost for axis, value in zip(axes, values, strict=True) if value != axis.values[0])
        seen = tuple(value for axis, value in zip(axes, values, strict=True) if axis.seen)
        signed_in = any(given[name] != _first(axes, name) for name in ("acr", "amr", "fresh"))
        found.append(Circumstance(**given, cost=extra, seen=seen, signed_in=signed_in))
    found.sort(key=lambda one: one.cost)  # stable: in the order of the axes where the cost is the same
    total = 1
    for axis in axes:
        total *= len(axis.values)
    return tuple(found[:MOST]), total - min(len(found), MOST)


def _first(axes: Sequence[_Axis], name: str) -> Any:
    return next(axis.values[0] for axis in axes if axis.name == name)


def _axes(bundle: Bundle, sight: Sight, question: Question) -> tuple[_Axis, ...]:
    purposes = bundle.catalogue.purposes
    sees = {name: sight.sees(f"context.request.{name}") for name in ("purpose", "acr", "amr", "auth_age", "binding")}
    purpose = [word for word in sight.demanded("require_purpose") if word in purposes]
    acr = sight.demanded("require_acr")
    amr = sight.demanded("require_amr")
    bindings = ["dpop" if word == "any" else word for word in sight.demanded("require_binding")]
    if sees["acr"]:
        acr = sorted({*acr, *sight.words("context.request.acr")})
    if sees["amr"]:
        amr = sorted({*amr, *sight.words("context.request.amr")})
    freshness = sees["auth_age"] or "require_auth_age" in sight.demands
    approvals = "require_approval" in sight.demands
    return (
        _Axis("purpose", _values(question.purpose, sorted(purposes) if sees["purpose"] else purpose), sees["purpose"]),
        _Axis("acr", _values(question.acr, acr), sees["acr"]),
        _Axis("amr", (question.amr,) if question.amr or not amr else ((), tuple(amr)), sees["amr"]),
        _Axis("fresh", (False, True) if freshness else (False,), sees["auth_age"]),
        _Axis(
            "binding", tuple(dict.fromkeys(("", *(["dpop", "mtls"] if sees["binding"] else bindings)))), sees["binding"]
        ),
        _Axis("approved", (False, True) if approvals else (False,), sight.sees("principal.approvals"), APPROVAL_COST),
        _Axis("address", _values(question.address, _hosts(sight)), sees_address(sight)),
    )


def sees_address(sight: Sight) -> bool:
    """Whether a condition may depend on where a request comes from."""
    return sight.sees("context.request.address")


def _values(fixed: str, found: Sequence[str]) -> tuple[str, ...]:
    return (fixed,) if fixed else tuple(dict.fromkeys(("", *found)))


def _hosts(sight: Sight) -> list[str]:
    """An address out of each network that a rule about addresses names."""
    found: list[str] = []
    for network in sight.networks("context.request.address"):
        try:
            found.append(str(read_ip(network).network.network_address))
        except ValueError:  # a rule that cannot be evaluated names no address
            continue
    return list(dict.fromkeys(found))
