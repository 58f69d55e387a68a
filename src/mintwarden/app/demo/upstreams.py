"""The issuers that Meridian trusts, played on loopback: their keys are published over HTTP, their tokens are real."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from msgspec import Struct

AUDIENCE = "https://tokens.meridian.example"
"""What tokens for the token service are addressed to."""


class Upstream(Struct, frozen=True, kw_only=True):
    """One trusted issuer.

    Attributes:
        id: its name in the bundle.
        issuer: its `iss`.
        key: its private signing key.
        subjects: some of whom it speaks of.
        longest: the longest life of its tokens that the bundle accepts, in seconds.
    """

    id: str
    issuer: str
    key: ECKey | RSAKey
    subjects: Sequence[str]
    longest: int

    def jwk(self, *, private: bool) -> dict[str, Any]:
        """Its key as a JWK."""
        return dict(self.key.as_dict(private=private))

    def token(self, subject: str, *, lifetime: int, claims: Mapping[str, object] = {}) -> str:
        """A signed JWT about `subject` for the token service, with further `claims`; `lifetime` in seconds."""
        issued = int(time.time())
        payload = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": subject,
            "iat": issued,
            "exp": issued + min(lifetime, self.longest),
            "jti": secrets.token_urlsafe(12),
            **claims,
        }
        jwk = self.jwk(private=False)
        header = {"alg": jwk["alg"], "typ": "JWT", "kid": jwk["kid"]}
        return jwt.encode(header, payload, self.key, algorithms=[jwk["alg"]])


class Upstreams:
    """All of them, served until the block is left."""

    def __init__(self, upstreams: Sequence[Upstream]) -> None:
        self.by_id: Mapping[str, Upstream] = {upstream.id: upstream for upstream in upstreams}
        documents = {
            f"/{upstream.id}/jwks.json": json.dumps({"keys": [upstream.jwk(private=False)]}).encode()
            for upstream in upstreams
        }
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Keys, documents))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def jwks_uri(self, name: str) -> str:
        """Where the keys of the issuer called `name` in the bundle are served."""
        return f"http://127.0.0.1:{self._server.server_port}/{name}/jwks.json"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Keys(BaseHTTPRequestHandler):
    """Answers GET for the published key sets and nothing else."""

    protocol_version = "HTTP/1.1"

    def __init__(self, documents: Mapping[str, bytes], *arguments: Any) -> None:
        self._documents = documents
        super().__init__(*arguments)

    def do_GET(self) -> None:
        body = self._documents.get(self.path)
        self.send_response(200 if body is not None else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it has there
        """Nothing: the story is what the terminal is for."""


_HALF_A_DAY, _DAY = 12 * 3600, 24 * 3600


def open_upstreams(
    people: Sequence[str], jobs: Sequence[str], accounts: Sequence[str], agents: Sequence[str]
) -> Upstreams:
    """The four issuers of the bundle with fresh keys, each speaking of the given subjects."""
    host = "meridian.example"
    known = (
        ("login", f"https://login.{host}", _ec_key(), people, _HALF_A_DAY),
        ("clusters", f"https://kubernetes.prod.{host}", _ec_key(), accounts, _DAY),
        ("build", f"https://build.{host}", _rsa_key(), jobs, _HALF_A_DAY),
        ("agents", f"https://agents.{host}", _ec_key(), agents, _HALF_A_DAY),
    )
    return Upstreams(
        [
            Upstream(id=name, issuer=issuer, key=key, subjects=subjects, longest=longest)
            for name, issuer, key, subjects, longest in known
        ]
    )


def _ec_key() -> ECKey:
    return ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, private=True, auto_kid=True)


def _rsa_key() -> RSAKey:
    return RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, private=True, auto_kid=True)
