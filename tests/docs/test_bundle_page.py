"""`docs/bundle.md` has every key of the format, and its examples are one bundle that passes."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from mintwarden.model.decision import RefusalReason
from mintwarden.model.profiles import PROFILES
from mintwarden.model.scim import ATTRIBUTES
from mintwarden.model.signals import FACTS, FAMILIES
from mintwarden.policy.bundle import (
    assertions,
    audiences,
    claims,
    clients,
    expressions,
    facttypes,
    head,
    issuers,
    providers,
    read,
    rules,
    schema,
    sources,
    transmitters,
)
from mintwarden.policy.bundle import scenarios as scenario_tables
from mintwarden.policy.bundle.load import build_bundle
from mintwarden.policy.bundle.shape import Table
from mintwarden.review.check import check_loaded
from tests.docs.pages import blocks
from tools.findings import ROOT

PAGE = ROOT / "docs/bundle.md"
TEXT = PAGE.read_text(encoding="utf-8")

TABLES: tuple[Table, ...] = (
    *head.TABLES,
    *sources.TABLES,
    *claims.TABLES,
    *audiences.TABLES,
    *clients.TABLES,
    *issuers.TABLES,
    *providers.TABLES,
    *transmitters.TABLES,
    *scenario_tables.TABLES,
    *assertions.TABLES,
)

WORDS = {
    "types": facttypes.FACT_TYPES,
    "sensitivities": sources.SENSITIVITIES,
    "attributes of SCIM": ATTRIBUTES,
    "principals and namespaces": (*sources.PRINCIPALS, *sources.NAMESPACES),
    "built-in client members": sources.BUILT_IN,
    "registered claims": claims.REGISTERED,
    "confines": claims.CONFINES,
    "algorithms": audiences.ALGORITHMS,
    "bindings": [binding for binding in audiences.BINDINGS if binding],
    "kinds of clients": clients.KINDS,
    "authentication methods": clients.METHODS,
    "grants": clients.GRANTS,
    "profiles of clients and audiences": PROFILES,
    "provider authentication": providers.AUTHENTICATION,
    "events of transmitters": FAMILIES,
    "families of facts": FACTS,
    "facts of transmitters": [fact for facts in FACTS.values() for fact in facts],
    "profiles": issuers.PROFILES,
    "request facts": schema.REQUEST_FACTS,
    "annotations": [f"@{name}" for name in rules.ANNOTATIONS],
    "refusal reasons": get_args(RefusalReason),
    "functions of expressions": expressions.FUNCTIONS | expressions.METHODS,
    "files beside the bundle": read.LEFT_ALONE,
    "folders": [f"{name}/" for name in read.FOLDERS],
    "files": read.TOP_FILES,
}


def examples() -> dict[str, str]:
    found = {}
    for block in blocks(PAGE):
        for word in block.info[1:]:
            if word.startswith("file="):
                found[word.removeprefix("file=")] = "\n".join(block.lines) + "\n"
    return found


def rows(title: str) -> dict[str, list[str]]:
    """The rows of the table under a heading, by their first cell."""
    section = TEXT.partition(f"\n### `{title}`\n")[2].partition("\n#")[0]
    lines = [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in section.splitlines() if line[:3] == "| `"
    ]
    return {cells[0].strip("| `"): cells for cells in lines}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.title)
def test_every_key_has_its_row_and_no_row_is_of_another(table: Table):
    assert set(rows(table.title)) == {key.name for key in table.keys}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.title)
def test_what_is_required_is_called_so(table: Table):
    documented = rows(table.title)
    for key in table.keys:
        assert (documented[key.name][2] == "required") is key.required, key.name


@pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)
def test_every_word_of_a_closed_list_is_there(words):
    plain = TEXT.replace("\n", " ")
    assert [word for word in words if not re.search(rf"`{re.escape(word)}`", plain)] == []


def test_the_examples_are_one_bundle_that_passes():
    report = check_loaded(build_bundle(examples()))
    assert [str(difference) for result in report.failed for difference in result.differences] == []
    assert report.counts["scenarios"] == 5


def test_the_examples_use_every_key():
    written = "\n".join(examples().values())
    unused = {
        f"{table.title}: {key.name}"
        for table in TABLES
        for key in table.keys
        if not re.search(rf'(?m)(^|[\[{{. ,])"?{re.escape(key.name)}"?( *=|[\].])', written)
    }
    assert unused == set()


def test_the_examples_use_every_annotation():
    written = examples()["rules/booking.cedar"]
    assert [name for name in rules.ANNOTATIONS if f"@{name}(" not in written] == []


def test_every_block_of_toml_and_cedar_is_part_of_the_bundle():
    for block in blocks(PAGE):
        if block.info[0] in ("toml", "cedar"):
            assert any(word.startswith("file=") for word in block.info), block.name


@pytest.mark.parametrize(
    ("number", "spelled"),
    [
        (read.MAX_FILE, "1 MiB"),
        (read.MAX_BUNDLE, "32 MiB"),
        (read.MAX_FILES, "5,000 files"),
        (expressions.MAX_LENGTH, "1,000\ncharacters"),
        (expressions.MAX_DEPTH, "20 brackets deep"),
    ],
)
def test_limits_are_as_documented(number, spelled):
    digits = int(re.sub(r"\D", "", spelled.split()[0]))
    assert number == digits * (1024 * 1024 if "MiB" in spelled else 1)
    assert spelled in TEXT
