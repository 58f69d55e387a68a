"""Statements: what we sign that tells something and grants nothing.

Why they need no receipt: `docs/adr/0014-statements.md`.

INVARIANT: no statement passes for a token. Each kind has its own `typ` (RFC 8725 section 3.11), none of which any
reader of tokens takes; and none says what only a token may say, so that a reader that forgets to look at `typ` finds
no authority in it either. What carries authority goes through `prepare`, the ledger and `sign`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct

from mintwarden.mint.ports import Signer
from mintwarden.mint.sign import b64
from mintwarden.model.errors import ErrorKind, MintwardenError

StatementKind = Literal[
    "introspection",
    "status_list",
    "logout",
    "authorization_response",
    "userinfo",
    "client_authentication",
    "security_event",
]

AUTHORITY = frozenset(
    "scope client_id cnf act may_act authorization_details budget lineage grant_id ledger_leaf".split()
)
"""What only a token says of itself; no statement has it among its own claims, whatever it tells about a token."""

_MAY_NOT_SIGN = frozenset({"", "none"})
_encode = msgspec.json.Encoder().encode


class _Shape(Struct, frozen=True):
    """What makes a statement of one kind.

    Attributes:
        typ: `typ` in its header, without `application/`.
        required: claims without which it says nothing.
        barred: claims with which it could be taken for something else.
    """

    typ: str
    required: frozenset[str]
    barred: frozenset[str] = frozenset()


SHAPES: Mapping[str, _Shape] = {
    # RFC 9701 section 5
    "introspection": _Shape(
        "token-introspection+jwt",
        frozenset({"iss", "aud", "iat", "token_introspection"}),
        frozenset({"sub", "exp", "jti", "nonce", "events"}),
    ),
    # draft-ietf-oauth-status-list-21 section 5.1
    "status_list": _Shape(
        "statuslist+jwt", frozenset({"sub", "iat", "status_list"}), frozenset({"aud", "nonce", "events", "jti"})
    ),
    # OpenID Connect Back-Channel Logout 1.0 section 2.4
    "logout": _Shape("logout+jwt", frozenset({"iss", "aud", "iat", "exp", "jti", "events"}), frozenset({"nonce"})),
    # JARM section 2.1
    "authorization_response": _Shape(
        "oauth-authz-resp+jwt", frozenset({"iss", "aud", "exp"}), frozenset({"sub", "jti", "nonce", "events"})
    ),
    # RFC 7523 section 3, where we are the client (draft-ietf-oauth-rfc7523bis names the type)
    "client_authentication": _Shape(
        "client-authentication+jwt",
        frozenset({"iss", "sub", "aud", "iat", "exp", "jti"}),
        frozenset({"nonce", "events"}),
    ),
    # RFC 8417 section 2.3, SSF 1.0 section 4.1
    "security_event": _Shape(
        "secevent+jwt",
        frozenset({"iss", "aud", "iat", "jti", "sub_id", "events"}),
        frozenset({"sub", "exp", "nonce"}),
    ),
    # OpenID Connect Core 1.0 section 5.3.2
    "userinfo": _Shape("userinfo+jwt", frozenset({"iss", "aud", "sub"}), frozenset({"exp", "jti", "nonce", "events"})),
}
"""INVARIANT: the closed list. A kind is added here, with a `typ` that nothing else bears, or it is not signed."""


async def sign_statement(kind: StatementKind, claims: Mapping[str, Any], signer: Signer) -> str:
    """`claims` as a JWS in compact serialization, of the `typ` of its kind.

    `signer` is the ring's for the algorithm that whoever reads it expects (`KeyRing.signer_for`): the same published
    keys as for tokens. Raises `INTERNAL` for a kind that is not on the list, for claims that the kind lacks or must not
    have and for a signer that signs nothing: faults of ours, none of them a client's.
    """
    shape = SHAPES.get(kind)
    if shape is None:
        raise _fault(f"there is no statement of the kind `{kind}`")
    if missing := shape.required - claims.keys():
        raise _fault(f"a statement of the kind `{kind}` lacks {_named(missing)}")
    if barred := (AUTHORITY | shape.barred) & claims.keys():
        raise _fault(f"a statement of the kind `{kind}` must not say {_named(barred)}")
    if signer.algorithm in _MAY_NOT_SIGN:
        raise _fault("a statement is signed, or it is not made")
    header = {"alg": signer.algorithm, "typ": shape.typ, "kid": signer.kid}
    signing_input = b64(_encode(header)) + b"." + b64(_encode(claims))
    return (signing_input + b"." + b64(await signer.sign(signing_input))).decode("ascii")


def _named(names: frozenset[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


def _fault(public: str) -> MintwardenError:
    return MintwardenError(ErrorKind.INTERNAL, public)
