"""The benchmark: Mintwarden against npm oidc-provider on one core, and against its own targets of scale."""
