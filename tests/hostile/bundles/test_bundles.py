"""Hostile bundles are refused, within bounded time and memory, and never take the process with them.

All are checked by one other process with 60 seconds of CPU and 1 GiB of memory: a parser that recurses, multiplies
or never ends is a failure, not a slow test, and the last line of that process says whose.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mintwarden.policy.bundle.read import MAX_FILE

STARTER = Path(__file__).parents[3] / "src/mintwarden/app/starter/bundle"

RULE = '@id("x")\n@owner("o")\n@reason("r")\npermit (principal, action, resource == Scope::"orders:read")\nwhen {{ {0} }};\n'


def _rule(condition: str) -> Callable[[Path], None]:
    return lambda root: _append(root / "rules/orders.cedar", RULE.format(condition))


def _claim(expression: str) -> Callable[[Path], None]:
    text = f'\n[claims.x]\ntype = "set<string>"\nsource = "request"\nderive = {json.dumps(expression)}\n'
    return lambda root: _append(root / "claims.toml", text)


def _condition(expression: str) -> Callable[[Path], None]:
    def write(root: Path) -> None:
        login = root / "issuers/login.toml"
        text = login.read_text(encoding="utf-8")
        login.write_text(text.replace('"claims.email_verified == true"', json.dumps(expression)), encoding="utf-8")

    return write


def _toml(text: str) -> Callable[[Path], None]:
    return lambda root: _append(root / "sources.toml", text)


def _data(name: str, data: bytes) -> Callable[[Path], None]:
    return lambda root: _put(root / name, data)


def _append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as out:
        out.write(text)


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _many_files(root: Path) -> None:
    for number in range(5_001):
        (root / f"tests/t{number}.toml").touch()


def _many_bytes(root: Path) -> None:
    for number in range(34):
        _put(root / f"rules/r{number}.cedar", b"// x\n" * (MAX_FILE // 5))


def _deep_folders(root: Path) -> None:
    _put(root / "rules" / "/".join("d" * 12) / "r.cedar", b"")


def _flood(root: Path, condition: str, scope: str) -> None:
    """Thousands of rules with one mistake each, beside thousands of names that they might have meant."""
    with (root / "audiences/many.toml").open("w", encoding="utf-8") as out:
        out.write('[audience]\nid = "many"\nidentifier = "urn:many"\ndescription = "x"\nowner = "x"\n')
        out.write('environments = ["production"]\nmax_ttl = "1m"\n')
        for number in range(2_000):
            out.write(f'[scopes."many:scope{number}"]\nmeaning = "x"\ntier = "low"\n')
    for part in range(10):
        with (root / f"rules/flood{part}.cedar").open("w", encoding="utf-8") as out:
            for number in range(1_000):
                head = RULE.format(condition).replace("orders:read", f"many:scope{number}{scope}")
                out.write(head.replace('"x"', f'"x-{part}-{number}"', 1))


def _file_for_a_folder(root: Path) -> None:
    shutil.rmtree(root / "issuers")
    _put(root / "issuers", b"")


def _fifo(root: Path) -> None:
    os.mkfifo(root / "rules/pipe.cedar")


SCOPES = [f'"orders:{number}"' for number in range(900)]

TEXTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "toml-arrays-nested": (_toml(f"\nx = {'[' * 100_000}{']' * 100_000}\n"), "nested deeper"),
    "toml-tables-nested": (_toml(f"\nx = {'{a = ' * 50_000}1{'}' * 50_000}\n"), "nested deeper"),
    "toml-dotted-key": (_toml(f"\n{'.'.join('a' * 200_000)} = 1\n"), "nested deeper"),
    "toml-dotted-header": (_toml(f"\n[{'.'.join('a' * 200_000)}]\n"), "nested deeper"),
    "toml-spaced-dots": (_toml(f"\n{' . '.join('a' * 100_000)} = 1\n"), "nested deeper"),
    "toml-many-keys": (_toml("\n[sources.risk.more]\n" + "".join(f"{n:x}=1\n" for n in range(100_001))), "keys"),
    "toml-long-number": (_toml(f"\nx = {'9' * 500_000}\n"), "is not TOML"),
    "toml-long-hex": (_toml(f"\nx = 0x{'f' * 500_000}\n"), "neither a type"),
    "toml-open-string": (_toml('\nx = "' + "a" * 500_000), "is not TOML"),
    "toml-open-long-string": (_toml('\nx = """' + '"" ' * 200_000), "is not TOML"),
    "toml-backslashes": (_toml('\nx = "' + "\\" * 500_001 + '"\n'), "is not TOML"),
    "toml-hash-quotes": (_toml("\n#" + '"' * 900_000 + "\nx = 1\n"), "neither a type"),
    "toml-many-errors": (
        _toml("\n[sources.risk.facts.f]\n" + "".join(f"k{n} = 1\n" for n in range(90_000))),
        "unknown",
    ),
    "cedar-parentheses": (_rule(f"{'(' * 20_000}true{')' * 20_000}"), "brackets are nested"),
    "cedar-sets": (_rule(f"{'[' * 20_000}{']' * 20_000} == []"), "brackets are nested"),
    "cedar-not": (_rule("!" * 50_000 + "true"), "too long"),
    "cedar-or": (_rule(" || ".join(["true"] * 8_000)), "too long"),
    "cedar-if": (_rule("if true then true else " * 2_000 + "true"), "too long"),
    "cedar-dots": (_rule("context" + ".a" * 20_000 + " == 1"), "too long"),
    "cedar-has": (_rule("principal has a" + ".a" * 20_000), ""),
    "cedar-open-string": (_rule('"' + "a" * 100_000), "string is never closed"),
    "cedar-long-rule": (_rule('"' + "a" * 100_000 + '" == "b"'), "longer than 64 KiB"),
    "cedar-no-end": (_data("rules/c.cedar", b"permit (" * 100_000), ""),
    "cel-parentheses": (_claim("(" * 190 + "1" + ")" * 190), "nested deeper"),
    "cel-long": (_claim("1 + " * 100_000 + "1"), "`derive` has 400001 characters"),
    "cel-longish": (_claim('"' + "a" * 1_000 + '"'), "longer than 1000"),
    "cel-many-words": (_claim("1+" * 499 + "1"), "words"),
    "cel-signs": (_claim("!" * 390 + "true"), "too many signs"),
    "cel-choices": (_claim("true ? 1 : " * 60 + "1"), "choices"),
    "cel-nested-comprehensions": (_claim("scopes.map(a, scopes.map(b, scopes.map(c, a + b + c)))"), "inside another"),
    "cel-nested-in-receiver": (_claim("scopes.map(a, [a].map(b, b))"), "inside another"),
    "cel-doubling": (_claim("scopes" + ".map(x, x + x)" * 30), "more than 2"),
    "cel-multiplying": (_claim(f"scopes.map(x, {'+'.join('x' * 100)})"), "used more than 4 times"),
    "cel-reads-within": (
        _claim("scopes.map(x, subject.department + subject.department + subject.department)"),
        "reads",
    ),
    "cel-pattern": (_claim('scopes.filter(s, s.matches("(a*)*b"))'), "`matches` may stand"),
    "cel-huge-pattern": (_claim(f'[subject.department.matches("{"(" * 150}a{"){9}" * 40}")]'), "pattern written out"),
    "cel-pattern-of-facts": (_claim("[subject.department.matches(subject.department)]"), "pattern written out"),
    "cel-whole-subject": (_claim("subject.map(x, x)"), "fact by fact"),
    "cel-shadowing": (_claim("scopes.map(subject, subject)"), "a name of its own"),
    "cel-condition-nested": (_condition("claims.a.all(x, claims.b.all(y, claims.c.all(z, z == y)))"), "inside another"),
    "cel-condition-deep": (_condition("(" * 190 + "claims.a" + ")" * 190), "nested deeper"),
    "flood-of-unknown-scopes": (lambda root: _flood(root, "true", "-not"), "there is no scope"),
    "flood-of-unknown-facts": (lambda root: _flood(root, "principal.departmnt == 1", ""), "no source provides"),
    "flood-of-unknown-keys": (_toml("".join(f"\n[sources.s{n}]\nkint = 1\n" for n in range(190))), "unknown key"),
    "flood-of-ceilings": (
        lambda root: _replace(root / "clients/shop-web.toml", '"orders:write"]', f"{', '.join(SCOPES)}]"),
        "has no scope",
    ),
    "flood-of-repetition": (
        lambda root: _replace(root / "clients/shop-web.toml", '"orders:write"]', f"{', '.join(SCOPES[:1] * 900)}]"),
        "stands twice",
    ),
    "bytes-not-utf-8": (_data("claims.toml", b'[claims.x]\ntype = "\xff\xfe"\n'), "is not UTF-8"),
    "bytes-utf-16": (_data("claims.toml", '[claims.x]\ntype = "string"'.encode("utf-16")), "is not UTF-8"),
    "bytes-surrogates": (_data("claims.toml", b'x = "\xed\xa0\x80"\n'), "is not UTF-8"),
    "bytes-overlong": (_data("claims.toml", b'x = "\xc0\xaf"\n'), "is not UTF-8"),
    "bytes-nul": (_data("rules/n.cedar", b"// \x00\n"), "NUL"),
    "file-too-large": (_data("rules/l.cedar", b" " * (MAX_FILE + 1)), "larger than 1 MiB"),
    "bundle-too-large": (_many_bytes, "larger than 32 MiB"),
    "too-many-files": (_many_files, "more than 5000 files"),
    "folders-too-deep": (_deep_folders, "nested deeper than 8"),
    "unknown-file": (_data("notes.txt", b""), "not a file or folder of a bundle"),
    "unknown-folder": (_data("rule/x.cedar", b""), "not a file or folder of a bundle"),
    "unknown-ending": (_data("rules/x.cedar.bak", b""), "only `*.cedar` files"),
    "hidden-file": (_data("rules/.x.cedar", b""), "the name is not letters"),
    "name-with-escapes": (_data("rules/\x1b[31mx\n.cedar", b""), "the name is not letters"),
    "name-beyond-ascii": (_data("rules/\u202excedar.cedar", b""), "the name is not letters"),
    "folder-for-a-file": (lambda root: (root / "rules/x.cedar").mkdir(), "not a regular file"),
    "file-for-a-folder": (_file_for_a_folder, "is not a folder"),
    "link-to-a-file-outside": (lambda root: (root / "rules/x.cedar").symlink_to("/etc/passwd"), "leads out"),
    "link-to-a-folder-outside": (lambda root: (root / "rules/x").symlink_to("/etc"), "leads out"),
    "link-up": (lambda root: (root / "rules/x").symlink_to("../.."), "leads out"),
    "link-to-itself": (lambda root: (root / "rules/x.cedar").symlink_to("x.cedar"), "cannot be read"),
    "link-in-a-circle": (lambda root: (root / "rules/x").symlink_to("."), "nested deeper than 8"),
    "link-to-nothing": (lambda root: (root / "rules/x.cedar").symlink_to("gone.cedar"), "cannot be read"),
    "pipe": (_fifo, "not a regular file"),
    "device": (lambda root: (root / "rules/x.cedar").symlink_to("/dev/zero"), "leads out"),
}

PROGRAM = """
import json, sys
from mintwarden.review.check import check
for line in sys.stdin:
    report = check(line.rstrip("\\n"))
    print(json.dumps([line.rstrip("\\n"), report.exit_code, [str(problem) for problem in report.problems]]), flush=True)
"""


def _limits() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))


def _check(*paths: Path) -> dict[str, tuple[int, list[str]]]:
    """Exit code and problems of each path; those after one that took the process with it are missing."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input="".join(f"{path}\n" for path in paths),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        preexec_fn=_limits,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {path: (code, problems) for path, code, problems in lines}


pytestmark = pytest.mark.xdist_group("bundles")


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """Every hostile bundle's outcome by its name."""
    roots = {}
    for name, (make, _) in TEXTS.items():
        roots[name] = tmp_path_factory.mktemp("hostile") / name
        shutil.copytree(STARTER, roots[name])
        make(roots[name])
    outcomes = _check(*roots.values())
    yield {name: outcomes.get(str(root)) for name, root in roots.items()}
    for root in roots.values():
        shutil.rmtree(root)


@pytest.mark.parametrize("name", TEXTS)
def test_a_hostile_bundle_is_refused(name, checked):
    assert checked[name] is not None, "the process did not survive this bundle, or one before it"
    code, problems = checked[name]
    message = TEXTS[name][1]
    assert code == 2
    assert any(message in problem for problem in problems), problems[:5]
    assert len(problems) <= 201
    assert all(len(problem) < 2_000 and "\n" not in problem for problem in problems)


def test_a_link_that_stays_inside_is_followed(tmp_path):
    root = tmp_path / "bundle"
    shutil.copytree(STARTER, root)
    (root / "rules/night").mkdir()
    (root / "rules/orders.cedar").rename(root / "rules/night/real.cedar")
    (root / "rules/linked").symlink_to("night")
    ((_, (code, problems)),) = _check(root).items()
    assert code == 2  # the same rules twice
    assert all("is taken by the rule" in problem for problem in problems)
    (root / "rules/linked").unlink()
    assert _check(root) == {str(root): (0, [])}


@pytest.mark.parametrize("path", [STARTER / "gone", STARTER / "bundle.toml"])
def test_what_is_no_folder_is_refused(path):
    code, problems = _check(path)[str(path)]
    assert code == 2
    assert "is not a folder" in problems[0]


def test_an_empty_folder_is_refused(tmp_path):
    code, problems = _check(tmp_path)[str(tmp_path)]
    assert code == 2
    assert problems[0].startswith("audiences: there is no audience")
