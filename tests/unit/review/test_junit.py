"""JUnit XML: cases, failures, and text that XML cannot hold."""

from __future__ import annotations

from xml.etree import ElementTree as Tree

from msgspec.structs import replace

from mintwarden.review.junit import junit
from mintwarden.review.scenarios import run_scenarios

T = "tests/orders.toml"


def test_passed_scenarios_are_cases(loaded):
    suite = Tree.fromstring(junit(run_scenarios(loaded()), name="starter")).find("testsuite")
    assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == ("starter", "4", "0")
    case = suite.find("testcase")
    assert (case.get("classname"), case.get("file")) == (T, T)
    assert case.get("line").isdigit()
    assert suite.findall("testcase/failure") == []


def test_a_failure_tells_every_difference(loaded):
    results = run_scenarios(loaded((T, "lifetime = 300", "lifetime = 301")))
    suite = Tree.fromstring(junit(results, name="starter")).find("testsuite")
    assert suite.get("failures") == "1"
    failure = suite.find("testcase[@name='export-at-night']/failure")
    assert failure.get("message").startswith("lifetime: expected 301s, got 300s")
    assert failure.text.splitlines()[1:] == [failure.get("message")]


def test_what_xml_cannot_hold_is_replaced(loaded):
    results = run_scenarios(loaded((T, "lifetime = 300", "lifetime = 301")))
    failed = next(result for result in results if not result.passed)
    text = junit([replace(failed, why="a\x00b\x1b")], name="a\x01b")
    assert Tree.fromstring(text).find("testsuite").get("name") == "a\ufffdb"
