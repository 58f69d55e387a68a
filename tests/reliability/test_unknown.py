"""Invariant 10: unknown is refused, at every boundary, and what was unknown is named where that helps.

Each boundary's own tests go further; here they stand side by side, so that none is forgotten. One thing is not
refused: a parameter of a token request that nobody knows is ignored, as RFC 6749 section 3.2 demands.
"""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from joserfc.jwk import ECKey

from mintwarden.app.cli import main
from mintwarden.app.config import load_config
from mintwarden.app.foundation import SELF
from mintwarden.app.problem import ConfigError
from mintwarden.ledger.entry import governance_entry
from mintwarden.ledger.proof_file import read_proof
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.policy.bundle.load import build_bundle
from mintwarden.policy.bundle.problem import BundleRefused
from mintwarden.store import open_store
from tests.flow.company import ADMIN, EXCHANGE, JWT_TYPE, PAYMENTS, Company, running, write_company
from tests.reliability.deployment import SQLITE, site
from tests.reliability.load import part
from tests.reliability.sabotage import edit

# -- the configuration ---------------------------------------------------------

CONFIGURATIONS = {
    "a section": "[flavours]\nsweet = 1\n",
    "a key": "[server]\ncolour = 1\n",
    "a key of a named table": '[connections.hr]\nkind = "sql"\nurl = "x"\ncolour = 1\n',
    "a kind of connection": '[connections.hr]\nkind = "colour"\nurl = "x"\n',
    "a kind of store": '[store]\nurl = "colour://x"\n',
    "a level": '[telemetry]\nlog_level = "colour"\n',
    "a unit": '[server]\nrequest_timeout = "3 colours"\n',
    "a key of a witness": '[[ledger.witnesses]]\nname = "a"\nvkey = "b"\nurl = "c"\ncolour = 1\n',
}


@pytest.mark.parametrize("text", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_10_in_the_configuration(tmp_path: Path, text: str) -> None:
    file = tmp_path / "mintwarden.toml"
    file.write_text(text)
    with pytest.raises(ConfigError):
        load_config(file, environ={})


def test_10_in_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "mintwarden.toml"
    file.write_text("")
    with pytest.raises(ConfigError):
        load_config(file, environ={"MINTWARDEN_SERVER_COLOUR": "blue"})


def test_10_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["colour"], ["serve", "--colour"], ["ledger", "colour"], ["keys", "rotate", "--colour", "ES256"]):
        assert main(words) == 2, words
        assert "mintwarden: " in capsys.readouterr().err


# -- the bundle ----------------------------------------------------------------

HEAD, AUDIENCE, CLIENT = "bundle.toml", "audiences/payments.toml", "clients/batch.toml"
ISSUER, RULES = "issuers/login.toml", "rules/all.cedar"
BUNDLES = {
    "a key of the head": (HEAD, 'name = "small"', 'name = "small"\ncolour = 1'),
    "a table of the head": (HEAD, "[owner]", "[colours]\na = 1\n[owner]"),
    "a key of a tier": (HEAD, 'max_ttl = "1h"', 'max_ttl = "1h"\ncolour = 1'),
    "a way of verifying": (HEAD, 'verify = "always"', 'verify = "colour"'),
    "a key of an audience": (AUDIENCE, 'owner = "Payments"', 'owner = "Payments"\ncolour = 1'),
    "a mode": (AUDIENCE, 'owner = "Payments"', 'owner = "Payments"\nmode = "colour"'),
    "an algorithm of an audience": (AUDIENCE, 'owner = "Payments"', 'owner = "Payments"\nalgorithm = "HS256"'),
    "a binding": (AUDIENCE, 'owner = "Payments"', 'owner = "Payments"\nbinding = "colour"'),
    "a disclosure": (AUDIENCE, '"challenge"', '"colour"'),
    "an environment": (AUDIENCE, '["production"]', '["colour"]'),
    "a claim": (AUDIENCE, "department = [", "colour = ["),
    "a claim's scope": (AUDIENCE, '["payments:write"]', '["payments:colour"]'),
    "a tier": (AUDIENCE, 'tier = "low"', 'tier = "colour"'),
    "a carried scope": (AUDIENCE, '["ledger:read"]', '["ledger:colour"]'),
    "a key of a scope": (AUDIENCE, "default = true", "default = true\ncolour = 1"),
    "a claim's type": ("claims.toml", 'type = "string"', 'type = "colour"'),
    "a claim's source": ("claims.toml", 'source = "directory"', 'source = "colour"'),
    "a claim's fact": ("claims.toml", "subject.department", "subject.colour"),
    "a key of a claim": ("claims.toml", 'type = "string"', 'type = "string"\ncolour = 1'),
    "a registered claim": ("claims.toml", "[claims.department]", "[claims.sub]"),
    "a kind of source": ("sources.toml", 'kind = "store"', 'kind = "colour"'),
    "what a source is about": ("sources.toml", 'about = ["User"]', 'about = ["Colour"]'),
    "what absence means": ("sources.toml", 'missing = "absent"', 'missing = "colour"'),
    "a fact's type": ("sources.toml", 'score = "long"', 'score = "colour"'),
    "a key of a source": ("sources.toml", "groups = true", "groups = true\ncolour = 1"),
    "a kind of client": (CLIENT, 'kind = "batch"', 'kind = "colour"'),
    "a method": (CLIENT, "client_secret_basic", "client_secret_colour"),
    "a grant": (CLIENT, "client_credentials", "password"),
    "an algorithm of a client": (CLIENT, "grants = [", 'algorithms = ["none"]\ngrants = ['),
    "a key of a client": (CLIENT, "grants = [", "colour = 1\ngrants = ["),
    "a ceiling's audience": (CLIENT, "payments = [", "colour = ["),
    "a ceiling's scope": (CLIENT, "payments:read", "payments:colour"),
    "a profile": (ISSUER, '"oidc"', '"colour"'),
    "a way to find keys": (ISSUER, '"inline"', '"colour"'),
    "a type of principal": (ISSUER, 'principal = "User"', 'principal = "Colour"'),
    "a key of an issuer": (ISSUER, 'subject = "sub"', 'subject = "sub"\ncolour = 1'),
    "an annotation": (RULES, '@id("batch-reads")', '@id("batch-reads") @colour("blue")'),
    "a fact in a rule": (RULES, "principal.score >= 80", "principal.colour >= 80"),
    "an action": (RULES, 'action == Action::"act"', 'action == Action::"colour"'),
    "a scope in a rule": (RULES, 'Scope::"payments:write"', 'Scope::"payments:colour"'),
    "a part of the request": (RULES, "when { principal in", "when { context.request.colour == 1 && principal in"),
}


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("company")
    write_company(folder, ECKey.generate_key("P-256"), ECKey.generate_key("P-256"))
    bundle = folder / "bundle"
    found = {str(path.relative_to(bundle)): path.read_text() for path in bundle.rglob("*.*")}
    build_bundle(found)
    return found


@pytest.mark.parametrize(("file", "old", "new"), BUNDLES.values(), ids=BUNDLES)
def test_10_in_the_bundle(texts: dict[str, str], file: str, old: str, new: str) -> None:
    assert old in texts[file]
    with pytest.raises(BundleRefused) as caught:
        build_bundle({**texts, file: texts[file].replace(old, new, 1)})
    found = [problem for problem in caught.value.problems if problem.file == file]
    assert found
    assert any(problem.remedy for problem in found)


def test_10_in_a_scenario(texts: dict[str, str]) -> None:
    given = '[[scenario]]\nid = "a"\nwhy = "b"\n[scenario.given]\nclient = "batch"\naudience = "payments"\n'
    given += 'scopes = ["payments:read"]\nnow = "2026-11-24T02:30:00Z"\n'
    expect = '[scenario.expect]\ngranted = ["payments:read"]\n'
    build_bundle({**texts, "tests/a.toml": given + expect})
    for wrong in ("colour = 1\n" + expect, expect + "colour = 1\n"):
        with pytest.raises(BundleRefused):
            build_bundle({**texts, "tests/a.toml": given + wrong})


# -- requests ------------------------------------------------------------------


@pytest.fixture
async def company(tmp_path: Path) -> AsyncIterator[Company]:
    async with running(tmp_path) as company:
        yield company


OWN = {"grant_type": "client_credentials"}
FORMS = {
    "a grant": ({"grant_type": "password"}, 400, "unsupported_grant_type"),
    "a scope": (OWN | {"scope": "payments:colour"}, 400, "invalid_scope"),
    "a scope beside a known one": (OWN | {"scope": "payments:read colour"}, 400, "invalid_scope"),
    "a resource": (OWN | {"resource": "https://colour.example"}, 400, "invalid_target"),
    "an audience": (OWN | {"audience": "colour"}, 400, "invalid_target"),
    "a purpose": (OWN | {"purpose": "colour"}, 400, "invalid_request"),
    "an environment": (OWN | {"environment": "colour"}, 400, "invalid_request"),
    "a tenant where there are none": (OWN | {"tenant": "colour"}, 400, "invalid_request"),
    "a lifetime": (OWN | {"requested_lifetime": "colour"}, 400, "invalid_request"),
    "a type of assertion": (OWN | {"client_assertion_type": "urn:colour", "client_assertion": "x"}, 400, "invalid_request"),
}  # fmt: skip


async def test_10_in_a_parameters_value(company: Company) -> None:
    for name, (form, status, error) in FORMS.items():
        answer = await company.ask("batch", **form)
        assert (answer.status_code, answer.json()["error"]) == (status, error), name


async def test_10_but_not_a_parameters_name(company: Company) -> None:
    assert (await company.ask("batch", **OWN, colour="blue")).status_code == 200


async def test_10_in_types_of_tokens(company: Company) -> None:
    person = company.signed_in("alice", int(time.time()))
    good = {"grant_type": EXCHANGE, "subject_token": person, "subject_token_type": JWT_TYPE, "resource": PAYMENTS}
    assert (await company.ask("helper", **good)).status_code == 200
    for wrong in (
        {"subject_token_type": "urn:ietf:params:oauth:token-type:saml2"},
        {"requested_token_type": "urn:ietf:params:oauth:token-type:refresh_token"},
        {"actor_token": person, "actor_token_type": "urn:colour"},
    ):
        answer = await company.ask("helper", **(good | wrong))
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request"), wrong


async def test_10_in_http(company: Company) -> None:
    http = company.http
    odd = {"authorization": "Colour abc", "content-type": "application/x-www-form-urlencoded"}
    assert (await http.post("/token", content=b"grant_type=client_credentials", headers=odd)).status_code == 401
    for kind in ("application/json", "multipart/form-data; boundary=x", "text/plain", "application/x-colour"):
        answer = await http.post("/token", content=b"{}", headers={"content-type": kind})
        assert answer.status_code == 415, kind
    encoded = {"content-type": "application/x-www-form-urlencoded", "content-encoding": "colour"}
    assert (await http.post("/token", content=b"a=b", headers=encoded)).status_code == 415
    assert (await http.request("COLOUR", "/token")).status_code in (400, 405)
    for path in ("/colour", "/.well-known/colour", "/ledger/colour", "/ledger/tile/9/9/9", "/admin/v1/colour"):
        assert (await http.get(path)).status_code == 404, path


DOCUMENTS: list[dict[str, Any]] = [
    {"entity": "User:alice", "source": "risk", "facts": {"colour": 1}},
    {"entity": "User:alice", "source": "colour", "facts": {}},
    {"entity": "Colour:alice", "source": "risk", "facts": {"score": 1}},
    {"entity": "User:alice", "source": "risk", "facts": {"score": "blue"}},
    {"entity": "User:alice", "source": "risk", "facts": {"score": 1}, "colour": 1},
    {"entity": "User:alice", "source": "risk", "facts": {"score": 1}, "groups": ["colour"]},
    {"entity": "User:alice", "source": "risk", "facts": {"score": 1}, "spans": {"colour": {"a": [1, 2]}}},
]


async def test_10_in_pushed_facts(company: Company) -> None:
    token = await company.token("operator", **OWN, scope="mintwarden:facts.write", resource=ADMIN)
    headers = {"authorization": f"Bearer {token}"}
    for document in DOCUMENTS:
        answer = await company.http.put("/admin/v1/facts", json={"documents": [document]}, headers=headers)
        problem = answer.json()["type"].rpartition("#")[2]
        assert (answer.status_code, problem) == (400, "invalid_request"), document


# -- tokens --------------------------------------------------------------------


def b64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def compact(key: ECKey, header: dict[str, Any], claims: dict[str, Any]) -> str:
    """A token whose signature is good for its key, whatever its header says."""
    data = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims).encode())}"
    private = key.private_key
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    if header.get("alg") == "none":
        return f"{data}."
    if str(header.get("alg")).startswith("HS"):
        pem = private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        mac = hmac.HMAC(pem, hashes.SHA256())
        mac.update(data.encode())
        return f"{data}.{b64(mac.finalize())}"
    r, s = decode_dss_signature(private.sign(data.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{data}.{b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


HEADERS: dict[str, dict[str, Any]] = {
    "no algorithm at all": {"alg": None},
    "the algorithm none": {"alg": "none"},
    "none in other letters": {"alg": "nOnE"},
    "a symmetric algorithm": {"alg": "HS256"},
    "an algorithm that nobody knows": {"alg": "ES1024"},
    "a known algorithm in other letters": {"alg": "es256"},
    "an algorithm of another key": {"alg": "RS256"},
    "a critical header that nobody knows": {"crit": ["colour"], "colour": 1},
    "a critical header that is known elsewhere": {"crit": ["b64"], "b64": False},
    "nothing critical": {"crit": []},
    "a critical header that is not there": {"crit": ["exp"]},
    "another kind of token": {"typ": "colour+jwt"},
    "a key that nobody knows": {"kid": "colour"},
}


async def test_10_in_headers_of_tokens(company: Company) -> None:
    now = int(time.time())
    signer, login = {"alg": "ES256", "kid": "signer-1"}, {"alg": "ES256", "kid": "login-1", "typ": "JWT"}
    proof = {"iss": "signer", "sub": "signer", "aud": "https://tokens.example.com", "exp": now + 60}
    person = json.loads(part(company.signed_in("alice", now), 1))
    ours = await company.token("operator", **OWN, scope="mintwarden:decisions.read", resource=ADMIN)

    async def shown(name: str, change: dict[str, Any]) -> tuple[int, int, int]:
        """What becomes of an assertion, a subject token and a token for the administration with that change."""
        assertion = compact(company.signer, signer | change, proof | {"jti": name})
        form = OWN | company.assertion(now) | {"client_assertion": assertion}
        subject = compact(company.login, login | change, person)
        bearer = compact(company.login, json.loads(part(ours, 0)) | change, json.loads(part(ours, 1)))
        answers = (
            await company.http.post("/token", data=form),
            await company.exchange("helper", subject, resource=PAYMENTS),
            await company.http.get("/admin/v1/decisions/x", headers={"authorization": f"Bearer {bearer}"}),
        )
        first, second, third = (answer.status_code for answer in answers)
        return first, second, third

    assert await shown("as it should be", {}) == (200, 200, 401), "the last is signed by another's key"
    for name, change in HEADERS.items():
        assert await shown(name, change) == (401, 400, 401), name


# -- what is stored ------------------------------------------------------------


async def test_10_in_the_stores_schema(tmp_path: Path) -> None:
    async with site(tmp_path, SQLITE):
        edit(tmp_path, "UPDATE alembic_version SET version_num = 'r9999'")
        with pytest.raises(MintwardenError) as caught:
            await open_store(f"sqlite:///{tmp_path}/mintwarden.db")
        assert caught.value.kind is ErrorKind.STORE


def test_10_in_the_ledger() -> None:
    with pytest.raises(MintwardenError):
        governance_entry(kind="colour", entry_id=bytes(16), issuer="x", at=0, actor=SELF, detail={})  # type: ignore[arg-type]
    for odd in (b'{"v": 99}', b'{"colour": 1}', b"colour\n"):
        with pytest.raises(MintwardenError):
            read_proof(odd)
