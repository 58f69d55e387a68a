"""`mintwarden policy test PATH`: do the scenarios pass, what do they see, and what would they notice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import cyclopts
import msgspec

from mintwarden.app.cli.command import Command
from mintwarden.app.cli.plain import plain
from mintwarden.app.cli.report_file import is_streamed, report_option, write_report
from mintwarden.app.reviews.scenarios import Outcome, as_json, tried
from mintwarden.app.reviews.spread import PAYS, workers_of
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.policy.bundle.load import build_bundle
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.bundle.problem import Problems
from mintwarden.policy.bundle.read import read_bundle
from mintwarden.review.coverage import Covered, RuleCoverage
from mintwarden.review.junit import junit as junit_xml
from mintwarden.review.mutants import mutants_in

app = Command(name="test")

Folder = Annotated[Path, cyclopts.Parameter(help="The bundle: a folder with a `bundle.toml`.")]
AsJson = Annotated[bool, cyclopts.Parameter(name="--json", negative="", help="For a machine to read.")]
Junit = Annotated[Path | None, report_option("--junit", help="Also write the results there as JUnit XML.")]
Mutants = Annotated[
    bool,
    cyclopts.Parameter(name="--mutants", negative="", help="Also change each rule in one place and see who notices."),
]
Least = Annotated[
    int, cyclopts.Parameter(name="--at-least", help="With `--mutants`: the per cent of mutants that must be noticed.")
]
Verbose = Annotated[
    bool,
    cyclopts.Parameter(name=["--verbose", "-v"], negative="", help="List what was not seen true or not seen false."),
]


Workers = Annotated[
    int, cyclopts.Parameter(help="Processes; where that is worth their start, as many as there are processors.")
]


@app.default
def run(
    path: Folder,
    /,
    *,
    mutants: Mutants = False,
    at_least: Least = 0,
    json: AsJson = False,
    junit: Junit = None,
    verbose: Verbose = False,
    workers: Workers = 0,
) -> int:
    """Run a bundle's scenarios, and say which rules and conditions they have seen both true and false.

    With `--mutants`, conditions are negated, thresholds moved, permits widened and forbids removed, one at a time;
    each that no scenario notices is listed with the scenario to write. None are made while a scenario fails.

    Exit code 0 when all is well, 1 when a scenario comes out otherwise or too few mutants are noticed, 2 when the
    bundle cannot be used.
    """
    streamed = is_streamed("--junit", junit, json=json)
    if not 0 <= at_least <= 100 or (at_least and not mutants):
        what = f"`--at-least {at_least}` is not a share of mutants that are made"
        raise MintwardenError(ErrorKind.INVALID_REQUEST, what, hint="give it with `--mutants`, from 0 to 100")
    problems = Problems()
    texts = read_bundle(path, problems)
    bundle = build_bundle(texts, problems)
    outcome = tried(
        bundle,
        texts,
        mutants=mutants,
        at_least=at_least,
        workers=workers_of(workers, pays=_pays(bundle, mutants=mutants)),
    )
    if junit is not None:
        write_report(junit, junit_xml(outcome.results, name=bundle.catalogue.name))
    if json:
        print(msgspec.json.format(msgspec.json.encode(as_json(outcome))).decode())
    elif not streamed:
        _print(path, outcome, verbose=verbose)
    return 0 if outcome.ok else 1


def _pays(bundle: Bundle, *, mutants: bool) -> bool:
    return len(bundle.scenarios) + (len(mutants_in(bundle)) if mutants else 0) >= PAYS


def _print(path: Path, outcome: Outcome, *, verbose: bool) -> None:
    from rich.console import Console
    from rich.text import Text

    terminal = Console()
    out = Console(width=None if terminal.is_terminal else 10_000, highlight=False, markup=False, soft_wrap=True)
    root = str(path).rstrip("/")
    for result in outcome.results:
        if not result.passed:
            where = f"{root}/{result.file}:{result.line}"
            out.print(Text.assemble((where, "bold"), ": ", (plain(f"scenario {result.id}"), "red")))
            out.print(Text(plain(f"  {result.why}"), "dim"))
            for difference in result.differences:
                out.print(Text(plain(f"  {difference.what}")))
                out.print(Text(plain(f"    - {difference.expected}"), "green"))
                out.print(Text(plain(f"    + {difference.got}"), "red"))
                if difference.note:
                    out.print(Text(plain(f"      {difference.note}"), "dim"))
    if verbose:
        for line in _unseen(root, outcome.rules):
            out.print(Text(plain(line)))
    for one in outcome.mutations or ():
        if not one.killed_by:
            rule = one.mutant.original
            out.print(
                Text.assemble((f"{root}/{rule.file}:{rule.line}", "bold"), plain(f": nobody notices {one.mutant.text}"))
            )
            out.print(Text(plain(f"  write {one.mutant.write}"), "dim"))
    for line in _summary(outcome):
        out.print(Text(line, "green" if outcome.ok else "red"))


def _unseen(root: str, rules: Iterable[RuleCoverage]) -> Iterable[str]:
    for rule in rules:
        where = f"{root}/{rule.file}:{rule.line}: rule {rule.id}"
        if not rule.rule.is_whole:
            yield f"{where} was never seen to {_missing(rule.rule, 'hold', 'not hold')}"
        for condition in rule.conditions:
            if not condition.is_whole:
                yield f"{where}: `{condition.text}` was never seen {_missing(condition, 'true', 'false')}"


def _missing(covered: Covered, true: str, false: str) -> str:
    return " or ".join(word for word, seen in ((true, covered.true), (false, covered.false)) if not seen)


def _summary(outcome: Outcome) -> Iterable[str]:
    passed = sum(1 for result in outcome.results if result.passed)
    yield f"scenarios: {passed} of {len(outcome.results)} came out as they say"
    yield _counted("rules that held and did not", [rule.rule for rule in outcome.rules])
    yield _counted("conditions seen true and false", [c for rule in outcome.rules for c in rule.conditions])
    if outcome.mutations is not None:
        killed = sum(1 for one in outcome.mutations if one.killed_by)
        yield f"mutants noticed: {killed} of {len(outcome.mutations)} ({outcome.score:.1f} %)"
    elif outcome.wants_mutants:
        yield "mutants: none made while a scenario fails"


def _counted(what: str, covered: Sequence[Covered]) -> str:
    return f"{what}: {sum(1 for one in covered if one.is_whole)} of {len(covered)}"
