"""Rules that name a workload, an agent or a client that there cannot be."""

from __future__ import annotations

from collections.abc import Iterator

from cedarpy import pst

from mintwarden.model.catalogue import Catalogue
from mintwarden.policy.bundle.namesakes import beginning_of
from mintwarden.policy.bundle.problem import did_you_mean
from mintwarden.policy.cedar.named import compared, contained, entities
from mintwarden.policy.cedar.rule import Rule
from mintwarden.policy.lint.finding import Hit, Kind
from mintwarden.policy.lint.subject import Subject

_DECLARE = "declare it in `clients/`, or remove the name"
_PROGRAMS = ("Workload", "Agent")
"""People and groups are not looked at: the directory knows them, and the bundle does not."""


def look(subject: Subject) -> Iterator[Hit]:
    """Names in heads and conditions that no client has, and that no registration or issuer could give to anybody."""
    for rule in subject.rules:
        told: set[str] = set()
        for kind, name in _named(rule):
            hit = _client(subject.catalogue, rule, name) if not kind else _program(subject.catalogue, rule, kind, name)
            if hit is not None and hit.message not in told:
                told.add(hit.message)
                yield hit


def _named(rule: Rule) -> Iterator[tuple[str, str]]:
    """Type and name of each program that the rule names; no type for what is only a client's id."""
    head = rule.template.principal
    if isinstance(head, pst.ScopeEq | pst.ScopeIn | pst.ScopeIsIn) and isinstance(head.entity, pst.EntityUid):
        yield str(head.entity.type), head.entity.id
    conditions = [clause.expr for clause in rule.template.clauses]
    yield from ((str(uid.type), uid.id) for uid in entities(conditions))
    for value, path in compared(conditions):
        if path == "context.client.id":
            yield "", value
    for value, path in contained(conditions):
        kind, colon, name = value.partition(":")
        if path == "context.chain.actors" and colon:
            yield kind, name


def _program(catalogue: Catalogue, rule: Rule, kind: str, name: str) -> Hit | None:
    if kind not in _PROGRAMS or _is_introduced(catalogue, name):
        return None
    client = catalogue.clients.get(name)
    if client is not None and client.principal == kind:
        return None
    if any(issuer.principal == kind and name.startswith(beginning_of(issuer)) for issuer in catalogue.issuers.values()):
        return None
    if client is not None:
        what = f'rule `{rule.id}` names `{kind}::"{name}"`, and client `{name}` is a `{client.principal}`'
        return Hit(rule, what, f'write `{client.principal}::"{name}"`')
    known = [client.id for client in catalogue.clients.values() if client.principal == kind]
    what = f'rule `{rule.id}` names `{kind}::"{name}"`, and nobody can be called so'
    return Hit(rule, what, did_you_mean(name, known, _DECLARE))


def _client(catalogue: Catalogue, rule: Rule, name: str) -> Hit | None:
    if name in catalogue.clients or _is_introduced(catalogue, name):
        return None
    what = f"rule `{rule.id}` asks for the client `{name}`, and there can be none"
    return Hit(rule, what, did_you_mean(name, catalogue.clients, _DECLARE))


def _is_introduced(catalogue: Catalogue, name: str) -> bool:
    """Whether a client that stands beside the bundle may be called so."""
    bounds = (catalogue.registration, catalogue.open_registration)
    by_prefix = any(one is not None and name.startswith(one.prefix) for one in bounds)
    return by_prefix or (catalogue.documents is not None and name.startswith("https://"))


KIND = Kind(
    id="principal-unknown",
    severity="warning",
    summary="A program that there cannot be",
    look=look,
)
