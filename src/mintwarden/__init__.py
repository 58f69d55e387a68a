"""Mintwarden: a governed OAuth 2.x / OpenID Connect token service."""

__version__ = "0.1.0"
