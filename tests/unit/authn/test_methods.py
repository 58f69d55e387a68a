"""Which methods a request can offer at all follows from what it shows."""

from __future__ import annotations

from itertools import product
from types import SimpleNamespace
from typing import Any

import pytest

from mintwarden.authn.methods import METHODS, Tools
from mintwarden.authn.methods.method import shows
from mintwarden.authn.methods.private_key_jwt import ASSERTION_TYPE
from mintwarden.authn.spiffe import ASSERTION_TYPE as SPIFFE_TYPE
from mintwarden.model.request import TokenRequest

REQUESTS = [
    TokenRequest(
        unverified_form={name: (value,) for name, value in zip(NAMES, values, strict=True) if value},
        unverified_authorization=authorization,
        unverified_attestation=attestation,
        unverified_attestation_proof=proof,
        received_at=0,
    )
    for NAMES in [("client_id", "client_secret", "client_assertion", "client_assertion_type")]
    for values in product(["", "c"], ["", "s"], ["", "a.b.c"], ["", ASSERTION_TYPE, SPIFFE_TYPE, "other"])
    for authorization, attestation, proof in product([None, b"", b"Basic x"], ["", "a"], ["", "p"])
]


@pytest.mark.parametrize("make", METHODS, ids=lambda make: make.name)
@pytest.mark.parametrize("listed", [True, False])
def test_a_method_is_offered_only_by_requests_of_its_group(make: Any, listed: bool):
    """One that were offered beyond its group would be looked for in vain, and a second method not be noticed."""
    tools: Any = SimpleNamespace(**dict.fromkeys(Tools.__struct_fields__))
    tools.registry = SimpleNamespace(lists=lambda *_: listed)
    method = make(tools)
    offering = [request for request in REQUESTS if method.offered(request)]
    assert {shows(request) for request in offering} <= {method.shown}
    assert offering or (method.name == "none" and listed) or (not method.shown and not listed)
