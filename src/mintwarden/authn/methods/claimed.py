"""Who a request says that its client is: nothing is believed of it, it is looked up for a line of the log."""

from __future__ import annotations

from mintwarden.authn.jose import JoseError, decode_json, parse, string
from mintwarden.authn.methods.client_secret_basic import basic_parts
from mintwarden.authn.methods.method import NotProvenError
from mintwarden.authn.methods.private_key_jwt import LONGEST_ASSERTION
from mintwarden.model.request import TokenRequest


def unverified_client(request: TokenRequest) -> str:
    """The id in the `Authorization` header, in `client_id` or in the assertion; empty where there is none."""
    try:
        if request.unverified_authorization is not None:
            return basic_parts(request.unverified_authorization)[0]
        named = request.one("client_id")
        if named is not None:
            return named
        return string(decode_json(parse(request.one("client_assertion") or "", LONGEST_ASSERTION).payload), "sub")
    except (NotProvenError, JoseError):
        return ""
