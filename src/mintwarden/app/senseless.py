"""Values that are good one by one and cannot be meant together, or name files that hold something else."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from mintwarden.app.config import Config
from mintwarden.app.problem import Problem
from mintwarden.ledger.witness import witness
from mintwarden.model.errors import MintwardenError


def problem_at(config: Config, key: str, what: str, remedy: str) -> Problem:
    """At the key's origin: a line of the file, a variable, or the file as a whole for a default."""
    origin = config.origins.get(key, "default")
    return Problem(config.file if origin == "default" else origin, 0, what, remedy, tuple(key.split(".")))


def senseless(config: Config) -> Iterator[Problem]:
    """Everything that cannot be meant, each at its key."""
    yield from _rhythms(config)
    yield from _client_certificates(config)
    yield from _pem_files(config)
    yield from _witnesses(config)
    path = Path(config.bundle.path)
    if path.exists() and not path.is_dir():
        yield problem_at(config, "bundle.path", f"`{path}` is a file", "name the bundle's folder")


def _rhythms(config: Config) -> Iterator[Problem]:
    keys, server = config.keys, config.server
    if keys.publish_before > keys.rotation_interval:
        what = "`publish_before` is longer than `rotation_interval`: keys would rotate later than it says"
        yield problem_at(config, "keys.publish_before", what, "make it shorter, or `rotation_interval` longer")
    for name, connection in config.connections.items():
        key = f"connections.{name}.timeout"
        # Its default may be longer than a short `request_timeout`, and then the request's end is the earlier one.
        if connection.timeout > server.request_timeout and config.origins.get(key, "default") != "default":
            what = "`timeout` is longer than a request may take (`server.request_timeout`)"
            yield problem_at(config, key, what, "make it shorter, or `server.request_timeout` longer")


def _client_certificates(config: Config) -> Iterator[Problem]:
    server = config.server
    if server.client_certificate_header:
        return
    if server.client_certificate_format != "rfc9440":
        what = "`client_certificate_format` has no meaning without `client_certificate_header`"
        yield problem_at(config, "server.client_certificate_format", what, "name that one, too, or remove it")
    if server.client_ca and not server.tls_certificate:
        what = "`client_ca` has no meaning: no certificate of a client gets here"
        remedy = "serve TLS here (`tls_certificate`), or name the header of your proxy (`client_certificate_header`)"
        yield problem_at(config, "server.client_ca", what, remedy)


def _pem_files(config: Config) -> Iterator[Problem]:
    """Files that can be read (others are told already) and do not hold what they are for."""
    server = config.server
    for key in ("client_ca", "client_certificates"):
        path = getattr(server, key)
        if _readable(path) and not _holds(path, x509.load_pem_x509_certificates):
            what = f"`{path}` holds no certificates that can be read"
            yield problem_at(config, f"server.{key}", what, "name a file of certificates in PEM")
    if _readable(server.tls_certificate) and _readable(server.tls_key):
        yield from _tls(config)


def _tls(config: Config) -> Iterator[Problem]:
    server = config.server
    if not _holds(server.tls_certificate, x509.load_pem_x509_certificates):
        what = f"`{server.tls_certificate}` holds no certificate that can be read"
        yield problem_at(config, "server.tls_certificate", what, "name a file in PEM: the certificate, then its chain")
        return
    try:
        # An empty password rather than a question on the terminal: a service has nobody to ask.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(server.tls_certificate, server.tls_key, password=lambda: b"")
    except (ssl.SSLError, ValueError):
        what = f"`{server.tls_key}` is not the private key of the certificate, or is locked by a password"
        yield problem_at(config, "server.tls_key", what, "name its key, in PEM and without a password")


def _readable(path: str) -> bool:
    return bool(path) and Path(path).is_file() and os.access(path, os.R_OK)


def _holds(path: str, read: Callable[[bytes], object]) -> bool:
    try:
        return bool(read(Path(path).read_bytes()))
    except (ValueError, UnsupportedAlgorithm):
        return False


def _witnesses(config: Config) -> Iterator[Problem]:
    names: set[str] = set()
    for one in config.ledger.witnesses:
        try:
            witness(one.name, one.vkey, one.url)
        except MintwardenError as error:
            remedy = "write the `name` and `vkey` as the witness publishes them"
            yield problem_at(config, "ledger.witnesses", f"witness `{one.name}`: {error.public}", remedy)
        if one.name in names:
            yield problem_at(config, "ledger.witnesses", f"witness `{one.name}` is there twice", "remove one")
        names.add(one.name)
