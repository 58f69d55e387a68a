"""Values that prove something are built in one place only.

A `Caller` means that somebody was authenticated, a `Receipt` that an entry is durable. Their types prove it only while
nobody else makes one. So outside its home a fenced name may stand in annotations, imports and `isinstance`, and
nowhere else: no call, no alias, no subclass, no handing to a decoder or to `replace`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tools.findings import Finding, Source, dotted, imported_names, sources


class Fence(NamedTuple):
    """A type, the module that declares it, and the only place that builds it (a file, or a folder ending in `/`)."""

    name: str
    module: str
    home: str


FENCES = (
    Fence("Caller", "mintwarden.model.caller", "authn/"),
    Fence("PreparedToken", "mintwarden.model.token", "mint/prepare.py"),
    Fence("Receipt", "mintwarden.model.token", "ledger/record.py"),
    Fence("SignedToken", "mintwarden.model.token", "mint/sign.py"),
)
REPLACERS = ("msgspec.structs.replace", "copy.replace", "copy.copy", "copy.deepcopy")
HARMLESS_CALLS = ("isinstance", "issubclass", "typing.get_type_hints", "typing.assert_type")


def check(source: Source) -> Iterator[Finding]:
    """Every place of one file that builds, or could build, a fenced value outside its home."""
    for fence in FENCES:
        if not source.room_path.startswith(fence.home) and _declares(source) != fence.module:
            for node in _Uses(fence, imported_names(source.tree)).of(source.tree):
                text = f"only `{fence.home}` may build a `{fence.name}`; elsewhere it may be named in annotations only"
                yield Finding(source.path, node.lineno, text)


def _declares(source: Source) -> str:
    return ".".join(("mintwarden", *Path(source.room_path).with_suffix("").parts))


class _Uses(ast.NodeVisitor):
    """Collects the uses of a fenced type that are not mere annotations."""

    def __init__(self, fence: Fence, names: dict[str, str]) -> None:
        self.fence = fence
        self.names = names
        self.whole = f"{fence.module}.{fence.name}"
        self.typed: dict[str, str] = {}
        self.found: list[ast.expr] = []

    def of(self, tree: ast.Module) -> list[ast.expr]:
        for node in ast.walk(tree):
            if isinstance(node, ast.arg) and node.annotation is not None:
                self.typed[node.arg] = ast.unparse(node.annotation)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                self.typed[node.target.id] = ast.unparse(node.annotation)
        if self._mentions(tree):
            self.visit(tree)
        return self.found

    def _mentions(self, tree: ast.Module) -> bool:
        return any(self._is_fenced(node) for node in ast.walk(tree)) or self.whole in self.names.values()

    def _is_fenced(self, node: ast.AST) -> bool:
        return isinstance(node, (ast.Name, ast.Attribute)) and dotted(node, self.names) == self.whole

    def visit_arg(self, node: ast.arg) -> None:
        """An annotation; nothing is built in it."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        defaults = (d for d in node.args.kw_defaults if d is not None)
        for part in (*node.decorator_list, *node.args.defaults, *defaults, *node.body):
            self.visit(part)

    visit_FunctionDef = _function  # noqa: N815
    visit_AsyncFunctionDef = _function  # noqa: N815

    def visit_Call(self, node: ast.Call) -> None:
        name = dotted(node.func, self.names)
        if name in HARMLESS_CALLS:
            self.visit(node.args[0])
            return
        if name in REPLACERS and node.args and self._may_be_fenced(node.args[0]):
            self.found.append(node)
        if name == "typing.cast" and node.args and self.fence.name in ast.unparse(node.args[0]):
            self.found.append(node)
            return
        self.generic_visit(node)

    def _may_be_fenced(self, value: ast.expr) -> bool:
        """Unless its annotation says that it is something else."""
        told = self.typed.get(value.id) if isinstance(value, ast.Name) else None
        return told is None or self.fence.name in told

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if isinstance(node.op, ast.BitOr):  # `Caller | None` names a type
            self._visit_calls(node)
        else:
            self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        self.visit(node.value)
        self._visit_calls(node.slice)  # `tuple[Caller, ...]` names a type

    def _visit_calls(self, tree: ast.AST) -> None:
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                self.visit(node)

    def visit_MatchClass(self, node: ast.MatchClass) -> None:
        for pattern in (*node.patterns, *node.kwd_patterns):
            self.visit(pattern)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load) and self._is_fenced(node):
            self.found.append(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if self._is_fenced(node):
            self.found.append(node)
        else:
            self.generic_visit(node)


def findings(root: Path) -> Iterator[Finding]:
    """What is wrong in the whole package under `root`."""
    for source in sources(root):
        yield from check(source)
