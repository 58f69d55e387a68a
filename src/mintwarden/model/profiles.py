"""The profiles that a client or an audience may be of, and what each tightens: one table, looked at by every room.

What holds for every profile alike (S256, exact redirect URIs, codes of a minute that count once, `iss` in every answer,
one client authentication method a request) is no part of it, and cannot be loosened.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from msgspec import Struct

ProfileName = Literal["fapi2", "mcp", "oauth21", "legacy"]
DEFAULT: Final[ProfileName] = "oauth21"

STRONG: Final = ("ES256", "PS256", "EdDSA")
"""Signatures that FAPI 2.0 knows (Security Profile section 5.4.1)."""


class Profile(Struct, frozen=True, kw_only=True):
    """What a profile tightens; nothing that it does not say.

    Attributes:
        standard: what it follows, for people.
        loose: choosing it gives up something that the default protects: a finding of the lint.
        methods: how its clients may authenticate; empty for every way there is.
        signatures: what its clients, and we for them, may sign with; empty for all that we know.
        assumed: what a client's signatures may be where its file does not say.
        signed_with: what tokens for an audience are signed with where its file does not say.
        audience_string: the `aud` of a client assertion is a string, and no array of one (RFC 7523 update, FAPI 2.0).
        pushed: authorization requests must be pushed (RFC 9126).
        redirect_stated: they must say `redirect_uri`, even where the client has only one.
        object_starts: a signed request must say from when on it counts (`nbf`).
        resource: requests must say `resource` (RFC 8707), even where only one audience is possible.
        bound: every token is bound to a key that was proven: no bearer tokens.
        rotates: refresh tokens may be rotated. False: one is kept.
        renewals_guarded: a public client's refresh tokens are rotated or bound to a key (OAuth 2.1 section 4.3.1).
        audiences_alike: an audience of the profile takes no clients but those of the same profile.
    """

    standard: str
    loose: bool = False
    methods: tuple[str, ...] = ()
    signatures: tuple[str, ...] = ()
    assumed: tuple[str, ...] = STRONG
    signed_with: str = "ES256"
    audience_string: bool = False
    pushed: bool = False
    redirect_stated: bool = False
    object_starts: bool = False
    resource: bool = False
    bound: bool = False
    rotates: bool = True
    renewals_guarded: bool = True
    audiences_alike: bool = False


PROFILES: Final[Mapping[ProfileName, Profile]] = {
    "fapi2": Profile(
        standard="FAPI 2.0 Security Profile",
        methods=("private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"),
        signatures=STRONG,
        audience_string=True,
        pushed=True,
        redirect_stated=True,
        object_starts=True,
        bound=True,
        rotates=False,
        audiences_alike=True,
    ),
    "mcp": Profile(standard="Model Context Protocol, authorization", resource=True),
    "oauth21": Profile(standard="OAuth 2.1"),
    "legacy": Profile(
        standard="OAuth 2.0 as it was",
        loose=True,
        assumed=(*STRONG, "RS256"),
        signed_with="RS256",
        renewals_guarded=False,
    ),
}
