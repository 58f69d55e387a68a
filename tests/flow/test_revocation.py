"""Everything that tokens are revoked by, over real HTTP: by their client, by an operator, over the administration API."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest

from mintwarden.app.config import load_config
from mintwarden.app.erasing import erase_subject
from mintwarden.app.foundation import foundation
from mintwarden.app.memory import memory_of
from mintwarden.authn.ports import Revocation
from mintwarden.authn.sign_in import SignIn
from mintwarden.issue.granted import Granted, Renewal
from mintwarden.model.token import MAX_LINEAGE
from mintwarden.model.values import EntityUid
from tests.flow.company import ACCESS_TOKEN, LEDGER, PAYMENTS, Company, running
from tests.flow.governed import activated, change, with_people
from tests.flow.test_admin_clients import fresh
from tests.flow.test_tokens_that_exist import NOTHING, OWN, SIGNED, post, revoke, told


@pytest.fixture
async def governed(tmp_path: Path) -> AsyncIterator[Company]:
    async with running(tmp_path, edit=with_people) as company:
        yield company


async def chain(company: Company) -> list[str]:
    """Three tokens about Alice, each made of the one before: the agent's, the API's, and another of the API's."""
    person = company.signed_in("alice", int(time.time()))
    first = await company.exchange("helper", person, scope="payments:read", resource=PAYMENTS)
    tokens = [str(first.json()["access_token"])]
    for _ in range(2):
        made = await company.exchange("api", tokens[-1], ACCESS_TOKEN, resource=LEDGER)
        assert made.status_code == 200, made.text
        tokens.append(str(made.json()["access_token"]))
    return tokens


def claims(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))))


async def live(company: Company, tokens: list[str]) -> list[bool]:
    return [(await told(company, "api", token)) != NOTHING for token in tokens]


async def test_a_token_says_what_it_came_of_the_nearest_first(company: Company) -> None:
    tokens = await chain(company)
    ids = [claims(token)["jti"] for token in tokens]
    assert [claims(token).get("lineage") for token in tokens] == [None, ids[:1], [ids[1], ids[0]]]
    assert (await told(company, "api", tokens[2]))["lineage"] == [ids[1], ids[0]]


@pytest.mark.parametrize("ended", [0, 1, 2])
async def test_with_one_link_ends_what_hangs_below_it(company: Company, ended: int) -> None:
    tokens = await chain(company)
    assert await live(company, tokens) == [True, True, True]
    assert await revoke(company, tokens[ended], "--reason", "this one was stolen") == 0
    assert await live(company, tokens) == [number < ended for number in range(3)]
    refused = await company.exchange("api", tokens[2], ACCESS_TOKEN, resource=LEDGER)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("ended", [0, 1])
async def test_a_link_that_was_revoked_by_a_clock_that_is_behind_ends_what_hangs_below_it(
    company: Company, ended: int
) -> None:
    """What was under way meanwhile, or comes from a node whose clock is ahead, bears a later date than its end."""
    tokens = await chain(company)
    async with foundation(load_config(company.folder / "mintwarden.toml", environ={})) as base:
        at = claims(tokens[0])["iat"] * 1000 - 30_000
        row = Revocation(about="token", value=claims(tokens[ended])["jti"], before=at, until=at + 3_600_000)
        await base.store.revocations.revoke([row])
    assert await live(company, tokens) == [number < ended for number in range(3)]
    refused = await company.exchange("api", tokens[2], ACCESS_TOKEN, resource=LEDGER)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")


async def test_a_client_that_gives_its_token_back_ends_what_came_of_it(company: Company) -> None:
    tokens = await chain(company)
    assert (await post(company, "/revoke", "helper", token=tokens[0])).status_code == 200
    assert await live(company, tokens) == [False, False, False]


async def test_a_token_of_another_issuer_is_none_of_ours(company: Company) -> None:
    person = company.signed_in("alice", int(time.time()))
    subject = (await company.exchange("helper", person, resource=PAYMENTS, scope="payments:read")).json()
    assert "lineage" not in claims(subject["access_token"])


async def test_a_token_that_came_of_too_many_is_exchanged_no_further(company: Company) -> None:
    """Cut short, its lineage would miss the link that somebody ends."""
    token = (await chain(company))[0]
    for _ in range(MAX_LINEAGE):
        made = await company.exchange("api", token, ACCESS_TOKEN, resource=LEDGER)
        assert made.status_code == 200, made.text
        token = made.json()["access_token"]
    assert len(claims(token)["lineage"]) == MAX_LINEAGE
    refused = await company.exchange("api", token, ACCESS_TOKEN, resource=LEDGER)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")
    assert "too many" in refused.json()["error_description"]


async def test_what_an_actor_does_for_one_subject(company: Company) -> None:
    alices = await chain(company)
    batch = await company.token("batch", **OWN)
    assert await revoke(company, "--subject", "User:alice", "--actor", "Workload:api", "--reason", "not for her") == 0
    assert await live(company, alices) == [True, False, False], "what hangs above that link stays"
    assert await live(company, [batch]) == [True]
    assert await revoke(company, "--subject", "User:bob", "--actor", "Agent:helper", "--reason", "not for him") == 0
    assert await live(company, alices[:1]) == [True]


async def test_with_a_client_ends_what_others_made_of_its_tokens(company: Company) -> None:
    tokens = await chain(company)
    person = company.signed_in("alice", int(time.time()))
    own = str((await company.exchange("api", person, scope="ledger:read", resource=LEDGER)).json()["access_token"])
    assert await live(company, [*tokens, own]) == [True] * 4
    assert await revoke(company, "--client", "helper", "--reason", "its host was taken over") == 0
    assert await live(company, [*tokens, own]) == [False, False, False, True]
    refused = await company.exchange("api", tokens[1], ACCESS_TOKEN, resource=LEDGER)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")


def kid_of(token: str) -> str:
    head = token.split(".", maxsplit=1)[0]
    return str(json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"])


@pytest.fixture
async def two_keys(tmp_path: Path) -> AsyncIterator[Company]:
    """The ledger's tokens are signed by another key than those of payments."""

    def edit(bundle: Path) -> None:
        change(bundle, "audiences/ledger.toml", "default_ttl", 'algorithm = "EdDSA"\ndefault_ttl')

    async with running(tmp_path, edit=edit) as company:
        yield company


async def test_with_a_key_ends_what_was_made_of_what_it_signed(two_keys: Company) -> None:
    tokens = await chain(two_keys)
    person = two_keys.signed_in("alice", int(time.time()))
    other = await two_keys.exchange("api", person, scope="ledger:read", resource=LEDGER)
    own = str(other.json()["access_token"])
    assert [kid_of(token) == kid_of(own) for token in tokens] == [False, True, True]
    assert await live(two_keys, [*tokens, own]) == [True] * 4
    assert await revoke(two_keys, "--key", kid_of(tokens[0]), "--reason", "it leaked") == 0
    assert await live(two_keys, [*tokens, own]) == [False, False, False, True]


async def test_with_a_version_ends_what_was_made_of_its_tokens_under_a_later_one(governed: Company) -> None:
    bundle, config = governed.folder / "bundle", governed.folder / "mintwarden.toml"
    change(bundle, "audiences/payments.toml", 'description = "Payments"', 'description = "Payments!"')
    first = (await activated(config, bundle)).digest
    person = governed.signed_in("alice", int(time.time()))
    made = await governed.exchange("helper", person, scope="payments:read", resource=PAYMENTS)
    tokens = [str(made.json()["access_token"])]
    change(bundle, "audiences/payments.toml", 'description = "Payments!"', 'description = "Payments."')
    await activated(config, bundle)
    for _ in range(2):
        made = await governed.exchange("api", tokens[-1], ACCESS_TOKEN, resource=LEDGER)
        tokens.append(str(made.json()["access_token"]))
    made = await governed.exchange("helper", person, scope="payments:read", resource=PAYMENTS)
    new = str(
        (await governed.exchange("api", made.json()["access_token"], ACCESS_TOKEN, resource=LEDGER)).json()[
            "access_token"
        ]
    )
    assert await live(governed, [*tokens, new]) == [True] * 4
    assert await revoke(governed, "--bundle", first, "--reason", "a rule of it was wrong") == 0
    assert await live(governed, [*tokens, new]) == [False, False, False, True]


async def test_what_came_of_tokens_of_which_nobody_knows_any_more_is_not_good(company: Company) -> None:
    tokens = await chain(company)
    async with foundation(load_config(company.folder / "mintwarden.toml", environ={})) as base:
        await base.store.revocations.revoke(
            [Revocation(about="chain", value="*", before=base.clock.now(), until=base.clock.now() + 60_000)]
        )
        assert await live(company, tokens) == [True, True, True], "none of them was revoked"
        await erase_subject(base, EntityUid("User", "alice"), EntityUid("Workload", "operator"), "SEC-1")
    assert await live(company, tokens[1:]) == [False, False]


async def test_a_signing_key_and_every_token_that_it_signed(company: Company) -> None:
    token = await company.token("batch", **OWN)
    keys = (await company.http.get("/jwks.json")).json()["keys"]
    head = token.split(".")[0]
    kid = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"]
    assert await revoke(company, "--key", kid, "--reason", "it leaked") == 0
    assert await told(company, "api", token) == NOTHING
    assert kid not in {key["kid"] for key in (await company.http.get("/jwks.json")).json()["keys"]}
    assert kid in {key["kid"] for key in keys}
    assert await told(company, "api", await company.token("batch", **OWN)) != NOTHING, "another key took over"
    assert await revoke(company, "--key", kid, "--reason", "again") == 2
    assert await revoke(company, "--key", "unknown", "--reason", "there is none") == 2


async def test_every_token_of_a_version(governed: Company) -> None:
    bundle, config = governed.folder / "bundle", governed.folder / "mintwarden.toml"
    change(bundle, "audiences/payments.toml", 'description = "Payments"', 'description = "Payments!"')
    first = (await activated(config, bundle)).digest
    old = await governed.token("batch", **OWN)
    change(bundle, "audiences/payments.toml", 'description = "Payments!"', 'description = "Payments."')
    await activated(config, bundle)
    new = await governed.token("batch", **OWN)
    assert await revoke(governed, "--bundle", first, "--reason", "a rule of it was wrong") == 0
    assert await live(governed, [old, new]) == [False, True]
    assert await revoke(governed, "--bundle", "sha256:1", "--reason", "no digest") == 2


@pytest.mark.parametrize("hint", ["refresh_token", "access_token", "id_token", "no such thing", "x" * 500])
async def test_a_hint_is_not_needed_and_ignored(company: Company, hint: str) -> None:
    token = await company.token("batch", **OWN)
    assert (await post(company, "/revoke", "batch", token=token, token_type_hint=hint)).status_code == 200
    assert await told(company, "api", token) == NOTHING


async def test_what_is_ours_and_no_token_cannot_be_revoked(company: Company) -> None:
    auth = ("api", company.secrets["api"])
    answer = await company.http.post("/introspect", data={"token": "x"}, auth=auth, headers={"Accept": SIGNED})
    refused = await post(company, "/revoke", "api", token=answer.text)
    assert (refused.status_code, refused.json()["error"]) == (400, "unsupported_token_type")
    forged = answer.text[:-4] + "AAAA"
    assert (await post(company, "/revoke", "api", token=forged)).status_code == 200, "it is not ours"
    person = company.signed_in("alice", int(time.time()))
    assert (await post(company, "/revoke", "api", token=person)).status_code == 200


async def asked(company: Company, scopes: str, **body: Any) -> httpx2.Response:
    form = {"grant_type": "client_credentials", "scope": scopes}
    headers = {"authorization": f"Bearer {await company.token('operator', **form)}", **fresh()}
    return await company.http.post("/admin/v1/revocations", json=body, headers=headers)


async def test_over_the_administration_api(company: Company) -> None:
    tokens = await chain(company)
    jti = claims(tokens[1])["jti"]
    made = await asked(company, "mintwarden:tokens.revoke", token=jti, reason="found in a log")
    assert (made.status_code, made.json()["about"]) == (200, "token"), made.text
    assert await live(company, tokens) == [True, False, False]
    link = await asked(
        company, "mintwarden:tokens.revoke", subject="User:alice", actor="Agent:helper", reason="it misbehaves"
    )
    assert (link.status_code, link.json()["about"]) == (200, "link")
    assert await live(company, tokens) == [False, False, False]
    async with foundation(load_config(company.folder / "mintwarden.toml", environ={})) as base:
        entries = [json.loads(one.entry) for one in await base.store.entries.by_index(0, 1000)]
    kept = [entry["detail"] for entry in entries if entry["kind"] == "revocation"]
    assert kept == [{"about": "token", "token": jti}, {"about": "link"}], "who it is about is sealed"


@pytest.mark.parametrize(
    ("scopes", "body", "status"),
    [
        ("mintwarden:clients.write", {"client": "batch", "reason": "r"}, 403),
        ("mintwarden:tokens.revoke", {"key": "k", "reason": "r"}, 403),
        ("mintwarden:tokens.revoke mintwarden:keys.manage", {"key": "k", "reason": "r"}, 404),
        ("mintwarden:tokens.revoke", {"client": "batch"}, 400),
        ("mintwarden:tokens.revoke", {"client": "batch", "reason": " "}, 400),
        ("mintwarden:tokens.revoke", {"reason": "r"}, 400),
        ("mintwarden:tokens.revoke", {"client": "batch", "subject": "User:alice", "reason": "r"}, 400),
        ("mintwarden:tokens.revoke", {"subject": "alice", "reason": "r"}, 400),
        ("mintwarden:tokens.revoke", {"subject": "alice", "actor": "Agent:x", "reason": "r"}, 400),
        ("mintwarden:tokens.revoke", {"token": "a.b.c", "reason": "r"}, 400),
        ("mintwarden:tokens.revoke", {"bundle": "*", "reason": "r"}, 400),
        ("mintwarden:tokens.revoke", {"everything": "x", "reason": "r"}, 400),
    ],
)
async def test_what_nobody_may_or_can_revoke(company: Company, scopes: str, body: Any, status: int) -> None:
    assert (await asked(company, scopes, **body)).status_code == status


async def renewable(company: Company, client: str) -> tuple[str, str]:
    """A refresh token of `client`'s, and the grant that it renews tokens of."""
    async with foundation(load_config(company.folder / "mintwarden.toml", environ={})) as base:
        memory, now = memory_of(base), base.clock.now()
        person = SignIn(provider="https://login.example.com", subject=EntityUid("User", "alice"), authenticated_at=now)
        granted = Granted(
            grant_id=f"grant-of-{client}",
            client_id=client,
            sign_in=person,
            scopes={"payments": ("payments:read",)},
            granted_at=now,
            ends=now + 3_600_000,
        )
        await memory.keep(granted)
        receipt: Any = SimpleNamespace(prepared=b"p")
        return memory.renew(Renewal(grant_id=granted.grant_id, ends=granted.ends), receipt), granted.grant_id


async def ended(company: Company, grant: str) -> bool:
    async with foundation(load_config(company.folder / "mintwarden.toml", environ={})) as base:
        return bool(await base.store.revocations.revoked([("grant", grant)]))


async def test_with_a_refresh_token_ends_everything_that_came_of_its_grant(company: Company) -> None:
    token, grant = await renewable(company, "web")
    assert (await post(company, "/revoke", "web", token=token, token_type_hint="access_token")).status_code == 200
    assert await ended(company, grant)
    assert (await post(company, "/revoke", "web", token=token)).status_code == 200, "and once more"


async def test_a_refresh_token_of_another_client(company: Company) -> None:
    token, grant = await renewable(company, "web")
    refused = await post(company, "/revoke", "helper", token=token)
    assert (refused.status_code, refused.json()["error"]) == (400, "unauthorized_client")
    assert not await ended(company, grant)
    for forged in (token[:-2], token + "A", "mwr_", "mwr_AAAA"):
        assert (await post(company, "/revoke", "web", token=forged)).status_code == 200
    assert not await ended(company, grant)
    assert await told(company, "web", token) == NOTHING, "introspection knows access tokens"
