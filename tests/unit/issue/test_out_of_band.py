"""What a request to have somebody asked says, read (OpenID CIBA Core 1.0 section 7.1)."""

from __future__ import annotations

from msgspec.structs import replace

from mintwarden.issue.out_of_band import read_out_of_band
from mintwarden.model.request import TokenRequest
from mintwarden.model.terms import Protections
from tests.unit.issue.catalogue import client

ASKER = client("web", grants=("ciba",))


def test_the_levels_that_a_client_demands_by_itself_hold_where_a_request_says_none() -> None:
    """`default_acr_values`: "for processing requests from this Client" (OpenID Registration 1.0 section 2)."""
    strict = replace(ASKER, protections=Protections(acr_values=("gold",)))
    for asker, said, expected in (
        (strict, {}, ("gold",)),
        (strict, {"acr_values": "silver"}, ("silver",)),
        (ASKER, {}, ()),
    ):
        form = {"scope": ("openid",), "login_hint": ("alice",), **{name: (value,) for name, value in said.items()}}
        request = TokenRequest(unverified_form=form, received_at=0)
        assert read_out_of_band(request, asker, hinted=str).acr_values == expected
