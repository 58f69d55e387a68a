"""What one request changes: the resource, who is in which group, and the facts of everybody whom that touches."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from scim2_models import (
    ForbiddenException,
    InvalidValueException,
    NotFoundException,
    PayloadTooLargeException,
    PreconditionFailedException,
    UniquenessException,
    default_comparison_key,
)

from mintwarden.feeds.scim.meaning import facts_of, is_active
from mintwarden.feeds.scim.ports import Bounds, Kept, Kind, Said, ScimChange, ScimStore, UnfitError, Writer
from mintwarden.model.scim import ScimFeed

MOST_MEMBERS = 10_000
"""Members of one group."""
LONGEST = 64 * 1024
"""Bytes of a resource's JSON, without its members."""
_LONGEST_NAME = 512

T = TypeVar("T")
Wait = Callable[[Awaitable[T]], T]
Document = Mapping[str, Any]

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder(order="sorted").encode


class Drawn(Struct, frozen=True):
    """A change, and the resource as it is once that is made; None where it is gone."""

    change: ScimChange
    kept: Kept | None


class Drafts:
    """Draws up changes from what is kept at the time; reads, and writes nothing.

    `wait` gives what an awaitable comes to. Everything raises the errors of SCIM (RFC 7644 section 3.12).
    """

    def __init__(
        self,
        *,
        source: str,
        feed: ScimFeed,
        bounds: Bounds,
        store: ScimStore,
        writer: Writer,
        wait: Callable[[Awaitable[Any]], Any],
    ) -> None:
        self._source = source
        self._feed = feed
        self._bounds = bounds
        self._store = store
        self._writer = writer
        self._wait = wait

    def put(self, kind: Kind, document: Document, members: Iterable[str], *, old: Kept | None, id_: str, now: int,
            revision: int) -> Drawn:  # fmt: skip
        """What making, or changing, a resource comes to; `members` are ids of users, for a group."""
        kept = self._kept(kind, document, old=old, id_=id_, now=now)
        if kind == "User":
            return Drawn(ScimChange(revision=revision, put=[kept], said=self._said_of_user(kept, old), at=now), kept)
        joined, left = self._moved(kept.id, members)
        renamed = old is not None and _name_of(old) != _name_of(kept)
        self._refuse_bound_group(_name_of(kept), joined, new=old is None or renamed)
        touched = {*joined, *left}
        if renamed:
            touched |= set(self._members(kept.id))
        said = self._said_of_many(touched, kept, {*self._members(kept.id), *joined} - set(left))
        return Drawn(
            ScimChange(
                revision=revision,
                put=[kept],
                joined=[(kept.id, user) for user in joined],
                left=[(kept.id, user) for user in left],
                said=said,
                at=now,
            ),
            kept,
        )

    def gone(self, old: Kept, *, now: int, revision: int) -> Drawn:
        """What the end of a resource comes to: nothing more is said of a user, and nobody is in a group."""
        user = old.kind == "User"
        said = [Said(old.entity, None)] if user else self._said_of_many(self._members(old.id), old, set())
        return Drawn(ScimChange(revision=revision, gone=[old.id], said=said, at=now), None)

    def current(self, kind: Kind, id_: str, expected: str | None) -> Kept:
        """The resource as it is kept; raises what says that it is not there, or not as it was."""
        found = self._wait(self._store.get(self._source, [id_])).get(id_) if _is_id(id_) else None
        if found is None or found.kind != kind:
            raise NotFoundException(detail=f"there is no such {kind}")
        if expected is not None and expected != tag(found):
            raise PreconditionFailedException(detail="it has changed since you looked")
        return found  # type: ignore[no-any-return]

    def _kept(self, kind: Kind, document: Document, *, old: Kept | None, id_: str, now: int) -> Kept:
        name = document.get("userName" if kind == "User" else "displayName")
        if not isinstance(name, str) or not is_name(name):
            what = "userName" if kind == "User" else "displayName"
            raise InvalidValueException(detail=f"{what} must be 1 to {_LONGEST_NAME} printable characters")
        external = document.get("externalId") or ""
        if external and not is_name(external):
            raise InvalidValueException(detail=f"externalId must be up to {_LONGEST_NAME} printable characters")
        encoded = _encode(document)
        if len(encoded) > LONGEST:
            raise PayloadTooLargeException(detail=f"the resource is longer than {LONGEST} bytes")
        kept = Kept(
            id=id_,
            kind=kind,
            name=folded(name),
            external=external,
            entity=self._entity(name, external) if kind == "User" else "",
            document=encoded,
            version=1 if old is None else old.version + 1,
            created=now if old is None else old.created,
            changed=now,
        )
        self._refuse_taken(kept)
        return kept

    def _entity(self, name: str, external: str) -> str:
        identifier = name if self._feed.identifier == "userName" else external
        if not identifier:
            raise InvalidValueException(detail="externalId is required here: it is who somebody is")
        return f"User:{self._feed.subject_prefix}{identifier}"

    def _refuse_taken(self, kept: Kept) -> None:
        alike = [*self._wait(self._store.find(self._source, kept.kind, "name", kept.name))]
        if kept.kind == "User" and self._feed.identifier == "externalId":
            alike += self._wait(self._store.find(self._source, kept.kind, "external", kept.external))
        if any(one.id != kept.id for one in alike):
            raise UniquenessException(detail="another resource has this name, or this externalId, already")

    def _said_of_user(self, kept: Kept, old: Kept | None) -> list[Said]:
        if self._bounds.why:
            raise ForbiddenException(detail=self._bounds.why)
        names = {} if old is None else self._names([kept.id], None, set())
        said = [self._said(kept, names.get(kept.id, ()))]
        if old is not None and old.entity != kept.entity:
            said.insert(0, Said(old.entity, None))
        return said

    def _said_of_many(self, users: Iterable[str], group: Kept, members: set[str]) -> list[Said]:
        """Documents of `users` as they are once `members` are in `group`."""
        wanted = sorted(users)
        if not wanted:
            return []
        kept = self._wait(self._store.get(self._source, wanted))
        names = self._names(wanted, group, members)
        return [self._said(kept[user], names.get(user, ())) for user in wanted if user in kept]

    def _names(self, users: Sequence[str], group: Kept | None, members: set[str]) -> dict[str, list[str]]:
        """By user, the names of their groups; where `group` is given, as if `members` alone were in it."""
        own = self._wait(self._store.groups_of(self._source, users))
        groups = dict(self._wait(self._store.get(self._source, sorted(set(itertools.chain(*own.values()))))))
        if group is not None:
            groups.pop(group.id, None)
        named = {id_: _name_of(one) for id_, one in groups.items()}
        found = {user: [named[id_] for id_ in own.get(user, ()) if id_ in named] for user in users}
        if group is not None:
            for user in members & found.keys():
                found[user].append(_name_of(group))
        return found

    def _said(self, kept: Kept, groups: Iterable[str]) -> Said:
        document = _decode(kept.document)
        # INVARIANT: nobody is in a group that is bound, however they came into it.
        free = [] if self._bounds.every_group else sorted(set(groups) - self._bounds.groups)
        _, _, name = kept.entity.partition(":")
        try:
            return self._writer(name, facts_of(document, self._feed), free if is_active(document) else [])
        except UnfitError as error:
            raise InvalidValueException(detail=str(error)) from None

    def _moved(self, group: str, members: Iterable[str]) -> tuple[list[str], list[str]]:
        wanted, before = set(members), set(self._members(group))
        if len(wanted) > MOST_MEMBERS:
            raise PayloadTooLargeException(detail=f"a group has at most {MOST_MEMBERS} members")
        joined = sorted(wanted - before)
        known = self._wait(self._store.get(self._source, [user for user in joined if _is_id(user)])) if joined else {}
        for user in joined:
            if user not in known or known[user].kind != "User":
                raise InvalidValueException(
                    detail="a member is not the id of a user here; groups have no groups in them"
                )
        return joined, sorted(before - wanted)

    def _members(self, group: str) -> Sequence[str]:
        return self._wait(self._store.members(self._source, [group])).get(group, ())  # type: ignore[no-any-return]

    def _refuse_bound_group(self, name: str, joined: Sequence[str], *, new: bool) -> None:
        if (joined or new) and (self._bounds.every_group or name in self._bounds.groups):
            what = "a rule about administration looks at this group: who is in it is not said over SCIM"
            raise ForbiddenException(detail=what)


def tag(kept: Kept) -> str:
    """The entity tag of a version."""
    return f'W/"{kept.version}"'


def folded(name: str) -> str:
    """A name as it is compared (RFC 7643: `caseExact` is false for both)."""
    return default_comparison_key(_NAME, name)


def is_name(text: str) -> bool:
    """Whether something can be called so."""
    return 0 < len(text) <= _LONGEST_NAME and text.isprintable() and text == text.strip()


def _is_id(text: str) -> bool:
    return len(text) == 36 and text.isascii() and text.isprintable()


def _name_of(group: Kept) -> str:
    return str(_decode(group.document)["displayName"])


class _Folding:
    case_exact = False


_NAME = _Folding()
