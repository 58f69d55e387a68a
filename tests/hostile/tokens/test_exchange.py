"""Exchanges that would make more of two tokens than either of them says."""

from __future__ import annotations

import pytest

from mintwarden.model.caller import Binding, Caller
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.token import ID_JAG, TXN_TOKEN
from mintwarden.model.values import EntityUid
from tests.unit.issue.test_token_exchange import foreign, own, refused, resolve

BOT = EntityUid("Agent", "bot")
BOUND = Binding(kind="dpop", thumbprint="x")
CERTIFICATE = Binding(kind="mtls", thumbprint="x")
THIEF = Binding(kind="dpop", thumbprint="thief")


@pytest.mark.parametrize("make", [own, foreign])
def test_an_actor_token_that_is_bound_to_a_key_is_no_bearer_token(make) -> None:
    actor = make(principal=BOT, binding=BOUND)
    refused("bot", foreign(), actor, scope="pay:read")


def test_a_delegated_token_outlives_neither_of_its_tokens() -> None:
    for subject_end, actor_end in ((9_000, 2_000), (2_000, 9_000)):
        actor = own(principal=BOT, expires_at=actor_end)
        asked = resolve("bot", foreign(expires_at=subject_end), actor, scope="pay:read")
        assert asked.parent is not None
        assert asked.parent.expires_at == 2_000


@pytest.mark.parametrize("make", [own, foreign])
@pytest.mark.parametrize("held", [BOUND, CERTIFICATE])
def test_laundering_a_stolen_bound_token_into_one_of_the_thief_s_key(make, held: Binding) -> None:
    """Of a public client everybody knows the id; of any other, somebody may have the secret, and not the key."""
    for method in ("none", "client_secret_basic"):
        for proven in (Caller(client_id="bot", method=method), Caller(client_id="bot", method=method, binding=THIEF)):
            refused("bot", make(binding=held), caller=proven, scope="pay:read")
        holder = Caller(client_id="bot", method=method, binding=held)
        assert resolve("bot", make(binding=held), caller=holder, scope="pay:read").binding == held


def test_the_holder_may_go_from_its_certificate_to_a_key() -> None:
    both = Caller(client_id="bot", method="none", binding=BOUND, certificate=CERTIFICATE)
    assert resolve("bot", own(binding=CERTIFICATE), caller=both).binding == BOUND


def test_the_resource_server_that_a_bound_token_was_sent_to_proves_a_key_of_its_own() -> None:
    for proven in (BOUND, THIEF, None):
        caller = Caller(client_id="api", method="client_secret_basic", binding=proven)
        asked = resolve("api", own(binding=BOUND), caller=caller)
        assert asked.parent is not None
        assert (asked.binding, asked.parent.binding) == (proven, BOUND)  # without one, the decision refuses


def test_who_only_says_to_be_the_resource_server_is_not() -> None:
    for proven in (THIEF, None):
        refused("api", own(binding=BOUND), caller=Caller(client_id="api", method="none", binding=proven))
    refused("api", own(), caller=Caller(client_id="api", method="none"))


@pytest.mark.parametrize("wanted", [ID_JAG, TXN_TOKEN])
def test_who_only_says_to_be_a_client_speaks_for_nobody_in_another_domain(wanted: str) -> None:
    anybody = Caller(client_id="bot", method="none", binding=BOUND)
    found = own(kind="id_token") if wanted == ID_JAG else own()
    with pytest.raises(MintwardenError) as caught:
        resolve("bot", found, caller=anybody, requested_token_type=wanted)
    assert caught.value.kind is ErrorKind.UNAUTHORIZED_CLIENT
