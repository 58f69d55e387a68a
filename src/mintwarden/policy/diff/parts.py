"""A bundle taken apart: each of its parts with what it says, in one spelling, whatever the layout and the order."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
from cedarpy import pst
from msgspec import Struct

from mintwarden.model.catalogue import Catalogue
from mintwarden.model.fact_type import Fact, FactType
from mintwarden.policy.bundle.facttypes import spelled
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.cedar.rule import Rule
from mintwarden.policy.diff.edition import Edition
from mintwarden.policy.diff.trees import actions_of, conditions_of, resource_of

KINDS = (
    "bundle", "tier", "purpose", "approver", "source", "claim", "audience", "scope", "client", "issuer",
    "provider", "transmitter", "rule", "assertion", "scenario",
)  # fmt: skip
"""Every kind of part, in the order of telling."""
IN_BUNDLE = frozenset(
    {"tiers", "purposes", "audiences", "scopes", "claims", "sources", "clients", "issuers", "providers", "transmitters"}
)
"""Fields of the catalogue that are parts of their own."""
TOLD_APART = frozenset(
    {"digest", "catalogue", "rules", "schema", "derivations", "approvals", "scenarios", "assertions", "plans",
     "evaluator", "observed_scopes", "returning", "_other", "_changed"}
)  # fmt: skip
"""Of a loaded bundle: what is told part by part, or follows from the parts."""
_AS_WRITTEN = frozenset({("client", "environments"), ("assertion", "when"), ("assertion", "unless"), ("rule", "when")})
"""Arrays whose order has a meaning: a client's first environment is its default."""


class Part(Struct, frozen=True):
    """One part.

    Attributes:
        kind: one of `KINDS`.
        id: unique within its kind.
        file: where it is declared.
        fields: what it says besides its id, by name; values are those of JSON, arrays without an order sorted.
    """

    kind: str
    id: str
    file: str
    fields: Mapping[str, Any]

    @property
    def key(self) -> str:
        """The same for parts that say the same under different ids."""
        # Of a rule, only its tree: who owns it and why it is there may be told anew with its name.
        told = {name: value for name, value in self.fields.items() if self.kind != "rule" or not name.startswith("@")}
        return _spelled(told)


def parts_of(edition: Edition) -> Iterator[Part]:
    """Every part of a bundle, in the order of `KINDS` and ids."""
    bundle, files = edition.bundle, edition.files
    catalogue = bundle.catalogue
    yield Part("bundle", catalogue.name, "bundle.toml", _bundle(bundle))
    for kind, file, known in (
        ("tier", "bundle.toml", catalogue.tiers),
        ("purpose", "bundle.toml", catalogue.purposes),
        ("approver", "bundle.toml", {one.name: one for one in bundle.approvals.approvers}),
        ("source", "sources.toml", catalogue.sources),
        ("claim", "claims.toml", catalogue.claims),
        ("audience", "", catalogue.audiences),
        ("scope", "", catalogue.scopes),
        ("client", "", catalogue.clients),
        ("issuer", "", catalogue.issuers),
        ("provider", "", catalogue.providers),
        ("transmitter", "", catalogue.transmitters),
    ):
        for name, value in sorted(known.items()):
            yield Part(kind, name, file or files[kind, name], fields_of(kind, value))
    for _, rule in sorted(bundle.rules.rules.items()):
        yield part_of_rule(rule)
    for assertion in sorted(bundle.assertions, key=lambda one: one.id):
        yield Part("assertion", assertion.id, assertion.file, fields_of("assertion", assertion))
    for scenario in sorted(bundle.scenarios, key=lambda one: one.id):
        yield Part("scenario", scenario.id, scenario.file, fields_of("scenario", scenario))


def fields_of(kind: str, value: Any) -> dict[str, Any]:
    """The fields of a declared value, tables inside it as `table.key`."""
    skipped = {"id", "name", "file", "line"} if kind != "client" else {"id"}
    if kind == "audience":
        skipped |= {"scopes"}
    found: dict[str, Any] = {}
    for name in value.__struct_fields__:
        inner = getattr(value, name)
        if name in skipped:
            continue
        if isinstance(inner, Mapping):
            found |= {f"{name}.{key}": plain(of, in_order=False) for key, of in inner.items()}
        else:
            found[name] = plain(inner, in_order=(kind, name) in _AS_WRITTEN)
    return found


def plain(value: Any, *, in_order: bool) -> Any:
    """A value as JSON has it."""
    if isinstance(value, FactType):
        return spelled(value)
    if isinstance(value, Fact):
        notes = ("optional" if value.optional else "", value.sensitivity if value.sensitivity != "internal" else "")
        return ", ".join(filter(None, (spelled(value.type), *notes)))
    if isinstance(value, pst.Template):
        return list(conditions_of(value))
    if isinstance(value, Struct):
        return {name: plain(getattr(value, name), in_order=False) for name in value.__struct_fields__}
    if isinstance(value, Mapping):
        return {str(name): plain(of, in_order=False) for name, of in value.items()}
    if isinstance(value, tuple | list | frozenset):
        listed = [plain(one, in_order=in_order) for one in value]
        return listed if in_order else sorted(listed, key=_spelled)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def _bundle(bundle: Bundle) -> dict[str, Any]:
    catalogue: Catalogue = bundle.catalogue
    found: dict[str, Any] = {
        name: plain(getattr(catalogue, name), in_order=False)
        for name in catalogue.__struct_fields__
        if name not in IN_BUNDLE and name != "name"
    }
    found["approvals"] = {
        name: plain(getattr(bundle.approvals, name), in_order=False)
        for name in bundle.approvals.__struct_fields__
        if name != "approvers"
    }
    found |= {name: plain(getattr(bundle, name), in_order=False) for name in further(bundle)}
    return found


def further(bundle: Bundle) -> Iterable[str]:
    """What else a loaded bundle holds: whatever is added to it is compared, too."""
    return sorted(set(bundle.__slots__) - TOLD_APART)


def part_of_rule(rule: Rule) -> Part:
    """A rule as a part."""
    annotations = {f"@{name}": value for name, value in rule.annotations.items() if name != "id"}
    told: dict[str, Any] = {
        "effect": rule.effect,
        "actions": actions_of(rule),
        "resource": resource_of(rule),
        "when": list(conditions_of(rule.template)),
    }
    return Part("rule", rule.id, rule.file, {**told, **annotations})


def _spelled(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def encoded(value: Any) -> str:
    """A value of a field for people."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
