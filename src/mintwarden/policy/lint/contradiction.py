"""Demands that cannot all be met: one value that would have to be two, a number above and below itself.

Sound and incomplete: only what follows from the text and the catalogue alone is called impossible.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cedarpy import pst

from mintwarden.policy.cedar.tree import disjuncts, literal, path_of
from mintwarden.policy.lint.constant import never

Path = tuple[str, ...]
MAX_CASES = 64
_FLIPPED: Mapping[str, str] = {"less": "greater", "less_eq": "greater_eq", "greater": "less", "greater_eq": "less_eq"}
_DENIED: Mapping[str, str] = {
    "eq": "not_eq",
    "not_eq": "eq",
    "less": "greater_eq",
    "less_eq": "greater",
    "greater": "less_eq",
    "greater_eq": "less",
}


def is_impossible(demands: Iterable[pst.Expr], known: Mapping[Path, frozenset[object]]) -> bool:
    """Whether no world meets all `demands` when each path of `known` has one of the values that stand there."""
    return _impossible(tuple(demands), known, MAX_CASES)


def _impossible(demands: tuple[pst.Expr, ...], known: Mapping[Path, frozenset[object]], budget: int) -> bool:
    if any(never(demand) for demand in demands):
        return True
    told = set(demands)
    if any(pst.UnaryOp("not", demand) in told for demand in demands):
        return True
    if _Bounds(known).refute(demands):
        return True
    for index, demand in enumerate(demands):
        if isinstance(demand, pst.BinaryOp) and demand.op == "or":
            cases = tuple(disjuncts(demand))
            if len(cases) > budget:
                return False
            rest = demands[:index] + demands[index + 1 :]
            return all(_impossible((*rest, case), known, budget // len(cases)) for case in cases)
    return False


class _Bounds:
    """What the demands leave of each path's values."""

    def __init__(self, known: Mapping[Path, frozenset[object]]) -> None:
        self._allowed: dict[Path, frozenset[object]] = dict(known)
        self._excluded: dict[Path, set[object]] = {}
        self._low: dict[Path, int] = {}
        self._high: dict[Path, int] = {}
        self._types: set[str] = set()

    def refute(self, demands: Iterable[pst.Expr]) -> bool:
        for demand in demands:
            self._take(demand)
        return len(self._types) > 1 or any(self._is_empty(path) for path in {*self._allowed, *self._low, *self._high})

    def _take(self, demand: pst.Expr) -> None:
        is_denied = isinstance(demand, pst.UnaryOp) and demand.op == "not"
        inner = demand.arg if isinstance(demand, pst.UnaryOp) and demand.op == "not" else demand
        if isinstance(inner, pst.Is) and path_of(inner.base) == ("principal",) and not is_denied:
            self._types.add(str(inner.entity_type))
        if not isinstance(inner, pst.BinaryOp):
            return
        if inner.op == "contains":
            members, path = literal(inner.left), path_of(inner.right)
            if isinstance(members, frozenset) and path is not None:
                self._among(path, members, is_denied=is_denied)
            return
        op: str | None = _DENIED.get(inner.op) if is_denied else inner.op
        path, value = path_of(inner.left), literal(inner.right)
        if path is None:
            path, value = path_of(inner.right), literal(inner.left)
            op = _FLIPPED.get(op or "", op)
        if path is not None and value is not None and op is not None:
            self._compare(path, op, value)

    def _among(self, path: Path, members: frozenset[object], *, is_denied: bool) -> None:
        if is_denied:
            self._excluded.setdefault(path, set()).update(members)
        else:
            self._allowed[path] = self._allowed.get(path, members) & members

    def _compare(self, path: Path, op: str, value: object) -> None:
        if op == "eq":
            self._among(path, frozenset({value}), is_denied=False)
        elif op == "not_eq":
            self._among(path, frozenset({value}), is_denied=True)
        elif isinstance(value, int) and not isinstance(value, bool):
            if op in ("greater", "greater_eq"):
                least = value + (op == "greater")
                self._low[path] = max(self._low.get(path, least), least)
            elif op in ("less", "less_eq"):
                most = value - (op == "less")
                self._high[path] = min(self._high.get(path, most), most)

    def _is_empty(self, path: Path) -> bool:
        low, high = self._low.get(path), self._high.get(path)
        if low is not None and high is not None and low > high:
            return True
        if path not in self._allowed:
            return False
        left = self._allowed[path] - self._excluded.get(path, set())
        return not any(_fits(value, low, high) for value in left)


def _fits(value: object, low: int | None, high: int | None) -> bool:
    if not isinstance(value, int) or isinstance(value, bool):
        return True
    return (low is None or low <= value) and (high is None or value <= high)
