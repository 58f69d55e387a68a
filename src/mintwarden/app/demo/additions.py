"""What the quickstart adds to its copy of the example company, so that every way to be known can be tried.

Nothing of it is in the example itself: a client whose attester is played here, and two doors for programs that nobody
wrote down. One reads documents on loopback alone, the other takes whom token operations gave a token for it. Whoever
comes by them is a third party with one low scope, and gets it once the service catalogue says that they are at work.
"""

from __future__ import annotations

from pathlib import Path

import tomlkit
from joserfc.jwk import ECKey

TERMINAL = "terminal"
"""A client whose instances are attested."""
SELF = "self-"
"""How the ids of clients that register themselves begin."""

_TERMINAL = """[client]
id = "terminal"
name = "Card terminal"
kind = "native"
owner = "Merchant Success"
description = "The program in a card terminal, installed many times over: its maker attests the key of each one"
environments = ["production"]
authentication = ["attest_jwt_client_auth", "attest_jwt_client_auth_dpop"]
grants = ["client_credentials"]
attestation_max_age = "7d"

[client.ceilings]
feature-flags = ["flags:evaluate"]
"""
_STRANGERS = """
[{door}]
{who}
kind = "third_party"
owner = "Vendor Risk"
environments = ["production"]
authentication = {methods}
grants = ["client_credentials"]
max_tier = "low"

[{door}.ceilings]
feature-flags = ["flags:evaluate"]
"""
_SCOPE = """
[scopes."mintwarden:clients.register"]
meaning = "Register a program that nobody wrote down"
tier = "moderate"
"""
_RULE = """// Who lets programs register themselves.

@id("admin-registrar")
@owner("Vendor Risk")
@reason("token operations hand out initial access tokens to programs that vendor risk has looked at")
permit (
  principal is Workload in Group::"token-operations",
  action == Action::"issue",
  resource == Scope::"mintwarden:clients.register"
);
"""
_DOORS = (
    _STRANGERS.format(door="client_id_metadata", who='hosts = ["127.0.0.1"]', methods='["private_key_jwt"]'),
    _STRANGERS.format(
        door="open_registration",
        who=f'to = "initial_access_token"\nprefix = "{SELF}"\nper_hour = 200',
        methods='["client_secret_basic", "client_secret_post", "private_key_jwt"]',
    ),
)


def add_to(bundle: Path) -> ECKey:
    """Write them into the copied `bundle`; the key of who attests the terminals, of which the bundle has one half."""
    attester = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, private=True, auto_kid=True)
    terminal = tomlkit.parse(_TERMINAL)
    keys = tomlkit.aot()
    keys.append(tomlkit.item(dict(attester.as_dict(private=False))))
    client = terminal["client"]
    assert isinstance(client, dict)  # noqa: S101 - it stands above
    client["attester_keys"] = keys
    (bundle / "clients" / f"{TERMINAL}.toml").write_text(tomlkit.dumps(terminal), encoding="utf-8")
    for file, more in (("bundle.toml", "".join(_DOORS)), ("audiences/mintwarden.toml", _SCOPE)):
        path = bundle / file
        path.write_text(path.read_text(encoding="utf-8") + more, encoding="utf-8")
    (bundle / "rules" / "strangers.cedar").write_text(_RULE, encoding="utf-8")
    return attester
