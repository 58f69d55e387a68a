"""Every other way to a token, and what may be done with one: requests of the manifest that the story does not make."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any

import httpx2
from joserfc.jwk import ECKey

from mintwarden.app.demo.calls import Call, Caller, send
from mintwarden.app.demo.coming import POCKET, WORKBENCH, Coming, hers, his
from mintwarden.app.demo.identified import dpop_proof
from mintwarden.app.demo.script import AGENT, HERS, LOOKED, Script
from mintwarden.app.demo.stage import GATE

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ID_JAG_TYPE = "oauth-id-jag+jwt"
PAYMENTS = "https://api.meridian.example/payments"
_LESS = "payments:read"
ACCOUNT = "system:serviceaccount:payments:checkout"


class Flows:
    """Builds them; what they need before is done over `http`."""

    def __init__(self, caller: Caller, script: Script, http: httpx2.Client) -> None:
        self._caller = caller
        self._script = script
        self._http = http
        self._coming = Coming(caller, http)
        self._stage = caller.stage

    # -- people

    def of_people(self) -> tuple[Call, ...]:
        """Codes, renewals and what an application learns; people sign in for them now."""
        mine, others, parted = hers(), his(), hers()
        pushed = str(send(self._http, self._coming.pushed(mine)).json()["request_uri"])
        code = self._coming.redeemed(mine, self._coming.arrive(mine, pushed), {"scope": HERS})
        public = self._coming.redeemed(others, self._coming.arrive(others), {"token_type": "Bearer"})
        kept = str(self._coming.tokens(parted, {})["refresh_token"])
        used = str(self._coming.tokens(his(), {})["refresh_token"])
        renewed = self._coming.renewed("renewed for ourselves", WORKBENCH, kept, {}, audience="identity")
        token = str(send(self._http, renewed).json()["access_token"])
        narrow = self._coming.renewed("the workbench renews, for less", WORKBENCH, kept, {"scope": _LESS}, scope=_LESS)
        rotated = self._coming.renewed("the mobile app renews, and its refresh token rotates", POCKET, used, {})
        return (
            self._coming.pushed(hers()),
            code,
            public,
            narrow,
            rotated,
            self._coming.user_info("who signed in", token, {"sub": "maya.lindqvist"}),
        )

    def elsewhere(self) -> tuple[Call, ...]:
        """Where the application has no browser: people have allowed it somewhere else by now."""
        begun = send(self._http, self._coming.device()).json()
        self._coming.type_in(str(begun["user_code"]))
        message = f"Call {secrets.token_hex(4)}"
        asked = send(self._http, self._coming.question(message)).json()
        self._coming.allow_question(message)
        return (
            self._coming.device(),
            self._coming.device_allowed(str(begun["device_code"]), {"scope": "customers:read.basic"}),
            self._coming.question("Call 4711"),
            self._coming.answered(str(asked["auth_req_id"])),
        )

    # -- proofs

    def bound(self) -> Call:
        """A token bound to a key (RFC 9449)."""
        proof = dpop_proof(ECKey.generate_key("P-256", private=True), f"{self._stage.issuer}/token")
        return self._caller.call(
            "a service gets a token that is bound to its key (DPoP)",
            "flags-relay",
            {"scope": "flags:evaluate", "token_type": "DPoP"},
            form={"grant_type": "client_credentials", "audience": "feature-flags", "scope": "flags:evaluate"},
            headers={"DPoP": proof},
            once=True,
        )

    # -- assertions of others

    def by_assertion(self) -> Call:
        """A pod's own token as an authorization grant (RFC 7523)."""
        assertion = self._caller.stated("clusters", ACCOUNT, audience=self._stage.issuer, lifetime=600)
        return self._caller.call(
            "a pod's token is an authorization grant (JWT bearer)",
            "flags-relay",
            {"scope": "flags:evaluate"},
            form={"grant_type": JWT_BEARER, "assertion": assertion, "scope": "flags:evaluate"},
            once=True,
        )

    def by_identity_assertion(self) -> Call:
        """The company's sign-in lets an agent work for somebody (ID-JAG, a draft)."""
        said = {"client_id": AGENT, "resource": PAYMENTS, "scope": "payments:read payments:refund"}
        assertion = self._caller.stated(
            "login", "maya.lindqvist", audience=self._stage.issuer, lifetime=600, kind=ID_JAG_TYPE, **said
        )
        form = {"grant_type": JWT_BEARER, "assertion": assertion, "tenant": "nordic", "scope": "payments:read"}
        return self._caller.call(
            "an agent works for a person by an identity assertion (ID-JAG)",
            AGENT,
            {"scope": "payments:read", "act": AGENT},
            form=form,
            once=True,
        )

    # -- onward

    def onward(self) -> tuple[Call, ...]:
        """To another company's server, and through the services of this one."""
        id_token = str(self._coming.tokens(hers(), {})["id_token"])
        called = str(send(self._http, self._script.herself()).json()["access_token"])
        slow = self._script.transaction(called, LOOKED, requested_lifetime="120")
        passed = str(send(self._http, slow).json()["access_token"])
        return (
            self._script.elsewhere(id_token),
            self._script.transaction(called),
            self._script.passed_on(passed),
            self._script.signed_out(id_token),
        )

    # -- the chain, and what becomes of tokens

    def chain(self) -> tuple[Call, ...]:
        """Person, agent, tool; and the list in which the agent's token stands."""
        asked = self._script.tools()
        token = str(send(self._http, asked).json()["access_token"])
        return (
            asked,
            self._script.tool(token),
            self._script.tool_for_more(token),
            self._script.public("the status list of agents' tokens", "/status/0"),
            self._script.public("every status list", "/status"),
        )

    def after(self) -> tuple[Call, ...]:
        """Introspection, revocation, and a question without a token."""
        seen, ended = (str(send(self._http, self._script.service()).json()["access_token"]) for _ in range(2))
        jwt_answer = {"Accept": "application/token-introspection+jwt"}
        return (
            self._about("a token is introspected", "/introspect", seen, {"active": True, "scope": "flags:evaluate"}),
            self._about("the same, signed", "/introspect", seen, {}, headers=jwt_answer),
            self._about("a token is revoked", "/revoke", ended, {}),
            self._about("and is good for nothing", "/introspect", ended, {"active": False}),
            *self.questions(),
        )

    def _about(
        self, name: str, path: str, token: str, expect: dict[str, Any], *, headers: dict[str, str] | None = None
    ) -> Call:
        return self._caller.call(name, "flags-relay", expect, form={"token": token}, path=path, headers=headers or {})

    # -- without a token

    def questions(self) -> tuple[Call, ...]:
        """What the policy says of somebody, without a token for it (AuthZEN)."""
        may, what = {"name": "payments:create"}, {"type": "audience", "id": "payments"}
        her, there = {"subject": {"type": "user", "id": "maya.lindqvist"}}, {"context": {"tenant": "nordic"}}
        both = [{"action": may}, {"action": {"name": "payments:approve"}}]
        yes, found = {"decision": True}, "who may have it (AuthZEN search)"
        evaluate, search = self._asking(GATE, "authzen:evaluate"), self._asking("operator", "authzen:search")
        may_she = "the payments service asks whether somebody may (AuthZEN)"
        return (
            evaluate(may_she, "evaluation", {**her, **there, "action": may, "resource": what}, yes),
            evaluate("two questions at once", "evaluations", {**her, **there, "resource": what, "evaluations": both}),
            search(found, "search/subject", {**there, "subject": {"type": "user"}, "action": may, "resource": what}),
            search("what she may have", "search/action", {**her, **there, "resource": what}),
            search("and where", "search/resource", {**her, **there, "action": may, "resource": {"type": "tenant"}}),
        )

    def _asking(self, client: str, scope: str) -> Callable[..., Call]:
        asks = self._caller.token("may ask", client, {}, audience="decision-point", scope=scope)
        token = str(send(self._http, asks).json()["access_token"])

        def asked(name: str, path: str, question: dict[str, Any], expect: Mapping[str, Any] = {}) -> Call:
            return Call(
                name=name,
                method="POST",
                url=f"{self._stage.issuer}/access/v1/{path}",
                headers={"Authorization": f"Bearer {token}"},
                json=question,
                expect={"status": 200, **expect},
            )

        return asked
