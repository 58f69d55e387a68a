"""Scenario results as JUnit XML, which build servers show beside their other tests."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as Tree

from mintwarden.review.scenarios import ScenarioResult


def junit(results: Sequence[ScenarioResult], *, name: str) -> bytes:
    """One suite with a case for each scenario; `name` is the bundle's."""
    failed = sum(not result.passed for result in results)
    counts = {"name": _clean(name), "tests": str(len(results)), "failures": str(failed), "errors": "0", "skipped": "0"}
    suites = Tree.Element("testsuites")
    suite = Tree.SubElement(suites, "testsuite", counts)
    for result in results:
        case = Tree.SubElement(
            suite,
            "testcase",
            {"name": result.id, "classname": result.file, "file": result.file, "line": str(result.line)},
        )
        if not result.passed:
            told = [_clean(str(difference)) for difference in result.differences]
            failure = Tree.SubElement(case, "failure", {"message": told[0], "type": "difference"})
            failure.text = "\n".join((_clean(result.why), *told))
    Tree.indent(suites)
    text: str = Tree.tostring(suites, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'.encode()


def _clean(text: str) -> str:
    """Without what XML cannot hold."""
    return "".join(char if char.isprintable() or char in "\n\t" else "\N{REPLACEMENT CHARACTER}" for char in text)
