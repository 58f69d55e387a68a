"""Step 4's result: what is true now, from where, how old; and what is not known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from mintwarden.model.exception import ExceptionGrant
from mintwarden.model.values import Entity, Record

SourceState = Literal["present", "missing", "stale", "failing"]
"""`missing`: the source answered and has nothing; `stale`: older than its age limit; `failing`: no answer."""


class Reading(Struct, frozen=True, omit_defaults=True):
    """How one source answered about one entity.

    Attributes:
        state: see `SourceState`.
        observed_at: when the source last observed it, `Millis`; 0 when it never did.
        max_age: the source's age limit in milliseconds; 0 for none.
        detail: one line on a failure, without secrets.
    """

    state: SourceState
    observed_at: int = 0
    max_age: int = 0
    detail: str = ""


class Facts(Struct, frozen=True, kw_only=True):
    """Everything a decision may look at.

    Attributes:
        subject: the subject as a Cedar entity: attributes from its sources, groups as ancestors.
        actors: the same for each actor, in the order of `Asked.actors`; when `Asked.impersonate`, the one
            entry is the client's own principal.
        context: Cedar's `context`: `request`, `client`, `chain`, `subject`, and one record per further
            namespace of the sources (`session`, `device`, `world`).
        readings: `"<role>/<source>"` to how that source answered; role is `subject`, `actor:<index>` or the
            context namespace.
        ends: `"<role>/<fact>"` of set-valued facts with limited elements: element to its end, `Millis`.
            Group memberships stand under `"<role>/groups"`.
        epoch: the store's epoch when the facts were read; a `Caller` under an older one must be verified again.
        exceptions: those in force that may concern one of these principals and the scopes asked for.
    """

    subject: Entity
    actors: tuple[Entity, ...] = ()
    context: Record
    readings: Mapping[str, Reading] = {}
    ends: Mapping[str, Mapping[str, int]] = {}
    epoch: int = 0
    exceptions: tuple[ExceptionGrant, ...] = ()
