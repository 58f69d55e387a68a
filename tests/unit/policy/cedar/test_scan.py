"""Policies are found where they are, and what would overflow Cedar's parser never reaches it."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from mintwarden.policy.cedar.rules import compile_rules
from mintwarden.policy.cedar.scan import MAX_BRACKETS, MAX_FILE, MAX_NESTING, MAX_POLICY, scan
from tests.unit.policy.cedar.asking import SCOPES, question

HEAD = '@id("r") permit(principal, action, resource == Scope::"payments:read")'


def when(expression: str) -> str:
    return f"{HEAD} when {{ {expression} }};"


def test_policies_are_split_where_they_end() -> None:
    text = (
        "// first; not yet\n"
        '@id("a;b") @reason("says \\"permit\\" // no comment")\n'
        "permit(principal, action, resource);\n\n"
        "  // between\n"
        "@forbid forbid(principal, action, resource) when { context.x == \"}\" }; // end\n"
    )  # fmt: skip
    chunks, troubles = scan(text)
    assert troubles == []
    assert [chunk.text[chunk.effect_at :][:6] for chunk in chunks] == ["permit", "forbid"]
    assert all(text[chunk.offset :].startswith(chunk.text) for chunk in chunks)
    assert chunks[0].text.startswith("@id")
    assert chunks[1].text.startswith("@forbid")


def test_nothing_is_a_file_without_rules() -> None:
    assert scan("") == ([], [])
    assert scan("  // only a comment") == ([], [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{HEAD} when {{ true }}", "the rule is not finished"),
        (f"{HEAD} when {{ (true }};", "a bracket is never closed"),
        (f"{HEAD} when {{ true }}}};", "a bracket closes that was never opened"),
        ('@id("r permit(principal);', "the string is never closed"),
        ("/" * (MAX_FILE + 1), "the file is larger than 1 MiB"),
        ("é" * (MAX_FILE // 2 + 1), "the file is larger than 1 MiB"),
        (when(f'"{"x" * MAX_POLICY}" == "x"'), "the rule is longer than 64 KiB"),
    ],
)
def test_what_is_wrong_is_said(text: str, message: str) -> None:
    chunks, troubles = scan(text)
    assert chunks == []
    assert [trouble.message for trouble in troubles] == [message]


HOSTILE = {
    "brackets": when("(" * 5_000 + "true" + ")" * 5_000),
    "brackets just too deep": when("(" * MAX_BRACKETS + "true" + ")" * MAX_BRACKETS),
    "sets": when("[" * 2_000 + "]" * 2_000 + " == 1"),
    "records": when("{a:" * 2_000 + "1" + "}" * 2_000 + " == 1"),
    "negations": when("!(" * 2_000 + "true" + ")" * 2_000),
    "calls": when("ip(" * 2_000 + '"x"' + ")" * 2_000 + " == 1"),
    "and": when(" && ".join(["context.a"] * 4_000)),
    "or": when(" || ".join(["a"] * (MAX_NESTING + 2))),
    "sums": when("+".join(["1"] * 20_000) + " == 1"),
    "products": when("*".join(["1"] * 20_000) + " == 1"),
    "attributes": when("context" + ".a" * 20_000),
    "indexes": when("context" + '["a"]' * 8_000),
    "ifs": when("if true then true else " * 2_000 + "true"),
    "paths": when("context has a" + ".a" * 4_000),
    "paths in paths": when("(" * 20 + "context has a.b" + ") has a.b" * 20),
    "bangs": when("!" * 60_000 + "true"),
    "paths in records": when("{a: (" * 12 + "context has a.b" + ")}.a has a.b" * 12),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_rule_is_refused_quickly(name: str) -> None:
    began = time.perf_counter()
    chunks, troubles = scan(HOSTILE[name])
    assert chunks == []
    assert len(troubles) == 1
    assert time.perf_counter() - began < 1


def test_a_hostile_rule_does_not_take_its_neighbours_with_it() -> None:
    fine = HEAD.replace('"r"', '"fine"') + ";"
    chunks, troubles = scan("\n".join([fine, HOSTILE["and"], fine]))
    assert [chunk.text for chunk in chunks] == [fine, fine]
    assert len(troubles) == 1


BORDER = {
    "brackets": when("(" * (MAX_BRACKETS - 1) + "true" + ")" * (MAX_BRACKETS - 1)),
    "and": when(" && ".join(["true"] * (MAX_NESTING - 5))),
    "sums": when("+".join(["1"] * (MAX_NESTING - 5)) + " == 1"),
    "ifs": when("if true then true else " * (MAX_NESTING - 5) + "true"),
    "attributes": when("context" + ".a" * (MAX_NESTING - 5)),
    "paths": when("context has a" + ".a" * 60),
    "paths in paths": when("(((((context has a.b) has a.b) has a.b) has a.b) has a.b) has a.b"),
    "both": when("(" * 50 + " && ".join(["true"] * (MAX_NESTING - 70)) + ")" * 50),
    "wide": when("[" + ",".join(["1"] * 20_000) + "].contains(1)"),
    "relations": when(" == ".join(["1"] * 12_000)),
    "names": when("::".join(["A"] * 15_000) + '::"x" == principal'),
    "clauses": f"{HEAD} {'when { true } ' * (MAX_NESTING - 5)};",
    "strings": when('"' + "\\u{61}" * 9_000 + '" == ""'),
    "and, as Cedar's tree allows": when(" && ".join(["true"] * 99)),
    "or, as Cedar's tree allows": when(" || ".join(["principal.blocked"] * 97)),
    "sums, as Cedar's tree allows": when("+".join(["1"] * 97) + " == 97"),
    "ifs, as Cedar's tree allows": when("if principal.blocked then true else " * 97 + "true"),
    "nested alternatives": when("(principal.blocked || (principal.active && " * 29 + "true" + "))" * 29),
    "attributes, as Cedar's tree allows": when("context" + ".a" * 97),
    "types in types": when("(if principal.active then principal else resource) is User in " + "[" * 40 + "]" * 40),
}


@pytest.mark.parametrize("where", ["main", "thread"])
def test_what_passes_the_scan_cannot_kill_the_parser(where: str) -> None:
    """The largest texts that the scan lets through, in a process of their own: it must end by itself."""
    program = (
        "import sys, threading\n"
        "from mintwarden.policy.cedar.rules import compile_rules\n"
        "from mintwarden.policy.cedar.smallest import smallest_change\n"
        "from mintwarden.policy.cedar.walk import walk\n"
        "from tests.unit.policy.cedar.asking import SCOPES, question\n"
        "from tests.unit.policy.cedar.test_scan import BORDER\n"
        "def go():\n"
        "    for text in BORDER.values():\n"
        "        made = compile_rules([('a', text)], scopes=SCOPES)\n"
        "        for scope in SCOPES:\n"
        "            part = made.slice('issue', scope)\n"
        "            asked = question()\n"
        "            assert part.evaluate(*asked) == part.oracle.evaluate(*asked)\n"
        "            for rule in part.rules:\n"
        "                walk(rule, asked), smallest_change(rule, asked)\n"
        "    print('alive')\n"
        "if sys.argv[1] == 'main':\n"
        "    go()\n"
        "else:\n"
        "    worker = threading.Thread(target=go)\n"
        "    worker.start()\n"
        "    worker.join()\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, where], capture_output=True, text=True, check=False)
    assert ended.stdout == "alive\n", ended.stderr


def test_the_borders_pass_the_scan() -> None:
    for name, text in BORDER.items():
        _, troubles = scan(text)
        assert troubles == [], name


@pytest.mark.parametrize("name", [name for name in BORDER if "allows" in name or "alternatives" in name])
def test_what_cedar_allows_is_compiled(name: str) -> None:
    made = compile_rules([("a", BORDER[name])], scopes=SCOPES)
    assert made.problems == ()
    part = made.slice("issue", "payments:read")
    assert part.evaluate(*question()) == part.oracle.evaluate(*question())
