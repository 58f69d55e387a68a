"""An OpenID provider on loopback: real HTTP, its own keys, honest until a test tells it otherwise."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import secrets
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey

from tests.unit.authn.loopback import Loopback, answer, json_answer

SECRET = "upstream secret / with: odd+characters"
EVENT = "http://schemas.openid.net/event/backchannel-logout"


def half_hash(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()[:16]).rstrip(b"=").decode()


class Upstream:
    """The provider. `now` is its clock in seconds; `spoil` may change claims, header or key of what it signs."""

    def __init__(self, server: Loopback, now: Callable[[], int]) -> None:
        self.server = server
        self.now = now
        self.keys = {"k1": ECKey.generate_key("P-256")}
        self.signing = "k1"
        self.subject = "alice"
        self.claims: dict[str, Any] = {}
        self.left_out: set[str] = set()
        self.header: dict[str, Any] = {}
        self.answer: dict[str, Any] = {}
        self.names_itself = True
        self.authentication = "client_secret_basic"
        self.forms: list[dict[str, str]] = []
        self.codes: dict[str, dict[str, str]] = {}
        self.sent: list[dict[str, str]] = []
        server.routes.update(
            {
                "/.well-known/openid-configuration": self._discovery,
                "/jwks": self._jwks,
                "/token": self._token,
            }
        )

    @property
    def issuer(self) -> str:
        return self.server.url

    def authorize(self, url: str) -> dict[str, str]:
        """The person signs in at the address that the browser was sent to; what it brings back to the callback."""
        parts = urlsplit(url)
        assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{self.issuer}/authorize"
        query = dict(parse_qsl(parts.query))
        assert query["response_type"] == "code"
        assert query["code_challenge_method"] == "S256"
        self.sent.append(query)
        code = secrets.token_urlsafe(8)
        self.codes[code] = query
        return {"code": code, "state": query["state"]} | ({"iss": self.issuer} if self.names_itself else {})

    def rotate(self, name: str, *, withdraw: str = "") -> None:
        """Sign with a new key."""
        self.keys[name] = ECKey.generate_key("P-256")
        self.keys.pop(withdraw, None)
        self.signing = name

    def sign(self, claims: dict[str, Any], **header: Any) -> str:
        return jwt.encode(
            {"alg": "ES256", "kid": self.signing} | header, claims, self.keys[self.signing], algorithms=["ES256"]
        )

    def logout_token(self, **changes: Any) -> str:
        """A logout token for everything of `subject`; None takes a claim away."""
        claims = {
            "iss": self.issuer,
            "aud": "mintwarden",
            "iat": self.now(),
            "exp": self.now() + 120,
            "jti": secrets.token_hex(8),
            "sub": self.subject,
            "events": {EVENT: {}},
        } | changes
        header = {"typ": claims.pop("typ", "logout+jwt")}
        return self.sign({name: value for name, value in claims.items() if value is not None}, **header)

    def id_token(self, query: dict[str, str], access_token: str) -> str:
        claims = {
            "iss": self.issuer,
            "sub": self.subject,
            "aud": query["client_id"],
            "iat": self.now(),
            "exp": self.now() + 300,
            "nonce": query["nonce"],
            "at_hash": half_hash(access_token),
            "auth_time": self.now(),
            "acr": "mfa",
            "amr": ["pwd", "otp"],
            "sid": "upstream-session",
        }
        claims = {name: value for name, value in (claims | self.claims).items() if name not in self.left_out}
        return self.sign(claims, **self.header)

    def _is_us(self, head: str, form: dict[str, str]) -> bool:
        if self.authentication == "client_secret_basic":
            proof = base64.b64encode(urlencode({"mintwarden": SECRET}).replace("=", ":", 1).encode()).decode()
            return f"authorization: basic {proof}".lower() in head and "client_secret" not in form
        if "authorization:" in head or form.get("client_id") != "mintwarden":
            return False
        return self.authentication != "client_secret_post" or form.get("client_secret") == SECRET

    async def _discovery(self, _path: str, _head: bytes, _body: bytes) -> bytes:
        return json_answer(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/jwks",
                "authorization_response_iss_parameter_supported": self.names_itself,
            }
        )

    async def _jwks(self, _path: str, _head: bytes, _body: bytes) -> bytes:
        keys = [{**key.as_dict(private=False), "kid": kid, "use": "sig"} for kid, key in self.keys.items()]
        return json_answer({"keys": keys})

    async def _token(self, _path: str, head: bytes, body: bytes) -> bytes:
        form = dict(parse_qsl(body.decode()))
        query = self.codes.pop(form.get("code", ""), None)
        self.forms.append(form)
        if not self._is_us(head.decode().lower(), form):
            return answer("401 Unauthorized", b'{"error":"invalid_client"}')
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        fits = (
            query is not None
            and form.get("grant_type") == "authorization_code"
            and form.get("redirect_uri") == query["redirect_uri"]
            and challenge.rstrip(b"=").decode() == query["code_challenge"]
        )
        if not fits or query is None:
            return answer("400 Bad Request", b'{"error":"invalid_grant"}')
        access_token = secrets.token_urlsafe(8)
        content = {"access_token": access_token, "token_type": "Bearer", "id_token": self.id_token(query, access_token)}
        return json_answer({name: value for name, value in (content | self.answer).items() if value is not None})


@contextlib.asynccontextmanager
async def upstream(now: Callable[[], int]) -> AsyncIterator[Upstream]:
    async with Loopback({}) as server:
        yield Upstream(server, now)


def provider_file(issuer: str, **changes: Any) -> str:
    """A provider of the bundle that this one is."""
    values = {
        "id": "corp",
        "name": "Corp",
        "issuer": issuer,
        "client_id": "mintwarden",
        "authentication": "client_secret_basic",
        "domains": ["example.com"],
    } | changes
    lines = [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    return "[provider]\n" + "\n".join(lines) + '\n[provider.acr]\nmfa = "phr"\n[provider.amr]\notp = "mfa"\n'
