"""`mintwarden policy diff`, as a person, a machine and a pull request see it, over folders, commits and versions."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import tomllib
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mintwarden.app.bundle_texts import texts_named
from mintwarden.app.bundle_versions import StoredVersions
from mintwarden.app.cli import main
from mintwarden.govern.content import content_of
from mintwarden.govern.ports import Activation, StoredVersion
from mintwarden.model.errors import MintwardenError
from mintwarden.policy.bundle.load import build_bundle
from mintwarden.policy.diff.text import _cut
from mintwarden.store import open_store
from tests.unit.policy.company import RULES, write_company

WIDER = RULES.replace("principal.risk < 50", "principal.risk < 60")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return write_company(tmp_path / "old")


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return write_company(tmp_path / "new", rules=WIDER)


def test_what_is_equal_exits_0(old, capsys):
    assert main(["policy", "diff", str(old), str(old)]) == 0
    out = capsys.readouterr().out
    assert out.endswith(
        "36 questions, 36 put alike, 0 proved alike\nequal: every request gets the same token, proved over all inputs\n"
    )


def test_what_is_changed_exits_1_with_an_example_that_runs(old, new, capsys):
    assert main(["policy", "diff", str(old), str(new)]) == 1
    out = capsys.readouterr().out
    assert (
        "structure:\n  ~ rule read: changed\n      - when: principal.risk < 50\n      + when: principal.risk < 60\n"
        in out
    )
    assert (
        "  + pay:read of payments, issue, User: permitted only by NEW\n      OLD refused: no_route\n      NEW granted by read for 5m (default:payments)\n"
        in out
    )
    assert "\x1b" not in out
    example = out.partition("tests/ of NEW:\n")[2].partition("\n  ~ ")[0]
    (scenario,) = tomllib.loads(example.replace("\n          ", "\n"))["scenario"]
    assert scenario["given"]["facts"]["User:example"]["risk"]["facts"]["risk"] == 50
    (new / "tests").mkdir()
    (new / "tests/example.toml").write_text(example.replace("\n          ", "\n"))
    assert main(["check", str(new)]) == 0


def test_the_comment_may_go_to_standard_output_alone(old, new, tmp_path, capsys):
    assert main(["policy", "diff", str(old), str(new), "--markdown", "-"]) == 1
    streamed = capsys.readouterr().out
    file = tmp_path / "comment.md"
    assert main(["policy", "diff", str(old), str(new), "--markdown", str(file)]) == 1
    assert streamed == file.read_text()
    assert main(["policy", "diff", str(old), str(new), "--markdown", "-", "--json"]) == 2
    assert "both want standard output" in capsys.readouterr().err
    assert main(["policy", "diff", str(old), str(new), "--markdown", "--json"]) == 2
    assert "needs a file, and `--json` is an option" in capsys.readouterr().err


def test_the_configuration_is_found_by_itself_and_read_only_where_it_is_needed(old, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["policy", "diff", str(old), str(old)]) == 0
    assert main(["policy", "diff", "active", str(old)]) == 2
    assert "mintwarden.toml: no such file or directory" in capsys.readouterr().err
    asyncio.run(_made(tmp_path / "mintwarden.db"))
    (tmp_path / "mintwarden.toml").write_text("")
    assert main(["policy", "diff", "active", str(old)]) == 2
    assert "no bundle version is active in the store" in capsys.readouterr().err


async def _made(database: Path) -> None:
    await (await open_store(f"sqlite:///{database}", create=True)).close()


def test_a_machine_reads_the_whole(old, new, capsys):
    assert main(["policy", "diff", str(new), str(old), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["verdict"] == "changed"
    assert [(one["kind"], one["id"], one["how"]) for one in told["structure"]] == [("rule", "read", "changed")]
    granted = next(one for one in told["differences"] if one["way"] == "granted")
    assert (granted["scope"], granted["only"], granted["runs_under"]) == ("pay:read", "old", "new")
    assert granted["new"] == {
        "granted": False,
        "reason": "no_route",
        "route": "",
        "seconds": 0,
        "bounded_by": "",
        "actors": [],
    }
    assert granted["scenario"]["expect"] == {"granted": [], "refused": {"pay:read": "no_route"}}
    assert told["questions"]["all"] == 36
    assert (told["effects"], told["not_proved"]) == ([], [])


def test_a_pull_request_gets_a_comment(old, new, tmp_path, capsys):
    assert main(["policy", "diff", str(old), str(new), "--markdown", str(tmp_path / "comment.md")]) == 1
    capsys.readouterr()
    text = (tmp_path / "comment.md").read_text()
    assert text.startswith("### Policy diff: changed\n")
    assert "- `+` pay:read of payments, issue, User: permitted only by NEW" in text
    assert "```toml\n[[scenario]]" in text
    assert text.count("```") % 2 == 0


def test_a_comment_ends_where_comments_may():
    text = "### Policy diff\n\n```diff\n" + "+ a line of a long diff\n" * 5_000 + "```\n"
    cut = _cut(text)
    assert len(cut) < 65_536
    assert cut.count("```") == 2
    assert cut.endswith("shows all of it.\n")


def test_a_comment_that_cannot_be_written_exits_2(old, capsys):
    assert main(["policy", "diff", str(old), str(old), "--markdown", "/nowhere/x.md"]) == 2
    assert "`/nowhere/x.md` cannot be written" in capsys.readouterr().err


def test_a_bundle_that_cannot_be_used_exits_2(old, new, capsys):
    (new / "rules/all.cedar").write_text(WIDER.replace('Scope::"pay:write"', 'Scope::"pay:wriet"'))
    assert main(["policy", "diff", str(old), str(new)]) == 2
    assert "there is no scope `pay:wriet`" in capsys.readouterr().err
    assert main(["policy", "diff", str(old), str(new / "nowhere")]) == 2


# -- commits ----------------------------------------------------------------------------------------------------------


def git(folder: Path, *words: str) -> None:
    own = ["-c", "user.name=t", "-c", "user.email=t@example", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *own, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One with the bundle in `policy/`, committed, and a wider one in the working tree."""
    root = tmp_path / "repository"
    write_company(root / "policy")
    git(tmp_path, "init", "-q", "-b", "main", str(root))
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "first")
    write_company(root / "policy", rules=WIDER)
    monkeypatch.chdir(root)
    return root


def test_a_commit_is_compared_with_the_working_tree(repository, capsys):
    assert main(["policy", "diff", "git:main:policy", "policy"]) == 1
    assert "permitted only by NEW" in capsys.readouterr().out
    git(repository, "commit", "-q", "-a", "-m", "second")
    assert main(["policy", "diff", "git:HEAD:policy", "policy"]) == 0
    assert main(["policy", "diff", "git:HEAD~1:policy", "git:HEAD:policy"]) == 1


def test_a_commits_files_are_as_they_are_in_it(repository):
    """Attributes of the repository neither leave a file out nor change one."""
    (repository / ".gitattributes").write_text("policy/rules/* export-ignore\npolicy/*.toml export-subst ident\n")
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "attributes")
    assert dict(texts_named("git:HEAD:policy")) == dict(texts_named("policy"))


@pytest.mark.parametrize(
    "name",
    ["git:", "git::policy", "git:nope:policy", "git:main:nowhere", "git:main:policy/bundle.toml", "git:--help", "git:--output=x:policy", "git:main:../policy"],
)  # fmt: skip
def test_what_is_no_folder_of_a_commit_exits_2(repository, name, capsys):
    assert main(["policy", "diff", name, "policy"]) == 2
    assert "git:" in capsys.readouterr().err
    assert not (repository / "x").exists()


def test_a_link_in_a_commit_is_refused(repository, capsys):
    (repository / "policy/rules/link.cedar").symlink_to("/etc/passwd")
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "link")
    assert main(["policy", "diff", "git:HEAD:policy", "git:main~1:policy"]) == 2
    assert "`rules/link.cedar` is not a regular file" in capsys.readouterr().err


def test_a_commit_with_something_else_than_a_bundle_is_refused(repository, capsys):
    assert main(["policy", "diff", "git:main", "policy"]) == 2
    assert "not a file or folder of a bundle" in capsys.readouterr().err


def test_a_commit_larger_than_a_bundle_is_refused(repository, capsys):
    (repository / "policy/rules/large.cedar").write_text("/" * (1024 * 1024 + 1))
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "large")
    assert main(["policy", "diff", "git:HEAD:policy", "policy"]) == 2
    assert "larger than a bundle may be" in capsys.readouterr().err


def hand_made(root: Path, *names: bytes) -> str:
    """A commit whose one tree holds such names, as nobody's `git add` would write them."""

    def put(kind: str, content: bytes) -> str:
        words = ["git", "hash-object", "-t", kind, "-w", "--stdin", "--literally"]
        return subprocess.run(words, cwd=root, input=content, capture_output=True, check=True).stdout.decode().strip()

    blob = bytes.fromhex(put("blob", b"x = 1\n"))
    tree = put("tree", b"".join(b"100644 " + name + b"\0" + blob for name in names))
    own = ["-c", "user.name=t", "-c", "user.email=t@example", "commit-tree", tree, "-m", "x"]
    return subprocess.run(["git", *own], cwd=root, capture_output=True, check=True).stdout.decode().strip()


@pytest.mark.parametrize("name", ["{}/out.toml", "a//{}/out.toml", "../out.toml", ".", "..", "./out.toml", "rules/"])
def test_a_hand_made_tree_writes_nothing_outside(repository, tmp_path, name, capsys):
    """Whoever opens a pull request can make such a commit, and the pipeline compares it."""
    outside = tmp_path / "outside"
    outside.mkdir()
    commit = hand_made(repository, name.format(outside).encode())
    assert main(["policy", "diff", f"git:{commit}", "policy"]) == 2
    assert "is not a regular file" in capsys.readouterr().err
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("names", [(b"rules", b"rules/x.cedar"), (b"x" * 300 + b".toml",)], ids=["both", "long"])
def test_a_hand_made_tree_that_cannot_be_laid_out_is_refused(repository, names, capsys):
    assert main(["policy", "diff", f"git:{hand_made(repository, *names)}", "policy"]) == 2
    assert "cannot be laid out" in capsys.readouterr().err


# -- versions of a store ----------------------------------------------------------------------------------------------


async def keep(url: str, *folders: Path, **last: Any) -> list[str]:
    """The folders as versions of the store, the first of them active, and then the last if `last` says how."""
    store = await open_store(url, create=True)
    digests = []
    try:
        for folder in folders:
            texts = texts_named(str(folder))
            digests.append(build_bundle(texts).digest)
            await store.versions.put_version(StoredVersion(digests[-1], content_of(texts), 1), ())
        if last:
            first = Activation(number=1, digest=digests[0], previous="", kind="activate", at=1, entry_id=b"1" * 16)
            assert await store.versions.activate(first)
            second = Activation(number=2, digest=digests[-1], previous=digests[0], at=2, entry_id=b"2" * 16, **last)
            assert await store.versions.activate(second)
    finally:
        await store.close()
    return digests


def test_a_version_of_the_store_is_found_by_its_digest(old, tmp_path):
    url = f"sqlite:///{tmp_path / 'store.db'}"
    (digest,) = asyncio.run(keep(url, old))
    stored = StoredVersions(url)
    assert dict(texts_named(digest, stored)) == dict(texts_named(str(old)))
    with pytest.raises(MintwardenError, match="has no bundle version"):
        texts_named(f"sha256:{'0' * 64}", stored)
    with pytest.raises(MintwardenError, match="no bundle version is active"):
        texts_named("active", stored)


@pytest.mark.parametrize(
    ("last", "governs"),
    [
        ({"kind": "activate"}, "new"),
        ({"kind": "break_glass", "until": 1 << 60}, "new"),
        ({"kind": "break_glass", "until": 3}, "old"),
    ],
    ids=["activated", "in-an-emergency", "after-it"],
)
def test_the_active_version_is_the_one_that_governs_now(old, new, tmp_path, last, governs):
    url = f"sqlite:///{tmp_path / 'store.db'}"
    if "until" in last:
        last = {**last, "returns_to": build_bundle(texts_named(str(old))).digest}
    asyncio.run(keep(url, old, new, **last))
    assert dict(texts_named("active", StoredVersions(url))) == dict(texts_named(str(tmp_path / governs)))


def test_a_version_that_was_changed_in_the_store_is_not_shown_as_what_was_signed(old, new, tmp_path):
    """Otherwise whoever writes to the store chooses what reviewers compare a change with."""
    url = f"sqlite:///{tmp_path / 'store.db'}"
    (digest,) = asyncio.run(keep(url, old))
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection, connection:
        connection.execute("UPDATE bundle_versions SET content = ?", (content_of(texts_named(str(new))),))
    with pytest.raises(MintwardenError, match="is not stored as it was approved"):
        texts_named(digest, StoredVersions(url))
