"""SCIM in (RFC 7643, RFC 7644): what an identity provider says about people and groups, kept and turned into facts."""
