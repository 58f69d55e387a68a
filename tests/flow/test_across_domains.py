"""JWT authorization grants, identity assertions of and for other domains, transaction tokens; over real HTTP."""

from __future__ import annotations

import contextlib
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from mintwarden.app.memory import memory_of
from mintwarden.authn.ports import Revocation
from mintwarden.authn.revoked import link_of
from mintwarden.authn.sign_in import SignIn
from mintwarden.issue.granted import Granted
from mintwarden.issue.memory import Code
from mintwarden.model.values import EntityUid
from tests.flow.company import ACCESS_TOKEN, CLIENT, PAYMENTS, Company, public, running

ISSUER = "https://tokens.example.com"
PARTNER = "https://login.partner.example"
ELSEWHERE = "https://auth.elsewhere.example"
DOMAIN = "https://mesh.example.com"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"
ID_JAG = "urn:ietf:params:oauth:token-type:id-jag"
TXN_TOKEN = "urn:ietf:params:oauth:token-type:txn_token"
VERIFIER = "v" * 43
CHALLENGE = urlsafe_b64encode(sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()

AUDIENCES = {
    "identity": f"""
[audience]
id = "identity"
kind = "identity"
identifier = "{ISSUER}"
description = "Who signed in"
owner = "Token Governance"
environments = ["production"]
max_ttl = "15m"
[scopes.openid]
meaning = "Sign you in"
tier = "low"
""",
    "elsewhere": f"""
[audience]
id = "elsewhere"
kind = "domain"
identifier = "{ELSEWHERE}"
description = "The calendar of Elsewhere"
owner = "Payments"
environments = ["production"]
max_ttl = "5m"
resources = ["https://api.elsewhere.example/calendar", "https://api.elsewhere.example/rooms"]
[audience.client_ids]
web = "web-at-elsewhere"
[scopes."calendar:read"]
meaning = "Read your calendar"
tier = "low"
default = true
[scopes."calendar:write"]
meaning = "Change your calendar"
tier = "low"
""",
    "mesh": f"""
[audience]
id = "mesh"
kind = "transaction"
identifier = "{DOMAIN}"
description = "Calls among our services"
owner = "Payments"
environments = ["production"]
max_ttl = "2m"
[scopes."payment:settle"]
meaning = "Settle a payment"
tier = "low"
[scopes."payment:refund"]
meaning = "Refund a payment"
tier = "low"
""",
}
RULES = """
@id("sign-in") @owner("Token Governance") @reason("staff sign in")
permit (principal is User, action == Action::"issue", resource == Scope::"openid") when { principal in Group::"finance" };
@id("calendar") @owner("Payments") @reason("staff use the calendar")
permit (principal is User, action == Action::"issue", resource == Scope::"calendar:read")
when { principal in Group::"finance" };
@id("calendar-nobody") @owner("Payments") @reason("nobody has the group yet")
permit (principal is User, action == Action::"issue", resource == Scope::"calendar:write")
when { principal in Group::"planners" };
@id("calendar-through") @owner("Payments") @reason("by the web client")
permit (principal == Workload::"web", action == Action::"act", resource in Audience::"elsewhere");
@id("settle") @owner("Payments") @reason("staff settle")
permit (principal is User, action == Action::"issue", resource in Audience::"mesh") when { principal in Group::"finance" };
@id("settle-through") @owner("Payments") @reason("by our services")
permit (principal is Workload, action == Action::"act", resource in Audience::"mesh");
"""


class Domains:
    """The company, its partner's sign-in service, and its own people's browser sessions."""

    def __init__(self, company: Company, partner: ECKey) -> None:
        self.company = company
        self.partner = partner

    def assertion(self, *, typ: str = "JWT", key: ECKey | None = None, **claims: Any) -> str:
        now = int(time.time())
        payload = {
            "iss": PARTNER,
            "sub": "ann",
            "aud": ISSUER,
            "iat": now,
            "exp": now + 120,
            "jti": secrets.token_hex(8),
        } | claims
        payload = {name: value for name, value in payload.items() if value is not None}
        return jwt.encode({"alg": "ES256", "kid": "partner-1", "typ": typ}, payload, key or self.partner)

    def id_jag(self, **claims: Any) -> str:
        said = {"client_id": "web", "scope": "payments:read", "resource": PAYMENTS} | claims
        return self.assertion(typ="oauth-id-jag+jwt", **said)

    async def grant(self, assertion: str, client: str = "web", **form: Any) -> Any:
        return await self.company.ask(client, grant_type=GRANT, assertion=assertion, **form)

    async def id_token(self) -> str:
        """Alice's, by a code that was given to the client `web`."""
        return str((await self.tokens())["id_token"])

    async def end(self, about: Any, value: str) -> None:
        """Revoke what bears a name."""
        async with foundation(load_config(self.company.folder / "mintwarden.toml", environ={})) as base:
            now = base.clock.now()
            ended = Revocation(about=about, value=value, before=now + 1000, until=now + 3_600_000)
            await base.store.revocations.revoke([ended])

    async def tokens(self, **allowed: Any) -> dict[str, Any]:
        """All that the code leads to; what else was said when it was allowed."""
        async with foundation(load_config(self.company.folder / "mintwarden.toml", environ={})) as base:
            now = base.clock.now()
            granted = Granted(
                grant_id=secrets.token_hex(8),
                client_id="web",
                sign_in=SignIn(
                    subject=EntityUid("User", "alice"), provider="login", authenticated_at=now - 5000, session="s1"
                ),
                scopes={"payments": ("payments:read",)},
                identity=("openid",),
                granted_at=now,
                ends=now + 3_600_000,
                **allowed,
            )
            code = secrets.token_urlsafe(32)
            remembered = Code(
                granted=granted,
                redirect_uri="https://web.example.com/cb",
                challenge=CHALLENGE,
                ends=now + 60_000,
                renewable=True,
            )
            await memory_of(base).keep(granted)
            await memory_of(base).codes.add(code, remembered, ends=now + 60_000)
        answer = await self.company.ask(
            "web",
            grant_type="authorization_code",
            code=code,
            code_verifier=VERIFIER,
            redirect_uri="https://web.example.com/cb",
        )
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def read(self, token: str, typ: str) -> dict[str, Any]:
        keys = KeySet.import_key_set((await self.company.http.get("/jwks.json")).json())
        decoded = jwt.decode(token, keys, algorithms=["ES256"])
        assert decoded.header["typ"] == typ
        return dict(decoded.claims)


def _edit(bundle: Path, partner: ECKey) -> None:
    for name, text in AUDIENCES.items():
        (bundle / "audiences" / f"{name}.toml").write_text(text)
    payments = bundle / "audiences" / "payments.toml"
    text = payments.read_text().replace('carries = ["ledger:read"]', 'carries = ["ledger:read", "payment:settle"]')
    payments.write_text(text)
    login = bundle / "issuers" / "login.toml"
    login.write_text(login.read_text().replace('subject = "sub"', 'subject = "sub"\nsubject_prefix = "login/"'))
    (bundle / "issuers" / "partner.toml").write_text(
        f'[issuer]\nid = "partner"\nissuer = "{PARTNER}"\naudiences = ["{ISSUER}", "{ISSUER}/token"]\n'
        'principal = "User"\nsubject_prefix = "partner/"\nkeys = "inline"\nuses = ["jwt_bearer", "id_jag"]\n'
        f"[[issuer.jwks]]\n{public(partner, 'partner-1')}\n"
    )
    every = '"authorization_code", "token_exchange", "jwt_bearer"'
    ceilings = 'payments = "*"\nidentity = "*"\nelsewhere = "*"'
    (bundle / "clients" / "web.toml").write_text(
        CLIENT.format(
            id="web", kind="web", method="client_secret_basic", grants=every, ceilings=ceilings,
            more='redirect_uris = ["https://web.example.com/cb"]',
        )
    )  # fmt: skip
    api = bundle / "clients" / "api.toml"
    api.write_text(api.read_text() + 'mesh = "*"\n')
    helper = bundle / "clients" / "helper.toml"
    helper.write_text(helper.read_text() + 'mesh = "*"\n')


@contextlib.asynccontextmanager
async def crossing(
    folder: Path, *, rules: str = "", edit: Callable[[Path], None] = lambda _bundle: None, **more: Any
) -> AsyncIterator[Domains]:
    """The company among its domains, running; with more rules, and with the bundle edited at last."""
    partner = ECKey.generate_key("P-256")

    def write(bundle: Path) -> None:
        _edit(bundle, partner)
        edit(bundle)

    people = ("alice", "partner/ann")
    async with running(folder, rules=RULES + rules, edit=write, people=people, **more) as company:
        yield Domains(company, partner)


@pytest.fixture
async def domains(tmp_path: Path) -> AsyncIterator[Domains]:
    async with crossing(tmp_path) as made:
        yield made


# -- RFC 7523 ---------------------------------------------------------------------------------------------------------


async def test_an_assertion_of_a_trusted_domain_leads_to_a_token(domains: Domains) -> None:
    answer = await domains.grant(domains.assertion(), scope="payments:read")
    assert answer.status_code == 200, answer.text
    assert "refresh_token" not in answer.json()
    claims = await domains.company.claims(answer.json()["access_token"])
    assert (claims["sub"], claims["client_id"], claims["scope"]) == ("partner/ann", "web", "payments:read")
    assert claims["exp"] <= int(time.time()) + 120, "nothing outlives what it came of"
    by_endpoint = await domains.grant(domains.assertion(aud=f"{ISSUER}/token"), scope="payments:read")
    assert by_endpoint.status_code == 200


async def test_what_an_assertion_must_be(domains: Domains) -> None:
    now = int(time.time())
    refused = {
        "another's signature": domains.assertion(key=ECKey.generate_key("P-256")),
        "for somebody else": domains.assertion(aud="https://other.example"),
        "outlived": domains.assertion(iat=now - 600, exp=now - 300),
        "without an end": domains.assertion(exp=None),
        "without a subject": domains.assertion(sub=None),
        "not to be known again": domains.assertion(jti=None),
        "of nobody we know": domains.assertion(iss="https://evil.example"),
        "of an issuer for another use": domains.company.signed_in("alice", now),
        "not a JWT": "x.y.z",
    }
    for why, assertion in refused.items():
        answer = await domains.grant(assertion, scope="payments:read")
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant"), why
    assert (await domains.grant("", scope="payments:read")).json()["error"] == "invalid_request"
    unlisted = await domains.grant(domains.assertion(), "helper", scope="payments:read")
    assert unlisted.json()["error"] == "unauthorized_client"


async def test_an_assertion_counts_once(domains: Domains) -> None:
    assertion = domains.assertion()
    assert (await domains.grant(assertion, scope="payments:read")).status_code == 200
    again = await domains.grant(assertion, scope="payments:read")
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")


# -- identity assertions of another domain --------------------------------------------------------------------------------


async def test_an_identity_assertion_bounds_what_comes_of_it(domains: Domains) -> None:
    answer = await domains.grant(domains.id_jag())
    assert answer.status_code == 200, answer.text
    assert answer.json()["scope"] == "payments:read"
    wider = await domains.grant(domains.id_jag(), scope="payments:write")
    assert (wider.status_code, wider.json()["error"]) == (400, "invalid_scope")
    elsewhere = await domains.grant(domains.id_jag(resource="https://other.example"), scope="payments:read")
    assert elsewhere.json()["error"] == "invalid_target"


async def test_what_an_identity_assertion_must_be(domains: Domains) -> None:
    refused = {
        "for a plain grant": domains.assertion(client_id="web", aud=[ISSUER, "https://other.example"], typ="oauth-id-jag+jwt"),
        "addressed to the token endpoint": domains.id_jag(aud=f"{ISSUER}/token"),
        "of another client": domains.id_jag(client_id="helper"),
        "of no client": domains.id_jag(client_id=None),
        "bound to a key that nobody proved": domains.id_jag(cnf={"jkt": "A" * 43}),
        "of our own": domains.id_jag(iss=ISSUER),
    }  # fmt: skip
    for why, assertion in refused.items():
        answer = await domains.grant(assertion)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant"), why
    for kind in (ACCESS_TOKEN, "urn:ietf:params:oauth:token-type:jwt", ID_TOKEN):
        exchanged = await domains.company.exchange("web", domains.id_jag(), kind, scope="payments:read")
        assert exchanged.json()["error"] == "invalid_request", "it is no subject token"


# -- identity assertions for another domain ---------------------------------------------------------------------------------


async def test_a_client_takes_its_person_to_another_domain(domains: Domains) -> None:
    answer = await domains.company.exchange(
        "web", await domains.id_token(), ID_TOKEN, requested_token_type=ID_JAG, audience=ELSEWHERE
    )
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["issued_token_type"], body["token_type"], body["scope"]) == (ID_JAG, "N_A", "calendar:read")
    assert "refresh_token" not in body
    claims = await domains.read(body["access_token"], "oauth-id-jag+jwt")
    assert (claims["aud"], claims["client_id"], claims["sub"]) == (ELSEWHERE, "web-at-elsewhere", "alice")
    assert claims["iss"] == ISSUER
    assert claims["exp"] - claims["iat"] <= 300
    assert {"jti", "auth_time", "scope"} <= claims.keys()
    assert "act" not in claims
    assert "sid" not in claims


async def test_what_leads_to_no_identity_assertion(domains: Domains) -> None:
    company, mine = domains.company, await domains.id_token()
    ask = {"requested_token_type": ID_JAG, "audience": ELSEWHERE}
    access = (await domains.grant(domains.assertion(), scope="payments:read")).json()["access_token"]
    for why, answer in {
        "an access token": await company.exchange("web", access, ACCESS_TOKEN, **ask),
        "another client's ID token": await company.exchange("api", mine, ID_TOKEN, **ask),
        "another issuer's ID token": await company.exchange("web", company.signed_in("alice", int(time.time())), ID_TOKEN, **ask),
        "as an access token": await company.exchange("web", mine, ACCESS_TOKEN, **ask),
        "an access token asked for": await company.exchange("web", mine, ID_TOKEN, scope="payments:read"),
    }.items():  # fmt: skip
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request"), why
    api = await company.exchange("web", mine, ID_TOKEN, requested_token_type=ID_JAG, audience=PAYMENTS)
    assert api.json()["error"] == "invalid_target", "an API takes access tokens"
    plain = await company.ask("web", grant_type=GRANT, assertion=domains.assertion(), resource=ELSEWHERE)
    assert plain.json()["error"] == "invalid_target", "a domain takes assertions"
    refused = await company.exchange("web", mine, ID_TOKEN, scope="calendar:write", **ask)
    assert refused.json()["error"] == "invalid_scope", "the rules decide"
    ours = await company.exchange("web", mine, ID_TOKEN, **ask)
    back = await domains.grant(ours.json()["access_token"])
    assert back.json()["error"] == "invalid_grant", "what we issued is no grant here"


@pytest.mark.parametrize("about", ["grant", "session", "subject", "client", "token"])
async def test_an_id_token_outliving_what_it_came_of(domains: Domains, about: str) -> None:
    """Whoever ends a grant ends what its ID token could still have led to at another domain."""
    mine = await domains.id_token()
    said = await domains.read(mine, "JWT")
    ends = {"grant": said["grant_id"], "token": said["jti"]}
    names = ends | {"session": "s1", "subject": "User:alice", "client": "web"}
    await domains.end(about, names[about])
    answer = await domains.company.exchange(
        "web", mine, ID_TOKEN, requested_token_type=ID_JAG, audience=ELSEWHERE, scope="calendar:read"
    )
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request"), answer.text


PURPOSES = '[purposes.refund]\nmeaning = "Refunds"\n[purposes.fun]\nmeaning = "Fun"\n'
FOR_REFUNDS = """
@id("calendar-refunds") @owner("Payments") @reason("for refunds alone")
forbid (principal is User, action == Action::"issue", resource == Scope::"calendar:read")
unless { context.request has purpose && context.request.purpose == "refund" };
"""


async def test_what_a_person_allowed_bounds_where_their_id_token_leads(tmp_path: Path) -> None:
    """Another purpose than the grant's, or none of its limits, is not had by way of another domain."""

    def edit(bundle: Path) -> None:
        head = bundle / "bundle.toml"
        head.write_text(head.read_text() + PURPOSES)

    async with crossing(tmp_path, rules=FOR_REFUNDS, edit=edit) as domains:
        ask = {"requested_token_type": ID_JAG, "audience": ELSEWHERE, "scope": "calendar:read"}

        async def leads(allowed: dict[str, Any], **form: str) -> tuple[int, str]:
            mine = (await domains.tokens(**allowed))["id_token"]
            answer = await domains.company.exchange("web", mine, ID_TOKEN, **ask, **form)
            return answer.status_code, answer.json().get("error", "")

        assert await leads({"purpose": "refund"}) == (200, ""), "what was allowed is what is decided"
        assert await leads({"purpose": "refund"}, purpose="refund") == (200, "")
        assert await leads({"purpose": "refund"}, purpose="fun") == (400, "invalid_request")
        assert await leads({"purpose": "fun"}) == (400, "invalid_scope")
        assert await leads({"purpose": "fun"}, purpose="refund") == (400, "invalid_request")
        for limits in ({"budget": 3}, {"max_depth": 0}):
            assert await leads({"purpose": "refund", **limits}) == (400, "invalid_request")
        for form in ({"budget": "3"}, {"max_depth": "0"}):
            assert await leads({"purpose": "refund"}, **form) == (400, "invalid_request"), "nobody would carry them"
        mine = (await domains.tokens(purpose="refund"))["id_token"]
        async with foundation(load_config(tmp_path / "mintwarden.toml", environ={})) as base:
            grants = memory_of(base).grants
            assert await grants.take((await domains.read(mine, "JWT"))["grant_id"], base.clock.now()) is not None
        answer = await domains.company.exchange("web", mine, ID_TOKEN, **ask)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request"), "nobody knows what was allowed"


# -- transaction tokens ------------------------------------------------------------------------------------------------------


async def transaction(domains: Domains, **form: Any) -> Any:
    person = await domains.grant(domains.assertion(), scope="payments:read")
    ask = {"requested_token_type": TXN_TOKEN, "audience": DOMAIN, "scope": "payment:settle"} | form
    return await domains.company.exchange("api", person.json()["access_token"], ACCESS_TOKEN, **ask)


async def test_a_transaction_carries_what_it_is_about(domains: Domains) -> None:
    answer = await transaction(domains, request_details='{"payment":"p-1"}', request_context='{"ip":"192.0.2.1"}')
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["issued_token_type"], body["token_type"]) == (TXN_TOKEN, "N_A")
    first = await domains.read(body["access_token"], "txntoken+jwt")
    assert (first["aud"], first["sub"], first["scope"]) == (DOMAIN, "partner/ann", "payment:settle")
    assert (first["tctx"], first["rctx"], first["req_wl"]) == ({"payment": "p-1"}, {"ip": "192.0.2.1"}, "api")
    assert first["txn"]
    assert "client_id" not in first
    replaced = await domains.company.exchange(
        "helper", body["access_token"], TXN_TOKEN, requested_token_type=TXN_TOKEN, audience=DOMAIN, scope="payment:settle"
    )  # fmt: skip
    assert replaced.json()["error"] == "invalid_scope", "an agent may not act there"


async def test_a_replacement_keeps_the_transaction_and_never_widens(domains: Domains) -> None:
    company = domains.company
    token = (await transaction(domains, request_details='{"payment":"p-1"}')).json()["access_token"]
    first = await domains.read(token, "txntoken+jwt")
    ask = {"requested_token_type": TXN_TOKEN, "audience": DOMAIN, "scope": "payment:settle"}
    again = await company.exchange("api", token, TXN_TOKEN, **ask)
    assert again.status_code == 200, again.text
    second = await domains.read(again.json()["access_token"], "txntoken+jwt")
    for name in ("txn", "sub", "aud", "tctx", "act"):
        assert second[name] == first[name], name
    assert second["exp"] <= first["exp"]
    wider = await company.exchange("api", token, TXN_TOKEN, **(ask | {"scope": "payment:refund"}))
    assert wider.json()["error"] == "invalid_scope"
    told = await company.exchange("api", token, TXN_TOKEN, request_details='{"payment":"p-2"}', **ask)
    assert told.json()["error"] == "invalid_request", "what it is about is not said again"


async def test_a_transaction_stays_within_the_budget_and_the_depth_of_what_it_came_of(domains: Domains) -> None:
    """They are carried on, and what is taken from one token together is within them, whatever kind it is of."""
    company = domains.company
    ask = {"requested_token_type": TXN_TOKEN, "audience": DOMAIN, "scope": "payment:settle"}

    async def taken(token: str, kind: str, **form: str) -> Any:
        return await company.exchange("api", token, kind, **ask, **form)

    person = await domains.grant(domains.assertion(), scope="payments:read", budget="10", max_depth="1")
    access = person.json()["access_token"]
    token = (await taken(access, ACCESS_TOKEN, budget="6")).json()["access_token"]
    claims = await domains.read(token, "txntoken+jwt")
    assert (claims["budget"], claims["max_depth"]) == (6, 0)
    assert (await taken(access, ACCESS_TOKEN, budget="5")).json()["error"] == "invalid_request", "4 are left"
    assert (await taken(token, TXN_TOKEN, budget="7")).json()["error"] == "invalid_request", "more than it has"
    assert (await taken(token, TXN_TOKEN, max_depth="1")).json()["error"] == "invalid_request"
    again = await taken(token, TXN_TOKEN, budget="4")
    assert (await domains.read(again.json()["access_token"], "txntoken+jwt"))["budget"] == 4
    assert (await taken(token, TXN_TOKEN, budget="3")).json()["error"] == "invalid_request", "2 are left"
    near = await domains.grant(domains.assertion(), scope="payments:read", max_depth="0")
    assert (await taken(near.json()["access_token"], ACCESS_TOKEN)).json()["error"] == "invalid_request"


@pytest.mark.parametrize(
    "form",
    [
        {"scope": ""},
        {"request_details": "[]"},
        {"request_details": '{"a":1,"a":2}'},
        {"request_context": "x"},
        {"request_context": '{"a":"' + "x" * 5000 + '"}'},
    ],
    ids=["no scope", "a list", "a member twice", "no JSON", "too long"],
)
async def test_what_a_transaction_may_not_say(domains: Domains, form: dict[str, str]) -> None:
    answer = await transaction(domains, **form)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request"), answer.text


async def test_a_transaction_token_is_nothing_else(domains: Domains) -> None:
    company, token = domains.company, (await transaction(domains)).json()["access_token"]
    for kind in (ACCESS_TOKEN, "urn:ietf:params:oauth:token-type:jwt", ID_TOKEN):
        answer = await company.exchange("api", token, kind, scope="payments:read")
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    answer = await company.exchange("api", token, TXN_TOKEN, scope="payments:read")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request"), "no access token comes of it"
    told = await company.http.post("/introspect", data={"token": token}, auth=("api", company.secrets["api"]))
    assert told.json() == {"active": False}
    admin = await company.http.get("/admin/v1/keys", headers={"authorization": f"Bearer {token}"})
    assert admin.status_code == 401
    foreign = company.signed_in("alice", int(time.time()))
    answer = await company.exchange(
        "helper", foreign, ID_TOKEN, requested_token_type=TXN_TOKEN, audience=DOMAIN, scope="payment:settle"
    )
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request"), "nobody knows what it may"


@pytest.mark.parametrize("about", ["grant", "session", "token", "subject", "client", "actor", "link"])
async def test_a_transaction_outliving_what_it_came_of(domains: Domains, about: str) -> None:
    """A transaction token is replaced no more once anything of what is behind it has ended."""
    access = (await domains.tokens())["access_token"]
    came_of = await domains.company.claims(access)
    ask = {"requested_token_type": TXN_TOKEN, "audience": DOMAIN, "scope": "payment:settle"}
    answer = await domains.company.exchange("api", access, ACCESS_TOKEN, **ask)
    assert answer.status_code == 200, answer.text
    token = answer.json()["access_token"]
    assert (await domains.company.exchange("api", token, TXN_TOKEN, **ask)).status_code == 200
    names = {
        "grant": came_of["grant_id"],
        "session": came_of["sid"],
        "token": came_of["jti"],
        "subject": "User:alice",
        "client": "api",
        "actor": "Workload:api",
        "link": link_of(EntityUid("User", "alice"), EntityUid("Workload", "api")),
    }
    await domains.end(about, names[about])
    ended = await domains.company.exchange("api", token, TXN_TOKEN, **ask)
    assert (ended.status_code, ended.json()["error"]) == (400, "invalid_request"), ended.text
