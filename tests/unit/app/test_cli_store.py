"""`mintwarden store`, `facts`, `clients` and `directory`, as somebody types them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mintwarden.app.cli import main
from mintwarden.store.schema import REVISIONS

Run = Callable[..., tuple[int, str, str]]
ARGON = "$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(tmp_path)
    assert main(["init", "."]) == 0
    capsys.readouterr()

    def command(*words: str) -> tuple[int, str, str]:
        code = main(list(words))
        out, err = capsys.readouterr()
        return code, out, err

    return command


@pytest.fixture
def ready(run: Run) -> Run:
    assert run("store", "migrate")[0] == 0
    return run


def result(run: Run, *words: str) -> Any:
    code, out, err = run(*words, "--json")
    assert code == 0, err
    return json.loads(out)


def test_a_store_is_made_inspected_and_copied(run: Run):
    assert run("store", "status")[0] == 3
    assert result(run, "store", "migrate")["applied"] == list(REVISIONS)
    assert "up to date" in run("store", "migrate")[1]
    assert result(run, "store", "status")["ok"] is True
    assert run("store", "backup", "copy.db")[0] == 0
    assert run("store", "status", "--store", "sqlite:///copy.db")[0] == 0
    assert run("store", "backup", "copy.db")[0] == 2
    with sqlite3.connect("copy.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    code, out, _ = run("store", "status", "--store", "sqlite:///copy.db")
    assert (code, "later version" in out) == (1, True)


@pytest.mark.parametrize("option", ["--session", "--grant"])
def test_a_name_that_begins_with_a_hyphen_is_revoked_like_any_other(ready: Run, option: str):
    made = result(ready, "revoke", option, "-abc", "--reason", "r")
    assert (made["about"], made["value"]) == (option.removeprefix("--"), "-abc")


def test_a_key_that_begins_with_a_hyphen_is_looked_for(ready: Run):
    code, _, err = ready("revoke", "--key", "-abc", "--reason", "r")
    assert (code, "no key `-abc`" in err) == (2, True), err


def test_facts_are_pushed_and_shown(ready: Run):
    assert result(ready, "facts", "push", "User:a", "risk", '{"score": 20}')["stands"] is True
    assert (
        result(ready, "facts", "push", "User:a", "risk", '{"score": 9}', "--observed-at", "2020-01-01")["stands"]
        is False
    )
    (document,) = result(ready, "facts", "show", "User:a")["documents"]
    assert (document["source"], document["facts"], document["state"]) == ("risk", {"score": 20}, "present")
    assert "score = 20" in ready("facts", "show", "User:a")[1]
    for words in (("risk", '{"scor": 1}'), ("risk", '{"score": "x"}'), ("nope", "{}"), ("risk", "{")):
        code, _, err = ready("facts", "push", "User:a", *words)
        assert (code, err.startswith("mintwarden: "), "document 0" in err) == (2, True, False)


def test_a_secret_is_shown_once_and_stored_as_a_hash(ready: Run, tmp_path: Path):
    first = ready("clients", "secret", "shop-web")[1].strip()
    assert first.startswith("mw_")
    assert ready("clients", "secret", "shop-web")[0] == 2
    again = result(ready, "clients", "secret", "shop-web", "--rotate")
    assert again["earlier_secrets_end"] is not None
    row = next(r for r in result(ready, "clients", "list") if r["client_id"] == "shop-web")
    assert row["secrets"] == {"hmac-sha256": 2}
    ready("clients", "secret", "shop-web", "--rotate", "--overlap", "0s")
    row = next(r for r in result(ready, "clients", "list") if r["client_id"] == "shop-web")
    assert row["secrets"] == {"hmac-sha256": 1}
    assert result(ready, "store", "status")["entries"] == 3, "each change is in the ledger"
    stored = b"".join(f.read_bytes() for f in tmp_path.glob("mintwarden.db*"))
    assert first.encode() not in stored
    assert again["client_secret"].encode() not in stored
    assert ready("clients", "secret", "nobody")[0] == 2


def test_hashes_are_imported_all_or_none(ready: Run):
    Path("h.csv").write_text(f'client_id,hash\nshop-web,"{ARGON}"\nnobody,"{ARGON}"\n')
    code, _, err = ready("clients", "import", "h.csv")
    assert (code, "h.csv:3:" in err) == (2, True)
    assert all(not row["secrets"] for row in result(ready, "clients", "list"))
    Path("h.csv").write_text(f'client_id,hash\nshop-web,"{ARGON}"\n')
    assert result(ready, "clients", "import", "h.csv") == {"imported": 1}
    Path("h.csv").write_text("client_id,hash\nshop-web,plain\n")
    assert ready("clients", "import", "h.csv")[0] == 2


def people(*names: str) -> None:
    lines = ["id,department,tenants,groups", *(f"{name},sales,acme;globex,staff" for name in names)]
    Path("people.csv").write_text("\n".join(lines) + "\n")
    Path("groups.csv").write_text("id,member_of\nstaff,everyone\neveryone,\n")


def counts(found: Any) -> tuple[int, ...]:
    (one,) = found["sources"]
    return tuple(one[name] for name in ("added", "changed", "confirmed", "removed", "kept"))


def test_a_directory_is_imported_step_by_step(ready: Run):
    words = ("directory", "import", "people.csv", "groups.csv")
    people("a", "b")
    assert counts(result(ready, *words, "--dry-run")) == (2, 0, 0, 0, 0)
    assert counts(result(ready, *words)) == (2, 0, 0, 0, 0)
    (document,) = result(ready, "facts", "show", "User:a")["documents"]
    assert document["groups"] == ["everyone", "staff"]
    people("a")
    Path("people.csv").write_text(Path("people.csv").read_text().replace("sales", "hr"))
    found = result(ready, *words)
    assert counts(found) == (0, 1, 0, 0, 1)
    assert found["changes"][0]["facts"] == ["department"]
    assert counts(result(ready, *words, "--prune")) == (0, 0, 1, 1, 0)
    assert result(ready, "facts", "show", "User:b")["documents"] == []


def test_a_file_cut_short_takes_nobodys_rights_away(ready: Run):
    words = ("directory", "import", "people.csv", "groups.csv", "--prune")
    people(*(f"p{n:04}" for n in range(2500)))
    assert counts(result(ready, *words)) == (2500, 0, 0, 0, 0)
    people(*(f"p{n:04}" for n in range(1000)))
    code, _, err = ready(*words)
    assert (code, "1500 of 2500 documents" in err) == (2, True)
    assert counts(result(ready, *words, "--max-removed", "100")) == (0, 0, 1000, 1500, 0)


def test_confirming_makes_a_document_young_again(ready: Run):
    people("a")
    words = ("directory", "import", "people.csv", "groups.csv")
    result(ready, *words, "--observed-at", "2026-01-01")
    assert result(ready, "facts", "show", "User:a")["documents"][0]["state"] == "stale"
    assert counts(result(ready, *words)) == (0, 0, 1, 0, 0)
    assert result(ready, "facts", "show", "User:a")["documents"][0]["state"] == "present"


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("a.jsonl", b'{"kind":"group","id":"g"}\n{"kind":"person","id":"x"\n', "a.jsonl:2"),
        ("a.jsonl", b'{"kind":"person","id":"x","id":"y"}\n', "a.jsonl:1"),
        ("a.jsonl", b'{"kind":"person","id":"x","department":NaN}\n', "a.jsonl:1"),
        ("a.jsonl", b"[" * 100_000 + b"\n", "a.jsonl:1"),
        ("a.jsonl", b"\xff\xfe\n", "a.jsonl:1"),
        ("a.jsonl", b"x" * (1 << 21), "a.jsonl:1"),
        ("people.csv", b"id,department\na\n", "people.csv:2"),
        ("people.csv", b"id,id\na,b\n", "people.csv:1"),
        ("people.csv", b"\xff\xfe", "people.csv:"),
        ("things.csv", b"id\na\n", "things.csv:1"),
        ("a.json", b'{"persons": []}', "a.json"),
        ("a.txt", b"", "a.txt"),
    ],
)
def test_files_that_are_refused_name_the_place_and_write_nothing(ready: Run, name: str, content: bytes, line: str):
    Path(name).write_bytes(content)
    code, _, err = ready("directory", "import", name)
    assert (code, f"mintwarden: {line}" in err) == (2, True), err


def test_one_wrong_record_keeps_all_others_out(ready: Run):
    people("a", "b")
    Path("more.jsonl").write_text('{"kind":"person","id":"c","department":7,"tenants":[]}\n')
    code, _, err = ready("directory", "import", "people.csv", "groups.csv", "more.jsonl")
    assert (code, "more.jsonl:1" in err) == (2, True)
    assert result(ready, "facts", "show", "User:a")["documents"] == []
