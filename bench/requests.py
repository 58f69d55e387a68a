"""The requests: one a line, each for another client or subject than the one before, no proof used twice."""

from __future__ import annotations

import base64
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from bench.company import AUDIENCE, REDIRECT, SCOPES, SUBJECT_ISSUER

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
VERIFIER = "bench-verifier-bench-verifier-bench-verifier-43"
CHALLENGE = urlsafe_b64encode(sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
PROOF_AHEAD = 20
STRIDE = 7_919
"""A prime: no number of clients or people here is a multiple of it."""

JWT = "urn:ietf:params:oauth:token-type:jwt"


@dataclass(frozen=True)
class Key:
    """A P-256 key and its public JWK."""

    private: ec.EllipticCurvePrivateKey
    jwk: dict[str, Any]

    @classmethod
    def generate(cls, kid: str) -> Key:
        """A new key named `kid`."""
        private = ec.generate_private_key(ec.SECP256R1())
        numbers = private.public_key().public_numbers()
        jwk = {
            "kty": "EC",
            "crv": "P-256",
            "kid": kid,
            "alg": "ES256",
            "use": "sig",
            "x": _b64(numbers.x.to_bytes(32, "big")),
            "y": _b64(numbers.y.to_bytes(32, "big")),
        }
        return cls(private, jwk)

    def private_jwk(self) -> dict[str, Any]:
        """The private JWK."""
        return {**self.jwk, "d": _b64(self.private.private_numbers().private_value.to_bytes(32, "big"))}

    def sign(self, claims: dict[str, Any], typ: str = "JWT", *, jwk: dict[str, Any] | None = None) -> str:
        """A compact ES256 JWS, whose header has `jwk` where that is given and the name of the key otherwise."""
        named = {"kid": self.jwk["kid"]} if jwk is None else {"jwk": jwk}
        header = json.dumps({"alg": "ES256", "typ": typ, **named}, separators=(",", ":")).encode()
        body = json.dumps(claims, separators=(",", ":")).encode()
        data = f"{_b64(header)}.{_b64(body)}"
        r, s = utils.decode_dss_signature(self.private.sign(data.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{data}.{_b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def turn(index: int, of: int) -> int:
    """Whose turn it is: everybody once, not in the order in which they are stored, and then again."""
    return index * STRIDE % of


def with_secret(clients: int, secrets: list[str], count: int) -> Iterator[tuple[str, dict[str, str]]]:
    """`client_credentials` with `client_secret_basic`, five scopes."""
    for index in range(count):
        client = turn(index, clients)
        basic = base64.b64encode(f"c{client}:{secrets[client]}".encode()).decode()
        yield f"Basic {basic}", {"grant_type": "client_credentials", **_target()}


def with_assertion(
    clients: int, keys: list[Key], issuer: str, count: int, salt: str
) -> Iterator[tuple[str, dict[str, str]]]:
    """`client_credentials` with `private_key_jwt`, each assertion with a `jti` of its own."""
    now = int(time.time())
    for index in range(count):
        client = turn(index, clients)
        name = f"c{client}"
        claims = {"iss": name, "sub": name, "aud": issuer, "iat": now, "exp": now + 590, "jti": f"{salt}-{index}"}
        assertion = keys[client % len(keys)].sign(claims)
        form = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION, "client_assertion": assertion}
        yield "-", {**form, **_target()}


def with_proof(
    clients: int, secrets: list[str], key: Key, url: str, count: int, salt: str
) -> Iterator[tuple[str, dict[str, str], str]]:
    """`with_secret`, and with each a DPoP proof of its own (RFC 9449), for the endpoint at `url`.

    `iat` lies a little ahead, so that the proofs are of now for as long as the runs take.
    """
    now = int(time.time()) + PROOF_AHEAD
    jwk = {name: key.jwk[name] for name in ("kty", "crv", "x", "y")}
    for index, (authorization, form) in enumerate(with_secret(clients, secrets, count)):
        claims = {"jti": f"{salt}-{index}", "htm": "POST", "htu": url, "iat": now}
        yield authorization, form, f"DPoP: {key.sign(claims, 'dpop+jwt', jwk=jwk)}"


def with_code(codes: list[tuple[str, str]]) -> Iterator[tuple[str, dict[str, str]]]:
    """The redemption of codes, each with its client's `Authorization` header."""
    for authorization, code in codes:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT, "code_verifier": VERIFIER}
        yield authorization, form


def renewing(tokens: list[tuple[str, str]], count: int) -> Iterator[tuple[str, dict[str, str]]]:
    """Refreshes by clients that do not rotate: the tokens take turns."""
    for index in range(count):
        authorization, token = tokens[turn(index, len(tokens))]
        yield authorization, {"grant_type": "refresh_token", "refresh_token": token}


def looking(tokens: list[tuple[str, str]], count: int) -> Iterator[tuple[str, dict[str, str]]]:
    """Introspection of tokens by the clients that they were issued to, in turns."""
    for index in range(count):
        authorization, token = tokens[turn(index, len(tokens))]
        yield authorization, {"token": token}


def exchange(
    clients: int, secrets: list[str], subjects: int, key: Key, count: int, *, turns: int | None = None
) -> Iterator[tuple[str, dict[str, str]]]:
    """Token exchange of a person's token (another person each time) by a client that becomes the actor.

    `turns` people, spread over all `subjects`, take turns; by default all of them do.
    """
    now = int(time.time())
    turns = subjects if turns is None else min(turns, subjects)
    for index in range(count):
        client, subject = turn(index, clients), turn(index, turns) * (subjects // turns)
        basic = base64.b64encode(f"c{client}:{secrets[client]}".encode()).decode()
        token = key.sign(
            {
                "iss": SUBJECT_ISSUER,
                "sub": f"u{subject}",
                "aud": "https://tokens.bench.example",
                "iat": now,
                "exp": now + 3600,
                "jti": f"x{index}",
            }
        )
        form = {"grant_type": EXCHANGE, "subject_token": token, "subject_token_type": JWT}
        yield f"Basic {basic}", {**form, **_target()}


def write(path: Path, lines: Iterable[tuple[Any, ...]]) -> Path:
    """Write a request file."""
    with path.open("w") as file:
        for authorization, form, *further in lines:
            file.write("\t".join([authorization, urlencode(form), *further]) + "\n")
    return path


def _target() -> dict[str, str]:
    return {"scope": " ".join(SCOPES), "resource": AUDIENCE}


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
