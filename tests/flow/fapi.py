"""Two banks' clients of profile `fapi2`, their keys, and a person at a browser."""

from __future__ import annotations

import base64
import contextlib
import json
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import httpx2
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey
from joserfc.jws import JWSRegistry, serialize_compact
from msgspec import Struct

from mintwarden.authn.certificates import thumbprint
from tests.flow import pki
from tests.flow.authorizing import BACK, Asking, Desk, client, desk
from tests.flow.company import ASSERTION, public

ISSUER = "https://tokens.example.com"
REGISTRY = JWSRegistry(algorithms=["ES256", "ES384", "PS256", "RS256"], strict_check_header=False)
CLIENTS = ("bank", "other", "signing")
"""`other` asks the person, `signing` must sign its requests."""


class Variant(NamedTuple):
    """How clients prove who they are, and what tokens are bound to, in the suite's own words."""

    client_auth_type: Literal["private_key_jwt", "mtls"]
    sender_constrain: Literal["dpop", "mtls"]


class Bank(Struct, frozen=True, kw_only=True):
    """Everything a module of the suite needs."""

    variant: Variant
    desk: Desk
    keys: dict[str, ECKey]
    rsa: RSAKey
    dpop: dict[str, ECKey]
    certificates: dict[str, pki.Pair]

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

    def certificate(self, client: str = "bank") -> dict[str, str]:
        """What the proxy says of the connection."""
        return {"Client-Cert": f":{base64.b64encode(self.certificates[client].der).decode()}:"}

    def known(self, client: str = "bank") -> dict[str, str]:
        """Form fields by which a client is known."""
        return self.assertion(client) if self.variant.client_auth_type == "private_key_jwt" else {"client_id": client}

    def shown(self, client: str = "bank") -> dict[str, str]:
        """Headers by which it is known."""
        return {} if self.variant.client_auth_type == "private_key_jwt" else self.certificate(client)

    def held(self, client: str = "bank") -> dict[str, str]:
        """Headers by which it is known, and by which it proves at the token endpoint what tokens are bound to."""
        constrained = self.proof(client=client) if self.variant.sender_constrain == "dpop" else self.certificate(client)
        return self.shown(client) | dict(constrained)

    def confirmation(self, client: str = "bank") -> dict[str, str]:
        """`cnf` of its tokens."""
        if self.variant.sender_constrain == "dpop":
            return {"jkt": self.dpop[client].thumbprint()}
        return {"x5t#S256": thumbprint(self.certificates[client].der)}

    @property
    def token_type(self) -> str:
        return "DPoP" if self.variant.sender_constrain == "dpop" else "Bearer"

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
        proven = {} if "client_assertion" in more else self.known(asked.client)
        return await self.post("/par", asked.parameters | proven | more, self.shown(asked.client) | (headers or {}))

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

    async def redeem(
        self, asked: Asking, code: str, headers: Any = None, *, by: str = "", **more: Any
    ) -> httpx2.Response:
        """`by`: who hands the code in, where it is not who asked; `headers` beside its certificate, empty for none."""
        by = by or asked.client
        proven = {} if "client_assertion" in more else self.known(by)
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK, "code_verifier": asked.verifier}
        kept = {name: value for name, value in (form | proven | more).items() if value is not None}
        return await self.post(
            "/token", kept, self.held(by) if headers is None else headers and self.shown(by) | headers
        )

    async def tokens(self, asked: Asking, headers: Any = None) -> dict[str, Any]:
        found = await self.authorized(asked)
        assert found["iss"] == ISSUER
        answer = await self.redeem(asked, found["code"], headers)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def read(self, token: str) -> dict[str, Any]:
        keys = KeySet.import_key_set((await self.desk.company.http.get("/jwks.json")).json())
        return dict(jwt.decode(token, keys, algorithms=["ES256"]).claims)


# -- the suite's modules, each a function over there ----------------------------------------------------------------

Case = Callable[[Bank], Awaitable[None]]
MODULES: dict[str, Case] = {}
"""By the module's name without what they all begin with."""
ABOUT: dict[str, str] = {}
"""Those that are about one way alone, and which: `private_key_jwt` or `dpop`."""
VARIANTS = tuple(Variant(known, bound) for known in ("private_key_jwt", "mtls") for bound in ("dpop", "mtls"))


def module(name: str, about: str = "") -> Callable[[Case], Case]:
    def keep(case: Case) -> Case:
        assert name not in MODULES
        MODULES[name] = case
        if about:
            ABOUT[name] = about
        return case

    return keep


def applicable() -> list[tuple[Variant, str]]:
    """Each module in each variant that it is about."""
    return [(variant, name) for variant in VARIANTS for name in MODULES if ABOUT.get(name, variant[0]) in variant]


def asking(client: str = "bank", **parameters: str) -> Asking:
    return Asking(client, BACK, **parameters)


async def refused_request(bank: Bank, asked: Asking, *errors: str, **more: Any) -> None:
    """What is wrong with a request is said when it is pushed."""
    status, kind = error(await bank.push(asked, **more))
    assert (status, kind in (errors or ("invalid_request",))) == (400, True), kind


async def refused_code(bank: Bank, answer: httpx2.Response) -> None:
    assert error(answer) == (400, "invalid_grant"), answer.text


async def unproven(bank: Bank, **assertion: Any) -> None:
    """Such an assertion is refused where requests are pushed, and where tokens are had."""
    asked = asking()
    assert error(await bank.push(asked, **bank.assertion(**assertion))) == (401, "invalid_client")
    code = (await bank.authorized(asked))["code"]
    assert error(await bank.redeem(asked, code, **bank.assertion(**assertion))) == (401, "invalid_client")
    assert (await bank.redeem(asked, code)).status_code == 200


async def push_object(bank: Bank, client: str = "signing", **made: Any) -> httpx2.Response:
    asked = asking(client)
    sent = bank.known(client) | {"client_id": client} | bank.object(asked, **made)
    return await bank.post("/par", sent, bank.shown(client))


async def refused_object(bank: Bank, **made: Any) -> None:
    assert error(await push_object(bank, **made)) == (400, "invalid_request_object")


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
async def banking(folder: Path, variant: Variant) -> AsyncIterator[Bank]:
    """The company with its `fapi2` clients, running; behind a proxy that says clients' certificates."""
    keys = {name: ECKey.generate_key("P-256") for name in CLIENTS}
    rsa = RSAKey.generate_key(2048)
    authority = pki.certificate("CN=Clients,O=Example", authority=True)
    certificates = {name: pki.certificate(f"CN={name},O=Example", authority) for name in CLIENTS}
    (folder / "clients.pem").write_bytes(authority.pem)
    server = 'proxies = ["127.0.0.1/32"]\nclient_ca = "clients.pem"\nclient_certificate_header = "Client-Cert"'

    def edit(bundle: Path) -> None:
        for name in CLIENTS:
            consent = "explicit" if name == "other" else "implicit"
            signed = "\nsigned = true" if name == "signing" else ""
            known = f"[[client.keys]]\n{public(keys[name], name)}\n[[client.keys]]\n{rsa_jwk(rsa)}"
            by_certificate = variant.client_auth_type == "mtls"
            method = "tls_client_auth" if by_certificate else "private_key_jwt"
            client(bundle, name, method, BACK, authorization=f'consent = "{consent}"{signed}', more=known)
            file = bundle / "clients" / f"{name}.toml"
            head = 'profile = "fapi2"\n'
            if by_certificate:
                head += f'tls_client_auth_subject_dn = "CN={name},O=Example"\n'
            elif variant.sender_constrain == "mtls":
                head += "tls_client_certificate_bound_access_tokens = true\n"
            file.write_text(file.read_text().replace("[client]\n", f"[client]\n{head}", 1))

    dpop = {name: ECKey.generate_key("P-256") for name in CLIENTS}
    async with desk(folder, edit=edit, server=server) as at:
        yield Bank(variant=variant, desk=at, keys=keys, rsa=rsa, dpop=dpop, certificates=certificates)
