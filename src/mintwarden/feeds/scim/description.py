"""What this service says of itself (RFC 7643 sections 5 to 7): what it keeps, and what it can do.

The schemas are those of RFC 7643 section 8.7, with what is different here: members are users, and a group's name is
unique.
"""

from __future__ import annotations

from typing import Any

from scim2_models import (
    AuthenticationScheme,
    Bulk,
    ChangePassword,
    ETag,
    Filter,
    Patch,
    ResourceType,
    Schema,
    ScimPolicy,
    ScimProvider,
    ServiceProviderConfig,
    Sort,
)
from scim2_server.utils import load_json_resource

GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
MOST_RESULTS = 200
"""Resources of one page."""

POLICY = ScimPolicy(
    # INVARIANT 10: unknown is refused. The two others are how Microsoft Entra ID writes a PATCH.
    unknown=ScimPolicy.Unknown.forbid,
    remove_value_as_filter=ScimPolicy.RemoveValue.apply,
    unmatched_path_filter=ScimPolicy.UnmatchedPathFilter.create,
)


def described() -> ScimProvider:
    """The service, its resource types and schemas, and what it supports."""
    return ScimProvider.from_discovery(
        [Schema.model_validate(_ours(schema)) for schema in load_json_resource("default-schemas.json")],
        [ResourceType.model_validate(one) for one in load_json_resource("default-resource-types.json")],
        config=ServiceProviderConfig(
            patch=Patch(supported=True),
            bulk=Bulk(supported=False, max_operations=0, max_payload_size=0),
            filter=Filter(supported=True, max_results=MOST_RESULTS),
            change_password=ChangePassword(supported=False),
            sort=Sort(supported=False),
            etag=ETag(supported=True),
            authentication_schemes=[
                AuthenticationScheme(
                    type=AuthenticationScheme.Type.oauthbearertoken,
                    name="Access token",
                    description="An access token of this service, for its own audience (RFC 6750)",
                    primary=True,
                )
            ],
        ),
        policy=POLICY,
    )


def _ours(schema: Any) -> Any:
    if schema["id"] != GROUP:
        return schema
    by_name = {attribute["name"]: attribute for attribute in schema["attributes"]}
    by_name["displayName"]["uniqueness"] = "server"
    parts = {part["name"]: part for part in by_name["members"]["subAttributes"]}
    parts["$ref"]["referenceTypes"] = ["User"]
    parts["type"]["canonicalValues"] = ["User"]
    parts["display"]["mutability"] = "readOnly"
    return schema
