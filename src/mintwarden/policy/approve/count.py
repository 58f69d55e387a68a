"""Whose word counts: signatures held against the people, keys and quorums of the bundle that is active."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from mintwarden.policy.approve.keys import PublicKey, try_key
from mintwarden.policy.approve.refusal import SignatureRefused, Why
from mintwarden.policy.approve.signed import Signed, signer
from mintwarden.policy.approve.statement import Act
from mintwarden.policy.bundle.model import Approvals
from mintwarden.policy.durations import written

AHEAD = 300
"""Seconds by which a signer's clock may be ahead."""


class Asked(Struct, frozen=True, kw_only=True):
    """What signatures are held against.

    Attributes:
        digest: the version.
        base, after: the version that governs and the number of its activation; empty and 0 before the first.
        act: what its approvers must have said.
        now: seconds since the epoch.
    """

    issuer: str
    bundle: str
    digest: str
    base: str
    after: int
    act: Act
    now: int


class Refused(Struct, frozen=True):
    """A signature that does not count: who it says it is of, and why not."""

    name: str
    act: Act
    why: Why
    detail: str


class Count(Struct, frozen=True, kw_only=True):
    """The outcome.

    Attributes:
        author: whose work the version is, or empty when nobody has said so in a way that counts.
        authors: everybody who has, the first one first.
        counted: who has given a word that counts, in order of name.
        refused: every signature that does not count.
        missing: approvers who could still give theirs.
    """

    author: str
    authors: tuple[str, ...]
    counted: tuple[str, ...]
    refused: tuple[Refused, ...]
    missing: tuple[str, ...]


class _People:
    """The people whom the active bundle names, by key."""

    def __init__(self, approvals: Approvals) -> None:
        self.approvers = {one.name for one in approvals.approvers}
        self.known = self.approvers | {one.name for one in approvals.authors}
        self.keys: dict[bytes, tuple[str, PublicKey]] = {}
        for one in (*approvals.approvers, *approvals.authors):
            for text in one.keys:
                key = try_key(text)
                if not isinstance(key, str):
                    self.keys.setdefault(key.material, (one.name, key))

    @property
    def all_keys(self) -> tuple[PublicKey, ...]:
        return tuple(key for _, key in self.keys.values())


def count(approvals: Approvals, asked: Asked, signatures: Iterable[Signed]) -> Count:
    """Who of the active bundle's people has given a word for the version that counts now. Pure and total.

    A version's author is whoever signed as its author; where several did, none of them counts among its approvers.
    """
    people = _People(approvals)
    ordered = sorted(signatures, key=lambda one: (one.statement.act != "author", one.statement.at, one.id))
    authors: list[str] = []
    counted: list[str] = []
    refused: list[Refused] = []
    for one in ordered:
        said = one.statement
        try:
            name = _whose(people, approvals, asked, one)
            if said.act == "author":
                authors.append(name)
                continue
            if said.act != asked.act:
                raise SignatureRefused("other_act", f"it says `{said.act}`, and `{asked.act}` is asked")
            if name not in people.approvers:
                raise SignatureRefused("not_an_approver", f"`{name}` is an author, and no approver")
            if name in authors:
                raise SignatureRefused("own_work", f"`{name}` is the author, and nobody approves their own work")
            if name in counted:
                raise SignatureRefused("counted_already", f"`{name}` counts once")
            counted.append(name)
        except SignatureRefused as error:
            refused.append(Refused(said.name, said.act, error.why, error.detail))
    missing = people.approvers - set(counted) - set(authors)
    return Count(
        author=authors[0] if authors else "",
        authors=tuple(dict.fromkeys(authors)),
        counted=tuple(sorted(counted)),
        refused=tuple(refused),
        missing=tuple(sorted(missing)),
    )


def _whose(people: _People, approvals: Approvals, asked: Asked, one: Signed) -> str:
    """Who gave a word about just this; raises `SignatureRefused` with the first thing that is wrong."""
    said = one.statement
    if said.issuer != asked.issuer:
        raise SignatureRefused("other_issuer", f"it is about the issuer `{said.issuer}`")
    if said.bundle != asked.bundle:
        raise SignatureRefused("other_bundle", f"it is about the bundle `{said.bundle}`")
    if said.digest != asked.digest:
        raise SignatureRefused("other_version", f"it is about the version `{said.digest}`")
    if (said.base, said.after) != (asked.base, asked.after):
        raise SignatureRefused("stale", f"it was given when `{said.base or 'none'}` governed (activation {said.after})")
    if said.at > asked.now + AHEAD:
        raise SignatureRefused("from_the_future", "it is dated later than now")
    if said.at < asked.now - approvals.max_age:
        raise SignatureRefused("too_old", f"it is older than {written(approvals.max_age)}")
    key = signer(one, people.all_keys)
    owner, registered = people.keys.get(key.material, ("", key))
    if not owner:
        if said.name in people.known:
            raise SignatureRefused("wrong_key", f"it was made with a key that is not one of `{said.name}`")
        raise SignatureRefused("not_an_approver", f"the active bundle knows no `{said.name}`")
    if registered.text != key.text:
        raise SignatureRefused("wrong_key", f"the bundle has this key of `{owner}` in another form")
    if owner != said.name:
        raise SignatureRefused("wrong_key", f"it was made with a key of `{owner}` and says `{said.name}`")
    return owner
