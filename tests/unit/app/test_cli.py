from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mintwarden.app.cli import COMMANDS, build, main
from mintwarden.app.cli.diagnose import diagnose
from mintwarden.app.cli.policy import COMMANDS as POLICY
from mintwarden.app.effective import mask_url
from mintwarden.app.problem import ConfigError, Problem
from mintwarden.model.errors import ErrorKind, FatalLedgerError, MintwardenError
from tools.findings import ROOT

STARTER = ROOT / "src/mintwarden/app/starter/bundle"


def test_help_names_every_command(capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name, _ in COMMANDS)


@pytest.mark.parametrize(("words", "listed"), [(["--help"], COMMANDS), (["policy"], POLICY)])
def test_a_list_of_commands_says_what_each_is_for_in_reading_order(words, listed, capsys):
    assert main(words) == 0
    found = re.findall(r"^│ ([a-z][a-z-]*) +(\S+ \S+)", capsys.readouterr().out, flags=re.MULTILINE)
    assert found == [(name, " ".join(purpose.split()[:2])) for name, purpose in listed]


@pytest.mark.parametrize("group", ["review", "demo", "ledger", "exception", "keys", "store"])
def test_every_command_of_a_group_says_what_it_is_for(group, capsys):
    assert main([group]) == 0
    listed = re.findall(r"^│ ([a-z][a-z-]*)( +\S+ \S+)?", capsys.readouterr().out, flags=re.MULTILINE)
    assert listed
    assert [name for name, purpose in listed if not purpose.strip()] == []


@pytest.mark.parametrize("words", [["check"], ["policy", "prove"], ["policy", "lint"], []])
def test_help_says_what_the_exit_codes_mean(words, capsys):
    assert main([*words, "--help"]) == 0
    assert "Exit code" in capsys.readouterr().out


def test_version(capsys):
    assert main(["--version"]) == 0
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", capsys.readouterr().out)


def test_help_imports_no_command():
    code = (
        "import sys; from mintwarden.app.cli import main; main(['--help']);"
        "heavy = [m for m in sys.modules if m.startswith(('mintwarden.policy', 'mintwarden.store', 'uvicorn'))];"
        "sys.exit(bool(heavy))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("words", [["nonsense"], ["config", "nonsense"], ["config", "show", "--nonsense"]])
def test_wrong_usage_is_two_lines_and_exit_code_2(words, capsys):
    assert main(words) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("mintwarden: ")
    assert "--help" in lines[1]


def test_what_is_left_over_is_named(capsys):
    assert main(["check", "here", "there", "where\x1b[2J"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "mintwarden: `there` `where[2J` is more than the command takes",
        "  see `mintwarden check --help`",
    ]


def test_config_check_and_show(tmp_path, capsys):
    key = tmp_path / "k"
    key.write_text("x")
    key.chmod(0o600)
    file = tmp_path / "mintwarden.toml"
    file.write_text('[keys]\nmaster_key_file = "k"\n[store]\nurl = "postgresql://u:hunter2@h/d?password=hunter2"\n')
    assert main(["config", "check", "--config", str(file)]) == 0
    assert main(["config", "show", "--config", str(file), "--json"]) == 0
    out = capsys.readouterr().out
    assert "hunter2" not in out
    rows = {row["key"]: row for row in json.loads(out.partition("\n")[2])}
    assert rows["store.url"]["value"] == "postgresql://u:***@h/d?password=***"
    assert rows["store.url"]["origin"] == f"{file}:4"
    assert main(["config", "show", "--config", str(file)]) == 0
    assert "server.port" in capsys.readouterr().out


def test_config_check_connects_when_it_is_told_to(tmp_path, capsys):
    assert main(["init", str(tmp_path / "d")]) == 0
    file = tmp_path / "d" / "mintwarden.toml"

    def connected(code):
        capsys.readouterr()
        assert main(["config", "check", "--connect", "--json", "--config", str(file)]) == code
        return {row["name"]: row for row in json.loads(capsys.readouterr().out)["checks"]}

    found = connected(1)
    assert found["master key"]["ok"]
    assert found["store"]["detail"] == "not there yet; `mintwarden serve` makes it"
    assert "no version was activated" in found["policy"]["detail"]
    assert not list(tmp_path.glob("d/*.db")), "looking makes nothing"
    file.write_text(file.read_text().replace("[server]", "[server]\ndev = true"))
    assert connected(0)["policy"]["detail"].endswith("(development)")
    providers = tmp_path / "d" / "bundle" / "providers"
    providers.mkdir()
    said = 'id = "staff"\nname = "Staff"\nissuer = "https://login.example.com"\nclient_id = "m"\nauthentication = "client_secret_post"\n'
    (providers / "staff.toml").write_text(f"[provider]\n{said}")
    file.write_text(file.read_text() + '\n[upstreams.staf]\nsecret_env = "PATH"\n')
    assert connected(1)["policy"]["detail"].startswith("the provider `staff` knows us by a secret, and there is none")
    file.write_text(file.read_text().replace("upstreams.staf]", "upstreams.staff]"))
    assert connected(0)["policy"]["ok"]
    (tmp_path / "d" / "bundle" / "bundle.toml").write_text("nonsense")
    (tmp_path / "d" / "master.key").write_text("nonsense")
    found = connected(1)
    assert [found[name]["ok"] for name in ("master key", "store", "policy")] == [False, True, False]
    assert main(["config", "check", "--connect", "--config", str(file)]) == 1
    assert "policy: NOT GOOD: " in capsys.readouterr().out


def test_problems_of_a_configuration_are_all_told(tmp_path, capsys):
    file = tmp_path / "mintwarden.toml"
    file.write_text("[server]\nprot = 1\nhots = 2\n")
    assert main(["config", "check", "--config", str(file)]) == 2
    err = capsys.readouterr().err
    assert f"{file}:2: unknown key `prot`" in err
    assert f"{file}:3: unknown key `hots`" in err
    assert main(["config", "check", "--config", str(file), "--json"]) == 2
    assert len(json.loads(capsys.readouterr().err)["problems"]) == 2


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MintwardenError(ErrorKind.CONFIG, "x"), 2),
        (MintwardenError(ErrorKind.NOT_FOUND, "x"), 2),
        (MintwardenError(ErrorKind.UNAVAILABLE, "x"), 3),
        (MintwardenError(ErrorKind.STORE, "x"), 3),
        (FatalLedgerError("x"), 1),
        (MintwardenError(ErrorKind.INTERNAL, "x"), 70),
        (ConfigError((Problem("f", 1, "x", "y"),)), 2),
        (RuntimeError("password=hunter2"), 70),
    ],
)
def test_exit_codes(error, code, capsys, tmp_path):
    assert diagnose(error, folder=tmp_path) == code


def test_an_unforeseen_error_is_a_reference_and_a_private_file(tmp_path, capsys):
    with pytest.raises(RuntimeError) as caught:
        raise RuntimeError("odd")
    assert diagnose(caught.value, folder=tmp_path) == 70
    err = capsys.readouterr().err
    assert "Traceback" not in err
    (log,) = tmp_path.iterdir()
    assert str(log) in err
    assert log.stat().st_mode & 0o777 == 0o600
    assert "RuntimeError" in log.read_text()


def test_control_characters_do_not_reach_the_terminal(capsys):
    diagnose(MintwardenError(ErrorKind.CONFIG, "bad `\x1b[2J\n\u202e`", hint="\x07 beep"))
    assert capsys.readouterr().err == "mintwarden: bad `[2J `\n   beep\n"


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("sqlite:////a/b.db", "sqlite:////a/b.db"),
        ("postgresql://u@h/d", "postgresql://u@h/d"),
        ("postgresql://u:p@h:5/d", "postgresql://u:***@h:5/d"),
        ("https://h/x?key=abc&b=c", "https://h/x?key=***&b=***"),
    ],
)
def test_urls_are_masked(url, masked):
    assert mask_url(url) == masked


def test_every_command_has_its_module():
    folder = Path(sys.modules["mintwarden.app.cli"].__file__ or "").parent
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__", "diagnose"}
    assert {name for name, _ in COMMANDS} <= modules
    assert build().name == ("mintwarden",)


@pytest.mark.parametrize(
    "words",
    [
        ["explain", "-"],
        ["facts", "push", "User:alice", "risk", "-"],
        ["ledger", "export", "-"],
        ["ledger", "verify", "-", "--vkey", "k"],
        ["revoke", "-", "--reason", "r"],
    ],
    ids=" ".join,
)
def test_a_hyphen_is_standard_input_or_output(words):
    _, bound, _ = build().parse_args([*words, "--json"] if words[1] != "export" else words)
    assert "-" in {str(value[0] if isinstance(value, tuple) else value) for value in bound.args}


REPORTS = (
    ["policy", "lint", "b", "--sarif", "-"],
    ["policy", "test", "b", "--junit", "-"],
    ["policy", "diff", "a", "b", "--markdown", "-"],
    ["policy", "impact", "b", "--markdown", "-"],
    ["exception", "report", "--svg", "-"],
    ["ledger", "checkpoint", "-o", "-"],
)


@pytest.mark.parametrize("words", REPORTS, ids=" ".join)
def test_every_report_may_go_to_standard_output(words):
    _, bound, _ = build().parse_args(words)
    assert Path("-") in bound.kwargs.values()


def test_every_parameter_that_takes_a_hyphen_is_tried():
    files = (ROOT / "src/mintwarden/app/cli").glob("*.py")
    texts = [path.read_text(encoding="utf-8") for path in files if path.stem != "report_file"]
    assert sum(text.count("`-`") for text in texts) == 5
    assert sum(text.count("report_option(") for text in texts) == len(REPORTS)


@pytest.mark.parametrize(
    "words", [["config", "show", "--json"], ["policy", "diff", str(STARTER), str(STARTER)], ["check", str(ROOT)]]
)
def test_who_writes_where_nobody_reads_says_neither_good_nor_bad(tmp_path, words):
    (tmp_path / "mintwarden.toml").write_text("")
    code = f"import sys; from mintwarden.app.cli import main; sys.exit(main({words!r}))"
    running = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    )
    assert running.stdout is not None
    running.stdout.close()
    _, told = running.communicate(timeout=60)
    assert (running.returncode, told) == (141, b"")


def test_what_is_missing_is_named(capsys):
    assert main(["check"]) == 2
    assert capsys.readouterr().err.startswith("mintwarden: `PATH` is missing, or has no value\n")
    assert main(["policy", "lint", "x", "--config"]) == 2
    assert capsys.readouterr().err.startswith("mintwarden: `--config` is missing, or has no value\n")


def test_a_share_of_mutants_that_nobody_makes_is_refused(capsys):
    for words in (["--at-least", "90"], ["--mutants", "--at-least", "101"]):
        assert main(["policy", "test", str(STARTER), *words]) == 2
        assert "is not a share of mutants" in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_one_mistake(capsys):
    assert main(["policy", "lint", "nowhere"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2
