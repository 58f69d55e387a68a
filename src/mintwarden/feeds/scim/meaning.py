"""What a user of SCIM means as facts: pure, and the only place that says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mintwarden.model.scim import ATTRIBUTES, Attribute, ScimFeed


def is_active(user: Mapping[str, Any]) -> bool:
    """Whether the account may be used; one that says nothing about it may."""
    return user.get("active") is not False


def facts_of(user: Mapping[str, Any], feed: ScimFeed) -> dict[str, Any] | None:
    """The facts that a user's JSON says, by fact name: those that the feed names, and no others ever.

    INVARIANT: of an account that is not active nothing is said, but where a fact says just that: then rules may look at
    it, and the source goes on to know the person.
    """
    named = {fact: ATTRIBUTES[attribute] for fact, attribute in feed.facts.items()}
    if not is_active(user) and "active" not in feed.facts.values():
        return None
    values = {fact: _value(user, attribute) for fact, attribute in named.items()}
    return {fact: value for fact, value in values.items() if value is not None}


def _value(user: Mapping[str, Any], attribute: Attribute) -> Any:
    if attribute.path == ("active",):
        return is_active(user)
    found: Any = user
    for name in attribute.path:
        found = found.get(name) if isinstance(found, Mapping) else None
    if attribute.kind == "set":
        entries = found if isinstance(found, list) else []
        return sorted({entry["value"] for entry in entries if isinstance(entry, Mapping) and entry.get("value")})
    return found
