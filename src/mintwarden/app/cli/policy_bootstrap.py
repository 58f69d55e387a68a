"""`mintwarden policy bootstrap FILE FOLDER`: a first bundle from the mapping of an older system."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import cyclopts
import msgspec

from mintwarden.app.bootstrap.bootstrap import Bootstrapped, bootstrap, write_all
from mintwarden.app.cli.command import Command
from mintwarden.model.errors import ErrorKind, MintwardenError

app = Command(name="bootstrap")

Shape = Literal["csv", "json", "keycloak", "okta", "auth0"]
_HTTPS = re.compile(r"https://[A-Za-z0-9.-]+(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~/-]*)?")


@app.default
def run(
    source: Annotated[Path, cyclopts.Parameter(help="The mapping or export; for `auth0` also the folder of one.")],
    folder: Annotated[Path, cyclopts.Parameter(help="Where to write; it must not exist.")],
    /,
    *,
    shape: Annotated[Shape, cyclopts.Parameter(name="--from", help="What the file is; see docs/bootstrap.md.")],
    name: Annotated[str, cyclopts.Parameter(help="The bundle's name; the file's when left out.")] = "",
    issuer: Annotated[str, cyclopts.Parameter(help="The issuer identifier of the new tokens.")] = "",
    json: Annotated[bool, cyclopts.Parameter(name="--json", negative="", help="For a machine to read.")] = False,
) -> None:
    """Write a first bundle that observes, from what an older system gives to groups, roles and clients.

    The bundle is loaded and its scenarios run before anything is written. What could not be carried over stands in
    `GAPS.md` beside it. Secrets of an export are neither read, written nor shown.
    """
    if issuer and not _HTTPS.fullmatch(issuer):
        raise MintwardenError(ErrorKind.INVALID_REQUEST, f"`{issuer}` is not an https URL", hint="leave it out for now")
    made = bootstrap(
        source, shape, name=name or source.stem or "bootstrap", issuer=issuer, today=datetime.now(UTC).date()
    )
    write_all(folder, made)
    if json:
        print(msgspec.json.format(msgspec.json.encode(as_json(folder, made))).decode())
    else:
        _print(folder, made)


def as_json(folder: Path, made: Bootstrapped) -> dict[str, Any]:
    """What was made, for a machine; names are fixed and documented in `docs/bootstrap.md`."""
    return {
        "folder": str(folder),
        "shape": made.shape,
        "counts": made.counts,
        "gaps": [msgspec.structs.asdict(gap) for gap in made.gaps],
        "spelled": [msgspec.structs.asdict(one) for one in made.spelled],
        "findings": [msgspec.structs.asdict(finding) for finding in made.findings],
    }


def _print(folder: Path, made: Bootstrapped) -> None:
    counts = made.counts
    print(f"read {made.shape}")
    print(
        f"wrote {folder / 'bundle'}: {counts['audiences']} audiences that observe, {counts['scopes']} scopes, "
        f"{counts['clients']} clients, {counts['scenarios']} scenarios that pass"
    )
    for kind, count in sorted(Counter(gap.kind for gap in made.gaps).items()):
        print(f"  {count} gap{'' if count == 1 else 's'}: {kind}")
    print(f"{len(made.findings)} lint findings, {len(made.spelled)} names spelled otherwise: see {folder / 'GAPS.md'}")
    print("next:")
    print(f"  mintwarden check {folder / 'bundle'}")
    print(f"  mintwarden policy lint {folder / 'bundle'}")
