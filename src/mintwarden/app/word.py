"""A person's word about a version, from the statement to its place beside the bundle and in the store."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from mintwarden.app.signing import armor_of, owner_of, public_half
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.policy.approve.keys import PublicKey, try_key
from mintwarden.policy.approve.refusal import SignatureRefused
from mintwarden.policy.approve.signed import Signed, read_signed, signed, signer
from mintwarden.policy.approve.statement import Act, Statement, read_statement
from mintwarden.policy.bundle.load import build_bundle
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.bundle.problem import Problems
from mintwarden.policy.bundle.read import SIGNATURES, read_bundle, read_signatures


class Candidate(Struct, frozen=True, kw_only=True):
    """A version to speak about. `texts` and `signatures` are those of its folder; empty for one of the store."""

    bundle: Bundle
    texts: Mapping[str, str]
    signatures: tuple[Signed, ...]
    folder: Path | None


class Moment(Struct, frozen=True):
    """What governs when somebody signs: its digest (empty before the first) and the number of its activation."""

    base: str
    after: int


def read_candidate(folder: Path) -> Candidate:
    """The version in a folder with the signatures beside it.

    Raises `BundleRefused`; a file in `signatures` that is no signature is a finding like any other.
    """
    problems = Problems()
    texts = read_bundle(folder, problems)
    bundle = build_bundle(texts, problems)
    found = []
    for file, text in sorted(read_signatures(folder, problems).items()):
        try:
            found.append(read_signed(text))
        except SignatureRefused as refused:
            problems.put(file, 0, 0, f"is no signature: {refused.detail}", "remove it, or sign again")
    problems.refuse_if_any()
    return Candidate(bundle=bundle, texts=texts, signatures=tuple(found), folder=folder)


def statement_of(candidate: Candidate, act: Act, name: str, moment: Moment, now: int) -> Statement:
    """What is to be signed; `now` in seconds."""
    catalogue = candidate.bundle.catalogue
    return Statement(
        act=act,
        issuer=catalogue.issuer,
        bundle=catalogue.name,
        digest=candidate.bundle.digest,
        base=moment.base,
        after=moment.after,
        name=name,
        at=now,
    )


def name_by(key: Path | None, given: str, *, by: Bundle) -> str:
    """Who speaks: as given, or whose key it is by the bundle whose people count. Raises `INVALID_REQUEST`."""
    if given:
        return given
    name = owner_of(public_half(key), by.approvals) if key is not None else ""
    if not name:
        raise MintwardenError(
            ErrorKind.INVALID_REQUEST,
            "the active bundle does not say whose key that is" if key is not None else "it is not said who speaks",
            hint="give `--as NAME`, as `[[approvers]]` or `[[authors]]` has it",
        )
    return name


def sign(statement: Statement, key: Path, *, by: Bundle) -> Signed:
    """The statement signed with a key file, and verified as everybody else will. Raises `CONFIG`."""
    return _verified(signed(statement, armor_of(key, statement.text())), by)


def taken(statement: Path, signature: Path, *, act: Act, candidate: Candidate, by: Bundle) -> Signed:
    """A statement that was signed elsewhere; raises `INVALID_REQUEST` when it is about something else, or unsigned."""
    try:
        one = signed(read_statement(_text(statement)), _text(signature))
    except SignatureRefused as refused:
        raise _not_signed(refused) from None
    said = one.statement
    if (said.act, said.digest) != (act, candidate.bundle.digest):
        raise MintwardenError(
            ErrorKind.INVALID_REQUEST,
            f"the statement says `{said.act}` about `{said.digest}`",
            hint=f"this is `{act}` about `{candidate.bundle.digest}`",
        )
    return _verified(one, by)


def lay_beside(one: Signed, folder: Path) -> Path:
    """Write the signature into the bundle's `signatures`, for a pull request to carry; where it is now."""
    target = folder / SIGNATURES / one.file
    try:
        target.parent.mkdir(exist_ok=True)
        target.write_text(one.text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise MintwardenError(
            ErrorKind.CONFIG,
            f"`{target}` cannot be written: {(error.strerror or 'unknown reason').lower()}",
            hint="check its rights",
        ) from error
    return target


def _verified(one: Signed, by: Bundle) -> Signed:
    try:
        signer(one, _keys(by))
    except SignatureRefused as refused:
        raise _not_signed(refused) from None
    return one


def _keys(bundle: Bundle) -> tuple[PublicKey, ...]:
    people = (*bundle.approvals.approvers, *bundle.approvals.authors)
    keys = (try_key(text) for one in people for text in one.keys)
    return tuple(key for key in keys if not isinstance(key, str))


def _not_signed(refused: SignatureRefused) -> MintwardenError:
    return MintwardenError(
        ErrorKind.INVALID_REQUEST,
        f"the signature is not good: {refused.detail}",
        hint="sign the statement again, byte for byte",
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = (getattr(error, "strerror", None) or "it is not text").lower()
        raise MintwardenError(ErrorKind.CONFIG, f"`{path}` cannot be read: {reason}", hint="name the file") from error
