"""The acts that change which version governs, as this deployment does them."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from mintwarden.app.foundation import Foundation
from mintwarden.app.sources import external_sources
from mintwarden.govern.versions import Versions
from mintwarden.policy.bundle.model import Bundle


def versions_of(base: Foundation) -> Versions:
    """Approval, activation, going back and emergencies over an opened deployment."""
    return Versions(
        store=base.store.versions,
        recorder=base.recorder,
        keys=base.store.subject_keys,
        new_id=base.new_id,
        issuer="" if base.config.server.dev else base.issuer,
        prover=violated,
        fits=lambda bundle: fits(base, bundle),
    )


def violated(bundle: Bundle) -> Sequence[str]:
    """The ids of the assertions that a bundle violates. The solver is loaded for an activation, never for a token."""
    if not bundle.assertions:
        return ()
    from mintwarden.policy.prove.prove import prove  # noqa: PLC0415 - a heavy library, and rarely needed

    return [verdict.assertion.id for verdict in prove(bundle) if verdict.outcome == "violated"]


def fits(base: Foundation, bundle: Bundle) -> None:
    """Return when the connections of the bundle's sources are configured here; raise `CONFIG` otherwise.

    Every node of a deployment must have them: one that lacks them decides nothing under the version.
    """
    external_sources(base.config, bundle.catalogue, contextlib.AsyncExitStack())
