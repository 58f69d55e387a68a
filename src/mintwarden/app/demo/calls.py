"""The requests of the story, as data: sent and checked by the quickstart, and written into its manifest."""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx2
from joserfc import jwt
from msgspec import Struct

from mintwarden.app.demo.certificates import Credential
from mintwarden.app.demo.stage import Stage
from mintwarden.app.demo.upstreams import Upstreams
from mintwarden.model.errors import ErrorKind, MintwardenError

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a URN
JWT = "urn:ietf:params:oauth:token-type:jwt"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
VENDOR, THIEF = "203.0.113.7", "198.51.100.9"
"""Addresses of the third party and of whoever took its secret (documentation networks, RFC 5737)."""

SIGN_IN = 8 * 3600
"""Life in seconds of the tokens that people and agents bring along in the manifest's requests."""


class Call(Struct, frozen=True, kw_only=True):
    """One request and what must come of it; `docs/manifest.md` is its reference.

    Attributes:
        name: what it shows.
        form, json: the body, at most one of them.
        expect: `status`, and any of `scope`, `error`, `act`, `token_type`, `body`, `type` (of a problem, RFC 9457).
        single_use: it carries a proof that is accepted once.
    """

    name: str
    method: str
    url: str
    headers: Mapping[str, str] = {}
    form: Mapping[str, str] | None = None
    json: Any = None
    expect: Mapping[str, Any]
    single_use: bool = False

    def as_json(self) -> dict[str, Any]:
        """As it stands in the manifest."""
        body = (
            {"form": dict(self.form)} if self.form is not None else {"json": self.json} if self.json is not None else {}
        )
        once = {"single_use": True} if self.single_use else {}
        return {
            "name": self.name,
            "method": self.method,
            "url": self.url,
            "headers": dict(self.headers),
            **body,
            "expect": dict(self.expect),
            **once,
        }


class Broken(MintwardenError):
    """The story did not go as it must: the quickstart fails."""

    def __init__(self, what: str, *, hint: str = "") -> None:
        super().__init__(ErrorKind.INTERNAL, what, hint=hint)


def send(http: httpx2.Client, call: Call) -> httpx2.Response:
    """The answer to `call`; raises `Broken` when it is not the expected one."""
    answer = http.request(
        call.method, call.url, headers=dict(call.headers), data=dict(call.form) if call.form else None, json=call.json
    )
    for name, wanted in call.expect.items():
        found = _seen(answer, name)
        if found != wanted:
            told = f"`{call.name}`: {name} is `{found}` and not `{wanted}`"
            raise Broken(told, hint=answer.text[:300] if answer.status_code != 200 else "")
    return answer


def _seen(answer: httpx2.Response, name: str) -> object:
    if name == "status":
        return answer.status_code
    content = answer.json()
    if name == "act":
        return claims_of(content["access_token"]).get("act", {}).get("sub")
    return content.get(name)


def claims_of(token: str) -> dict[str, Any]:
    """The payload of a token, unverified: for showing and for comparing."""
    import json  # noqa: PLC0415 - `json` is a field's name above

    payload = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return found


class Caller:
    """Builds requests: authenticates clients, signs in people."""

    def __init__(self, *, stage: Stage, upstreams: Upstreams) -> None:
        self.stage = stage
        self._upstreams = upstreams

    def authority(self, issuer: str) -> Credential:
        """Who issues the certificates of a trusted issuer that is a trust domain."""
        found = self._upstreams.by_id[issuer].authority
        assert found is not None  # noqa: S101 - asked for of the mesh alone
        return found

    def credentials(self, client: str, method: str) -> tuple[dict[str, str], dict[str, str]]:
        """Headers and form fields by which `client` authenticates."""
        if method == "client_secret_basic":
            pair = f"{quote(client, safe='')}:{quote(self.stage.secrets[client], safe='')}"
            return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}, {}
        if method == "client_secret_post":
            return {}, {"client_id": client, "client_secret": self.stage.secrets[client]}
        if method == "private_key_jwt":
            return {}, {"client_assertion_type": ASSERTION, "client_assertion": self.assertion(client)}
        return {}, {"client_id": client}

    def assertion(self, client: str) -> str:
        """A client assertion (RFC 7523 section 3), good for a minute and for one request."""
        key, now = self.stage.keys[client], int(time.time())
        jwk = key.as_dict(private=False)
        claims = {
            "iss": client,
            "sub": client,
            "aud": self.stage.issuer,
            "iat": now,
            "exp": now + 60,
            "jti": secrets.token_urlsafe(16),
        }
        header = {"alg": str(jwk["alg"]), "typ": "client-authentication+jwt", "kid": str(jwk["kid"])}
        return jwt.encode(header, claims, key, algorithms=[str(jwk["alg"])])

    def token(self, name: str, client: str, expect: Mapping[str, Any], *, address: str = "", **parameters: str) -> Call:
        """A request for a token of the client's own."""
        headers = {"X-Forwarded-For": address} if address else {}
        form = {"grant_type": "client_credentials", **parameters}
        return self.call(name, client, expect, form=form, headers=headers)

    def exchange(
        self, name: str, client: str, subject_token: str, expect: Mapping[str, Any], **parameters: str
    ) -> Call:
        """A token exchange (RFC 8693)."""
        fields = {"grant_type": EXCHANGE, "subject_token": subject_token, "subject_token_type": JWT, **parameters}
        return self.call(name, client, expect, form=fields)

    def call(
        self,
        name: str,
        client: str,
        expect: Mapping[str, Any],
        *,
        form: Mapping[str, str],
        path: str = "/token",
        headers: Mapping[str, str] = {},
        once: bool = False,
    ) -> Call:
        """A form that `client` posts, authenticated by the first of its methods. `once`: it can be sent once only."""
        method = self.stage.catalogue.clients[client].methods[0]
        own, proof = self.credentials(client, method)
        return Call(
            name=name,
            method="POST",
            url=f"{self.stage.issuer}{path}",
            headers={**own, **headers},
            form={**form, **proof},
            expect={"status": 200, **expect},
            single_use=once or method == "private_key_jwt",
        )

    def person(self, name: str, *, lifetime: int = SIGN_IN, **claims: object) -> str:
        """A token of the company's sign-in about a person who signed in just now with a security key."""
        signed_in = {"email_verified": True, "acr": "phr", "amr": ["hwk", "user"], "auth_time": int(time.time())}
        return self._upstreams.by_id["login"].token(name, lifetime=lifetime, claims={**signed_in, **claims})

    def stated(
        self, issuer: str, subject: str, *, audience: str, lifetime: int, kind: str = "JWT", **claims: object
    ) -> str:
        """A JWT of a trusted issuer for `audience`, whose header says that it is a `kind`."""
        said = {"aud": audience, **claims}
        return self._upstreams.by_id[issuer].token(subject, lifetime=lifetime, claims=said, kind=kind)
