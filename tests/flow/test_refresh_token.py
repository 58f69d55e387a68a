"""Renewal is a new decision: codes, refresh tokens, and what ends them, over real HTTP and on two nodes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from joserfc.jwk import ECKey

from mintwarden.app.memory import memory_of
from mintwarden.model.token import Receipt
from mintwarden.model.values import EntityUid
from mintwarden.store.store import DocumentChange
from tests.flow.company import LEDGER, PAYMENTS
from tests.flow.granting import BACK, RULES, House, house, with_clients
from tests.flow.test_dpop import proof

pytestmark = [pytest.mark.xdist_group("postgres"), pytest.mark.asyncio(loop_scope="module")]

RECEIPT = Receipt(decision_id="d", position=1, leaf_hash=b"l", prepared=b"p")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with house(tmp_path_factory.mktemp("house")) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def here(shared: House) -> House:
    return await shared.with_somebody()


@pytest_asyncio.fixture(params=["sqlite", "postgres"], loop_scope="module")
async def both(request: pytest.FixtureRequest, tmp_path: Path, shared: House) -> AsyncIterator[House]:
    if request.param == "sqlite":
        yield await shared.with_somebody()
    else:
        async with house(tmp_path, store=request.getfixturevalue("new_database")()) as made:
            yield await made.with_somebody()


def error(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json().get("error", "")


async def begin(made: House, client: str = "app", *, headers: Any = None, **granted: Any) -> dict[str, Any]:
    """The answer to a first redemption."""
    answer = await made.redeem(await made.code(client, **granted), client, headers=headers)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_a_code_gives_tokens_and_each_refresh_gives_others(here: House) -> None:
    first = await begin(here)
    assert first["scope"] == "payments:read payments:write"
    assert first["refresh_token"].startswith("mwr_")
    claims = await here.company.claims(first["access_token"])
    again = await here.refresh(first["refresh_token"])
    assert again.status_code == 200, again.text
    assert again.headers["cache-control"] == "no-store"
    second = again.json()
    assert second["refresh_token"] != first["refresh_token"]
    renewed = await here.company.claims(second["access_token"])
    for name in ("sub", "grant_id", "auth_time", "acr", "amr", "sid", "client_id", "aud"):
        assert renewed[name] == claims[name], name
    assert renewed["jti"] != claims["jti"]
    assert (renewed["acr"], renewed["amr"]) == ("phr", ["pwd", "otp"])
    assert first["id_token"].count(".") == second["id_token"].count(".") == 2
    recorded = await here.entries("decision")
    assert [entry["grant"] for entry in recorded] == ["authorization_code", "refresh_token"]
    assert set(recorded[0]) == set(recorded[1])


async def test_a_replayed_refresh_token_ends_all_that_came_of_the_grant_on_every_node(both: House) -> None:
    first = await begin(both)
    second = (await both.refresh(first["refresh_token"])).json()
    for token in (first["access_token"], second["access_token"]):
        assert await both.is_active(token, there=True)
    assert error(await both.refresh(first["refresh_token"], there=True)) == (400, "invalid_grant")
    for there in (False, True):
        assert error(await both.refresh(second["refresh_token"], there=there)) == (400, "invalid_grant")
        for token in (first["access_token"], second["access_token"]):
            assert not await both.is_active(token, there=there)
    (act,) = await both.acts()
    assert act["about"] == "grant"
    assert act["grant"] == (await both.company.claims(first["access_token"]))["grant_id"]
    # another grant of the same person and client lives on
    other = await begin(both)
    assert (await both.refresh(other["refresh_token"])).status_code == 200


async def test_a_code_that_is_redeemed_twice_ends_what_the_first_redemption_gave(both: House) -> None:
    code = await both.code()
    answer = await both.redeem(code)
    assert answer.status_code == 200, answer.text
    first = answer.json()
    assert error(await both.redeem(code, there=True)) == (400, "invalid_grant")
    assert not await both.is_active(first["access_token"])
    assert error(await both.refresh(first["refresh_token"])) == (400, "invalid_grant")


async def test_two_refreshes_at_once_never_leave_two_live_children(both: House) -> None:
    for _ in range(5):
        token = (await begin(both))["refresh_token"]
        answers = await asyncio.gather(*(both.refresh(token, there=there) for there in (False, True)))
        good = [answer.json() for answer in answers if answer.status_code == 200]
        assert len(good) <= 1
        assert [error(answer) for answer in answers if answer.status_code != 200][:1] == [(400, "invalid_grant")]
        live = [child for child in good if (await both.refresh(child["refresh_token"])).status_code == 200]
        assert len(live) <= 1


async def test_a_public_clients_refresh_token_is_bound_to_its_key(here: House) -> None:
    key, thief = ECKey.generate_key("P-256"), ECKey.generate_key("P-256")
    first = await begin(here, "phone", headers=proof(key))
    assert first["token_type"] == "DPoP"
    token = first["refresh_token"]
    assert error(await here.refresh(token, "phone")) == (400, "invalid_grant")
    assert error(await here.refresh(token, "phone", headers=proof(thief))) == (400, "invalid_grant")
    second = await here.refresh(token, "phone", headers=proof(key))
    assert second.status_code == 200, second.text
    # a public client that begins without a key is bound from the first refresh on that proves one
    bare = await begin(here, "phone")
    bound = (await here.refresh(bare["refresh_token"], "phone", headers=proof(key))).json()
    assert error(await here.refresh(bound["refresh_token"], "phone", headers=proof(thief))) == (400, "invalid_grant")
    assert (await here.refresh(bound["refresh_token"], "phone", headers=proof(key))).status_code == 200


async def test_a_bound_family_of_a_confidential_client_never_yields_a_bearer_token(here: House) -> None:
    key, next_key = ECKey.generate_key("P-256"), ECKey.generate_key("P-256")
    first = await begin(here, headers=proof(key))
    bare = await here.refresh(first["refresh_token"])
    assert (bare.status_code, "access_token" in bare.json()) == (400, False)
    # its authentication binds the refresh token, so that the key may change (RFC 9449 section 5)
    other = await here.refresh(first["refresh_token"], headers=proof(next_key))
    assert other.status_code == 200, other.text
    claims = await here.company.claims(other.json()["access_token"])
    assert claims["cnf"] == {"jkt": next_key.thumbprint()}


async def test_another_client_can_do_nothing_with_it(here: House) -> None:
    token = (await begin(here))["refresh_token"]
    assert error(await here.refresh(token, "keeper")) == (400, "invalid_grant")
    assert (await here.refresh(token)).status_code == 200, "and nothing happened to its owner's"


async def test_scope_and_resource_narrow_one_token_and_not_the_grant(here: House) -> None:
    token = (await begin(here))["refresh_token"]
    narrow = (await here.refresh(token, scope="payments:read")).json()
    assert narrow["scope"] == "payments:read"
    assert "id_token" not in narrow
    ledger = (await here.refresh(narrow["refresh_token"], resource=LEDGER)).json()
    assert ledger["scope"] == "ledger:read"
    assert (await here.company.claims(ledger["access_token"]))["aud"] == LEDGER
    full = (await here.refresh(ledger["refresh_token"])).json()
    assert full["scope"] == "payments:read payments:write"


async def test_nothing_is_widened_by_a_refresh(here: House) -> None:
    first = await begin(here, scopes={"payments": ("payments:read",)})
    token = first["refresh_token"]
    assert first["scope"] == "payments:read"
    assert error(await here.refresh(token, scope="payments:read payments:write")) == (400, "invalid_scope")
    assert error(await here.refresh(token, scope="no:such")) == (400, "invalid_scope")
    assert error(await here.refresh(token, resource=LEDGER)) == (400, "invalid_target")
    assert error(await here.refresh(token, resource="https://elsewhere.example")) == (400, "invalid_target")
    assert error(await here.refresh(token, resource=[PAYMENTS, LEDGER])) == (400, "invalid_target")
    assert (await here.refresh(token)).status_code == 200, "none of it used the token up"


async def test_renewals_share_the_budget_that_was_allowed_and_none_goes_further(here: House) -> None:
    limits: dict[str, Any] = {"budget": 10, "max_depth": 1}
    answer = await here.redeem(await here.code(**limits), budget="4")
    tokens = answer.json()
    claims = await here.company.claims(tokens["access_token"])
    assert (claims["budget"], claims["max_depth"]) == (4, 1)
    for wider in ({"budget": "11"}, {"budget": "7"}, {"budget": "1", "max_depth": "2"}):
        assert error(await here.refresh(tokens["refresh_token"], **wider)) == (400, "invalid_request"), wider
    narrower = await here.refresh(tokens["refresh_token"], budget="6", max_depth="0")
    assert narrower.status_code == 200, narrower.text
    claims = await here.company.claims(narrower.json()["access_token"])
    assert (claims["budget"], claims["max_depth"]) == (6, 0)
    spent = narrower.json()["refresh_token"]
    assert error(await here.refresh(spent, budget="1")) == (400, "invalid_request"), "all of it is handed out"


async def test_a_lost_entitlement_shrinks_the_next_token_and_comes_back_within_what_was_granted(here: House) -> None:
    token = (await begin(here))["refresh_token"]
    await here.put_in("finance")
    less = (await here.refresh(token)).json()
    assert less["scope"] == "payments:read"
    await here.put_in("finance", "payers")
    back = (await here.refresh(less["refresh_token"])).json()
    assert back["scope"] == "payments:read payments:write"
    narrow = await begin(here, scopes={"payments": ("payments:read",)})
    assert (await here.refresh(narrow["refresh_token"])).json()["scope"] == "payments:read"


async def test_a_refused_refresh_does_not_use_the_token_up(here: House) -> None:
    token = (await begin(here, scopes={"payments": ("payments:write",)}, identity=()))["refresh_token"]
    await here.put_in()
    refused = await here.refresh(token)
    assert error(refused) == (400, "invalid_scope")
    assert refused.json()["decision"]
    await here.put_in("payers")
    assert (await here.refresh(token)).status_code == 200
    assert await here.acts() == []


async def test_an_account_that_is_gone_ends_the_family(here: House) -> None:
    first = await begin(here)
    await here.directory(None)
    assert error(await here.refresh(first["refresh_token"])) == (400, "invalid_grant")
    await here.put_in("finance", "payers")
    assert error(await here.refresh(first["refresh_token"])) == (400, "invalid_grant")
    assert not await here.is_active(first["access_token"])
    assert [act["about"] for act in await here.acts()] == ["grant"]


async def test_an_account_that_is_barred_ends_the_family(here: House) -> None:
    first = await begin(here)
    await here.directory(json.dumps({"facts": {"score": 99}}).encode(), "risk")
    assert error(await here.refresh(first["refresh_token"])) == (400, "invalid_grant")
    assert not await here.is_active(first["access_token"], there=True)


async def test_signing_out_ends_what_was_not_allowed_beyond_the_session(here: House) -> None:
    bound = await begin(here)
    offline = await begin(here, offline=True)
    await here.end_session()
    assert error(await here.refresh(bound["refresh_token"])) == (400, "invalid_grant")
    assert (await here.refresh(offline["refresh_token"])).status_code == 200


async def test_idle_and_absolute_ends(here: House) -> None:
    ended = await here.code(ends=here.base.clock.now() - 1)
    assert error(await here.redeem(ended)) == (400, "invalid_grant")
    # nobody comes for an hour: that is the end that each refresh token is given
    memory, first = memory_of(here.base), await begin(here)
    for token in (first["refresh_token"], (await here.refresh(first["refresh_token"])).json()["refresh_token"]):
        given = memory.read(token)
        assert 0 <= here.base.clock.now() + 3_600_000 - given.ends < 60_000
    unused = memory.renew(msgspec.structs.replace(given, ends=here.base.clock.now() - 1), RECEIPT)
    assert error(await here.refresh(unused)) == (400, "invalid_grant")
    assert (await here.refresh(token)).status_code == 200, "whoever came too late has used up nothing"
    # the client's policy is ten days by now, whatever it was when the person allowed it
    old = await begin(here, begun=11 * 86_400, ends=here.base.clock.now() + 86_400_000)
    assert error(await here.refresh(old["refresh_token"])) == (400, "invalid_grant")
    near = await begin(here, ends=here.base.clock.now() + 90_000)
    assert near["expires_in"] <= 90
    assert (await here.refresh(near["refresh_token"])).json()["expires_in"] <= 90


async def test_a_client_that_does_not_rotate_keeps_its_token(here: House) -> None:
    first = await begin(here, "keeper")
    for _ in range(3):
        answer = await here.refresh(first["refresh_token"], "keeper")
        assert answer.status_code == 200, answer.text
        assert "refresh_token" not in answer.json()
    assert await here.is_active(first["access_token"], "keeper")


async def test_a_refresh_token_given_back_ends_its_family_and_access_tokens(here: House) -> None:
    first = await begin(here)
    second = (await here.refresh(first["refresh_token"])).json()
    revoke = {"token": second["refresh_token"], "token_type_hint": "access_token"}  # a wrong hint hinders nothing
    auth = ("keeper", here.company.secrets["keeper"])
    assert error(await here.company.http.post("/revoke", data=revoke, auth=auth)) == (400, "unauthorized_client")
    assert await here.is_active(second["access_token"])
    auth = ("app", here.company.secrets["app"])
    assert (await here.company.http.post("/revoke", data=revoke, auth=auth)).status_code == 200
    for token in (first["access_token"], second["access_token"]):
        assert not await here.is_active(token, there=True)
    assert error(await here.refresh(second["refresh_token"])) == (400, "invalid_grant")
    for unknown in (second["refresh_token"], "mwr_AAAA", "mwr_"):
        answer = await here.company.http.post("/revoke", data={"token": unknown}, auth=auth)
        assert answer.status_code == 200
    assert len(await here.acts()) == 1


async def test_introspection_tells_nothing_of_refresh_tokens(here: House) -> None:
    assert not await here.is_active((await begin(here))["refresh_token"])


@pytest.mark.parametrize("token", ["", "mwr_" + "A" * 80, "not one of ours"])
async def test_what_is_no_refresh_token(here: House, token: str) -> None:
    answer = await here.ask("app", grant_type="refresh_token", refresh_token=token)
    assert error(answer) == (400, "invalid_grant" if token else "invalid_request")


async def test_a_changed_refresh_token_is_none(here: House) -> None:
    token = (await begin(here))["refresh_token"]
    for changed in (token + "A", token[:-1], token[:-2] + ("AA" if token[-2:] != "AA" else "BB"), token + "="):
        assert error(await here.refresh(changed)) == (400, "invalid_grant")
    assert (await here.refresh(token)).status_code == 200


async def test_codes_are_bound_to_client_redirect_and_verifier(here: House) -> None:
    code = await here.code()
    assert error(await here.redeem(code, "keeper")) == (400, "invalid_grant")
    assert error(await here.redeem(code, redirect_uri=BACK + "/")) == (400, "invalid_grant")
    assert error(await here.redeem(code, code_verifier="w" * 50)) == (400, "invalid_grant")
    assert error(await here.redeem(code, code_verifier="")) == (400, "invalid_grant")
    assert (await here.redeem(code)).status_code == 200


async def test_a_code_that_was_asked_for_without_a_challenge_is_redeemed_by_nobody(here: House) -> None:
    """The downgrade that PKCE guards against: no verifier fits it, and none is no verifier either."""
    memory, now = memory_of(here.base), here.base.clock.now()
    for name, more in (
        ("with", {}),
        ("without", {"code_verifier": ""}),
        ("the hash of nothing", {"code_verifier": "v" * 43}),
    ):
        held = await memory.codes.get(await here.code(renewable=False), now)
        assert held is not None
        code = f"{here.person}-{name}"
        assert await memory.codes.add(code, msgspec.structs.replace(held.value, challenge=""), ends=now + 60_000)
        assert error(await here.redeem(code, **more)) == (400, "invalid_grant"), name


async def test_a_token_that_was_exchanged_ends_with_the_grant_it_comes_of(here: House) -> None:
    first = await begin(here)
    exchanged = await here.company.exchange(
        "api", first["access_token"], "urn:ietf:params:oauth:token-type:access_token", resource=LEDGER
    )
    assert exchanged.status_code == 200, exchanged.text
    child = exchanged.json()["access_token"]
    assert await here.is_active(child, "api")
    await here.refresh(first["refresh_token"])
    await here.refresh(first["refresh_token"])
    assert not await here.is_active(child, "api")


async def test_an_agents_tokens_live_as_long_as_a_decision_may_be_old(tmp_path: Path) -> None:
    def edit(bundle: Path) -> None:
        with_clients(bundle)
        file = bundle / "audiences" / "payments.toml"
        file.write_text(file.read_text().replace('max_ttl = "15m"', 'max_ttl = "15m"\nmax_age_of_decision = "2m"'))

    async with house(tmp_path, edit=edit) as empty:
        made = await empty.with_somebody()
        assert (await begin(made))["expires_in"] == 300
        agents = await begin(made, "helper-app")
        assert agents["expires_in"] == 120
        assert (await made.refresh(agents["refresh_token"], "helper-app")).json()["expires_in"] == 120


RUNTIME = """
[sources.runtime]
kind = "store"
about = ["Agent"]
max_age = "10m"
description = "What the agent runs with"
[sources.runtime.facts]
model = "string"
tools = "set<string>"
risk = "long"
budget_left = "long"
approvals = "set<string>"
"""
PAYS = """
@id("helper-works") @owner("Payments") @reason("it works for people")
permit (principal == Agent::"helper-app", action == Action::"act", resource == Scope::"payments:read");
@id("helper-pays") @owner("Payments") @reason("it pays as long as everything is as it should be")
@require_approval("lead")
permit (principal == Agent::"helper-app", action == Action::"act", resource == Scope::"payments:write")
when {
  principal.model == "atlas" && principal.tools.contains("pay") && principal.risk < 50 && principal.budget_left > 0
};
"""
AS_IT_SHOULD_BE = {
    "model": "atlas",
    "tools": ["pay"],
    "risk": 1,
    "budget_left": 9,
    "approvals": ["lead:payments:write"],
}


async def test_each_renewal_of_an_agent_sees_its_risk_model_tools_budget_and_approvals(tmp_path: Path) -> None:
    def edit(bundle: Path) -> None:
        with_clients(bundle)
        sources = bundle / "sources.toml"
        sources.write_text(sources.read_text() + RUNTIME)

    async with house(tmp_path, edit=edit, rules=RULES + PAYS) as empty:
        made = await empty.with_somebody()

        async def runs(**changes: Any) -> None:
            row = json.dumps({"facts": AS_IT_SHOULD_BE | changes}).encode()
            change = DocumentChange("Agent:helper-app", "runtime", row, made.base.clock.now())
            await made.base.store.directory.apply([change])

        await runs()
        agent = EntityUid("Agent", "helper-app")
        answer = await begin(made, "helper-app", actors=(agent,), identity=())
        both = "payments:read payments:write"
        assert answer["scope"] == both
        lacks: list[dict[str, Any]] = [{"model": "other"}, {"tools": []}, {"risk": 50}, {"budget_left": 0}]
        for changes in (*lacks, {"approvals": []}, {}):
            await runs(**changes)
            answer = (await made.refresh(answer["refresh_token"], "helper-app")).json()
            assert answer["scope"] == ("payments:read" if changes else both), changes


REFUNDS = """
@id("refund") @owner("Payments") @reason("for refunds") @require_purpose("refund")
permit (principal is User, action == Action::"issue", resource == Scope::"payments:write")
when { principal in Group::"refunders" };
"""


async def test_what_a_grant_was_allowed_for_holds_for_each_of_its_tokens_and_what_is_made_of_them(
    tmp_path: Path,
) -> None:
    def edit(bundle: Path) -> None:
        with_clients(bundle)
        head = bundle / "bundle.toml"
        purposes = ('[purposes.refund]\nmeaning = "Refunds"\n', '[purposes.fun]\nmeaning = "Fun"\n')
        head.write_text(head.read_text() + "".join(purposes))

    async with house(tmp_path, edit=edit, rules=RULES + REFUNDS) as empty:
        made = await empty.with_somebody()
        await made.put_in("finance", "refunders")
        both, claims = "payments:read payments:write", made.company.claims
        code = await made.code(purpose="refund")
        for other in ({"purpose": "fun"}, {"environment": "staging"}, {"tenant": "acme"}, {"requested_lifetime": "0"}):
            assert error(await made.redeem(code, **other)) == (400, "invalid_request"), other
        first = (await made.redeem(code, purpose="refund", requested_lifetime="60")).json()
        assert (first["scope"], first["expires_in"]) == (both, 60)
        assert (await claims(first["access_token"]))["purpose"] == "refund"
        token = first["refresh_token"]
        for other in ({"purpose": "fun"}, {"environment": "staging"}, {"project": "p"}, {"requested_lifetime": "x"}):
            assert error(await made.refresh(token, **other)) == (400, "invalid_request"), other
        second = (await made.refresh(token, environment="production", requested_lifetime="90")).json()
        assert (second["scope"], second["expires_in"]) == (both, 90), "and nothing that was refused used it up"
        assert (await claims(second["access_token"]))["purpose"] == "refund"
        exchange = {"resource": LEDGER, "kind": "urn:ietf:params:oauth:token-type:access_token"}
        below = await made.company.exchange("api", second["access_token"], **exchange)
        assert (await claims(below.json()["access_token"]))["purpose"] == "refund"
        changed = await made.company.exchange("api", second["access_token"], purpose="fun", **exchange)
        assert error(changed) == (400, "invalid_request")

        plain = await begin(made)
        assert plain["scope"] == "payments:read", "allowed for nothing in particular"
        assert error(await made.refresh(plain["refresh_token"], purpose="refund")) == (400, "invalid_request")
        assert (await made.refresh(plain["refresh_token"])).json()["scope"] == "payments:read"
