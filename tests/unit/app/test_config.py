from __future__ import annotations

import inspect

import msgspec
import pytest

from mintwarden.app.config import NAMED, SECTIONS, Config, load_config
from mintwarden.app.convert import override_name
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
        "MINTWARDEN_SERVER_MAX_BODY": "1KiB",
        "MINTWARDEN_CONNECTIONS_HR_URL": "postgresql://u:secret@h/d",
        "PATH": "/bin",
    }
    config = load_config(path, environ=environ)
    assert config.server.dev is True
    assert config.server.proxies == ("10.0.0.0/8", "fd00::/8")
    assert config.server.drain_timeout == 0.5
    assert config.server.max_body == 1024
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
    assert (3, "`server.port`: expected `int`, got `str`", "see `docs/operations.md`") in found
    assert (4, "unknown section `stor`", "did you mean `store`?") in found
    assert (7, "`connections.hr.kind`: invalid enum value 'ldap'", "see `docs/operations.md`") in found
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
        ('[server]\nrequest_timeout = "soon"', "`server.request_timeout`: expected a duration"),
        ("[server]\nrequest_timeout = 0", "`server.request_timeout`: a duration lies between"),
        ("[server]\nrequest_timeout = true", "`server.request_timeout`: expected a duration"),
        ('[server]\nmax_body = "12 parsecs"', "`server.max_body`: expected a size"),
        ('[server]\nmax_body = "9GiB"', "`server.max_body`: expected a size"),
        ('[reviews]\nmemory = "64MiB"', "`reviews.memory`: expected a size such as `65536` or `64KiB`, from `256MiB`"),
        ("[reviews]\nat_once = 0", "`reviews.at_once`: expected `int` >= 1"),
        ('[server]\nproxies = ["10.0.0.1/8"]', "`server.proxies`: `10.0.0.1/8` is not a network"),
        ('[server]\nproxies = "10.0.0.0/8"', "`server.proxies`: expected `array`, got `str`"),
        ('[store]\nurl = "mysql://x"', "`store.url`: expected `sqlite:///path`"),
        ('[store]\nurl = "sqlite://"', "`store.url`: expected `sqlite:///path`"),
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
