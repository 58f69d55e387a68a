"""oauth4webapi and Node's own TLS with a client certificate (RFC 8705), against a server that ends TLS itself."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography import x509
from joserfc.jwk import ECKey

from interop.conftest import free_port
from interop.deployment import Process, run
from tests.flow import pki
from tests.flow.company import CLIENT, furnish, write_company

SCRIPT = Path(__file__).parent / "mtls.mjs"
CHECKS = re.findall(r"^  '([^']+)': (?:async )?\(\)", SCRIPT.read_text(encoding="utf-8"), flags=re.MULTILINE)
RULE = """
@id("certified-reads") @owner("Payments") @reason("known by its certificate")
permit (principal == Workload::"certified", action == Action::"issue", resource == Scope::"payments:read");
"""


def edit(bundle: Path) -> None:
    text = CLIENT.format(
        id="certified",
        kind="service",
        method="tls_client_auth",
        grants='"client_credentials"',
        ceilings='payments = "*"',
        more='tls_client_auth_subject_dn = "CN=certified,O=Interop"',
    )
    (bundle / "clients" / "certified.toml").write_text(text)


def identity(pair: pki.Pair) -> dict[str, str]:
    return {"cert": pair.pem.decode(), "key": pair.key_pem.decode()}


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Every check's result, from one run of the client."""
    folder, port = tmp_path_factory.mktemp("mtls"), free_port()
    issuer, base = f"https://127.0.0.1:{port}", f"https://localhost:{port}"
    authority = pki.certificate("CN=Interop clients", authority=True)
    server = pki.served(x509.DNSName("localhost"))
    server.write(folder, "server")
    (folder / "clients.pem").write_bytes(authority.pem)
    settings = f'port = {port}\nissuer = "{issuer}"\nmtls_base = "{base}"\ntls_certificate = "server.pem"\n'
    keys = ECKey.generate_key("P-256"), ECKey.generate_key("P-256")
    config = write_company(
        folder, *keys, server=f'{settings}tls_key = "server.key"\nclient_ca = "clients.pem"', rules=RULE, edit=edit
    )
    asyncio.run(furnish(config))
    plan = folder / "plan.json"
    plan.write_text(
        json.dumps(
            {
                "issuer": issuer,
                "alias": f"{base}/token",
                "ca": server.pem.decode(),
                "client_id": "certified",
                "scope": "payments:read",
                "mine": identity(pki.certificate("CN=certified,O=Interop", authority)),
                "other": identity(pki.certificate("CN=somebody,O=Interop", authority)),
            }
        )
    )
    process = Process("mintwarden", "serve", "--config", str(config), folder=folder)
    try:
        trusting = pki.shown(server)
        process.wait_until(lambda: httpx2.get(f"{issuer}/readyz", verify=trusting).status_code == 200, "it is ready")
        lines = run("node", str(SCRIPT), str(plan)).splitlines()
    finally:
        process.stop()
    return {result["name"]: result for result in map(json.loads, lines)}


@pytest.mark.parametrize("check", CHECKS)
def test_oauth4webapi_with_a_certificate(results: dict[str, dict[str, Any]], check: str):
    assert results[check]["ok"], results[check]["detail"]


def test_no_check_was_left_out(results: dict[str, dict[str, Any]]):
    assert set(results) == set(CHECKS)
