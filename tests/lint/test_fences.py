"""Who may build a value that proves something."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tools import fences
from tools.findings import ROOT, Finding, Source

IMPORT = "from mintwarden.model.caller import Caller\n"

PLANTED = {
    "call": IMPORT + "x = Caller(client_id='a', method='none')",
    "call-alias": "from mintwarden.model.caller import Caller as C\nx = C(client_id='a', method='none')",
    "call-module": "from mintwarden.model import caller\nx = caller.Caller(client_id='a', method='none')",
    "call-module-alias": "import mintwarden.model.caller as m\nx = m.Caller(client_id='a', method='none')",
    "call-long": "import mintwarden.model.caller\nx = mintwarden.model.caller.Caller(client_id='a', method='none')",
    "alias": IMPORT + "Maker = Caller",
    "subclass": IMPORT + "class Mine(Caller):\n    pass",
    "decoder": IMPORT + "import msgspec\nd = msgspec.json.Decoder(Caller)",
    "convert": IMPORT + "import msgspec\ndef f(x): return msgspec.convert(x, type=Caller)",
    "new": IMPORT + "x = Caller.__new__(Caller)",
    "cast": IMPORT + "from typing import cast\nx = cast('Caller', object())",
    "replace": IMPORT + "from msgspec.structs import replace\ndef f(c: Caller): return replace(c, client_id='b')",
    "replace-unknown": IMPORT + "import msgspec\ndef f(c): return msgspec.structs.replace(c, client_id='b')",
    "copy-replace": IMPORT + "import copy\ndef f(c: Caller): return copy.replace(c, client_id='b')",
    "in-a-function": "def f():\n    from mintwarden.model.caller import Caller\n    return Caller(client_id='a')",
    "in-a-default": IMPORT + "def f(x=Caller(client_id='a', method='none')): ...",
    "in-a-union": IMPORT + "x = None | f(Caller(client_id='a', method='none'))",
    "in-an-index": IMPORT + "x = d[Caller(client_id='a', method='none')]",
}

ALLOWED = {
    "annotation": IMPORT + "def f(c: Caller) -> Caller | None:\n    x: Caller = c\n    return x",
    "isinstance": IMPORT + "def f(c): return isinstance(c, Caller)",
    "match": IMPORT + "def f(c):\n    match c:\n        case Caller(client_id=x):\n            return x",
    "union": IMPORT + "Outcome = Caller | None",
    "generic": IMPORT + "from collections.abc import Callable\nVerify = Callable[[bytes], Caller]",
    "other-replace": IMPORT
    + "from mintwarden.model.asked import Asked\nfrom msgspec.structs import replace\n"
    + "def f(c: Caller, a: Asked): return replace(a, purpose='')",
    "namesake": "class Caller: ...\nx = Caller()",
    "re-export": IMPORT + "__all__ = ['Caller']",
}


def plant(code: str, where: str = "issue/pipeline.py") -> list[Finding]:
    return list(fences.check(Source(Path("src/mintwarden") / where, ast.parse(code))))


@pytest.mark.parametrize("code", PLANTED.values(), ids=PLANTED)
def test_a_planted_forgery_is_found(code: str):
    assert plant(code)


@pytest.mark.parametrize("code", ALLOWED.values(), ids=ALLOWED)
def test_naming_the_type_is_no_forgery(code: str):
    assert plant(code) == []


@pytest.mark.parametrize("fence", fences.FENCES, ids=lambda fence: fence.name)
def test_only_its_home_builds_it(fence: fences.Fence):
    code = f"from {fence.module} import {fence.name}\nx = {fence.name}()"
    home = f"{fence.home}methods/basic.py" if fence.home.endswith("/") else fence.home
    assert plant(code, home) == []
    for elsewhere in ("issue/pipeline.py", "web/token.py", "mint/keys.py", "ledger/entry.py", "app/wiring.py"):
        assert plant(code, elsewhere), elsewhere


def test_the_repository_is_clean():
    assert list(fences.findings(ROOT)) == []
