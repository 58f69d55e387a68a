"""The ways out to clients that are told something."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from mintwarden.app.config import Config
from mintwarden.app.governing import Governing
from mintwarden.app.trust import guarded
from mintwarden.authn.fetch import GuardedFetcher

_REMEDY: Final = "a client of the bundle in a network of your own is reached by `notices.networks`"


def way_to(config: Config, governing: Governing) -> Callable[[str], GuardedFetcher]:
    """By a client's id, the way to where it is told.

    INVARIANT: networks of the operator's own are for the bundle's clients alone, whose addresses were reviewed: who
    describes or registers themselves would have us call into them.
    """
    reviewed = guarded(config, config.notices.networks, remedy=_REMEDY)
    strangers = guarded(config)

    def way(client_id: str) -> GuardedFetcher:
        return reviewed if client_id in governing.current.bundle.catalogue.clients else strangers

    return way
