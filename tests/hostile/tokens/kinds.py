"""Every kind of token, assertion and proof that is minted or accepted, all of them good, in one running service.

INVARIANT: whatever we do not sign ourselves is signed with one and the same key: nothing but its kind keeps one thing
from passing for another.
"""

from __future__ import annotations

import base64
import contextlib
import json
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import msgspec
from joserfc.jwk import ECKey
from joserfc.jws import JWSRegistry, serialize_compact

from mintwarden.app.config import load_config
from mintwarden.app.foundation import Foundation, foundation
from mintwarden.app.wiring import open_service
from mintwarden.authn.sessions import COOKIE
from mintwarden.authn.spiffe import ASSERTION_TYPE as SVID_TYPE
from mintwarden.feeds.security_events import SESSION_REVOKED
from mintwarden.issue.grants import GRANTS
from mintwarden.mint.statement import StatementKind, sign_statement
from tests.flow import authzen, signals, test_across_domains, test_open_registration, test_spiffe
from tests.flow.authorizing import BACK, Asking, Desk, desk
from tests.flow.browser import PREFIX, Browser, Form
from tests.flow.company import ACCESS_TOKEN, ASSERTION, CLIENT, EXCHANGE, LOGIN, PAYMENTS, public
from tests.flow.feeding import SCOPES
from tests.flow.notified import NotificationEndpoint
from tests.flow.upstream import EVENT, provider_file
from tests.unit.authn.loopback import Loopback, json_answer

ISSUER = "https://tokens.example.com"
PARTNER, PUBLISHER = test_across_domains.PARTNER, test_open_registration.PUBLISHER
ID_TOKEN, ID_JAG, TXN_TOKEN = test_across_domains.ID_TOKEN, test_across_domains.ID_JAG, test_across_domains.TXN_TOKEN
JWT_BEARER = test_across_domains.GRANT
REGISTERED = {"grant_types": ["client_credentials"], "token_endpoint_auth_method": "client_secret_basic"}
"""What a client says of itself that registers itself."""
AFTER = "https://portal.example.com/bye"
KEY = ECKey.generate_key("P-256")
REGISTRY = JWSRegistry(algorithms=["ES256"], strict_check_header=False)
ALL_GRANTS = tuple(grant.name for grant in GRANTS)
PEOPLE = ("alice", "corp/alice", "login/alice", "partner/ann")
RULES = (
    test_across_domains.RULES
    + """
@id("wallet-reads") @owner("Payments") @reason("the wallet reads itself")
permit (principal == Workload::"wallet", action == Action::"issue", resource == Scope::"payments:read");
@id("settler-reads") @owner("Payments") @reason("the settler reads itself")
permit (principal == Workload::"settler", action == Action::"issue", resource == Scope::"payments:read");
@id("app-reads") @owner("Payments") @reason("the application reads itself")
permit (principal == Workload::"app", action == Action::"issue", resource == Scope::"payments:read");
@id("app-acts") @owner("Payments") @reason("the application works for people")
permit (principal == Workload::"app", action == Action::"act", resource in Audience::"payments");
@id("app-acts-elsewhere") @owner("Payments") @reason("and at the other domain")
permit (principal == Workload::"app", action == Action::"act", resource in Audience::"elsewhere");
@id("held") @owner("Payments") @reason("once somebody has looked at it") @require_approval("lead")
permit (principal is User, action == Action::"issue", resource == Scope::"payments:hold");
@id("operator-asks") @owner("Token Governance") @reason("operations ask")
permit (principal == Workload::"operator", action == Action::"issue", resource in Audience::"decision-point");
@id("operator-hears") @owner("Token Governance") @reason("operations hear what ends")
permit (principal == Workload::"operator", action == Action::"issue", resource in Audience::"shared-signals");
"""
)


class World:
    """The company with everything on, one person, and one client `app` that may do whatever a client can."""

    def __init__(self, at: Desk, base: Foundation) -> None:
        self.desk, self.company, self.http = at, at.company, at.company.http
        self.browser = Browser(at.company)
        self.initial = self.registered = self.searcher = self.lister = ""
        self.base = base
        self.notified: NotificationEndpoint | None = None
        self.kept: dict[tuple[str, str], Any] = {}
        """What goes with something that a browser holds, by its kind and by itself."""
        self._read = 0
        self._counts = Counter[str]()

    # -- what is signed elsewhere -----------------------------------------------------------------------------

    def signed(self, header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
        head = {name: value for name, value in {"alg": "ES256", "kid": "one", **header}.items() if value is not None}
        body = {name: value for name, value in claims.items() if value is not None}
        return serialize_compact(head, json.dumps(body).encode(), KEY, registry=REGISTRY)

    def claims(self, issuer: str, **claims: Any) -> dict[str, Any]:
        now = int(time.time())
        usual = {"iss": issuer, "aud": ISSUER, "iat": now, "exp": now + 300, "jti": secrets.token_hex(8)}
        return usual | claims

    # -- what is asked of the service --------------------------------------------------------------------------

    def assertion(self, client: str = "app") -> dict[str, str]:
        made = self.signed({"typ": "JWT"}, self.claims(client, sub=client))
        return {"client_assertion_type": ASSERTION, "client_assertion": made}

    async def token(self, headers: Any = None, *, client: str = "app", **form: Any) -> httpx2.Response:
        """One request to the token endpoint, by `app` unless it proves itself in another way."""
        proven = self.assertion() if client == "app" and "client_assertion" not in form else {}
        return await self.http.post("/token", data=proven | form, headers=headers)

    async def made(self, name: str = "access_token", **form: Any) -> str:
        answer = await self.token(**form)
        assert answer.status_code == 200, answer.text
        return str(answer.json()[name])

    async def statement(self, kind: StatementKind, **claims: Any) -> str:
        """One that the service itself has signed."""
        said = {name: value for name, value in self.claims(ISSUER, **claims).items() if value is not None}
        return await sign_statement(kind, said, self.base.ring.signer_for("ES256"))

    async def code(self, asked: Asking) -> str:
        answer = await self.desk.through(await self.desk.request(asked, self.browser), self.browser)
        found = dict(parse_qsl(urlsplit(answer.headers.get("location", "")).query))
        assert "code" in found, (answer.status_code, found, answer.text[:500])
        return found["code"]

    async def redeemed(self, name: str, **more: str) -> str:
        asked = asking(scope="openid payments:read")
        code = await self.code(asked)
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK} | more
        return await self.made(name, code_verifier=asked.verifier, **form)

    async def counted(self, what: str) -> int:
        """How many tokens were `granted`, or how often something was revoked (`revocation`), by the ledger."""
        while await self.base.store.tree.sequence(1_000):
            pass
        found = await self.base.store.entries.by_index(self._read, 1_000_000)
        self._read += len(found)
        for entry in (msgspec.json.decode(one.entry) for one in found):
            self._counts["granted" if entry["kind"] == "decision" and entry["granted"] else entry["kind"]] += 1
        return self._counts[what]


def asking(**parameters: str) -> Asking:
    return Asking("app", BACK, **parameters)


# -- the kinds -------------------------------------------------------------------------------------------------------


async def access_token(world: World) -> str:
    return await world.made(grant_type="client_credentials", scope="payments:read")


async def person_token(world: World) -> str:
    assertion = world.signed({"typ": "JWT"}, world.claims(PARTNER, sub="ann"))
    return await world.made(grant_type=JWT_BEARER, assertion=assertion, scope="payments:read")


async def operators(world: World, scope: str) -> str:
    return await world.company.token("operator", grant_type="client_credentials", scope=scope)


async def own_id_jag(world: World) -> str:
    subject = await world.redeemed("id_token")
    return await world.made(
        grant_type=EXCHANGE, subject_token=subject, subject_token_type=ID_TOKEN, requested_token_type=ID_JAG,
        audience=test_across_domains.ELSEWHERE,
    )  # fmt: skip


async def txn_token(world: World) -> str:
    return await world.made(
        grant_type=EXCHANGE, subject_token=await person_token(world), subject_token_type=ACCESS_TOKEN,
        requested_token_type=TXN_TOKEN, audience=test_across_domains.DOMAIN, scope="payment:settle",
    )  # fmt: skip


async def authorization_code(world: World) -> str:
    return await world.code(VERIFIED)


async def device_code(world: World, scope: str = "openid payments:read") -> str:
    form = world.assertion() | {"scope": scope}
    said = (await world.http.post("/device_authorization", data=form)).json()
    page = await world.desk.through(await world.browser.get("/device"), world.browser)
    page = await world.browser.post("/device", Form(page.text).fields | {"user_code": said["user_code"]})
    await allowed(world, page)
    return str(said["device_code"])


async def asked_out_of_band(world: World, scope: str = "openid payments:read", **hint: str) -> httpx2.Response:
    form = {"scope": scope, **(hint or {"login_hint": "corp/alice"})}
    return await world.http.post("/bc-authorize", data=world.assertion() | form)


async def auth_req_id(world: World, scope: str = "openid payments:read") -> str:
    said = (await asked_out_of_band(world, scope)).json()
    query = {"r": said["auth_req_id"].partition(".")[0]}
    await allowed(world, await world.desk.through(await world.browser.get("/approvals", query), world.browser))
    return str(said["auth_req_id"])


async def allowed(world: World, page: httpx2.Response) -> None:
    fields = Form(page.text).fields
    sent = {"r": fields["r"], "seen": fields["seen"], "csrf": fields["csrf"], "decision": "allow"}
    assert (await world.browser.post("/approvals/decide", sent)).status_code == 200


async def pushed(world: World) -> str:
    answer = await world.http.post("/par", data=asking().parameters | world.assertion())
    assert answer.status_code == 201, answer.text
    return str(answer.json()["request_uri"])


async def signed_introspection(world: World) -> str:
    form = {"token": await access_token(world)} | world.assertion()
    answer = await world.http.post(
        "/introspect", data=form, headers={"accept": "application/token-introspection+jwt"}
    )  # fmt: skip
    assert answer.headers["content-type"].startswith("application/token-introspection+jwt"), answer.text
    return answer.text


async def signed_response(world: World) -> str:
    asked = asking(response_mode="jwt", prompt="none", max_age="0")
    answer = await world.browser.get("/authorize", asked.parameters)
    return dict(parse_qsl(urlsplit(answer.headers["location"]).query))["response"]


async def status_list(world: World) -> str:
    token = await access_token(world)
    uri = payload(token)["status"]["status_list"]["uri"]
    return (await world.http.get(uri.removeprefix(ISSUER), headers={"accept": "application/statuslist+jwt"})).text


async def user_info(world: World) -> str:
    token = await world.redeemed("access_token", resource=ISSUER)
    answer = await world.http.get("/userinfo", headers={"Authorization": f"Bearer {token}"})
    assert answer.headers["content-type"].startswith("application/jwt"), answer.text
    return answer.text


async def request_object(world: World) -> str:
    said = asking().parameters
    return world.signed({"typ": "oauth-authz-req+jwt"}, world.claims("app", nbf=int(time.time()), **said))


async def signed_question(world: World) -> str:
    said = {"scope": "openid payments:read", "login_hint": "corp/alice", "nbf": int(time.time())}
    return world.signed({"typ": "JWT"}, world.claims("app", **said))


async def dpop_proof(world: World, url: str = f"{ISSUER}/token", **claims: Any) -> str:
    """With the nonce of now, where nonces are wanted."""
    fresh = {"nonce": nonce} if (nonce := await dpop_nonce(world)) else {}
    body = {"jti": secrets.token_hex(8), "htm": "POST", "htu": url, "iat": int(time.time())} | fresh | claims
    return world.signed({"typ": "dpop+jwt", "jwk": KEY.as_dict(private=False), "kid": None}, body)


async def attestation(world: World) -> str:
    said = world.claims("wallet", sub="wallet", cnf={"jwk": KEY.as_dict(private=False)})
    return world.signed({"typ": "oauth-client-attestation+jwt"}, said)


async def attestation_proof(world: World, **claims: Any) -> str:
    said = world.claims("wallet", iss=None, exp=None, **claims)
    return world.signed({"typ": "oauth-client-attestation-pop+jwt"}, said)


async def registration(world: World) -> str:
    headers = {"Authorization": f"Bearer {world.initial}"}
    answer = await world.http.post("/register", json=REGISTERED, headers=headers)
    assert answer.status_code == 201, answer.text
    world.registered = f"/register/{answer.json()['client_id']}"
    return str(answer.json()["registration_access_token"])


async def session(world: World) -> str:
    """The cookie of somebody who is signed in, in a browser that nothing else is tried with."""
    browser = Browser(world.company)
    await world.desk.through(await world.desk.request(asking(), browser), browser)
    return browser.cookies[PREFIX + COOKIE]


async def user_code(world: World) -> str:
    form = world.assertion() | {"scope": "openid payments:read"}
    return str((await world.http.post("/device_authorization", data=form)).json()["user_code"])


async def dpop_nonce(world: World) -> str:
    """Empty where none is wanted."""
    return str((await world.http.post("/challenge")).headers.get("dpop-nonce", ""))


async def interaction(world: World) -> str:
    """What a browser begins that nobody is signed in with: its handle, from the address of the page."""
    sent = await Browser(world.company).get("/authorize", asking().parameters)
    return dict(parse_qsl(urlsplit(sent.headers["location"]).query))["i"]


async def listed(world: World, **page: str) -> httpx2.Response:
    """What somebody allowed, a grant at a time."""
    world.lister = world.lister or await operators(world, "mintwarden:tokens.revoke")
    query = {"subject": "User:corp/alice", "limit": "1"} | page
    return await world.http.get("/admin/v1/grants", params=query, headers={"Authorization": f"Bearer {world.lister}"})


async def page_of_grants(world: World) -> str:
    for _ in range(2):
        await world.redeemed("refresh_token")
    answer = await listed(world)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["cursor"])


async def challenge(world: World) -> str:
    return str((await world.http.post("/challenge")).json()["attestation_challenge"])


async def searched(world: World, **page: Any) -> httpx2.Response:
    """Who may read payments, a page at a time."""
    asked = {
        "subject": {"type": "user"},
        "action": {"name": "payments:read"},
        "resource": {"type": "audience", "id": PAYMENTS},
        "page": {"limit": 1, **page},
    }
    world.searcher = world.searcher or await operators(world, "authzen:search")
    headers = {"Authorization": f"Bearer {world.searcher}"}
    return await world.http.post("/access/v1/search/subject", json=asked, headers=headers)


async def page_of_a_search(world: World) -> str:
    answer = await searched(world)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["page"]["next_token"])


def of_ours(kind: StatementKind, **claims: Any) -> Callable[[World], Awaitable[str]]:
    async def make(world: World) -> str:
        return await world.statement(kind, **claims)

    return make


def from_elsewhere(issuer: str, typ: str = "JWT", **claims: Any) -> Callable[[World], Awaitable[str]]:
    async def make(world: World) -> str:
        named = world.desk.corp.issuer if issuer == "corp" else issuer
        return world.signed({"typ": typ}, world.claims(named, **claims))

    return make


ALICE = {"format": "iss_sub", "iss": ISSUER, "sub": "corp/alice"}
VERIFIED = asking(scope="openid payments:read")
"""What authorization codes are asked for with, so that whoever has one can redeem it."""

KINDS: Mapping[str, Callable[[World], Awaitable[str]]] = {
    "access token": access_token,
    "access token about a person": person_token,
    "access token for administration": lambda world: operators(world, "mintwarden:keys.read"),
    "access token for SCIM": lambda world: operators(world, "mintwarden:scim.read"),
    "access token for registering": lambda world: operators(world, "mintwarden:clients.register"),
    "access token for the decision point": lambda world: operators(world, "authzen:evaluate"),
    "access token for receivers": lambda world: operators(world, "ssf.read"),
    "access token after a sign-in": lambda world: world.redeemed("access_token"),
    "access token for user info": lambda world: world.redeemed("access_token", resource=ISSUER),
    "ID token": lambda world: world.redeemed("id_token"),
    "refresh token": lambda world: world.redeemed("refresh_token"),
    "authorization code": authorization_code,
    "device code": device_code,
    "request out of band": auth_req_id,
    "identity assertion of ours": own_id_jag,
    "transaction token": txn_token,
    "pushed request": pushed,
    "signed introspection": signed_introspection,
    "signed authorization response": signed_response,
    "signed user info": user_info,
    "status list": status_list,
    "logout token of ours": of_ours("logout", aud="app", sub="corp/alice", events={EVENT: {}}),
    "security event of ours": of_ours("security_event", aud="app", exp=None, sub_id=ALICE, events={SESSION_REVOKED: {}}),
    "client assertion of ours": of_ours("client_authentication", sub=ISSUER, aud="https://login.corp.example"),
    "client assertion": from_elsewhere("app", sub="app"),
    "typed client assertion": from_elsewhere("app", "client-authentication+jwt", sub="app"),
    "request object": request_object,
    "signed question": signed_question,
    "DPoP proof": dpop_proof,
    "JWT-SVID": from_elsewhere(test_spiffe.DOMAIN, sub=f"{test_spiffe.DOMAIN}/pay/settler"),
    "client attestation": attestation,
    "attestation proof": attestation_proof,
    "registration access token": registration,
    "software statement": from_elsewhere(PUBLISHER, software_id="s", client_name="Made itself"),
    "assertion of a partner": from_elsewhere(PARTNER, sub="ann"),
    "identity assertion of a partner": from_elsewhere(
        PARTNER, "oauth-id-jag+jwt", sub="ann", client_id="app", scope="payments:read", resource=PAYMENTS
    ),
    "login hint of a partner": from_elsewhere(PARTNER, "login-hint+jwt", sub="ann"),
    "ID token of a trusted issuer": from_elsewhere(LOGIN, sub="alice", email_verified=True),
    "logout token of the provider": from_elsewhere("corp", "logout+jwt", sub="alice", aud="mintwarden", events={EVENT: {}}),
    "security event": from_elsewhere("corp", "secevent+jwt", sub_id={"format": "opaque", "id": "x"}, exp=None,
                                     events={SESSION_REVOKED: {}}),
    "client secret": lambda world: _text(world.company.secrets["web"]),
    "session": session,
    "user code": user_code,
    "attestation challenge": challenge,
    "DPoP nonce": dpop_nonce,
    "page of a search": page_of_a_search,
    "page of grants": page_of_grants,
    "interaction": interaction,
}  # fmt: skip
"""Each by how to get a fresh one."""


async def _text(text: str) -> str:
    return text


# -- the company -----------------------------------------------------------------------------------------------------

HELD = '[scopes."payments:hold"]\nmeaning = "Hold payments back"\ntier = "high"\n'
APPROVED = """
[sources.approved]
kind = "approvals"
about = ["User", ]
description = "What somebody in finance looked at"
[sources.approved.approvers.lead]
meaning = "I looked at what is to be held back"
groups = ["finance"]
lasts = "10m"
"""

FED = """
[sources.people]
kind = "store"
about = ["User"]
missing = "absent"
[sources.people.facts]
title = { type = "string", optional = true }
[sources.people.scim.facts]
title = "title"
"""

TABLE = test_open_registration.table(
    to="initial_access_token",
    more=f'[[open_registration.publishers]]\nissuer = "{PUBLISHER}"\n[[open_registration.publishers.keys]]\n'
    f"{public(KEY, 'one')}",
)


def _client(bundle: Path, name: str, method: str, grants: tuple[str, ...], ceilings: str, more: str, tail: str) -> None:
    text = CLIENT.format(
        id=name, kind="web", method=method, grants=", ".join(f'"{grant}"' for grant in grants), ceilings=ceilings, more=more
    )  # fmt: skip
    (bundle / "clients" / f"{name}.toml").write_text(text + tail)


def furnish(bundle: Path, corp: str) -> None:
    """Everything on."""
    for name, text in test_across_domains.AUDIENCES.items():
        if name != "identity":
            (bundle / "audiences" / f"{name}.toml").write_text(text.replace('web = "web-at-elsewhere"', 'app = "app"'))
    (bundle / "audiences/decision-point.toml").write_text(authzen.AUDIENCES["decision-point"])
    for file, old, new in (
        ("payments", 'carries = ["ledger:read"]', 'carries = ["ledger:read", "payment:settle", "payments:hold"]'),
        ("payments", "disclose", "status_list = true\ndisclose"),
        ("payments", '[scopes."payments:write"]', f'{HELD}[scopes."payments:write"]'),
        ("mintwarden", '[scopes."mintwarden:keys.read"]', f'{test_open_registration.REGISTER_SCOPE}[scopes."mintwarden:keys.read"]'),
    ):  # fmt: skip
        path = bundle / "audiences" / f"{file}.toml"
        path.write_text(path.read_text().replace(old, new, 1))
    sources = bundle / "sources.toml"
    sources.write_text(sources.read_text() + APPROVED + FED)
    audience = bundle / "audiences/mintwarden.toml"
    audience.write_text(audience.read_text() + SCOPES)
    trusted = f"[[issuer.jwks]]\n{public(KEY, 'one')}\n"
    (bundle / "issuers/login.toml").write_text(
        f'[issuer]\nid = "login"\nissuer = "{LOGIN}"\nprofile = "oidc"\naudiences = ["{ISSUER}"]\nprincipal = "User"\n'
        f'subject_prefix = "login/"\nkeys = "inline"\nconditions = ["claims.email_verified == true"]\n{trusted}'
    )
    (bundle / "issuers/partner.toml").write_text(
        f'[issuer]\nid = "partner"\nissuer = "{PARTNER}"\naudiences = ["{ISSUER}"]\nprincipal = "User"\n'
        f'subject_prefix = "partner/"\nkeys = "inline"\nuses = ["jwt_bearer", "id_jag", "login_hint"]\n{trusted}'
    )
    (bundle / "issuers/mesh.toml").write_text(test_spiffe.ISSUER)
    provider = bundle / "providers/corp.toml"
    provider.write_text(provider_file(corp, subject_prefix="corp/"))
    (bundle / "transmitters").mkdir()
    (bundle / "transmitters/corp.toml").write_text(
        f'[transmitter]\nid = "corp"\nissuer = "{corp}"\naudiences = ["{ISSUER}"]\nevents = ["session-revoked"]\n'
        f'speaks_of = ["user", "session"]\nprovider = "corp"\njwks_uri = "{corp}/jwks"\n'
    )
    key = f"[[client.keys]]\n{public(KEY, 'one')}\n"
    ceilings = 'identity = "*"\npayments = "*"\nledger = "*"\nelsewhere = "*"\nmesh = "*"'
    _client(
        bundle, "app", "private_key_jwt", ALL_GRANTS, ceilings, f'redirect_uris = ["{BACK}"]\npost_logout_redirect_uris = ["{AFTER}"]\nserves = ["payments"]',
        f'[client.authorization]\nconsent = "implicit"\nuserinfo_algorithm = "ES256"\n{key}',
    )  # fmt: skip
    own, reads = ("client_credentials",), 'payments = "*"'
    _client(bundle, "settler", "spiffe_jwt", own, reads, f'spiffe_id = "{test_spiffe.DOMAIN}/pay/settler"', "")
    attester = f"[[client.attester_keys]]\n{public(KEY, 'one')}\n"
    _client(bundle, "wallet", 'attest_jwt_client_auth", "attest_jwt_client_auth_dpop', own, reads, "", attester)
    web = bundle / "clients/web.toml"
    web.write_text(web.read_text().replace('"client_secret_basic"', '"client_secret_basic", "client_secret_post"', 1))
    operator = bundle / "clients/operator.toml"
    operator.write_text(operator.read_text() + 'decision-point = "*"\nshared-signals = "*"\n')
    (bundle / "audiences/shared-signals.toml").write_text(signals.AUDIENCE.format(algorithm="ES256"))


@contextlib.asynccontextmanager
async def world(
    folder: Path,
    *,
    rules: str = "",
    edit: Callable[[Path], None] = lambda _bundle: None,
    server: str = "",
    config: str = "",
) -> AsyncIterator[World]:
    """All of it, running; with more rules, with the bundle edited at last, and with more configuration."""
    keys = [{"use": "jwt-svid", "kid": "one", **KEY.as_dict(private=False)}]
    async with Loopback({"/mesh.json": json_answer({"keys": keys, "spiffe_sequence": 1})}) as mesh:
        held: dict[str, str] = {}

        def write(bundle: Path) -> None:
            text = (bundle / "providers/corp.toml").read_text()
            held["corp"] = next(line for line in text.splitlines() if line.startswith("issuer")).split('"')[1]
            furnish(bundle, held["corp"])
            edit(bundle)

        more = f'\n[trusted_issuers."{test_spiffe.DOMAIN}"]\njwks_uri = "{mesh.url}/mesh.json"\n{config}'
        async with desk(
            folder, rules=RULES + rules, edit=write, people=PEOPLE, registration=TABLE, config=more, server=server
        ) as at:
            at.corp.keys = {"one": KEY}
            at.corp.signing = "one"
            async with foundation(load_config(at.company.folder / "mintwarden.toml", environ={})) as base:
                yield World(msgspec.structs.replace(at, chooses=True), base)


@contextlib.asynccontextmanager
async def another_node(here: World) -> AsyncIterator[World]:
    """The same world at another node, which starts now; the one browser's cookies count at both."""
    other = await open_service(load_config(here.company.folder / "mintwarden.toml", environ={}))
    try:
        transport = httpx2.ASGITransport(app=other.surface)
        async with httpx2.AsyncClient(transport=transport, base_url="http://there") as http:
            company = msgspec.structs.replace(here.company, http=http)
            there = World(msgspec.structs.replace(here.desk, company=company), here.base)
            there.initial = here.initial
            there.browser.cookies = here.browser.cookies
            yield there
    finally:
        await other.close()


def payload(token: str) -> dict[str, Any]:
    """The claims of a JWT, unverified."""
    return dict(json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "==")))


__all__ = ["KINDS", "SVID_TYPE", "VERIFIED", "World", "asking", "payload", "world"]
