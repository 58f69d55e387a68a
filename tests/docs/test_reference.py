"""Everything that has a name on the outside has its place in the documentation, and nothing else has."""

from __future__ import annotations

import re

import pytest

from mintwarden.app import config
from mintwarden.app.cli import COMMANDS, build
from mintwarden.model.errors import ErrorKind
from mintwarden.web.errors import TABLE
from mintwarden.web.metrics import METRICS
from tests.docs.pages import first_cells, headings, prose
from tools import cli_reference
from tools.findings import ROOT

ERRORS, OPERATIONS, CLI = (ROOT / "docs" / name for name in ("errors.md", "operations.md", "cli.md"))


def config_keys() -> set[str]:
    keys = {f"{name}.{key}" for name, kind in config.SECTIONS.items() for key in kind.__struct_fields__}
    keys |= {f"ledger.witnesses.{key}" for key in config.Witness.__struct_fields__}
    placeholders = {"connections": "<name>", "trusted_issuers": "<iss>", "upstreams": "<id>", "transmitters": "<id>"}
    for name, kind in config.NAMED.items():
        keys |= {f"{name}.{placeholders[name]}.{key}" for key in kind.__struct_fields__}
    return keys


def test_every_configuration_key_has_its_row_and_no_row_is_of_another():
    rows = {cell for cell in first_cells(OPERATIONS) if re.fullmatch(r"[a-z_]+(\.[a-z_<>]+)+", cell)}
    assert rows == config_keys()


def test_every_section_has_its_heading():
    text = " ".join(headings(OPERATIONS))
    assert [name for name in config.SECTIONS if f"[{name}]" not in text] == []


def test_every_metric_has_its_row_and_no_row_is_of_another():
    assert {cell for cell in first_cells(OPERATIONS) if cell.startswith("mintwarden_")} == {m.name for m in METRICS}


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_metrics_row_names_its_kind_and_labels(metric):
    row = next(line for line in prose(OPERATIONS).splitlines() if line.startswith(f"| `{metric.name}` |"))
    _, _, kind, labels, *_ = (cell.strip() for cell in row.split("|"))
    assert (kind, tuple(re.findall(r"`(\w+)`", labels))) == (metric.kind, metric.labels)


def test_every_error_kind_has_its_heading():
    kinds = {kind.value for kind in ErrorKind}
    assert kinds <= set(headings(ERRORS))


@pytest.mark.parametrize("kind", ErrorKind, ids=lambda kind: kind.value)
def test_an_errors_row_says_what_web_answers(kind: ErrorKind):
    status, code = TABLE[kind]
    assert f"| [`{kind.value}`](#{kind.value}) | {status} | `{code}` |" in prose(ERRORS)


def test_every_command_has_its_heading():
    assert {f"mintwarden {name}" for name, _ in COMMANDS} <= set(headings(CLI))


def test_the_command_reference_is_what_the_commands_say():
    assert CLI.read_text(encoding="utf-8") == cli_reference.render(), "run `make docs`"


def test_every_command_explains_itself():
    app = build()
    assert [name for name, _ in COMMANDS if not app[name].help] == []
