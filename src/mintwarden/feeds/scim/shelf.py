"""The resources of one feed, as the SCIM protocol reads and changes them."""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from scim2_models import (
    Context,
    NotImplementedException,
    Resource,
    ResourceType,
    ResponseParameters,
    ScimProvider,
    SearchRequest,
    TooManyException,
)
from scim2_server.storage import ScimStorage, SearchPage

from mintwarden.feeds.scim.candidates import sought
from mintwarden.feeds.scim.changes import Drafts, Drawn, folded, is_name, tag
from mintwarden.feeds.scim.ports import Kept, Kind, ScimStore
from mintwarden.model.errors import ErrorKind, MintwardenError

MOST_LOOKED_AT = 10_000
"""Resources that a filter may be held against one by one."""
MOST_RELATED = 50_000
"""Members of groups, or groups of users, that one answer may hold."""
LONGEST_LOOK = 5_000
"""Milliseconds for which a filter is held against resources one by one."""
_FEW = 5
"""Groups whose members are read at once: so many have no more than an answer may hold."""
_ATTEMPTS = 8
_FOUND_AT_ONCE = 100
_BESIDE = ("id", "meta", "members", "groups", "password")
"""What is kept elsewhere than in the document, or is not kept at all."""

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Shelf(ScimStorage):
    """See `ScimStorage`. Blocks its thread while the store works.

    `commit` records and makes a change: False where something else changed meanwhile. `new_id` gives ids that nothing
    had before; `now` is `Millis`.
    """

    def __init__(
        self,
        *,
        source: str,
        provider: ScimProvider,
        store: ScimStore,
        drafts: Drafts,
        commit: Callable[[Drawn], bool],
        wait: Callable[[Awaitable[Any]], Any],
        new_id: Callable[[], str],
        now: Callable[[], int],
    ) -> None:
        self._source = source
        self._provider = provider
        self._store = store
        self._drafts = drafts
        self._commit = commit
        self._wait = wait
        self._new_id = new_id
        self._now = now

    def get(
        self,
        resource_type: ResourceType,
        resource_id: str,
        *,
        response_parameters: ResponseParameters[Any] | None = None,
    ) -> Resource[Any]:
        """One resource; see `ScimStorage.get`."""
        kind = _kind(resource_type)
        kept = self._drafts.current(kind, resource_id, None)
        return self._read(kind, [kept], related=not _left_out(response_parameters, _RELATED[kind]))[0]

    def search(
        self, resource_types: list[ResourceType], search_request: SearchRequest[Any], *, position: Any = None
    ) -> SearchPage:
        """A page of resources, by id; see `ScimStorage.search`."""
        del position  # pages are by index alone
        if len(resource_types) != 1:
            raise NotImplementedException(detail="search one type of resource at a time")
        kind = _kind(resource_types[0])
        start, stop = search_request.start_index_0 or 0, search_request.stop_index_0
        related = not _left_out(search_request, _RELATED[kind])
        if search_request.filter is None:
            total = self._wait(self._store.count(self._source, kind))
            few = 0 if stop is None else max(0, min(stop, total) - start)
            kept = self._wait(self._store.page(self._source, kind, start, few)) if few else ()
            return SearchPage(total, self._read(kind, kept, related=related))
        page: list[Resource[Any]] = []
        total = 0
        for one in self._matching(kind, search_request):
            if total >= start and (stop is None or total < stop):
                page.append(one)
            total += 1
        return SearchPage(total, page)

    def create(self, resource_type: ResourceType, resource: Resource[Any]) -> Resource[Any]:
        """Make a resource; see `ScimStorage.create`."""
        kind, id_ = _kind(resource_type), self._new_id()

        def draw(revision: int) -> Drawn:
            document, members = _taken_apart(resource)
            now = self._now()
            return self._drafts.put(kind, document, members, old=None, id_=id_, now=now, revision=revision)

        return self._changed(kind, draw)

    def update(
        self, resource_type: ResourceType, resource: Resource[Any], *, expected_version: str | None = None
    ) -> Resource[Any]:
        """Change a resource; see `ScimStorage.update`."""
        kind, id_ = _kind(resource_type), str(resource.id)

        def draw(revision: int) -> Drawn:
            old = self._drafts.current(kind, id_, expected_version)
            document, members = _taken_apart(resource)
            now = self._now()
            return self._drafts.put(kind, document, members, old=old, id_=id_, now=now, revision=revision)

        return self._changed(kind, draw)

    def delete(self, resource_type: ResourceType, resource_id: str, *, expected_version: str | None = None) -> None:
        """End a resource; see `ScimStorage.delete`."""
        kind = _kind(resource_type)

        def draw(revision: int) -> Drawn:
            old = self._drafts.current(kind, resource_id, expected_version)
            return self._drafts.gone(old, now=self._now(), revision=revision)

        self._made(draw)

    def _changed(self, kind: Kind, draw: Callable[[int], Drawn]) -> Resource[Any]:
        kept = self._made(draw)
        return self._read(kind, [kept] if kept is not None else [])[0]

    def _made(self, draw: Callable[[int], Drawn]) -> Kept | None:
        """INVARIANT: what a change is drawn up from is read after the revision that it is committed over."""
        for _ in range(_ATTEMPTS):
            drawn = draw(self._wait(self._store.revision(self._source)))
            if self._commit(drawn):
                return drawn.kept
        raise MintwardenError(ErrorKind.UNAVAILABLE, "the feed keeps changing", hint="try again")

    def _matching(self, kind: Kind, request: SearchRequest[Any]) -> Iterator[Resource[Any]]:
        """INVARIANT: one by one: of what matches, no more is in memory at once than is looked at."""
        if request.filter is None:
            return
        text = str(request.filter).lower()
        related = not _left_out(request, _RELATED[kind]) or _RELATED[kind] in text
        known = sought(request.filter.ast, kind)
        if known is None:
            yield from self._looked_through(kind, request, related=related)
            return
        if known.by == "id":
            found: Sequence[Kept] = self._by_id(kind, known.value)
        elif not is_name(known.value):
            found = ()
        else:
            value = folded(known.value) if known.by == "name" else known.value
            found = self._wait(self._store.find(self._source, kind, known.by, value))
            if len(found) >= _FOUND_AT_ONCE:
                raise TooManyException(detail="too many resources have this value")
        yield from (one for one in self._read(kind, list(found), related=related) if request.filter.match(one))

    def _by_id(self, kind: Kind, id_: str) -> list[Kept]:
        if not is_name(id_):
            return []
        return [one for one in self._wait(self._store.get(self._source, [id_])).values() if one.kind == kind]

    def _looked_through(self, kind: Kind, request: SearchRequest[Any], *, related: bool) -> Iterator[Resource[Any]]:
        if self._wait(self._store.count(self._source, kind)) > MOST_LOOKED_AT:
            what = "too many resources to look through: filter by `userName`, `displayName`, `externalId` or `id`"
            raise TooManyException(detail=what)
        at_once = _FEW if kind == "Group" and related else _FOUND_AT_ONCE
        begun = self._now()
        for first in range(0, MOST_LOOKED_AT, at_once):
            kept = self._wait(self._store.page(self._source, kind, first, at_once))
            read = self._read(kind, kept, related=related)
            for one in read:
                if self._now() - begun > LONGEST_LOOK:
                    raise TooManyException(detail="it takes too long to hold this filter against all of them")
                if request.filter is not None and request.filter.match(one):
                    yield one
            if len(kept) < at_once:
                break

    def _read(self, kind: Kind, kept: Sequence[Kept], *, related: bool = True) -> list[Resource[Any]]:
        """The resources, with the members of groups and the groups of users where `related`."""
        beside = self._related(kind, kept) if related and kept else {}
        model = self._provider.model_for(kind)
        if model is None:
            raise MintwardenError(ErrorKind.INTERNAL, f"nothing describes a {kind}")
        return [
            model.model_validate(_put_together(one, beside.get(one.id)), scim_ctx=Context.DEFAULT)  # type: ignore[misc]
            for one in kept
        ]

    def _related(self, kind: Kind, kept: Sequence[Kept]) -> dict[str, tuple[str, list[dict[str, str]]]]:
        ids = [one.id for one in kept]
        if kind == "Group":
            members = self._of_each(self._store.members, ids)
            return {
                group: ("members", [{"value": id_, "$ref": f"Users/{id_}", "type": "User"} for id_ in users])
                for group, users in members.items()
            }
        groups = self._of_each(self._store.groups_of, ids)
        known = self._wait(self._store.get(self._source, sorted({id_ for own in groups.values() for id_ in own})))
        names = {id_: str(_decode(one.document)["displayName"]) for id_, one in known.items()}
        return {
            user: (
                "groups",
                [
                    {"value": id_, "$ref": f"Groups/{id_}", "display": names[id_], "type": "direct"}
                    for id_ in own
                    if id_ in names
                ],
            )
            for user, own in groups.items()
        }

    def _of_each(
        self, read: Callable[[str, Sequence[str]], Awaitable[Mapping[str, Sequence[str]]]], ids: Sequence[str]
    ) -> dict[str, Sequence[str]]:
        """What `read` gives for each of `ids`, unless that is too much for one answer."""
        found: dict[str, Sequence[str]] = {}
        for first in range(0, len(ids), _FEW):
            found |= self._wait(read(self._source, ids[first : first + _FEW]))
            if sum(map(len, found.values())) > MOST_RELATED:
                what = "too many members for one answer: lower `count`, or leave them out by `excludedAttributes`"
                raise TooManyException(detail=what)
        return found


_RELATED: dict[Kind, str] = {"Group": "members", "User": "groups"}


def _kind(resource_type: ResourceType) -> Kind:
    return "Group" if resource_type.name == "Group" else "User"


def _left_out(parameters: ResponseParameters[Any] | None, attribute: str) -> bool:
    """Whether nobody wants to see `attribute`: most requests for a group do not, and some have many members."""
    if parameters is None:
        return False
    excluded = [str(one).lower() for one in parameters.excluded_attributes or ()]
    wanted = [str(one).lower() for one in parameters.attributes or ()]
    return attribute in excluded or (bool(wanted) and not any(attribute in one for one in wanted))


def _taken_apart(resource: Resource[Any]) -> tuple[dict[str, Any], list[str]]:
    """What is kept of a resource: its document, and the ids of a group's members."""
    whole = resource.model_dump(scim_ctx=Context.DEFAULT)
    members = [str(one.get("value") or "") for one in whole.get("members") or ()]
    return {name: value for name, value in whole.items() if name not in _BESIDE}, members


def _put_together(kept: Kept, beside: tuple[str, list[dict[str, str]]] | None) -> dict[str, Any]:
    document = _decode(kept.document)
    document["id"] = kept.id
    document["meta"] = {
        "resourceType": kept.kind,
        "created": _moment(kept.created),
        "lastModified": _moment(kept.changed),
        "version": tag(kept),
    }
    if beside is not None:
        document[beside[0]] = beside[1]
    return document


def _moment(millis: int) -> str:
    return datetime.datetime.fromtimestamp(millis / 1000, datetime.UTC).isoformat(timespec="milliseconds")
