"""What an audience's file says about introspection: what is told of its tokens, and whether it is decided anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mintwarden.model.catalogue import WITHHELD, Introspection
from mintwarden.policy.bundle.draft import Draft
from mintwarden.policy.bundle.kinds import boolean, claim_name
from mintwarden.policy.bundle.problem import Place, quote
from mintwarden.policy.bundle.shape import Key, Table, list_of, table_of

INTROSPECTION = Table("[introspection]", (Key("claims", list_of(claim_name)), Key("fresh", boolean, False)))
KEYS = (Key("introspection", table_of(INTROSPECTION), {key.name: key.default for key in INTROSPECTION.keys}),)
TABLES = (INTROSPECTION,)


def introspection_of(draft: Draft, file: str, whole: Mapping[str, Any]) -> Introspection:
    """The value of `KEYS`; a claim that no token of the audience has is a finding, as is one that is always told."""
    values = whole["introspection"]
    known = WITHHELD | whole["claims"].keys()
    for index, name in enumerate(values["claims"] or ()):
        if name not in known:
            place = Place(file, ("introspection", "claims", index))
            what = f"{quote(name)} is none of the claims that introspection can leave out"
            remedy = "what limits a token is always told; other claims must stand under `[claims]`"
            draft.problems.add(place, what, draft.problems.near(name, known, remedy))
    claims = values["claims"]
    return Introspection(claims=None if claims is None else frozenset(claims), fresh=values["fresh"])
