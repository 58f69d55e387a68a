"""RFC 8693: who may present which token, and a chain that loses, forges and repeats no hop."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from mintwarden.issue.grants import token_exchange
from mintwarden.model.asked import Asked
from mintwarden.model.caller import Binding, Caller, Evidence
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.request import TokenRequest
from mintwarden.model.values import EntityUid
from tests.unit.issue.catalogue import CATALOGUE, PAY

ALICE = EntityUid("User", "alice")
WEB, BOT, API = EntityUid("Workload", "web"), EntityUid("Agent", "bot"), EntityUid("Workload", "api")


def own(**changes: object) -> Evidence:
    settings: dict[str, object] = {
        "principal": ALICE,
        "issuer": CATALOGUE.issuer,
        "own": True,
        "token_id": "t1",
        "client_id": "bot",
        "audiences": (PAY,),
        "scopes": ("pay:read",),
        "expires_at": 9_000,
        **changes,
    }
    return Evidence(**settings)  # type: ignore[arg-type]


def foreign(**changes: object) -> Evidence:
    return own(issuer="https://login.example", own=False, client_id="", scopes=None, **changes)


def resolve(
    client_id: str,
    subject: Evidence | None,
    actor: Evidence | None = None,
    caller: Caller | None = None,
    **form: str,
) -> Asked:
    caller = replace(caller or Caller(client_id=client_id, method="client_secret_basic"), subject=subject, actor=actor)
    request = TokenRequest(unverified_form={name: (value,) for name, value in form.items()}, received_at=0)
    return token_exchange.resolve(request, caller, CATALOGUE.clients[client_id], CATALOGUE)


def refused(
    client_id: str,
    subject: Evidence | None,
    actor: Evidence | None = None,
    caller: Caller | None = None,
    **form: str,
) -> None:
    with pytest.raises(MintwardenError) as caught:
        resolve(client_id, subject, actor, caller, **form)
    assert caught.value.kind is ErrorKind.INVALID_REQUEST


def test_the_client_becomes_the_actor_when_none_is_named() -> None:
    asked = resolve("bot", foreign(), scope="pay:read")
    assert (asked.subject, asked.actors, asked.impersonate) == (ALICE, (BOT,), True)
    assert asked.parent is not None
    assert asked.parent.scopes is None


def test_a_second_hop_nests_the_first() -> None:
    asked = resolve("api", own(actors=(BOT,)))
    assert (asked.actors, asked.impersonate) == ((API, BOT), False)


def test_renewal_by_the_present_actor_adds_no_hop() -> None:
    assert resolve("bot", own(actors=(BOT, WEB))).actors == (BOT, WEB)


def test_a_workload_may_narrow_its_own_token_without_acting() -> None:
    asked = resolve("web", own(principal=WEB, client_id="web"))
    assert (asked.subject, asked.actors, asked.impersonate) == (WEB, (), False)


def test_a_token_of_another_client_is_useless() -> None:
    refused("web", own())


def test_the_resource_server_may_exchange_what_it_received() -> None:
    assert resolve("api", own()).actors == (API,)


def test_scopes_are_what_the_parent_has_and_carries() -> None:
    asked = resolve("bot", own(scopes=("pay:read", "gone:scope")), scope="book:read")
    assert asked.parent is not None
    assert (asked.audience, asked.parent.scopes) == ("ledger", ("pay:read", "book:read"))


def test_defaults_stay_within_the_parent() -> None:
    with pytest.raises(MintwardenError) as caught:
        resolve("bot", own(scopes=("pay:write",)))
    assert caught.value.kind is ErrorKind.INVALID_SCOPE


def test_may_act_is_honoured() -> None:
    refused("bot", own(may_act=(EntityUid("Agent", "other"),)))
    refused("bot", own(may_act=()))
    asked = resolve("bot", own(may_act=(BOT,)))
    assert asked.actors == (BOT,)
    assert asked.parent is not None
    assert asked.parent.may_act == (BOT,)


def test_an_actor_token_must_be_the_clients_own_and_undelegated() -> None:
    refused("bot", foreign(), own(principal=WEB, client_id="web"), scope="pay:read")
    refused("bot", foreign(), own(principal=BOT, actors=(WEB,)), scope="pay:read")
    asked = resolve("bot", foreign(), own(principal=BOT), scope="pay:read")
    assert (asked.actors, asked.impersonate) == ((BOT,), False)


def test_the_chain_has_an_end() -> None:
    hops = tuple(EntityUid("Agent", f"a{index}") for index in range(3))
    refused("api", own(actors=hops))


def test_confines_are_inherited_and_never_changed() -> None:
    earlier = own(tenant="t1", purpose="support", environment="production")
    asked = resolve("bot", earlier)
    assert (asked.tenant, asked.purpose, asked.environment) == ("t1", "support", "production")
    refused("bot", earlier, tenant="t2")
    refused("bot", earlier, environment="staging")
    refused("bot", own(environment="elsewhere"))


def test_a_tenant_that_nothing_checks_is_refused() -> None:
    refused("bot", foreign(), tenant="t1", scope="book:read")


def test_limits_of_the_parent_are_handed_on() -> None:
    binding = Binding(kind="dpop", thumbprint="x")
    holder = Caller(client_id="bot", method="client_secret_basic", binding=binding)
    asked = resolve("bot", own(binding=binding, session="s", acr="phr", authenticated_at=5), caller=holder)
    assert asked.parent is not None
    assert (asked.parent.expires_at, asked.parent.binding, asked.session) == (9_000, binding, "s")
    assert (asked.acr, asked.authenticated_at) == ("phr", 5)


@pytest.mark.parametrize("requested", ["urn:ietf:params:oauth:token-type:refresh_token", "x"])
def test_other_token_types_are_not_issued(requested: str) -> None:
    refused("bot", own(), requested_token_type=requested)


def test_without_a_subject_there_is_nothing_to_exchange() -> None:
    refused("bot", None)


def test_what_it_came_of_is_both_tokens_and_what_they_came_of_the_nearest_first() -> None:
    actor = own(principal=BOT, token_id="a1", client_id="bot", lineage=("a0",))
    asked = resolve("bot", own(lineage=("t0", "a0")), actor)
    assert asked.lineage == ("t1", "a1", "t0", "a0")
    assert resolve("bot", foreign(), actor, scope="pay:read").lineage == ("a1", "a0")
    assert resolve("bot", foreign(), scope="pay:read").lineage == (), "a foreign token is none that we could revoke"


def test_what_a_person_allowed_is_carried_on() -> None:
    assert resolve("bot", own(grant_id="g1")).grant_id == "g1"


def test_a_lineage_is_never_cut_short() -> None:
    assert len(resolve("bot", own(lineage=tuple(f"t{n}" for n in range(2, 17)))).lineage) == 16
    refused("bot", own(lineage=tuple(f"t{n}" for n in range(2, 18))))
