"""What people write in their first rules who know other languages: found in text that Cedar could not parse.

Cedar says of most of these that a token is unexpected or invalid. Nothing here judges a rule: it is asked once the
parser has refused the text, and only says which well-known mistake stands in its beginning.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from msgspec import Struct

LOOKED_AT = 8 * 1024
"""Characters of a rule that are looked at: a flood of long rules must not be slow."""


class Slip(Struct, frozen=True):
    """A mistake at `offset`, and what to write."""

    offset: int
    message: str
    remedy: str


class _Kind(Struct, frozen=True):
    """`tell` gives message and remedy for the text that the pattern found."""

    pattern: str
    tell: Callable[[str], tuple[str, str]]


_STRING = r'"(?:[^"\\]|\\.)*+"'
_FINE = rf"{_STRING}|//[^\n]*+|@\s*+\w++\s*+\(\s*+{_STRING}\s*+\)(?!\s*+;)"
_FOREIGN = re.compile(rf"{_STRING}|//[^\n]*+|(?P<foreign>\#[^\n]*+|/\*.*?(?:\*/|\Z))", re.DOTALL)


def _write(message: str, remedy: str) -> Callable[[str], tuple[str, str]]:
    return lambda found: (message.format(found), remedy.format(found))


_OPERATORS = {"and": "&&", "or": "||", "not": "!"}
_KINDS = (
    _Kind(
        r"@\s*+\w++\s*+\([^\n;]*?\)\s*+;",
        _write("the `;` ends the rule behind its annotation", "leave it out: it stands behind the whole rule"),
    ),
    _Kind(
        r"@\s*+\w++\s*+(?:[:=]|\(\s*+(?=[^\s\"]))",
        lambda found: (
            "the value of an annotation stands between `(\"` and `\")`",
            f'write `{found.rstrip("(:= ")}("...")`',
        ),
    ),
    _Kind(
        r"'[^'\n]*+'|[\u2018-\u201f\u00ab][^\n\u2018-\u201f\u00bb\"]*+[\u2018-\u201f\u00bb\"]",
        lambda found: ("text stands between straight double quotes", f'write `"{found[1:-1][:60]}"`'),
    ),
    _Kind(r"[=!]==", lambda found: (f"`{found}` is no comparison", f"write `{found[:2]}`")),
    _Kind(r"<>", _write("`<>` is no comparison", "write `!=`")),
    _Kind(r"(?<![=!<>])=(?!=)", _write("`=` is no comparison", "write `==`")),
    _Kind(r"(?<!&)&(?!&)", _write("a single `&` joins no conditions", "write `&&`")),
    _Kind(r"(?<!\|)\|(?!\|)", _write("a single `|` joins no conditions", "write `||`")),
    _Kind(
        r"(?<![.\w:])(?:and|or|not|AND|OR|NOT|And|Or|Not)\b(?!\s*+:)",
        lambda found: (f"`{found}` joins no conditions", f"write `{_OPERATORS[found.lower()]}`"),
    ),
    _Kind(
        r"(?<![.\w])(?:null|NULL|None|nil|undefined)\b",
        _write("there is no `{}`: a fact is there or it is not", "ask with `has`, such as `principal has department`"),
    ),
    _Kind(
        r"(?<![.\w])(?:True|False|TRUE|FALSE)\b",
        lambda found: (f"`{found}` is not known", f"write `{found.lower()}`"),
    ),
    _Kind(
        r"(?<![.\w])(?:allow|Allow|ALLOW|grant|Permit|PERMIT)\b(?=\s*+\()",
        _write("`{}` begins no rule", "write `permit`"),
    ),
    _Kind(
        r"(?<![.\w])(?:deny|Deny|DENY|Forbid|FORBID)\b(?=\s*+\()",
        _write("`{}` begins no rule", "write `forbid`"),
    ),
    _Kind(r"(?<![.\w])(?:if|where|When|WHEN)\b(?=\s*+\{)", _write("`{}` begins no conditions", "write `when`")),
    _Kind(
        r"(?<![.\w])(?:when|unless)\b(?!\s*+\{|\s*+//)",
        _write("the conditions of `{0}` stand in braces", "write `{0} {{ ... }}`"),
    ),
    _Kind(
        r"(?<![:\w])[A-Z]\w*+:(?=\")",
        lambda found: (f"`{found}` lacks a colon", f'write `{found}:"..."`'),
    ),
    _Kind(r"(?<![.\w])\d++\.\d++", _write("`{0}` is no whole number", 'use whole numbers, or `decimal("{0}")`')),
    _Kind(
        r"\.(?:startsWith|endsWith|matches|includes|indexOf|toLowerCase|lower|upper)\b(?=\s*+\()",
        _write("`{}` is nothing that Cedar can do", 'compare with `like "a*"`, where `*` stands for anything'),
    ),
    _Kind(
        r"[})](?:\s++|//[^\n]*+)*+(?=@|(?:permit|forbid)\b\s*+\()",
        _write("the rule does not end with `;`", "write `;` behind it"),
    ),
    _Kind(
        r"(?<=[\w\"\]])\s++(?=(?:action|resource)\b\s*+(?:==|in\b|,|\)))",
        _write("a `,` is missing in the rule's head", "write `permit (principal, action, resource)`, with the commas"),
    ),
    _Kind(r"--", _write("`--` begins no comment", "write `//`")),
)  # fmt: skip
_SLIP = re.compile(
    rf"(?:{_FINE})|" + "|".join(f"(?P<k{number}>{kind.pattern})" for number, kind in enumerate(_KINDS)), re.DOTALL
)
_REMEDIES = (
    (re.compile(r"expected an entity uid"), 'write its type before it: `Scope::"..."`, `Action::"..."`, `User::"..."`'),
    (re.compile(r"condition clause cannot be empty"), "write a condition into it, or leave it out"),
    (re.compile(r"invalid variable"), 'a fact stands behind `principal.` or `context.`, text between `"`'),
    (re.compile(r"is missing the `\w+` variable"), 'write `permit (principal, action, resource == Scope::"...")`'),
    (re.compile(r"invalid policy effect"), "a rule begins with `permit (` or `forbid (`, behind its annotations"),
    (re.compile(r"invalid policy condition"), "conditions begin with `when {` or `unless {`"),
)


def slip_in(text: str) -> Slip | None:
    """The first well-known mistake in a text that is no Cedar, outside of its strings and comments."""
    for match in _SLIP.finditer(text, 0, LOOKED_AT):
        if match.lastgroup is not None:
            message, remedy = _KINDS[int(match.lastgroup[1:])].tell(match.group().strip().lstrip("."))
            return Slip(match.start(), message, remedy)
    return None


def remedy_for(message: str) -> str:
    """What to do about an error of Cedar's parser, as well as its message tells."""
    found = (remedy for pattern, remedy in _REMEDIES if pattern.search(message))
    return next(found, "see docs/bundle.md, section rules")


def foreign_comments(text: str) -> tuple[str, list[Slip]]:
    """The text with blanks for comments of other languages, and one finding for each run of such lines."""
    slips: list[Slip] = []
    parts: list[str] = []
    end = 0
    for match in _FOREIGN.finditer(text):
        if match["foreign"] is None:
            continue
        between = text[end : match.start()]
        if not slips or between.strip():
            sign = "#" if match["foreign"].startswith("#") else "/*"
            slips.append(Slip(match.start(), f"`{sign}` begins no comment in Cedar", "write `//` before each line"))
        parts += (between, re.sub(r"[^\n]", " ", match.group()))
        end = match.end()
    return "".join((*parts, text[end:])), slips
