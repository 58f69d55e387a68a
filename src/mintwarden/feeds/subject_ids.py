"""Whom a security event is about: subject identifiers (RFC 9493), and those that SSF 1.0 section 3 adds.

As JSON has them: an object with `format`, and the members that the format names. A *complex* subject has subjects for
members instead, each one in a role: the user, in that session, of that tenant.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

SubjectId = Mapping[str, Any]
"""One that `read_subject_id` has let through: a `format`, and what belongs to it."""

COMPLEX: Final = "complex"
ALIASES: Final = "aliases"
FORMATS: Final[Mapping[str, tuple[str, ...]]] = {
    # RFC 9493 section 3.2
    "account": ("uri",),
    "email": ("email",),
    "iss_sub": ("iss", "sub"),
    "opaque": ("id",),
    "phone_number": ("phone_number",),
    "did": ("url",),
    "uri": ("uri",),
    # SSF 1.0 section 3.4
    "jwt_id": ("iss", "jti"),
    "saml_assertion_id": ("issuer", "assertion_id"),
}
"""The simple formats, each with its members: all of them strings, all of them needed."""

ROLES: Final = ("user", "device", "session", "application", "tenant", "org_unit", "group")
"""The members of a complex subject that SSF 1.0 section 3.3 defines. Others may be there."""

IP_ADDRESSES: Final = "ip-addresses"
MOST_ALIASES: Final = 16
MOST_ADDRESSES: Final = 64
MOST_ROLES: Final = 16
LONGEST: Final = 1_000
"""Characters of one member."""


class BadSubjectId(ValueError):
    """It identifies nobody; the message says why, in one line that names no value."""


def iss_sub(issuer: str, subject: str) -> SubjectId:
    """Somebody as an issuer calls them (RFC 9493 section 3.2.3)."""
    return {"format": "iss_sub", "iss": issuer, "sub": subject}


def opaque(name: str) -> SubjectId:
    """Something that is known by a name alone (RFC 9493 section 3.2.4)."""
    return {"format": "opaque", "id": name}


def complex_subject(**roles: SubjectId) -> SubjectId:
    """Several subjects, each in a role, that are meant together (SSF 1.0 section 3.3)."""
    return {"format": COMPLEX, **roles}


def read_subject_id(unverified: object, *, others: bool = False) -> SubjectId:
    """The subject identifier in a message, with nothing in it that its format does not define.

    With `others`, one of a format that is not known here stands as it is, for whoever wants to pass it on. Raises
    `BadSubjectId` for what is none: no object, no format, a member that is missing, is too long or is not text,
    members that RFC 9493 section 3 forbids; and aliases within aliases.
    """
    found = _object(unverified)
    kind = found.get("format")
    if not isinstance(kind, str) or not kind or len(kind) > LONGEST:
        raise BadSubjectId("a subject identifier has a `format`")
    if kind == COMPLEX:
        return _complex(found, others=others)
    if kind == ALIASES:
        return _aliases(found, others=others)
    if kind == IP_ADDRESSES:
        return _addresses(found)
    names = FORMATS.get(kind)
    if names is None:
        if others:
            return found
        raise BadSubjectId("the subject's `format` is not known here")
    if extra := found.keys() - {"format", *names}:
        raise BadSubjectId(f"a subject of this `format` has no {len(extra)} further members")
    for name in names:
        _text(found.get(name), name)
    return found


def matches(one: SubjectId, other: SubjectId) -> bool:
    """Are two identifiers about the same: whether an event about `one` is of interest to who asked for `other`.

    SSF 1.0 section 8.1.3.1: simple ones match where they are equal; complex ones where each role that *both* define
    matches, so that a role which one of them leaves open never stands in the way. Aliases match by any one of them. It
    is symmetric. INVARIANT: a simple and a complex one never match; which role was meant is nobody's to guess.
    """
    if ALIASES in (one.get("format"), other.get("format")):
        return any(matches(left, right) for left in _each(one) for right in _each(other))
    if COMPLEX not in (one.get("format"), other.get("format")):
        return one == other
    if one.get("format") != other.get("format"):
        return False
    shared = (one.keys() & other.keys()) - {"format"}
    return all(matches(one[role], other[role]) for role in shared)


def _each(subject: SubjectId) -> list[SubjectId]:
    return list(subject["identifiers"]) if subject.get("format") == ALIASES else [subject]


def _complex(found: Mapping[str, Any], *, others: bool) -> SubjectId:
    roles = {name: value for name, value in found.items() if name != "format"}
    if not roles or len(roles) > MOST_ROLES:
        raise BadSubjectId("a complex subject has members, and not too many")
    for value in roles.values():
        if _object(value).get("format") == COMPLEX:
            raise BadSubjectId("a member of a complex subject is a simple one")
    return {"format": COMPLEX} | {name: read_subject_id(value, others=others) for name, value in roles.items()}


def _aliases(found: Mapping[str, Any], *, others: bool) -> SubjectId:
    given = found.get("identifiers")
    if not isinstance(given, list) or not given or len(given) > MOST_ALIASES or len(found) != 2:
        raise BadSubjectId("`aliases` has `identifiers`, at least one, not too many, and nothing else")
    for one in given:
        if _object(one).get("format") in (ALIASES, COMPLEX):  # RFC 9493 section 3.2.8
            raise BadSubjectId("one of the `identifiers` of `aliases` is a simple one")
    return {"format": ALIASES, "identifiers": [read_subject_id(one, others=others) for one in given]}


def _addresses(found: Mapping[str, Any]) -> SubjectId:
    given = found.get(IP_ADDRESSES)
    if not isinstance(given, list) or not given or len(given) > MOST_ADDRESSES or len(found) != 2:
        raise BadSubjectId("`ip-addresses` has a list of them, not too long, and nothing else")
    for one in given:
        _text(one, IP_ADDRESSES)
    return found


def _object(value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise BadSubjectId("a subject identifier is an object")
    return value


def _text(value: object, name: str) -> None:
    if not isinstance(value, str) or not value or len(value) > LONGEST:
        raise BadSubjectId(f"the subject's `{name}` is missing, is no text or is too long")
