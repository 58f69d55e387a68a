"""Conditions on a token's claims, in CEL: compiled once, evaluated within bounds, false when in doubt."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import cel

from mintwarden.model.errors import ErrorKind, MintwardenError

_LONGEST = 4096
_STRINGS = re.compile(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'")
_LOOP = re.compile(r"\.\s*(?:all|exists|exists_one|map|filter|transformList|transformMap)\s*\(|[()]")


class Conditions:
    """All of some CEL expressions over `claims`. Raises `MintwardenError(BUNDLE)` for one that does not compile.

    Evaluation ends: CEL has no recursion, a token is small, and loops within loops are not taken.
    """

    def __init__(self, expressions: Sequence[str]) -> None:
        self._programs = [(text, _compile(text)) for text in expressions]

    def unmet(self, claims: Mapping[str, Any]) -> str | None:
        """The first expression that is not exactly true, errors included; None when all are."""
        for text, program in self._programs:
            try:
                holds = program.execute({"claims": claims}) is True
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException:  # noqa: BLE001 - a panic of the evaluator is no `Exception`, and it refuses as well
                holds = False
            if not holds:
                return text
        return None


def _compile(text: str) -> Any:
    if len(text) > _LONGEST:
        raise _unusable(text, "it is too long")
    if _has_nested_loop(text):
        raise _unusable(text, "a loop may not stand within a loop")
    try:
        program = cel.compile(text)
    except ValueError as error:
        raise _unusable(text, str(error).splitlines()[0]) from None
    if "claims" not in program.variables():
        raise _unusable(text, "it does not read `claims`")
    return program


def _unusable(text: str, problem: str) -> MintwardenError:
    return MintwardenError(ErrorKind.BUNDLE, f"the condition `{text[:200]}` cannot be used", hint=problem)


def _has_nested_loop(text: str) -> bool:
    open_loops: list[bool] = []
    for found in _LOOP.finditer(_STRINGS.sub('""', text)):
        if found[0] == "(":
            open_loops.append(False)
        elif found[0] == ")":
            if open_loops:
                open_loops.pop()
        elif any(open_loops):
            return True
        else:
            open_loops.append(True)
    return False
