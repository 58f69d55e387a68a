"""Every kind of finding; a new one is a file here and a line in `KINDS`."""

from __future__ import annotations

from mintwarden.policy.lint.finding import Kind
from mintwarden.policy.lint.kinds import (
    claim_too_sensitive,
    claim_unused,
    client_without_owner,
    consent_skipped,
    detail_unasked,
    exception_near_end,
    fact_unread,
    forbid_blocks_everything,
    high_tier_unguarded,
    instance_unbound,
    lifetime_over_cap,
    mode_left_over,
    principal_unknown,
    profile_loose,
    rule_never_applies,
    rule_observed_forever,
    rule_pointless,
    rule_without_owner,
    scope_without_route,
    source_without_age_limit,
    strangers_unbounded,
)

KINDS: tuple[Kind, ...] = (
    scope_without_route.KIND,
    rule_never_applies.KIND,
    rule_pointless.KIND,
    principal_unknown.KIND,
    forbid_blocks_everything.KIND,
    high_tier_unguarded.KIND,
    lifetime_over_cap.KIND,
    claim_unused.KIND,
    detail_unasked.KIND,
    claim_too_sensitive.KIND,
    source_without_age_limit.KIND,
    fact_unread.KIND,
    rule_without_owner.KIND,
    rule_observed_forever.KIND,
    mode_left_over.KIND,
    profile_loose.KIND,
    strangers_unbounded.KIND,
    consent_skipped.KIND,
    instance_unbound.KIND,
    client_without_owner.KIND,
    exception_near_end.KIND,
)
