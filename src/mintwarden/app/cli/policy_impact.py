"""`mintwarden policy impact NEW`: what another bundle would have made of the recorded decisions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts

from mintwarden.app.cli.command import Command
from mintwarden.app.cli.report_file import is_streamed, report_option, write_report

app = Command(name="impact")

if TYPE_CHECKING:
    from mintwarden.app.impact import Work
    from mintwarden.review.impact.state import State
    from mintwarden.review.replay import Replayer

New = Annotated[
    str,
    cyclopts.Parameter(help="A folder, `git:<revision>:<path>`, `sha256:<digest>` of a kept version, or `active`."),
]
ConfigFile = Annotated[Path, cyclopts.Parameter(name=["--config", "-c"], help="The configuration file.")]
AsJson = Annotated[bool, cyclopts.Parameter(name="--json", negative="", help="For a machine to read.")]
Markdown = Annotated[
    Path | None, report_option("--markdown", help="Also write it there, for the discussion of a change.")
]
Since = Annotated[str, cyclopts.Parameter(help="From then on: `30d`, `12h`, or a time such as `2026-11-01`.")]
Until = Annotated[str, cyclopts.Parameter(help="Up to then.")]
Clients = Annotated[tuple[str, ...], cyclopts.Parameter(name="--client", negative="", help="Only these clients.")]
Audiences = Annotated[
    tuple[str, ...], cyclopts.Parameter(name="--audience", negative="", help="Only these audiences, by id.")
]
Scopes = Annotated[
    tuple[str, ...], cyclopts.Parameter(name="--scope", negative="", help="Only where one of these was asked for.")
]
Limit = Annotated[int, cyclopts.Parameter(help="Look at so many entries at most, the latest ones.")]
WithoutGroups = Annotated[
    tuple[str, ...], cyclopts.Parameter(name="--without-group", negative="", help="Suppose that nobody is in it.")
]
SourcesDown = Annotated[
    tuple[str, ...], cyclopts.Parameter(name="--source-down", negative="", help="Suppose that it does not answer.")
]
Under = Annotated[
    tuple[str, ...],
    cyclopts.Parameter(name="--under", negative="", help="A bundle that decided and is not kept in the store."),
]
Resume = Annotated[
    Path | None, cyclopts.Parameter(name="--resume", help="Keep the state there, and go on from it if there is one.")
]
Workers = Annotated[int, cyclopts.Parameter(help="Processes; as many as there are processors unless given.")]
FailOn = Annotated[
    str, cyclopts.Parameter(help="End with 1 if any of these occur: kinds of change, `unreplayable`; with commas.")
]
ShowSubjects = Annotated[bool, cyclopts.Parameter(negative="", help="Name the people of the examples.")]
ShowValues = Annotated[bool, cyclopts.Parameter(negative="", help="Show the values of facts and claims.")]


@app.default
def run(
    new: New,
    /,
    *,
    since: Since = "",
    until: Until = "",
    client: Clients = (),
    audience: Audiences = (),
    scope: Scopes = (),
    limit: Limit = 0,
    without_group: WithoutGroups = (),
    source_down: SourcesDown = (),
    under: Under = (),
    resume: Resume = None,
    workers: Workers = 0,
    fail_on: FailOn = "",
    show_subjects: ShowSubjects = False,
    show_values: ShowValues = False,
    json: AsJson = False,
    markdown: Markdown = None,
    config: ConfigFile = Path("mintwarden.toml"),
) -> int:
    """Replay the recorded decisions, with the facts as they were, under another bundle.

    Tells which tokens would have been gained, lost or changed, by client, audience, scope, tenant and rule, and why.
    Decisions that cannot be replayed are counted by cause. With `active`, every decision that the bundle itself
    made must come out byte for byte; with `--without-group` and `--source-down`, other facts are supposed.

    Exit code 0; 1 when something of `--fail-on` occurs or a decision of the same bundle comes out differently; 2 for
    bad input; 3 when the store or a worker is gone.
    """
    import msgspec

    from mintwarden.app.config import load_config
    from mintwarden.app.impact import replayer_of
    from mintwarden.app.reviews.impact import kinds_named, prepared, reported, time_named
    from mintwarden.app.reviews.spread import workers_of
    from mintwarden.model.errors import ErrorKind, MintwardenError
    from mintwarden.review.hypothesis import Hypothesis
    from mintwarden.review.impact.examples import Show
    from mintwarden.review.impact.render import markdown as as_markdown
    from mintwarden.review.impact.render import text_lines
    from mintwarden.review.impact.walk import Filters

    streamed = is_streamed("--markdown", markdown, json=json)
    wanted = kinds_named(fail_on)
    if limit < 0:
        raise MintwardenError(ErrorKind.CONFIG, f"`--limit {limit}` is no number of entries", hint="leave it out")
    now = int(datetime.now(UTC).timestamp() * 1000)
    filters = Filters(
        since=time_named(since, now), until=time_named(until, now), clients=frozenset(client),
        audiences=frozenset(audience), scopes=frozenset(scope),
    )  # fmt: skip
    hypothesis = Hypothesis(without_groups=without_group, sources_down=source_down)
    loaded = load_config(config)
    asking = (new, since, until, sorted(client), sorted(audience), sorted(scope), limit, without_group, source_down)
    work, state = asyncio.run(prepared(loaded, new, under, filters, hypothesis, asking, limit, resume))
    replayer = replayer_of(work)
    _replay(work, state, replayer, resume, workers_of(workers))
    found = asyncio.run(reported(loaded, state, replayer, hypothesis, Show(show_subjects, show_values), wanted))
    if markdown is not None:
        write_report(markdown, as_markdown(found))
    if json:
        print(msgspec.json.format(msgspec.json.encode(found)).decode())
    elif not streamed:
        for line in text_lines(found):
            print(line)
    return 0 if found["ok"] else 1


def _replay(work: Work, state: State, replayer: Replayer, resume: Path | None, workers: int) -> None:
    from mintwarden.app.impact import run_ranges
    from mintwarden.review.impact.state import RANGE, write_state

    left = sum(end - start for start, end in state.left())
    workers = min(workers, -(-left // RANGE)) or 1  # no process without a range of its own
    with _progress(state) as tell:

        def each(state: State) -> None:
            if resume is not None:
                write_state(resume, state)
            tell(state)

        run_ranges(work, state, workers=workers, each=each, replayer=replayer)


@contextmanager
def _progress(state: State) -> Iterator[Callable[[State], None]]:
    """A bar on the terminal, where there is one."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("replaying", total=state.end - state.first, completed=state.leaves_done)

        def tell(state: State) -> None:
            changed = state.tally.replayed - state.tally.unchanged
            bar.update(task, completed=state.leaves_done, description=f"replaying, {changed:,} changed")

        yield tell
