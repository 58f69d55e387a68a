"""What a profile forbids where it can be seen in the bundle; what each tightens stands in `model/profiles.py` alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mintwarden.model.catalogue import Audience, Catalogue, Client, ClientDocuments, OpenRegistration, Registration
from mintwarden.model.profiles import DEFAULT, PROFILES, Profile
from mintwarden.policy.bundle.certificates import BOUND
from mintwarden.policy.bundle.draft import Draft
from mintwarden.policy.bundle.kinds import choice
from mintwarden.policy.bundle.problem import Place
from mintwarden.policy.bundle.protections import DPOP, OBJECTS
from mintwarden.policy.bundle.shape import Key

KEY = Key("profile", choice(*PROFILES), DEFAULT)


def check_audience(draft: Draft, place: Place, values: Mapping[str, Any]) -> None:
    """An audience says nothing that its profile forbids."""
    name = values["profile"]
    rules = PROFILES[name]
    _signature(draft, place.at("algorithm"), values["algorithm"], name, rules)
    if rules.bound and values["binding"] == "":
        what = f"profile `{name}` knows no bearer tokens"
        draft.problems.add(place.at("binding"), what, 'write `"any"`, `"dpop"` or `"mtls"`, or leave it out')


def check_client(draft: Draft, place: Place, values: Mapping[str, Any]) -> None:
    """A client says nothing that its profile forbids."""
    name = values["profile"]
    rules = PROFILES[name]
    _methods(draft, place, values["authentication"], name, rules)
    for index, algorithm in enumerate(values["algorithms"]):
        _signature(draft, place.at("algorithms", index), algorithm, name, rules)
    asking = values["authorization"] or {}
    if rules.pushed and asking.get("pushed") is False:
        what = f"profile `{name}` takes no authorization requests but those that were pushed"
        draft.problems.add(place.at("authorization", "pushed"), what, "leave `pushed` out")
    for asks in ("backchannel_authentication_request_signing_alg", OBJECTS):
        _signature(draft, place.at(asks), values[asks], name, rules)
    for key in ("response_algorithm", "userinfo_algorithm"):
        _signature(draft, place.at("authorization", key), asking.get(key, ""), name, rules)
    refresh = values["refresh"] or {}
    rotates = rules.rotates if refresh.get("rotate") is None else refresh["rotate"]
    at = place.at("refresh", "rotate")
    if rotates and not rules.rotates:
        what = f"profile `{name}` keeps refresh tokens: they are bound to a key, and rotating them loses them"
        draft.problems.add(at, what, "leave `rotate` out")
    renews = "refresh_token" in values["grants"] and "none" in values["authentication"]
    if renews and rules.renewals_guarded and not (rotates or rules.bound or values[BOUND] or values[DPOP]):
        what = f"profile `{name}` rotates the refresh tokens of public clients, or binds them"
        draft.problems.add(at, what, 'remove `rotate = false`, or write `profile = "legacy"`')


def check_bounds(
    draft: Draft, catalogue: Catalogue, bounds: Registration | ClientDocuments | OpenRegistration, place: Place
) -> None:
    """Clients beside the bundle are let be nothing that the profile they are of forbids."""
    rules = PROFILES[bounds.profile]
    _methods(draft, place, bounds.methods, bounds.profile, rules)
    _ceilings(draft, catalogue, bounds.ceilings, bounds.profile, place)


def check_ceilings(draft: Draft, catalogue: Catalogue, client: Client, place: Place) -> None:
    """A client's profile and those of its audiences fit each other."""
    _ceilings(draft, catalogue, client.ceilings, client.profile, place)


def _ceilings(draft: Draft, catalogue: Catalogue, names: Iterable[str], profile: str, place: Place) -> None:
    rules = PROFILES[profile]  # type: ignore[index]
    for name in names:
        audience = catalogue.audiences.get(name)
        if audience is None:
            continue
        if audience.rules.audiences_alike and audience.profile != profile:
            what = f"audience `{name}` is of profile `{audience.profile}` and takes no clients of profile `{profile}`"
            remedy = f'write `profile = "{audience.profile}"` here, or take the audience out of `ceilings`'
            draft.problems.add(place.at("ceilings", name), what, remedy, key=True)
        _signed_as(draft, audience, profile, rules, place.at("ceilings", name))


def _signed_as(draft: Draft, audience: Audience, profile: str, rules: Profile, place: Place) -> None:
    if rules.signatures and audience.algorithm not in rules.signatures:
        what = f"tokens of audience `{audience.id}` are signed with {audience.algorithm}, against profile `{profile}`"
        remedy = f"let the audience's `algorithm` be one of {_listed(rules.signatures)}"
        draft.problems.add(place, what, remedy, key=True)


def _methods(draft: Draft, place: Place, methods: Iterable[str], name: str, rules: Profile) -> None:
    for index, method in enumerate(methods):
        if rules.methods and method not in rules.methods:
            what = f"profile `{name}` takes no client that authenticates by `{method}`"
            draft.problems.add(place.at("authentication", index), what, f"use one of {_listed(rules.methods)}")


def _signature(draft: Draft, place: Place, algorithm: str, name: str, rules: Profile) -> None:
    if algorithm and rules.signatures and algorithm not in rules.signatures:
        what = f"profile `{name}` takes no signatures with {algorithm}"
        draft.problems.add(place, what, f"use one of {_listed(rules.signatures)}")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
