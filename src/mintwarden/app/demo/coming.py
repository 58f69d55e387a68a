"""How people come: an application sends their browser here, they sign in and allow, and it gets a code for tokens."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import httpx2
from msgspec import Struct

from mintwarden.app.demo.browser import Arrived, Browser
from mintwarden.app.demo.calls import Broken, Call, Caller, send
from mintwarden.app.demo.provider import challenge_of

WORKBENCH, POCKET, TILL = "workbench", "pocket", "till"
DEVICE, CIBA = "urn:ietf:params:oauth:grant-type:device_code", "urn:openid:params:grant-type:ciba"
HER_GRANT = "openid profile payments:read payments:create payments:refund"
HIS_GRANT = "openid profile offline_access customers:read.basic customers:notes"
BACK: Mapping[str, str] = {
    WORKBENCH: "https://workbench.meridian.example/signed-in",
    POCKET: "http://127.0.0.1:49152/signed-in",
}
"""Where answers go; the port of a loopback address is the application's own to choose."""


class Asking(Struct, frozen=True, kw_only=True):
    """An authorization request, and what the application keeps to itself of it."""

    client: str
    verifier: str
    parameters: Mapping[str, str]


def asking(client: str, scope: str, person: str, **more: str) -> Asking:
    """A request with PKCE, state and nonce of its own; `person` is who it probably is."""
    verifier = secrets.token_urlsafe(48)
    parameters = {
        "response_type": "code",
        "client_id": client,
        "redirect_uri": BACK[client],
        "scope": scope,
        "state": secrets.token_urlsafe(12),
        "nonce": secrets.token_urlsafe(12),
        "code_challenge": challenge_of(verifier),
        "code_challenge_method": "S256",
        "login_hint": f"{person}@meridian.example",
        **more,
    }
    return Asking(client=client, verifier=verifier, parameters=parameters)


def hers() -> Asking:
    """Maya Lindqvist at the workbench, for refunds."""
    return asking(WORKBENCH, HER_GRANT, "maya.lindqvist", tenant="nordic", purpose="customer-refund")


def his() -> Asking:
    """Kai Jensen with the mobile app."""
    return asking(POCKET, HIS_GRANT, "kai.jensen", tenant="alpine")


class Coming:
    """The steps of it, as requests."""

    def __init__(self, caller: Caller, http: httpx2.Client) -> None:
        self._caller = caller
        self._http = http
        self._issuer = caller.stage.issuer

    def pushed(self, asked: Asking) -> Call:
        """The application pushes its request (RFC 9126)."""
        return self._caller.call(
            "an application pushes its request for a person",
            asked.client,
            {"status": 201},
            path="/par",
            form=asked.parameters,
        )

    def arrive(self, asked: Asking, request_uri: str = "") -> Arrived:
        """The person's part, with a new browser; the answer is checked as an application checks it."""
        query = {"client_id": asked.client, "request_uri": request_uri} if request_uri else dict(asked.parameters)
        browser = Browser(self._http, asked.parameters["login_hint"].partition("@")[0])
        arrived = browser.visit(f"{self._issuer}/authorize?{urlencode(query)}", until=BACK[asked.client])
        answer = arrived.answer
        if "error" in answer:
            raise Broken(f"nobody signed in: {answer['error']}", hint=answer.get("error_description", ""))
        if answer.get("state") != asked.parameters["state"] or answer.get("iss") != self._issuer:
            raise Broken("the answer is not to what was asked, or not from whom it was asked")
        return arrived

    def redeemed(self, asked: Asking, arrived: Arrived, expect: Mapping[str, Any]) -> Call:
        """The code for tokens, once."""
        form = {
            "grant_type": "authorization_code",
            "code": arrived.answer["code"],
            "redirect_uri": asked.parameters["redirect_uri"],
            "code_verifier": asked.verifier,
        }
        name = f"the {_kind(asked.client)} redeems a person's code"
        return self._caller.call(name, asked.client, expect, form=form, once=True)

    def renewed(self, name: str, client: str, refresh_token: str, expect: Mapping[str, Any], **more: str) -> Call:
        """The refresh token for the next token; used up by it where the client's are."""
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token, **more}
        rotates = self._caller.stage.catalogue.clients[client].refresh.rotate
        return self._caller.call(name, client, expect, form=form, once=rotates)

    def tokens(self, asked: Asking, expect: Mapping[str, Any]) -> dict[str, Any]:
        """All of it at once: pushed or not as the client must, signed in, allowed, redeemed; the token answer."""
        must_push = self._caller.stage.catalogue.clients[asked.client].authorization.pushed
        uri = str(send(self._http, self.pushed(asked)).json()["request_uri"]) if must_push else ""
        found: dict[str, Any] = send(self._http, self.redeemed(asked, self.arrive(asked, uri), expect)).json()
        return found

    # -- where the application has no browser

    def device(self) -> Call:
        """A display begins (RFC 8628)."""
        form = {"scope": "openid profile customers:read.basic", "tenant": "alpine"}
        expect = {"expires_in": 600}
        return self._caller.call(
            "a display asks for a code to show", TILL, expect, form=form, path="/device_authorization"
        )

    def device_allowed(self, code: str, expect: Mapping[str, Any]) -> Call:
        """It asks whether somebody has allowed it."""
        form = {"grant_type": DEVICE, "device_code": code}
        return self._caller.call("the display asks for its tokens", TILL, expect, form=form, once=True)

    def type_in(self, user_code: str) -> Arrived:
        """Kai Jensen, elsewhere: signs in, types the code in, reads who asks, and allows it."""
        browser = Browser(self._http, "kai.jensen")
        return browser.visit(f"{self._issuer}/device?{urlencode({'user_code': user_code})}")

    def question(self, message: str) -> Call:
        """The workbench asks somebody who is not in front of it (CIBA), and says so with `message`."""
        form = {
            "scope": "openid payments:read",
            "login_hint": "maya.lindqvist",
            "binding_message": message,
            "tenant": "nordic",
        }
        name = "an application asks somebody out of band (CIBA)"
        return self._caller.call(name, WORKBENCH, {}, form=form, path="/bc-authorize")

    def allow_question(self, message: str) -> Arrived:
        """Maya Lindqvist answers it, after signing in."""
        return Browser(self._http, "maya.lindqvist", about=message).visit(f"{self._issuer}/approvals")

    def answered(self, request: str) -> Call:
        """The tokens, once she has allowed it."""
        form = {"grant_type": CIBA, "auth_req_id": request}
        name = "the application gets its tokens, once it is allowed"
        return self._caller.call(name, WORKBENCH, {"scope": "payments:read"}, form=form, once=True)

    def user_info(self, name: str, access_token: str, expect: Mapping[str, Any]) -> Call:
        """Who it is, by a token of theirs (OpenID Connect Core 1.0 section 5.3)."""
        return Call(
            name=name,
            method="GET",
            url=f"{self._issuer}/userinfo",
            headers={"Authorization": f"Bearer {access_token}"},
            expect={"status": 200, **expect},
        )


def _kind(client: str) -> str:
    return "mobile app, a public client," if client == POCKET else "workbench"
