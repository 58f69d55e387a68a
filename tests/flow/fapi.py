"""Two banks' clients of profile `fapi2`, their keys, and a person at a browser."""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey
from joserfc.jws import JWSRegistry, serialize_compact
from msgspec import Struct

from tests.flow.authorizing import BACK, Asking, Desk, client, desk
from tests.flow.company import ASSERTION, public

ISSUER = "https://tokens.example.com"
REGISTRY = JWSRegistry(algorithms=["ES256", "ES384", "PS256", "RS256"], strict_check_header=False)
CLIENTS = ("bank", "other", "signing")
"""`other` asks the person, `signing` must sign its requests."""


class Bank(Struct, frozen=True, kw_only=True):
    """Everything a module of the suite needs."""

    desk: Desk
    keys: dict[str, ECKey]
    rsa: RSAKey
    dpop: dict[str, ECKey]

    # -- what clients make ------------------------------------------------------------------------------------

    def assertion(
        self, client: str = "bank", *, algorithm: str = "ES256", signer: str = "", **claims: Any
    ) -> dict[str, str]:
        now = int(time.time())
        said = {"iss": client, "sub": client, "aud": ISSUER, "iat": now, "exp": now + 60, "jti": secrets.token_hex(8)}
        said = {name: value for name, value in (said | claims).items() if value is not None}
        name = signer or client
        key, kid = (self.rsa, "rsa") if algorithm in ("RS256", "PS256") else (self.keys[name], name)
        signed = serialize_compact({"alg": algorithm, "kid": kid}, json.dumps(said).encode(), key, registry=REGISTRY)
        return {"client_assertion_type": ASSERTION, "client_assertion": signed}

    def proof(self, path: str = "/token", *, client: str = "bank", key: ECKey | None = None, **claims: Any) -> Any:
        key = key or self.dpop[client]
        header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": key.as_dict(private=False)}
        body = {"jti": secrets.token_hex(8), "htm": "POST", "htu": f"{ISSUER}{path}", "iat": int(time.time())} | claims
        return {"DPoP": serialize_compact(header, json.dumps(body).encode(), key, registry=REGISTRY)}

    def object(
        self, asked: Asking, *, header: dict[str, Any] | None = None, signer: str = "", **claims: Any
    ) -> dict[str, str]:
        """A signed request; claims that are None are left out."""
        now = int(time.time())
        said = asked.parameters | {
            "iss": asked.client, "aud": ISSUER, "iat": now, "nbf": now, "exp": now + 300, "jti": secrets.token_hex(8),
        } | claims  # fmt: skip
        said = {name: value for name, value in said.items() if value is not None}
        head = {"alg": "ES256", "kid": signer or asked.client, "typ": "oauth-authz-req+jwt"} | (header or {})
        key: Any = self.rsa if head["alg"] in ("RS256", "PS256") else self.keys[signer or asked.client]
        if head["alg"] == "none":
            parts = (urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (head, said))
            return {"request": ".".join((*parts, ""))}
        return {"request": serialize_compact(head, json.dumps(said).encode(), key, registry=REGISTRY)}

    # -- the flow ---------------------------------------------------------------------------------------------

    async def post(self, path: str, form: dict[str, Any], headers: Any = None) -> httpx2.Response:
        return await self.desk.company.http.post(path, data=form, headers=headers)

    async def push(self, asked: Asking, headers: Any = None, **more: Any) -> httpx2.Response:
        proven = {} if "client_assertion" in more else self.assertion(asked.client)
        return await self.post("/par", asked.parameters | proven | more, headers)

    async def pushed(self, asked: Asking, headers: Any = None, **more: Any) -> str:
        answer = await self.push(asked, headers, **more)
        assert answer.status_code == 201, answer.text
        assert answer.json()["expires_in"] < 600
        return str(answer.json()["request_uri"])

    async def visit(self, client: str, request_uri: str, **more: str) -> httpx2.Response:
        """The browser goes to `/authorize` and on, to a page of ours or back to the client."""
        query = {"client_id": client, "request_uri": request_uri} | more
        return await self.desk.through(await self.desk.browser.get("/authorize", query))

    async def authorized(self, asked: Asking, headers: Any = None, **more: Any) -> dict[str, str]:
        """The parameters of the answer that the client gets, whatever it takes."""
        answer = await self.visit(asked.client, await self.pushed(asked, headers, **more))
        if answer.status_code == 200:
            answer = await self.desk.allow(answer)
        return told(answer)

    async def redeem(self, asked: Asking, code: str, headers: Any = None, **more: Any) -> httpx2.Response:
        proven = {} if "client_assertion" in more else self.assertion(asked.client)
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK, "code_verifier": asked.verifier}
        kept = {name: value for name, value in (form | proven | more).items() if value is not None}
        return await self.post("/token", kept, self.proof(client=asked.client) if headers is None else headers)

    async def tokens(self, asked: Asking, headers: Any = None) -> dict[str, Any]:
        found = await self.authorized(asked)
        assert found["iss"] == ISSUER
        answer = await self.redeem(asked, found["code"], headers)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def read(self, token: str) -> dict[str, Any]:
        keys = KeySet.import_key_set((await self.desk.company.http.get("/jwks.json")).json())
        return dict(jwt.decode(token, keys, algorithms=["ES256"]).claims)


def told(answer: httpx2.Response) -> dict[str, str]:
    """What the client hears by a redirect."""
    assert answer.status_code == 303, answer.text
    location = answer.headers["location"]
    assert location.startswith(f"{BACK}?"), location
    return dict(parse_qsl(urlsplit(location).query))


def error(answer: httpx2.Response) -> tuple[int, str]:
    """Status and error of an answer in JSON."""
    return answer.status_code, answer.json().get("error", "")


def rsa_jwk(key: RSAKey) -> str:
    members = key.as_dict(private=False)
    return f'kty = "RSA"\nn = "{members["n"]}"\ne = "{members["e"]}"\nkid = "rsa"\n'


@contextlib.asynccontextmanager
async def banking(folder: Path) -> AsyncIterator[Bank]:
    """The company with its `fapi2` clients, running."""
    keys = {name: ECKey.generate_key("P-256") for name in CLIENTS}
    rsa = RSAKey.generate_key(2048)

    def edit(bundle: Path) -> None:
        for name in CLIENTS:
            consent = "explicit" if name == "other" else "implicit"
            signed = "\nsigned = true" if name == "signing" else ""
            known = f"[[client.keys]]\n{public(keys[name], name)}\n[[client.keys]]\n{rsa_jwk(rsa)}"
            client(bundle, name, "private_key_jwt", BACK, authorization=f'consent = "{consent}"{signed}', more=known)
            file = bundle / "clients" / f"{name}.toml"
            file.write_text(file.read_text().replace("[client]\n", '[client]\nprofile = "fapi2"\n', 1))

    async with desk(folder, edit=edit) as at:
        yield Bank(desk=at, keys=keys, rsa=rsa, dpop={name: ECKey.generate_key("P-256") for name in CLIENTS})
