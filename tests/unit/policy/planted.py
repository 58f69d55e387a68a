"""A bundle whose compiled `<` is wrong, to see that Cedar notices. Handed in as a table; nothing is patched."""

from __future__ import annotations

from pathlib import Path

from mintwarden.policy.bundle.load import load_bundle
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.cedar.operators import STANDARD
from mintwarden.policy.cedar.rules import compile_rules


def load_with_wrong_less(root: Path) -> Bundle:
    """The bundle in `root` with `less` that is always true."""
    bundle = load_bundle(root)
    files = [(path.name, path.read_text()) for path in (root / "rules").glob("*.cedar")]
    scopes = {name: scope.audience for name, scope in bundle.catalogue.scopes.items()}
    wrong = {**STANDARD, "less": lambda _left, _right: True}
    return bundle.with_rules(compile_rules(files, scopes=scopes, operators=wrong))
