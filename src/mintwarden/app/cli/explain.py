"""`mintwarden explain`: the whole story of one decision or token, on one page."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts

from mintwarden.app.cli.command import Command

if TYPE_CHECKING:
    from mintwarden.app.config import Config
    from mintwarden.app.story import Story

app = Command(name="explain")

ConfigFile = Annotated[Path, cyclopts.Parameter(name=["--config", "-c"], help="The configuration file.")]
AsJson = Annotated[bool, cyclopts.Parameter(name="--json", negative="", help="For a machine to read.")]
Hypothetical = Annotated[
    bool,
    cyclopts.Parameter(
        name="--ask", negative="", help="Decide a question instead: `client=... audience=... scopes=a,b`."
    ),
]
Words = Annotated[
    str,
    cyclopts.Parameter(
        allow_leading_hyphen=True,
        help="A decision id, a token, or `-` for standard input; with `--ask`, `key=value` words.",
    ),
]
MAX_INPUT = 64 * 1024


@app.default
def run(
    *words: Words, config: ConfigFile = Path("mintwarden.toml"), ask: Hypothetical = False, json: AsJson = False
) -> None:
    """Tell who asked for what, from which facts and rules it was decided, and where the proof is.

    A token is also held against the record. With `--ask` a question is decided over what is true now; nothing is
    issued or recorded. Its words are those of `[scenario.given]` in a bundle's tests, facts excepted.
    """
    import msgspec
    from rich.console import Console
    from rich.text import Text

    from mintwarden.app.config import load_config
    from mintwarden.app.page import page

    loaded = load_config(config)
    story = asyncio.run(_asked(loaded, words) if ask else _told(loaded, words))
    if json:
        print(msgspec.json.format(msgspec.json.encode(story)).decode())
        return
    console = Console(highlight=False, markup=False, soft_wrap=True)
    for line in page(story):
        console.print(Text(line.text, style=line.style))


async def _asked(config: Config, words: tuple[str, ...]) -> Story:
    from mintwarden.app.asking import ask
    from mintwarden.app.foundation import foundation

    async with foundation(config, read_only=True) as base:
        return await ask(base, words)


async def _told(config: Config, words: tuple[str, ...]) -> Story:
    from mintwarden.app.foundation import foundation
    from mintwarden.app.presented import PresentedToken
    from mintwarden.app.story import tell
    from mintwarden.model.errors import ErrorKind, MintwardenError
    from mintwarden.model.ids import decision_bytes

    text = _input(words)
    token: PresentedToken | None = None
    try:
        decision = decision_bytes(text)
    except ValueError:
        token = PresentedToken(text)
        decision = token.decision
    async with foundation(config, read_only=True) as base:
        story = await tell(base, decision)
        if story is None:
            raise MintwardenError(
                ErrorKind.NOT_FOUND, "the ledger has no such decision", hint="is it the ledger of this token's issuer?"
            )
        return story if token is None else story | {"token": await token.judged(base, story)}


def _input(words: tuple[str, ...]) -> str:
    from mintwarden.model.errors import ErrorKind, MintwardenError

    if len(words) != 1:
        raise MintwardenError(
            ErrorKind.INVALID_REQUEST,
            "one decision or token is explained at a time",
            hint="see `mintwarden explain --help`",
        )
    return sys.stdin.read(MAX_INPUT).strip() if words[0] == "-" else words[0].strip()
