"""Which requests the story makes, and what must come of each; the same ones stand in the manifest."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from msgspec.structs import replace

from mintwarden.app.demo.calls import ACCESS_TOKEN, EXCHANGE, JWT, THIEF, VENDOR, Call, Caller
from mintwarden.app.demo.cast import Documents, Person, agent_documents, person_documents
from mintwarden.authn.evidence import ID_TOKEN
from mintwarden.model.token import ID_JAG, TXN_TOKEN

BROAD = "payments:read payments:create payments:cancel payments:disputes payments:approve payments:refund"
NARROW = "payments:read payments:disputes"
HERS = "payments:read payments:create payments:refund"
REFUND = {"audience": "payments", "tenant": "nordic", "purpose": "customer-refund"}
REPAIR = {"audience": "payments", "tenant": "nordic", "purpose": "incident", "scope": "payments:create"}
WORKBENCH, AGENT, TOOL, CALM, UNEASY = "workbench", "refunds-agent", "mcp-payments", 10, 55
ADMIN_SCOPES = (
    "mintwarden:facts.write mintwarden:facts.write:entitlements mintwarden:facts.write:workloads"
    " mintwarden:decisions.read"
)
REGISTER = "mintwarden:clients.register"
ADMIN_LIFETIME = 3600
CARD_NETWORK, TRANSACTIONS = "https://login.cardnet.example", "https://transactions.meridian.example"
DISPUTES = "cardnet:disputes.read"
MOVED, LOOKED = "transaction:look transaction:move", "transaction:look"
SIGNED_OUT = "https://workbench.meridian.example/"
REFUNDED = {"refund": "rf-2026-004711", "amount": 4990, "currency": "SEK"}

_SETTLEMENT_OPENS, _SETTLEMENT_ENDS = 5, 23


class Script:
    """The story's requests. `admin_token` authorises those for administration."""

    def __init__(self, caller: Caller, *, admin_token: str = "") -> None:
        self.caller = self._caller = caller
        self._issuer = caller.stage.issuer
        self._admin = {"Authorization": f"Bearer {admin_token}"}

    # -- services and people

    def service(self) -> Call:
        """A service gets a token of its own."""
        return self._caller.token(
            "a service gets a token",
            "flags-relay",
            {"scope": "flags:evaluate", "token_type": "Bearer"},
            audience="feature-flags",
            scope="flags:evaluate",
        )

    def service_by_post(self) -> Call:
        """The same with the secret in the form."""
        return self._caller.token(
            "a batch client authenticates with its secret in the form",
            "reporting-batch",
            {"scope": "reports:view"},
            audience="reports",
            scope="reports:view",
        )

    def service_by_assertion(self) -> Call:
        """The same with a signed assertion."""
        return self._caller.token(
            "a service authenticates with private_key_jwt",
            "payments-api",
            {"scope": "ledger:read ledger:post"},
            audience="ledger",
            scope="ledger:read ledger:post",
        )

    def public_client(self) -> Call:
        """A public client exchanges a person's token."""
        return self._caller.exchange(
            "the mobile app, a public client, exchanges a person's token",
            "pocket",
            self._caller.person("kai.jensen"),
            {"scope": "customers:read.basic customers:notes", "act": None},
            audience="customers",
            scope="customers:read.basic customers:notes",
            tenant="alpine",
        )

    def broad_group(self) -> Call:
        """Everything that the broad group once gave is asked for; two scopes come."""
        return self._caller.exchange(
            "a broad group becomes two narrow scopes",
            "workbench",
            self._caller.person("nils.ek"),
            {"scope": NARROW, "act": None},
            audience="payments",
            scope=BROAD,
            tenant="nordic",
            purpose="fraud-review",
        )

    # -- the agent

    def herself(self) -> Call:
        """What the person may do without the agent."""
        return self._caller.exchange(
            "a person at the workbench",
            "workbench",
            self._caller.person("maya.lindqvist"),
            {"scope": HERS, "act": None},
            scope=HERS,
            **REFUND,
        )

    def agent(self, name: str, granted: str) -> Call:
        """The agent exchanges her token for as much as she may."""
        return self._caller.exchange(
            name,
            AGENT,
            self._caller.person("maya.lindqvist"),
            {"scope": granted, "act": AGENT},
            scope=HERS,
            **REFUND,
        )

    def unapproved(self) -> Call:
        """What the agent may do once somebody else has looked at it: nobody has."""
        return self._caller.exchange(
            "the agent may enter a payment once somebody else has looked at it",
            AGENT,
            self._caller.person("maya.lindqvist"),
            {
                "status": 400,
                "error": "invalid_scope",
                "approvals": [{"approval": "people-lead", "for": "payments:create"}],
            },
            **REPAIR,
        )

    def asks_for_approval(self) -> Call:
        """So it asks for that."""
        form = {
            "grant_type": EXCHANGE,
            "subject_token": self._caller.person("maya.lindqvist"),
            "subject_token_type": JWT,
        }
        return self._caller.call(
            "it asks for that approval, which waits for somebody who leads people",
            AGENT,
            {},
            form={**form, **REPAIR, "binding_message": "Incident 4711: captured twice"},
            path="/approval-requests",
        )

    def tools(self) -> Call:
        """The agent's token for the server of its tools, in her name."""
        return self._caller.exchange(
            "the agent asks for a token for its tools",
            AGENT,
            self._caller.person("maya.lindqvist"),
            {"scope": "tools:lookup tools:refund", "act": AGENT},
            **{**REFUND, "audience": "agent-tools"},
            scope="tools:lookup tools:refund",
        )

    def tool(self, token: str) -> Call:
        """The tool turns the token that it was called with into one for the API behind it."""
        return self._caller.exchange(
            "the tool exchanges the token that it was called with",
            TOOL,
            token,
            {"scope": "payments:read payments:refund", "act": TOOL},
            audience="payments",
            scope="payments:read payments:refund",
        )

    def tool_for_more(self, token: str) -> Call:
        """What neither the agent's token nor the chain carries."""
        return self._caller.exchange(
            "the tool asks for what was not carried",
            TOOL,
            token,
            {"status": 400, "error": "invalid_scope"},
            audience="payments",
            scope="payments:create",
        )

    # -- to other domains, and through the services of this one

    def elsewhere(self, id_token: str) -> Call:
        """The workbench takes its person to the card network: an assertion for the server there (ID-JAG, a draft)."""
        return self._caller.exchange(
            "the workbench takes its person to the card network (ID-JAG)",
            WORKBENCH,
            id_token,
            {"scope": DISPUTES, "issued_token_type": ID_JAG, "token_type": "N_A"},
            subject_token_type=ID_TOKEN,
            requested_token_type=ID_JAG,
            audience=CARD_NETWORK,
            scope=DISPUTES,
        )

    def transaction(self, token: str, scope: str = MOVED, **more: str) -> Call:
        """The payments API, called with a person's token, begins a transaction (a draft)."""
        return self._through(
            "the payments API begins a transaction",
            "payments-api",
            token,
            scope,
            subject_token_type=ACCESS_TOKEN,
            request_details=json.dumps(REFUNDED),
            **more,
        )

    def passed_on(self, token: str) -> Call:
        """The ledger, called with the transaction token, replaces it for whom it calls next."""
        return self._through(
            "the ledger passes the transaction on, for less",
            "ledger-service",
            token,
            LOOKED,
            subject_token_type=TXN_TOKEN,
        )

    def _through(self, name: str, client: str, token: str, scope: str, **parameters: str) -> Call:
        call = self._caller.exchange(
            name,
            client,
            token,
            {"scope": scope, "act": client, "issued_token_type": TXN_TOKEN, "token_type": "N_A"},
            requested_token_type=TXN_TOKEN,
            audience=TRANSACTIONS,
            scope=scope,
            **parameters,
        )
        return replace(call, single_use=True)  # what it carries ends within a minute or two

    def signed_out(self, id_token: str) -> Call:
        """The workbench sends its person here to sign out (OpenID Connect RP-Initiated Logout 1.0)."""
        query = urlencode({"id_token_hint": id_token, "post_logout_redirect_uri": SIGNED_OUT})
        return Call(
            name="the workbench sends its person here to sign out",
            method="GET",
            url=f"{self._issuer}/logout?{query}",
            expect={"status": 303},
        )

    def agent_state(self, name: str, risk: int) -> Call:
        """The runtime pushes what the agent is now."""
        state = agent_documents()[f"Agent:{AGENT}"]["agent_state"].facts
        return self._push(name, f"Agent:{AGENT}", "agent_state", {**state, "risk": risk})

    # -- the batch account

    def batch(self) -> Call:
        """Whichever batch account is outside its window for two hours at least asks all the same."""
        hour = time.gmtime().tm_hour
        if _SETTLEMENT_OPENS <= hour < _SETTLEMENT_ENDS:
            client, scope, more = "settlement-batch", "payments:settle", {"audience": "payments", "tenant": "nordic"}
        else:
            client, scope, more = "reporting-batch", "reports:run", {"audience": "reports"}
        return self._caller.token(
            "a batch job is refused outside its window",
            client,
            {"status": 400, "error": "invalid_scope"},
            scope=scope,
            **more,
        )

    # -- the third party

    def vendor(self, name: str, address: str, expect: Mapping[str, Any], **parameters: str) -> Call:
        """The third party asks, or somebody with its secret does."""
        asked = {
            "audience": "reports",
            "scope": "reports:benchmark",
            "tenant": "nordic",
            "purpose": "benchmarking",
            **parameters,
        }
        return self._caller.token(name, "chartmaker", expect, address=address, **asked)

    def vendor_at_home(self) -> Call:
        """From its own network."""
        return self.vendor("the third party, from its own network", VENDOR, {"scope": "reports:benchmark"})

    def thief_with_secret(self) -> Call:
        """The stolen secret from anywhere else."""
        return self.vendor("its stolen secret, from another network", THIEF, {"status": 401, "error": "invalid_client"})

    def thief_with_tenant(self) -> Call:
        """Another tenant, even from the right network."""
        return self.vendor(
            "its stolen secret, for another tenant",
            VENDOR,
            {"status": 400, "error": "invalid_scope"},
            tenant="alpine",
        )

    def thief_with_audience(self) -> Call:
        """Another audience, even from the right network."""
        return self.vendor(
            "its stolen secret, for another API",
            VENDOR,
            {"status": 400, "error": "invalid_target"},
            audience="payments",
            scope="payments:read",
        )

    def thief_with_token(self, token: str) -> Call:
        """The stolen token, exchanged by another client."""
        return self._caller.exchange(
            "its stolen token, exchanged by another client",
            "workbench",
            token,
            {"status": 400, "error": "invalid_request"},
            audience="reports",
            scope="reports:view",
        )

    def thief_as_administrator(self, token: str) -> Call:
        """The stolen token at an API that it is not for: this service's own administration."""
        return Call(
            name="its stolen token, at an API that it is not for",
            method="GET",
            url=f"{self._issuer}/admin/v1/decisions/{'0' * 8}-0000-7000-8000-{'0' * 12}",
            headers={"Authorization": f"Bearer {token}"},
            expect={"status": 401, "type": "/admin/v1/problems#invalid_token"},
        )

    # -- administration

    def administrator(self) -> Call:
        """A token to administer with."""
        return self._operators("an operator's token for administration", ADMIN_SCOPES)

    def registrar(self) -> Call:
        """A token to register a program with (an initial access token, RFC 7591 section 3)."""
        return self._operators("an initial access token, by token operations", REGISTER)

    def _operators(self, name: str, scope: str) -> Call:
        return self._caller.token(
            name,
            "operator",
            {"scope": scope},
            audience="mintwarden",
            scope=scope,
            requested_lifetime=str(ADMIN_LIFETIME),
        )

    def explained(self, decision: str) -> Call:
        """The whole story of one decision."""
        return Call(
            name="a decision is explained",
            method="GET",
            url=f"{self._issuer}/admin/v1/decisions/{decision}",
            headers=self._admin,
            expect={"status": 200},
        )

    def public(self, name: str, path: str) -> Call:
        """Something that anyone may read."""
        return Call(name=name, method="GET", url=f"{self._issuer}{path}", expect={"status": 200})

    def entitled(self, name: str, person: Person, *without: str) -> Call:
        """Identity governance says what somebody was granted, without what was taken away again."""
        said = person_documents(person, int(time.time() * 1000))[f"User:{person.name}"]["entitlements"]
        held: Any = said.facts["entitlements"]
        facts = {**said.facts, "entitlements": [one for one in held if one not in without]}
        spans = {of: {one: ends for one, ends in all_.items() if one not in without} for of, all_ in said.spans.items()}
        document = {"entity": f"User:{person.name}", "source": "entitlements", "facts": facts, "spans": spans}
        return self._put(name, [document])

    def quiet_day(self, documents: Documents, *, name: str = "facts of the day are pushed") -> Call:
        """Several documents in one push."""
        pushed = [
            {"entity": entity, "source": source, "facts": document.facts}
            for entity, sources in documents.items()
            for source, document in sources.items()
        ]
        return self._put(name, pushed)

    def _push(self, name: str, entity: str, source: str, facts: Mapping[str, Any]) -> Call:
        return self._put(name, [{"entity": entity, "source": source, "facts": dict(facts)}])

    def _put(self, name: str, documents: list[dict[str, Any]]) -> Call:
        return Call(
            name=name,
            method="PUT",
            url=f"{self._issuer}/admin/v1/facts",
            headers=self._admin,
            json={"documents": documents},
            expect={"status": 200, "accepted": len(documents)},
        )
