"""`mintwarden ledger status | checkpoint | prove | verify | audit | export | erase`: look at and check the log."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Annotated, Any, Literal

import cyclopts
import msgspec

from mintwarden.app.cli.account import typed_by
from mintwarden.app.cli.report_file import STANDARD_OUTPUT, is_streamed, report_option, write_report
from mintwarden.app.config import Config, load_config
from mintwarden.app.erasing import erase_subject
from mintwarden.app.foundation import Foundation, foundation
from mintwarden.app.spelling import moment, progress_bar
from mintwarden.ledger.audit import Auditor, AuditReport
from mintwarden.ledger.checkpoint import VerifiedCheckpoint, cosignatures
from mintwarden.ledger.export import FORMAT as EXPORT_FORMAT
from mintwarden.ledger.export import ExportState, export_lines, resume_export, start_export, verify_export
from mintwarden.ledger.note import VerifierKey, parse_note, parse_verifier_key
from mintwarden.ledger.proof_file import EntryProof, ProvenEntry, read_proof, verify_proof, write_json, write_tlog_proof
from mintwarden.ledger.prove import prove as prove_entry
from mintwarden.ledger.published import PublishedLog
from mintwarden.ledger.witness import witness
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.values import EntityUid

app = cyclopts.App(name="ledger", help="Look at, prove and audit the ledger.")

ConfigFile = Annotated[Path, cyclopts.Parameter(name=["--config", "-c"], help="The configuration file.")]
AsJson = Annotated[bool, cyclopts.Parameter(name="--json", negative="", help="For a machine to read.")]
Output = Annotated[Path | None, report_option("--output", "-o", help="Write to this file.")]
Vkeys = Annotated[
    tuple[str, ...], cyclopts.Parameter(name="--vkey", negative="", help="A trusted verifier key, or a file of them.")
]
DEFAULT = Path("mintwarden.toml")
MAX_INPUT = 1 << 20
START = 64
"""How far into a file its kind shows."""


@app.command
def status(*, config: ConfigFile = DEFAULT, json: AsJson = False) -> None:
    """Show the size of the log, its root, what waits, who cosigned, and its verifier keys."""
    found = asyncio.run(_status(load_config(config)))
    if json:
        _print_json(found)
        return
    for name, value in found.items():
        shown = ", ".join(value) or "none" if isinstance(value, list) else value
        print(f"{name.replace('_', ' '):<14} {shown}")


@app.command
def checkpoint(*, config: ConfigFile = DEFAULT, output: Output = None, json: AsJson = False) -> None:
    """Print the present checkpoint, a signed note. Keep one somewhere else: `audit --against` takes it."""
    is_streamed("--output", output, json=json)
    note = asyncio.run(_checkpoint(load_config(config)))
    if output is not None or not json:
        write_report(output or STANDARD_OUTPUT, note)
    if json:
        text = parse_note(note).text.split("\n")
        _print_json({"origin": text[0], "size": int(text[1]), "root": text[2], "note": note.decode()})


@app.command
def prove(
    entry: Annotated[str, cyclopts.Parameter(help="A decision id (the token's `jti`) or a leaf index.")],
    /,
    *,
    config: ConfigFile = DEFAULT,
    output: Output = None,
    form: Annotated[
        Literal["json", "tlog-proof"], cyclopts.Parameter(name="--form", help="Form of the file; both hold everything.")
    ] = "json",
) -> None:
    """Write the proof of one entry; `verify` checks it offline, and so do other tools."""
    is_streamed("--output", output)
    proof = asyncio.run(_prove(load_config(config), entry))
    data = write_json(proof) if form == "json" else write_tlog_proof(proof)
    write_report(output or STANDARD_OUTPUT, data)


@app.command
def verify(
    file: Annotated[
        Path,
        cyclopts.Parameter(allow_leading_hyphen=True, help="A proof, an export, or `-` for a proof on standard input."),
    ],
    /,
    *,
    vkey: Vkeys,
    origin: Annotated[str, cyclopts.Parameter(help="Refuse a proof from another log.")] = "",
    witness: Annotated[
        tuple[str, ...], cyclopts.Parameter(negative="", help="A witness's verifier key, or a file of them.")
    ] = (),
    quorum: Annotated[int, cyclopts.Parameter(help="How many of the witnesses must have cosigned.")] = 0,
    json: AsJson = False,
) -> None:
    """Check a proof or a whole export offline: no configuration, no store, no network.

    Exit code 1 when it does not hold.
    """
    trust: dict[str, Any] = {
        "keys": _vkeys(vkey),
        "origin": origin,
        "witnesses": _vkeys(witness),
        "quorum": max(quorum, 0),
    }
    start = _read_file(file, START) if str(file) != "-" else b""
    if EXPORT_FORMAT.encode() in start:
        with _opened(file) as lines:
            _tell_checkpoint(verify_export(lines, **trust), json=json)
        return
    proven = verify_proof(read_proof(_read_file(file)), **trust)
    if json:
        _print_json({"ok": True, **_proven(proven)})
        return
    print(f"entry {proven.index} of {proven.checkpoint.checkpoint.size}")
    _tell_checkpoint(proven.checkpoint, json=False)
    print(msgspec.json.format(msgspec.json.encode(proven.entry)).decode())


@app.command
def audit(
    *,
    against: Annotated[
        tuple[Path, ...], cyclopts.Parameter(negative="", help="A checkpoint kept from earlier; may be repeated.")
    ] = (),
    vkey: Vkeys = (),
    sealed: Annotated[bool, cyclopts.Parameter(help="Also open what is sealed and check it.")] = True,
    config: ConfigFile = DEFAULT,
    json: AsJson = False,
) -> int:
    """Read the whole ledger again and check everything; exit code 1 when something is wrong.

    Without `--vkey` the log's own keys are trusted, as the store has them.
    """
    loaded = load_config(config)
    notes = [_read_file(path) for path in against]
    report = asyncio.run(_audit(loaded, notes, _vkeys(vkey), sealed=sealed))
    if json:
        _print_json({"ok": report.ok, **msgspec.structs.asdict(report)})
    else:
        _print_report(report)
    return 0 if report.ok else 1


@app.command
def export(
    file: Annotated[
        Path, cyclopts.Parameter(allow_leading_hyphen=True, help="Where to write, or `-` for standard output.")
    ],
    /,
    *,
    proofs: Annotated[bool, cyclopts.Parameter(help="Give each entry its inclusion proof.")] = True,
    resume: Annotated[bool, cyclopts.Parameter(negative="", help="Go on with an export that was cut.")] = False,
    config: ConfigFile = DEFAULT,
) -> None:
    """Write every published entry as JSON lines, the checkpoint first."""
    loaded = load_config(config)
    if str(file) == "-":
        if resume:
            raise MintwardenError(ErrorKind.INVALID_REQUEST, "standard output cannot be resumed", hint="name a file")
        asyncio.run(_export(loaded, sys.stdout.buffer, None, proofs=proofs))
        return
    try:
        with file.open("r+b" if resume else "xb") as out:
            state = resume_export(out) if resume else None
            if state is not None:
                out.seek(state.kept)
                out.truncate()
            asyncio.run(_export(loaded, out, state, proofs=proofs))
    except OSError as error:
        raise _file_error(file, error, "with `--resume` an export goes on; nothing is overwritten") from error


@app.command
def erase(
    subject: Annotated[str, cyclopts.Parameter(help="Whom to forget, such as `User:alice`.")],
    /,
    *,
    ticket: Annotated[str, cyclopts.Parameter(help="Why; sealed, not public.")] = "",
    yes: Annotated[bool, cyclopts.Parameter(name=["--yes", "-y"], negative="", help="Do not ask.")] = False,
    config: ConfigFile = DEFAULT,
    json: AsJson = False,
) -> int:
    """Forget one subject for good: earlier decisions about it can no longer be read or replayed."""
    kind, colon, name = subject.partition(":")
    if not colon or not name or kind not in ("User", "Workload", "Agent"):
        raise MintwardenError(
            ErrorKind.INVALID_REQUEST,
            f"`{subject}` is not a subject",
            hint="write `User:<id>`, `Workload:<id>` or `Agent:<id>`",
        )
    if not yes and not _confirmed(f"forget {subject} for good? [y/N] "):
        print("nothing was erased", file=sys.stderr)
        return 1
    entry = asyncio.run(_erase(load_config(config), EntityUid(kind, name), ticket))
    if json:
        _print_json({"erased": subject, "entry": entry})
    else:
        print(f"erased {subject}; recorded as {entry}")
    return 0


async def _status(config: Config) -> dict[str, Any]:
    async with foundation(config, read_only=True) as base:
        head = await base.store.tree.head()
        witnesses = [witness(w.name, w.vkey, w.url).key for w in config.ledger.witnesses]
        cosigned = cosignatures(parse_note(head.checkpoint), witnesses) if head.checkpoint else ()
        return {
            "origin": base.origin,
            "size": head.size,
            "root": head.root.hex(),
            "waiting": await base.store.entries.count() - head.size,
            "cosigned_by": [c.witness.name for c in cosigned],
            "vkeys": [str(key) for key in base.log_keys()],
        }


async def _checkpoint(config: Config) -> bytes:
    async with foundation(config, read_only=True) as base:
        return await _log(base).checkpoint()


async def _prove(config: Config, entry: str) -> EntryProof:
    async with foundation(config, read_only=True) as base:
        return await prove_entry(entry, log=_log(base), entries=base.store.entries)


async def _audit(config: Config, against: Sequence[bytes], keys: Sequence[VerifierKey], *, sealed: bool) -> AuditReport:
    async with foundation(config, read_only=True) as base:
        auditor = Auditor(
            tree=base.store.tree,
            entries=base.store.entries,
            keys=keys or base.log_keys(),
            origin=base.origin,
            sealer=base.sealer if sealed else None,
            subject_keys=base.store.subject_keys if sealed else None,
        )
        with progress_bar("auditing") as progress:
            return await auditor.audit(against=against, progress=progress)


async def _export(config: Config, out: IO[bytes], state: ExportState | None, *, proofs: bool) -> None:
    async with foundation(config, read_only=True) as base:
        log = _log(base)
        if state is None:
            state, first = await start_export(log, proofs=proofs)
            out.write(first)
        size = int(parse_note(state.checkpoint).text.split("\n")[1])
        written = state.next_index
        with progress_bar("exporting") as progress:
            async for lines in export_lines(state, log=log, entries=base.store.entries):
                out.write(lines)
                written += lines.count(b"\n")
                progress(written, size)
        out.flush()


async def _erase(config: Config, subject: EntityUid, ticket: str) -> str:
    async with foundation(config) as base:
        return await erase_subject(base, subject, typed_by(), ticket)


def _log(base: Foundation) -> PublishedLog:
    return PublishedLog(tree=base.store.tree, entries=base.store.entries)


def _proven(proven: ProvenEntry) -> dict[str, Any]:
    return {
        "index": proven.index,
        "leaf": proven.leaf.hex(),
        **_signed(proven.checkpoint),
        "entry": proven.entry,
    }


def _signed(checkpoint: VerifiedCheckpoint) -> dict[str, Any]:
    head = checkpoint.checkpoint
    return {
        "origin": head.origin,
        "size": head.size,
        "root": head.root.hex(),
        "signed_by": [str(key) for key in checkpoint.keys],
        "cosigned_by": [{"name": c.witness.name, "at": c.at} for c in checkpoint.cosigned],
    }


def _tell_checkpoint(checkpoint: VerifiedCheckpoint, *, json: bool) -> None:
    if json:
        _print_json({"ok": True, **_signed(checkpoint)})
        return
    print(f"the log `{checkpoint.checkpoint.origin}`, {checkpoint.checkpoint.size} entries")
    print(f"signed by {', '.join(str(key) for key in checkpoint.keys)}")
    for cosigned in checkpoint.cosigned:
        print(f"cosigned by {cosigned.witness.name} at {moment(cosigned.at * 1000)}")


def _print_report(report: AuditReport) -> None:
    for finding in report.findings:
        print(f"{finding.kind}: {finding.detail}")
    if not report.complete:
        print("... and more")
    print(f"{report.size} entries under root {report.root}, {report.waiting} waiting")
    print(f"sealed: {report.opened} opened, {report.erased} erased and not replayable")
    if report.compared:
        print(f"held against {report.compared} earlier checkpoints")
    print("nothing is wrong" if report.ok else f"{len(report.findings)} findings")


def _vkeys(given: Sequence[str]) -> list[VerifierKey]:
    """Verifier keys given as text or as files with one in each line."""
    keys: list[VerifierKey] = []
    for text in given:
        is_file = "+" not in text or Path(text).exists()
        lines = _read_file(Path(text)).decode(errors="replace").splitlines() if is_file else [text]
        for line in lines:
            if line.strip() and not line.startswith("#"):
                try:
                    keys.append(parse_verifier_key(line))
                except MintwardenError as error:
                    raise MintwardenError(
                        ErrorKind.INVALID_REQUEST, error.public, hint="`mintwarden ledger status` shows verifier keys"
                    ) from error
    return keys


def _read_file(path: Path, limit: int = MAX_INPUT + 1) -> bytes:
    if str(path) == "-":
        return sys.stdin.buffer.read(limit)
    with _opened(path) as file:
        return file.read(limit)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        hint = "name an existing file; a verifier key is written `<name>+<key id>+<base64>`"
        raise _file_error(path, error, hint) from error


def _file_error(path: Path, error: OSError, hint: str) -> MintwardenError:
    reason = (error.strerror or "cannot be used").lower()
    return MintwardenError(ErrorKind.INVALID_REQUEST, f"`{path}`: {reason}", hint=hint)


def _confirmed(question: str) -> bool:
    return sys.stdin.isatty() and input(question).strip().lower() in ("y", "yes")


def _print_json(value: object) -> None:
    print(msgspec.json.format(msgspec.json.encode(value)).decode())
