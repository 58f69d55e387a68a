"""What an identity provider that feeds people over SCIM may not say, so that it makes nobody an administrator.

That is what administration looks at: the groups that rules about it name, and those whose people approve what such a
rule wants approved; and the facts that the rules read. `active` takes away alone. INVARIANT: it holds wherever a
document is read, so that what was said before a rule looked at it carries nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from mintwarden.model.catalogue import Catalogue, Source
from mintwarden.model.scim import ADMINISTRATION, ScimFeed
from mintwarden.policy.bundle.draft import Draft
from mintwarden.policy.cedar.rules import Rule


def bind_feeds(draft: Draft, catalogue: Catalogue, rules: Iterable[Rule]) -> Catalogue:
    """The catalogue, in which each source that SCIM feeds has the groups that it is not believed about.

    A rule about administration that reads a fact of such a source is a finding.
    """
    audience = catalogue.audiences.get(ADMINISTRATION)
    fed = {name: source for name, source in catalogue.sources.items() if _is_bound(source.scim)}
    if audience is None or not fed:
        return catalogue
    about = [rule for rule in rules if ADMINISTRATION in rule.audiences or audience.scopes.keys() & {*rule.scopes}]
    for source in fed.values():
        _refuse_facts(draft, source, about)
    groups = _groups(catalogue, about)
    return replace(
        catalogue, sources={**catalogue.sources, **{name: replace(one, withheld=groups) for name, one in fed.items()}}
    )


def _is_bound(feed: ScimFeed | None) -> bool:
    return feed is not None and not feed.administrators


def _refuse_facts(draft: Draft, source: Source, about: Iterable[Rule]) -> None:
    said: Mapping[str, str] = source.scim.facts if source.scim is not None else {}
    for rule in about:
        for fact, attribute in said.items():
            if attribute != "active" and f"principal.{fact}" in rule.reads:
                what = f"rule `{rule.id}` is about administration, and reads `{fact}`, which SCIM feeds"
                remedy = f"give administrators a source of their own, or write `administrators = true` at `{source.id}`"
                draft.problems.put(rule.file, rule.line, rule.column, what, remedy)


def _groups(catalogue: Catalogue, about: Iterable[Rule]) -> frozenset[str] | None:
    """Those that count for administration; None where a rule may look at any."""
    audience = catalogue.audiences[ADMINISTRATION]
    found: set[str] = set()
    for rule in about:
        leaning = rule.leans_on.get("groups", frozenset())
        if leaning is None:
            return None
        found |= leaning | _approving(catalogue, rule)
    if audience.mode != "enforce":
        found |= set(audience.legacy) | set(audience.canary.groups if audience.canary is not None else ())
    return frozenset(found)


def _approving(catalogue: Catalogue, rule: Rule) -> set[str]:
    """Whoever approves what a rule about administration wants approved has a part in it."""
    wanted = rule.annotations.get("require_approval", "").split()
    kinds = [kind for source in catalogue.sources.values() for kind in source.approvers.values() if kind.id in wanted]
    return {group for kind in kinds for group in kind.groups}
