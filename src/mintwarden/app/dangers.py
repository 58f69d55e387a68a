"""Combinations of good values that make a bad deployment: they refuse to start."""

from __future__ import annotations

import ipaddress
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from mintwarden.app.config import Config, ConnectionConfig, TransmitterConfig, UpstreamConfig
from mintwarden.app.convert import split_url
from mintwarden.app.problem import ConfigError, Problem
from mintwarden.app.senseless import problem_at, senseless
from mintwarden.ledger.note import check_name
from mintwarden.model.errors import MintwardenError
from mintwarden.web.pages.languages import read_catalogues

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^`|~-]{1,100}", re.ASCII)
_TAKEN = frozenset(
    "authorization connection content-encoding content-length content-type cookie dpop host transfer-encoding "
    "x-forwarded-for".split()
)


def refuse_dangers(config: Config, *, environ: Mapping[str, str] | None = None) -> None:
    """Return if the configuration is safe to serve with; raise `ConfigError` with every danger otherwise."""
    env = os.environ if environ is None else environ
    found = [
        *_transport(config),
        *_issuer(config),
        *_master_key(config, env),
        *_reach(config),
        *_upstreams(config, env),
        *_transmitters(config, env),
        *_origin(config),
        *_pages(config),
        *senseless(config),
    ]
    if found:
        raise ConfigError(tuple(found))


def is_loopback(host: str) -> bool:
    """Does an address or host name stay on this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _transport(config: Config) -> Iterator[Problem]:
    server = config.server
    if bool(server.tls_certificate) != bool(server.tls_key):
        yield problem_at(
            config, "server.tls_certificate", "`tls_certificate` and `tls_key` go together", "give both, or neither"
        )
    if not is_loopback(server.host) and not server.tls_certificate and not server.proxies and not server.dev:
        yield problem_at(
            config,
            "server.host",
            f"`{server.host}` would take secrets over plain HTTP",
            "set `tls_certificate` and `tls_key`, or name the TLS proxy's networks in `proxies`",
        )
    for network in server.proxies:
        if ipaddress.ip_network(network).prefixlen == 0:
            yield problem_at(
                config, "server.proxies", f"`{network}` trusts the whole world", "name your proxies' own networks"
            )
    for key in ("tls_certificate", "tls_key", "client_ca", "client_certificates"):
        path = getattr(server, key)
        if path and not _is_readable(path):
            yield problem_at(config, f"server.{key}", f"`{path}` cannot be read", "name a readable PEM file")
    yield from _client_certificates(config)
    if server.tls_key and _exposed(server.tls_key):
        yield problem_at(config, "server.tls_key", f"`{server.tls_key}` is readable by others", "chmod 600 it")


def _client_certificates(config: Config) -> Iterator[Problem]:
    """Whose word is taken for the certificate of a client."""
    server = config.server
    header = server.client_certificate_header
    if header and (not _HEADER.fullmatch(header) or header.lower() in _TAKEN):
        what = f"`{header}` cannot be the header with the client certificate"
        yield problem_at(config, "server.client_certificate_header", what, "name one of its own, such as `Client-Cert`")
    beside = server.client_certificate_chain_header
    if beside and (not _HEADER.fullmatch(beside) or beside.lower() in _TAKEN or beside.lower() == header.lower()):
        what = f"`{beside}` cannot be the header with what comes beside the client certificate"
        where = "server.client_certificate_chain_header"
        yield problem_at(config, where, what, "name one of its own, such as `Client-Cert-Chain`")
    elif beside and not header:
        what = "`client_certificate_chain_header` has no meaning without `client_certificate_header`"
        yield problem_at(config, "server.client_certificate_chain_header", what, "name that one, too, or remove it")
    if header and not server.proxies:
        yield problem_at(
            config,
            "server.client_certificate_header",
            "nobody could be believed about the client certificate",
            "name the networks of the proxies that set the header in `proxies`",
        )
    if server.client_certificates and not server.tls_certificate:
        what = "`client_certificates` have no meaning without `tls_certificate`"
        yield problem_at(config, "server.client_certificates", what, "serve TLS here, or leave it to the proxy")
    parts = urlsplit(server.mtls_base)
    if server.mtls_base and (
        parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment or server.mtls_base.endswith("/")
    ):
        what = f"`{server.mtls_base}` is not the base of an endpoint"
        yield problem_at(config, "server.mtls_base", what, "use an https URL without query, fragment and last slash")


def _issuer(config: Config) -> Iterator[Problem]:
    issuer = config.server.issuer
    if not issuer:
        return
    if not config.server.dev:
        yield problem_at(
            config, "server.issuer", "`issuer` replaces the bundle's only with `dev = true`", "set it in the bundle"
        )
    parts = urlsplit(issuer)
    plain = parts.scheme == "http" and is_loopback(parts.hostname or "")
    if (parts.scheme != "https" and not plain) or not parts.hostname or parts.query or parts.fragment:
        yield problem_at(
            config, "server.issuer", f"`{issuer}` is not an issuer", "use an https URL without query or fragment"
        )


def _master_key(config: Config, environ: Mapping[str, str]) -> Iterator[Problem]:
    keys = config.keys
    if bool(keys.master_key_file) == bool(keys.master_key_env):
        what = "exactly one of `master_key_file` and `master_key_env` is needed"
        yield problem_at(config, "keys.master_key_file", what, "`mintwarden init` writes a key file")
    elif keys.master_key_env and not environ.get(keys.master_key_env):
        what = f"the variable `{keys.master_key_env}` is not set"
        yield problem_at(config, "keys.master_key_env", what, "set it to the master key")
    elif keys.master_key_file and not _is_readable(keys.master_key_file):
        yield problem_at(
            config, "keys.master_key_file", f"`{keys.master_key_file}` cannot be read", "name an existing key file"
        )
    elif keys.master_key_file and _exposed(keys.master_key_file):
        yield problem_at(
            config, "keys.master_key_file", f"`{keys.master_key_file}` is readable by others", "chmod 600 it"
        )


def _upstreams(config: Config, environ: Mapping[str, str]) -> Iterator[Problem]:
    for name, upstream in config.upstreams.items():
        key = f"upstreams.{name}"
        yield from _shared_secret(config, key, upstream, environ, "provider")
        yield from _anywhere(config, f"{key}.networks", upstream.networks, "a provider")


def _transmitters(config: Config, environ: Mapping[str, str]) -> Iterator[Problem]:
    for name, transmitter in config.transmitters.items():
        key = f"transmitters.{name}"
        yield from _shared_secret(config, key, transmitter, environ, "transmitter")
        yield from _anywhere(config, f"{key}.networks", transmitter.networks, "a transmitter")
        has_secret = bool(transmitter.secret_file or transmitter.secret_env)
        if bool(transmitter.token_url) != bool(transmitter.client_id) or (transmitter.token_url and not has_secret):
            what = "access tokens for a transmitter need `token_url`, `client_id` and the client's secret"
            yield problem_at(config, f"{key}.token_url", what, "give all three, or neither of the first two")


def _shared_secret(
    config: Config, key: str, shared: UpstreamConfig | TransmitterConfig, environ: Mapping[str, str], who: str
) -> Iterator[Problem]:
    if shared.secret_file and shared.secret_env:
        what = f"a {who}'s secret is in a file or in a variable"
        yield problem_at(config, f"{key}.secret_file", what, "give one of `secret_file` and `secret_env`")
    if shared.secret_env and not environ.get(shared.secret_env):
        what = f"the variable `{shared.secret_env}` is not set"
        yield problem_at(config, f"{key}.secret_env", what, f"set it to the secret that the {who} knows")
    if shared.secret_file and not _is_readable(shared.secret_file):
        what = f"`{shared.secret_file}` cannot be read"
        yield problem_at(config, f"{key}.secret_file", what, "name an existing file")
    elif shared.secret_file and _exposed(shared.secret_file):
        what = f"`{shared.secret_file}` is readable by others"
        yield problem_at(config, f"{key}.secret_file", what, "chmod 600 it")


def _anywhere(config: Config, key: str, networks: Iterable[str], who: str) -> Iterator[Problem]:
    for network in networks:
        if ipaddress.ip_network(network).prefixlen == 0:
            what = f"`{network}` lets {who} be anywhere, our own network included"
            yield problem_at(config, key, what, "name the networks that it is in")


def _origin(config: Config) -> Iterator[Problem]:
    if not config.ledger.origin:
        return
    try:
        check_name(config.ledger.origin)
    except MintwardenError as error:
        yield problem_at(config, "ledger.origin", error.public, "write a name such as `tokens.example.com`")


def _pages(config: Config) -> Iterator[Problem]:
    theme, language = config.pages.theme, config.pages.language
    if theme and not Path(theme).is_dir():
        yield problem_at(config, "pages.theme", f"`{theme}` is not a folder", "name the theme's folder")
        return
    try:
        spoken = sorted(read_catalogues(theme))
    except MintwardenError as error:
        yield problem_at(config, "pages.theme", error.public, "see `docs/sign-in.md`, Pages")
        return
    if language.lower() not in spoken:
        what = f"there is no catalogue of the language `{language}`"
        yield problem_at(config, "pages.language", what, f"there are {', '.join(f'`{tag}`' for tag in spoken)}")


def _is_readable(path: str) -> bool:
    return os.access(path, os.R_OK) and not Path(path).is_dir()


def _exposed(path: str) -> bool:
    file = Path(path)
    return file.exists() and bool(file.stat().st_mode & stat.S_IRWXO)


def _reach(config: Config) -> Iterator[Problem]:
    for iss, reach in config.trusted_issuers.items():
        key = f"trusted_issuers.{iss}"
        yield from _anywhere(config, f"{key}.networks", reach.networks, "an issuer")
        if not reach.jwks_uri and not reach.networks:
            what = "it says nothing of how the issuer is reached"
            yield problem_at(config, key, what, "give `jwks_uri`, `networks` or both")
        elif reach.jwks_uri and not _secure(config, reach.jwks_uri):
            what = f"`{reach.jwks_uri}` is not an https URL"
            yield problem_at(config, f"{key}.jwks_uri", what, "fetch keys over TLS")
        if not _secure(config, iss) and not iss.startswith("spiffe://"):
            what = f"`{iss}` is not an issuer"
            remedy = 'write the table as `[trusted_issuers."https://..."]`, with the issuer as the bundle has it'
            yield problem_at(config, f"{key}.jwks_uri", what, remedy)
    yield from _anywhere(config, "notices.networks", config.notices.networks, "a client")
    for one in config.ledger.witnesses:
        if not _secure(config, one.url):
            what = f"witness `{one.name}`: `{one.url}` is not an https URL"
            yield problem_at(config, "ledger.witnesses", what, "name the URL of the witness, over TLS")
    endpoint = split_url(config.telemetry.otlp_endpoint)
    if endpoint is not None and not endpoint.path:
        what = f"`{config.telemetry.otlp_endpoint}` has no path, and nothing is added to it"
        remedy = f"write the whole of it, usually `{config.telemetry.otlp_endpoint}/v1/traces`"
        yield problem_at(config, "telemetry.otlp_endpoint", what, remedy)
    for name, connection in config.connections.items():
        yield from _connection(config, name, connection)


def _secure(config: Config, url: str) -> bool:
    """An https URL; http to this machine in development."""
    parts = split_url(url)
    local = parts is not None and config.server.dev and is_loopback(parts.hostname or "")
    return parts is not None and (parts.scheme == "https" or (parts.scheme == "http" and local))


def _connection(config: Config, name: str, connection: ConnectionConfig) -> Iterator[Problem]:
    """What is wrong with an address is told without it: it may hold a password."""
    key, parts = f"connections.{name}.url", split_url(connection.url)
    scheme = connection.url.partition(":")[0]
    if connection.kind == "sql":
        if scheme != "sqlite" and (scheme.partition("+")[0] != "postgresql" or parts is None or len(parts.path) < 2):
            what = f"connection `{name}` is `sql`, and its `url` names no database"
            remedy = "write `postgresql://user:password@host/database` or `sqlite:///path`"
            yield problem_at(config, key, what, remedy)
    elif parts is None or parts.scheme not in ("http", "https"):
        what = f"connection `{name}` is `http`, and its `url` is none of the web"
        yield problem_at(config, key, what, "write `https://host/path`")
    elif parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        yield problem_at(config, key, f"connection `{name}` sends facts over plain HTTP", "use https")
