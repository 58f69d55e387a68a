"""The page about administration says what the routing table says, and the OpenAPI document is the one that is served."""

from __future__ import annotations

import json
import re

from mintwarden.web.admin.api import OPERATIONS
from mintwarden.web.admin.problem import PROBLEMS
from tests.docs.pages import prose
from tools import openapi_document
from tools.findings import ROOT

PAGE = prose(ROOT / "docs" / "administration.md")


def test_each_operation_has_its_row_and_no_row_is_of_another():
    rows = re.findall(r"^\| `((?:GET|PUT|POST|PATCH|DELETE) [^`]+)` \| (.+) \| (.+) \|$", PAGE, re.MULTILINE)
    told = [(call, re.findall(r"`([^`]+)`", scopes), summary) for call, scopes, summary in rows]
    assert told == [(f"{one.method} {one.path}", list(one.scopes), one.summary) for one in OPERATIONS]


def test_the_document_is_written_anew_with_each_change():
    assert openapi_document.FILE.read_text(encoding="utf-8") == openapi_document.render(), "run `make docs`"


def test_every_status_of_a_problem_is_in_the_document():
    document = json.loads(openapi_document.render())
    assert set(document["components"]["responses"]) == set(PROBLEMS)


def test_the_limits_are_those_of_the_code():
    from mintwarden.web.admin.call import AT_ONCE, KEPT
    from mintwarden.web.admin.operation import MAX_BODY, MAX_PAGE, SLOW

    assert f"At most {AT_ONCE} calls" in PAGE
    assert f"stands for {KEPT // 3_600_000} hours" in PAGE
    assert f"Bodies hold at most {MAX_BODY // 1024} KiB" in PAGE
    assert f"`limit`, at most {MAX_PAGE}" in PAGE
    assert "has two minutes" in PAGE
    assert SLOW == 120


def test_every_command_about_the_policy_is_over_http_or_says_why_not():
    """The table names each of them, and what it names over HTTP is there."""
    import cyclopts

    from mintwarden.app.cli import exception, policy, review

    table = PAGE.partition("## From the command line, and over HTTP")[2].partition("\n## ")[0]
    rows = [row.strip("| ").split(" | ") for row in table.splitlines() if row.startswith("| `")]
    told = set()
    for commands, _ in rows:
        first, *more = re.findall(r"`([^`]+)`", commands)
        group = first.split()[0]
        told |= {first, *(f"{group} {name}" for name in more)}
    groups: dict[str, cyclopts.App] = {"policy": policy.app, "exception": exception.app, "review": review.app}
    there = {f"{name} {command}" for name, app in groups.items() for command in app if not command.startswith("-")}
    assert told == there
    calls = {f"{one.method} {one.path}" for one in OPERATIONS}
    named = {call for _, over in rows for call in re.findall(r"`((?:GET|POST) [^`]+)`", over)}
    assert named - {"POST /reviews/..."} <= calls
    reviews = re.findall(r"`(?:policy )?([a-z-]+)`", rows[0][0])
    assert {f"POST /reviews/{name}" for name in reviews} <= calls
