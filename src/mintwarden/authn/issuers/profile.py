"""Shapes of well-known issuers: what a trusted issuer means where its entry in the bundle does not say."""

from __future__ import annotations

import tomllib
from importlib import resources
from typing import Any

import msgspec

from mintwarden.model.catalogue import TrustedIssuer
from mintwarden.model.errors import ErrorKind, MintwardenError

PROFILES = ("oidc", "kubernetes", "github-actions", "gitlab", "google", "aws", "spiffe")
"""One TOML file each in `profiles/`. Its keys are `TrustedIssuer`'s."""

_ADDED = frozenset({"conditions", "facts"})
_PLAIN = frozenset({"typ", "algorithms", "session", "device", "acr", "subject"})
# The bundle has to say these; a shape only repeats them for its reader.
_SAID = frozenset({"principal"})


def shaped(issuer: TrustedIssuer) -> TrustedIssuer:
    """The issuer with its profile's shape filled in.

    Conditions of both must hold; facts of both are there, the issuer's own where both name one; anything else is the
    issuer's own unless that is the default.
    """
    if not issuer.profile:
        return issuer
    changes: dict[str, Any] = {}
    for name, value in _read(issuer.profile).items():
        own = getattr(issuer, name)
        if name == "conditions":
            changes[name] = (*value, *own)
        elif name == "facts":
            changes[name] = {**value, **own}
        elif name in _PLAIN and own == _default(name):
            changes[name] = tuple(value) if isinstance(value, list) else value
    return msgspec.structs.replace(issuer, **changes)


def _read(profile: str) -> dict[str, Any]:
    if profile not in PROFILES:
        raise MintwardenError(ErrorKind.BUNDLE, f"there is no issuer profile `{profile}`")
    text = resources.files("mintwarden.authn.issuers").joinpath("profiles", f"{profile}.toml").read_text("utf-8")
    shape = tomllib.loads(text)
    if not shape.keys() <= _ADDED | _PLAIN | _SAID:
        raise MintwardenError(ErrorKind.INTERNAL, f"the issuer profile `{profile}` has an unknown key")
    return shape


def _default(name: str) -> Any:
    return next(field.default for field in msgspec.structs.fields(TrustedIssuer) if field.name == name)
