"""The working folder of a demonstration: a copy of the bundle with keys of its own, configuration, secrets."""

from __future__ import annotations

import base64
import ipaddress
import json
import os
import secrets
import shutil
import socket
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import tomlkit
from cryptography import x509
from joserfc.jwk import ECKey, OKPKey
from msgspec import Struct

from mintwarden.app.config import load_config
from mintwarden.app.demo.additions import add_to
from mintwarden.app.demo.certificates import LASTING, Credential, new_authority, self_signed
from mintwarden.app.demo.front import CERTIFICATE_HEADER, CHAIN_HEADER
from mintwarden.app.demo.provider import Provider
from mintwarden.app.demo.upstreams import Upstreams
from mintwarden.app.foundation import foundation
from mintwarden.authn.ports import ClientSecret
from mintwarden.authn.secrets import generate_secret, hash_secret
from mintwarden.model.catalogue import Catalogue
from mintwarden.model.errors import ErrorKind, MintwardenError

PROXY = "127.0.0.0/8"
"""Whoever is on loopback counts as the load balancer, so that the story can come from several networks."""

AUTHORITY = "clients-ca.pem"
"""The file of the authority that issues clients' certificates; its key is in no file."""

GATE = "payments-api"
"""A service that keeps a key, and shows a certificate of it where it is asked for one."""

SECRET = "staff.secret"  # noqa: S105 - the name of a file

PrivateKey = ECKey | OKPKey


class Stage(Struct, frozen=True, kw_only=True):
    """Everything that the demonstration knows about the service that it drives.

    Attributes:
        issuer: the service's base URL and issuer identifier.
        store: the store's URL.
        secrets, keys: what clients authenticate with, by client id.
        authority: who issues certificates to clients.
        own: the certificate of `GATE`, by nobody but itself.
        front: certificate and key of the load balancer, as files, and the authority that issued them.
        attester: the key of who attests the instances of a client.
    """

    folder: Path
    issuer: str
    store: str
    catalogue: Catalogue
    secrets: Mapping[str, str]
    keys: Mapping[str, PrivateKey]
    authority: Credential
    front: tuple[Path, Path]
    front_authority: Credential
    own: Credential
    attester: ECKey

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.folder / "mintwarden.toml"

    @property
    def bundle(self) -> Path:
        """The copy of the bundle."""
        return self.folder / "meridian"

    @property
    def database(self) -> str:
        """The store, as its file or its URL."""
        return self.store.removeprefix("sqlite:///")

    @property
    def log(self) -> Path:
        """What the server writes."""
        return self.folder / "server.log"


def meridian() -> Path:
    """The bundle of the example company: in the installed package, or in the repository beside the source."""
    for place in (
        Path(str(resources.files("mintwarden"))) / "examples",
        Path(__file__).resolve().parents[4] / "examples",
    ):
        if (place / "meridian" / "bundle.toml").is_file():
            return place / "meridian"
    raise MintwardenError(
        ErrorKind.NOT_FOUND,
        "the example company is not installed",
        hint="install the package anew, or run from a clone",
    )


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def set_stage(folder: Path, *, port: int, store: str, upstreams: Upstreams, front: str) -> Stage:
    """Write the working folder and make its store. `store` empty: SQLite in the folder; `front`: where TLS ends.

    Raises whatever keeps a deployment from being opened.
    """
    bundle = folder / "meridian"
    shutil.copytree(meridian(), bundle)
    keys = {path.stem: _give_key(path) for path in sorted((bundle / "clients").glob("*.toml")) if _has_key(path)}
    attester, authority = add_to(bundle), new_authority("Meridian Payments, for clients")
    (folder / AUTHORITY).write_text(authority.pem, encoding="ascii")
    gate_key: Any = keys[GATE].private_key
    servers = new_authority("Meridian Payments, for servers")
    here = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    issuer = f"http://127.0.0.1:{port}"
    _sign_in_at(bundle, upstreams.provider, issuer)
    _write_private(folder / SECRET, upstreams.provider.secret.encode())
    _write_private(folder / "master.key", base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=") + b"\n")
    config = folder / "mintwarden.toml"
    url = store or f"sqlite:///{folder / 'mintwarden.db'}"
    config.write_text(_configuration(issuer, port, url, upstreams, front), encoding="utf-8")
    async with foundation(load_config(config), create=True) as base:
        catalogue = base.bundle.catalogue
        given = {
            client.id: generate_secret(secrets.token_bytes)
            for client in catalogue.clients.values()
            if any(method.startswith("client_secret") for method in client.methods)
        }
        now = base.clock.now()
        await base.store.credentials.add_secrets(
            [
                ClientSecret(
                    client_id=name, scheme="hmac-sha256", digest=hash_secret(base.pepper, secret), created_at=now
                )
                for name, secret in given.items()
            ]
        )
    return Stage(
        folder=folder,
        issuer=issuer,
        store=url,
        catalogue=catalogue,
        secrets=given,
        keys=keys,
        authority=authority,
        front=servers.issue("127.0.0.1", also=here, life=LASTING).write(folder, "front"),
        front_authority=servers,
        own=self_signed(GATE, gate_key),
        attester=attester,
    )


def _sign_in_at(bundle: Path, provider: Provider, issuer: str) -> None:
    """Have the copied bundle name the demonstration's sign-in, which answers back at `issuer`, and ourselves.

    The sign-in's tokens are also brought along by clients: what is one service for the company stays one.
    """
    provider.redirect_uri = f"{issuer}/signin/callback/staff"
    for file, table, key, value in (
        ("providers/staff.toml", "provider", "issuer", provider.issuer),
        ("issuers/login.toml", "issuer", "issuer", provider.issuer),
        ("bundle.toml", "bundle", "issuer", issuer),
        ("audiences/identity.toml", "audience", "identifier", issuer),
    ):
        path = bundle / file
        document: Any = tomlkit.parse(path.read_text(encoding="utf-8"))
        document[table][key] = value
        path.write_text(tomlkit.dumps(document), encoding="utf-8")
    for path in sorted((bundle / "issuers").glob("*.toml")):
        document = tomlkit.parse(path.read_text(encoding="utf-8"))
        document["issuer"]["audiences"].append(issuer)
        path.write_text(tomlkit.dumps(document), encoding="utf-8")


def _has_key(client: Path) -> bool:
    return "keys" in tomlkit.parse(client.read_text(encoding="utf-8"))["client"]


def _give_key(client: Path) -> PrivateKey:
    """Replace the key of a client in the copied bundle by a fresh one, whose private half is returned."""
    document = tomlkit.parse(client.read_text(encoding="utf-8"))
    entry: Any = document["client"]
    old = entry["keys"][0]
    settings: Any = {"use": "sig", "alg": str(old["alg"])}
    key: PrivateKey
    if old["kty"] == "OKP":
        key = OKPKey.generate_key("Ed25519", settings, private=True, auto_kid=True)
    else:
        key = ECKey.generate_key("P-256", settings, private=True, auto_kid=True)
    fresh = tomlkit.aot()
    fresh.append(tomlkit.item(dict(key.as_dict(private=False))))
    entry["keys"] = fresh
    client.write_text(tomlkit.dumps(document), encoding="utf-8")
    return key


def _write_private(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)


def _configuration(issuer: str, port: int, store: str, upstreams: Upstreams, front: str) -> str:
    document: dict[str, Any] = {
        "server": {
            "host": "127.0.0.1",
            "port": port,
            "dev": True,
            "issuer": issuer,
            "proxies": [PROXY],
            "client_ca": AUTHORITY,
            "client_certificate_header": CERTIFICATE_HEADER,
            "client_certificate_chain_header": CHAIN_HEADER,
            "mtls_base": front,
        },
        "store": {"url": store},
        "bundle": {"path": "meridian"},
        "keys": {"master_key_file": "master.key"},
        "upstreams": {"staff": {"secret_file": SECRET}},
        "trusted_issuers": {
            upstream.issuer: {"jwks_uri": upstreams.jwks_uri(name)} for name, upstream in upstreams.by_id.items()
        },
    }
    return tomlkit.dumps(document)


def private_jwk(key: PrivateKey) -> dict[str, Any]:
    """A private key as a plain JWK."""
    found: dict[str, Any] = json.loads(json.dumps(dict(key.as_dict(private=True))))
    return found
