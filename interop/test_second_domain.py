"""npm oidc-provider as another trust domain: its grants are taken here, ours are taken there, each by its own code.

It signs with its own keys and judges ours with jose, by what we publish; the person of either side comes to the API of
the other with one assertion, and nothing else of one side is good for anything at the other.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from interop.conftest import free_port
from interop.deployment import Process, claims_of
from mintwarden.authn.fetch import GuardedFetcher
from mintwarden.authn.grants import AssertionGrants
from mintwarden.authn.issuers.keys import FLOOR, KeyFinder
from mintwarden.authn.issuers.verify import TrustedIssuers
from mintwarden.authn.jose import JoseError
from mintwarden.model.catalogue import TrustedIssuer
from tests.flow.browser import Form
from tests.flow.company import ACCESS_TOKEN, EXCHANGE, JWT_TYPE, LEDGER, PAYMENTS
from tests.flow.test_across_domains import (
    CHALLENGE,
    DOMAIN,
    GRANT,
    ID_JAG,
    ID_TOKEN,
    ISSUER,
    TXN_TOKEN,
    VERIFIER,
    Domains,
    crossing,
)

SCRIPT = Path(__file__).parent / "domain.mjs"
KIND = "ERR_JWT_CLAIM_VALIDATION_FAILED typ"
BACK = "https://desk.example.com/back"
SECRET = "the-desk-there"
TRUSTED = """
[issuer]
id = "partner"
issuer = "{issuer}"
audiences = ["{us}"]
principal = "User"
subject_prefix = "partner/"
keys = "discovery"
uses = ["token_exchange", "jwt_bearer", "id_jag"]
"""
FARAWAY = """
[audience]
id = "faraway"
kind = "domain"
identifier = "{issuer}"
description = "Another domain, whose clock is ten minutes ahead"
owner = "Payments"
environments = ["production"]
max_ttl = "5m"
[audience.client_ids]
web = "desk"
[scopes."faraway:read"]
meaning = "Read what is far away"
tier = "low"
default = true
"""
FARAWAY_RULES = """
@id("faraway") @owner("Payments") @reason("staff go far")
permit (principal is User, action == Action::"issue", resource == Scope::"faraway:read");
@id("faraway-through") @owner("Payments") @reason("by the web client")
permit (principal == Workload::"web", action == Action::"act", resource in Audience::"faraway");
"""


def signing_key(kid: str) -> dict[str, Any]:
    return {**ECKey.generate_key("P-256").as_dict(private=True), "kid": kid, "use": "sig", "alg": "ES256"}


class Settings:
    """A domain of theirs: where it is, and its keys of today."""

    def __init__(self, folder: Path, name: str, jwks_uri: str) -> None:
        self.issuer = f"http://127.0.0.1:{(port := free_port())}"
        self.api = f"{self.issuer}/calendar"
        self._file = folder / f"{name}.json"
        shared = {
            "token_endpoint_auth_method": "client_secret_basic",
            "client_secret": SECRET,
            "redirect_uris": [BACK],
            "response_types": ["code"],
            "grant_types": ["authorization_code", EXCHANGE, GRANT],
        }
        self._settings: dict[str, Any] = {
            "issuer": self.issuer,
            "port": port,
            "api": self.api,
            "clients": [{"client_id": name, **shared} for name in ("desk", "counter")],
            "us": {
                "issuer": ISSUER,
                "jwks_uri": jwks_uri,
                "prefix": "mintwarden/",
                "client_ids": {"desk": "web", "counter": "helper"},
            },
        }

    @contextmanager
    def served(self, *keys: dict[str, Any], ahead: int = 0) -> Iterator[None]:
        """The domain running, with these keys; the first one signs. Its clock is `ahead` seconds ahead."""
        self._file.write_text(json.dumps({**self._settings, "keys": keys, "ahead": ahead}))
        process = Process("node", str(SCRIPT), str(self._file), folder=SCRIPT.parent)
        try:
            process.wait_until(lambda: any("ready" in line for line in process.output), "the other domain is ready")
            yield
        finally:
            process.stop()


class There:
    """What clients and people do at the other domain."""

    def __init__(self, settings: Settings, http: httpx2.AsyncClient) -> None:
        self.issuer, self.api = settings.issuer, settings.api
        self._http = http
        self._tokens: dict[str, Any] = {}

    async def sign_in(self, person: str = "ann", client: str = "desk") -> dict[str, Any]:
        """A person's tokens there, by a code that its own pages led to."""
        query = {
            "client_id": client, "redirect_uri": BACK, "response_type": "code", "scope": "openid calendar:read",
            "resource": self.api, "code_challenge": CHALLENGE, "code_challenge_method": "S256", "state": "s",
        }  # fmt: skip
        answer = await self._http.get(f"{self.issuer}/auth", params=query)
        while not (where := answer.headers.get("location", "")).startswith(BACK):
            if where:
                answer = await self._http.get(str(httpx2.URL(self.issuer).join(where)))
                continue
            action = re.search(r'<form[^>]* action="([^"]+)"', answer.text)
            assert action is not None, answer.text
            fields = Form(answer.text).fields | {"login": person, "password": "anything"}
            answer = await self._http.post(action[1], data=fields)
        code = parse_qs(urlsplit(where).query)["code"][0]
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK, "code_verifier": VERIFIER}
        return await self.granted(client, form)

    async def tokens(self) -> dict[str, Any]:
        """Ann's, from one sign-in."""
        self._tokens = self._tokens or await self.sign_in()
        return self._tokens

    async def ask(self, client: str, form: dict[str, str]) -> httpx2.Response:
        return await self._http.post(f"{self.issuer}/token", data=form, auth=(client, SECRET))

    async def granted(self, client: str, form: dict[str, str]) -> dict[str, Any]:
        answer = await self.ask(client, form)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def grant_for(self, audience: str, *, kind: str = JWT_TYPE, scope: str = "payments:read") -> str:
        """What it signs for somebody else: an authorization grant for Ann, who signed in there."""
        subject = (await self.tokens())["access_token"]
        form = {
            "grant_type": EXCHANGE, "subject_token": subject, "subject_token_type": ACCESS_TOKEN,
            "requested_token_type": kind, "audience": audience, "scope": scope,
        }  # fmt: skip
        return str((await self.granted("desk", form))["access_token"])

    async def redeem(self, assertion: str, client: str = "desk", **form: str) -> httpx2.Response:
        return await self.ask(client, {"grant_type": GRANT, "assertion": assertion, **form})

    async def call(self, token: str) -> httpx2.Response:
        return await self._http.get(self.api, headers={"authorization": f"Bearer {token}"})


class Both:
    """The two domains, and one far away."""

    def __init__(self, here: Domains, there: There, far: There) -> None:
        self.here, self.there, self.far = here, there, far

    async def assertion(self, audience: str, **form: str) -> str:
        """What we sign for another domain: an identity assertion of Alice, who signed in here."""
        form = {"requested_token_type": ID_JAG, "audience": audience, **form}
        answer = await self.here.company.exchange("web", await self.here.id_token(), ID_TOKEN, **form)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    async def refused_here(self, assertion: str, client: str = "web", error: str = "invalid_grant", **form: str) -> str:
        answer = await self.here.grant(assertion, client, **{"scope": "payments:read", **form})
        assert (answer.status_code, answer.json().get("error")) == (400, error), answer.text
        return str(answer.json()["error_description"])

    async def refused_there(
        self, assertion: str, why: str, *, client: str = "desk", error: str = "invalid_grant", at: There | None = None
    ) -> None:
        answer = await (at or self.there).redeem(assertion, client)
        said = (answer.status_code, answer.json().get("error"), answer.headers.get("x-why"))
        assert said == (400, error, why), answer.text


Check = Callable[[Both], Awaitable[None]]


# -- from there to here ------------------------------------------------------------------------------------------------


async def their_grant_leads_to_a_token_here(both: Both) -> None:
    grant = await both.there.grant_for(ISSUER)
    answer = await both.here.grant(grant, scope="payments:read")
    assert answer.status_code == 200, answer.text
    claims = await both.here.company.claims(answer.json()["access_token"])
    assert (claims["sub"], claims["aud"], claims["client_id"]) == ("partner/ann", PAYMENTS, "web")
    assert claims["exp"] <= claims_of(grant)["exp"]
    assert "refresh_token" not in answer.json()


async def their_identity_assertion_leads_to_a_token_here(both: Both) -> None:
    answer = await both.here.grant(await both.there.grant_for(ISSUER, kind=ID_JAG))
    assert answer.status_code == 200, answer.text
    assert answer.json()["scope"] == "payments:read"


async def their_token_is_exchanged_here(both: Both) -> None:
    answer = await both.here.company.exchange("helper", await both.there.grant_for(ISSUER), scope="payments:read")
    assert answer.status_code == 200, answer.text
    claims = await both.here.company.claims(answer.json()["access_token"])
    assert (claims["sub"], claims["act"]["sub"]) == ("partner/ann", "helper")


async def their_identity_assertion_bounds_what_is_granted_here(both: Both) -> None:
    grant = await both.there.grant_for(ISSUER, kind=ID_JAG)
    await both.refused_here(grant, error="invalid_scope", scope="payments:write")


async def their_identity_assertion_is_its_client_s_alone_here(both: Both) -> None:
    grant = await both.there.grant_for(ISSUER, kind=ID_JAG)
    await both.refused_here(grant, "operator")


async def their_identity_assertion_is_no_subject_token_here(both: Both) -> None:
    grant = await both.there.grant_for(ISSUER, kind=ID_JAG)
    answer = await both.here.company.exchange("web", grant, scope="payments:read")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request"), answer.text


async def their_grant_counts_once_here(both: Both) -> None:
    grant = await both.there.grant_for(ISSUER)
    assert (await both.here.grant(grant, scope="payments:read")).status_code == 200
    await both.refused_here(grant)


async def their_grant_for_somebody_else_is_none_here(both: Both) -> None:
    await both.refused_here(await both.there.grant_for(both.there.api, scope="calendar:read"))


async def their_access_token_is_no_grant_here(both: Both) -> None:
    await both.refused_here((await both.there.tokens())["access_token"])


async def their_id_token_is_no_grant_here(both: Both) -> None:
    await both.refused_here((await both.there.tokens())["id_token"])


async def their_grant_changed_on_the_way_is_none_here(both: Both) -> None:
    head, _, signature = (await both.there.grant_for(ISSUER)).split(".")
    _, payload, _ = (await both.there.grant_for(ISSUER, scope="payments:read payments:write")).split(".")
    await both.refused_here(f"{head}.{payload}.{signature}")


async def their_grant_signed_by_somebody_else_is_none_here(both: Both) -> None:
    grant = await both.there.grant_for(ISSUER)
    header = {"alg": "ES256", "kid": "k1", "typ": "JWT"}
    await both.refused_here(jwt.encode(header, claims_of(grant), ECKey.generate_key("P-256")))


async def their_person_has_no_more_here_than_the_rules_give(both: Both) -> None:
    """Their server would sign any scope of ours that its client asks for; what comes of it is decided here."""
    grant = await both.there.grant_for(ISSUER, scope="payments:read payments:write")
    answer = await both.here.grant(grant, resource=LEDGER)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_target"), answer.text


# -- from here to there ------------------------------------------------------------------------------------------------


async def our_assertion_leads_to_their_api(both: Both) -> None:
    answer = await both.there.redeem(await both.assertion(both.there.issuer), scope="calendar:read")
    assert answer.status_code == 200, answer.text
    called = await both.there.call(answer.json()["access_token"])
    found = {"sub": "mintwarden/alice", "client_id": "desk", "scope": "calendar:read"}
    assert (called.status_code, called.json()) == (200, found)


async def our_assertion_is_no_token_of_their_api(both: Both) -> None:
    called = await both.there.call(await both.assertion(both.there.issuer))
    assert called.status_code == 401, called.text


async def our_assertion_for_another_domain_is_refused_there(both: Both) -> None:
    await both.refused_there(await both.assertion(both.far.issuer), "ERR_JWT_CLAIM_VALIDATION_FAILED aud")


async def our_assertion_counts_once_there(both: Both) -> None:
    assertion = await both.assertion(both.there.issuer)
    assert (await both.there.redeem(assertion)).status_code == 200
    await both.refused_there(assertion, "it was here before")


async def our_assertion_is_one_client_s_alone_there(both: Both) -> None:
    await both.refused_there(await both.assertion(both.there.issuer), "it is another client's", client="counter")


async def our_assertion_bounds_what_is_granted_there(both: Both) -> None:
    assertion = await both.assertion(both.there.issuer, scope="calendar:read")
    answer = await both.there.redeem(assertion, scope="calendar:write")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope"), answer.text


async def our_assertion_ends_there_when_its_time_is_over(both: Both) -> None:
    """By the clock of a domain that is ten minutes further."""
    await both.refused_there(await both.assertion(both.far.issuer), "ERR_JWT_EXPIRED exp", at=both.far)


async def our_assertion_changed_on_the_way_is_refused_there(both: Both) -> None:
    head, payload, _ = (await both.assertion(both.there.issuer)).split(".")
    signature = (await both.assertion(both.there.issuer)).split(".")[2]
    await both.refused_there(f"{head}.{payload}.{signature}", "ERR_JWS_SIGNATURE_VERIFICATION_FAILED")


async def our_access_token_is_refused_there(both: Both) -> None:
    token = (await both.here.tokens())["access_token"]
    await both.refused_there(token, KIND)
    assert (await both.there.call(token)).status_code == 401


async def our_id_token_is_refused_there(both: Both) -> None:
    await both.refused_there(await both.here.id_token(), KIND)


async def our_transaction_token_is_refused_there(both: Both) -> None:
    access = (await both.here.tokens())["access_token"]
    ask = {"requested_token_type": TXN_TOKEN, "audience": DOMAIN, "scope": "payment:settle"}
    answer = await both.here.company.exchange("api", access, ACCESS_TOKEN, **ask)
    assert answer.status_code == 200, answer.text
    await both.refused_there(answer.json()["access_token"], KIND)


async def our_assertion_leads_nowhere_here(both: Both) -> None:
    await both.refused_here(await both.assertion(both.there.issuer))


CHECKS: tuple[Check, ...] = (
    their_grant_leads_to_a_token_here,
    their_identity_assertion_leads_to_a_token_here,
    their_token_is_exchanged_here,
    their_identity_assertion_bounds_what_is_granted_here,
    their_identity_assertion_is_its_client_s_alone_here,
    their_identity_assertion_is_no_subject_token_here,
    their_grant_counts_once_here,
    their_grant_for_somebody_else_is_none_here,
    their_access_token_is_no_grant_here,
    their_id_token_is_no_grant_here,
    their_grant_changed_on_the_way_is_none_here,
    their_grant_signed_by_somebody_else_is_none_here,
    their_person_has_no_more_here_than_the_rules_give,
    our_assertion_leads_to_their_api,
    our_assertion_is_no_token_of_their_api,
    our_assertion_for_another_domain_is_refused_there,
    our_assertion_counts_once_there,
    our_assertion_is_one_client_s_alone_there,
    our_assertion_bounds_what_is_granted_there,
    our_assertion_ends_there_when_its_time_is_over,
    our_assertion_changed_on_the_way_is_refused_there,
    our_access_token_is_refused_there,
    our_id_token_is_refused_there,
    our_transaction_token_is_refused_there,
    our_assertion_leads_nowhere_here,
)


def furnished(bundle: Path, there: str, far: str) -> None:
    elsewhere = bundle / "audiences/elsewhere.toml"
    text = elsewhere.read_text().replace("https://auth.elsewhere.example", there)
    elsewhere.write_text(text.replace('web = "web-at-elsewhere"', 'web = "desk"'))
    (bundle / "audiences/faraway.toml").write_text(FARAWAY.format(issuer=far))
    (bundle / "issuers/partner.toml").write_text(TRUSTED.format(issuer=there, us=ISSUER))
    for name in ("web", "operator"):
        client = bundle / f"clients/{name}.toml"
        more = 'faraway = "*"\n' if name == "web" else 'payments = "*"\n'
        client.write_text(client.read_text().replace("[client.ceilings]\n", f"[client.ceilings]\n{more}"))
    operator = bundle / "clients/operator.toml"
    operator.write_text(operator.read_text().replace('"client_credentials"', '"client_credentials", "jwt_bearer"'))


async def _results(folder: Path) -> dict[str, str]:
    port = free_port()
    jwks = f"http://127.0.0.1:{port}/jwks.json"
    near, far = Settings(folder, "near", jwks), Settings(folder, "far", jwks)
    found: dict[str, str] = {}
    with near.served(signing_key("k1")), far.served(signing_key("f1"), ahead=600):

        def furnish(bundle: Path) -> None:
            furnished(bundle, near.issuer, far.issuer)

        async with (
            crossing(folder / "ours", rules=FARAWAY_RULES, edit=furnish, port=port) as here,
            httpx2.AsyncClient(timeout=60) as http,
        ):
            both = Both(here, There(near, http), There(far, http))
            for check in CHECKS:
                try:
                    await check(both)
                    found[check.__name__] = ""
                except Exception as error:  # noqa: BLE001 - each check says for itself what was wrong
                    found[check.__name__] = f"{type(error).__name__}: {error}"
    return found


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What was wrong in each check, in one run of the three servers."""
    folder = tmp_path_factory.mktemp("domains")
    (folder / "ours").mkdir()
    return asyncio.run(_results(folder))


@pytest.mark.parametrize("check", [check.__name__ for check in CHECKS])
def test_two_domains(results: dict[str, str], check: str):
    assert results[check] == ""


async def test_their_keys_change_in_the_middle(tmp_path: Path):
    """A new key beside the old one, then alone: each grant is good as long as its key is published, and no longer."""
    domain, first, second, third = (
        Settings(tmp_path, "near", "http://127.0.0.1:9"),
        *map(signing_key, ("k1", "k2", "k3")),
    )
    partner = TrustedIssuer(
        id="partner", issuer=domain.issuer, profile="oidc", keys="discovery", audiences=(ISSUER,), principal="User",
        uses=("jwt_bearer",),
    )  # fmt: skip
    trusted = TrustedIssuers(
        own_issuer=ISSUER,
        issuers={"partner": partner},
        keys=KeyFinder(fetcher=GuardedFetcher(development=True)),
    )
    grants = AssertionGrants(issuer=ISSUER, endpoint=f"{ISSUER}/token", trusted=trusted)
    now = int(time.time() * 1000)

    async def signed() -> str:
        async with httpx2.AsyncClient(timeout=60) as http:
            return await There(domain, http).grant_for(ISSUER)

    async def taken(grant: str, at: int) -> bool:
        try:
            evidence, _ = await grants.verify(grant, "web", at)
        except JoseError:
            return False
        return evidence.principal.id == "ann"

    with domain.served(first):
        old = await signed()
        assert await taken(old, now)
    with domain.served(second, first):
        new = await signed()
        assert not await taken(new, now + 1000), "keys are not fetched for every stranger's token"
        assert await taken(new, now + FLOOR)
        assert await taken(old, now + FLOOR), "both keys are published"
    assert await taken(new, now + FLOOR), "its server is down, its keys are known"
    with domain.served(third):
        newest = await signed()
        assert await taken(newest, now + 2 * FLOOR)
        assert not await taken(new, now + 2 * FLOOR), "its key is withdrawn"
        assert not await taken(old, now + 2 * FLOOR)
