"""ID tokens of ours as hints (OpenID Connect Core 1.0 section 3.1.2.1): who a client takes somebody for."""

from __future__ import annotations

from msgspec import Struct

from mintwarden.authn.jose import (
    JoseError,
    audiences,
    decode_json,
    load_key,
    numeric_date,
    parse,
    string,
    verify_signature,
)
from mintwarden.authn.own import OwnKeys

_ALGORITHMS = frozenset({"ES256", "ES384", "PS256", "EdDSA", "RS256"})
_EARLY = 60_000


class Hint(Struct, frozen=True):
    """What the ID token said. It proves nothing about who holds it now."""

    client_id: str
    subject: str
    session: str


def read_hint(compact: str, *, issuer: str, keys: OwnKeys, now: int) -> Hint:
    """The hint; raises `JoseError` for what is no ID token of ours. One that has expired is a hint like any other."""
    token = parse(compact)
    # INVARIANT: an access token, a logout token or a statement of ours is no hint; only ID tokens have this type.
    if token.typ != "jwt":
        raise JoseError("the token is not an ID token of ours")
    own = keys.public_key(token.kid) if token.kid else None
    if own is None:
        raise JoseError("the token is signed by no key of ours")
    key = load_key({**own.jwk, "kid": token.kid, "alg": own.algorithm})
    verify_signature(token, (key,), _ALGORITHMS)
    claims = decode_json(token.payload)
    issued_at, audience = numeric_date(claims, "iat"), audiences(claims)
    if claims.get("iss") != issuer or len(audience) != 1 or issued_at is None or issued_at > now + _EARLY:
        raise JoseError("the token is not an ID token of ours")
    subject = string(claims, "sub")
    if not subject:
        raise JoseError("`sub` is missing")
    return Hint(client_id=audience[0], subject=subject, session=string(claims, "sid"))
