"""Claims computed by a CEL expression: compiled and bounded at load, pure and total at run time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import cel
import msgspec
from msgspec import Struct

from mintwarden.model.fact_type import FactType
from mintwarden.model.facts import Facts
from mintwarden.model.values import LONG_MAX, LONG_MIN
from mintwarden.policy.bundle.expressions import Fault, Form, inspect_expression
from mintwarden.policy.plain import plain

ROOTS: Mapping[str, int] = {"subject": 1, "context": 2, "scopes": 0}
"""What a derivation may read, and how many steps below make one fact."""

MAX_INPUT = 8 * 1024
MAX_INPUT_ELEMENTS = 256
MAX_ENCODED = 4 * 1024
MAX_ELEMENTS = 100

_SAMPLES: Mapping[str, Any] = {
    "bool": True,
    "long": 1,
    "string": "",
    "decimal": "0.0",
    "datetime": "2026-01-01T00:00:00.000Z",
    "duration": 0,
    "ipaddr": "192.0.2.1",
    "set": [],
}


class Derived(Struct, frozen=True):
    """A claim's value, or None when it has none; `fault` says why where that is nobody's intention."""

    value: Any
    fault: str = ""


_ABSENT = Derived(None)


class ExpressionRefused(ValueError):
    """An expression that cannot be used; `fault` says where and why."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


class Derivation:
    """A compiled expression. Keeps no state between evaluations.

    Attributes:
        source: the expression.
        type: the claim's type, which its result must have.
        reads: the facts that it can look at, as paths: `subject.department`, `context.request.tenant`.
    """

    __slots__ = ("_paths", "_program", "reads", "source", "type")

    def __init__(self, source: str, kind: FactType, program: cel.Program, reads: frozenset[str]) -> None:
        self.source = source
        self.type = kind
        self.reads = reads - {"scopes"}
        self._program = program
        self._paths = tuple(tuple(path.split(".")) for path in sorted(self.reads))

    def evaluate(self, facts: Facts, granted: Sequence[str]) -> Any:
        """The claim's value, or None when it has none. Never raises."""
        return self.derive(facts, granted).value

    def derive(self, facts: Facts, granted: Sequence[str]) -> Derived:
        """The claim's value and, when the expression failed, why. Never raises, whatever the facts are.

        A fact that is absent, and a result of `null`, mean that the claim is absent.
        """
        inputs: dict[str, Any] = {"subject": {}, "context": {}, "scopes": list(granted)}
        lacking = False
        for path in self._paths:
            lacking |= not _carry(inputs, path, facts)
        if _too_large(inputs):
            return Derived(None, f"the facts are larger than {MAX_INPUT} bytes or {MAX_INPUT_ELEMENTS} elements")
        return self._run(inputs, lacking=lacking)

    def _run(self, inputs: Mapping[str, Any], *, lacking: bool) -> Derived:
        try:
            result = self._program.execute(dict(inputs))
        except KeyError as error:
            return _ABSENT if lacking else Derived(None, f"no such member {error}"[:200])
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - the binding's panics are no `Exception`
            return Derived(None, f"the expression failed: {_one_line(error)}")
        if result is None:
            return _ABSENT
        return as_claim(result, self.type)

    def trial(self, types: Mapping[str, FactType]) -> str:
        """What is wrong with the types, found by a run over sample facts; empty when nothing is."""
        inputs: dict[str, Any] = {"subject": {}, "context": {}, "scopes": []}
        for path in self._paths:
            _put(inputs, path, _SAMPLES[types[".".join(path)].kind])
        try:
            result = self._program.execute(inputs)
        except TypeError as error:
            return _one_line(error)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:  # noqa: BLE001 - only types are judged here, not the sample's values
            return ""
        return "" if result is None else as_claim(result, self.type).fault


def compile_derivation(expression: str, kind: FactType) -> Derivation:
    """The expression of a claim of type `kind`, compiled; raises `ExpressionRefused`.

    Bounded by its form (`bundle/expressions.py`), before the parser sees it.
    """
    form = inspect_expression(expression, ROOTS)
    if isinstance(form, Fault):
        raise ExpressionRefused(form)
    return Derivation(expression, kind, parse_expression(expression, form), frozenset(form.reads))


def parse_expression(expression: str, form: Form) -> cel.Program:
    """The expression, whose form was inspected before, as CEL parses it; raises `ExpressionRefused`.

    INVARIANT: the parser sees no name and no call that the inspection did not.
    """
    try:
        program = cel.compile(expression)
        calls = {name for name in program.functions() if name.isidentifier()}
        hidden = {*program.variables(), *calls} - form.names - form.calls
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 - the binding's panics are no `Exception`
        raise ExpressionRefused(_parse_fault(expression, str(error))) from None
    if hidden:
        raise ExpressionRefused(Fault(0, "the expression can be read in two ways", "write its strings more simply"))
    return program


def _parse_fault(expression: str, message: str) -> Fault:
    """Line and column of the parser's first complaint as an offset, and what it says without its drawing."""
    _, found, rest = message.partition("ERROR: <input>:")
    if not found:
        return Fault(0, "the expression is not CEL", "see https://cel.dev for the notation")
    line, _, rest = rest.partition(":")
    column, _, rest = rest.partition(":")
    offset = 0
    if line.isdigit() and column.isdigit():
        offset = sum(len(before) + 1 for before in expression.split("\n")[: int(line) - 1]) + int(column) - 1
    what = rest.strip().splitlines()[0] if rest.strip() else "cannot be read"
    return Fault(
        min(offset, len(expression)), f"the expression is not CEL: {_lower(what)}"[:200], "see https://cel.dev"
    )


def as_claim(result: Any, kind: FactType) -> Derived:
    """A result as a claim of type `kind`, within the limits of a token."""
    value = _typed(result, kind)
    if value is None:
        return Derived(None, f"the expression gave a {type(result).__name__}, not a {kind.kind}")
    if isinstance(value, list) and len(value) > MAX_ELEMENTS:
        return Derived(None, f"the expression gave more than {MAX_ELEMENTS} elements")
    if len(msgspec.json.encode(value)) > MAX_ENCODED:
        return Derived(None, f"the expression gave more than {MAX_ENCODED} bytes")
    return Derived(value)


def _typed(result: Any, kind: FactType) -> Any:
    """`result` as `policy.plain` spells values of `kind`, or None."""
    of = type(result)
    match kind.kind:
        case "bool":
            return result if of is bool else None
        case "long":
            return result if of is int and LONG_MIN <= result <= LONG_MAX else None
        case "duration":
            if isinstance(result, timedelta):
                return result // timedelta(milliseconds=1)
            return result if of is int and LONG_MIN <= result <= LONG_MAX else None
        case "datetime":
            if isinstance(result, datetime) and result.tzinfo is not None:
                return result.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            return result if of is str else None
        case "set":
            return _set(result, kind.element)
        case _:
            return result if of is str else None


def _set(result: Any, element: FactType | None) -> list[Any] | None:
    if not isinstance(result, list) or element is None:
        return None
    members = [_typed(member, element) for member in result[: MAX_ELEMENTS * 100]]
    return None if None in members else sorted(set(members))


def _carry(inputs: dict[str, Any], path: tuple[str, ...], facts: Facts) -> bool:
    """Put one fact into the inputs; False when it is absent (an absent namespace is an empty one)."""
    value: Any = facts.subject.attrs if path[0] == "subject" else facts.context
    for step in path[1:]:
        if not isinstance(value, Mapping) or step not in value:
            if len(path) > 2:
                inputs[path[0]].setdefault(path[1], {})
            return False
        value = value[step]
    _put(inputs, path, plain(value))
    return True


def _put(inputs: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    at = inputs
    for step in path[:-1]:
        at = at.setdefault(step, {})
    at[path[-1]] = value


def _too_large(value: Any) -> bool:
    """Whether the inputs are beyond what an expression's limits were made for."""
    elements = size = 0
    todo = [value]
    while todo:
        item = todo.pop()
        elements += 1
        if isinstance(item, str):
            size += len(item)
        elif isinstance(item, dict):
            todo.extend(item.values())
        elif isinstance(item, list):
            todo.extend(item)
        if size > MAX_INPUT or elements > MAX_INPUT_ELEMENTS + 64:
            return True
    return False


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return _lower("".join(c for c in text if c.isprintable())[:200])


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
