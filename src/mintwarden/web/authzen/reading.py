"""Bodies of the Authorization API as what they ask (sections 6 to 8): what is required and of which type.

Unknown members are ignored, as the specification says. An entity of an evaluation replaces the request's own as a
whole, save that a required member which it lacks is taken from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from mintwarden.authn.jose import JoseError, decode_json
from mintwarden.issue.question import Evaluation, Named, read_context
from mintwarden.model.errors import ErrorKind, MintwardenError

MOST = 100
"""Evaluations of one request."""

Semantic = Literal["execute_all", "deny_on_first_deny", "permit_on_first_permit"]
SEMANTICS: tuple[Semantic, ...] = ("execute_all", "deny_on_first_deny", "permit_on_first_permit")

_REQUIRED = {"subject": ("type", "id"), "action": ("name",), "resource": ("type", "id")}
_ENTITIES = tuple(_REQUIRED)


class Malformed(Struct, frozen=True):
    """An evaluation that cannot be read, and why."""

    why: str


class Batch(Struct, frozen=True, kw_only=True):
    """What is asked. `single`: the answer is one decision, not an array of them."""

    evaluations: tuple[Evaluation | Malformed, ...]
    semantic: Semantic = "execute_all"
    single: bool = False


def read_object(body: bytes) -> dict[str, Any]:
    """The body as a JSON object (RFC 7493), unambiguous and not nested deeply; raises `INVALID_REQUEST`."""
    try:
        return decode_json(body)
    except JoseError:
        raise invalid("the body is not a JSON object with unique members") from None


def read_evaluation(content: Mapping[str, Any]) -> Evaluation:
    """One evaluation; raises `INVALID_REQUEST`."""
    return _evaluation({name: entity(content, name) for name in _ENTITIES}, content)


def read_evaluations(content: Mapping[str, Any]) -> Batch:
    """Several evaluations, or one where there is no array or an empty one (section 7.1).

    Raises `INVALID_REQUEST` for what is wrong with the request as a whole; what is wrong with one of the evaluations is
    that one's answer.
    """
    listed = content.get("evaluations")
    if listed is None or listed == []:
        return Batch(evaluations=(read_evaluation(content),), single=True)
    if type(listed) is not list:
        raise invalid("`evaluations` is not an array")
    if len(listed) > MOST:
        raise invalid(f"more than {MOST} evaluations in one request")
    defaults = {name: content[name] for name in (*_ENTITIES, "context") if name in content}
    for name, value in defaults.items():
        if type(value) is not dict:
            raise invalid(f"`{name}` is not an object")
    read_context(defaults.get("context"))
    return Batch(evaluations=tuple(_one(item, defaults) for item in listed), semantic=_semantic(content))


def entity(content: Mapping[str, Any], name: str, *, lacking: str = "") -> Mapping[str, str]:
    """The required members of an entity; all but `lacking`, which is ignored. Raises `INVALID_REQUEST`."""
    value = content.get(name)
    if value is None:
        raise invalid(f"`{name}` is missing")
    if type(value) is not dict:
        raise invalid(f"`{name}` is not an object")
    properties = value.get("properties")
    if properties is not None and type(properties) is not dict:
        raise invalid(f"`{name}.properties` is not an object")
    found = {}
    for member in _REQUIRED[name]:
        if member == lacking:
            continue
        text = value.get(member)
        if text is None:
            raise invalid(f"`{name}.{member}` is missing")
        if type(text) is not str:
            raise invalid(f"`{name}.{member}` is not a string")
        found[member] = text
    return found


def context_of(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """The `context`, which may be left out; raises `INVALID_REQUEST`."""
    value = content.get("context")
    if value is None:
        return {}
    if type(value) is not dict:
        raise invalid("`context` is not an object")
    return value


def invalid(public: str) -> MintwardenError:
    """An error of the caller's."""
    return MintwardenError(ErrorKind.INVALID_REQUEST, public)


def _one(item: object, defaults: Mapping[str, Any]) -> Evaluation | Malformed:
    try:
        if type(item) is not dict:
            raise invalid("the evaluation is not an object")
        merged = {**defaults, **{name: item[name] for name in (*_ENTITIES, "context") if item.get(name) is not None}}
        for name, members in _REQUIRED.items():
            own, default = item.get(name), defaults.get(name)
            if type(own) is dict and default is not None:
                fallback = {member: default[member] for member in members if member in default}
                merged[name] = {**fallback, **own}
        return read_evaluation(merged)
    except MintwardenError as error:
        return Malformed(error.public)


def _evaluation(entities: Mapping[str, Mapping[str, str]], content: Mapping[str, Any]) -> Evaluation:
    return Evaluation(
        subject=Named(**entities["subject"]),
        action=entities["action"]["name"],
        resource=Named(**entities["resource"]),
        context=read_context(context_of(content)),
    )


def _semantic(content: Mapping[str, Any]) -> Semantic:
    options = content.get("options")
    if options is None:
        return "execute_all"
    if type(options) is not dict:
        raise invalid("`options` is not an object")
    said = options.get("evaluations_semantic", "execute_all")
    for known in SEMANTICS:
        if said == known:
            return known
    raise invalid("`options.evaluations_semantic` is none of the three semantics")
