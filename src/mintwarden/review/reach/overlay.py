"""Hypothetical facts, laid over what is stored: in the shape of a scenario's `given.facts`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from mintwarden.context.assemble import SourceAnswer, TokenFacts
from mintwarden.context.ports import FactDocument
from mintwarden.model.catalogue import Catalogue
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.policy.bundle.problem import Place, Problem, Problems, quote
from mintwarden.policy.bundle.scenarios import SUPPOSED
from mintwarden.policy.bundle.shape import read_table
from mintwarden.review.given import plain_facts


class Overlay:
    """What a file supposes, by entity key and source.

    A fact that it names replaces the stored one, the others stay; `groups` and `spans` replace the stored ones as a
    whole where they are named; `state` other than `present` takes the document away. What it says was observed `age`
    before the moment of the question.
    """

    def __init__(self, said: Mapping[str, Mapping[str, Any]], raw: Mapping[str, Any], tokens: Iterable[str]) -> None:
        self._said, self._raw, self._tokens = said, raw, frozenset(tokens)

    @property
    def entities(self) -> tuple[str, ...]:
        """Whom it speaks of, in order."""
        return tuple(sorted(self._said))

    def over(self, entity: str, stored: Mapping[str, SourceAnswer], at: int) -> Mapping[str, SourceAnswer]:
        """The answers about an entity with what is supposed laid over them."""
        own = self._said.get(entity)
        if not own:
            return stored
        answers = dict(stored)
        for source, entry in own.items():
            if source not in self._tokens:
                answers[source] = self._answer(entity, source, entry, stored.get(source), at)
        return answers

    def tokens(self, at: int) -> dict[str, TokenFacts]:
        """What it supposes that sign-in tokens say."""
        found: dict[str, TokenFacts] = {}
        for entity, own in self._said.items():
            for source, entry in own.items():
                if source in self._tokens and entry["state"] == "present":
                    earlier = found.get(entity)
                    told = {**(earlier.facts if earlier else {}), **plain_facts(entry["facts"])}
                    found[entity] = TokenFacts(told, at - entry["age"] * 1000)
        return found

    def _answer(
        self, entity: str, source: str, entry: Mapping[str, Any], stored: SourceAnswer | None, at: int
    ) -> SourceAnswer:
        if entry["state"] != "present":
            return SourceAnswer(state=entry["state"], detail="as the question supposes")
        before = _document(stored)
        named = self._raw[entity][source]
        spans = {name: {k: tuple(span) for k, span in by.items()} for name, by in entry["spans"].items()}
        document = FactDocument(
            facts={**before.facts, **plain_facts(entry["facts"])},
            groups=list(entry["groups"]) if "groups" in named else before.groups,
            spans=spans if "spans" in named else before.spans,
        )
        return SourceAnswer(document=document, observed_at=at - entry["age"] * 1000)


class OverlayRefused(MintwardenError):
    """What cannot be supposed. `problems` has all of it, by line, where it was read from a file; elsewhere none."""

    def __init__(self, found: Sequence[Problem]) -> None:
        super().__init__(ErrorKind.INVALID_REQUEST, found[0].message, hint=found[0].remedy)
        self.problems = tuple(found) if found[0].file else ()


def read_overlay(content: Mapping[str, Any], catalogue: Catalogue, *, file: str = "", text: str = "") -> Overlay:
    """What `{"facts": {"<entity key>": {"<source>": {...}}}}` supposes; raises `OverlayRefused` if it may not.

    `file` and its `text` are where `content` was read from: mistakes are then told by their lines.
    """
    problems = Problems()
    problems.know(file, text)
    said = read_table(SUPPOSED, content, Place(file), problems)["facts"]
    if not said and not len(problems):
        problems.add(Place(file), "nothing is supposed", 'write `[facts."User:alice".hr]`')
    for entity, source, name in _stated(said):
        _must_be_known(entity, source, name, catalogue, problems, file)
    if len(problems):
        raise OverlayRefused(problems.all())
    return Overlay(said, content["facts"], [s.id for s in catalogue.sources.values() if s.kind == "token"])


def nothing_supposed() -> Overlay:
    """An overlay that changes nothing."""
    return Overlay({}, {}, ())


def _document(stored: SourceAnswer | None) -> FactDocument:
    if stored is None or stored.document is None:
        return FactDocument()
    if isinstance(stored.document, FactDocument):
        return stored.document
    try:
        return msgspec.json.decode(stored.document, type=FactDocument)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return FactDocument()


def _stated(said: Mapping[str, Any]) -> Iterator[tuple[str, str, str | None]]:
    for entity, by_source in said.items():
        for source, entry in by_source.items():
            yield entity, source, None
            for name in entry["facts"]:
                yield entity, source, name


def _must_be_known(
    entity: str, source: str, name: str | None, catalogue: Catalogue, problems: Problems, file: str
) -> None:
    about = entity.partition(":")[0]
    known = [s.id for s in catalogue.sources.values() if about in s.about]
    place = Place(file, ("facts", entity, source))
    if source not in known:
        if name is None:
            what = f"no source {quote(source)} is about `{about}`"
            problems.add(place, what, problems.near(source, known), key=True)
        return
    facts = catalogue.sources[source].facts
    if name is not None and name not in facts:
        what = f"source `{source}` provides no fact {quote(name)}"
        problems.add(place.at("facts", name), what, problems.near(name, facts), key=True)
