"""`mintwarden policy sign TARGET`: say that a version is your work."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import cyclopts
from msgspec import Struct

from mintwarden.app.cli.command import Command
from mintwarden.app.cli.plain import tell
from mintwarden.policy.approve.statement import Act

app = Command(name="sign")

Target = Annotated[str, cyclopts.Parameter(help="The bundle's folder, or the digest of a version in the store.")]
Key = Annotated[
    Path | None,
    cyclopts.Parameter(
        help="An SSH key (the `.pub` of one that an agent or hardware holds), or one of `policy keygen`."
    ),
]
Name = Annotated[str, cyclopts.Parameter(name="--as", help="Who signs, as the active bundle names them.")]
ConfigFile = Annotated[Path, cyclopts.Parameter(name=["--config", "-c"], help="The configuration file.")]
AsJson = Annotated[bool, cyclopts.Parameter(name="--json", negative="", help="For a machine to read.")]
Only = Annotated[
    bool, cyclopts.Parameter(name="--statement-only", negative="", help="Print what is to be signed, and do no more.")
]
StatementFile = Annotated[
    Path | None, cyclopts.Parameter(name="--statement", help="A statement that was signed elsewhere.")
]
SignatureFile = Annotated[Path | None, cyclopts.Parameter(name="--signature", help="Its signature.")]
Base = Annotated[
    str,
    cyclopts.Parameter(
        help="Without the store: what governs now, as `<digest>@<activation>` of `policy show active`, or `none`."
    ),
]


class Saying(Struct, frozen=True, kw_only=True):
    """The options that `sign` and `approve` share."""

    target: str
    key: Path | None
    name: str
    config: Path
    json: bool
    statement_only: bool
    statement: Path | None
    signature: Path | None
    base: str


@app.default
def run(
    target: Target,
    /,
    *,
    key: Key = None,
    name: Name = "",
    statement_only: Only = False,
    statement: StatementFile = None,
    signature: SignatureFile = None,
    base: Base = "",
    config: ConfigFile = Path("mintwarden.toml"),
    json: AsJson = False,
) -> int:
    """Say that a version is your work: its author signs it before approvers do.

    The signature is laid into the folder's `signatures/`, for a pull request to carry, and put into the store. With
    `--base` the store is not asked. SSH signatures are those of `ssh-keygen -Y sign -n mintwarden-policy`. Exit code 1
    when the store was asked and the word does not count.
    """
    return say(
        "author",
        Saying(
            target=target, key=key, name=name, config=config, json=json, statement_only=statement_only,
            statement=statement, signature=signature, base=base,
        ),
    )  # fmt: skip


def say(act: Act, saying: Saying) -> int:
    """Give a word: the exit code."""
    from mintwarden.model.errors import ErrorKind, MintwardenError

    elsewhere = saying.signature is not None and saying.statement is not None
    half = (saying.statement is None) is not (saying.signature is None)
    if half or not (saying.statement_only or elsewhere or saying.key is not None):
        raise MintwardenError(
            ErrorKind.INVALID_REQUEST,
            "it is not said what signs",
            hint="give `--key`, or `--statement` with `--signature`, or `--statement-only`",
        )
    return asyncio.run(_say(act, saying))


async def _say(act: Act, saying: Saying) -> int:
    from mintwarden.app.acting import versions_of
    from mintwarden.app.cli.policy_standing import print_json, print_standing, standing_json
    from mintwarden.app.policy_store import opened
    from mintwarden.app.word import Moment, lay_beside, name_by, sign, statement_of, taken

    asking: Act = "approve" if act == "author" else act
    async with opened(saying.config, saying.target, saying.base) as desk:
        candidate, now = desk.candidate, desk.now
        by = desk.authority or candidate.bundle
        if saying.signature is not None and saying.statement is not None:
            one = taken(saying.statement, saying.signature, act=act, candidate=candidate, by=by)
        else:
            name = name_by(saying.key, saying.name, by=by)
            words = statement_of(candidate, act, name, Moment(desk.base, desk.after), now // 1000)
            if saying.statement_only or saying.key is None:
                print(words.text(), end="")
                return 0
            one = sign(words, saying.key, by=by)
        laid = lay_beside(one, candidate.folder) if candidate.folder is not None else None
        standing = None
        if desk.foundation is not None:
            versions = versions_of(desk.foundation)
            texts = candidate.texts or await desk.texts()
            await versions.submit(texts, [*candidate.signatures, one], now=now)
            standing = await versions.standing(candidate.bundle.digest, asking, now=now)
    name = one.statement.name
    counts = standing is None or name in (standing.count.authors if act == "author" else standing.count.counted)
    if saying.json:
        print_json(
            {
                "signed": one.statement.text(),
                "file": str(laid) if laid is not None else None,
                "counts": None if standing is None else counts,
                "standing": standing_json(standing) if standing is not None else None,
            }
        )
        return 0 if counts else 1
    tell(f"{name} says `{act}` about {one.statement.digest}")
    if laid is not None:
        tell(f"wrote     {laid}")
    if standing is not None:
        print_standing(standing)
    return 0 if counts else 1
