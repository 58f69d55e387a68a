"""What the decision point says about itself (section 9)."""

from __future__ import annotations

from mintwarden.issue.foreign import CAPABILITY
from mintwarden.web.discovery import base_of, path_of

WELL_KNOWN = "/.well-known/authzen-configuration"
PATHS = {
    "access_evaluation_endpoint": "/access/v1/evaluation",
    "access_evaluations_endpoint": "/access/v1/evaluations",
    "search_subject_endpoint": "/access/v1/search/subject",
    "search_resource_endpoint": "/access/v1/search/resource",
    "search_action_endpoint": "/access/v1/search/action",
}
"""Each endpoint's metadata parameter and its path below the issuer."""


def metadata_path(issuer: str) -> str:
    """Where the document is: the well-known part stands between the host and the issuer's own path."""
    return WELL_KNOWN + path_of(issuer)


def describe_decision_point(issuer: str) -> dict[str, object]:
    """The document. The decision point is known by the issuer identifier."""
    base = base_of(issuer)
    return {
        "policy_decision_point": issuer,
        **{parameter: base + path for parameter, path in PATHS.items()},
        "capabilities": [CAPABILITY],
    }
