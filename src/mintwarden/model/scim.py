"""Which attributes of a SCIM user (RFC 7643 sections 4.1 and 4.3) can become facts, and how they feed a source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from msgspec import Struct

ADMINISTRATION: Final = "mintwarden"
"""The audience whose scopes administer this service. Nobody gets there by what SCIM says, unless the bundle says so."""

ENTERPRISE: Final = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


class Attribute(Struct, frozen=True):
    """Where an attribute stands in a user's JSON, and what it holds: `set` for the values of a multi-valued one."""

    path: tuple[str, ...]
    kind: Literal["bool", "string", "set"] = "string"


_CORE = ("displayName", "externalId", "locale", "nickName", "preferredLanguage", "timezone", "title", "userName",
         "userType")  # fmt: skip
_ENTERPRISE = ("costCenter", "department", "division", "employeeNumber", "organization")
_SETS = ("emails", "entitlements", "phoneNumbers", "roles")

ATTRIBUTES: Final[Mapping[str, Attribute]] = {
    "active": Attribute(("active",), "bool"),
    **{name: Attribute((name,)) for name in _CORE},
    "familyName": Attribute(("name", "familyName")),
    "givenName": Attribute(("name", "givenName")),
    **{name: Attribute((ENTERPRISE, name)) for name in _ENTERPRISE},
    "manager": Attribute((ENTERPRISE, "manager", "value")),
    **{name: Attribute((name,), "set") for name in _SETS},
}
"""By the name that a bundle calls them: their own, which is unique among both schemas."""

Identifier = Literal["userName", "externalId"]


class ScimFeed(Struct, frozen=True, kw_only=True):
    """How SCIM feeds a source.

    Attributes:
        identifier: the attribute that is the id of the `User`, as in the `sub` of its tokens.
        subject_prefix: what stands before it there, as for an issuer or a provider. It speaks of nobody else.
        administrators: it may say what rules about administration read: groups, and facts.
        facts: fact name to the name of an attribute in `ATTRIBUTES`.
    """

    identifier: Identifier = "userName"
    subject_prefix: str = ""
    administrators: bool = False
    facts: Mapping[str, str] = {}
