"""Exchanges that name their actor by a token (RFC 8693 sections 2.1 and 4.4), over real HTTP."""

from __future__ import annotations

import contextlib
import socket
import time

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from mintwarden.app.config import load_config
from mintwarden.app.server import serving
from mintwarden.app.wiring import open_service
from tests.flow.company import JWT_TYPE, LOGIN, PAYMENTS, Company, furnish, public, write_company

RUNTIME = "https://agents.example.com"
ISSUER = f"""
[issuer]
id = "runtime"
issuer = "{RUNTIME}"
profile = "oidc"
audiences = ["https://tokens.example.com"]
principal = "Agent"
roles = ["actor"]
keys = "inline"
[[issuer.jwks]]
"""


def now():
    return int(time.time())


class Runtime:
    """The company, and the runtime that speaks for its agents."""

    def __init__(self, company: Company, key: ECKey) -> None:
        self.company = company
        self.key = key

    def agent(self, name, **claims):
        payload = {"iss": RUNTIME, "sub": name, "aud": "https://tokens.example.com", "iat": now(), "exp": now() + 600}
        header = {"alg": "ES256", "kid": "runtime-1", "typ": "JWT"}
        return jwt.encode(header, payload | claims, self.key, algorithms=["ES256"])

    def person(self, **claims):
        return self.company.signed_in("alice", now(), amr=["pwd"], **claims)

    async def exchange(self, subject, actor=None, **form):
        if actor is not None:
            form |= {"actor_token": actor, "actor_token_type": JWT_TYPE}
        return await self.company.exchange("web", subject, resource=PAYMENTS, scope="payments:read", **form)

    async def granted(self, subject, actor=None):
        answer = await self.exchange(subject, actor)
        assert answer.status_code == 200, answer.text
        return await self.company.claims(answer.json()["access_token"])

    async def refused(self, subject, actor=None):
        answer = await self.exchange(subject, actor)
        assert answer.status_code == 400, answer.text
        return answer.json()


@pytest.fixture
async def runtime(tmp_path):
    signer, login, key = (ECKey.generate_key("P-256") for _ in range(3))
    config = write_company(tmp_path, signer, login)
    (tmp_path / "bundle/issuers/runtime.toml").write_text(ISSUER + public(key, "runtime-1") + "\n")
    given = await furnish(config)
    service = await open_service(load_config(config, environ={}))
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(service.close)
        base = await stack.enter_async_context(serving(service.surface, socket.create_server(("127.0.0.1", 0))))
        http = await stack.enter_async_context(httpx2.AsyncClient(base_url=base))
        company = Company(folder=tmp_path, base=base, http=http, secrets=given, signer=signer, login=login)
        yield Runtime(company, key)


async def test_the_actor_of_an_actor_token_stands_in_the_token(runtime):
    claims = await runtime.granted(runtime.person(), runtime.agent("helper"))
    assert (claims["sub"], claims["client_id"]) == ("alice", "web")
    assert claims["act"] == {"sub": "helper", "sub_type": "Agent"}


async def test_the_actor_must_be_permitted_to_act(runtime):
    told = await runtime.refused(runtime.person(), runtime.agent("stranger"))
    assert told["error"] == "invalid_scope"
    assert told["decision"]


async def test_the_token_ends_with_the_actors(runtime):
    ends = now() + 30
    claims = await runtime.granted(runtime.person(), runtime.agent("helper", exp=ends))
    assert claims["exp"] <= ends


async def test_an_actor_token_is_checked_like_a_subjects(runtime):
    for actor in (
        runtime.agent("helper", exp=now() - 120, iat=now() - 240),
        runtime.agent("helper", aud="https://elsewhere.example"),
        runtime.agent("helper", iss="https://evil.example"),
        runtime.agent("helper")[:-6] + "AAAAAA",
        runtime.person(),
    ):
        assert (await runtime.refused(runtime.person(), actor))["error"] == "invalid_request"


async def test_who_may_only_act_is_no_subject(runtime):
    assert (await runtime.refused(runtime.agent("helper")))["error"] == "invalid_request"


async def test_may_act_is_the_word_of_the_subject(runtime):
    helper_only = runtime.person(may_act={"sub": "helper", "sub_type": "Agent", "iss": LOGIN})
    assert (await runtime.granted(helper_only, runtime.agent("helper")))["act"]["sub"] == "helper"
    told = await runtime.refused(helper_only)
    assert (told["error"], "may_act" in told["error_description"]) == ("invalid_request", True)
    nobody_here = runtime.person(may_act={"sub": "helper", "iss": "https://elsewhere.example"})
    assert (await runtime.refused(nobody_here, runtime.agent("helper")))["error"] == "invalid_request"


async def test_half_an_actor_is_refused(runtime):
    for form in ({"actor_token": runtime.agent("helper")}, {"actor_token_type": JWT_TYPE}):
        answer = await runtime.exchange(runtime.person(), **form)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
