"""Attestations of client instances: a statement of whoever made the software, and a proof of the instance's own key.

Follows draft-ietf-oauth-attestation-based-client-auth, as edited in October 2026, after revision 11: everything that
the draft decides is in this module and in the two methods that call it. Attesters are trusted by the keys in a client's
file; keys in the attestation's own header, of whatever kind, are not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from mintwarden.authn.jose import (
    DECOY,
    JoseError,
    VerificationKey,
    audiences,
    check_signature,
    decode_json,
    load_key,
    numeric_date,
    parse,
    string,
    verify_signature,
)
from mintwarden.authn.proofs.dpop import key_thumbprint
from mintwarden.authn.proofs.nonce import Nonces
from mintwarden.authn.registry import KnownClient, Registry
from mintwarden.authn.replay import once_key
from mintwarden.model.caller import OnceKey
from mintwarden.model.errors import ErrorKind, MintwardenError

ALGORITHMS: Final = ("ES256", "ES384", "PS256", "EdDSA")
"""What attestations and proofs may be signed with; message authentication codes are not taken."""
OLDEST: Final = 120_000
"""Longest time, in milliseconds, since a proof was made."""
LEEWAY: Final = 30_000
"""Clock difference that is forgiven, in milliseconds."""

_LIMIT = 8 * 1024
_LONGEST_ID = 256
_TAKEN = frozenset(ALGORITHMS)


class Attested(Struct, frozen=True):
    """A client instance that somebody whom its client trusts has attested.

    Attributes:
        key: the instance's own, of which nothing is proven yet.
        instance: the thumbprint of that key (RFC 7638).
    """

    known: KnownClient
    key: VerificationKey
    instance: str


def read_attestation(unverified: str, client_id: str, registry: Registry, now: int) -> Attested:
    """What an attestation attests (section 7.1). `client_id` is what the request says, or empty.

    Raises `JoseError`; `MintwardenError(USE_FRESH_ATTESTATION)` for a good one that has ended, or is older than its
    client lets it be.
    """
    token = parse(unverified, _LIMIT)
    if token.typ != "oauth-client-attestation+jwt":
        raise JoseError("`typ` is not `oauth-client-attestation+jwt`")
    # Only the subject is believed before the signature, and only to find the attesters.
    claims = decode_json(token.payload)
    subject = string(claims, "sub")
    known = registry.client(subject)
    if known is None or (client_id and client_id != subject):
        check_signature(token, DECOY)
        raise JoseError("`sub` is no client, or not the one that `client_id` names")
    verify_signature(token, known.attesters, _TAKEN)
    jwk = _instance_key(claims)
    expires, starts, issued = (numeric_date(claims, name) for name in ("exp", "nbf", "iat"))
    if expires is None or issued is None or max(issued, starts or issued) > now + LEEWAY:
        raise JoseError("`exp` or `iat` is missing, or `nbf` or `iat` is in the future")
    oldest = known.client.attestation_max_age * 1000
    if now >= expires + LEEWAY or (oldest and now - issued > oldest + LEEWAY):
        raise MintwardenError(
            ErrorKind.USE_FRESH_ATTESTATION, "the client attestation has ended", hint="get another from its attester"
        )
    return Attested(known, load_key(jwk), key_thumbprint(jwk))


def check_proof(
    unverified: str, attested: Attested, issuer: str, now: int, challenges: Nonces | None = None
) -> OnceKey:
    """The claim of a proof to be the only one of its `jti` (section 7.2). `challenges` are those that we hand out.

    Raises `JoseError`; `MintwardenError(USE_ATTESTATION_CHALLENGE)` for a proof that is good but for its challenge
    (section 7.4): one that is not, or not any more, ours, or none where the client's file demands one.
    """
    proof = parse(unverified, _LIMIT)
    if proof.typ != "oauth-client-attestation-pop+jwt":
        raise JoseError("`typ` is not `oauth-client-attestation-pop+jwt`")
    if proof.algorithm not in _TAKEN or not check_signature(proof, attested.key):
        raise JoseError("the proof is not signed with the attested key")
    claims = decode_json(proof.payload)
    if audiences(claims) != (issuer,):
        raise JoseError("`aud` is not our issuer identifier alone")
    issued, starts, expires = (numeric_date(claims, name) for name in ("iat", "nbf", "exp"))
    if issued is None or not now - OLDEST <= issued <= now + LEEWAY:
        raise JoseError("`iat` is missing, or not a time of now")
    if (starts is not None and starts > now + LEEWAY) or (expires is not None and now >= expires + LEEWAY):
        raise JoseError("`nbf` or `exp` keeps the proof from counting now")
    token_id = string(claims, "jti")
    if not 0 < len(token_id) <= _LONGEST_ID:
        raise JoseError("`jti` is missing or too long")
    _check_challenge(claims, attested.known.client.attestation_challenge, challenges, now)
    once = once_key(f"attestation:{attested.instance}", token_id, issued + OLDEST + 2 * LEEWAY)
    return OnceKey(once.digest, once.expires_at, "attestation")


def _check_challenge(claims: Mapping[str, Any], demanded: bool, challenges: Nonces | None, now: int) -> None:
    """INVARIANT: a challenge that is shown is one of ours, also where none is demanded."""
    challenge = claims.get("challenge")
    if challenge is None and not demanded:
        return
    if challenges is None or not isinstance(challenge, str) or not challenges.knows(challenge, now):
        raise MintwardenError(
            ErrorKind.USE_ATTESTATION_CHALLENGE,
            "the proof of the attested key needs a challenge of ours",
            hint="take that of the answer, and sign another proof",
        )


def _instance_key(claims: Mapping[str, Any]) -> Mapping[str, Any]:
    """`cnf.jwk`: a public key (RFC 7800 section 3.2)."""
    confirmation = claims.get("cnf")
    jwk = confirmation.get("jwk") if isinstance(confirmation, dict) else None
    if not isinstance(jwk, dict):
        raise JoseError("`cnf` has no `jwk`")
    return jwk
