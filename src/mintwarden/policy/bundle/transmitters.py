"""`transmitters/*.toml`: whose security events count here, and about whom, as data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mintwarden.model.catalogue import Catalogue, Source
from mintwarden.model.fact_type import FactType
from mintwarden.model.signals import FACTS, FAMILIES, Transmitter
from mintwarden.policy.bundle.draft import Draft
from mintwarden.policy.bundle.issuers import ALGORITHMS
from mintwarden.policy.bundle.kinds import choice, https_url, identifier, matching, text
from mintwarden.policy.bundle.problem import Place
from mintwarden.policy.bundle.shape import Key, Table, each_named, list_of, read_table, table_of

FOLDER = "transmitters"
SUBJECTS = ("user", "session", "device")

_ABOUT: Mapping[str, str] = {"User": "user", "session": "session", "device": "device"}
_TEXT = FactType(kind="string")
_domain = matching(re.compile(r"[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})+", re.ASCII), "a domain in lower case")
_named = matching(
    re.compile(r"[!#-\[\]-z|~]{0,128}\{(address|local)\}", re.ASCII), "a prefix, then `{address}` or `{local}`"
)

TRANSMITTER = Table(
    "[transmitter]",
    (
        Key("id", identifier, "", required=True),
        Key("issuer", https_url, "", required=True),
        Key("audiences", list_of(text(most=500), least=1), (), required=True),
        Key("events", list_of(choice(*FAMILIES), least=1), (), required=True),
        Key("delivery", choice("push", "poll"), "push"),
        Key("poll_endpoint", https_url, ""),
        Key("jwks_uri", https_url, ""),
        Key("algorithms", list_of(choice(*ALGORITHMS), least=1), ("ES256", "PS256", "EdDSA", "RS256")),
        Key("speaks_of", list_of(choice(*SUBJECTS), least=1), ("user",)),
        Key("provider", identifier, ""),
        Key("subject_prefix", text(most=200, least=0), ""),
        Key("emails", each_named(_domain, _named, most=200), {}),
        Key("facts", each_named(choice(*FACTS), identifier, most=len(FACTS)), {}),
    ),
)
TRANSMITTER_FILE = Table("transmitters/*.toml", (Key("transmitter", table_of(TRANSMITTER), required=True),))
TABLES = (TRANSMITTER,)


def read_transmitters(draft: Draft) -> Mapping[str, Transmitter]:
    """Every transmitter by id."""
    found: dict[str, Transmitter] = {}
    for file, document in draft.under(FOLDER):
        values = read_table(TRANSMITTER_FILE, document, Place(file), draft.problems)["transmitter"]
        if values is None or not values["id"]:
            continue
        place = Place(file, ("transmitter",))
        if draft.declare("transmitter", values["id"], place.at("id")):
            _fits(draft, place, values)
            found[values["id"]] = Transmitter(**values)
    return found


def _fits(draft: Draft, place: Place, values: Mapping[str, Any]) -> None:
    polled = values["delivery"] == "poll"
    if bool(values["poll_endpoint"]) is not polled:
        what = "`poll_endpoint` goes with `delivery` `poll`, and with nothing else"
        draft.problems.add(place, what, "add it, or leave it out", key=True)
    if values["provider"] and values["subject_prefix"]:
        what = "the provider's own `subject_prefix` says how its people are called"
        draft.problems.add(place.at("subject_prefix"), what, "leave it out", key=True)
    if "session" in values["speaks_of"] and not values["provider"]:
        what = "sessions are known by their names at a provider"
        draft.problems.add(place.at("speaks_of"), what, "name the `provider`, or leave `session` out")
    for domain, name in values["emails"].items():
        # INVARIANT: `ann@one.example` and `ann@two.example` are two people.
        if name.endswith("{local}") and [*values["emails"].values()].count(name) > 1:
            what = f"people of `{domain}` and of another domain would be called alike"
            draft.problems.add(place.at("emails", domain), what, "give each a prefix of its own, or use `{address}`")
    told = {FAMILIES[event] for event in values["events"]}
    for family in values["facts"]:
        if family not in told:
            what = f"none of its `events` says anything of `{family}`"
            draft.problems.add(place.at("facts", family), what, "add the event, or leave the source out", key=True)


def check_transmitters(draft: Draft, catalogue: Catalogue) -> None:
    """Hold every transmitter against the providers and sources, and against each other."""
    issuers: dict[str, str] = {}
    sources: dict[str, tuple[str, str]] = {}
    for one in catalogue.transmitters.values():
        place = Place(draft.place("transmitter", one.id).file, ("transmitter",))
        if one.issuer == catalogue.issuer:
            draft.problems.add(place.at("issuer"), "we do not listen to ourselves", "remove this file")
        if issuers.setdefault(one.issuer, one.id) != one.id:
            what = f"`{issuers[one.issuer]}` is of this issuer already"
            draft.problems.add(place.at("issuer"), what, "put both into one file")
        if one.provider:
            _provided(draft, catalogue, one, place)
        for family, source in one.facts.items():
            at = place.at("facts", family)
            if draft.known("source", source, catalogue.sources, at):
                _source(draft, catalogue.sources[source], family, one, at)
                if sources.setdefault(source, (one.id, family)) != (one.id, family):
                    what = f"source `{source}` is written by `{sources[source][0]}` already"
                    draft.problems.add(at, what, "one document replaces the one before: give each a source of its own")


def _provided(draft: Draft, catalogue: Catalogue, one: Transmitter, place: Place) -> None:
    if not draft.known("provider", one.provider, catalogue.providers, place.at("provider")):
        return
    if catalogue.providers[one.provider].subject != "sub" and set(one.events) - {"session-revoked"}:
        what = f"`{one.provider}` does not call its people by `sub`: of them, only sessions can be found"
        draft.problems.add(place.at("events"), what, "leave `session-revoked` alone, or name people without `provider`")


def _source(draft: Draft, source: Source, family: str, one: Transmitter, place: Place) -> None:
    if source.kind != "store" or source.groups:
        draft.problems.add(
            place, f"source `{source.id}` does not take such facts", "name one of kind `store`, no groups"
        )
    speaks = {about for about in source.about if _ABOUT.get(about) in one.speaks_of}
    if not speaks:
        what = f"source `{source.id}` is about nothing that this transmitter speaks of"
        draft.problems.add(place, what, "change its `about`, or `speaks_of`")
    for fact in source.facts.values():
        if fact.name not in FACTS[family] or fact.type != _TEXT:
            listed = ", ".join(FACTS[family])
            what = f"fact `{fact.name}` of source `{source.id}` does not come of it"
            draft.problems.add(place, what, f"these do, each a `string`: {listed}")
        elif not fact.optional and fact.name != FACTS[family][0]:
            what = f"fact `{fact.name}` of source `{source.id}` is not said by every event"
            draft.problems.add(place, what, "make it `optional`")
