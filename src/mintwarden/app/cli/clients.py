"""`mintwarden clients secret | import | list`: what clients authenticate with."""

from __future__ import annotations

import asyncio
import csv
import secrets as randomness
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import cyclopts
import msgspec

from mintwarden.app.cli.account import typed_by
from mintwarden.app.config import Config, load_config
from mintwarden.app.convert import WrongValue, convert_value, lasting
from mintwarden.app.foundation import Foundation, foundation
from mintwarden.app.spelling import moment_if_any
from mintwarden.authn.ports import ClientSecret
from mintwarden.authn.secrets import check_imported, generate_secret, hash_secret
from mintwarden.model.catalogue import Catalogue
from mintwarden.model.errors import ErrorKind, MintwardenError

app = cyclopts.App(name="clients", help="Manage the secrets of clients.")

ConfigFile = Annotated[Path, cyclopts.Parameter(name=["--config", "-c"], help="The configuration file.")]
AsJson = Annotated[bool, cyclopts.Parameter(name="--json", negative="", help="For a machine to read.")]
DEFAULT = Path("mintwarden.toml")
_SECRET_METHODS = frozenset({"client_secret_basic", "client_secret_post"})


@app.command
def secret(
    client: Annotated[str, cyclopts.Parameter(help="The client's id in the bundle.")],
    /,
    *,
    rotate: Annotated[
        bool, cyclopts.Parameter(negative="", help="Make another one although it has one already.")
    ] = False,
    overlap: Annotated[
        str, cyclopts.Parameter(help="How long its earlier secrets stay good after a rotation; `0s` for not at all.")
    ] = "24h",
    config: ConfigFile = DEFAULT,
    json: AsJson = False,
) -> None:
    """Make a secret of 256 random bits for a client and print it, once. Only a keyed hash of it is kept."""
    kept = _overlap(overlap)
    made, ends = asyncio.run(_secret(load_config(config), client, rotate=rotate, overlap=kept))
    if json:
        _print_json({"client_id": client, "client_secret": made, "earlier_secrets_end": moment_if_any(ends)})
    else:
        print(made)


@app.command(name="import")
def import_hashes(
    file: Annotated[Path, cyclopts.Parameter(help="A CSV file with the columns `client_id` and `hash`.")],
    /,
    *,
    config: ConfigFile = DEFAULT,
    json: AsJson = False,
) -> None:
    """Take over argon2id hashes of secrets from another system, all or none.

    Checking such a secret takes tens of milliseconds of processor time, a generated one a microsecond: let clients move
    to a secret of ours with `mintwarden clients secret CLIENT --rotate`.
    """
    imported = asyncio.run(_import(load_config(config), file))
    if json:
        _print_json({"imported": imported})
    else:
        print(f"{imported} hashes imported")


@app.command(name="list")
def show(*, config: ConfigFile = DEFAULT, json: AsJson = False) -> None:
    """List every client of the bundle: how it authenticates and what secrets it has. No secret is shown."""
    rows = asyncio.run(_rows(load_config(config)))
    if json:
        _print_json(rows)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("client", "kind", "authenticates with", "secrets", "newest", box=None, pad_edge=False)
    for row in rows:
        counted = ", ".join(f"{count} {scheme}" for scheme, count in row["secrets"].items())
        missing = "none" if _SECRET_METHODS & set(row["methods"]) else ""
        table.add_row(row["client_id"], row["kind"], ", ".join(row["methods"]), counted or missing, row["newest"] or "")
    Console(width=None if Console().is_terminal else 200, highlight=False, markup=False).print(table)


async def _secret(config: Config, client: str, *, rotate: bool, overlap: int) -> tuple[str, int | None]:
    """The new secret, and when the earlier ones end (None when there are none)."""
    async with foundation(config) as base:
        _check_client(base.bundle.catalogue, client)
        now = base.clock.now()
        standing = (await base.store.credentials.credentials()).secrets.get(client, ())
        standing = [kept for kept in standing if kept.expires_at is None or kept.expires_at > now]
        if standing and not rotate:
            raise MintwardenError(
                ErrorKind.CONFLICT, f"client `{client}` has a secret already", hint="make another one with `--rotate`"
            )
        made = generate_secret(randomness.token_bytes)
        ends = now + overlap
        limited = [_ending(kept, ends) for kept in standing]
        await _record(
            base, {"client_id": client, "change": "client secret rotated" if standing else "client secret made"}
        )
        digest = hash_secret(base.pepper, made)
        fresh = ClientSecret(client_id=client, scheme="hmac-sha256", digest=digest, created_at=now)
        await base.store.credentials.add_secrets([fresh, *limited])
        return made, ends if standing else None


def _ending(kept: ClientSecret, ends: int) -> ClientSecret:
    before = kept.expires_at
    return msgspec.structs.replace(kept, expires_at=ends if before is None else min(before, ends))


async def _import(config: Config, file: Path) -> int:
    async with foundation(config) as base:
        now = base.clock.now()
        found = list(_hashes(file, base.bundle.catalogue, now))
        if found:
            await _record(base, {"change": "client secret hashes imported", "count": len(found)})
            await base.store.credentials.add_secrets(found)
        return len(found)


def _hashes(file: Path, catalogue: Catalogue, now: int) -> Iterator[ClientSecret]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            table = csv.DictReader(lines, strict=True)
            if set(table.fieldnames or ()) != {"client_id", "hash"}:
                raise _wrong(file, 1, "expected the columns `client_id` and `hash`")
            for row in table:
                yield _hash(file, table.line_num, row, catalogue, now)
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise MintwardenError(ErrorKind.NOT_FOUND, f"`{file}` cannot be read: {reason}") from error
    except (csv.Error, UnicodeDecodeError):
        raise MintwardenError(ErrorKind.INVALID_REQUEST, f"`{file}` is not a CSV file in UTF-8") from None


def _hash(file: Path, line: int, row: Mapping[Any, Any], catalogue: Catalogue, now: int) -> ClientSecret:
    client, digest = row["client_id"], row["hash"]
    if None in row or client is None or digest is None:
        raise _wrong(file, line, "expected two values")
    try:
        _check_client(catalogue, client)
        check_imported(digest.encode())
    except MintwardenError as error:
        raise _wrong(file, line, error.public, error.hint) from None
    return ClientSecret(client_id=client, scheme="argon2id", digest=digest.encode(), created_at=now)


def _wrong(file: Path, line: int, problem: str, hint: str = "") -> MintwardenError:
    return MintwardenError(ErrorKind.INVALID_REQUEST, f"{file}:{line}: {problem}", hint=hint or "nothing was imported")


def _check_client(catalogue: Catalogue, client: str) -> None:
    found = catalogue.clients.get(client)
    if found is None:
        raise MintwardenError(
            ErrorKind.NOT_FOUND, f"there is no client `{client}` in the bundle", hint="see `mintwarden clients list`"
        )
    if not _SECRET_METHODS & set(found.methods):
        raise MintwardenError(
            ErrorKind.INVALID_REQUEST,
            f"client `{client}` does not authenticate with a secret",
            hint=f"it authenticates with {', '.join(f'`{method}`' for method in found.methods)}",
        )


async def _record(base: Foundation, detail: Mapping[str, object]) -> None:
    """Written before it is done: no secret ever works that the ledger does not know of."""
    await base.recorder.record_act(
        entry_id=base.new_id(),
        kind="configuration",
        at=base.clock.now(),
        actor=typed_by(),
        detail=detail,
    )


async def _rows(config: Config) -> list[dict[str, Any]]:
    async with foundation(config, read_only=True) as base:
        secrets = (await base.store.credentials.credentials()).secrets
        now = base.clock.now()
        return [
            {
                "client_id": client.id,
                "kind": client.kind,
                "methods": client.methods,
                **_counted(secrets.get(client.id, ()), now),
            }
            for client in sorted(base.bundle.catalogue.clients.values(), key=lambda client: client.id)
        ]


def _counted(kept: Sequence[ClientSecret], now: int) -> dict[str, Any]:
    good = [one for one in kept if one.expires_at is None or one.expires_at > now]
    return {
        "secrets": dict(Counter(one.scheme for one in good)),
        "newest": moment_if_any(max((one.created_at for one in good), default=None)),
    }


_OVERLAP = Annotated[float, lasting("1s", "365d")]


def _overlap(text: str) -> int:
    """Milliseconds."""
    if text in ("0", "0s"):
        return 0
    try:
        seconds: float = convert_value(text, _OVERLAP, base=Path(), lax=True)
        return round(seconds * 1000)
    except WrongValue as wrong:
        raise MintwardenError(ErrorKind.INVALID_REQUEST, f"`--overlap`: {wrong.what}", hint=wrong.remedy) from None


def _print_json(value: object) -> None:
    print(msgspec.json.format(msgspec.json.encode(value)).decode())
