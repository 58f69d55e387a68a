"""Exchanges that would make more of two tokens than either of them says."""

from __future__ import annotations

import pytest

from mintwarden.model.caller import Binding
from mintwarden.model.values import EntityUid
from tests.unit.issue.test_token_exchange import foreign, own, refused, resolve

BOT = EntityUid("Agent", "bot")
BOUND = Binding(kind="dpop", thumbprint="x")


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
