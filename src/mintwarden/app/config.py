"""The configuration of one deployment: what the operator says, as opposed to what the bundle says.

The file is TOML; every key can be overridden by `MINTWARDEN_<SECTION>_<KEY>`. Values are read and checked once,
at start; unknown keys, wrong types and dangerous combinations refuse to start. `docs/operations.md` has a
heading for each section and a row for each key, checked by a test.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

from mintwarden.app.convert import Unit, WrongValue, convert_value, lasting, sized
from mintwarden.app.overrides import PREFIX, misspelt, override_name
from mintwarden.app.problem import ConfigError, Problem, did_you_mean, line_of

FilePath = Annotated[str, Meta(extra={"unit": Unit.PATH})]
Folder = Annotated[str, Meta(extra={"unit": Unit.FOLDER})]
StoreUrl = Annotated[str, Meta(extra={"unit": Unit.STORE})]
SecretUrl = Annotated[str, Meta(extra={"unit": Unit.SECRET_URL})]
Url = Annotated[str, Meta(extra={"unit": Unit.URL})]
Host = Annotated[str, Meta(extra={"unit": Unit.HOST})]
Variable = Annotated[str, Meta(extra={"unit": Unit.VARIABLE})]
Networks = Annotated[tuple[str, ...], Meta(extra={"unit": Unit.NETWORKS})]


PRIVATE_NETWORKS = (
    "127.0.0.0/8",
    "::1/128",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "fc00::/7",
)


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file. Every field has a working default."""


class ServerConfig(Section, frozen=True, kw_only=True):
    """`[server]`: how requests come in.

    Attributes:
        host: the address to listen on.
        port: the port to listen on; 0 takes a free one.
        workers: worker processes.
        dev: a development server: plain HTTP beyond loopback and an issuer that differs from the bundle's.
        issuer: replaces the bundle's issuer; only with `dev`.
        proxies: networks of reverse proxies whose `X-Forwarded-For` is believed.
        tls_certificate: PEM certificate chain to serve with.
        tls_key: PEM private key of `tls_certificate`.
        client_ca: PEM certificates of the CAs that issue client certificates (RFC 8705).
        client_certificates: PEM self-signed certificates that clients may begin a connection with.
        client_certificate_header: the header in which `proxies` say the client's certificate.
        client_certificate_chain_header: the header in which they say what came beside it (RFC 9440).
        client_certificate_format: how it is written there: `rfc9440`, or `escaped-pem` as nginx does.
        mtls_base: the URL that clients with a certificate call, when it is another than the issuer's.
        max_body: the largest request body.
        max_in_flight: requests of one worker that are worked on at once.
        max_queued: requests of one worker that may wait for their turn; beyond it the answer is 503.
        request_timeout: how long a request may take to arrive, and how long from then on to its answer.
        drain_timeout: how long requests in flight may finish after SIGTERM.
        dpop_nonces: DPoP proofs must carry a nonce that this service has handed out (RFC 9449 section 8).
        admin_rate: calls of the administration API that a client may make for one person in a second, in the long run.
        admin_burst: calls that it may make at once after a pause.
        visit_rate: requests for pages, and pushed requests of public clients, from one address in a second, in the long
            run.
        visit_burst: as many of them at once after a pause.
    """

    host: Host = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8080
    workers: Annotated[int, Meta(ge=1, le=256)] = 1
    dev: bool = False
    issuer: Url = ""
    proxies: Networks = ()
    tls_certificate: FilePath = ""
    tls_key: FilePath = ""
    client_ca: FilePath = ""
    client_certificates: FilePath = ""
    client_certificate_header: str = ""
    client_certificate_chain_header: str = ""
    client_certificate_format: Literal["rfc9440", "escaped-pem"] = "rfc9440"
    mtls_base: Url = ""
    max_body: Annotated[int, sized("4KiB", "1GiB")] = 64 * 1024
    max_in_flight: Annotated[int, Meta(ge=1, le=100_000)] = 256
    max_queued: Annotated[int, Meta(ge=0, le=100_000)] = 256
    request_timeout: Annotated[float, lasting("100ms", "10m")] = 10.0
    drain_timeout: Annotated[float, lasting("100ms", "1h")] = 20.0
    dpop_nonces: bool = False
    admin_rate: Annotated[float, Meta(gt=0, le=10_000)] = 20.0
    admin_burst: Annotated[int, Meta(ge=1, le=100_000)] = 100
    visit_rate: Annotated[float, Meta(gt=0, le=100_000)] = 20.0
    visit_burst: Annotated[int, Meta(ge=1, le=1_000_000)] = 1000


class StoreConfig(Section, frozen=True, kw_only=True):
    """`[store]`: where state is kept.

    Attributes:
        url: `sqlite:///path` (relative to the file) or `postgresql://user:password@host/database`.
    """

    url: StoreUrl = "sqlite:///mintwarden.db"


class BundleConfig(Section, frozen=True, kw_only=True):
    """`[bundle]`: the policy.

    Attributes:
        path: the bundle's directory.
    """

    path: Folder = "bundle"


class KeysConfig(Section, frozen=True, kw_only=True):
    """`[keys]`: signing keys and what seals them.

    Attributes:
        master_key_file: a file with 32 random bytes in base64url, readable by the service alone.
        master_key_env: the name of an environment variable that holds the same.
        rotation_interval: how long a signing key stays active.
        publish_before: how long a key is published before it signs.
    """

    master_key_file: FilePath = ""
    master_key_env: Variable = ""
    rotation_interval: Annotated[float, lasting("1m", "1000d")] = 30 * 86400.0
    publish_before: Annotated[float, lasting("2s", "365d")] = 86400.0


class Witness(Section, frozen=True, kw_only=True):
    """`[[ledger.witnesses]]`: who cosigns checkpoints.

    Attributes:
        name: the witness's name, as in its verifier key.
        vkey: its verifier key (C2SP signed-note).
        url: where it takes checkpoints (C2SP tlog-witness).
    """

    name: str
    vkey: str
    url: str


class LedgerConfig(Section, frozen=True, kw_only=True):
    """`[ledger]`: the log.

    Attributes:
        origin: the log's name in its checkpoints; the issuer without its scheme when empty.
        checkpoint_interval: how often the sequencer looks for new entries.
        witnesses: who cosigns checkpoints.
    """

    origin: str = ""
    checkpoint_interval: Annotated[float, lasting("10ms", "30s")] = 0.5
    witnesses: tuple[Witness, ...] = ()


class TelemetryConfig(Section, frozen=True, kw_only=True):
    """`[telemetry]`: what the operator sees.

    Attributes:
        log_level: the least severe line that is written.
        log_format: `json`, or `console` for a person.
        otlp_endpoint: where traces go (OTLP over HTTP); none are made when empty.
        metrics_networks: who may read `/metrics`; to anyone else there is nothing there.
    """

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"
    otlp_endpoint: Url = ""
    metrics_networks: Networks = PRIVATE_NETWORKS


class ReviewsConfig(Section, frozen=True, kw_only=True):
    """`[reviews]`: reviews that the administration API is asked for; each runs in a process of its own.

    Attributes:
        at_once: how many run on this machine at once.
        waiting: how many may wait for their turn in one worker; beyond it the answer is 503.
        timeout: how long one may run.
        memory: how much memory one may take.
        priority: how far it stands behind what issues tokens: `idle` (it has what nobody else wants), `low`, or
            `normal` (not at all).
    """

    at_once: Annotated[int, Meta(ge=1, le=8)] = 1
    waiting: Annotated[int, Meta(ge=1, le=1000)] = 16
    timeout: Annotated[float, lasting("10ms", "1d")] = 900.0
    memory: Annotated[int, sized("256MiB", "64GiB")] = 2 * 1024 * 1024 * 1024
    priority: Literal["idle", "low", "normal"] = "idle"


class ConnectionConfig(Section, frozen=True, kw_only=True):
    """`[connections.<name>]`: how this deployment reaches a source that the bundle names.

    Attributes:
        kind: `sql` or `http`.
        url: its address, credentials included.
        timeout: how long one read may take.
    """

    kind: Literal["sql", "http"]
    url: SecretUrl
    timeout: Annotated[float, lasting("1ms", "1m")] = 1.0


class TrustedIssuerConfig(Section, frozen=True, kw_only=True):
    """`[trusted_issuers."<iss>"]`: how this deployment reaches an issuer that the bundle trusts.

    Attributes:
        jwks_uri: where its keys are fetched, instead of what discovery says.
        networks: networks of the operator's own that it may be in.
    """

    jwks_uri: Url = ""
    networks: Networks = ()


class UpstreamConfig(Section, frozen=True, kw_only=True):
    """`[upstreams.<id>]`: how this deployment reaches a provider that the bundle lets people sign in at.

    Attributes:
        secret_file: a file with the secret that we share with it.
        secret_env: the name of an environment variable that holds the same.
        networks: networks of the operator's own that it may be in.
    """

    secret_file: FilePath = ""
    secret_env: Variable = ""
    networks: Networks = ()


class TransmitterConfig(Section, frozen=True, kw_only=True):
    """`[transmitters.<id>]`: what this deployment and a Shared Signals transmitter of the bundle need for each other.

    Attributes:
        secret_file: a file with the whole value of the `Authorization` header that it pushes with, or is polled with.
        secret_env: the name of an environment variable that holds the same.
        networks: networks of the operator's own that it may be in.
        poll_interval: how often one is polled that does not push.
        token_url: where we get access tokens for it, when it is polled with these: the secret is our client's then.
        client_id: who we are there.
        scope: what is asked for.
        resource: whom the access tokens are for (RFC 8707), where that has to be said.
    """

    secret_file: FilePath = ""
    secret_env: Variable = ""
    networks: Networks = ()
    poll_interval: Annotated[float, lasting("1s", "1h")] = 5.0
    token_url: Url = ""
    client_id: str = ""
    scope: str = "ssf.read"
    resource: Url = ""


class NoticesConfig(Section, frozen=True, kw_only=True):
    """`[notices]`: how this deployment reaches clients of the bundle that are told of something.

    Attributes:
        networks: networks of the operator's own that they may be in.
    """

    networks: Networks = ()


class PagesConfig(Section, frozen=True, kw_only=True):
    """`[pages]`: how pages look and what they speak.

    Attributes:
        theme: a folder whose `templates`, `static` and `languages` stand before our own.
        language: of readers whose browser asks for none that there is.
    """

    theme: FilePath = ""
    language: str = "en"


class Config(Struct, frozen=True, kw_only=True):
    """Everything the operator says, checked.

    Attributes:
        file: where it was read from, or empty.
        origins: `"section.key"` to where the value comes from: `default`, `<file>:<line>` or
            `environment <NAME>`.
    """

    server: ServerConfig = ServerConfig()
    store: StoreConfig = StoreConfig()
    bundle: BundleConfig = BundleConfig()
    keys: KeysConfig = KeysConfig()
    ledger: LedgerConfig = LedgerConfig()
    telemetry: TelemetryConfig = TelemetryConfig()
    pages: PagesConfig = PagesConfig()
    reviews: ReviewsConfig = ReviewsConfig()
    notices: NoticesConfig = NoticesConfig()
    connections: Mapping[str, ConnectionConfig] = field(default_factory=dict)
    trusted_issuers: Mapping[str, TrustedIssuerConfig] = field(default_factory=dict)
    upstreams: Mapping[str, UpstreamConfig] = field(default_factory=dict)
    transmitters: Mapping[str, TransmitterConfig] = field(default_factory=dict)
    file: str = ""
    origins: Mapping[str, str] = field(default_factory=dict)


SECTIONS: Mapping[str, type[Section]] = {
    "server": ServerConfig,
    "store": StoreConfig,
    "bundle": BundleConfig,
    "keys": KeysConfig,
    "ledger": LedgerConfig,
    "telemetry": TelemetryConfig,
    "pages": PagesConfig,
    "reviews": ReviewsConfig,
    "notices": NoticesConfig,
}
"""The single tables, in the order in which they are shown and documented."""

NAMED: Mapping[str, type[Section]] = {
    "connections": ConnectionConfig,
    "trusted_issuers": TrustedIssuerConfig,
    "upstreams": UpstreamConfig,
    "transmitters": TransmitterConfig,
}
"""The tables that hold one table per name."""


_SECRETS = ("master_key_env", "secret_env")


def load_config(path: Path, *, environ: Mapping[str, str] | None = None) -> Config:
    """The configuration in `path` with the overrides of the environment, checked.

    Raises `ConfigError` with every problem found. Relative paths are relative to the file.
    """
    env = os.environ if environ is None else environ
    text = _read(path)
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError((_malformed(path, str(error)),)) from error
    return _Reading(path, text, raw, env).config()


def _malformed(path: Path, told: str) -> Problem:
    """A problem of the TOML, at the line that the parser names in its text."""
    found = re.fullmatch(r"(.*) \(at line (\d+), column \d+\)", told, re.DOTALL)
    what, line = (found[1], int(found[2])) if found else (told, 0)
    twice = re.fullmatch(r"Cannot declare \((.*?),?\) twice", what)
    if twice is not None:
        table = twice[1].replace("'", "").replace(", ", ".")
        return Problem(str(path), line, f"`[{table}]` is there twice", "put all its keys below one of them")
    return Problem(str(path), line, what[:1].lower() + what[1:], "write it as TOML")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        problem = Problem(str(path), 0, "the file is not UTF-8", "save it as UTF-8")
        raise ConfigError((problem,)) from error
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        remedy = "name it with `--config`, or write one with `mintwarden init`"
        raise ConfigError((Problem(str(path), 0, reason, remedy),)) from error


class _Reading:
    """One pass over one file: values, where they came from, and what is wrong."""

    def __init__(self, path: Path, text: str, raw: Mapping[str, Any], environ: Mapping[str, str]) -> None:
        self.path, self.text, self.raw, self.environ = path, text, raw, environ
        self.base = path.resolve().parent
        self.problems: list[Problem] = []
        self.origins: dict[str, str] = {}
        self.seen_overrides: set[str] = set()

    def config(self) -> Config:
        known = (*SECTIONS, *NAMED)
        for name in self.raw:
            if name not in known:
                self.problem((name,), f"unknown section `{name}`", did_you_mean(name, known))
        values: dict[str, Any] = {name: self.section((name,), kind) for name, kind in SECTIONS.items()}
        values |= {name: self.named(name, kind) for name, kind in NAMED.items()}
        self.unknown_overrides()
        if self.problems:
            raise ConfigError(tuple(sorted(self.problems, key=lambda problem: (problem.file, problem.line))))
        return Config(**values, file=str(self.path), origins=self.origins)

    def named(self, name: str, kind: type[Section]) -> dict[str, Any]:
        tables = self.raw.get(name, {})
        if not isinstance(tables, dict):
            self.problem((name,), f"`{name}` is not a table", f"write `[{name}.<name>]`")
            return {}
        return {key: self.section((name, key), kind) for key in tables}

    def section(self, place: tuple[str, ...], kind: type[Section]) -> Any:
        table: Any = self.raw
        for step in place:
            table = table.get(step, {})
        if not isinstance(table, dict):
            self.problem(place, f"`{'.'.join(place)}` is not a table", f"write `[{'.'.join(place)}]`")
            return None
        fields = {f.name: f for f in msgspec.structs.fields(kind)}
        for key in table:
            if key not in fields:
                self.problem((*place, key), f"unknown key `{key}`", did_you_mean(key, fields))
        values = dict(self.values(place, table, fields))
        missing = [f.name for f in fields.values() if f.required and f.name not in values]
        reported = any(p.key[: len(place)] == place for p in self.problems)
        if missing and not reported:
            self.problem(place, f"`{missing[0]}` is missing", f"add `{missing[0]} = ...`")
        return None if missing or reported else kind(**values)

    def values(
        self, place: tuple[str, ...], table: Mapping[str, Any], fields: Mapping[str, Any]
    ) -> Iterator[tuple[str, Any]]:
        for name, spec in fields.items():
            path = (*place, name)
            override = override_name(path)
            if override in self.environ:
                self.seen_overrides.add(override)
                origin, value, lax = f"environment {override}", self.environ[override], True
            elif name in table:
                origin, value, lax = f"{self.path}:{line_of(self.text, path)}", table[name], False
            elif spec.required:
                continue
            else:
                origin, value, lax = "default", spec.default, False
            self.origins[".".join(path)] = origin
            try:
                yield name, convert_value(value, spec.type, base=self.base, lax=lax)
            except WrongValue as wrong:
                self.problem(path, f"`{'.'.join(path)}`: {wrong.what}", wrong.remedy, origin=origin)

    def unknown_overrides(self) -> None:
        """Refuse variables that override nothing and begin like a section, or nearly like an override."""
        sections = (*SECTIONS, *NAMED)
        every = [override for section in sections for override in self.overrides(section)]
        for name in sorted(self.environ):
            if name in self.seen_overrides or name in self.secrets():
                continue
            prefix = next((s for s in sections if name.startswith(f"{PREFIX}{s.upper()}_")), None)
            if prefix is None:
                meant = misspelt(name, every)
                if meant:
                    remedy = f"did you mean `{meant}`?"
                    self.problems.append(Problem("environment", 0, f"unknown override `{name}`", remedy))
                continue
            known = list(self.overrides(prefix))
            remedy = did_you_mean(name, known) if known else f"there is no `[{prefix}.<name>]` in the file to override"
            self.problems.append(Problem("environment", 0, f"unknown override `{name}`", remedy))

    def overrides(self, section: str) -> Iterator[str]:
        """Every variable that overrides something in a section, or in the tables by name that the file has of it."""
        tables = self.raw.get(section, {})
        named = [(section, name) for name in tables] if isinstance(tables, dict) else []
        for place in named if section in NAMED else [(section,)]:
            fields = msgspec.structs.fields(NAMED.get(section) or SECTIONS[section])
            yield from (override_name((*place, f.name)) for f in fields)

    def secrets(self) -> set[str]:
        """The variables that the file names as holding a secret: they override nothing."""
        tables = [self.raw.get("keys", {})]
        for named in (self.raw.get("upstreams", {}), self.raw.get("transmitters", {})):
            tables += named.values() if isinstance(named, dict) else ()
        named = [table.get(key) for table in tables if isinstance(table, dict) for key in _SECRETS]
        return {name for name in named if isinstance(name, str)}

    def problem(self, path: tuple[str, ...], what: str, remedy: str, *, origin: str = "") -> None:
        if origin.startswith("environment"):
            self.problems.append(Problem(origin, 0, what, remedy, path))
        else:
            self.problems.append(Problem(str(self.path), line_of(self.text, path), what, remedy, path))
