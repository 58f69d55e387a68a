"""What a change over SCIM means for accounts: which were barred, let in again, or ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec

from mintwarden.feeds.scim.meaning import is_active
from mintwarden.feeds.scim.ports import Kept, ScimChange
from mintwarden.model.values import EntityUid

Became = Literal["disabled", "enabled", "purged"]

_decode = msgspec.json.Decoder(dict[str, Any]).decode


def accounts_changed(before: Mapping[str, Kept], change: ScimChange) -> Iterator[tuple[EntityUid, Became, str]]:
    """Whose account became what, and a name for just this change. `before` are users as they were, by id.

    A user who is new became nothing: nobody knew them. Neither did one who stays as active as they were.
    """
    for new in change.put:
        old = before.get(new.id)
        if old is not None and (active := is_active(_decode(new.document))) is not is_active(_decode(old.document)):
            yield _person(new), "enabled" if active else "disabled", f"{new.id} {new.version}"
    for gone in change.gone:
        if gone in before and before[gone].kind == "User":
            yield _person(before[gone]), "purged", f"{gone} gone"


def _person(user: Kept) -> EntityUid:
    kind, _, name = user.entity.partition(":")
    return EntityUid(kind, name)
