"""What pages show of scopes, authorization details and times: in the catalogue's words."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from typing import Any

from mintwarden.issue.authorization.preview import detail_box, scope_box
from mintwarden.issue.confines import Confines
from mintwarden.model.catalogue import Catalogue
from mintwarden.model.detail import Detail


def groups_of(
    scopes: Mapping[str, Sequence[str]],
    identity: Sequence[str],
    details: Mapping[int, Detail],
    catalogue: Catalogue,
) -> list[dict[str, Any]]:
    """What stands together on a page: one group an audience, with its scopes and details.

    What the catalogue no longer has goes by its name.
    """
    all_of = [*scopes.items(), *([(catalogue.identity, identity)] if identity else [])]
    return [
        {
            "about": catalogue.audiences[name].description if name in catalogue.audiences else name,
            "scopes": [_scope(scope, catalogue) for scope in named],
            "details": [
                _detail(place, detail, catalogue)
                for place, detail in details.items()
                if detail.type in catalogue.details and catalogue.details[detail.type].audience == name
            ],
        }
        for name, named in all_of
    ]


def limited_to(confines: Confines, budget: int | None, max_depth: int | None, catalogue: Catalogue) -> dict[str, Any]:
    """For which purpose something is allowed and where, how much of it, and how far it may be handed on."""
    named = (confines.environment, confines.tenant, confines.workspace, confines.project)
    where = ", ".join(text for text in named if text)
    purpose = catalogue.purposes.get(confines.purpose)
    return {
        "purpose": purpose.meaning if purpose is not None else confines.purpose,
        "confines": where,
        "budget": budget,
        "max_depth": max_depth,
        "any": bool(where or confines.purpose) or budget is not None or max_depth is not None,
    }


def moment(millis: int) -> str:
    """A time for people, to the minute."""
    return _time(millis).strftime("%Y-%m-%d %H:%M UTC")


def day(millis: int) -> str:
    """A time for people, to the day."""
    return _time(millis).strftime("%Y-%m-%d")


def _time(millis: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(millis / 1000, datetime.UTC)


def _scope(scope: str, catalogue: Catalogue) -> dict[str, Any]:
    known = catalogue.scopes.get(scope)
    return {
        "box": scope_box(scope),
        "meaning": known.meaning if known is not None else scope,
        "fixed": scope == "openid",
    }


def _detail(place: int, detail: Detail, catalogue: Catalogue) -> dict[str, Any]:
    fields = [(field, spelled(value)) for field, value in detail.fields.items()]
    return {"box": detail_box(place), "meaning": catalogue.details[detail.type].meaning, "fields": fields}


def spelled(value: Any) -> str:
    """A field of an authorization detail, for people: texts as they are, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
