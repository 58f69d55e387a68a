from __future__ import annotations

import inspect
from typing import Literal, get_args, get_origin

import msgspec
import pytest

from mintwarden.app.config import NAMED, SECTIONS, Config, load_config
from mintwarden.app.overrides import override_name
from mintwarden.app.problem import ConfigError


@pytest.fixture
def write(tmp_path):
    def written(text):
        path = tmp_path / "mintwarden.toml"
        path.write_text(text)
        return path

    return written


def problems(path, environ=None):
    with pytest.raises(ConfigError) as caught:
        load_config(path, environ=environ or {})
    return [(problem.line, problem.what, problem.remedy) for problem in caught.value.problems]


def test_every_key_has_a_working_default(write):
    config = load_config(write(""), environ={})
    assert config.server.port == 8080
    assert set(config.origins.values()) == {"default"}


def test_values_know_where_they_come_from(write):
    path = write(
        '# a comment\n[server]\nport = 1\nrequest_timeout = "1m"\n\n[connections."hr-db"]\nkind="sql"\nurl="x"\n'
    )
    config = load_config(path, environ={"MINTWARDEN_SERVER_WORKERS": "4"})
    assert (config.server.port, config.server.request_timeout, config.server.workers) == (1, 60.0, 4)
    assert config.origins["server.port"] == f"{path}:3"
    assert config.origins["server.request_timeout"] == f"{path}:4"
    assert config.origins["server.workers"] == "environment MINTWARDEN_SERVER_WORKERS"
    assert config.origins["server.host"] == "default"
    assert config.origins["connections.hr-db.url"] == f"{path}:8"


def test_the_environment_overrides_the_file(write):
    path = write("[server]\ndev = false\n[connections.hr]\nkind='sql'\nurl='a'\n")
    environ = {
        "MINTWARDEN_SERVER_DEV": "true",
        "MINTWARDEN_SERVER_PROXIES": "10.0.0.0/8, fd00::/8",
        "MINTWARDEN_SERVER_DRAIN_TIMEOUT": "500ms",
        "MINTWARDEN_SERVER_MAX_BODY": "8KiB",
        "MINTWARDEN_CONNECTIONS_HR_URL": "postgresql://u:secret@h/d",
        "PATH": "/bin",
    }
    config = load_config(path, environ=environ)
    assert config.server.dev is True
    assert config.server.proxies == ("10.0.0.0/8", "fd00::/8")
    assert config.server.drain_timeout == 0.5
    assert config.server.max_body == 8192
    assert config.connections["hr"].url == "postgresql://u:secret@h/d"


def test_paths_are_relative_to_the_file(write, tmp_path):
    config = load_config(write('[bundle]\npath = "b"\n[keys]\nmaster_key_file="../k"'), environ={})
    assert config.bundle.path == str(tmp_path / "b")
    assert config.keys.master_key_file == str(tmp_path.parent / "k")
    assert config.store.url == f"sqlite:///{tmp_path}/mintwarden.db"


def test_a_connection_to_a_file_is_relative_to_the_configuration(write, tmp_path):
    text = '[connections.hr]\nkind = "sql"\nurl = "sqlite:///{}"'
    assert load_config(write(text.format("hr.db")), environ={}).connections["hr"].url == f"sqlite:///{tmp_path}/hr.db"
    assert load_config(write(text.format("/d/hr.db")), environ={}).connections["hr"].url == "sqlite:////d/hr.db"
    other = '[connections.hr]\nkind = "http"\nurl = "https://u:p@hr.example/facts"'
    assert load_config(write(other), environ={}).connections["hr"].url == "https://u:p@hr.example/facts"


def test_all_problems_are_told_with_line_and_remedy(write):
    text = '[server]\nprot = 1\nport = "x"\n[stor]\nurl = "x"\n[connections.hr]\nkind = "ldap"\nurl = "x"\n'
    found = problems(write(text), {"MINTWARDEN_SERVER_WORKRS": "2"})
    assert (2, "unknown key `prot`", "did you mean `port`?") in found
    assert (
        3,
        "`server.port`: expected `int`, got `str`",
        "write a whole number from 0 to 65535, without quotes",
    ) in found
    assert (4, "unknown section `stor`", "did you mean `store`?") in found
    assert (7, "`connections.hr.kind`: unknown value `ldap`", "write `sql` or `http`") in found
    assert (
        0,
        "unknown override `MINTWARDEN_SERVER_WORKRS`",
        "did you mean `MINTWARDEN_SERVER_WORKERS`?",
    ) in found


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[server]\nport = 70000", "`server.port`: expected `int` <= 65535"),
        ("[server]\nport = true", "`server.port`: expected `int`, got `bool`"),
        ("[server]\nworkers = 0", "`server.workers`: expected `int` >= 1"),
        ('[server]\nrequest_timeout = "soon"', "`server.request_timeout`: `soon` is not a duration"),
        ("[server]\nrequest_timeout = 0", "`server.request_timeout`: `0` is out of range"),
        ("[server]\nrequest_timeout = true", "`server.request_timeout`: `True` is not a duration"),
        ('[server]\nmax_body = "12 parsecs"', "`server.max_body`: `12 parsecs` is not a size"),
        ('[server]\nmax_body = "9GiB"', "`server.max_body`: `9GiB` is out of range"),
        ('[reviews]\nmemory = "64MiB"', "`reviews.memory`: `64MiB` is out of range"),
        ("[reviews]\nat_once = 0", "`reviews.at_once`: expected `int` >= 1"),
        ('[server]\nproxies = ["10.0.0.1/8"]', "`server.proxies`: `10.0.0.1/8` is not a network"),
        ('[server]\nproxies = "10.0.0.0/8"', "`server.proxies`: expected `array`, got `str`"),
        ('[store]\nurl = "mysql://x"', "`store.url`: this is not the URL of a store"),
        ('[store]\nurl = "sqlite://"', "`store.url`: this is not the URL of a file"),
        ("[connections.hr]\nkind = 'sql'", "`url` is missing"),
        ("[[ledger.witnesses]]\nname = 'a'", "`ledger.witnesses`: object missing required field `vkey`"),
        ("server = 1", "`server` is not a table"),
        ("connections = 1", "`connections` is not a table"),
        ("[server\n", "expected"),
    ],
)
def test_wrong_values_are_refused(write, text, what):
    found = problems(write(text))
    assert any(told.startswith(what) for _, told, _ in found), found


@pytest.mark.parametrize(
    ("text", "line", "what", "remedy"),
    [
        ('[server]\nmax_body = "64"', 2, "`server.max_body`: `64` has no unit", "from `4KiB` to `1GiB`"),
        ("[server]\nmax_body = 64", 2, "`server.max_body`: `64` is out of range", "from `4KiB` to `1GiB`"),
        ('[server]\nmax_body = "64B"', 2, "`server.max_body`: `64B` is out of range", "from `4KiB` to `1GiB`"),
        ('[server]\nrequest_timeout = "2d"', 2, "`server.request_timeout`: `2d` is out of range", "`100ms` to `10m`"),
        ('[server]\ndrain_timeout = "1ms"', 2, "`server.drain_timeout`: `1ms` is out of range", "`100ms` to `1h`"),
        ("[server]\nmax_in_flight = 1000000000", 2, "`server.max_in_flight`: expected `int` <= 100000", "to 100000"),
        ("[server]\nadmin_rate = nan", 2, "`server.admin_rate`: expected `float` > 0", "above 0 to 10000"),
        ('[server]\ndev = "yes"', 2, "`server.dev`: expected `bool`, got `str`", "`true` or `false`, without quotes"),
        ('[server]\nhost = ""', 2, "`server.host`: `` is not an address to listen on", "`0.0.0.0` for every address"),
        ('[server]\nhost = "0.0.0.0:80"', 2, "`server.host`: `0.0.0.0:80` is not", "the port is `server.port`"),
        ('[server]\nhost = "https://a.example"', 2, "`server.host`: `https://a.example` is not", "alone"),
        ('[server]\nhost = "[::1]"', 2, "`server.host`: `[::1]` is not", "`::1`"),
        ('[server]\nproxies = ["10.0.0.1/8"]', 2, "`server.proxies`: `10.0.0.1/8` is not", "mean `10.0.0.0/8`?"),
        ('[server]\nproxies = "10.0.0.0/8"', 2, "`server.proxies`: expected `array`", 'such as `["10.0.0.0/8"]`'),
        ('[server]\nissuer = "tokens.example"', 2, "`server.issuer`: `tokens.example` is not a URL", "https://host"),
        ('[server]\ntls_key = "~/tls.key"', 2, "`server.tls_key`: `~` in `~/tls.key` means nothing", "the whole path"),
        (
            '[server]\nclient_certificate_format = "pem"',
            2,
            "`server.client_certificate_format`: unknown",
            "`rfc9440` or",
        ),
        ('[telemetry]\notlp_endpoint = "x"', 2, "`telemetry.otlp_endpoint`: `x` is not a URL", "`https://host/path`"),
        ('[telemetry]\nlog_level = "loud"', 2, "unknown value `loud`", "write `debug`, `info`, `warning` or `error`"),
        ('[telemetry]\nlog_format = "text"', 2, "unknown value `text`", "write `json` or `console`"),
        ('[reviews]\npriority = "high"', 2, "unknown value `high`", "write `idle`, `low` or `normal`"),
        ('[reviews]\ntimeout = "1ms"', 2, "`reviews.timeout`: `1ms` is out of range", "`10ms` to `1d`"),
        ('[bundle]\npath = ""', 2, "`bundle.path`: a path is empty", "name a file or folder"),
        ('[keys]\nmaster_key_env = "a b"', 2, "this is not the name of a variable", "never the secret itself"),
        ('[keys]\nrotation_interval = "1s"', 2, "`keys.rotation_interval`: `1s` is out of range", "`1m` to"),
        ('[ledger]\ncheckpoint_interval = "1h"', 2, "`1h` is out of range", "from `10ms` to `30s`"),
        ('[[ledger.witnesses]]\nname = "a"', 1, "missing required field `vkey` (number 1)", "`name`, `vkey`, `url`"),
        ("[pages]\n[server]\n[pages]\n", 3, "`[pages]` is there twice", "below one of them"),
        ("[pages]\nlanguage = en\n", 2, "invalid value", "write it as TOML"),
        ('[store]\nurl = "sqlite:///data/"', 2, "this is not the URL of a file", "`sqlite:///path`"),
        ('[store]\nurl = "postgresql://db"', 2, "this names no database", "user:password@host/database"),
        ('[connections.hr]\nkind="sql"\nurl="x"\ntimeout="1h"', 4, "`1h` is out of range", "from `1ms` to `1m`"),
        ('[trusted_issuers."https://a"]\njwks_uri = "https://"', 2, "`https://` is not a URL", "`https://host/path`"),
    ],
)
def test_what_cannot_be_meant_is_told_with_its_line_and_what_to_write(write, text, line, what, remedy):
    ((at, told, do),) = problems(write(text))
    assert at == line
    assert what in told
    assert remedy in do


def test_every_enumeration_lists_its_values(write):
    for section, kind in SECTIONS.items():
        for spec in msgspec.structs.fields(kind):
            if get_origin(spec.type) is Literal:
                ((_, _, remedy),) = problems(write(f'[{section}]\n{spec.name} = "nonsense"'))
                assert all(f"`{option}`" in remedy for option in get_args(spec.type))


@pytest.mark.parametrize(
    "text",
    [
        '[store]\nurl = "postgresql://mw:hunter2#x@db/mw"',
        '[store]\nurl = "postgresql://mw:hunter2/x@db/mw"',
        '[store]\nurl = "mysql://mw:hunter2@db/mw"',
        '[connections.hr]\nkind = "http"\nurl = ["https://mw:hunter2@hr"]',
        '[telemetry]\notlp_endpoint = "ftp://mw:hunter2@traces"',
        '[keys]\nmaster_key_env = "hunter2-hunter2"',
        '[keys]\nmaster_key_env = "hunter2AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"',
        '[upstreams.corp]\nsecret_env = "hunter2!"',
    ],
)
def test_a_secret_in_the_wrong_place_is_not_told_to_everybody(write, text):
    assert "hunter2" not in str(problems(write(text)))


def test_overrides_of_tables_that_are_not_there_are_refused(write):
    file = write(
        '[connections.hr]\nkind = "sql"\nurl = "x"\n[upstreams.corp]\nsecret_env = "MINTWARDEN_UPSTREAMS_IT"\n'
    )
    assert load_config(file, environ={"MINTWARDEN_UPSTREAMS_IT": "x"}).upstreams
    found = problems(file, {"MINTWARDEN_CONNECTIONS_HR_ULR": "y", "MINTWARDEN_TRUSTED_ISSUERS_A_JWKS_URI": "z"})
    assert (
        0,
        "unknown override `MINTWARDEN_CONNECTIONS_HR_ULR`",
        "did you mean `MINTWARDEN_CONNECTIONS_HR_URL`?",
    ) in found
    assert any("`MINTWARDEN_TRUSTED_ISSUERS_A_JWKS_URI`" in what and "no `[trusted" in do for _, what, do in found)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("MINTWARDEN_SEVER_PORT", "MINTWARDEN_SERVER_PORT"),
        ("MINTWARDEN_STROE_URL", "MINTWARDEN_STORE_URL"),
        ("MINTWARDEN_STORAGE_URL", "MINTWARDEN_STORE_URL"),
        ("MINTWARDEN_REVIEW_TIMEOUT", "MINTWARDEN_REVIEWS_TIMEOUT"),
        ("MINTWARDEN__SERVER__PORT", "MINTWARDEN_SERVER_PORT"),
        ("mintwarden_server_port", "MINTWARDEN_SERVER_PORT"),
        ("MINTWARDEN_TELEMETRIE_LOG_LEVEL", "MINTWARDEN_TELEMETRY_LOG_LEVEL"),
        ("MINTWARDEN_CONECTIONS_HR_URL", "MINTWARDEN_CONNECTIONS_HR_URL"),
    ],
)
def test_an_override_of_a_section_that_there_is_not_is_refused(write, name, meant):
    file = write('[connections.hr]\nkind = "sql"\nurl = "x"\n')
    assert problems(file, {name: "1"}) == [(0, f"unknown override `{name}`", f"did you mean `{meant}`?")]


@pytest.mark.parametrize(
    "name",
    [
        "MINTWARDEN_SERVICE_HOST",  # of Kubernetes, and near to `MINTWARDEN_SERVER_HOST`
        "MINTWARDEN_SERVICE_PORT",
        "MINTWARDEN_SERVICE_PORT_HTTP",
        "MINTWARDEN_PORT",
        "MINTWARDEN_PORT_8080_TCP",
        "MINTWARDEN_PORT_8080_TCP_ADDR",
        "MINTWARDEN_VERSION",
        "MINTWARDEN_IMAGE",
        "MINTWARDEN_CONFIG",
        "MINTWARDEN_SECRET",
        "MINTWARDEN_TEST_SIZE",
        "MINTWARDEN",
        "MYMINTWARDEN_SEVER_PORT",
    ],
)
def test_variables_of_others_are_left_alone(write, name):
    assert load_config(write(""), environ={name: "tcp://10.0.0.1:8080"}).server.port == 8080


def test_a_secret_may_be_called_almost_like_an_override(write):
    file = write('[keys]\nmaster_key_env = "MINTWARDEN_KEY_MASTER_KEY_FILE"')
    assert load_config(file, environ={"MINTWARDEN_KEY_MASTER_KEY_FILE": "x"})


def test_a_file_that_is_not_there_or_not_text(tmp_path):
    assert "no such file" in problems(tmp_path / "absent.toml")[0][1]
    (tmp_path / "latin.toml").write_bytes(b"# caf\xe9\n")
    assert problems(tmp_path / "latin.toml")[0][1] == "the file is not UTF-8"


def test_the_variable_with_the_master_key_is_no_override(write):
    path = write('[keys]\nmaster_key_env = "MINTWARDEN_KEYS_SECRET"')
    assert load_config(path, environ={"MINTWARDEN_KEYS_SECRET": "x"}).keys.master_key_env == "MINTWARDEN_KEYS_SECRET"


def test_every_key_can_be_overridden(write):
    names = [override_name((s, f.name)) for s, kind in SECTIONS.items() for f in msgspec.structs.fields(kind)]
    assert len(set(names)) == len(names)


def test_every_key_is_described():
    for kind in (*SECTIONS.values(), *NAMED.values()):
        for field in msgspec.structs.fields(kind):
            assert f"    {field.name}: " in (inspect.getdoc(kind) or "")


def test_a_configuration_does_not_change():
    with pytest.raises(AttributeError):
        Config().server.port = 1  # type: ignore[misc]
