"""What introspection says of a token is not for the token's claims to say."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from mintwarden.issue.introspect import introspect
from mintwarden.model.caller import Binding


@pytest.mark.parametrize(
    ("binding", "kind"), [(None, "Bearer"), (Binding(kind="dpop", thumbprint="x"), "DPoP")], ids=["bearer", "bound"]
)
async def test_claims_called_active_and_token_type_change_nothing(binding: Binding | None, kind: str) -> None:
    """Directories have a fact `active`, and a bundle may make a claim of it."""

    async def caller(*_: object) -> object:
        return SimpleNamespace(method="client_secret_basic")

    async def nothing(*_: object) -> None:
        return None

    async def shown(*_: object) -> object:
        evidence = SimpleNamespace(client_id="api", binding=binding)
        return SimpleNamespace(evidence=evidence, claims={"active": False, "token_type": "Bearer!", "jti": "1"})

    desk = SimpleNamespace(caller=caller, claim=nothing, shown=shown, client=lambda _caller: SimpleNamespace(id="api"))
    told = await introspect(cast("Any", None), cast("Any", desk), 0)
    assert told == {"active": True, "token_type": kind, "jti": "1"}
