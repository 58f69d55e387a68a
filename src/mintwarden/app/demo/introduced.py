"""Programs that nobody wrote down: one publishes what it is (CIMD, a draft), one registers itself (RFC 7591)."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from typing import Any

import httpx2
from joserfc import jwt
from joserfc.jwk import ECKey

from mintwarden.app.demo.additions import TERMINAL
from mintwarden.app.demo.calls import ASSERTION, Call, Caller, send
from mintwarden.app.demo.cast import Documents, Program, program_documents
from mintwarden.app.demo.script import Script
from mintwarden.app.demo.stage import private_jwk
from mintwarden.app.demo.upstreams import Upstreams

PAGE = "/rates/client.json"
_FLAGS = {"grant_type": "client_credentials", "audience": "feature-flags", "scope": "flags:evaluate"}
_METADATA: Mapping[str, Any] = {
    "client_name": "Nightly figures",
    "grant_types": ["client_credentials"],
    "token_endpoint_auth_method": "client_secret_post",
    "scope": "flags:evaluate",
}


class Introduced:
    """Both of them, for as long as the demonstration serves: the page is published, the registration is made once.

    Attributes:
        initial: the initial access token, after `vouched`.
    """

    def __init__(self, caller: Caller, *, upstreams: Upstreams, http: httpx2.Client) -> None:
        self._caller = caller
        self._issuer = caller.stage.issuer
        self._http = http
        self._key = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, private=True, auto_kid=True)
        self._url = f"{upstreams.base}{PAGE}"
        document = {
            "client_id": self._url,
            "client_name": "Rates",
            "grant_types": ["client_credentials"],
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks": {"keys": [dict(self._key.as_dict(private=False))]},
        }
        upstreams.publish(PAGE, document)
        self._registered: dict[str, Any] = {}
        self.initial = ""

    def vouched(self, script: Script) -> None:
        """Have token operations and the service catalogue say now that they may come; neither holds for long."""
        self.initial = str(send(self._http, script.registrar()).json()["access_token"])
        send(self._http, script.quiet_day(self._catalogue()))

    def calls(self, script: Script) -> tuple[Call, ...]:
        """They come, ask for too much, are taken into the service catalogue, and get what the bundle lets them have."""
        registered = self._known()
        return (
            script.registrar(),
            self._registration(),
            Call(
                name="a program reads what it registered",
                method="GET",
                url=str(registered["registration_client_uri"]),
                headers={"Authorization": f"Bearer {registered['registration_access_token']}"},
                expect={"status": 200, "client_id": registered["client_id"]},
            ),
            script.quiet_day(self._catalogue(), name="the service catalogue takes them on"),
            self._by_secret("the program that registered itself gets a token", {}),
            self._by_secret(
                "and no more than the bundle lets such programs have",
                {"scope": "flags:read"},
                expect={"status": 400, "error": "invalid_scope"},
            ),
            self._by_document(),
        )

    def members(self) -> tuple[dict[str, Any], ...]:
        """Both as clients of the manifest; `docs/manifest.md` is its reference."""
        registered = self._known()
        shared: dict[str, Any] = {
            "kind": "third_party",
            "grants": ["client_credentials"],
            "audiences": {"https://api.meridian.example/feature-flags": ["flags:evaluate"]},
            "parameters": {"https://api.meridian.example/feature-flags": {}},
            "addresses": [],
            "redirect_uris": [],
        }
        return (
            {
                "client_id": self._url,
                "auth_method": "private_key_jwt",
                "auth_methods": ["private_key_jwt"],
                "introduced": "client_id_metadata",
                "private_key_jwk": private_jwk(self._key),
                **shared,
            },
            {
                "client_id": registered["client_id"],
                "auth_method": "client_secret_post",
                "auth_methods": ["client_secret_post"],
                "introduced": "registration",
                "client_secret": registered["client_secret"],
                "registration_access_token": registered["registration_access_token"],
                "registration_client_uri": registered["registration_client_uri"],
                **shared,
            },
        )

    def _known(self) -> Mapping[str, Any]:
        """What was answered to the one that registered, which it does when it is first asked for."""
        if not self._registered:
            self._registered = dict(send(self._http, self._registration()).json())
        return self._registered

    def _registration(self) -> Call:
        return Call(
            name="a program registers itself",
            method="POST",
            url=f"{self._issuer}/register",
            headers={"Authorization": f"Bearer {self.initial}"},
            json=dict(_METADATA),
            expect={"status": 201, "scope": "flags:evaluate"},
        )

    def _catalogue(self) -> Documents:
        """What the service catalogue says of programs that are not the company's own: that they are at work."""
        found: Documents = {}
        for name, team in (
            (self._url, "Vendor Risk"),
            (str(self._known()["client_id"]), "Vendor Risk"),
            (TERMINAL, "Merchant Success"),
        ):
            said = program_documents(Program(name=name, team=team))
            found |= {entity: {"workloads": sources["workloads"]} for entity, sources in said.items()}
        return found

    def _by_secret(self, name: str, asked: Mapping[str, str], *, expect: Mapping[str, Any] = {}) -> Call:
        known = self._known()
        proof = {"client_id": str(known["client_id"]), "client_secret": str(known["client_secret"])}
        return self._token(name, {**_FLAGS, **asked, **proof}, expect or {"status": 200, "scope": "flags:evaluate"})

    def _by_document(self) -> Call:
        now = int(time.time())
        claims = {"iss": self._url, "sub": self._url, "aud": self._issuer, "iat": now, "exp": now + 60}
        header = {"alg": "ES256", "kid": str(self._key.kid), "typ": "client-authentication+jwt"}
        signed = jwt.encode(header, {**claims, "jti": secrets.token_urlsafe(16)}, self._key, algorithms=["ES256"])
        form = {**_FLAGS, "client_assertion_type": ASSERTION, "client_assertion": signed}
        expect = {"status": 200, "scope": "flags:evaluate"}
        return self._token("a program is known by what it publishes (CIMD)", form, expect, once=True)

    def _token(self, name: str, form: Mapping[str, str], expect: Mapping[str, Any], *, once: bool = False) -> Call:
        url = f"{self._issuer}/token"
        return Call(name=name, method="POST", url=url, form=form, expect=expect, single_use=once)
