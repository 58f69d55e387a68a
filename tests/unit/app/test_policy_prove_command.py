"""`mintwarden policy prove`, as a person and as a machine see it."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from mintwarden.app.cli import main
from tests.unit.policy.company import write_company

GOOD = """[[assertion]]
id = "calm"
says = "nobody at risk writes payments"
[assertion.never]
types = ["User"]
scopes = ["pay:write"]
unless = 'principal.risk <= 90'
"""
BAD = GOOD.replace("<= 90", "<= 80").replace('"calm"', '"calmer"')


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_company(tmp_path, files={"assertions/a.toml": GOOD})


def test_what_holds_exits_0(bundle, capsys):
    assert main(["policy", "prove", str(bundle)]) == 0
    assert capsys.readouterr().out == "holds: calm: nobody at risk writes payments\n1 holds\n"


def test_what_is_violated_exits_1_with_a_scenario_that_passes_the_check(bundle, capsys):
    (bundle / "assertions/a.toml").write_text(GOOD + BAD)
    assert main(["policy", "prove", str(bundle)]) == 1
    out = capsys.readouterr().out
    assert "violated: calmer: nobody at risk writes payments\n  assertions/a.toml:8; `decide` grants this" in out
    assert out.endswith("1 holds, 1 violated\n")
    example = "\n".join(line.removeprefix("    ") for line in out.splitlines() if line.startswith("    "))
    (scenario,) = tomllib.loads(example)["scenario"]
    assert scenario["given"]["facts"]["User:example"]["risk"]["facts"]["risk"] in range(81, 91)
    (bundle / "tests").mkdir()
    (bundle / "tests/example.toml").write_text(example)
    assert main(["check", str(bundle)]) == 0


def test_a_machine_reads_verdicts_and_examples(bundle, capsys):
    (bundle / "assertions/a.toml").write_text(GOOD + BAD)
    assert main(["policy", "prove", str(bundle), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is False
    assert [(one["id"], one["outcome"], len(one["examples"])) for one in told["assertions"]] == [
        ("calm", "holds", 0),
        ("calmer", "violated", 1),
    ]
    assert told["assertions"][1]["line"] == 8
    assert told["assertions"][1]["examples"][0]["scopes"] == ["pay:write"]


def test_what_is_not_proved_exits_1(bundle, capsys):
    opaque = '@id("opaque") @owner("o") @reason("r")\nforbid (principal is User, action, resource)\n'
    rules = (bundle / "rules/all.cedar").read_text()
    (bundle / "rules/all.cedar").write_text(f"{rules}{opaque}when {{ principal.tenants == principal.entitlements }};\n")
    (bundle / "assertions/a.toml").write_text(
        GOOD.replace("principal.risk <= 90", "principal.tenants != principal.entitlements")
    )
    assert main(["policy", "prove", str(bundle)]) == 1
    out = capsys.readouterr().out
    assert out.startswith("not proved: calm: nobody at risk writes payments\n  pay:write: cannot be translated: ")
    assert out.endswith("1 not proved\n")


def test_without_assertions_it_says_so(bundle, capsys):
    (bundle / "assertions/a.toml").unlink()
    (bundle / "assertions").rmdir()
    assert main(["policy", "prove", str(bundle)]) == 0
    assert "has no assertions" in capsys.readouterr().out


def test_a_bundle_that_cannot_be_used_exits_2(bundle, capsys):
    (bundle / "assertions/a.toml").write_text(GOOD.replace("pay:write", "pay:wriet"))
    assert main(["policy", "prove", str(bundle)]) == 2
    assert "unknown scope `pay:wriet`" in capsys.readouterr().err
