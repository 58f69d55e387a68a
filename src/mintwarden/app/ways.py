"""Which ways to sign in a person has, as the version in force and the passkeys that are kept say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mintwarden.authn.ways import Way, WaysOf
from mintwarden.model.catalogue import Catalogue, Provider
from mintwarden.model.values import EntityUid
from mintwarden.policy.bundle.namesakes import beginning_of_provider
from mintwarden.policy.bundle.providers import PASSKEY

if TYPE_CHECKING:
    from mintwarden.authn.passkeys import Passkeys


def ways_under(catalogue: Catalogue, passkeys: Passkeys | None) -> WaysOf:
    """Finds a person's ways under `catalogue`; `passkeys`: ours, None where there are none."""

    async def ways_of(person: EntityUid, now: int) -> Sequence[Way]:
        at_providers = _at_providers(catalogue.providers, person)
        return at_providers if passkeys is None else [*at_providers, *await _own(catalogue, passkeys, person, now)]

    return ways_of


def _at_providers(providers: Mapping[str, Provider], person: EntityUid) -> list[Way]:
    """The names that providers give are apart: whoever is called like this signs in where they are called so."""
    return [
        Way(id=name, levels=frozenset(provider.acr.values()), methods=frozenset(provider.amr.values()))
        for name, provider in providers.items()
        if person.type == "User" and person.id.startswith(beginning_of_provider(provider))
    ]


async def _own(catalogue: Catalogue, passkeys: Passkeys, person: EntityUid, now: int) -> list[Way]:
    held = [one.value for one in await passkeys.of(person, now)]
    if not held:
        return []
    counted = catalogue.passkeys
    kinds = {"swk" if one.synced else "hwk" for one in held} if "hwk" in counted.amr else set()
    methods = frozenset(counted.amr) - {"hwk"} | kinds
    return [Way(id=PASSKEY, levels=frozenset({counted.acr} - {""}), methods=methods, sure=True)]
