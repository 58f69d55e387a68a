"""What the demonstration's callers prove themselves with: made for one run, in memory, and believed by nobody else.

Clients get fresh keys and secrets in place of their own, trusted issuers fresh signing keys; the verifiers are the
service's own. So requests can be made for a deployment whose private keys nobody here has.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
from joserfc.jwk import ECKey, OKPKey, RSAKey
from msgspec.structs import replace

from mintwarden.app.demo.calls import ACCESS_TOKEN, ASSERTION, EXCHANGE, JWT
from mintwarden.app.demo.errands import Errand, SignIn
from mintwarden.app.demo.upstreams import AUDIENCE
from mintwarden.authn.ports import ClientSecret, CredentialReader, Credentials
from mintwarden.authn.secrets import generate_secret, hash_secret
from mintwarden.mint.signers import LocalSigner
from mintwarden.model.catalogue import Catalogue, Client
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.request import TokenRequest

MINUTE, TEN_MINUTES, HOUR, WORKING_DAY = 60, 600, 3_600, 8 * 3_600
DISCOVERY = "/.well-known/openid-configuration"
_ALGORITHMS: Mapping[str, str] = {"github-actions": "RS256"}
"""What the issuers of a profile sign with; ES256 otherwise."""


class _Key(NamedTuple):
    """A private key ready to sign JWTs."""

    jwk: Mapping[str, Any]
    header: bytes
    signer: LocalSigner

    async def jwt(self, claims: Mapping[str, object]) -> str:
        """`claims` as a signed compact JWT."""
        signed = self.header + b"." + _b64(msgspec.json.encode(claims))
        return (signed + b"." + _b64(await self.signer.sign(signed))).decode("ascii")


class Proofs:
    """Keys and secrets of every client and trusted issuer of a catalogue, and the requests made with them."""

    def __init__(self, catalogue: Catalogue, *, issuer: str, pepper: bytes) -> None:
        self._issuer = issuer
        self._issuers = {name: known.issuer for name, known in catalogue.issuers.items()}
        self._signers = {
            name: _key(_ALGORITHMS.get(known.profile, "ES256")) for name, known in catalogue.issuers.items()
        }
        self._keys = {c.id: _key(str(c.jwks[0]["alg"])) for c in catalogue.clients.values() if c.jwks}
        self._jobs: dict[tuple[str, str], tuple[int, str]] = {}
        self._methods = {client.id: client.methods[0] for client in catalogue.clients.values()}
        given = {name: generate_secret(secrets.token_bytes) for name, how in self._methods.items() if "secret" in how}
        self._basic = {
            name: b"Basic " + base64.b64encode(f"{name}:{secret}".encode()) for name, secret in given.items()
        }
        self._posted = {name: (secret,) for name, secret in given.items()}
        self.secrets = {
            name: (
                ClientSecret(client_id=name, scheme="hmac-sha256", digest=hash_secret(pepper, secret), created_at=0),
            )
            for name, secret in given.items()
        }
        self.clients: Mapping[str, Client] = {
            name: replace(client, jwks=(dict(self._keys[name].jwk),)) if name in self._keys else client
            for name, client in catalogue.clients.items()
        }

    async def fetch(self, url: str) -> bytes:
        """Discovery documents and key sets of the trusted issuers, as their own servers would give them."""
        for name, issuer in self._issuers.items():
            if url == f"{issuer}{DISCOVERY}":
                return json.dumps({"issuer": issuer, "jwks_uri": f"{issuer}/keys"}).encode()
            if url == f"{issuer}/keys":
                return json.dumps({"keys": [dict(self._signers[name].jwk)]}).encode()
        raise MintwardenError(ErrorKind.SOURCE, f"nobody answers at `{url}`")

    async def request(self, errand: Errand, at: int, token: str = "") -> TokenRequest:
        """The request that `errand` makes at `at` (`Millis`); `token` is one of ours to exchange."""
        form = {name: (value,) for name, value in errand.form.items()}
        if token or errand.subject is not None:
            form["grant_type"] = (EXCHANGE,)
            form["subject_token"] = (token or await self._sign_in(errand.subject, at),)
            form["subject_token_type"] = (ACCESS_TOKEN if token else JWT,)
        else:
            form["grant_type"] = ("client_credentials",)
        client, method = errand.client, self._methods[errand.client]
        authorization = None
        if method == "client_secret_basic":
            authorization = self._basic[client]
        elif method == "private_key_jwt":
            form["client_assertion_type"] = (ASSERTION,)
            form["client_assertion"] = (await self._assertion(client, at),)
        else:
            form["client_id"] = (client,)
            if method == "client_secret_post":
                form["client_secret"] = self._posted[client]
        return TokenRequest(
            unverified_form=form,
            unverified_authorization=authorization,
            address=errand.address,
            received_at=at,
            reference="demo",
        )

    async def _assertion(self, client: str, at: int) -> str:
        now = at // 1000
        named = {"iss": client, "sub": client, "aud": self._issuer}
        once = secrets.token_urlsafe(16)
        return await self._keys[client].jwt({**named, "iat": now, "exp": now + MINUTE, "jti": once})

    async def _sign_in(self, who: SignIn | None, at: int) -> str:
        assert who is not None  # noqa: S101 - an exchange has a subject
        now = at // 1000
        if who.issuer == "build":  # signed with RSA, which takes its time: a job uses its token more than once
            made, known = self._jobs.get(_job(who), (0, ""))
            if now - made < TEN_MINUTES:
                return known
        then = {"auth_time": now - who.age} if who.issuer == "login" else {}
        claims = {
            "iss": self._issuers[who.issuer],
            "aud": AUDIENCE,
            "sub": who.name,
            "iat": now - min(who.age, WORKING_DAY),
            "exp": now + HOUR,
            "jti": secrets.token_urlsafe(12),
            **then,
            **who.claims,
        }
        token = await self._signers[who.issuer].jwt(claims)
        if who.issuer == "build":
            self._jobs[_job(who)] = (now, token)
        return token


class GivenCredentials:
    """The store's state, with the secrets of the demonstration in place of its own."""

    def __init__(self, stored: CredentialReader, given: Mapping[str, tuple[ClientSecret, ...]]) -> None:
        self._stored = stored
        self._given = given

    async def credentials(self) -> Credentials:
        """See `CredentialReader.credentials`."""
        read = await self._stored.credentials()
        return replace(read, secrets=self._given, clients={})


def _job(who: SignIn) -> tuple[str, str]:
    return who.name, str(who.claims)


def _key(algorithm: str) -> _Key:
    settings: Any = {"use": "sig", "alg": algorithm}
    key: ECKey | OKPKey | RSAKey
    if algorithm == "EdDSA":
        key = OKPKey.generate_key("Ed25519", settings, private=True, auto_kid=True)
    elif algorithm == "RS256":
        key = RSAKey.generate_key(2048, settings, private=True, auto_kid=True)
    else:
        key = ECKey.generate_key("P-256", settings, private=True, auto_kid=True)
    jwk = dict(key.as_dict(private=False))
    header = _b64(msgspec.json.encode({"alg": algorithm, "typ": "JWT", "kid": jwk["kid"]}))
    private: Any = key.private_key
    return _Key(jwk, header, LocalSigner(kid=str(jwk["kid"]), algorithm=algorithm, private_key=private))


def _b64(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")
