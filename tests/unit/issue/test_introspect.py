"""What introspection says of a token is not for the token's claims to say."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from mintwarden.issue.introspect import algorithm_for, introspect, statement
from mintwarden.mint.prepare import CONFINES, OWN_CLAIMS
from mintwarden.model.caller import Binding
from mintwarden.model.catalogue import WITHHELD, Introspection
from mintwarden.model.terms import Protections

CATALOGUE = SimpleNamespace(
    audiences={
        "a": SimpleNamespace(algorithm="ES256", introspection=Introspection()),
        "b": SimpleNamespace(algorithm="PS256", introspection=Introspection()),
    },
    by_identifier={"https://a.example": "a"},
)


def client(name: str, serves: tuple[str, ...] = (), ceilings: Any = None) -> SimpleNamespace:
    return SimpleNamespace(id=name, serves=serves, ceilings=ceilings or {}, protections=Protections())


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
        evidence = SimpleNamespace(client_id="api", binding=binding, audiences=("https://a.example",))
        return SimpleNamespace(evidence=evidence, claims={"active": False, "token_type": "Bearer!", "jti": "1"})

    desk = SimpleNamespace(
        caller=caller, claim=nothing, shown=shown, client=lambda _caller: client("api"), catalogue=CATALOGUE
    )
    told = await introspect(cast("Any", None), cast("Any", desk), 0)
    assert told.content == {"active": True, "token_type": kind, "jti": "1"}
    assert (told.client_id, told.algorithm) == ("api", "ES256")
    assert statement(told, "https://as.example", 1_795_000_000_999) == {
        "iss": "https://as.example",
        "aud": "api",
        "iat": 1_795_000_000,
        "token_introspection": told.content,
    }


@pytest.mark.parametrize(
    ("serves", "ceilings", "algorithm"),
    [
        (("b", "a"), {"a": ()}, "PS256"),
        ((), {"b": ()}, "PS256"),
        ((), {}, "ES256"),
        (("gone",), {}, "ES256"),
    ],
)
def test_an_answer_is_signed_as_the_tokens_that_the_client_checks(
    serves: tuple[str, ...], ceilings: dict[str, tuple[str, ...]], algorithm: str
) -> None:
    assert algorithm_for(cast("Any", client("api", serves, ceilings)), cast("Any", CATALOGUE)) == algorithm


def test_an_answer_is_signed_as_the_client_was_promised() -> None:
    """`introspection_signed_response_alg` (RFC 9701 section 6)."""
    asker = client("api", (), {"a": ()})
    asker.protections = Protections(introspection_algorithm="PS256")
    assert algorithm_for(cast("Any", asker), cast("Any", CATALOGUE)) == "PS256"


def test_no_claim_that_limits_a_token_can_be_left_out() -> None:
    """A claim that is added to tokens is always told, until somebody has thought about it."""
    assert WITHHELD < OWN_CLAIMS
    assert WITHHELD.isdisjoint({"iss", "aud", "exp", "iat", "scope", "act", "cnf", "authorization_details", *CONFINES})
