"""`mintwarden policy diff OLD NEW`: what a change of the policy changes, as it is written and as it decides."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import cyclopts
import msgspec

from mintwarden.app.bundle_texts import texts_named
from mintwarden.app.cli.command import Command
from mintwarden.app.cli.report_file import is_streamed, report_option, write_report
from mintwarden.policy.diff.diff import diff
from mintwarden.policy.diff.edition import edition_of
from mintwarden.policy.diff.text import markdown_of, plain_of, text_of

app = Command(name="diff")

OldBundle = Annotated[
    str,
    cyclopts.Parameter(
        name="OLD", help="A folder, `git:REVISION[:PATH]`, or of the store `active` or a version's `sha256:...`."
    ),
]
NewBundle = Annotated[str, cyclopts.Parameter(name="NEW", help="The same for what is compared with it.")]
ConfigFile = Annotated[
    Path, cyclopts.Parameter(name=["--config", "-c"], help="The configuration whose store keeps versions.")
]
AsJson = Annotated[bool, cyclopts.Parameter(name="--json", negative="", help="For a machine to read.")]
Markdown = Annotated[
    Path | None, report_option("--markdown", help="Also write it there as a comment for a pull request.")
]
Verbose = Annotated[
    bool, cyclopts.Parameter(name=["--verbose", "-v"], negative="", help="Show an example of every difference.")
]


@app.default
def run(
    old: OldBundle,
    new: NewBundle,
    /,
    *,
    config: ConfigFile = Path("mintwarden.toml"),
    json: AsJson = False,
    markdown: Markdown = None,
    verbose: Verbose = False,
) -> int:
    """Compare two bundles: what is written otherwise, and which requests get another token.

    Each request that is decided otherwise is shown by an example that both bundles have just decided; that nothing
    changes is proved over all inputs, not assumed.

    Exit code 0 when every request gets the same token, 1 when some do not or it is not proved, 2 when a bundle
    cannot be used.
    """
    streamed = is_streamed("--markdown", markdown, json=json)
    versions = _Configured(config)
    before, after = (edition_of(texts_named(name, versions)) for name in (old, new))
    with _progress() as step:
        found = diff(before, after, step)
    if markdown is not None:
        write_report(markdown, markdown_of(found))
    if json:
        print(msgspec.json.format(msgspec.json.encode(plain_of(found))).decode())
    elif not streamed:
        print(text_of(found, every_example=verbose), end="")
    return 0 if found.verdict == "equal" else 1


class _Configured:
    """The versions of a deployment, whose configuration is read once one of them is named."""

    def __init__(self, config: Path) -> None:
        self._config = config

    def texts(self, name: str) -> Mapping[str, str]:
        """See `VersionTexts`; raises `CONFIG` where the configuration cannot be used."""
        from mintwarden.app.bundle_versions import StoredVersions
        from mintwarden.app.config import load_config

        return StoredVersions(load_config(self._config).store.url).texts(name)


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """How far it is, on a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as shown:
        task = shown.add_task("comparing", total=None)
        yield lambda done, of: shown.update(task, completed=done, total=of)
